#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/yaml.h"
#include "tests/support/test.h"

enum {
    ARENA_MAX = 64 << 20,
    BOMB_BYTES = 100000,
    BOMB_CPU_S_MAX = 10, /* libyaml alone takes over 20 s; here it is about 1 ms */
};

struct fixture {
    struct arena *arena;
    struct diags diags;
    struct yaml_node *root;
    enum status st;
};

static struct fixture fx;

static int set_up(void **state)
{
    (void)state;
    fx = (struct fixture){.arena = arena_create(4096, ARENA_MAX)};
    diags_init(&fx.diags, fx.arena);
    return fx.arena == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    arena_destroy(fx.arena);
    return 0;
}

static void parse(struct str text)
{
    arena_reset(fx.arena);
    diags_init(&fx.diags, fx.arena);
    fx.root = NULL;
    fx.st = yaml_parse(text, STR("a.yaml"), fx.arena, &fx.diags, &fx.root);
}

/* "line:column: message" of the first diagnostic. */
static struct str first_diag(void)
{
    assert_true(fx.diags.count > 0);
    const struct diag *d = &fx.diags.items[0];
    return arena_printf(fx.arena, "%d:%d: %.*s", d->pos.line, d->pos.column, STR_ARG(d->message));
}

static struct str text_at(const char *key)
{
    const struct yaml_node *node = yaml_get(fx.root, str_from(key));
    assert_non_null(node);
    return node->text;
}

static void a_file_becomes_a_tree_with_positions(void **state)
{
    (void)state;

    parse(STR("# head\nserver:\n  listen: [a, 'b']\nnone: ~\n"));

    assert_int_equal(fx.st, ST_OK);
    const struct yaml_node *listen = yaml_get(yaml_get(fx.root, STR("server")), STR("listen"));
    assert_non_null(listen);
    assert_int_equal(listen->kind, YAML_SEQUENCE);
    assert_int_equal(listen->count, 2);
    assert_int_equal(listen->items[1]->pos.line, 3);
    assert_int_equal(listen->items[1]->pos.column, 15);
    test_assert_str(listen->items[1]->text, STR("b"));
    test_assert_str(listen->items[1]->file, STR("a.yaml"));
    assert_true(listen->items[1]->is_quoted);
    assert_false(listen->items[0]->is_quoted);
    assert_true(yaml_is_null(yaml_get(fx.root, STR("none"))));
    assert_null(yaml_get(fx.root, STR("nowhere")));
}

static void json_is_read_like_yaml(void **state)
{
    (void)state;

    parse(STR("{\n\t\"a\": [1, true, null],\n\t\"b\":{\"c\":\"x\\ny\\/\\u00e9\"}\n}\n"));

    assert_int_equal(fx.st, ST_OK);
    assert_int_equal(yaml_get(fx.root, STR("a"))->count, 3);
    test_assert_str(yaml_get(yaml_get(fx.root, STR("b")), STR("c"))->text, STR("x\ny/\xC3\xA9"));
}

static void empty_texts_give_an_empty_mapping(void **state)
{
    (void)state;
    static const char *const texts[] = {"",      "\n", "# only a comment\n",
                                        "---\n", "{}", "\xEF\xBB\xBF"};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        parse(str_from(texts[i]));
        assert_int_equal(fx.st, ST_OK);
        assert_int_equal(fx.root->kind, YAML_MAPPING);
        assert_int_equal(fx.root->count, 0);
    }
}

static void a_byte_order_mark_is_skipped(void **state)
{
    (void)state;

    parse(STR("\xEF\xBB\xBF"
              "a: 1\n"));

    assert_int_equal(fx.st, ST_OK);
    assert_int_equal(fx.root->keys[0]->pos.column, 1);
}

static void only_unquoted_null_words_are_null(void **state)
{
    (void)state;

    parse(STR("- ~\n- null\n-\n- 'null'\n- \"\"\n- nil\n- 0\n"));

    assert_int_equal(fx.st, ST_OK);
    for (size_t i = 0; i < fx.root->count; i++) {
        assert_int_equal(yaml_is_null(fx.root->items[i]), i < 3);
    }
}

struct refusal {
    const char *text;
    const char *diag; /* start of the first diagnostic */
};

