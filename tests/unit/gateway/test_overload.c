/* Early refusal: who is sent away, and until when. */
#include "gateway/overload.h"
#include "tests/support/test.h"

static void limits_are_those_of_normal_priority(void **state)
{
    static const struct {
        int64_t exchanges;
        int64_t lag_us;
        enum expert_priority priority;
        bool is_refused;
    } cases[] = {
        {75, 0, EXPERT_LOW, false},        {76, 0, EXPERT_LOW, true},
        {100, 0, EXPERT_NORMAL, false},    {101, 0, EXPERT_NORMAL, true},
        {125, 0, EXPERT_HIGH, false},      {126, 0, EXPERT_HIGH, true},
        {1, 150000, EXPERT_LOW, false},    {1, 150001, EXPERT_LOW, true},
        {1, 200000, EXPERT_NORMAL, false}, {1, 200001, EXPERT_NORMAL, true},
        {1, 250000, EXPERT_HIGH, false},   {1, 250001, EXPERT_HIGH, true},
    };
    const struct overload_limits limits = {.exchanges = 100, .lag_ms = 200};
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct overload_facts facts = {cases[i].exchanges, cases[i].lag_us, 1000,
                                             cases[i].priority};
        assert_int_equal(overload_retry_s(&limits, &facts) > 0, cases[i].is_refused);
    }
}

static void limits_of_nothing_refuse_nobody(void **state)
{
    const struct overload_limits limits = {0, 0};
    const struct overload_facts facts = {1000000, 1000000000, 1000000, EXPERT_LOW};
    (void)state;

    assert_int_equal(overload_retry_s(&limits, &facts), 0);
}

static void the_time_to_come_again_is_that_of_those_too_many(void **state)
{
    /* 150 in work of 100, each takes 30 s: 50 have ended after 10 s */
    const struct overload_limits limits = {.exchanges = 100};
    const struct overload_facts facts = {150, 0, 30000000, EXPERT_NORMAL};
    (void)state;

    assert_int_equal(overload_retry_s(&limits, &facts), 11);
}

static void nobody_is_sent_away_for_more_than_a_minute(void **state)
{
    const struct overload_limits limits = {.exchanges = 1};
    const struct overload_facts facts = {1000, 0, 3600000000, EXPERT_NORMAL};
    (void)state;

    assert_int_equal(overload_retry_s(&limits, &facts), 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_those_of_normal_priority),
        cmocka_unit_test(limits_of_nothing_refuse_nobody),
        cmocka_unit_test(the_time_to_come_again_is_that_of_those_too_many),
        cmocka_unit_test(nobody_is_sent_away_for_more_than_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
