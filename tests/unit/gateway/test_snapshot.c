/* Snapshots: what loads, and for what does not, where the mistake is and what was meant. */
#include "base/buf.h"
#include "base/clock.h"
#include "gateway/snapshot.h"
#include "tests/support/snapshot_sample.h"
#include "tests/support/test.h"

#define EXPERTS "experts: {small: {url: 'http://127.0.0.1:9/v1'}}\n"
#define GENERAL "categories: {general: {experts: [{expert: small}]}}\n"

enum {
    TEXT_MAX = 1 << 20
};

/* Each message starts with the file's name; `message` is what must stand after one of them. */
static void check_message(const struct snapshot_sample *s, const char *message)
{
    char want[512];
    (void)snprintf(want, sizeof want, "%s:%s", s->path, message);
    if (strstr(s->messages, want) == NULL) {
        fail_msg("want \"%s\", got:\n%s", want, s->messages);
    }
}

struct mistake {
    const char *yaml;
    const char *message;
};

static void check_mistakes(const struct mistake *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct snapshot_sample s;
        assert_int_equal(snapshot_sample_load(&s, str_from(cases[i].yaml)), ST_INVALID);
        assert_null(s.snapshot);
        check_message(&s, cases[i].message);
        snapshot_sample_fini(&s);
    }
}

#define CHECK(cases) check_mistakes(cases, sizeof(cases) / sizeof(cases)[0])

static void mistakes_are_named_with_their_place(void **state)
{
    static const struct mistake cases[] = {
        {EXPERTS "sever: {}\n", "2:1: unknown key \"sever\" in configuration, did you mean "
                                "\"server\"?"},
        {EXPERTS "router: {treshold: 0.6}\n",
         "2:10: unknown key \"treshold\" in router, did you mean \"threshold\"?"},
        {EXPERTS "server: {limits: {idle_ms: soon}}\n", "2:28: "},
        {EXPERTS "server: {limits: {body_bytes: 12}}\n", "2:31: "},
        {EXPERTS "server: [1]\n", "2:9: "},
        {EXPERTS "categories: {general: {experts: [{expert: smal}]}}\n",
         "2:34: unknown expert \"smal\", did you mean \"small\"?"},
        {EXPERTS GENERAL "rules: [{when: {text: x}, category: law}]\n",
         "3:9: unknown category \"law\""},
        {"experts:\n  small: {url: 'http://h/v1'}\n  small: {url: 'http://h/v1'}\n",
         "3:3: duplicate key \"small\", first given at line 2, column 3"},
        {"experts: {a: {url: 'http://h/v1', url: 'http://h/v1'}}\n", "1:35: duplicate key \"url\""},
        {"experts: {a: {url: ftp://h}}\n", "1:11: expert \"a\" needs a url like https://"},
        {EXPERTS "guarantees: [{name: g, when: {tenant: x}, only: {experts: small}}]\n",
         "2:14: guarantee \"g\": unknown tenant \"x\""},
        {"{}\n", "1:1: configuration lacks the required key \"experts\""},
        {"", "1:1: configuration lacks the required key \"experts\""},
        {"- a\n", "1:1: "},
        {"experts: {\n", "2:1: "},
        {"experts: \x07\n", "1:10: "},
        {"a: &a [x,x]\nb: &b [*a,*a]\nexperts: [*b,*b]\n", "1:4: "},
        {"experts: !!python/object {}\n", "1:10: "},
        {"experts: {a: {url: '${EXPERTD_TEST_UNSET}'}}\n", "1:20: the environment variable "},
    };
    (void)state;
    CHECK(cases);
}

static void a_hundred_thousand_brackets_are_refused_at_once(void **state)
{
    struct snapshot_sample s;
    struct buf yaml;
    (void)state;
    buf_init(&yaml, TEXT_MAX);
    assert_int_equal(buf_append(&yaml, STR("experts: ")), ST_OK);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(buf_append_char(&yaml, '['), ST_OK);
    }
    int64_t before = clock_thread_cpu_us();

    assert_int_equal(snapshot_sample_load(&s, buf_str(&yaml)), ST_INVALID);

    assert_true(clock_thread_cpu_us() - before < 1000000);
    check_message(&s, "1:");
    snapshot_sample_fini(&s);
    buf_fini(&yaml);
}

static void a_file_that_is_not_there_is_said_so(void **state)
{
    struct snapshot *snapshot = NULL;
    char *text = NULL;
    size_t len = 0;
    (void)state;
    FILE *out = open_memstream(&text, &len);

    assert_int_equal(snapshot_load("/nonexistent/expertd.yaml", out, &snapshot), ST_IO);

    (void)fclose(out);
    assert_non_null(strstr(text, "/nonexistent/expertd.yaml"));
    assert_non_null(strstr(text, "cannot read the file"));
    free(text); /* allow free: open_memstream took it from the C library */
}

