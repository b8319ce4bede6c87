#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/keys.h"
#include "base/mem.h"
#include "tests/support/keys_sample.h"
#include "tests/support/test.h"

enum {
    TEXT_MAX = 64 * 1024,
};

struct fixture {
    struct arena *arena;
    struct diags diags;
};

static struct fixture fx;
static char generated[TEXT_MAX]; /* what the generator wrote last, terminated */

static int set_up(void **state)
{
    (void)state;
    fx = (struct fixture){.arena = arena_create(4096, 1 << 20)};
    diags_init(&fx.diags, fx.arena);
    return fx.arena == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    arena_destroy(fx.arena);
    return 0;
}

static struct str generate(void (*print)(const struct keys *keys, FILE *out),
                           const struct keys *keys)
{
    FILE *out = fmemopen(generated, sizeof generated - 1, "w");
    assert_non_null(out);
    print(keys, out);
    assert_int_equal(fclose(out), 0);
    return str_from(generated);
}

static bool has(struct str text, const char *wanted)
{
    return str_find(text, str_from(wanted)) != text.len;
}

static size_t occurrences(struct str text, const char *wanted)
{
    size_t n = 0;
    struct str needle = str_from(wanted);
    size_t at = str_find(text, needle);
    while (at < text.len) {
        n++;
        text = str_slice(text, at + needle.len, SIZE_MAX);
        at = str_find(text, needle);
    }
    return n;
}

/* Decodes a text as the sample configuration; shows what is wrong with it. */
static void decode(struct str text, struct sample *ret)
{
    struct key_reader reader = {.arena = fx.arena, .diags = &fx.diags, .root = STR("")};
    struct yaml_node *root = NULL;
    enum status st = yaml_parse(text, STR("reference"), fx.arena, &fx.diags, &root);
    if (st == ST_OK) {
        st = keys_decode(&sample_keys, &reader, root, ret);
    }
    diags_print(&fx.diags, stderr);
    assert_int_equal(st, ST_OK);
}

/* ---- Markdown ---- */

static void each_key_has_a_row_with_type_default_and_sentence(void **state)
{
    (void)state;

    struct str text = generate(keys_print_markdown, &sample_keys);

    assert_true(
        has(text, "| `workers` | a whole number from 1 to 64 | `4` | threads that serve |\n"));
    assert_true(has(text, "| `ms` | a whole number from 0 to 60000 ms | `250` |"));
    assert_true(has(text, "| `url` | text | **required** |"));
    assert_true(has(text, "| `key` | text, kept secret | none |"));
    assert_true(has(text, "can do: a \\| b |"));
    assert_true(has(text, "| `experts` | mapping of NAME to [expert](#expertsname) |"));
}

static void a_table_that_is_used_twice_has_one_section(void **state)
{
    (void)state;

    struct str text = generate(keys_print_markdown, &sample_keys);

    assert_int_equal(occurrences(text, "\n## "), 5);
    assert_int_equal(occurrences(text, "| `ms` |"), 1);
    assert_true(has(text, "Also at `tenants[].window`, `process.start`.\n"));
}

static void a_table_sentence_gets_one_full_stop(void **state)
{
    (void)state;

    static const struct key rows[] = {
        {.name = "a", .type = KEY_BOOL, .sentence = "a flag"},
    };
    const struct keys ended = {"ended", sizeof(bool), rows, 1, "It has a stop."};
    const struct keys open = {"open", sizeof(bool), rows, 1, "It has none"};

    assert_true(has(generate(keys_print_markdown, &ended), "\n\nIt has a stop.\n\n"));
    assert_true(has(generate(keys_print_markdown, &open), "\n\nIt has none.\n\n"));
}

static void a_table_without_rows_is_only_its_sentence(void **state)
{
    (void)state;

    const struct keys empty = {.name = "empty", .size = 1, .sentence = "nothing to set"};

    assert_true(
        str_eq(generate(keys_print_markdown, &empty), STR("## empty\n\nnothing to set.\n\n")));
}

/* ---- a table that holds itself ---- */

struct group {
    struct key_id id;
    struct key_array groups;
};

static const struct keys group_keys;

