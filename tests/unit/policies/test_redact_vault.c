/* Placeholders: stable, never those of the prompt, restored at every cut; own patterns; texts. */
#include <string.h>

#include "base/mem.h"
#include "policies/redact_text.h"
#include "tests/support/test.h"

enum {
    TEXT_MAX = 4096
};

struct fixture {
    struct arena *arena;
    struct redact_vault *vault;
    struct redact_matcher *matcher;
    struct redact_pattern *patterns[2];
    struct str labels[REDACT_KINDS + 2];
    struct buf out;
};

static void start(struct fixture *f)
{
    char why[REDACT_WHY_BYTES];
    f->arena = arena_create(1024, 1 << 20);
    for (size_t i = 0; i < REDACT_KINDS; i++) {
        f->labels[i] = str_from(redact_kind_label((enum redact_kind)i));
    }
    f->labels[REDACT_KINDS] = STR("MRN");
    f->labels[REDACT_KINDS + 1] = STR("WARD_7");
    f->vault = redact_vault_create(f->labels, REDACT_KINDS + 2, f->arena);
    f->matcher = redact_matcher_create();
    assert_int_equal(redact_pattern_create(STR("MRN[- ]?\\d{7}"), why, &f->patterns[0]), ST_OK);
    assert_int_equal(redact_pattern_create(STR("ward \\w+"), why, &f->patterns[1]), ST_OK);
    buf_init(&f->out, TEXT_MAX);
}

static void stop(struct fixture *f)
{
    buf_fini(&f->out);
    redact_pattern_destroy(f->patterns[0]);
    redact_pattern_destroy(f->patterns[1]);
    redact_matcher_destroy(f->matcher);
    redact_vault_destroy(f->vault);
    arena_destroy(f->arena);
}

static enum status redact(struct fixture *f, const char *text)
{
    const struct redact_pattern *const patterns[] = {f->patterns[0], f->patterns[1]};
    struct redact_set set = {REDACT_ALL, patterns, 2};
    return redact_text(&set, f->matcher, f->vault, str_from(text), &f->out);
}

