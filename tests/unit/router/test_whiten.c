/* Whitening: spreads become equal, and weights mean the same before and after. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "router/whiten.h"
#include "tests/support/test.h"

enum {
    ROWS = 4,
    STRIDE = 4,
    DIMS = 2,
};

/* Centred; the first direction spreads five times as far as the second, and they lean together. */
static const float rows[ROWS][STRIDE] = {
    {5.0F, 1.5F, 9.0F, 9.0F},
    {-5.0F, -1.5F, 9.0F, 9.0F},
    {5.0F, 0.5F, 9.0F, 9.0F},
    {-5.0F, -0.5F, 9.0F, 9.0F},
};

static struct whiten *make(const float *from, size_t count)
{
    struct whiten *w = mem_zalloc(1, sizeof *w);
    assert_non_null(w);
    whiten_init(w, from, count, STRIDE, DIMS);
    return w;
}

static void whitened_rows_spread_the_same_way_in_every_direction(void **state)
{
    static const float wide[ROWS][STRIDE] = {{5, 0}, {-5, 0}, {0, 1}, {0, -1}};
    struct whiten *w = make(wide[0], ROWS);
    float x[DIMS] = {5.0F, 0.0F};
    float y[DIMS] = {0.0F, 1.0F};
    (void)state;

    whiten_row(w, x);
    whiten_row(w, y);

    assert_true(wide[0][0] / wide[2][1] > 4.9F);
    assert_true(x[0] / y[1] < 1.4F); /* the floor holds the narrow one back a little */
    mem_free(w);
}

static void weights_give_a_row_the_same_score_before_and_after(void **state)
{
    struct whiten *w = make(rows[0], ROWS);
    float weights[DIMS] = {0.7F, -1.3F};
    (void)state;

    float whitened[DIMS] = {rows[2][0], rows[2][1]};
    whiten_row(w, whitened);
    float expected = whitened[0] * weights[0] + whitened[1] * weights[1];
    whiten_weights(w, weights);

    assert_float_equal(rows[2][0] * weights[0] + rows[2][1] * weights[1], expected, 1e-4);
    mem_free(w);
}

static void rows_of_zeros_stay_finite(void **state)
{
    static const float zeros[ROWS][STRIDE];
    struct whiten *w = make(zeros[0], ROWS);
    float x[DIMS] = {1.0F, 0.0F};
    (void)state;

    whiten_row(w, x);

    assert_true(isfinite(x[0]) && isfinite(x[1]) && x[0] > 0.0F);
    mem_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whitened_rows_spread_the_same_way_in_every_direction),
        cmocka_unit_test(weights_give_a_row_the_same_score_before_and_after),
        cmocka_unit_test(rows_of_zeros_stay_finite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