static const struct key group_rows[] = {
    {.name = "groups",
     .type = KEY_MAP,
     .offset = offsetof(struct group, groups),
     .block = &group_keys,
     .sentence = "groups in this group"},
};

static const struct keys group_keys = {"group", sizeof(struct group), group_rows, 1, NULL};

static void a_table_that_holds_itself_comes_to_an_end(void **state)
{
    (void)state;

    assert_int_equal(occurrences(generate(keys_print_markdown, &group_keys), "## "), 1);
    assert_true(has(generate(keys_print_schema, &group_keys), "{\"$ref\": \"#\"}"));
    assert_true(has(generate(keys_print_reference, &group_keys), "# groups: {}\n"));
}

static void a_table_that_holds_itself_is_decoded(void **state)
{
    (void)state;
    struct key_reader reader = {.arena = fx.arena, .diags = &fx.diags, .root = STR("")};
    struct yaml_node *root = NULL;
    enum status st = yaml_parse(STR("groups: {a: {groups: {b: {}, c: {}}}}"), STR("a"), fx.arena,
                                &fx.diags, &root);
    assert_int_equal(st, ST_OK);
    struct group group;

    assert_int_equal(keys_decode(&group_keys, &reader, root, &group), ST_OK);

    const struct group *inner = group.groups.items;
    assert_int_equal(inner->groups.count, 2);
}

/* ---- JSON Schema ---- */

static void the_schema_is_valid_json(void **state)
{
    (void)state;
    const char *why = "";
    size_t offset = 0;

    struct str text = generate(keys_print_schema, &sample_keys);

    enum status st = json_validate(text, &why, &offset);
    if (st != ST_OK) {
        fail_msg("%s at %.*s", why, 60, text.ptr + offset);
    }
}

static void the_schema_closes_every_object_and_shares_tables(void **state)
{
    (void)state;

    struct str text = generate(keys_print_schema, &sample_keys);

    assert_true(has(text, "\"$schema\": \"https://json-schema.org/draft/2020-12/schema\""));
    /* The root, five tables and the mapping of experts. */
    assert_int_equal(occurrences(text, "\"additionalProperties\": false"), 7);
    assert_int_equal(occurrences(text, "\"$ref\": \"#/$defs/window\""), 3);
    assert_int_equal(occurrences(text, "    \"window\": {\n"), 1);
    assert_true(has(text, "\"required\": [\"experts\"]"));
    assert_true(has(text, "{\"enum\": [\"openai\", \"anthropic\", \"ollama\"]}"));
    assert_true(has(text, "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 64}"));
    assert_true(has(text, "{\"type\": \"integer\", \"minimum\": -5}"));
    assert_true(has(text, "\"default\": 0.55}"));
}

static const struct keys other_window_keys = {"window", sizeof(struct sample_window),
                                              sample_window_rows, 1, NULL};

struct windows {
    struct sample_window a;
    struct sample_window b;
};

static const struct key windows_rows[] = {
    {.name = "a", .type = KEY_BLOCK, .block = &sample_window_keys, .sentence = "one \"a\""},
    {.name = "b",
     .type = KEY_BLOCK,
     .offset = offsetof(struct windows, b),
     .block = &other_window_keys,
     .sentence = "other"},
};

static const struct keys windows_keys = {"windows", sizeof(struct windows), windows_rows, 2, NULL};

static void tables_of_the_same_name_stay_apart_in_the_schema(void **state)
{
    (void)state;

    struct str text = generate(keys_print_schema, &windows_keys);

    assert_int_equal(json_validate(text, NULL, NULL), ST_OK);
    assert_true(has(text, "\"one \\\"a\\\"\", \"$ref\": \"#/$defs/window\"}"));
    assert_true(has(text, "\"other\", \"$ref\": \"#/$defs/window_2\"}"));
    assert_true(has(text, "    \"window_2\": {\n"));
}

/* ---- reference YAML ---- */

static void the_reference_decodes_to_the_defaults(void **state)
{
    (void)state;
    struct sample sample;

    decode(generate(keys_print_reference, &sample_keys), &sample);

    assert_int_equal(sample.workers, 4);
    assert_int_equal(sample.tenants.count, 0);
    assert_int_equal(sample.experts.count, 1);
    const struct sample_expert *expert = sample.experts.items;
    test_assert_str(expert->id.name, STR("med-70b"));
    test_assert_str(expert->url, STR("https://med.example/v1"));
    assert_int_equal(expert->window.bytes, 65536);
}

