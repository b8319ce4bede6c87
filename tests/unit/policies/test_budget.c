#include <stdio.h>

#include "policies/budget.h"
#include "policies/policy.h"
#include "tests/support/test.h"

static void windows_are_those_of_the_calendar(void **state)
{
    static const struct {
        enum budget_per per;
        int64_t now_s;
        int64_t start_s; /* date -u -d ... +%s */
        int64_t end_s;
    } cases[] = {
        {BUDGET_HOUR, 0, 0, 3600},
        {BUDGET_HOUR, 3599, 0, 3600},
        {BUDGET_HOUR, 1795334400, 1795334400, 1795338000},
        {BUDGET_DAY, 1795334399, 1795305600, 1795392000},
        {BUDGET_MONTH, 0, 0, 2678400},
        {BUDGET_MONTH, 1795334400, 1793491200, 1796083200}, /* November 2026 */
        {BUDGET_MONTH, 1796083199, 1793491200, 1796083200},
        {BUDGET_MONTH, 1796083200, 1796083200, 1798761600}, /* December */
        {BUDGET_MONTH, 1709164800, 1706745600, 1709251200}, /* a leap February */
        {BUDGET_TOTAL, 1795334400, 0, INT64_MAX},
        {BUDGET_REQUEST, 1795334400, 0, INT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct budget_window w = budget_window(cases[i].per, cases[i].now_s);
        if (w.start_s != cases[i].start_s || w.end_s != cases[i].end_s) {
            fail_msg("case %zu: %lld to %lld", i, (long long)w.start_s, (long long)w.end_s);
        }
    }
}

/* Each window begins where the one before ended, and is as long as a month can be: 400 years. */
static void months_follow_each_other_without_gaps(void **state)
{
    int64_t at = 0;
    (void)state;
    for (int i = 0; i < 12 * 400; i++) {
        struct budget_window w = budget_window(BUDGET_MONTH, at);
        struct budget_window last = budget_window(BUDGET_MONTH, w.end_s - 1);
        int64_t days = (w.end_s - w.start_s) / 86400;
        if (w.start_s != at || last.start_s != at || days < 28 || days > 31) {
            fail_msg("month %d begins at %lld, has %lld days", i, (long long)w.start_s,
                     (long long)days);
        }
        at = w.end_s;
    }
    assert_int_equal(at, 146097LL * 86400);
}

static void limits_hold_to_the_last_nano_usd(void **state)
{
    static const struct {
        struct budget_limit limit;
        int64_t used;
        int64_t want;
        enum budget_verdict verdict;
        int64_t left;
    } cases[] = {
        {{100, 1.0}, 0, 100, BUDGET_FITS, 100},
        {{100, 1.0}, 0, 101, BUDGET_EXCEEDED, 100},
        {{100, 1.0}, 100, 0, BUDGET_FITS, 0},
        {{100, 1.0}, 100, 1, BUDGET_EXCEEDED, 0},
        {{100, 1.0}, 150, 0, BUDGET_FITS, 0},
        {{100, 1.0}, 150, 1, BUDGET_EXCEEDED, 0},
        {{100, 0.8}, 79, 0, BUDGET_FITS, 21},
        {{100, 0.8}, 79, 1, BUDGET_WARNS, 21},
        {{100, 0.8}, 80, 0, BUDGET_WARNS, 20},
        {{0, 1.0}, 0, 0, BUDGET_FITS, 0},
        {{0, 1.0}, 0, 1, BUDGET_EXCEEDED, 0},
        {{100, 0.0}, 0, 0, BUDGET_WARNS, 100},
        {{100, 1.0}, 5, INT64_MAX, BUDGET_EXCEEDED, 95},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum budget_verdict got = budget_judge(&cases[i].limit, cases[i].used, cases[i].want);
        int64_t left = budget_left(&cases[i].limit, cases[i].used);
        if (got != cases[i].verdict || left != cases[i].left) {
            fail_msg("case %zu: %d, %lld", i, (int)got, (long long)left);
        }
    }
}

/* ---------------------------------------------------------------- the policy */

static struct policy_candidate candidate(const char *name, double score, int64_t cost)
{
    return (struct policy_candidate){
        .name = str_from(name),
        .score = score,
        .capabilities = ~0U,
        .cost_nano_usd = cost,
        .has_price = true,
        .purse = {STR("team"), 1000, 1796083200, false},
    };
}

static void what_a_budget_cannot_pay_is_dropped_with_the_reason(void **state)
{
    const struct policy_request request = {0};
    struct policy_candidate list[] = {candidate("dear", 0.9, 1001), candidate("fits", 0.5, 1000),
                                      candidate("unknown", 0.8, 0), candidate("other", 0.7, 9999)};
    (void)state;
    list[2].has_price = false;
    list[3].purse = (struct policy_purse){0};
    assert_int_equal(policy_apply_all(&request, list, 4), 2);
    assert_true(str_eq(list[0].name, STR("other")));
    assert_true(str_eq(list[1].name, STR("fits")));
    assert_string_equal(list[2].dropped_by, "budget");
    assert_string_equal(
        list[2].reason,
        "up to 0.000001001 USD; budget \"team\" has 0.000001000 until 2026-12-01T00:00:00");
    assert_string_equal(list[3].reason, "has no price, and budget \"team\" counts in USD");
}

static void without_a_reset_none_is_named(void **state)
{
    const struct policy_request request = {0};
    struct policy_candidate c = candidate("dear", 0.9, 1001);
    (void)state;
    c.purse.resets_s = INT64_MAX;
    assert_int_equal(policy_apply_all(&request, &c, 1), 0);
    assert_string_equal(c.reason, "up to 0.000001001 USD; budget \"team\" has 0.000001000");
}

static void a_tight_budget_puts_the_cheapest_first(void **state)
{
    const struct policy_request request = {0};
    struct policy_candidate list[] = {candidate("dear", 0.9, 900), candidate("cheap", 0.2, 10),
                                      candidate("same", 0.3, 10)};
    (void)state;
    list[0].purse.is_tight = true;
    assert_int_equal(policy_apply_all(&request, list, 3), 3);
    assert_true(str_eq(list[0].name, STR("same")));
    assert_true(str_eq(list[1].name, STR("cheap")));
    assert_true(str_eq(list[2].name, STR("dear")));
}

static void pressure_rises_from_the_plan_to_the_end(void **state)
{
    enum {
        DAY = 86400,
    };

    static const struct {
        enum budget_per per;
        int64_t used; /* of 1000 */
        int64_t at_s; /* within the window */
        double want;
    } cases[] = {
        {BUDGET_DAY, 500, 0, 0.0},           {BUDGET_DAY, 750, 0, 0.5},
        {BUDGET_DAY, 750, DAY / 4 * 3, 0.0}, {BUDGET_DAY, 900, DAY / 5 * 4, 0.5},
        {BUDGET_DAY, 1000, DAY - 1, 1.0},    {BUDGET_DAY, 2000, 0, 1.0},
        {BUDGET_TOTAL, 750, DAY, 0.5},       {BUDGET_TOTAL, 0, DAY, 0.0},
    };
    const struct budget_limit limit = {1000, 0.8};
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double got = budget_pressure(&limit, cases[i].per, cases[i].used, 0.5,
                                     (int64_t)100 * DAY + cases[i].at_s);
        if (got < cases[i].want - 1e-9 || got > cases[i].want + 1e-9) {
            fail_msg("case %zu: %g", i, got);
        }
    }
    const struct budget_limit nothing = {0, 0.8};
    assert_true(budget_pressure(&nothing, BUDGET_DAY, 0, 0.5, 0) >= 1.0);
}

static void what_is_drawn_comes_first_unless_money_is_tight(void **state)
{
    const struct policy_request request = {0};
    struct policy_candidate list[] = {candidate("old", 0.9, 10), candidate("new", 0.2, 900)};
    (void)state;
    list[1].split_percent = 5.0;
    assert_int_equal(policy_apply_all(&request, list, 2), 2);
    assert_true(str_eq(list[0].name, STR("new")));

    list[0].purse.is_tight = true;
    assert_int_equal(policy_apply_all(&request, list, 2), 2);
    assert_true(str_eq(list[0].name, STR("old")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_those_of_the_calendar),
        cmocka_unit_test(months_follow_each_other_without_gaps),
        cmocka_unit_test(limits_hold_to_the_last_nano_usd),
        cmocka_unit_test(what_a_budget_cannot_pay_is_dropped_with_the_reason),
        cmocka_unit_test(without_a_reset_none_is_named),
        cmocka_unit_test(a_tight_budget_puts_the_cheapest_first),
        cmocka_unit_test(pressure_rises_from_the_plan_to_the_end),
        cmocka_unit_test(what_is_drawn_comes_first_unless_money_is_tight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