static void secrets_never_reach_a_message(void **state)
{
    static const char *const yamls[] = {
        "experts: {a: {url: 'http://h/v1', key: [hunter2]}}\n",
        "experts: {a: {url: 'http://h/v1', key: {x: hunter2}}}\n",
        "experts: {a: {url: 'http://h/v1', key: \"hunter2\\n\"}}\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof yamls / sizeof yamls[0]; i++) {
        struct snapshot_sample s;
        assert_int_equal(snapshot_sample_load(&s, str_from(yamls[i])), ST_INVALID);
        assert_true(s.messages[0] != '\0');
        assert_null(strstr(s.messages, "hunter2"));
        snapshot_sample_fini(&s);
    }
}

static void a_good_file_loads_without_a_word(void **state)
{
    struct snapshot_sample s;
    (void)state;

    assert_int_equal(snapshot_sample_load(&s, STR(EXPERTS GENERAL)), ST_OK);

    assert_string_equal(s.messages, "");
    assert_int_equal(s.snapshot->conf.routes.experts.count, 1);
    assert_non_null(s.snapshot->conf.routes.general);
    snapshot_sample_fini(&s);
}

static void generations_count_loads_that_succeed(void **state)
{
    struct snapshot_sample first;
    struct snapshot_sample bad;
    struct snapshot_sample second;
    (void)state;

    assert_int_equal(snapshot_sample_load(&first, STR(EXPERTS)), ST_OK);
    assert_int_equal(snapshot_sample_load(&bad, STR("x: 1\n")), ST_INVALID);
    assert_int_equal(snapshot_sample_load(&second, STR(EXPERTS)), ST_OK);

    assert_int_equal(second.snapshot->generation, first.snapshot->generation + 1);
    snapshot_sample_fini(&first);
    snapshot_sample_fini(&bad);
    snapshot_sample_fini(&second);
}

static void experts_of_every_load_have_serials_of_their_own(void **state)
{
    struct snapshot_sample first;
    struct snapshot_sample second;
    (void)state;
    assert_int_equal(snapshot_sample_load(&first, STR(EXPERTS)), ST_OK);
    assert_int_equal(snapshot_sample_load(&second, STR(EXPERTS)), ST_OK);

    const struct expert *a = first.snapshot->conf.routes.experts.items;
    const struct expert *b = second.snapshot->conf.routes.experts.items;

    assert_true(a->serial != b->serial);
    snapshot_sample_fini(&first);
    snapshot_sample_fini(&second);
}

static void references_keep_it_alive(void **state)
{
    struct snapshot_sample s;
    (void)state;
    assert_int_equal(snapshot_sample_load(&s, STR(EXPERTS)), ST_OK);

    struct snapshot *held = snapshot_ref(s.snapshot);
    snapshot_sample_fini(&s);

    assert_int_equal(held->conf.routes.experts.count, 1); /* freed memory, if refs were wrong */
    snapshot_unref(held);
    snapshot_unref(NULL);
}

static void names_get_slots_in_the_counters(void **state)
{
    struct snapshot_sample first;
    struct snapshot_sample second;
    struct metrics *m = metrics_create(1);
    (void)state;
    assert_int_equal(snapshot_sample_load(&first, STR(EXPERTS GENERAL)), ST_OK);
    assert_int_equal(snapshot_sample_load(&second, STR(EXPERTS GENERAL)), ST_OK);

    assert_int_equal(snapshot_count(first.snapshot, m), ST_OK);
    assert_int_equal(snapshot_count(second.snapshot, m), ST_OK);

    assert_true(first.snapshot->expert_slots[0] > METRICS_SLOT_OTHER);
    assert_int_equal(first.snapshot->expert_slots[0], second.snapshot->expert_slots[0]);
    assert_int_equal(first.snapshot->category_slots[0], second.snapshot->category_slots[0]);
    snapshot_sample_fini(&first);
    snapshot_sample_fini(&second);
    metrics_destroy(m);
}

#define LEAKY(general, medical, redact, more, when)                                                \
    "experts:\n"                                                                                   \
    "  near: {url: 'http://127.0.0.1:9/v1', locality: local}\n"                                    \
    "  cloud: {url: 'https://cloud.example/v1'}\n"                                                 \
    "categories:\n"                                                                                \
    "  general: {experts: [" general "]}\n"                                                        \
    "  medical: {experts: [" medical "]}\n"                                                        \
    "tenants: [{name: clinic, keys: ['sha256:" KEY_1 "']}, {name: lab, keys: ['sha256:" KEY_2      \
    "']}]\n"                                                                                       \
    "privacy: {redact: [" redact "]}\n" more "\n"                                                  \
    "guarantees: [{name: g, when: {" when "}, only: {locality: local}}]\n"
