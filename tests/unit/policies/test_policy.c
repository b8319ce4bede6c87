/* Policies: who is dropped and why, and the order of who stays. */
#include <stdio.h>
#include <string.h>

#include "policies/policy.h"
#include "tests/support/test.h"

enum {
    ALL = POLICY_TOOLS | POLICY_JSON | POLICY_VISION | POLICY_AUDIO,
    MAX = 8,
};

/* Names in the order after policy_apply_all, the number that is in behind a colon: "a b c:2". */
static void check_order(const struct policy_request *request,
                        const struct policy_candidate *candidates, size_t count, const char *want)
{
    struct policy_candidate list[MAX];
    char got[64];
    size_t len = 0;
    memcpy(list, candidates, count * sizeof list[0]);
    size_t in = policy_apply_all(request, list, count);
    for (size_t i = 0; i < count; i++) {
        len += (size_t)snprintf(got + len, sizeof got - len, "%s%.*s", i == 0 ? "" : " ",
                                STR_ARG(list[i].name));
    }
    (void)snprintf(got + len, sizeof got - len, ":%zu", in);
    assert_string_equal(got, want);
}

static struct policy_candidate candidate(const char *name, double score)
{
    return (struct policy_candidate){.name = str_from(name), .score = score, .capabilities = ALL};
}

static void the_best_score_comes_first(void **state)
{
    const struct policy_request request = {0};
    const struct policy_candidate list[] = {candidate("a", 0.2), candidate("b", 0.9),
                                            candidate("c", 0.5)};
    (void)state;
    check_order(&request, list, 3, "b c a:3");
}

static void equal_ranks_keep_their_order(void **state)
{
    const struct policy_request request = {0};
    const struct policy_candidate list[] = {candidate("a", 0.5), candidate("b", 0.7),
                                            candidate("c", 0.5), candidate("d", 0.7),
                                            candidate("e", 0.5)};
    (void)state;
    check_order(&request, list, 5, "b d a c e:5");
}

static void dropped_ones_come_last_by_rank(void **state)
{
    const struct policy_request request = {.needs = POLICY_TOOLS};
    struct policy_candidate list[] = {candidate("a", 0.9), candidate("b", 0.1), candidate("c", 1.0),
                                      candidate("d", 0.5)};
    (void)state;
    list[0].capabilities = 0;
    list[2].capabilities = POLICY_JSON;
    check_order(&request, list, 4, "d b c a:2");
}

static void no_candidates_are_no_mistake(void **state)
{
    const struct policy_request request = {0};
    struct policy_candidate none;
    (void)state;
    assert_int_equal(policy_apply_all(&request, &none, 0), 0);
}

