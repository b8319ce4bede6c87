/* The figures of a curve, on rows whose answer is known. */
#include "bench/routing/curve.h"
#include "bench/routing/model.h"
#include "tests/support/test.h"

enum {
    ROWS = 100
};

static struct curve_row rows[ROWS];

/* The strong model wins on the first `wins` questions and loses on the last `losses`. */
static struct curve make(int wins, int losses, double (*score)(int i))
{
    struct curve curve;
    for (int i = 0; i < ROWS; i++) {
        int gain = i < wins ? 1 : i >= ROWS - losses ? -1 : 0;
        rows[i] = (struct curve_row){score(i), 0, gain};
    }
    curve_make(rows, ROWS, &curve);
    return curve;
}

static double best_first(int i)
{
    return -i;
}

static double best_last(int i)
{
    return i;
}

static double all_equal(int i)
{
    (void)i;
    return 0.5;
}

static void gains_that_come_first_are_recovered_first(void **state)
{
    (void)state;

    struct curve c = make(20, 0, best_first);

    assert_float_equal(c.pgr[0], 0.0, 1e-12);
    assert_float_equal(c.pgr[1], 0.5, 1e-12);
    assert_float_equal(c.pgr[2], 1.0, 1e-12);
    assert_float_equal(c.pgr[10], 1.0, 1e-12);
    assert_float_equal(c.cpt50, 0.1, 1e-12);
    assert_float_equal(c.cpt80, 0.16, 1e-12);
    assert_float_equal(c.apgr, 0.9, 1e-12); /* a rise over a fifth, then 1 */
}

static void gains_that_come_last_are_recovered_last(void **state)
{
    (void)state;

    struct curve c = make(20, 0, best_last);

    assert_float_equal(c.apgr, 0.1, 1e-12);
    assert_float_equal(c.cpt50, 0.9, 1e-12);
    assert_float_equal(c.cpt80, 0.96, 1e-12);
}

static void leaving_losses_to_the_weak_model_recovers_more_than_all(void **state)
{
    (void)state;

    struct curve c = make(40, 20, best_first);

    assert_float_equal(c.pgr[4], 2.0, 1e-12);
    assert_float_equal(c.pgr[10], 1.0, 1e-12);
    assert_float_equal(c.cpt80, 0.16, 1e-12);
}

static void equal_scores_keep_the_order_of_the_rows(void **state)
{
    (void)state;

    struct curve c = make(20, 0, all_equal);

    assert_float_equal(c.apgr, 0.9, 1e-12);
}

static void ridge_finds_the_weights_and_shrinks_them(void **state)
{
    double x[ROWS][MODEL_INPUTS_MAX] = {{0}};
    double y[ROWS];
    double w[MODEL_INPUTS_MAX] = {0};
    uint64_t random = 7;
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        x[i][0] = 1.0;
        x[i][1] = (double)(model_random(&random) % 1000) / 1000.0;
        x[i][2] = (double)(model_random(&random) % 1000) / 1000.0;
        x[i][3] = x[i][2]; /* says the same: no pivot of its own */
        y[i] = 0.5 + 2.0 * x[i][1] - x[i][2];
    }
    model_ridge((const double(*)[MODEL_INPUTS_MAX])x, y, ROWS, 4, 0.0, w);
    assert_float_equal(w[0], 0.5, 1e-6);
    assert_float_equal(w[1], 2.0, 1e-6);
    double both = w[2] + w[3];
    assert_float_equal(both, -1.0, 1e-6);

    model_ridge((const double(*)[MODEL_INPUTS_MAX])x, y, ROWS, 4, ROWS, w);
    assert_true(w[1] > 0.5 && w[1] < 1.5);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(gains_that_come_first_are_recovered_first),
        cmocka_unit_test(gains_that_come_last_are_recovered_last),
        cmocka_unit_test(leaving_losses_to_the_weak_model_recovers_more_than_all),
        cmocka_unit_test(equal_scores_keep_the_order_of_the_rows),
        cmocka_unit_test(ridge_finds_the_weights_and_shrinks_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