static void each_key_of_the_reference_has_its_sentence(void **state)
{
    (void)state;

    struct str text = generate(keys_print_reference, &sample_keys);

    assert_true(has(text, "\n# threads that serve (a whole number from 1 to 64)\nworkers: 4\n"));
    assert_true(has(text, "\n    # where the expert answers (text; required)\n    url: https"));
    assert_true(has(text, "\n    # what a million tokens cost"));
    assert_true(has(text, "\n    # price: 0.60\n"));
    assert_true(has(text, "\n# tenants:\n#   -\n#     # who the key belongs to"));
}

/* True for what follows a "# " if it is YAML and no sentence: a key, or a dash. */
static bool is_yaml_line(const char *line)
{
    line += strspn(line, " #");
    size_t word = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
    return line[0] == '-' || (word > 0 && line[word] == ':');
}

/* Removes the signs that comment keys out, in place; sentences stay comments. */
static void uncomment(char *text)
{
    char *out = text;
    bool is_code = false;
    bool in_margin = true;
    for (const char *c = text; *c != '\0'; c++) {
        if (c == text || c[-1] == '\n') {
            in_margin = true;
            is_code = is_yaml_line(c);
        }
        if (is_code && in_margin && c[0] == '#') {
            c++; /* the blank behind it goes with it */
            continue;
        }
        in_margin = in_margin && *c == ' ';
        *out = *c;
        out++;
    }
    *out = '\0';
}

static void the_reference_decodes_with_every_comment_sign_removed(void **state)
{
    (void)state;
    assert_int_equal(setenv("MED_API_KEY", "k", 1), 0);
    struct sample sample;
    (void)generate(keys_print_reference, &sample_keys);

    uncomment(generated);
    decode(str_from(generated), &sample);

    assert_int_equal(sample.tenants.count, 1);
    test_assert_str(((const struct sample_tenant *)sample.tenants.items)->name, STR("alice"));
    assert_int_equal(sample.process.argv.count, 3);
    assert_int_equal(((const struct sample_expert *)sample.experts.items)->price_nano_usd,
                     600000000);
    test_assert_str(sample.router.model, STR("models/a.edm"));
}

/* ---- keys with neither default nor example, customs, long sentences ---- */

struct odd {
    struct str text;
    int64_t number;
    double real;
    bool flag;
    int choice;
    struct key_texts texts;
    struct key_array map;
    struct sample_process required;
    size_t any;
    size_t object;
    size_t items;
    size_t lines;
};

static const struct key odd_rows[] = {
    {.name = "text",
     .type = KEY_TEXT,
     .offset = offsetof(struct odd, text),
     .is_required = true,
     .sentence = "a sentence that goes on and on so that it cannot stand on one line of the file "
                 "and has to be wrapped before it ends"},
    {.name = "number", .type = KEY_BYTES, .offset = offsetof(struct odd, number), .sentence = "n"},
    {.name = "real", .type = KEY_REAL, .offset = offsetof(struct odd, real), .sentence = "r"},
    {.name = "flag", .type = KEY_BOOL, .offset = offsetof(struct odd, flag), .sentence = "f"},
    {.name = "choice",
     .type = KEY_CHOICE,
     .offset = offsetof(struct odd, choice),
     .choices = sample_dialects,
     .sentence = "c"},
    {.name = "texts",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct odd, texts),
     .sentence = "t"},
    {.name = "map",
     .type = KEY_MAP,
     .offset = offsetof(struct odd, map),
     .fallback = "{x: {url: y}}",
     .block = &sample_expert_keys,
     .sentence = "m"},
    {.name = "required",
     .type = KEY_BLOCK,
     .offset = offsetof(struct odd, required),
     .is_required = true,
     .block = &sample_process_keys,
     .sentence = "p"},
    {.name = "any",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct odd, any),
     .decode = sample_decode_rules,
     .sentence = "y"},
    {.name = "object",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct odd, object),
     .decode = sample_decode_rules,
     .block = &sample_window_keys,
     .custom_type = "object",
     .sentence = "tab\there"},
    {.name = "items",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct odd, items),
     .decode = sample_decode_rules,
     .block = &sample_window_keys,
     .custom_type = "array",
     .sentence = "i"},
    {.name = "lines",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct odd, lines),
     .decode = sample_decode_rules,
     .is_required = true,
     .custom_type = "array",
     .sentence = "l",
     .example = "- ms: 1\n- ms: 2"},
};

