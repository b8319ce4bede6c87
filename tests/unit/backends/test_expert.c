/* Experts: what their block of the configuration becomes, and what is refused. */
#include <stdio.h>
#include <string.h>

#include "backends/expert.h"
#include "base/yaml.h"
#include "tests/support/test.h"

struct fixture {
    struct arena *arena;
    struct diags diags;
    struct expert expert;
};

/* Decodes and builds the expert "e" from a flow mapping's inside. */
static enum status load(struct fixture *f, const char *members)
{
    struct yaml_node *root = NULL;
    f->arena = arena_create(4096, 1 << 20);
    assert_non_null(f->arena);
    diags_init(&f->diags, f->arena);
    memset(&f->expert, 0, sizeof f->expert);
    struct key_reader reader = {.arena = f->arena, .diags = &f->diags, .root = STR(".")};
    struct str text = arena_printf(f->arena, "{%s}", members);
    enum status st = yaml_parse(text, STR("c.yaml"), f->arena, &f->diags, &root);
    if (st == ST_OK) {
        st = keys_decode(&expert_keys, &reader, root, &f->expert);
    }
    f->expert.id = (struct key_id){STR("e"), {3, 5}};
    return st == ST_OK ? expert_build(&f->expert, 4, &reader, STR("c.yaml")) : st;
}

static void stop(struct fixture *f)
{
    expert_fini(&f->expert);
    arena_destroy(f->arena);
}

static struct expert *load_ok(struct fixture *f, const char *members)
{
    enum status st = load(f, members);
    if (st != ST_OK) {
        fail_msg("{%s}: %s, %.*s", members, status_text(st),
                 STR_ARG(f->diags.count > 0 ? f->diags.items[0].message : STR("")));
    }
    return &f->expert;
}

static void check_refused(const char *members, const char *message)
{
    struct fixture f;
    enum status st = load(&f, members);
    struct str got = f.diags.count > 0 ? f.diags.items[0].message : STR("");
    if (st != ST_INVALID || str_find(got, str_from(message)) == got.len) {
        fail_msg("{%s}: %s, \"%.*s\"", members, status_text(st), STR_ARG(got));
    }
    stop(&f);
}

static void an_expert_with_a_url_has_sane_defaults(void **state)
{
    struct fixture f;
    (void)state;

    const struct expert *e = load_ok(&f, "url: 'https://med.example/v1'");

    test_assert_str(e->model, STR("e"));
    assert_int_equal(e->index, 4);
    assert_false(expert_is_local(e));
    assert_false(e->price.is_set);
    assert_int_equal(e->capabilities, EXPERT_TOOLS | EXPERT_JSON | EXPERT_VISION | EXPERT_AUDIO);
    assert_int_equal(e->deadlines.connect_ms, 1000);
    assert_int_equal(e->reply_bytes, 8 << 20);
    assert_null(e->kernel);
    stop(&f);
}

static void urls_must_be_whole_and_plain(void **state)
{
    static const char *const bad[] = {
        "",
        "med.example",
        "ftp://med.example/v1",
        "http://",
        "https:///v1",
        "http://:8080/v1",
        "http://[]/v1",
        "http://[::1/v1",
        "http://[::1]8080/v1",
        "http://med.example:/v1",
        "http://med.example:0/v1",
        "http://med.example:65536/v1",
        "http://med.example:80x/v1",
        "http://user@med.example/v1",
        "http://med.example/v1?x=1",
        "http://med.example/v1#x",
        "http://med example/v1",
        "http://med.example\\v1",
        "http://m\xc3\xa9t.example/v1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char members[128];
        (void)snprintf(members, sizeof members, "url: '%s'", bad[i]);
        check_refused(members, bad[i][0] == '\0'
                                   ? "expert \"e\" needs a url, a kernel or a process with argv"
                                   : "expert \"e\" needs a url like https://");
    }
}

