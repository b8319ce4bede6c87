/* Measures of confidence and sets of labels. */
#include <math.h>

#include "router/uncertainty.h"
#include "tests/support/test.h"

static const struct classifier_result result = {
    .count = 3, .p = {0.7F, 0.2F, 0.1F}, .best = 0, .entropy = 0.73F};

static void confidence_is_the_best_probability(void **state)
{
    (void)state;
    assert_true(fabsf(uncertainty_confidence(UNCERTAINTY_PROBABILITY, &result, 2) - 0.7F) < 1e-6F);
    assert_true(fabsf(uncertainty_confidence(UNCERTAINTY_CONFORMAL, &result, 2) - 0.7F) < 1e-6F);
}

static void confidence_by_entropy_leaves_general_out(void **state)
{
    (void)state;
    float with = uncertainty_confidence(UNCERTAINTY_ENTROPY, &result, 2);
    float without = uncertainty_confidence(UNCERTAINTY_ENTROPY, &result, 3);

    assert_true(fabsf(with - (1.0F - classifier_uncertainty(&result, 2))) < 1e-6F);
    assert_true(fabsf(without - 0.27F) < 1e-6F);
}

static void a_set_holds_what_is_probable_enough(void **state)
{
    (void)state;
    assert_int_equal(uncertainty_set(&result, 0.0F), 7);
    assert_int_equal(uncertainty_set(&result, 0.2F), 3);
    assert_int_equal(uncertainty_set(&result, 0.5F), 1);
    assert_int_equal(uncertainty_set(&result, 0.8F), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(confidence_is_the_best_probability),
        cmocka_unit_test(confidence_by_entropy_leaves_general_out),
        cmocka_unit_test(a_set_holds_what_is_probable_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