static const struct keys odd_keys = {"odd", sizeof(struct odd), odd_rows,
                                     sizeof odd_rows / sizeof odd_rows[0], NULL};

static void keys_without_defaults_show_what_stands_for_them(void **state)
{
    (void)state;

    struct str text = generate(keys_print_reference, &odd_keys);

    assert_true(has(text, "# a sentence that goes on and on so that it cannot stand on one line of "
                          "the file and has to be\n# wrapped before it ends (text; required)\n"
                          "text: \"\"\n"));
    assert_true(has(text, "\n# number: 0\n"));
    assert_true(has(text, "\n# flag: false\n"));
    assert_true(has(text, "\n# choice: openai\n"));
    assert_true(has(text, "\n# texts: []\n"));
    assert_true(has(text, "\nmap: {x: {url: y}}\n"));
    assert_true(has(text, "\nrequired:\n  # the program"));
    assert_true(has(text, "\n# object: {}\n"));
    assert_true(has(text, "\n# items: []\n"));
    assert_true(has(text, "\nlines:\n  - ms: 1\n  - ms: 2\n"));
}

static void a_reference_of_odd_keys_decodes(void **state)
{
    (void)state;
    struct key_reader reader = {.arena = fx.arena, .diags = &fx.diags, .root = STR("")};
    struct yaml_node *root = NULL;
    struct str text = generate(keys_print_reference, &odd_keys);
    assert_int_equal(yaml_parse(text, STR("r"), fx.arena, &fx.diags, &root), ST_OK);
    struct odd odd;

    assert_int_equal(keys_decode(&odd_keys, &reader, root, &odd), ST_OK);

    assert_int_equal(odd.lines, 2);
    assert_int_equal(odd.map.count, 1);
    test_assert_str(((const struct sample_expert *)odd.map.items)->url, STR("y"));
}

static void odd_keys_have_rows_and_a_schema(void **state)
{
    (void)state;

    struct str text = generate(keys_print_markdown, &odd_keys);

    assert_true(has(text, "| `choice` | one of openai, anthropic or ollama | `openai` | c |\n"));
    assert_true(has(text, "| `flag` | true or false | `false` | f |\n"));
    assert_true(has(text, "| `any` | any value | none | y |\n"));
    assert_true(has(text, "| `items` | list of [window](#mapnamewindow) | none | i |\n"));

    text = generate(keys_print_schema, &odd_keys);

    assert_int_equal(json_validate(text, NULL, NULL), ST_OK);
    assert_true(has(text, "\"any\": {\"description\": \"y\", \"$comment\": \"any value\"}"));
    assert_true(has(text, "\"tab\\u0009here\", \"$ref\": \"#/$defs/window\"}"));
    assert_true(
        has(text, "\"type\": \"array\", \"items\": {\"anyOf\": [{\"type\": \"string\"}, {\"$ref\": "
                  "\"#/$defs/window\"}]}"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_key_has_a_row_with_type_default_and_sentence),
        TEST(a_table_that_is_used_twice_has_one_section),
        TEST(a_table_sentence_gets_one_full_stop),
        TEST(a_table_without_rows_is_only_its_sentence),
        TEST(a_table_that_holds_itself_comes_to_an_end),
        TEST(a_table_that_holds_itself_is_decoded),
        TEST(the_schema_is_valid_json),
        TEST(the_schema_closes_every_object_and_shares_tables),
        TEST(tables_of_the_same_name_stay_apart_in_the_schema),
        TEST(the_reference_decodes_to_the_defaults),
        TEST(each_key_of_the_reference_has_its_sentence),
        TEST(the_reference_decodes_with_every_comment_sign_removed),
        TEST(keys_without_defaults_show_what_stands_for_them),
        TEST(a_reference_of_odd_keys_decodes),
        TEST(odd_keys_have_rows_and_a_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