static const struct refusal refusals[] = {
    {"a: 1\nb: 2\na: 3\n", "3:1: duplicate key \"a\", first given at line 1, column 1"},
    {"a: {b: 1, 'b': 2}\n", "1:11: duplicate key \"b\", first given at line 1, column 5"},
    {"a: &x 1\n", "1:4: anchors are not supported: \"&x\""},
    {"a: *x\n", "1:4: aliases are not supported: \"*x\""},
    {"a: !!str 1\n", "1:4: tags are not supported"},
    {"a: ! 1\n", "1:4: tags are not supported"},
    {"!x {a: 1}\n", "1:1: tags are not supported"},
    {"%TAG !a! tag:b,2000:\n---\na: 1\n", "1:1: tags are not supported"},
    {"a: 1\n---\nb: 1\n", "2:1: a second document"},
    {"---\n---\n", "2:1: a second document"},
    {"a:\n  <<: {b: 1}\n", "2:3: merge keys \"<<\" are not supported"},
    {"? [a]\n: 1\n", "1:3: a key must be text, not a list"},
    {"{{a: 1}: 2}\n", "1:2: a key must be text, not a mapping"},
    {"a:\n\tb: 1\n", "2:1: indent with spaces: a tab cannot stand here"},
    {"a: 1\n  b: 2\n", "2:4: a key cannot stand here"},
    {"a: b: c\n", "1:5: a key cannot stand here"},
    {"a:\n  b: 1\n c: 2\n", "3:2: expected a key here: the indentation does not match the block "
                            "above (it starts at line 1, column 1)"},
    {"a: 1\nb\nc: 2\n", "2:1: expected \"key: value\" or \"- item\" here"},
    {"a: [1, 2\nb: 3\n", "2:2: expected \",\" or \"]\" in a list (it starts at line 1, column 4)"},
    {"a: \"x\nb: 1\n", "1:4: the quotes that open here are never closed"},
    {"a: \"\\q\"\n", "1:5: unknown escape"},
    {"a: \"\\ud83d\\ude00\"\n", "1:7: this escape is no Unicode character"},
    {"a: @b\n", "1:4: a value cannot start with this character"},
    {"a: *\n", "1:4: anchors and aliases are not supported"},
    {"%YAML 9.9\n---\na: 1\n", "1:1: the only directives known"},
    {"\xC3\xA9: \x07\n", "1:4: the control character U+0007 is not allowed"},
    {"a: \"\\0\"\n", "1:4: the escape \"\\0\" is not allowed"},
    {"a: 1\nb: \xC3\xA9\xFF\n", "2:5: the byte 0xFF here is not valid UTF-8"},
    {"\xFF\xFE"
     "a",
     "1:1: the file is UTF-16"},
    {"a: {b: ${C}}\n", "1:9: inside [ ] and { } put \"${NAME}\" in quotes"},
};

static void refusals_say_where_and_what(void **state)
{
    (void)state;

    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        parse(str_from(refusals[i].text));
        assert_int_equal(fx.st, ST_INVALID);
        struct str got = first_diag();
        struct str want = str_from(refusals[i].diag);
        test_assert_str(str_slice(got, 0, want.len), want);
    }
}

static void a_nul_byte_is_refused_with_its_place(void **state)
{
    (void)state;

    parse(STR("a: 1\r\nb: \0\n"));

    assert_int_equal(fx.st, ST_INVALID);
    test_assert_str(first_diag(), STR("2:4: a NUL byte is not allowed"));
}

static void duplicates_are_found_in_large_mappings(void **state)
{
    (void)state;
    char text[4096];
    int len = 0;
    for (int i = 0; i < 200; i++) {
        len += snprintf(text + len, sizeof text - (size_t)len, "k%d: 1\n", i);
    }
    (void)snprintf(text + len, sizeof text - (size_t)len, "k150: 2\n");

    parse(str_from(text));

    test_assert_str(first_diag(),
                    STR("201:1: duplicate key \"k150\", first given at line 151, column 1"));
}

static void all_mistakes_of_a_file_are_collected(void **state)
{
    (void)state;

    parse(STR("a: *x\nb: &y 1\nb: !z 2\nc: ${EXPERTD_TEST_MISSING}\n"));

    assert_int_equal(fx.st, ST_INVALID);
    assert_int_equal(fx.diags.errors, 5);
}

static void messages_stay_on_one_line_and_short(void **state)
{
    (void)state;

    parse(STR(
        "\"a\\nb01234567890123456789012345678901234567890123456789012345678901234567890123456789\": 1\n"
        "\"a\\nb01234567890123456789012345678901234567890123456789012345678901234567890123456789\": 2\n"));

    struct str message = fx.diags.items[0].message;
    assert_int_equal(str_find_char(message, '\n'), message.len);
    assert_int_not_equal(str_find(message, STR("...\"")), message.len);
}

/* ---- ceilings ---- */

static void nesting_is_read_up_to_its_ceiling(void **state)
{
    (void)state;
    char text[2 * (YAML_DEPTH_MAX + 1)];
    memset(text, '[', YAML_DEPTH_MAX + 1);
    memset(text + YAML_DEPTH_MAX + 1, ']', YAML_DEPTH_MAX + 1);

    parse((struct str){text + 1, 2 * (size_t)YAML_DEPTH_MAX});
    assert_int_equal(fx.st, ST_OK);

    parse((struct str){text, sizeof text});
    assert_int_equal(fx.st, ST_INVALID);
    test_assert_str(first_diag(), STR("1:65: nested more than 64 levels deep"));
}

