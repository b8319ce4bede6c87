/* Rows of labelled prompts. */
#include "base/arena.h"
#include "router/prompts.h"
#include "tests/support/test.h"

struct seen {
    size_t count;
    size_t accepts;
    size_t oods;
    char text[64];
    char label[64];
    char accept[64];
    enum status answer;
};

static void copy(char *to, struct str from)
{
    size_t n = from.len < 63 ? from.len : 63;
    for (size_t i = 0; i < n; i++) {
        to[i] = from.ptr[i];
    }
    to[n] = '\0';
}

static enum status on_prompt(void *ctx, const struct prompts_row *prompt)
{
    struct seen *seen = ctx;
    seen->count++;
    seen->accepts += prompt->accept_count;
    seen->oods += prompt->is_ood;
    copy(seen->text, prompt->text);
    copy(seen->label, prompt->label);
    if (prompt->accept_count > 0) {
        copy(seen->accept, prompt->accept[prompt->accept_count - 1]);
    }
    return seen->answer;
}

static enum status scan(struct str text, struct seen *seen, int *ret_line)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    diags_init(&diags, arena);
    *seen = (struct seen){.answer = seen->answer};
    enum status st = prompts_scan(text, STR("rows"), &diags, on_prompt, seen);
    *ret_line = diags.count > 0 ? diags.items[0].pos.line : 0;
    arena_destroy(arena);
    return st;
}

static void members_are_decoded(void **state)
{
    struct seen seen = {0};
    int line = 0;
    (void)state;

    enum status st = scan(STR("{\"text\":\"a\\nb \\u00e4\",\"x\":[1,{}],\"label\":\"law\","
                              "\"accept\":[\"soc\\u0069al\",\"general\"]}\n"),
                          &seen, &line);

    assert_int_equal(st, ST_OK);
    assert_string_equal(seen.text, "a\nb \xc3\xa4");
    assert_string_equal(seen.label, "law");
    assert_int_equal(seen.accepts, 2);
    assert_string_equal(seen.accept, "general");
}

static enum status compare_original(void *ctx, const struct prompts_row *prompt)
{
    (void)ctx;
    test_assert_str(prompts_original(prompt), STR("why?"));
    return ST_OK;
}

static void copies_know_their_original(void **state)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    (void)state;
    diags_init(&diags, arena);
    assert_int_equal(prompts_scan(STR("{\"text\":\"hi, why?\",\"copy_of\":\"why?\"}\n"
                                      "{\"text\":\"why?\"}\n"),
                                  STR("rows"), &diags, compare_original, NULL),
                     ST_OK);
    arena_destroy(arena);
}

static void blank_lines_and_a_missing_last_line_feed_are_fine(void **state)
{
    struct seen seen = {0};
    int line = 0;
    (void)state;

    enum status st =
        scan(STR("\n{\"text\":\"a\",\"ood\":1}\r\n \n{\"text\":\"\",\"ood\":0}"), &seen, &line);

    assert_int_equal(st, ST_OK);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.oods, 1);
}

static void broken_rows_are_refused_with_their_line(void **state)
{
    static const char *const cases[] = {
        "{\"text\":\"a\"}\n{\"text\":\"a\"",
        "{\"text\":\"a\"}\n{\"label\":\"b\"}",
        "{\"text\":\"a\"}\n[]",
        "{\"text\":\"a\"}\n{\"text\":\"a\",\"accept\":[1,]}",
        "{\"text\":\"a\"}\n{\"text\":\"a\"} x",
        "{\"text\":\"a\"}\n{\"text\":3}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen seen = {0};
        int line = 0;
        if (scan(str_from(cases[i]), &seen, &line) != ST_INVALID || line != 2) {
            fail_msg("not refused at line 2: %s", cases[i]);
        }
    }
}

static void the_reader_stops_when_told(void **state)
{
    struct seen seen = {.answer = ST_TOO_BIG};
    int line = 0;
    (void)state;

    enum status st = scan(STR("{\"text\":\"a\"}\n{\"text\":\"b\"}\n"), &seen, &line);

    assert_int_equal(st, ST_TOO_BIG);
    assert_int_equal(seen.count, 1);
}

static void files_that_cannot_be_read_are_reported(void **state)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    (void)state;
    diags_init(&diags, arena);

    assert_int_equal(prompts_read("/nowhere/at/all", &diags, on_prompt, NULL), ST_IO);
    assert_int_equal(prompts_read("/tmp", &diags, on_prompt, NULL), ST_IO);

    assert_int_equal(diags.errors, 2);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_decoded),
        cmocka_unit_test(copies_know_their_original),
        cmocka_unit_test(blank_lines_and_a_missing_last_line_feed_are_fine),
        cmocka_unit_test(broken_rows_are_refused_with_their_line),
        cmocka_unit_test(the_reader_stops_when_told),
        cmocka_unit_test(files_that_cannot_be_read_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
