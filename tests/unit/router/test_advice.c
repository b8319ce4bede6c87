/* What is said without effect, and nothing about what has one. */
#include "router/advice.h"
#include "tests/support/routes_sample.h"
#include "tests/support/test.h"

#define A       "experts:\n  a: {url: 'http://127.0.0.1:9/v1'}\n"
#define B       "  b: {url: 'http://127.0.0.1:9/v1'}\n"
#define TWIN    "  twin: {url: 'http://127.0.0.1:9/v1', model: a}\n"
#define MODEL   "router: {model: conf/models/domains.edm}\n"
#define GENERAL "categories:\n  general: {experts: [{expert: a}]}\n"

struct saying {
    const char *yaml;
    const char *message; /* all that is said, behind "c.yaml:" */
};

static void check(const struct saying *cases, size_t count, enum status want)
{
    for (size_t i = 0; i < count; i++) {
        struct routes_sample s;
        char message[512];
        (void)snprintf(message, sizeof message, "c.yaml:%s\n", cases[i].message);
        enum status st = routes_sample_load(&s, cases[i].yaml);
        if (st != want || strcmp(s.messages, message) != 0) {
            fail_msg("want %s, \"%s\", got %s, \"%s\"", status_text(want), message, status_text(st),
                     s.messages);
        }
        routes_sample_fini(&s);
    }
}

#define CHECK(cases, status) check(cases, sizeof(cases) / sizeof(cases)[0], status)

static void rules_that_never_fire_are_mistakes(void **state)
{
    static const struct saying cases[] = {
        {A GENERAL "rules:\n"
                   "  - {when: {text: x}, expert: a}\n"
                   "  - {when: {text: x}, category: general}\n",
         "7:5: this rule never fires: the one at line 6 fires first whenever it would"},
        {A GENERAL "rules:\n"
                   "  - {when: {header: {x-a: '1'}}, expert: a}\n"
                   "  - {when: {header: {x-b: '1', X-A: '1'}, text: y}, expert: a}\n",
         "7:5: this rule never fires: the one at line 6 fires first whenever it would"},
        {A GENERAL "rules:\n"
                   "  - {when: {model: gpt-4o}, expert: a}\n"
                   "  - {when: {text: x}, expert: a}\n"
                   "  - {when: {model: gpt-4o, text: x}, expert: a}\n",
         "8:5: this rule never fires: the one at line 6 fires first whenever it would"},
    };
    (void)state;
    CHECK(cases, ST_INVALID);
}

/* Rules that ask for nothing but one head; the tables hold nothing else. */
static void check_heads(const struct rule_head *heads, size_t count, const char *message)
{
    struct rule rules[2] = {0};
    struct routes_sample s = {.arena = arena_create(4096, 65536)};
    struct key_reader reader = {.arena = s.arena, .diags = &s.diags, .root = STR(".")};
    diags_init(&s.diags, s.arena);
    for (size_t i = 0; i < count; i++) {
        rules[i].id.pos.line = (int)i + 1;
        rules[i].when.heads = (struct key_array){(void *)(uintptr_t)&heads[i], 1};
    }
    s.routes.rules = (struct key_array){rules, count};

    advise(&s.routes, &reader, STR("c.yaml"));

    assert_int_equal(s.diags.count, message[0] == '\0' ? 0 : 1);
    if (s.diags.count == 1) {
        test_assert_str(s.diags.items[0].message, str_from(message));
    }
    arena_destroy(s.arena);
}

static void heads_may_keep_rules_from_firing(void **state)
{
    static const struct key_id id = {{"difficulty", 10}, {1, 1}};
    const struct rule_head narrower[] = {{id, 0.5, 1, 0}, {id, 0.7, 1, 0}};
    const struct rule_head wider[] = {{id, 0.5, 1, 0}, {id, 0.3, 1, 0}};
    const struct rule_head empty[] = {{id, 0.7, 0.5, 0}};
    (void)state;
    check_heads(narrower, 2,
                "this rule never fires: the one at line 1 fires first whenever it would");
    check_heads(wider, 2, "");
    check_heads(empty, 1,
                "this rule never fires: head \"difficulty\" must be at least 0.7 and at most 0.5");
}

