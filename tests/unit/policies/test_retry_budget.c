/* Budgets of retries: shares of requests, and a few with time. */
#include "policies/retry_budget.h"
#include "tests/support/test.h"

/* Takes until there is nothing; how many. */
static int drain(struct retry_budget *b, int64_t now_ms)
{
    int taken = 0;
    while (retry_budget_has(b, now_ms)) {
        retry_budget_take(b);
        taken++;
    }
    return taken;
}

static void a_process_without_traffic_may_repeat_three_times(void **state)
{
    struct retry_budget b;
    (void)state;
    retry_budget_init(&b, 1000);
    assert_int_equal(drain(&b, 1000), RETRY_BUDGET_TIMED);
}

static void what_comes_with_time_comes_again(void **state)
{
    static const struct {
        int64_t after_ms;
        int tokens;
    } cases[] = {{0, 0}, {3333, 0}, {3334, 1}, {6667, 2}, {10000, 3}, {10000000, 3}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct retry_budget b;
        retry_budget_init(&b, 1000);
        (void)drain(&b, 1000);

        int taken = drain(&b, 1000 + cases[i].after_ms);

        if (taken != cases[i].tokens) {
            fail_msg("after %lld ms: %d", (long long)cases[i].after_ms, taken);
        }
    }
}

static void requests_earn_their_share(void **state)
{
    struct retry_budget b;
    (void)state;
    retry_budget_init(&b, 0);
    (void)drain(&b, 0);
    for (int i = 0; i < 50; i++) {
        retry_budget_earn(&b, 0.2);
    }
    assert_int_equal(drain(&b, 0), 10);
}

static void the_bucket_has_an_end(void **state)
{
    struct retry_budget b;
    (void)state;
    retry_budget_init(&b, 0);
    for (int i = 0; i < 10000; i++) {
        retry_budget_earn(&b, 0.2);
    }
    assert_int_equal(drain(&b, 0), RETRY_BUDGET_TIMED + RETRY_BUDGET_REQUESTS / 5);
}

static void a_share_of_nothing_earns_nothing(void **state)
{
    struct retry_budget b;
    (void)state;
    retry_budget_init(&b, 0);
    for (int i = 0; i < 10000; i++) {
        retry_budget_earn(&b, 0.0);
    }
    assert_int_equal(drain(&b, 0), RETRY_BUDGET_TIMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_without_traffic_may_repeat_three_times),
        cmocka_unit_test(what_comes_with_time_comes_again),
        cmocka_unit_test(requests_earn_their_share),
        cmocka_unit_test(the_bucket_has_an_end),
        cmocka_unit_test(a_share_of_nothing_earns_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
