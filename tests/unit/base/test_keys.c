#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/keys.h"
#include "base/mem.h"
#include "tests/support/keys_sample.h"
#include "tests/support/test.h"

struct fixture {
    struct arena *arena;
    struct diags diags;
    struct key_reader reader;
    struct sample sample;
    enum status st;
};

static struct fixture fx;

static int set_up(void **state)
{
    (void)state;
    fx = (struct fixture){.arena = arena_create(4096, 16 << 20)};
    return fx.arena == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    arena_destroy(fx.arena);
    return 0;
}

static void decode(const char *text)
{
    arena_reset(fx.arena);
    diags_init(&fx.diags, fx.arena);
    fx.reader = (struct key_reader){.arena = fx.arena, .diags = &fx.diags, .root = STR("/etc/x")};
    struct yaml_node *root = NULL;
    fx.st = yaml_parse(str_from(text), STR("a.yaml"), fx.arena, &fx.diags, &root);
    if (fx.st == ST_OK) {
        fx.st = keys_decode(&sample_keys, &fx.reader, root, &fx.sample);
    }
}

static const struct sample_expert *expert_at(size_t i)
{
    assert_true(i < fx.sample.experts.count);
    return &((const struct sample_expert *)fx.sample.experts.items)[i];
}

/* "line:column: message" of a diagnostic. */
static struct str diag_at(size_t i)
{
    assert_true(i < fx.diags.count);
    const struct diag *d = &fx.diags.items[i];
    return arena_printf(fx.arena, "%d:%d: %.*s", d->pos.line, d->pos.column, STR_ARG(d->message));
}

static void values_of_every_type_reach_their_fields(void **state)
{
    (void)state;

    decode("router: {model: a.edm, threshold: 0.25}\n"
           "experts:\n"
           "  med/70b:\n"
           "    url: https://a\n"
           "    key: s3\n"
           "    dialect: ollama\n"
           "    price: 0.60\n"
           "    capabilities: [vision]\n"
           "    window: {ms: 5, bytes: 1MiB}\n"
           "  b: {url: b, capabilities: one}\n"
           "tenants: [{name: alice}, {name: bob, window: {ms: 7}}]\n"
           "workers: 8\nstrict: false\nrules: [1, 2, 3]\nstate: /var/a.db\nnote: yes\n");

    assert_int_equal(fx.st, ST_OK);
    test_assert_str(fx.sample.router.model, STR("/etc/x/a.edm"));
    assert_true(fx.sample.router.threshold > 0.2499 && fx.sample.router.threshold < 0.2501);
    assert_int_equal(fx.sample.experts.count, 2);
    test_assert_str(expert_at(0)->id.name, STR("med/70b"));
    assert_int_equal(expert_at(0)->id.pos.line, 3);
    test_assert_str(expert_at(0)->key, STR("s3"));
    assert_int_equal(expert_at(0)->dialect, 2);
    assert_int_equal(expert_at(0)->price_nano_usd, 600000000);
    test_assert_str(expert_at(0)->capabilities.items[0], STR("vision"));
    assert_int_equal(expert_at(0)->window.bytes, 1 << 20);
    assert_int_equal(expert_at(1)->capabilities.count, 1);
    const struct sample_tenant *tenants = fx.sample.tenants.items;
    test_assert_str(tenants[1].name, STR("bob"));
    assert_int_equal(tenants[1].window.ms, 7);
    assert_int_equal(tenants[1].id.pos.line, 11);
    assert_int_equal(fx.sample.workers, 8);
    assert_false(fx.sample.is_strict);
    assert_int_equal(fx.sample.rule_count, 3);
    test_assert_str(fx.sample.state, STR("/var/a.db"));
    test_assert_str(fx.sample.note, STR("yes"));
}

static void keys_that_are_not_given_get_their_defaults(void **state)
{
    (void)state;

    decode("experts: {a: {url: b, dialect: ~}}\nworkers:\n");

    assert_int_equal(fx.st, ST_OK);
    assert_true(fx.sample.router.threshold > 0.5499 && fx.sample.router.threshold < 0.5501);
    assert_int_equal(fx.sample.workers, 4);
    assert_true(fx.sample.is_strict);
    test_assert_str(fx.sample.state, STR("/etc/x/state/a.db"));
    test_assert_str(fx.sample.note, STR(""));
    assert_int_equal(fx.sample.tenants.count, 0);
    assert_int_equal(fx.sample.process.start.ms, 250);
    assert_int_equal(expert_at(0)->window.bytes, 65536);
    assert_int_equal(expert_at(0)->capabilities.count, 2);
    test_assert_str(expert_at(0)->capabilities.items[1], STR("tools"));
}

