/* Who answers when the best expert is not loaded. */
#include "policies/warm.h"
#include "tests/support/test.h"

static void the_rule_and_the_margin_decide(void **state)
{
    (void)state;

    static const struct {
        enum warm_rule rule;
        double margin;
        double ranks[3];
        int64_t waits[3];
        int chosen;
    } cases[] = {
        {WARM_WAIT, 1.0, {0.9, 0.8, 0.7}, {500, 0, 0}, 0},
        {WARM_RUNNER_UP, 0.15, {0.9, 0.8, 0.7}, {0, 0, 0}, 0},
        {WARM_RUNNER_UP, 0.15, {0.9, 0.8, 0.7}, {500, 0, 0}, 1},
        {WARM_RUNNER_UP, 0.05, {0.9, 0.8, 0.7}, {500, 0, 0}, 0},  /* not good enough */
        {WARM_RUNNER_UP, 0.15, {0.9, 0.8, 0.7}, {500, 10, 0}, 0}, /* the second is cold as well */
        {WARM_RUNNER_UP, 0.25, {0.9, 0.8, 0.7}, {500, 10, 0}, 2},
        {WARM_RUNNER_UP, 1.0, {0.9, 0.8, 0.7}, {5, 10, 20}, 0}, /* all are cold */
        {WARM_REFUSE, 1.0, {0.9, 0.8, 0.7}, {500, 0, 0}, WARM_NOBODY},
        {WARM_REFUSE, 1.0, {0.9, 0.8, 0.7}, {0, 500, 500}, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct policy_candidate candidates[3] = {0};
        for (size_t k = 0; k < 3; k++) {
            candidates[k].rank = cases[i].ranks[k];
            candidates[k].wait_ms = cases[i].waits[k];
        }
        assert_int_equal(warm_choose(cases[i].rule, cases[i].margin, candidates, 3),
                         cases[i].chosen);
    }
}

static void a_single_candidate_has_no_runner_up(void **state)
{
    (void)state;
    const struct policy_candidate one = {.rank = 0.9, .wait_ms = 100};

    assert_int_equal(warm_choose(WARM_RUNNER_UP, 1.0, &one, 1), 0);
    assert_int_equal(warm_choose(WARM_REFUSE, 1.0, &one, 1), WARM_NOBODY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule_and_the_margin_decide),
        cmocka_unit_test(a_single_candidate_has_no_runner_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
