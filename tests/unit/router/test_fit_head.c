/* Fitting a head: it finds what is there, judges itself on rows left out, and is calibrated. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "router/fit_head.h"
#include "router/softmax.h"
#include "tests/support/test.h"

enum {
    ROWS = 3000,
    INPUTS = 3,
    GROUPS = 5,
};

struct problem {
    float x[ROWS][INPUTS];
    struct fit_head_row rows[ROWS];
    struct fit_head_task task;
};

static double next_uniform(uint64_t *random) /* 0..1 */
{
    *random = *random * 6364136223846793005U + 1442695040888963407U;
    return (double)(*random >> 40) / 16777216.0;
}

/* logit = offset + 2 x0 - 1.5 x1, and nothing from x2. Of a probability the values are drawn. */
static void make(struct problem *p, enum head_kind kind, double offset)
{
    uint64_t random = 6;
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t i = 0; i < INPUTS; i++) {
            p->x[r][i] = (float)(4.0 * next_uniform(&random) - 2.0);
        }
        double logit = offset + 2.0 * (double)p->x[r][0] - 1.5 * (double)p->x[r][1];
        bool is_one = next_uniform(&random) < 1.0 / (1.0 + softmax_exp(-logit));
        float value = kind == HEAD_SCORE ? (float)logit : (float)is_one;
        p->rows[r] = (struct fit_head_row){p->x[r], value, (uint32_t)(r % GROUPS)};
    }
    p->task = (struct fit_head_task){p->rows, ROWS, INPUTS, kind, 1.0};
}

static struct problem problem; /* too large for the stack */

static void a_probability_is_found(void **state)
{
    struct fit_head_report report;
    float weights[INPUTS];
    float bias = 0.0F;

    (void)state;
    make(&problem, HEAD_PROBABILITY, 0.5);
    assert_int_equal(fit_head(&problem.task, weights, &bias, NULL, &report), ST_OK);

    assert_true(fabsf(weights[0] - 2.0F) < 0.2F);
    assert_true(fabsf(weights[1] + 1.5F) < 0.2F);
    assert_true(fabsf(weights[2]) < 0.15F);
    assert_true(fabsf(bias - 0.5F) < 0.15F);
    assert_int_equal(report.group_count, GROUPS);
    assert_int_equal(report.all.rows, ROWS);
    assert_true(report.all.auc > 0.85 && report.all.auc < 0.99);
    assert_true(report.all.error < report.all.mean_error);
    assert_true(fabs(report.all.mean - report.all.predicted) < 0.02);
}

static void a_score_is_found(void **state)
{
    struct fit_head_report report;
    float weights[INPUTS];
    float bias = 0.0F;

    (void)state;
    make(&problem, HEAD_SCORE, -3.0);
    assert_int_equal(fit_head(&problem.task, weights, &bias, NULL, &report), ST_OK);

    assert_true(fabsf(weights[0] - 2.0F) < 0.01F);
    assert_true(fabsf(weights[1] + 1.5F) < 0.01F);
    assert_true(fabsf(bias + 3.0F) < 0.01F);
    assert_true(report.all.error < 0.01);
}

static void shares_as_values_are_as_good_as_drawn_ones(void **state)
{
    struct fit_head_report report;
    float weights[INPUTS];
    float bias = 0.0F;

    (void)state;
    make(&problem, HEAD_PROBABILITY, 0.0);
    for (size_t r = 0; r < ROWS; r++) {
        double logit = 2.0 * (double)problem.x[r][0] - 1.5 * (double)problem.x[r][1];
        problem.rows[r].value = (float)(1.0 / (1.0 + softmax_exp(-logit)));
    }
    assert_int_equal(fit_head(&problem.task, weights, &bias, NULL, &report), ST_OK);

    assert_true(fabsf(weights[0] - 2.0F) < 0.05F);
    assert_true(report.all.error < 0.02);
}

/* Sources whose values are higher for no reason that an input shows. */
static void offsets_of_groups_do_not_bend_the_weights(void **state)
{
    struct fit_head_report report;
    float weights[INPUTS];
    float bias = 0.0F;

    (void)state;
    make(&problem, HEAD_SCORE, 0.0);
    for (size_t r = 0; r < ROWS; r++) { /* and x2 says which source it is */
        problem.rows[r].group = r % 2;
        problem.x[r][2] += r % 2 == 0 ? 4.0F : 0.0F;
        problem.rows[r].value += r % 2 == 0 ? 10.0F : 0.0F;
    }
    assert_int_equal(fit_head(&problem.task, weights, &bias, NULL, &report), ST_OK);

    assert_true(fabsf(weights[2]) < 0.1F);
    assert_true(fabsf(bias - 5.0F) < 0.2F);
}