static void no_node_is_an_empty_block(void **state)
{
    (void)state;
    struct sample_router router;
    diags_init(&fx.diags, fx.arena);
    fx.reader = (struct key_reader){.arena = fx.arena, .diags = &fx.diags, .root = STR("")};

    fx.st = keys_decode(&sample_router_keys, &fx.reader, NULL, &router);

    assert_int_equal(fx.st, ST_OK);
    assert_true(router.threshold > 0.5499);
    assert_int_equal(router.model.len, 0);
}

struct mistake {
    const char *text; /* after "experts: {a: {url: b}}\n" */
    const char *diag; /* whole */
};

static const struct mistake mistakes[] = {
    {"router: {treshold: 1}\n", "2:10: unknown key \"treshold\" in router, did you mean "
                                "\"threshold\"?"},
    {"router: {zzz: 1}\n", "2:10: unknown key \"zzz\" in router"},
    {"worker: 1\n", "2:1: unknown key \"worker\" in configuration, did you mean \"workers\"?"},
    {"router: {threshold: high}\n",
     "2:21: \"threshold\" in router must be a number from 0 to 1, not \"high\""},
    {"router: {threshold: '0.5'}\n", "2:21: \"threshold\" in router must be a number from 0 to 1, "
                                     "not the text \"0.5\" (remove the quotes)"},
    {"router: {threshold: 1.01}\n",
     "2:21: \"threshold\" in router must be a number from 0 to 1, not \"1.01\""},
    {"router: {threshold: .inf}\n",
     "2:21: \"threshold\" in router must be a number from 0 to 1, not \".inf\""},
    {"router: high\n", "2:9: router must be a mapping of keys, not \"high\""},
    {"router: [1]\n", "2:9: router must be a mapping of keys, not a list"},
    {"workers: 0\n",
     "2:10: \"workers\" in configuration must be a whole number from 1 to 64, not \"0\""},
    {"workers: 010\n", "2:10: \"workers\" in configuration must be a whole number from 1 to 64, "
                       "not \"010\" (remove the leading zero)"},
    {"workers: 1.0\n",
     "2:10: \"workers\" in configuration must be a whole number from 1 to 64, not \"1.0\""},
    {"workers: [1]\n",
     "2:10: \"workers\" in configuration must be a whole number from 1 to 64, not a list"},
    {"offset: -6\n",
     "2:9: \"offset\" in configuration must be a whole number from -5 up, not \"-6\""},
    {"strict: yes\n",
     "2:9: \"strict\" in configuration must be true or false, not \"yes\" (write true)"},
    {"strict: Off\n",
     "2:9: \"strict\" in configuration must be true or false, not \"Off\" (write false)"},
    {"strict: \"true\"\n", "2:9: \"strict\" in configuration must be true or false, not the text "
                           "\"true\" (remove the quotes)"},
    {"strict: True\n", "2:9: \"strict\" in configuration must be true or false, not \"True\""},
    {"rules: 1\n", "2:8: rules must be a list"},
    {"tenants: {name: a}\n",
     "2:10: \"tenants\" in configuration must be a list of mappings (tenant), not a mapping"},
    {"tenants: [{name: a}, {}]\n", "2:22: tenant 2 lacks the required key \"name\""},
    {"tenants: [a]\n", "2:11: tenant 1 must be a mapping of keys, not \"a\""},
    {"tenants: [{name: a, window: {ms: 60001}}]\n",
     "2:34: \"ms\" in window of tenant 1 must be a whole number from 0 to 60000 ms, not \"60001\""},
    {"tenants: [{name: a, window: {bytes: 5}}]\n",
     "2:37: \"bytes\" in window of tenant 1 must be a size such as 4096, 512KiB or 8MB, from 1KiB "
     "to 8MiB, not \"5\""},
    {"tenants: [{name: a, window: {bytes: 5kiB}}]\n",
     "2:37: \"bytes\" in window of tenant 1 must be a size such as 4096, 512KiB or 8MB, from 1KiB "
     "to 8MiB, not \"5kiB\" (the units are B, kB, MB, GB and KiB, MiB, GiB)"},
    {"process: {start: {ms: 1}}\n", "2:10: process lacks the required key \"argv\""},
    {"process: {argv: {a: b}}\n",
     "2:17: \"argv\" in process must be a list of texts, not a mapping"},
    {"process: {argv: [a, [b]]}\n", "2:21: item 2 of \"argv\" in process must be text, not a list"},
    {"process: {argv: [a, ~]}\n", "2:21: item 2 of \"argv\" in process must be text, not nothing"},
};