#define KEY_1      "d810d1fc478099218de71105d21fccea994cc6c75f40eb6955e5e1549e25af8b"
#define KEY_2      "569d6dc33e6cbcc878485382e7cff31db1f43601ac33da2b60aa3c2f48af7500"
#define NEAR       "{expert: near}"
#define BOTH       "{expert: near}, {expert: cloud}"
#define MEDICAL    "category: [medical], redacted: false"
#define OF_MEDICAL "{when: {category: [medical]}, kinds: [email]}"

static void guarantees_find_ways_on_which_private_data_stays_in(void **state)
{
    static const struct mistake cases[] = {
        {LEAKY(NEAR, BOTH, "", "", MEDICAL), "6:39: guarantee \"g\": category medical -> expert "
                                             "cloud (remote, private data stays in)"},
        {LEAKY(NEAR, BOTH, "{when: {category: [general]}, kinds: [email]}", "", MEDICAL),
         "6:39: guarantee \"g\": category medical"},
        {LEAKY(NEAR, BOTH, "{when: {locality: local}, kinds: [email]}", "", MEDICAL),
         "6:39: guarantee \"g\": category medical"},
        {LEAKY(NEAR, BOTH, "{when: {tenant: [lab]}, kinds: [email]}", "", MEDICAL),
         "6:39: guarantee \"g\": category medical"},
        {LEAKY(NEAR, BOTH, "{when: {tenant: [lab]}, kinds: [email]}", "",
               MEDICAL ", tenant: [clinic]"),
         "6:39: guarantee \"g\": category medical"},
        {LEAKY(BOTH, NEAR, OF_MEDICAL, "", MEDICAL),
         "5:39: guarantee \"g\": category medical, which nothing tells without router.model -> "
         "category general -> expert cloud"},
        {LEAKY(NEAR, BOTH, OF_MEDICAL, "", "category: [medical], redacted: true"),
         "6:39: guarantee \"g\": category medical -> expert cloud (remote)"},
        {LEAKY(NEAR, NEAR, "{when: {tenant: [lab]}, kinds: [email]}", "aliases: {fast: [cloud]}",
               MEDICAL),
         "9:11: guarantee \"g\": category medical -> alias \"fast\" -> expert cloud"},
        {LEAKY(NEAR, BOTH, OF_MEDICAL, "", "category: [medical], redacted: maybe"),
         "10:62: \"redacted\" must be true or false"},
    };

    (void)state;
    CHECK(cases);
}

static void guarantees_let_pass_what_is_redacted(void **state)
{
    static const char *const cases[] = {
        LEAKY(NEAR, BOTH, OF_MEDICAL, "", MEDICAL),
        LEAKY(NEAR, BOTH, "{when: {locality: remote}, kinds: [email]}", "", MEDICAL),
        LEAKY(BOTH, BOTH, "{kinds: [email]}", "aliases: {fast: [cloud]}", MEDICAL),
        LEAKY(NEAR, BOTH, "{when: {tenant: [lab]}, kinds: [email]}", "", MEDICAL ", tenant: [lab]"),
        LEAKY(NEAR, BOTH,
              "{when: {tenant: [lab]}, kinds: [email]}, {when: {tenant: [clinic]}, kinds: [card]}",
              "", MEDICAL),
        LEAKY(NEAR, BOTH, "", "", "category: [medical], redacted: true"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct snapshot_sample s;
        if (snapshot_sample_load(&s, str_from(cases[i])) != ST_OK) {
            fail_msg("case %zu: %s", i, s.messages);
        }
        snapshot_sample_fini(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guarantees_find_ways_on_which_private_data_stays_in),
        cmocka_unit_test(guarantees_let_pass_what_is_redacted),
        cmocka_unit_test(mistakes_are_named_with_their_place),
        cmocka_unit_test(a_hundred_thousand_brackets_are_refused_at_once),
        cmocka_unit_test(a_file_that_is_not_there_is_said_so),
        cmocka_unit_test(secrets_never_reach_a_message),
        cmocka_unit_test(a_good_file_loads_without_a_word),
        cmocka_unit_test(generations_count_loads_that_succeed),
        cmocka_unit_test(experts_of_every_load_have_serials_of_their_own),
        cmocka_unit_test(references_keep_it_alive),
        cmocka_unit_test(names_get_slots_in_the_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