static void what_has_no_effect_is_said(void **state)
{
    static const struct saying cases[] = {
        {A B GENERAL "aliases: {x: [a, b, a]}\n",
         "6:11: warning: alias \"x\" lists expert \"a\" twice: nobody is asked twice"},
        {A TWIN GENERAL "aliases: {x: [a, twin]}\n",
         "6:11: warning: alias \"x\" falls back from expert \"a\" to \"twin\", which is the same "
         "model \"a\" at http://127.0.0.1:9/v1"},
        {A TWIN "categories: {general: {experts: [{expert: a}, {expert: twin}]}}\n",
         "4:47: warning: category \"general\" falls back from expert \"a\" to \"twin\", which is "
         "the same model \"a\" at http://127.0.0.1:9/v1"},
        {A "categories: {general: {experts: [{expert: a}, {expert: a}]}}\n",
         "3:47: warning: category \"general\" lists expert \"a\" twice: nobody is asked twice"},
        {A B GENERAL, "3:3: warning: expert \"b\" is in no category, alias or rule: only clients "
                      "that name it get there"},
        {A GENERAL "  own: {experts: [{expert: a}]}\n",
         "5:3: warning: nothing leads to category \"own\": there is no router.model, and no rule "
         "names it; only clients that ask for category/own get there"},
        {A B "policies: {min_score: 0.6}\n"
             "categories: {general: {experts: [{expert: a, score: 0.6}, {expert: b}]}}\n",
         "5:59: warning: expert \"b\" never answers in category \"general\": its score 0.5 is below "
         "policies.min_score 0.6"},
        {A "policies: {min_score: 0.6}\n" GENERAL,
         "5:23: warning: expert \"a\" never answers in category \"general\": its score 0.5 is below "
         "policies.min_score 0.6\n"
         "c.yaml:5:3: warning: prompts of category \"general\" are refused: nobody may answer there"},
        {A GENERAL "policies: {cost_weight: 1}\n",
         "2:3: warning: policies.cost_weight has no effect: no expert has a price above 0"},
    };
    (void)state;
    CHECK(cases, ST_OK);
}

static void thresholds_without_effect_are_said(void **state)
{
    static const struct saying cases[] = {
        {A "router: {model: conf/models/domains.edm, threshold: 1}\n" GENERAL,
         "5:3: warning: router.threshold is out of reach: the classifier is never that sure, and "
         "every prompt that no rule takes goes to category \"general\""},
        {A MODEL GENERAL "  law: {experts: [{expert: a}], threshold: 1}\n",
         "6:3: warning: the threshold of category \"law\" is out of reach: the classifier is never "
         "that sure, and its prompts go elsewhere"},
        {A MODEL "categories: {general: {experts: [{expert: a}], threshold: 0.7}}\n",
         "4:14: warning: the threshold of category \"general\" has no effect: prompts that do not "
         "reach it go there, too"},
        {A "categories: {general: {experts: [{expert: a}], threshold: 0.7}}\n",
         "3:14: warning: the threshold of category \"general\" has no effect without router.model"},
        {A "router: {model: conf/models/domains.edm, uncertainty: {method: conformal}}\n" GENERAL
           "  law: {experts: [{expert: a}], threshold: 0.7}\n",
         "6:3: warning: the threshold of category \"law\" has no effect: router.uncertainty "
         "conformal goes by sets"},
        {A "router: {model: conf/models/domains.edm, code: general}\n" GENERAL,
         "5:3: warning: router.code has no effect: \"general\" is the general category"},
        {A "router: {code: general}\n" GENERAL,
         "5:3: warning: router.code has no effect without router.model"},
    };
    (void)state;
    CHECK(cases, ST_OK);
}

static void nothing_is_said_of_what_has_an_effect(void **state)
{
    static const char *const files[] = {
        A B, /* experts alone: named by clients */
        A "  e: {url: 'http://127.0.0.1:9/v1', capabilities: [embed]}\n" GENERAL,
        A B GENERAL "aliases: {x: [b, a], y: [a, b]}\n",
        A B GENERAL "rules:\n"
                    "  - {when: {header: {x-a: '1', x-b: '1'}}, expert: b}\n"
                    "  - {when: {header: {x-a: '1'}}, expert: a}\n"
                    "  - {when: {header: {x-a: '2'}}, expert: a}\n"
                    "  - {when: {text: x}, expert: a}\n"
                    "  - {when: {text: X}, expert: a}\n"
                    "  - {when: {model: gpt-4o, text: x}, expert: a}\n",
        A MODEL GENERAL "  law: {experts: [{expert: a}], threshold: 0.9}\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct routes_sample s;
        assert_int_equal(routes_sample_load(&s, files[i]), ST_OK);
        assert_string_equal(s.messages, "");
        routes_sample_fini(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_that_never_fire_are_mistakes),
        cmocka_unit_test(heads_may_keep_rules_from_firing),
        cmocka_unit_test(what_has_no_effect_is_said),
        cmocka_unit_test(thresholds_without_effect_are_said),
        cmocka_unit_test(nothing_is_said_of_what_has_an_effect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