static void values_become_placeholders(void **state)
{
    static const struct {
        const char *text;
        const char *out;
    } cases[] = {
        {"a@b.example, c@d.example and a@b.example", "[EMAIL_1], [EMAIL_2] and [EMAIL_1]"},
        {"MRN-1234567 in ward Nine", "[MRN_1] in [WARD_7_1]"},
        {"Mr. Smith pays with 4111111111111111", "Mr. [NAME_1] pays with [CARD_1]"},
        {"nothing here", "nothing here"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        start(&f);
        assert_int_equal(redact(&f, cases[i].text), ST_OK);
        test_assert_str(buf_str(&f.out), str_from(cases[i].out));
        stop(&f);
    }
}

static void overlaps_are_joined(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    assert_int_equal(redact(&f, "see ward a@b.example now"), ST_OK);
    test_assert_str(buf_str(&f.out), STR("see [EMAIL_1] now"));

    struct buf back;
    size_t left = 0;
    buf_init(&back, TEXT_MAX);
    assert_int_equal(
        redact_vault_restore(f.vault, buf_str(&f.out), REDACT_WHOLE, false, &back, &left), ST_OK);
    test_assert_str(buf_str(&back), STR("see ward a@b.example now"));
    buf_fini(&back);
    stop(&f);
}

static void numbers_of_the_prompt_are_avoided(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    redact_vault_avoid(f.vault, STR("what is [EMAIL_7], [[EMAIL_2] or [PHONE_x]? [EMAIL_9"));
    assert_int_equal(redact(&f, "a@b.example +49 30 1234567"), ST_OK);
    test_assert_str(buf_str(&f.out), STR("[EMAIL_8] [PHONE_1]"));
    assert_int_equal(redact_vault_count(f.vault, REDACT_EMAIL), 1);
    stop(&f);
}

static void the_highest_number_is_the_last_one(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    redact_vault_avoid(f.vault, STR("[EMAIL_999999999] [EMAIL_1000000000]"));
    assert_int_equal(redact(&f, "a@b.example"), ST_TOO_BIG);
    stop(&f);
}

/* Feeds the text in two pieces, or byte by byte, with what is left over put before the next one. */
static void restore_cut(const struct fixture *f, struct str text, size_t cut, size_t step,
                        struct buf *out)
{
    struct buf held;
    size_t left = 0;
    buf_init(&held, TEXT_MAX);
    for (size_t at = 0; at <= text.len; at += step) {
        size_t n = at == 0 && cut > 0 ? cut : step;
        enum redact_restore how = at + n >= text.len ? REDACT_WHOLE : REDACT_GOES_ON;
        assert_int_equal(buf_append(&held, str_slice(text, at, n)), ST_OK);
        assert_int_equal(redact_vault_restore(f->vault, buf_str(&held), how, false, out, &left),
                         ST_OK);
        assert_true(left < REDACT_PLACEHOLDER_MAX);
        buf_consume(&held, held.len - left);
        if (how == REDACT_WHOLE) {
            break;
        }
        at = n == cut ? cut - step : at;
    }
    assert_int_equal(held.len, 0);
    buf_fini(&held);
}

static void texts_are_restored_at_every_cut(void **state)
{
    static const char text[] = "[[EMAIL_1]] x [EMAIL_2][CARD_1] [EMAIL_3] [EMAIL_12] [EMAI [CARD_";
    static const char want[] = "[a@b.example] x c@d.example4111111111111111 [EMAIL_3] [EMAIL_12] "
                               "[EMAI [CARD_";
    struct fixture f;
    (void)state;
    start(&f);
    assert_int_equal(redact(&f, "a@b.example c@d.example 4111111111111111"), ST_OK);
    for (size_t cut = 1; cut < sizeof text - 1; cut++) {
        struct buf out;
        buf_init(&out, TEXT_MAX);
        restore_cut(&f, str_from(text), cut, sizeof text, &out);
        test_assert_str(buf_str(&out), str_from(want));
        buf_reset(&out);
        restore_cut(&f, str_from(text), 0, cut, &out);
        test_assert_str(buf_str(&out), str_from(want));
        buf_fini(&out);
    }
    stop(&f);
}

static void only_beginnings_of_placeholders_are_held_back(void **state)
{
    static const struct {
        const char *text;
        size_t left;
    } cases[] = {
        {"[EMAIL_1", 8},  {"[EMAIL_", 7},   {"[EM", 3},      {"[", 1},
        {"x[", 1},        {"[PHONE_1", 0},  {"[EMAIL 1", 0}, {"[1", 0},
        {"[EMAIL_1x", 0}, {"[EMAIL_1]", 0}, {"[a", 0},
    };
    struct fixture f;
    (void)state;
    start(&f);
    assert_int_equal(redact(&f, "a@b.example"), ST_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t left = 99;
        assert_int_equal(redact_vault_restore(f.vault, str_from(cases[i].text), REDACT_GOES_ON,
                                              false, &f.out, &left),
                         ST_OK);
        assert_int_equal(left, cases[i].left);
    }
    stop(&f);
}

static void nested_values_are_escaped(void **state)
{
    struct fixture f;
    size_t left = 0;
    (void)state;
    start(&f);
    assert_int_equal(redact(&f, "ward x\" a@b.example"), ST_OK);
    buf_reset(&f.out);
    struct str placeholder;
    assert_int_equal(redact_vault_put(f.vault, REDACT_NAME, STR("O\"Neil\n"), &placeholder), ST_OK);
    assert_int_equal(redact_vault_restore(f.vault, STR("{\"n\":\"[NAME_1]\"}"), REDACT_WHOLE, true,
                                          &f.out, &left),
                     ST_OK);
    test_assert_str(buf_str(&f.out), STR("{\"n\":\"O\\\"Neil\\n\"}"));
    stop(&f);
}

static void patterns_are_checked_and_limited(void **state)
{
    struct redact_pattern *p = NULL;
    char why[REDACT_WHY_BYTES] = "";
    (void)state;
    assert_int_equal(redact_pattern_create(STR("a(b"), why, &p), ST_INVALID);
    assert_non_null(strstr(why, "at character"));
    assert_int_equal(redact_pattern_create(STR("x*"), why, &p), ST_INVALID);
    assert_non_null(strstr(why, "empty"));
    assert_int_equal(redact_pattern_create(STR(""), why, &p), ST_INVALID);

    char text[2048];
    struct redact_span span = {0, 0, 0};
    struct redact_matcher *m = redact_matcher_create();
    memset(text, 'a', sizeof text);
    assert_int_equal(redact_pattern_create(STR("(?:a+)+b\\1?|(a)(?:a|a)*c"), why, &p), ST_OK);
    enum status st = redact_matcher_find(m, p, (struct str){text, sizeof text}, 0, &span);
    assert_int_equal(st, ST_TOO_BIG);
    redact_pattern_destroy(p);
    redact_matcher_destroy(m);
}

static void memory_may_end_anywhere(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    for (uint64_t n = 1;; n++) {
        struct redact_vault *v = f.vault;
        mem_fail_at(n, 0);
        f.vault = redact_vault_create(f.labels, REDACT_KINDS + 2, f.arena);
        enum status st = f.vault == NULL ? ST_NO_MEMORY : redact(&f, "a@b.example ward b, Mr. X");
        mem_fail_at(0, 0);
        redact_vault_destroy(f.vault);
        f.vault = v;
        buf_reset(&f.out);
        if (st == ST_OK) {
            assert_true(n > 3);
            break;
        }
        assert_int_equal(st, ST_NO_MEMORY);
    }
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_become_placeholders),
        cmocka_unit_test(overlaps_are_joined),
        cmocka_unit_test(numbers_of_the_prompt_are_avoided),
        cmocka_unit_test(the_highest_number_is_the_last_one),
        cmocka_unit_test(texts_are_restored_at_every_cut),
        cmocka_unit_test(only_beginnings_of_placeholders_are_held_back),
        cmocka_unit_test(nested_values_are_escaped),
        cmocka_unit_test(patterns_are_checked_and_limited),
        cmocka_unit_test(memory_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