static void mistakes_say_what_where_and_what_was_meant(void **state)
{
    (void)state;

    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        char text[256];
        (void)snprintf(text, sizeof text, "experts: {a: {url: b}}\n%s", mistakes[i].text);
        decode(text);
        test_assert_str(diag_at(0), str_from(mistakes[i].diag));
        assert_int_equal(fx.st, ST_INVALID);
        assert_int_equal(fx.diags.errors, 1);
    }
}

static const struct mistake expert_mistakes[] = {
    {"{med: {}}", "1:11: expert \"med\" lacks the required key \"url\""},
    {"{med: }", "1:11: expert \"med\" lacks the required key \"url\""},
    {"{med: 5}", "1:16: expert \"med\" must be a mapping of keys, not \"5\""},
    {"{\"a b\": {url: c}}",
     "1:11: the name \"a b\" of this expert must be 1 to 128 letters, digits "
     "or . _ - /"},
    {"{\"\": {url: c}}",
     "1:11: the name \"\" of this expert must be 1 to 128 letters, digits or . _ - /"},
    {"[a]", "1:10: \"experts\" in configuration must be a mapping of names, each to a mapping of "
            "keys (expert), not a list"},
    {"{a: {url: c, dialect: openia}}",
     "1:32: \"dialect\" in expert \"a\" must be one of openai, anthropic or ollama, not \"openia\", "
     "did you mean \"openai\"?"},
    {"{a: {url: [c]}}", "1:20: \"url\" in expert \"a\" must be text, not a list"},
    {"{a: {url: c, window: {ms: -1}}}", "1:36: \"ms\" in window of expert \"a\" must be a whole "
                                        "number from 0 to 60000 ms, not \"-1\""},
};

static void mistakes_in_elements_name_the_element(void **state)
{
    (void)state;

    for (size_t i = 0; i < sizeof expert_mistakes / sizeof expert_mistakes[0]; i++) {
        char text[256];
        (void)snprintf(text, sizeof text, "experts: %s\n", expert_mistakes[i].text);
        decode(text);
        test_assert_str(diag_at(0), str_from(expert_mistakes[i].diag));
        assert_int_equal(fx.st, ST_INVALID);
        assert_int_equal(fx.diags.errors, 1);
    }
}

static void a_root_that_is_no_mapping_is_refused(void **state)
{
    (void)state;

    decode("- 1\n");

    assert_int_equal(fx.diags.errors, 1);
    test_assert_str(diag_at(0), STR("1:1: configuration must be a mapping of keys, not a list"));
}

static void all_mistakes_are_reported_in_the_order_of_the_file(void **state)
{
    (void)state;

    decode("workers: x\nexperts:\n  a: {}\n  b: {urk: 1}\nstrict: 1\nrooter: {}\n");

    assert_int_equal(fx.st, ST_INVALID);
    assert_int_equal(fx.diags.errors, 6);
    for (size_t i = 1; i < fx.diags.count; i++) {
        assert_true(fx.diags.items[i - 1].pos.line <= fx.diags.items[i].pos.line);
    }
    test_assert_str(diag_at(5),
                    STR("6:1: unknown key \"rooter\" in configuration, did you mean \"router\"?"));
}

static void mistakes_beyond_the_ceiling_are_counted(void **state)
{
    (void)state;
    char text[4096] = "experts: {a: {url: b}}\n";
    size_t len = strlen(text);
    for (int i = 0; i < DIAG_MAX + 7; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "unknown%d: 1\n", i);
    }

    decode(text);

    assert_int_equal(fx.diags.count, DIAG_MAX);
    assert_int_equal(fx.diags.errors, DIAG_MAX + 7);
}

/* ---- the environment and secrets ---- */

static void values_from_the_environment_have_the_type_of_their_key(void **state)
{
    (void)state;
    assert_int_equal(setenv("EXPERTD_TEST_A", "12", 1), 0);

    decode("experts: {a: {url: \"${EXPERTD_TEST_A}\", window: {ms: \"${EXPERTD_TEST_A}\"}}}\n"
           "workers: ${EXPERTD_TEST_A}\n");

    assert_int_equal(fx.st, ST_OK);
    assert_int_equal(fx.sample.workers, 12);
    assert_int_equal(expert_at(0)->window.ms, 12);
    test_assert_str(expert_at(0)->url, STR("12"));
}

