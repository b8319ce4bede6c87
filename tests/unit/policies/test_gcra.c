/* Rates, with a clock of the test's own: what passes, what is left, when to come again; and against a
 * token bucket that is counted the plain way. */
#include "policies/gcra.h"
#include "tests/support/test.h"

static const int64_t SECOND = 1000000000;

/* A fixed generator: the same cases in every run. */
static uint64_t next_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static void a_minutes_worth_may_come_at_once(void **state)
{
    struct gcra limit = gcra_per_minute(3);
    int64_t tat = 0;
    (void)state;
    for (int64_t left = 2; left >= 0; left--) {
        struct gcra_verdict v = gcra_take(&limit, tat, SECOND, 1);
        assert_true(v.is_allowed);
        assert_int_equal(v.remaining, left);
        tat = v.tat_ns;
    }
    struct gcra_verdict v = gcra_take(&limit, tat, SECOND, 1);
    assert_false(v.is_allowed);
    assert_int_equal(v.tat_ns, tat);
    assert_int_equal(v.remaining, 0);
    assert_int_equal(v.retry_ns, 20 * SECOND);
    assert_int_equal(v.reset_ns, 60 * SECOND);
}

static void who_comes_when_told_gets_in(void **state)
{
    uint64_t seed = 7;
    (void)state;
    for (int i = 0; i < 10000; i++) {
        struct gcra limit = gcra_per_minute((int64_t)(next_random(&seed) % 1000) + 1);
        int64_t now = (int64_t)(next_random(&seed) % 1000000) * SECOND;
        int64_t tat = now + (int64_t)(next_random(&seed) % 60) * SECOND;
        int64_t cost = (int64_t)(next_random(&seed) % (uint64_t)limit.burst) + 1;
        struct gcra_verdict v = gcra_take(&limit, tat, now, cost);
        if (!v.is_allowed) {
            assert_true(v.retry_ns > 0);
            assert_false(gcra_take(&limit, tat, now + v.retry_ns - 1, cost).is_allowed);
            assert_true(gcra_take(&limit, tat, now + v.retry_ns, cost).is_allowed);
        }
    }
}

static void what_remains_may_come_and_no_more(void **state)
{
    uint64_t seed = 11;
    (void)state;
    for (int i = 0; i < 10000; i++) {
        struct gcra limit = gcra_per_minute((int64_t)(next_random(&seed) % 100000) + 1);
        int64_t now = (int64_t)(next_random(&seed) % 1000000) * SECOND;
        int64_t tat = now + (int64_t)(next_random(&seed) % (60 * 1000)) * (SECOND / 1000);
        struct gcra_verdict v = gcra_take(&limit, tat, now, 0);
        int64_t burst = v.is_allowed ? v.remaining : 0;
        if (burst > 0) {
            assert_true(gcra_take(&limit, tat, now, burst).is_allowed);
        }
        assert_false(gcra_take(&limit, tat, now, burst + 1).is_allowed);
    }
}

/* A bucket in units of interval: exact, since all times are multiples of it. */
static void it_is_a_token_bucket(void **state)
{
    struct gcra limit = gcra_per_minute(60); /* one a second */
    uint64_t seed = 13;
    int64_t tat = 0;
    int64_t now = 5;
    int64_t level = 60;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        int64_t pass = (int64_t)(next_random(&seed) % 4);
        int64_t cost = (int64_t)(next_random(&seed) % 5);
        now += pass;
        level = level + pass > 60 ? 60 : level + pass;
        struct gcra_verdict v = gcra_take(&limit, tat, now * SECOND, cost);
        assert_int_equal(v.is_allowed, level >= cost);
        level -= v.is_allowed ? cost : 0;
        tat = v.tat_ns;
        if (next_random(&seed) % 3 == 0) {
            int64_t more = (int64_t)(next_random(&seed) % 7) - 3;
            level = level - more > 60 ? 60 : level - more;
            tat = gcra_correct(&limit, tat, now * SECOND, more);
        }
    }
}

static void a_cost_over_the_burst_is_never_allowed(void **state)
{
    struct gcra limit = gcra_per_minute(10);
    (void)state;

    struct gcra_verdict v = gcra_take(&limit, 0, SECOND, 11);

    assert_false(v.is_allowed);
    assert_true(v.is_never);
    assert_int_equal(v.retry_ns, 0);
    assert_int_equal(v.remaining, 10);
}

static void debts_are_paid_before_anything_passes(void **state)
{
    struct gcra limit = gcra_per_minute(60);
    (void)state;

    int64_t tat = gcra_correct(&limit, 0, 100 * SECOND, 120); /* two minutes' worth, long idle */

    assert_false(gcra_take(&limit, tat, 160 * SECOND, 1).is_allowed);
    assert_true(gcra_take(&limit, tat, 161 * SECOND, 1).is_allowed);
}

static void giving_back_makes_no_more_than_a_burst(void **state)
{
    struct gcra limit = gcra_per_minute(60);
    (void)state;

    int64_t tat = gcra_correct(&limit, 100 * SECOND, 100 * SECOND, -1000000);

    assert_true(gcra_take(&limit, tat, 100 * SECOND, 60).is_allowed);
    assert_false(gcra_take(&limit, tat, 100 * SECOND, 61).is_allowed);
}

static void extreme_numbers_do_not_overflow(void **state)
{
    static const int64_t rates[] = {1, 7, 1000000000};
    static const int64_t costs[] = {0, 1, INT64_MAX, INT64_MIN + 1};

    (void)state;
    for (size_t r = 0; r < 3; r++) {
        struct gcra limit = gcra_per_minute(rates[r]);
        int64_t tat = 0;
        for (int i = 0; i < 100; i++) {
            tat = gcra_correct(&limit, tat, SECOND, costs[i % 4]);
            assert_true(tat >= 0);
            (void)gcra_take(&limit, tat, SECOND, INT64_MAX);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minutes_worth_may_come_at_once),
        cmocka_unit_test(who_comes_when_told_gets_in),
        cmocka_unit_test(what_remains_may_come_and_no_more),
        cmocka_unit_test(it_is_a_token_bucket),
        cmocka_unit_test(a_cost_over_the_burst_is_never_allowed),
        cmocka_unit_test(debts_are_paid_before_anything_passes),
        cmocka_unit_test(giving_back_makes_no_more_than_a_burst),
        cmocka_unit_test(extreme_numbers_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
