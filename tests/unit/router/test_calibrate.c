/* Calibration. */
#include <math.h>

#include "router/calibrate.h"
#include "router/softmax.h"
#include "tests/support/test.h"

enum {
    ROWS = 3000,
};

static float logits[ROWS][2];
static struct calibrate_row rows[ROWS];

/* Rows whose truth is as uncertain as the temperature says. */
static void make_rows(float temperature)
{
    uint32_t x = 3;
    for (size_t i = 0; i < ROWS; i++) {
        logits[i][0] = (float)(i % 30) / 10.0F;
        logits[i][1] = 0.0F;
        float p[2];
        (void)softmax(logits[i], 2, temperature, p);
        x = x * 1664525U + 1013904223U;
        bool is_first = (double)(x >> 8) / (double)(1 << 24) < (double)p[0];
        rows[i] = (struct calibrate_row){logits[i], is_first ? 1U : 2U, 100, 100, 1.0F};
    }
}

static void a_temperature_is_found_again(void **state)
{
    static const float wanted[] = {0.5F, 1.0F, 3.0F};
    (void)state;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        make_rows(wanted[i]);

        struct calibration c = calibrate_fit(rows, ROWS, 2);

        float got = calibrate_temperature(&c, (const float[]){1.9F, 0.0F}, 2, 100.0, 100.0);
        if (fabsf(got / wanted[i] - 1.0F) > 0.15F) {
            fail_msg("got %g, want %g", (double)got, (double)wanted[i]);
        }
    }
}

static void spread_and_unknown_words_raise_the_temperature(void **state)
{
    const struct calibration c = {1.0F, 0.5F, 2.0F};
    static const float usual[2] = {-0.95F, 0.95F}; /* spread 0.95, and 0.05 of the formula */
    static const float far_apart[2] = {0.0F, 7.9F};
    (void)state;

    assert_true(fabsf(calibrate_temperature(&c, usual, 2, 100.0, 100.0) - 1.0F) < 1e-6F);
    assert_true(fabsf(calibrate_temperature(&c, far_apart, 2, 400.0, 400.0) - 2.0F) < 1e-5F);
    assert_true(fabsf(calibrate_temperature(&c, usual, 2, 100.0, 50.0) - expf(1.0F)) < 1e-5F);
}

static void the_temperature_stays_within_bounds(void **state)
{
    const struct calibration hot = {1.0F, 10.0F, 10.0F};
    const struct calibration cold = {0.5F, -10.0F, -10.0F};
    static const float apart[2] = {1e6F, -1e6F};
    static const float equal[2] = {3.0F, 3.0F};
    (void)state;

    assert_true(calibrate_temperature(&hot, apart, 2, 1e6, 0.0) <= 100.0F);
    assert_true(calibrate_temperature(&cold, apart, 2, 1e6, 0.0) >= 0.01F);
    assert_true(fabsf(calibrate_temperature(&cold, apart, 2, 0.0, 0.0) - 0.5F) < 1e-6F);
    assert_true(calibrate_temperature(&cold, equal, 2, 9.0, 9.0) <= 100.0F);
}

static void nothing_to_learn_from_changes_nothing(void **state)
{
    (void)state;

    struct calibration c = calibrate_fit(rows, 0, 2);

    assert_true(fabsf(c.temperature - 1.0F) + fabsf(c.by_spread) + fabsf(c.by_unknown) < 1e-6F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_temperature_is_found_again),
        cmocka_unit_test(spread_and_unknown_words_raise_the_temperature),
        cmocka_unit_test(the_temperature_stays_within_bounds),
        cmocka_unit_test(nothing_to_learn_from_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