static void messages_never_show_secrets_or_the_environment(void **state)
{
    (void)state;
    assert_int_equal(setenv("EXPERTD_TEST_A", "geheim", 1), 0);

    decode("experts:\n"
           "  a: {url: b, key: [geheim], dialect: \"${EXPERTD_TEST_A}\"}\n"
           "  b: {url: b, key: {geheim: 1}, price: \"x${EXPERTD_TEST_A}\"}\n"
           "  c: \"${EXPERTD_TEST_A}\"\n"
           "workers: ${EXPERTD_TEST_A}\n"
           "strict: ${EXPERTD_TEST_A}\n"
           "router: ${EXPERTD_TEST_A}\n"
           "tenants: ${EXPERTD_TEST_A}\n");

    assert_int_equal(fx.diags.errors, 9);
    for (size_t i = 0; i < fx.diags.count; i++) {
        struct str message = fx.diags.items[i].message;
        assert_int_equal(str_find(message, STR("geheim")), message.len);
    }
}

/* ---- exact numbers ---- */

struct number_case {
    const char *text;
    int64_t want; /* -1: refused */
};

static void prices_are_exact(void **state)
{
    (void)state;
    static const struct number_case cases[] = {
        {"0", 0},
        {"0.60", 600000000},
        {"2.40", 2400000000},
        {"0.000000001", 1},
        {"0.1", 100000000},
        {"123456.789", 123456789000000},
        {"1000000", 1000000000000000},
        {"1000000.0", 1000000000000000},
        {"1000000.01", -1},
        {"9999999", -1},
        {"0.0000000001", -1},
        {"-1", -1},
        {"-0", -1},
        {"1e3", -1},
        {"1.", -1},
        {".5", -1},
        {"01", -1},
        {"+1", -1},
        {"1 USD", -1},
        {"$1", -1},
        {"'1'", -1},
        {"NaN", -1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "experts: {a: {url: b, price: %s}}\n", cases[i].text);
        decode(text);
        assert_int_equal(fx.st, cases[i].want < 0 ? ST_INVALID : ST_OK);
        if (fx.st == ST_OK) {
            assert_int_equal(expert_at(0)->price_nano_usd, cases[i].want);
        }
    }
}

static const char *const colours[] = {"red", NULL};

struct numbers {
    int64_t bytes;
    int64_t whole;
    double real;
    int colour;
    int64_t price_nano_usd;
};

static const struct key number_rows[] = {
    {.name = "bytes", .type = KEY_BYTES, .offset = offsetof(struct numbers, bytes)},
    {.name = "whole", .type = KEY_INT, .offset = offsetof(struct numbers, whole)},
    {.name = "real", .type = KEY_REAL, .offset = offsetof(struct numbers, real)},
    {.name = "colour",
     .type = KEY_CHOICE,
     .offset = offsetof(struct numbers, colour),
     .choices = colours},
    {.name = "price",
     .type = KEY_PRICE,
     .offset = offsetof(struct numbers, price_nano_usd),
     .min = 0.5,
     .max = 2},
};

static const struct keys number_keys = {"numbers", sizeof(struct numbers), number_rows, 5, NULL};

static enum status decode_number(const char *key, const char *text, struct numbers *ret)
{
    char line[128];
    (void)snprintf(line, sizeof line, "%s: %s\n", key, text);
    arena_reset(fx.arena);
    diags_init(&fx.diags, fx.arena);
    fx.reader = (struct key_reader){.arena = fx.arena, .diags = &fx.diags, .root = STR("")};
    struct yaml_node *root = NULL;
    enum status st = yaml_parse(str_from(line), STR("a.yaml"), fx.arena, &fx.diags, &root);
    assert_int_equal(st, ST_OK);
    return keys_decode(&number_keys, &fx.reader, root, ret);
}

static void sizes_have_decimal_and_binary_units(void **state)
{
    (void)state;
    static const struct number_case cases[] = {
        {"0", 0},
        {"4194304", 4194304},
        {"7B", 7},
        {"512KiB", 524288},
        {"512 KiB", 524288},
        {"\"6GiB\"", 6442450944},
        {"8MB", 8000000},
        {"8kB", 8000},
        {"8KB", 8000},
        {"2GB", 2000000000},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775808", -1},
        {"9223372036854775807B", INT64_MAX},
        {"8589934592GiB", -1},
        {"1.5GiB", -1},
        {"-1", -1},
        {"08", -1},
        {"8  MB", -1},
        {"8mb", -1},
        {"MB", -1},
        {"\"8\"", -1},
        {"0x10", -1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct numbers numbers;
        enum status st = decode_number("bytes", cases[i].text, &numbers);
        assert_int_equal(st, cases[i].want < 0 ? ST_INVALID : ST_OK);
        assert_int_equal(numbers.bytes, cases[i].want < 0 ? 0 : cases[i].want);
    }
}

static void whole_numbers_are_decimal(void **state)
{
    (void)state;
    static const char *const refused[] = {"0x1F", "0o17", "017", "1_000",  "1e3",
                                          "+1",   "1.0",  "one", "190:20", "9223372036854775808"};
    struct numbers numbers;

    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(decode_number("whole", refused[i], &numbers), ST_INVALID);
    }

    assert_int_equal(decode_number("whole", "-9223372036854775808", &numbers), ST_OK);
    assert_true(numbers.whole == INT64_MIN);
}

