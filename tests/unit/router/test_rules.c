/* Rules: when they fire, and what patterns may cost. */
#include "base/clock.h"
#include "base/mem.h"
#include "router/rules.h"
#include "tests/support/routes_sample.h"
#include "tests/support/test.h"

#define EXPERTS "experts: {e: {url: 'http://127.0.0.1:9/v1'}}\n"

/* The one rule of a configuration, and a request to hold against it. */
struct fixture {
    struct routes_sample sample;
    struct rules_scratch *scratch;
    const struct rule *rule;
};

static void start(struct fixture *f, const char *when)
{
    char yaml[1024];
    (void)snprintf(yaml, sizeof yaml, EXPERTS "rules: [{when: {%s}, expert: e}]\n", when);
    if (routes_sample_load(&f->sample, yaml) != ST_OK) {
        fail_msg("%s", f->sample.messages);
    }
    f->rule = f->sample.routes.rules.items;
    f->scratch = rules_scratch_create();
    assert_non_null(f->scratch);
}

static void stop(struct fixture *f)
{
    rules_scratch_destroy(f->scratch);
    routes_sample_fini(&f->sample);
}

/* A request with the headers x-department: radiology and x-empty. */
static struct str find_header(void *ctx, struct str name)
{
    (void)ctx;
    return str_eq_nocase(name, STR("x-department")) ? STR("radiology") : STR("");
}

static bool fires(const struct fixture *f, struct str model, struct str text)
{
    struct prompt prompt;
    struct rule_facts facts = {.prompt = &prompt, .header = find_header};
    prompt_from_text(&prompt, model, text);
    return rule_matches(f->rule, f->scratch, &facts);
}

struct rule_case {
    const char *when;
    const char *model;
    const char *text;
    bool fires;
};

static void check(const struct rule_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct fixture f;
        start(&f, cases[i].when);
        if (fires(&f, str_from(cases[i].model), str_from(cases[i].text)) != cases[i].fires) {
            fail_msg("{%s} on \"%s\" for %s", cases[i].when, cases[i].text, cases[i].model);
        }
        stop(&f);
    }
}

#define CHECK(cases) check(cases, sizeof(cases) / sizeof(cases)[0])

static void patterns_look_anywhere_in_the_text(void **state)
{
    static const struct rule_case cases[] = {
        {"text: 'CVE-\\d{4}-\\d+'", "auto", "what is CVE-2024-3094?", true},
        {"text: 'CVE-\\d{4}-\\d+'", "auto", "what is cve-2024-3094?", false},
        {"text: '(?i)cve-\\d'", "auto", "what is cVe-2?", true},
        {"text: '^abc$'", "auto", "abc", true},
        {"text: '^abc$'", "auto", "xabc", false},
        {"text: 'a.c'", "auto",
         "a\xc3\xa9"
         "c",
         true}, /* a dot is a character, not a byte */
        {"text: '\xc3\xa9'", "auto", "caf\xc3\xa9", true},
        {"text: 'x'", "auto", "", false},
    };
    (void)state;
    CHECK(cases);
}

static void without_a_model_only_requests_for_auto_count(void **state)
{
    static const struct rule_case cases[] = {
        {"text: hi", "auto", "hi", true},        {"text: hi", "e", "hi", false},
        {"text: hi", "category/x", "hi", false}, {"model: gpt-4o", "gpt-4o", "hi", true},
        {"model: gpt-4o", "gpt-4", "hi", false}, {"model: gpt-4o", "auto", "hi", false},
    };
    (void)state;
    CHECK(cases);
}

static void headers_must_have_exactly_these_values(void **state)
{
    static const struct rule_case cases[] = {
        {"header: {x-department: radiology}", "auto", "hi", true},
        {"header: {X-Department: radiology}", "auto", "hi", true},
        {"header: {x-department: radio}", "auto", "hi", false},
        {"header: {x-other: radiology}", "auto", "hi", false},
        {"header: {x-department: radiology, x-other: a}", "auto", "hi", false},
    };
    (void)state;
    CHECK(cases);
}

static void all_conditions_must_hold(void **state)
{
    static const struct rule_case cases[] = {
        {"header: {x-department: radiology}, text: hi, model: m", "m", "hi", true},
        {"header: {x-department: radiology}, text: hi, model: m", "m", "ho", false},
        {"header: {x-department: radiology}, text: hi, model: m", "auto", "hi", false},
        {"header: {x-department: other}, text: hi, model: m", "m", "hi", false},
    };
    (void)state;
    CHECK(cases);
}

static void without_headers_no_header_rule_fires(void **state)
{
    struct fixture f;
    struct prompt prompt;
    struct rule_facts facts = {.prompt = &prompt};
    (void)state;
    start(&f, "header: {x-department: radiology}");
    prompt_from_text(&prompt, STR("auto"), STR("hi"));

    assert_false(rule_matches(f.rule, f.scratch, &facts));

    stop(&f);
}