/* Of this thread's work: what others do on the machine does not count. */
static time_t cpu_seconds(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
    return t.tv_sec;
}

static void bombs_are_refused_at_once(void **state)
{
    (void)state;
    static const char *const units[] = {
        "[", "{", "- ", "? ", "[\n", "{a: ", "[?", "- [", "[{", "{\"a\":[", ": ", "%TAG !a! b\n"};
    char *text = mem_alloc(BOMB_BYTES);
    assert_non_null(text);

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t len = strlen(units[i]);
        for (size_t at = 0; at < BOMB_BYTES; at++) {
            text[at] = units[i][at % len];
        }
        time_t start_s = cpu_seconds();
        parse((struct str){text, BOMB_BYTES});
        assert_int_equal(fx.st, ST_INVALID);
        assert_true(cpu_seconds() - start_s < BOMB_CPU_S_MAX);
    }
    mem_free(text);
}

static void an_indentation_ladder_is_refused_at_its_ceiling(void **state)
{
    (void)state;

    enum {
        RUNGS = 500
    };

    char *text = mem_alloc((size_t)RUNGS * (RUNGS + 3));
    assert_non_null(text);
    size_t len = 0;
    for (size_t i = 0; i < RUNGS; i++) {
        memset(text + len, ' ', i);
        memcpy(text + len + i, "a:\n", 3);
        len += i + 3;
    }

    parse((struct str){text, len});

    assert_int_equal(fx.st, ST_INVALID);
    test_assert_str(first_diag(), STR("65:65: nested more than 64 levels deep"));
    mem_free(text);
}

static void a_file_over_the_ceiling_is_refused(void **state)
{
    (void)state;
    char *text = mem_alloc(YAML_BYTES_MAX + 1);
    assert_non_null(text);
    memset(text, ' ', YAML_BYTES_MAX + 1);

    parse((struct str){text, YAML_BYTES_MAX});
    assert_int_equal(fx.st, ST_OK);

    parse((struct str){text, YAML_BYTES_MAX + 1});
    assert_int_equal(fx.st, ST_INVALID);
    test_assert_str(first_diag(), STR("0:0: the file is larger than 8 MiB"));
    mem_free(text);
}

static void brackets_in_text_do_not_count_as_nesting(void **state)
{
    (void)state;
    char text[1024] = "a: |\n  ";
    memset(text + 7, '[', 500);

    parse(str_from(text));

    assert_int_equal(fx.st, ST_OK);
    assert_int_equal(text_at("a").len, 500);
}

/* ---- the environment ---- */

static void references_are_replaced_in_values(void **state)
{
    (void)state;
    assert_int_equal(setenv("EXPERTD_TEST_A", "left: [right]", 1), 0);
    assert_int_equal(setenv("EXPERTD_TEST_EMPTY", "", 1), 0);

    parse(STR("plain: ${EXPERTD_TEST_A}\n"
              "quoted: \"<${EXPERTD_TEST_A}>\"\n"
              "default: ${EXPERTD_TEST_NONE:-8080}\n"
              "empty: ${EXPERTD_TEST_EMPTY:-x}${EXPERTD_TEST_EMPTY:-}\n"
              "dollars: $$ $${A} $ $x a$\n"));

    assert_int_equal(fx.st, ST_OK);
    test_assert_str(text_at("plain"), STR("left: [right]"));
    test_assert_str(text_at("quoted"), STR("<left: [right]>"));
    test_assert_str(text_at("default"), STR("8080"));
    test_assert_str(text_at("empty"), STR("x"));
    test_assert_str(text_at("dollars"), STR("$ ${A} $ $x a$"));
    assert_true(yaml_get(fx.root, STR("plain"))->is_from_env);
    assert_false(yaml_get(fx.root, STR("dollars"))->is_from_env);
}

/* They are filled in when the command is run, whatever our own environment calls PORT. */
static void places_in_commands_stay(void **state)
{
    (void)state;
    assert_int_equal(setenv("PORT", "80", 1), 0);

    parse(STR(
        "a: {argv: [s, \"${PORT}\", \"x${SOCKET}y\", \"${THREADS}\"], env: {P: \"${PORT}\"}, b: \"${PORT}\"}\n"));

    assert_int_equal(fx.st, ST_OK);
    const struct yaml_node *a = yaml_get(fx.root, STR("a"));
    const struct yaml_node *argv = yaml_get(a, STR("argv"));
    test_assert_str(argv->items[1]->text, STR("${PORT}"));
    test_assert_str(argv->items[2]->text, STR("x${SOCKET}y"));
    test_assert_str(argv->items[3]->text, STR("${THREADS}"));
    test_assert_str(yaml_get(yaml_get(a, STR("env")), STR("P"))->text, STR("${PORT}"));
    test_assert_str(yaml_get(a, STR("b"))->text, STR("80"));
    assert_int_equal(unsetenv("PORT"), 0);
}

