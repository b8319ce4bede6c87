/* Quantiles against values that are sorted the plain way. */
#include <stdlib.h>

#include "policies/quantile.h"
#include "tests/support/test.h"

enum {
    VALUES = 1000 /* fewer than are halved */
};

static int by_value(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void of_nothing_it_knows_nothing(void **state)
{
    struct quantile q = {0};
    (void)state;
    assert_int_equal(quantile_get(&q, 0.5), 0);
}

static void it_is_at_most_an_eighth_too_high(void **state)
{
    static const double shares[] = {0.01, 0.5, 0.9, 0.95, 0.99, 1.0};

    uint64_t seed = 17;
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct quantile q = {0};
        int64_t values[VALUES];
        for (int i = 0; i < VALUES; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            values[i] = (int64_t)((seed >> 30) >> (seed % 33));
            quantile_add(&q, values[i]);
        }
        qsort(values, VALUES, sizeof values[0], by_value);
        for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
            int64_t exact = values[(size_t)(shares[i] * VALUES + 0.5) - 1];
            int64_t told = quantile_get(&q, shares[i]);
            assert_true(told >= exact);
            assert_true(told <= exact + exact / 8 + 1);
        }
    }
}

static void old_times_fade(void **state)
{
    struct quantile q = {0};
    (void)state;
    for (int i = 0; i < 10000; i++) {
        quantile_add(&q, 1000000);
    }
    for (int i = 0; i < 4 * QUANTILE_HALF_LIFE; i++) {
        quantile_add(&q, 1000);
    }
    assert_true(quantile_get(&q, 0.5) < 1200);
    assert_true(quantile_get(&q, 0.9) < 1200);
}

static void extreme_values_have_a_place(void **state)
{
    struct quantile q = {0};
    (void)state;
    quantile_add(&q, -5);
    assert_int_equal(quantile_get(&q, 1), 0);
    quantile_add(&q, INT64_MAX);
    assert_true(quantile_get(&q, 1) > 60000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_nothing_it_knows_nothing),
        cmocka_unit_test(it_is_at_most_an_eighth_too_high),
        cmocka_unit_test(old_times_fade),
        cmocka_unit_test(extreme_values_have_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