static void a_catastrophic_pattern_gives_up_quickly(void **state)
{
    static const char *const patterns[] = {"text: '^(a+)+$'", "text: '(?:a|aa)+\\1?(a*)*b'",
                                           "text: '^(([a-z])+.)+[A-Z]([a-z])+$'",
                                           "text: '(x+x+)+y'"};
    char text[4096];
    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct fixture f;
        memset(text, i == 3 ? 'x' : 'a', sizeof text);
        text[sizeof text - 1] = '!';
        start(&f, patterns[i]);
        int64_t before = clock_thread_cpu_us();
        assert_false(fires(&f, STR("auto"), (struct str){text, sizeof text}));
        assert_true(clock_thread_cpu_us() - before < 1000000);
        stop(&f);
    }
}

static void invalid_utf_8_is_no_match_and_no_error(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, "text: 'b'");

    assert_true(fires(&f, STR("auto"), STR("\xff\xfe b")));
    assert_false(fires(&f, STR("auto"), STR("\xff\xc3")));
    assert_true(fires(&f, STR("auto"), STR("a\0b")));

    stop(&f);
}

static void patterns_see_the_first_64_kilobytes(void **state)
{
    enum {
        SEEN_BYTES = 65536
    };
    struct fixture f;
    (void)state;
    char *text = mem_alloc(SEEN_BYTES + 2);
    memset(text, '.', SEEN_BYTES + 2);
    start(&f, "text: needle");

    memcpy(text + SEEN_BYTES - 6, "needle", 6);
    assert_true(fires(&f, STR("auto"), (struct str){text, SEEN_BYTES + 2}));
    memcpy(text + SEEN_BYTES - 6, ".needle", 7);
    assert_false(fires(&f, STR("auto"), (struct str){text, SEEN_BYTES + 2}));

    stop(&f);
    mem_free(text);
}

static void patterns_that_are_too_long_are_refused(void **state)
{
    struct routes_sample s;
    char yaml[5000] = EXPERTS "rules: [{expert: e, when: {text: '";
    size_t len = strlen(yaml);
    (void)state;
    memset(yaml + len, 'x', 4097);
    (void)snprintf(yaml + len + 4097, sizeof yaml - len - 4097, "'}}]\n");

    assert_int_equal(routes_sample_load(&s, yaml), ST_INVALID);

    assert_non_null(strstr(s.messages, "2:9: the pattern of this rule is longer than 4096 bytes"));
    routes_sample_fini(&s);
}

static void heads_must_lie_where_the_rule_wants_them(void **state)
{
    static const struct {
        struct rule_head heads[2];
        size_t count;
        bool holds; /* of the values .25 and .75 */
    } cases[] = {
        {{{.min = 0.0, .max = 0.0}}, 0, true},
        {{{.index = 1, .min = 0.7, .max = 1.0}}, 1, true},
        {{{.index = 1, .min = 0.75, .max = 0.75}}, 1, true},
        {{{.index = 1, .min = 0.8, .max = 1.0}}, 1, false},
        {{{.index = 0, .min = -1.0, .max = 0.2}}, 1, false},
        {{{.index = 0, .min = 0.2, .max = 0.3}, {.index = 1, .min = 0.7, .max = 0.8}}, 2, true},
        {{{.index = 0, .min = 0.2, .max = 0.3}, {.index = 1, .min = 0.1, .max = 0.2}}, 2, false},
    };

    static const float values[] = {0.25F, 0.75F};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rule_head heads[2] = {cases[i].heads[0], cases[i].heads[1]};
        struct rule rule = {.when = {.heads = {heads, cases[i].count}}};
        if (rule_heads_hold(&rule, values) != cases[i].holds) {
            fail_msg("case %zu", i);
        }
        assert_int_equal(rule_heads_hold(&rule, NULL), cases[i].count == 0);
    }
}

static void heads_that_the_weights_do_not_have_are_an_error(void **state)
{
    static const char *const confs[] = {
        EXPERTS "rules: [{when: {heads: {nosuch: {min: 0.5}}}, expert: e}]\n",
        EXPERTS "categories: {general: {experts: [{expert: e, score: 1}]}}\n"
                "router: {model: conf/models/domains.edm}\n"
                "rules: [{when: {heads: {nosuch: {min: 0.5}}}, expert: e}]\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof confs / sizeof confs[0]; i++) {
        struct routes_sample sample;
        assert_int_equal(routes_sample_load(&sample, confs[i]), ST_INVALID);
        if (strstr(sample.messages, "have no head \"nosuch\"") == NULL) {
            fail_msg("%s", sample.messages);
        }
        routes_sample_fini(&sample);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_look_anywhere_in_the_text),
        cmocka_unit_test(without_a_model_only_requests_for_auto_count),
        cmocka_unit_test(headers_must_have_exactly_these_values),
        cmocka_unit_test(all_conditions_must_hold),
        cmocka_unit_test(without_headers_no_header_rule_fires),
        cmocka_unit_test(a_catastrophic_pattern_gives_up_quickly),
        cmocka_unit_test(invalid_utf_8_is_no_match_and_no_error),
        cmocka_unit_test(patterns_see_the_first_64_kilobytes),
        cmocka_unit_test(patterns_that_are_too_long_are_refused),
        cmocka_unit_test(heads_must_lie_where_the_rule_wants_them),
        cmocka_unit_test(heads_that_the_weights_do_not_have_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