static void numbers_are_finite_and_decimal(void **state)
{
    (void)state;
    static const char *const refused[] = {".inf", "nan",  "1e999",   "0x1p3",
                                          "1,5",  "01.5", "infinity"};
    struct numbers numbers;

    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(decode_number("real", refused[i], &numbers), ST_INVALID);
    }

    assert_int_equal(decode_number("real", "-2.5e-1", &numbers), ST_OK);
    assert_true(numbers.real < -0.2499 && numbers.real > -0.2501);
}

static void a_price_keeps_to_its_range_in_usd(void **state)
{
    (void)state;
    struct numbers numbers;

    assert_int_equal(decode_number("price", "2", &numbers), ST_OK);
    assert_int_equal(decode_number("price", "2.000000001", &numbers), ST_INVALID);
    assert_int_equal(decode_number("price", "0.499999999", &numbers), ST_INVALID);
}

/* ---- memory ---- */

static const char full_text[] = "router: {model: a.edm}\n"
                                "experts:\n"
                                "  a: {url: https://a, capabilities: [x, y], price: 0.5}\n"
                                "  b: {url: \"$$b\", window: {bytes: 1MiB}}\n"
                                "  c: {url: c}\n"
                                "tenants: [{name: a}, {name: b}, {name: c}]\n"
                                "rules: [{a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9,\n"
                                "  j: 1, k: 2, l: 3, m: 4, n: 5, o: 6, p: 7, q: 8}]\n";

static enum status parse_and_decode(struct arena *arena)
{
    struct diags diags;
    diags_init(&diags, arena);
    struct key_reader reader = {.arena = arena, .diags = &diags, .root = STR("/r")};
    struct yaml_node *root = NULL;
    struct sample sample;
    enum status st = yaml_parse(str_from(full_text), STR("a.yaml"), arena, &diags, &root);
    return st == ST_OK ? keys_decode(&sample_keys, &reader, root, &sample) : st;
}

/* Small blocks, so that nearly every object of the arena is an allocation that can fail. */
static void every_failing_allocation_gives_no_memory(void **state)
{
    (void)state;
    uint64_t n = 1;

    for (; n < 10000; n++) {
        struct arena *arena = arena_create(1, 1 << 20);
        assert_non_null(arena);
        mem_fail_at(n, 0);
        enum status st = parse_and_decode(arena);
        mem_fail_at(0, 0);
        arena_destroy(arena);
        if (st == ST_OK) {
            break;
        }
        assert_int_equal(st, ST_NO_MEMORY);
    }

    assert_true(n > 20 && n < 10000);
}

static void a_full_arena_gives_no_memory(void **state)
{
    (void)state;
    bool is_done = false;

    for (size_t max = 256; max < 1 << 20 && !is_done; max += 64) {
        struct arena *arena = arena_create(256, max);
        assert_non_null(arena);
        enum status st = parse_and_decode(arena);
        arena_destroy(arena);
        is_done = st == ST_OK;
        assert_true(is_done || st == ST_NO_MEMORY);
    }

    assert_true(is_done);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_of_every_type_reach_their_fields),
        TEST(keys_that_are_not_given_get_their_defaults),
        TEST(no_node_is_an_empty_block),
        TEST(mistakes_say_what_where_and_what_was_meant),
        TEST(mistakes_in_elements_name_the_element),
        TEST(a_root_that_is_no_mapping_is_refused),
        TEST(all_mistakes_are_reported_in_the_order_of_the_file),
        TEST(mistakes_beyond_the_ceiling_are_counted),
        TEST(values_from_the_environment_have_the_type_of_their_key),
        TEST(messages_never_show_secrets_or_the_environment),
        TEST(prices_are_exact),
        TEST(sizes_have_decimal_and_binary_units),
        TEST(whole_numbers_are_decimal),
        TEST(numbers_are_finite_and_decimal),
        TEST(a_price_keeps_to_its_range_in_usd),
        TEST(every_failing_allocation_gives_no_memory),
        TEST(a_full_arena_gives_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