static void each_missing_capability_is_named(void **state)
{
    static const struct {
        unsigned needs;
        unsigned has;
        const char *reason; /* NULL: it stays */
    } cases[] = {
        {0, 0, NULL},
        {ALL, ALL, NULL},
        {POLICY_JSON, POLICY_JSON | POLICY_TOOLS, NULL},
        {POLICY_TOOLS, 0, "the prompt needs tools, which the expert does not have"},
        {POLICY_JSON, POLICY_TOOLS, "the prompt needs json, which the expert does not have"},
        {POLICY_VISION, ~(unsigned)POLICY_VISION,
         "the prompt needs vision, which the expert does not have"},
        {POLICY_AUDIO, 0, "the prompt needs audio, which the expert does not have"},
        {ALL, POLICY_TOOLS, "the prompt needs json, which the expert does not have"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct policy_request request = {.needs = cases[i].needs};
        struct policy_candidate c = candidate("a", 1);
        c.capabilities = cases[i].has;
        assert_int_equal(policy_apply_all(&request, &c, 1), cases[i].reason == NULL);
        assert_string_equal(c.reason, cases[i].reason == NULL ? "" : cases[i].reason);
        assert_true(c.dropped_by == (cases[i].reason == NULL ? NULL : policy_capability.name));
    }
}

static void a_short_context_drops_unless_it_is_not_known(void **state)
{
    static const struct {
        int64_t prompt_tokens;
        int64_t completion_tokens;
        int64_t context;
        const char *reason;
    } cases[] = {
        {600, 400, 1000, ""},
        {601, 400, 1000, "needs about 1001 tokens of context, the expert has 1000"},
        {0, 1001, 1000, "needs about 1001 tokens of context, the expert has 1000"},
        {1000000, 1000000, 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct policy_request request = {.prompt_tokens = cases[i].prompt_tokens,
                                               .completion_tokens = cases[i].completion_tokens};
        struct policy_candidate c = candidate("a", 1);
        c.context_tokens = cases[i].context;
        assert_int_equal(policy_apply_all(&request, &c, 1), cases[i].reason[0] == '\0');
        assert_string_equal(c.reason, cases[i].reason);
        assert_true((c.dropped_by == policy_context.name) == (cases[i].reason[0] != '\0'));
    }
}

static void the_first_policy_that_drops_gives_the_reason(void **state)
{
    const struct policy_request request = {.needs = POLICY_TOOLS, .prompt_tokens = 9999};
    struct policy_candidate c = candidate("a", 1);
    (void)state;
    c.capabilities = 0;
    c.context_tokens = 10;

    assert_int_equal(policy_apply_all(&request, &c, 1), 0);

    assert_string_equal(c.dropped_by, "capability");
}

static void a_weight_trades_quality_for_cost(void **state)
{
    static const struct {
        double weight;
        const char *order;
    } cases[] = {{0, "dear cheap:2"}, {0.019, "dear cheap:2"}, {0.021, "cheap dear:2"}};
    struct policy_candidate list[] = {candidate("cheap", 0.7), candidate("dear", 0.9)};
    (void)state;
    list[1].cost_nano_usd = 100000000; /* ten cents */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct policy_request request = {.cost_weight = cases[i].weight};
        check_order(&request, list, 2, cases[i].order);
    }
}

static void rank_is_score_minus_weighted_cents(void **state)
{
    const struct policy_request request = {.cost_weight = 0.5};
    struct policy_candidate c = candidate("a", 0.75);
    (void)state;
    c.cost_nano_usd = 5000000; /* half a cent */

    assert_int_equal(policy_apply_all(&request, &c, 1), 1);

    assert_true(c.rank > 0.4999999 && c.rank < 0.5000001);
}

static void verdicts_of_an_earlier_run_are_forgotten(void **state)
{
    const struct policy_request picky = {.needs = POLICY_TOOLS};
    const struct policy_request easy = {0};
    struct policy_candidate c = candidate("a", 0.5);
    (void)state;
    c.capabilities = 0;

    assert_int_equal(policy_apply_all(&picky, &c, 1), 0);
    assert_int_equal(policy_apply_all(&easy, &c, 1), 1);

    assert_null(c.dropped_by);
    assert_string_equal(c.reason, "");
}

static void long_reasons_are_cut(void **state)
{
    struct policy_candidate c = candidate("a", 0.5);
    (void)state;

    policy_drop(&c, &policy_context, "%0300d", 7);
    policy_drop(&c, &policy_capability, "later");

    assert_int_equal(strlen(c.reason), POLICY_REASON_BYTES - 1);
    assert_string_equal(c.dropped_by, "context");
}

static void a_known_expert_stays_within_the_switch_cost(void **state)
{
    static const struct {
        double known;
        double switch_cost;
        bool is_tool_open;
        const char *want;
    } cases[] = {
        {0.75, 0.1, false, "b a:2"}, {0.65, 0.1, false, "a b:2"}, {0.75, 0.0, false, "a b:2"},
        {0.1, 0.1, true, "b a:2"},   {0.1, 0.0, true, "b a:2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct policy_request request = {.switch_cost = cases[i].switch_cost,
                                               .is_tool_open = cases[i].is_tool_open};
        struct policy_candidate list[] = {candidate("a", 0.8), candidate("b", cases[i].known)};
        list[1].is_known = true;
        check_order(&request, list, 2, cases[i].want);
    }
}

static void a_known_expert_that_lacks_something_is_dropped(void **state)
{
    const struct policy_request request = {
        .needs = POLICY_TOOLS, .switch_cost = 1.0, .is_tool_open = true};
    struct policy_candidate list[] = {candidate("a", 0.1), candidate("b", 0.9)};
    (void)state;
    list[1].is_known = true;
    list[1].capabilities = 0;
    check_order(&request, list, 2, "a b:1");
}

static void every_policy_has_a_name_and_a_sentence(void **state)
{
    size_t count = 0;
    (void)state;
    for (; policy_table[count] != NULL; count++) {
        assert_true(policy_table[count]->name[0] != '\0');
        assert_true(policy_table[count]->sentence[0] != '\0');
        assert_non_null(policy_table[count]->apply);
    }
    assert_true(count > 0);
}

static void other_languages_are_dropped(void **state)
{
    static const struct str english[] = {STR_INIT("en")};
    static const struct str both[] = {STR_INIT("de"), STR_INIT("en")};
    struct policy_candidate list[] = {candidate("a", 0.9), candidate("b", 0.5),
                                      candidate("c", 0.1)};
    const struct policy_request german = {.language = STR("de")};
    const struct policy_request unknown = {.language = STR("")};
    (void)state;
    list[0].languages = english;
    list[0].language_count = 1;
    list[1].languages = both;
    list[1].language_count = 2;

    check_order(&german, list, 3, "b c a:2");
    check_order(&unknown, list, 3, "a b c:3");
}

static void banned_experts_are_dropped(void **state)
{
    static const struct str bans[] = {STR_INIT("b"), STR_INIT("z")};

    const struct policy_request request = {.bans = bans, .ban_count = 2};
    const struct policy_candidate list[] = {candidate("a", 0.2), candidate("b", 0.9)};
    (void)state;
    check_order(&request, list, 2, "a b:1");
}

static void experts_over_the_highest_price_are_dropped(void **state)
{
    const struct policy_request request = {.has_max_price = true, .max_price_nano_usd = 100};
    struct policy_candidate list[] = {candidate("dear", 0.9), candidate("fits", 0.5),
                                      candidate("unknown", 0.7), candidate("free", 0.3)};
    (void)state;
    list[0].cost_nano_usd = 101;
    list[0].has_price = true;
    list[1].cost_nano_usd = 100;
    list[1].has_price = true;
    list[3].has_price = true;
    check_order(&request, list, 4, "fits free dear unknown:2");
}

static void what_is_forbidden_has_no_expert(void **state)
{
    const struct policy_request request = {.is_forbidden = true, .led_to = STR("category/medical")};
    struct policy_candidate list[] = {candidate("a", 0.2), candidate("b", 0.9)};
    (void)state;

    assert_int_equal(policy_apply_all(&request, list, 2), 0);

    assert_string_equal(list[0].dropped_by, "allow");
    assert_string_equal(list[0].reason, "the key may not use category/medical");
}

static void any_number_of_candidates_is_ordered_and_equal_ones_stay(void **state)
{
    static const size_t counts[] = {1, 2, 50, 64, 65, 90};
    static struct policy_candidate list[90];
    struct policy_request request = {.prompt_tokens = 1};
    (void)state;
    for (size_t n = 0; n < sizeof counts / sizeof counts[0]; n++) {
        for (size_t i = 0; i < counts[n]; i++) {
            list[i] = (struct policy_candidate){
                .name = STR("x"), .expert = i, .score = (double)(i * 37 % 8) / 8.0};
        }

        assert_int_equal(policy_apply_all(&request, list, counts[n]), counts[n]);

        for (size_t i = 1; i < counts[n]; i++) {
            assert_true(list[i - 1].rank >= list[i].rank);
            assert_true(list[i - 1].rank > list[i].rank || list[i - 1].expert < list[i].expert);
        }
    }
}

static void experts_that_are_shut_are_dropped(void **state)
{
    const struct policy_request request = {0};
    struct policy_candidate list[] = {candidate("a", 0.9), candidate("b", 0.5),
                                      candidate("c", 0.7)};
    (void)state;
    list[0].health = (struct policy_health){"its breaker is open", 1500, 0};
    list[2].health = (struct policy_health){"it fails its health checks", -1, 0};
    check_order(&request, list, 3, "b a c:1");
    assert_int_equal(policy_apply_all(&request, list, 3), 1);
    assert_string_equal(list[1].dropped_by, "health");
    assert_string_equal(list[1].reason, "its breaker is open, for another 1.5 s");
    assert_string_equal(list[2].reason, "it fails its health checks");
}

static void when_all_are_shut_the_first_to_open_may_stay(void **state)
{
    const struct policy_request request = {.tries_shut = true};
    struct policy_candidate list[] = {candidate("a", 0.9), candidate("b", 0.5),
                                      candidate("c", 0.7)};
    (void)state;
    list[0].health = (struct policy_health){"it fails its health checks", -1, 0};
    list[1].health = (struct policy_health){"its breaker is open", 100, 0};
    list[2].health = (struct policy_health){"its breaker is open", 200, 0};
    check_order(&request, list, 3, "b a c:1");
    list[2].health.why = NULL; /* there is one that is well */
    check_order(&request, list, 3, "c a b:1");
}

static void a_weight_trades_quality_for_time(void **state)
{
    const struct policy_request request = {.latency_weight = 0.1};
    struct policy_candidate list[] = {candidate("slow", 0.9), candidate("quick", 0.7)};
    (void)state;
    list[0].health.wait_us = 1900000;
    check_order(&request, list, 2, "slow quick:2");
    list[0].health.wait_us = 2100000;
    check_order(&request, list, 2, "quick slow:2");
    assert_int_equal(policy_apply_all(&request, list, 2), 2);
    assert_string_equal(list[0].reason, "");
    assert_string_equal(list[1].reason, "about 2.10 s to its first token");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_candidates_is_ordered_and_equal_ones_stay),
        cmocka_unit_test(the_best_score_comes_first),
        cmocka_unit_test(other_languages_are_dropped),
        cmocka_unit_test(equal_ranks_keep_their_order),
        cmocka_unit_test(banned_experts_are_dropped),
        cmocka_unit_test(experts_over_the_highest_price_are_dropped),
        cmocka_unit_test(what_is_forbidden_has_no_expert),
        cmocka_unit_test(dropped_ones_come_last_by_rank),
        cmocka_unit_test(no_candidates_are_no_mistake),
        cmocka_unit_test(each_missing_capability_is_named),
        cmocka_unit_test(a_short_context_drops_unless_it_is_not_known),
        cmocka_unit_test(the_first_policy_that_drops_gives_the_reason),
        cmocka_unit_test(a_weight_trades_quality_for_cost),
        cmocka_unit_test(rank_is_score_minus_weighted_cents),
        cmocka_unit_test(verdicts_of_an_earlier_run_are_forgotten),
        cmocka_unit_test(long_reasons_are_cut),
        cmocka_unit_test(a_known_expert_stays_within_the_switch_cost),
        cmocka_unit_test(a_known_expert_that_lacks_something_is_dropped),
        cmocka_unit_test(experts_that_are_shut_are_dropped),
        cmocka_unit_test(when_all_are_shut_the_first_to_open_may_stay),
        cmocka_unit_test(a_weight_trades_quality_for_time),
        cmocka_unit_test(every_policy_has_a_name_and_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