static void slashes_at_the_end_of_a_url_go(void **state)
{
    static const char *const good[][2] = {
        {"http://127.0.0.1:8000/v1//", "http://127.0.0.1:8000/v1"},
        {"http://[::1]:1/", "http://[::1]:1"},
        {"https://med.example", "https://med.example"},
        {"https://med.example:65535/a/b", "https://med.example:65535/a/b"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct fixture f;
        char members[128];
        (void)snprintf(members, sizeof members, "url: '%s'", good[i][0]);
        test_assert_str(load_ok(&f, members)->url, str_from(good[i][1]));
        stop(&f);
    }
}

static void an_expert_has_a_url_or_a_kernel(void **state)
{
    (void)state;
    check_refused("", "expert \"e\" needs a url, a kernel or a process with argv");
    check_refused("url: 'http://h/v1', kernel: echo",
                  "expert \"e\" has more than one of url, kernel and process");
    check_refused("url: 'http://h/v1', process: {argv: [serve, '${PORT}']}",
                  "expert \"e\" has more than one of url, kernel and process");
    check_refused("process: {argv: []}", "expert \"e\" has a process with an empty argv");
    check_refused("kernel: nothing", "\"kernel\" must be one of ");
    check_refused("kernel: {echo: {}, calc: {}}", "\"kernel\" must be one of ");
    check_refused("kernel: [echo]", "\"kernel\" must be one of ");
}

static void a_process_block_without_argv_is_not_ignored(void **state)
{
    (void)state;
    check_refused("url: 'http://h/v1', process: {memory: 1GiB}",
                  "process lacks the required key \"argv\"");
    check_refused("process: {ttl_s: 600}", "process lacks the required key \"argv\"");
    check_refused("url: 'http://h/v1', process: {argv: []}",
                  "expert \"e\" has more than one of url, kernel and process");
}

static void kernels_are_local_and_urls_remote_unless_told(void **state)
{
    static const struct {
        const char *members;
        bool is_local;
    } cases[] = {
        {"kernel: echo", true},
        {"kernel: {echo: null}", true},
        {"url: 'http://127.0.0.1:9/v1'", false},
        {"url: 'http://127.0.0.1:9/v1', locality: local", true},
        {"kernel: echo, locality: remote", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        assert_int_equal(expert_is_local(load_ok(&f, cases[i].members)), cases[i].is_local);
        stop(&f);
    }
}

static void near_experts_are_numeric_and_without_tls(void **state)
{
    static const struct {
        const char *url;
        bool is_near;
    } cases[] = {
        {"http://127.0.0.1:8000/v1", true},     {"http://localhost/v1", true},
        {"http://[::1]:8000/v1", true},         {"http://10.1.2.3", true},
        {"https://127.0.0.1/v1", false},        {"http://med.example/v1", false},
        {"http://127.0.0.1.example/v1", false}, {"http://127.1/v1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        char members[128];
        (void)snprintf(members, sizeof members, "url: '%s'", cases[i].url);
        if (load_ok(&f, members)->is_near != cases[i].is_near) {
            fail_msg("%s", cases[i].url);
        }
        stop(&f);
    }
}

static void capabilities_are_all_unless_declared(void **state)
{
    static const struct {
        const char *members;
        unsigned capabilities;
        bool is_declared;
    } cases[] = {
        {"kernel: echo", 15, false},
        {"kernel: echo, capabilities: null", 15, false},
        {"kernel: echo, capabilities: []", 0, true},
        {"kernel: echo, capabilities: vision", EXPERT_VISION, true},
        {"kernel: echo, capabilities: [tools, json, tools]", EXPERT_TOOLS | EXPERT_JSON, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        const struct expert *e = load_ok(&f, cases[i].members);
        if (e->capabilities != cases[i].capabilities ||
            e->declares_capabilities != cases[i].is_declared) {
            fail_msg("{%s}: %x", cases[i].members, e->capabilities);
        }
        stop(&f);
    }
    check_refused("kernel: echo, capabilities: [tols]", "the unknown capability \"tols\"");
}

static void keys_go_into_a_header_and_must_fit_there(void **state)
{
    struct fixture f;
    (void)state;
    test_assert_str(load_ok(&f, "url: 'http://h/v1', key: 'sk-1 2~'")->key, STR("sk-1 2~"));
    stop(&f);
    check_refused("url: 'http://h/v1', key: \"a\\r\\nX: y\"", "has a key with control characters");
    check_refused("url: 'http://h/v1', key: \"a\\x7f\"", "has a key with control characters");
}

static void probes_need_a_url_and_a_path(void **state)
{
    static const char *const wrong[] = {
        "health", "//a b", "/a b", "/a#b", "http://other/health", "/\\x7f", "//other/health"};
    struct fixture f;
    (void)state;
    test_assert_str(
        load_ok(&f, "url: 'http://h/v1', health: {path: '/health?a=b'}")->limits.probe.path,
        STR("/health?a=b"));
    stop(&f);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char members[128];
        (void)snprintf(members, sizeof members, "url: 'http://h/v1', health: {path: \"%s\"}",
                       wrong[i]);
        check_refused(members, "needs a health.path like /health");
    }
    check_refused("kernel: {echo: {}}, health: {path: /health}", "is for experts with a url");
}

static void cached_tokens_cost_as_fresh_ones_unless_told(void **state)
{
    static const struct {
        const char *price;
        int64_t cached_input; /* nano-USD per million */
    } cases[] = {
        {"{input: 0.6, output: 2.4}", 600000000},
        {"{input: 0.6, output: 2.4, cached_input: null}", 600000000},
        {"{input: 0.6, cached_input: 0.06}", 60000000},
        {"{input: 0.6, cached_input: 0}", 0},
        {"{output: 1}", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        char members[128];
        (void)snprintf(members, sizeof members, "kernel: echo, price: %s", cases[i].price);
        const struct expert *e = load_ok(&f, members);
        assert_true(e->price.is_set);
        if (e->price.cached_input != cases[i].cached_input) {
            fail_msg("%s: %lld", cases[i].price, (long long)e->price.cached_input);
        }
        stop(&f);
    }
}

static void reasoning_costs_as_output_unless_told(void **state)
{
    static const struct {
        const char *price;
        int64_t reasoning; /* nano-USD per million */
    } cases[] = {
        {"{input: 0.6, output: 2.4}", 2400000000},
        {"{output: 2.4, reasoning: null}", 2400000000},
        {"{output: 2.4, reasoning: 1.2}", 1200000000},
        {"{output: 2.4, reasoning: 0}", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        char members[128];
        (void)snprintf(members, sizeof members, "url: 'http://h/v1', price: %s", cases[i].price);
        const struct expert *e = load_ok(&f, members);
        if (e->price.reasoning != cases[i].reasoning) {
            fail_msg("%s: %lld", cases[i].price, (long long)e->price.reasoning);
        }
        stop(&f);
    }
}

static void costs_are_exact_and_rounded_up(void **state)
{
    static const struct expert_price usual = {600000000, 2400000000, 60000000, 2400000000, true};
    static const struct expert_price tiny = {1, 1, 1, 1, true};

    const struct {
        struct expert_price price; /* nano-USD per million */
        struct expert_tokens tokens;
        int64_t nano_usd;
    } cases[] = {
        {usual, {0, 0, 0, 0}, 0},
        {usual, {1000, 0, 100, 0}, 600000 + 240000},
        {usual, {1000, 400, 100, 0}, 360000 + 24000 + 240000},
        {usual, {1000, 0, 100, 60}, 600000 + 240000},
        {usual, {10, 40, 0, 0}, 600}, /* no more can be cached than there is */
        {{0, 2400000000, 0, 1200000000, true}, {1000, 0, 100, 60}, 96000 + 72000},
        {{0, 2400000000, 0, 0, true}, {0, 0, 100, 160}, 0},
        {{1, 0, 0, 0, true}, {1, 0, 0, 0}, 1}, /* a millionth of a nano-USD */
        {tiny, {500000, 0, 500000, 0}, 1},     /* exactly one */
        {tiny, {500000, 0, 500001, 0}, 2},
        {{INT64_MAX, INT64_MAX, 0, 0, true}, {INT64_MAX, 0, INT64_MAX, 0}, INT64_MAX},
        {{0, 0, 0, 0, true}, {1000, 0, 1000, 0}, 0},
        {{0, 0, 0, 0, false}, {1000, 0, 1000, 0}, EXPERT_COST_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct expert e = {.price = cases[i].price};
        int64_t got = expert_cost_nano_usd(&e, &cases[i].tokens);
        if (got != cases[i].nano_usd) {
            fail_msg("case %zu: %lld", i, (long long)got);
        }
    }
}

static void an_empty_price_is_not_zero(void **state)
{
    static const char *const cases[] = {"{}", "{cached_input: 1}", "{input: null}"};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char members[128];
        (void)snprintf(members, sizeof members, "url: 'http://h/v1', price: %s", cases[i]);
        check_refused(members, "this price has neither \"input\" nor \"output\"");
    }
}

static void the_most_that_tokens_cost_is_at_the_dearer_prices(void **state)
{
    static const struct {
        struct expert_price price;
        int64_t nano_usd;
    } cases[] = {
        {{1000000, 2000000, 1000000, 2000000, true}, 10 + 40},
        {{1000000, 2000000, 500000, 1000000, true}, 10 + 40},
        {{1000000, 2000000, 3000000, 2000000, true}, 30 + 40},
        {{1000000, 2000000, 1000000, 9000000, true}, 10 + 180},
        {{0, 0, 0, 0, false}, EXPERT_COST_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct expert e = {.price = cases[i].price};
        assert_int_equal(expert_cost_at_most(&e, 10, 20), cases[i].nano_usd);
    }
}

static void only_kernels_are_free_without_a_price(void **state)
{
    struct fixture f;
    (void)state;
    assert_true(load_ok(&f, "kernel: echo")->price.is_set);
    stop(&f);
    assert_false(load_ok(&f, "url: 'http://h/v1'")->price.is_set);
    stop(&f);
    assert_true(load_ok(&f, "url: 'http://h/v1', price: {input: 0, output: 0}")->price.is_set);
    stop(&f);
}

static void serials_are_never_reused(void **state)
{
    struct fixture a;
    struct fixture b;
    (void)state;

    uint64_t first = load_ok(&a, "kernel: echo")->serial;
    stop(&a);
    uint64_t second = load_ok(&b, "kernel: echo")->serial;
    stop(&b);

    assert_true(second > first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_expert_with_a_url_has_sane_defaults),
        cmocka_unit_test(urls_must_be_whole_and_plain),
        cmocka_unit_test(slashes_at_the_end_of_a_url_go),
        cmocka_unit_test(an_expert_has_a_url_or_a_kernel),
        cmocka_unit_test(a_process_block_without_argv_is_not_ignored),
        cmocka_unit_test(kernels_are_local_and_urls_remote_unless_told),
        cmocka_unit_test(near_experts_are_numeric_and_without_tls),
        cmocka_unit_test(capabilities_are_all_unless_declared),
        cmocka_unit_test(keys_go_into_a_header_and_must_fit_there),
        cmocka_unit_test(probes_need_a_url_and_a_path),
        cmocka_unit_test(cached_tokens_cost_as_fresh_ones_unless_told),
        cmocka_unit_test(reasoning_costs_as_output_unless_told),
        cmocka_unit_test(costs_are_exact_and_rounded_up),
        cmocka_unit_test(an_empty_price_is_not_zero),
        cmocka_unit_test(the_most_that_tokens_cost_is_at_the_dearer_prices),
        cmocka_unit_test(only_kernels_are_free_without_a_price),
        cmocka_unit_test(serials_are_never_reused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
