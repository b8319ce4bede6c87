#include "bench/histogram.h"
#include "tests/support/test.h"

static void percentile_is_within_two_percent_of_the_truth(void **state)
{
    (void)state;
    static struct histogram h;
    for (uint64_t value = 1; value <= 1000000; value++) {
        histogram_add(&h, value);
    }

    for (unsigned percent = 1; percent <= 99; percent++) {
        uint64_t got = histogram_percentile(&h, percent / 100.0);

        assert_in_range(got, percent * 9800, percent * 10200);
    }
}

static void small_values_are_exact(void **state)
{
    (void)state;
    static struct histogram h;
    histogram_add(&h, 7);
    histogram_add(&h, 9);
    histogram_add(&h, 63);

    assert_int_equal(histogram_percentile(&h, 0.0), 7);
    assert_int_equal(histogram_percentile(&h, 0.5), 9);
    assert_int_equal(histogram_percentile(&h, 1.0), 63);
}

static void largest_value_has_a_bucket(void **state)
{
    (void)state;
    static struct histogram h;
    histogram_add(&h, UINT64_MAX);

    assert_true(histogram_percentile(&h, 1.0) > UINT64_MAX / 2);
}

static void empty_histogram_answers_zero(void **state)
{
    (void)state;
    static struct histogram h;

    assert_int_equal(histogram_percentile(&h, 0.5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentile_is_within_two_percent_of_the_truth),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(largest_value_has_a_bucket),
        cmocka_unit_test(empty_histogram_answers_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