static void rows_left_out_teach_nothing_about_themselves(void **state)
{
    static float said[ROWS];
    struct fit_head_report report;
    float weights[INPUTS];
    float bias = 0.0F;
    uint64_t random = 77;

    (void)state;
    make(&problem, HEAD_PROBABILITY, 0.0);
    for (size_t r = 0; r < ROWS; r++) { /* nothing to learn */
        problem.rows[r].value = next_uniform(&random) < 0.3 ? 1.0F : 0.0F;
    }
    assert_int_equal(fit_head(&problem.task, weights, &bias, said, &report), ST_OK);

    assert_true(fabs(report.all.auc - 0.5) < 0.06);
    for (size_t r = 0; r < ROWS; r++) {
        assert_true(said[r] > 0.15F && said[r] < 0.45F); /* calibrated: says the mean */
    }
}

static void the_same_rows_give_the_same_bits(void **state)
{
    struct fit_head_report report;
    float first[INPUTS + 1];
    float again[INPUTS + 1];

    (void)state;
    make(&problem, HEAD_PROBABILITY, 0.5);
    assert_int_equal(fit_head(&problem.task, first, &first[INPUTS], NULL, &report), ST_OK);
    assert_int_equal(fit_head(&problem.task, again, &again[INPUTS], NULL, &report), ST_OK);

    assert_memory_equal(first, again, sizeof first);
}

static void rows_that_cannot_be_fitted_are_refused(void **state)
{
    static const struct {
        const char *why;
        float value; /* of the first row */
        uint32_t group;
        size_t count;
        enum head_kind kind;
    } cases[] = {
        {"no rows", 0.0F, 0, 0, HEAD_PROBABILITY},
        {"one group", 0.0F, 0, 1, HEAD_PROBABILITY},
        {"too large", 1.5F, 0, ROWS, HEAD_PROBABILITY},
        {"too small", -0.1F, 0, ROWS, HEAD_PROBABILITY},
        {"no number", NAN, 0, ROWS, HEAD_PROBABILITY},
        {"no score", NAN, 0, ROWS, HEAD_SCORE},
        {"too many groups", 0.0F, FIT_HEAD_GROUPS_MAX, ROWS, HEAD_PROBABILITY},
    };
    struct fit_head_report report;
    float weights[INPUTS];
    float bias = 0.0F;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make(&problem, HEAD_PROBABILITY, 0.0);
        problem.rows[0].value = cases[i].value;
        problem.rows[0].group = cases[i].group;
        problem.task.count = cases[i].count;
        problem.task.kind = cases[i].kind;
        if (fit_head(&problem.task, weights, &bias, NULL, &report) != ST_INVALID) {
            fail_msg("accepted: %s", cases[i].why);
        }
    }
}

static void values_that_are_all_the_same_are_refused(void **state)
{
    struct fit_head_report report;
    float weights[INPUTS];
    float bias = 0.0F;

    (void)state;
    make(&problem, HEAD_PROBABILITY, 0.0);
    for (size_t r = 0; r < ROWS; r++) {
        problem.rows[r].value = 1.0F;
    }

    assert_int_equal(fit_head(&problem.task, weights, &bias, NULL, &report), ST_INVALID);
}

static void every_failing_allocation_is_clean(void **state)
{
    struct fit_head_report report;
    float weights[INPUTS];
    float bias = 0.0F;
    enum status st = ST_NO_MEMORY;
    uint64_t nth = 0;

    (void)state;
    make(&problem, HEAD_PROBABILITY, 0.0);
    problem.task.count = 50;
    while (st == ST_NO_MEMORY) {
        mem_fail_at(++nth, 0);
        st = fit_head(&problem.task, weights, &bias, NULL, &report);
        mem_fail_at(0, 0);
    }

    assert_int_equal(st, ST_OK);
    assert_int_equal(nth,
                     16); /* 1 + 6, 1 + 1 + 6 of the calibration, and one more than there are */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probability_is_found),
        cmocka_unit_test(a_score_is_found),
        cmocka_unit_test(shares_as_values_are_as_good_as_drawn_ones),
        cmocka_unit_test(offsets_of_groups_do_not_bend_the_weights),
        cmocka_unit_test(rows_left_out_teach_nothing_about_themselves),
        cmocka_unit_test(the_same_rows_give_the_same_bits),
        cmocka_unit_test(rows_that_cannot_be_fitted_are_refused),
        cmocka_unit_test(values_that_are_all_the_same_are_refused),
        cmocka_unit_test(every_failing_allocation_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