static void a_word_from_the_environment_is_no_null(void **state)
{
    (void)state;
    assert_int_equal(setenv("EXPERTD_TEST_A", "null", 1), 0);

    parse(STR("a: ${EXPERTD_TEST_A}\nb: ${EXPERTD_TEST_NONE:-}\n"));

    assert_false(yaml_is_null(yaml_get(fx.root, STR("a"))));
    assert_true(yaml_is_null(yaml_get(fx.root, STR("b"))));
}

static void bad_references_are_refused(void **state)
{
    (void)state;
    assert_int_equal(setenv("EXPERTD_TEST_EMPTY", "", 1), 0);
    assert_int_equal(setenv("EXPERTD_TEST_BAD", "geheim\xFF", 1), 0);
    static const struct refusal cases[] = {
        {"a: ${EXPERTD_TEST_NONE}\n",
         "1:4: the environment variable \"EXPERTD_TEST_NONE\" is missing or empty"},
        {"a: ${EXPERTD_TEST_EMPTY}\n",
         "1:4: the environment variable \"EXPERTD_TEST_EMPTY\" is missing or empty"},
        {"a: ${EXPERTD_TEST_BAD}\n",
         "1:4: the environment variable \"EXPERTD_TEST_BAD\" is not valid UTF-8"},
        {"a: ${}\n", "1:4: \"${\" starts a reference"},
        {"a: ${A\n", "1:4: \"${\" starts a reference"},
        {"a: ${A-b}\n", "1:4: \"${\" starts a reference"},
        {"a: ${1A}\n", "1:4: \"${\" starts a reference"},
        {"a: ${A:-b\n", "1:4: \"${\" starts a reference"},
        {"${A}: b\n", "1:1: a key cannot come from the environment: \"${A}\""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        parse(str_from(cases[i].text));
        assert_int_equal(fx.st, ST_INVALID);
        struct str want = str_from(cases[i].diag);
        test_assert_str(str_slice(first_diag(), 0, want.len), want);
    }
}

/* ---- files ---- */

static void a_file_is_loaded_from_disk(void **state)
{
    (void)state;
    char path[] = "/tmp/expertd-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: 1\n", 5), 5);
    assert_int_equal(close(fd), 0);

    fx.st = yaml_load(path, fx.arena, &fx.diags, &fx.root);

    assert_int_equal(unlink(path), 0);
    assert_int_equal(fx.st, ST_OK);
    test_assert_str(text_at("a"), STR("1"));
    test_assert_str(fx.root->file, str_from(path));
}

static void files_that_cannot_be_read_are_named(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"/nonexistent/a.yaml", "0:0: cannot read the file: No such file or directory"},
        {"/", "0:0: cannot read the file: Is a directory"},
    };

    for (size_t i = 0; i < 2; i++) {
        diags_init(&fx.diags, fx.arena);
        fx.st = yaml_load(cases[i].text, fx.arena, &fx.diags, &fx.root);
        assert_int_equal(fx.st, ST_IO);
        test_assert_str(first_diag(), str_from(cases[i].diag));
        test_assert_str(fx.diags.items[0].file, str_from(cases[i].text));
    }
}

static void an_endless_file_is_refused(void **state)
{
    (void)state;

    fx.st = yaml_load("/dev/zero", fx.arena, &fx.diags, &fx.root);

    assert_int_equal(fx.st, ST_INVALID);
    test_assert_str(first_diag(), STR("0:0: the file is larger than 8 MiB"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_becomes_a_tree_with_positions),
        TEST(json_is_read_like_yaml),
        TEST(empty_texts_give_an_empty_mapping),
        TEST(a_byte_order_mark_is_skipped),
        TEST(only_unquoted_null_words_are_null),
        TEST(refusals_say_where_and_what),
        TEST(a_nul_byte_is_refused_with_its_place),
        TEST(duplicates_are_found_in_large_mappings),
        TEST(all_mistakes_of_a_file_are_collected),
        TEST(messages_stay_on_one_line_and_short),
        TEST(nesting_is_read_up_to_its_ceiling),
        TEST(bombs_are_refused_at_once),
        TEST(an_indentation_ladder_is_refused_at_its_ceiling),
        TEST(a_file_over_the_ceiling_is_refused),
        TEST(brackets_in_text_do_not_count_as_nesting),
        TEST(references_are_replaced_in_values),
        TEST(places_in_commands_stay),
        TEST(a_word_from_the_environment_is_no_null),
        TEST(bad_references_are_refused),
        TEST(a_file_is_loaded_from_disk),
        TEST(files_that_cannot_be_read_are_named),
        TEST(an_endless_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
