/* Limits of concurrency against a simulated expert: it finds what the expert can do, stays in its
 * bounds, and does not grow without being used. */
#include "policies/concurrency.h"
#include "tests/support/test.h"

static const struct concurrency_rule adaptive = {.min = 2, .max = 200, .is_adaptive = true};

/* An expert that serves `capacity` at a time in 10 ms each: more than that wait in line. */
static void load(struct concurrency *c, const struct concurrency_rule *rule, int64_t capacity,
                 int attempts)
{
    for (int i = 0; i < attempts; i++) {
        int64_t in_flight = concurrency_limit(c, rule);
        int64_t latency_us = in_flight <= capacity ? 10000 : 10000 * in_flight / capacity;
        concurrency_observe(c, rule, in_flight, latency_us);
    }
}

static void a_fixed_limit_is_fixed(void **state)
{
    const struct concurrency_rule rule = {.min = 1, .max = 64};
    struct concurrency c = {0};
    (void)state;
    load(&c, &rule, 4, 1000);
    concurrency_drop(&c, &rule);
    assert_int_equal(concurrency_limit(&c, &rule), 64);
}

static void none_is_none(void **state)
{
    const struct concurrency_rule rule = {0};
    struct concurrency c = {0};
    (void)state;
    assert_int_equal(concurrency_limit(&c, &rule), 0);
}

static void it_grows_while_latency_does_not(void **state)
{
    struct concurrency c = {0};
    (void)state;
    load(&c, &adaptive, 1000, 2000);
    assert_int_equal(concurrency_limit(&c, &adaptive), adaptive.max);
}

static void it_shrinks_when_the_expert_slows_down(void **state)
{
    struct concurrency c = {0};
    (void)state;
    load(&c, &adaptive, 100, 300);
    int64_t before = concurrency_limit(&c, &adaptive);
    load(&c, &adaptive, 10, 100);
    assert_true(concurrency_limit(&c, &adaptive) < before / 2);
    assert_true(concurrency_limit(&c, &adaptive) >= 10); /* and is still used */
}

static void what_is_not_used_does_not_grow(void **state)
{
    struct concurrency c = {0};
    (void)state;
    int64_t before = concurrency_limit(&c, &adaptive);
    for (int i = 0; i < 1000; i++) {
        concurrency_observe(&c, &adaptive, 1, 10000);
    }
    assert_int_equal(concurrency_limit(&c, &adaptive), before);
}

static void refusals_shrink_it_at_once_but_not_below_its_least(void **state)
{
    struct concurrency c = {0};
    (void)state;
    concurrency_drop(&c, &adaptive);
    assert_int_equal(concurrency_limit(&c, &adaptive), 18);
    for (int i = 0; i < 1000; i++) {
        concurrency_drop(&c, &adaptive);
    }
    assert_int_equal(concurrency_limit(&c, &adaptive), adaptive.min);
}

static void it_stays_in_its_bounds_whatever_comes(void **state)
{
    struct concurrency c = {0};
    uint64_t seed = 5;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        if (seed % 10 == 0) {
            concurrency_drop(&c, &adaptive);
        } else {
            concurrency_observe(&c, &adaptive, (int64_t)(seed % 300), (int64_t)(seed >> 24));
        }
        int64_t limit = concurrency_limit(&c, &adaptive);
        assert_true(limit >= adaptive.min && limit <= adaptive.max);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fixed_limit_is_fixed),
        cmocka_unit_test(none_is_none),
        cmocka_unit_test(it_grows_while_latency_does_not),
        cmocka_unit_test(it_shrinks_when_the_expert_slows_down),
        cmocka_unit_test(what_is_not_used_does_not_grow),
        cmocka_unit_test(refusals_shrink_it_at_once_but_not_below_its_least),
        cmocka_unit_test(it_stays_in_its_bounds_whatever_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
