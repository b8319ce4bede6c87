/* Shrinkage and choice on tables small enough to check by hand, and on drawn ones. */
#include <math.h>

#include "base/mem.h"
#include "router/mapping.h"
#include "tests/support/test.h"

enum {
    CATEGORIES = 10,
    EXPERTS = 8,
    CELLS = CATEGORIES * EXPERTS,
};

static void raw_scores_are_shares(void **state)
{
    static const struct score_cell cells[] = {{3.0, 4.0}, {0.0, 0.0}, {0.0, 2.0}, {5.0, 5.0}};
    struct mapping_grid grid = {cells, 2, 2};
    double scores[4];
    struct mapping_fit fit;
    (void)state;

    assert_int_equal(mapping_scores(&grid, MAPPING_RAW, scores, &fit), ST_OK);

    assert_float_equal(scores[0], 0.75, 1e-12);
    assert_float_equal(scores[1], 0.5, 1e-12);
    assert_float_equal(scores[2], 0.0, 1e-12);
    assert_float_equal(scores[3], 1.0, 1e-12);
    assert_float_equal(fit.samples, 0.0, 1e-12);
}

static void a_cell_without_samples_gets_its_target(void **state)
{
    /* experts .8 and .4; the second category is asked of the first expert only, half as good */
    static const struct score_cell cells[] = {{80.0, 100.0}, {40.0, 100.0}, {40.0, 100.0}, {0, 0}};
    struct mapping_grid grid = {cells, 2, 2};
    double scores[4];
    (void)state;

    assert_int_equal(mapping_scores(&grid, MAPPING_EXPERT, scores, NULL), ST_OK);
    assert_float_equal(scores[3], 0.4, 1e-12);

    assert_int_equal(mapping_scores(&grid, MAPPING_ADDITIVE, scores, NULL), ST_OK);
    assert_float_equal(scores[3], 0.2, 1e-12); /* first expert: mean .6, here .2 below it */
}

static void many_samples_speak_for_themselves(void **state)
{
    static const struct score_cell cells[] = {{9e6, 1e7}, {2e6, 1e7}, {1e6, 1e7}, {8e6, 1e7}};
    static const double want[] = {0.9, 0.2, 0.1, 0.8};

    static const enum mapping_target targets[] = {MAPPING_EXPERT, MAPPING_ADDITIVE};
    struct mapping_grid grid = {cells, 2, 2};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        double scores[4];
        assert_int_equal(mapping_scores(&grid, targets[i], scores, NULL), ST_OK);
        for (size_t k = 0; k < 4; k++) {
            assert_float_equal(scores[k], want[k], 1e-4);
        }
    }
}

static void cells_that_agree_fall_on_their_target(void **state)
{
    static const struct score_cell cells[] = {{5.0, 10.0}, {8.0, 10.0}, {5.0, 10.0}, {8.0, 10.0}};
    struct mapping_grid grid = {cells, 2, 2};
    double scores[4];
    struct mapping_fit fit;
    (void)state;

    assert_int_equal(mapping_scores(&grid, MAPPING_EXPERT, scores, &fit), ST_OK);

    assert_float_equal(scores[0], 0.5, 1e-12);
    assert_float_equal(scores[3], 0.8, 1e-12);
    assert_float_equal(fit.variance, 0.0, 1e-12);
    assert_true(isinf(fit.samples));
}

static double draw(uint64_t *random)
{
    *random = *random * 6364136223846793005U + 1442695040888963407U;
    return (double)(*random >> 11) / 9007199254740992.0;
}

/* Mean squared error of the three estimates on tables drawn from experts + categories + own. */
static void draw_table(uint64_t seed, double own, double *ret_errors)
{
    double truth[CELLS];
    double ease[CATEGORIES];
    struct score_cell cells[CELLS];
    uint64_t random = seed;
    for (size_t c = 0; c < CATEGORIES; c++) {
        ease[c] = 0.3 * (draw(&random) - 0.5);
    }
    for (size_t i = 0; i < CELLS; i++) {
        double expert = 0.3 + 0.4 * (double)(i % EXPERTS) / EXPERTS;
        truth[i] = expert + ease[i / EXPERTS] + own * (draw(&random) - 0.5);
        cells[i] = (struct score_cell){0.0, 20.0};
        for (int n = 0; n < 20; n++) {
            cells[i].right += draw(&random) < truth[i] ? 1.0 : 0.0;
        }
    }
    struct mapping_grid grid = {cells, CATEGORIES, EXPERTS};
    for (size_t target = 0; target < 3; target++) {
        double scores[CELLS];
        assert_int_equal(mapping_scores(&grid, (enum mapping_target)target, scores, NULL), ST_OK);
        for (size_t i = 0; i < CELLS; i++) {
            ret_errors[target] += (scores[i] - truth[i]) * (scores[i] - truth[i]) / CELLS;
        }
    }
}

static void shrinkage_lowers_the_error_at_twenty_samples(void **state)
{
    static const double own[] = {0.0, 0.1, 0.2};
    (void)state;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        double errors[3] = {0};
        for (uint64_t seed = 1; seed <= 40; seed++) {
            draw_table(seed, own[i], errors);
        }
        assert_true(errors[MAPPING_EXPERT] < 0.75 * errors[MAPPING_RAW]);
        assert_true(errors[MAPPING_ADDITIVE] < 0.75 * errors[MAPPING_EXPERT]);
    }
}

static void the_best_expert_is_chosen_net_of_its_cost(void **state)
{
    static const double scores[] = {0.5, 0.8, 0.8, 0.7};
    static const double cost[] = {1.0, 70.0, 71.0, 8.0};

    static const struct {
        double lambda;
        size_t want;
    } cases[] = {{0.0, 1}, {0.001, 1}, {0.005, 3}, {0.1, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(mapping_best(scores, cost, 4, cases[i].lambda), cases[i].want);
    }
    assert_int_equal(mapping_best(scores, NULL, 4, 1.0), 1);
}

static void running_out_of_memory_is_said(void **state)
{
    static const struct score_cell cells[] = {{1.0, 2.0}};
    struct mapping_grid grid = {cells, 1, 1};
    double score = -1.0;
    (void)state;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fail_at(nth, 0);
        enum status st = mapping_scores(&grid, MAPPING_EXPERT, &score, NULL);
        mem_fail_at(0, 0);
        assert_int_equal(st, ST_NO_MEMORY);
        assert_float_equal(score, -1.0, 1e-12);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_scores_are_shares),
        cmocka_unit_test(a_cell_without_samples_gets_its_target),
        cmocka_unit_test(many_samples_speak_for_themselves),
        cmocka_unit_test(cells_that_agree_fall_on_their_target),
        cmocka_unit_test(shrinkage_lowers_the_error_at_twenty_samples),
        cmocka_unit_test(the_best_expert_is_chosen_net_of_its_cost),
        cmocka_unit_test(running_out_of_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
