/* Our own exponential, logarithm, softmax and entropy. */
#include <math.h>

#include "router/softmax.h"
#include "tests/support/test.h"

static void exponentials_agree_with_the_library(void **state)
{
    (void)state;
    for (double x = -699.9; x < 699.0; x += 0.731) {
        double want = exp(x);
        if (fabs(softmax_exp(x) - want) > 1e-13 * want) {
            fail_msg("exp(%g) is off", x);
        }
    }
    assert_true(softmax_exp(-1e9) < 1e-300);
    assert_true(softmax_exp((double)NAN) < 1e-300);
}

static void logarithms_agree_with_the_library(void **state)
{
    (void)state;
    for (double x = 1e-30; x < 1e30; x *= 1.37) {
        if (fabs(softmax_log(x) - log(x)) > 1e-13 * fmax(1.0, fabs(log(x)))) {
            fail_msg("log(%g) is off", x);
        }
    }
    assert_true(fabs(softmax_log(1.0)) < 1e-15);
}

static void probabilities_follow_the_temperature(void **state)
{
    (void)state;
    const float logit[3] = {0.0F, 1.0F, -1.0F};
    float p[3];

    (void)softmax(logit, 3, 0.5F, p);

    double sum = exp(0.0) + exp(2.0) + exp(-2.0);
    assert_true(fabs((double)p[1] - exp(2.0) / sum) < 1e-7);
    assert_true(fabs((double)(p[0] + p[1] + p[2]) - 1.0) < 1e-6);
}

static void entropy_goes_from_certain_to_clueless(void **state)
{
    (void)state;
    const float even[4] = {0.25F, 0.25F, 0.25F, 0.25F};
    const float sure[4] = {0.0F, 1.0F, 0.0F, 0.0F};
    const float half[4] = {0.5F, 0.5F, 0.0F, 0.0F};

    assert_true(fabsf(softmax_entropy(even, 4) - 1.0F) < 1e-6F);
    assert_true(softmax_entropy(sure, 4) < 1e-6F);
    assert_true(fabsf(softmax_entropy(half, 4) - 0.5F) < 1e-6F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exponentials_agree_with_the_library),
        cmocka_unit_test(logarithms_agree_with_the_library),
        cmocka_unit_test(probabilities_follow_the_temperature),
        cmocka_unit_test(entropy_goes_from_certain_to_clueless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
