/* The solver against all mappings there are, on problems small enough to try them all. */
#include <math.h>

#include "base/mem.h"
#include "router/mapping.h"
#include "router/optimize.h"
#include "tests/support/test.h"

enum {
    INSTANCES = 200,
    CATEGORIES = 4,
    EXPERTS = 5,
    MAPPINGS = 625, /* EXPERTS to the power of CATEGORIES */
};

struct instance {
    double scores[CATEGORIES * EXPERTS];
    double weights[CATEGORIES];
    double params[EXPERTS];
    double ones[EXPERTS];
    double price[EXPERTS];
    struct optimize_budget budgets[3];
    struct optimize_problem problem;
};

static double draw(uint64_t *random)
{
    *random = *random * 6364136223846793005U + 1442695040888963407U;
    return (double)(*random >> 11) / 9007199254740992.0;
}

static void make(struct instance *i, uint64_t seed)
{
    uint64_t random = seed * 0x9e3779b97f4a7c15U;
    for (size_t k = 0; k < CATEGORIES * EXPERTS; k++) {
        i->scores[k] = draw(&random);
    }
    for (size_t c = 0; c < CATEGORIES; c++) {
        i->weights[c] = (0.5 + draw(&random)) / CATEGORIES;
    }
    for (size_t e = 0; e < EXPERTS; e++) {
        i->params[e] = 1.0 + 70.0 * draw(&random);
        i->price[e] = draw(&random);
        i->ones[e] = 1.0;
    }
    i->budgets[0] =
        (struct optimize_budget){i->params, 10.0 + 120.0 * draw(&random), OPTIMIZE_HOSTED};
    i->budgets[1] =
        (struct optimize_budget){i->ones, 1.0 + floor(4.0 * draw(&random)), OPTIMIZE_HOSTED};
    i->budgets[2] = (struct optimize_budget){i->price, 0.2 + draw(&random), OPTIMIZE_PER_REQUEST};
    i->problem = (struct optimize_problem){.scores = i->scores,
                                           .weights = i->weights,
                                           .categories = CATEGORIES,
                                           .experts = EXPERTS,
                                           .cost = i->params,
                                           .lambda = 0.01 * draw(&random),
                                           .budgets = i->budgets,
                                           .budget_count = 3};
}

/* The best of all mappings that fit; false: none does. */
static bool try_all(const struct optimize_problem *p, double *ret_value)
{
    bool is_any = false;
    for (size_t number = 0; number < MAPPINGS; number++) {
        size_t experts[CATEGORIES];
        size_t rest = number;
        for (size_t c = 0; c < CATEGORIES; c++) {
            experts[c] = rest % EXPERTS;
            rest /= EXPERTS;
        }
        double value = optimize_value(p, experts);
        if (optimize_fits(p, experts) && (!is_any || value > *ret_value)) {
            is_any = true;
            *ret_value = value;
        }
    }
    return is_any;
}

static void the_solver_is_as_good_as_trying_all_mappings(void **state)
{
    size_t solved = 0;
    (void)state;
    if (optimize_missing() != NULL) {
        print_message("SKIPPED: %s\n", optimize_missing());
        skip();
    }
    for (uint64_t seed = 1; seed <= INSTANCES; seed++) {
        static struct instance i;
        size_t experts[CATEGORIES] = {0};
        double value = 0.0;
        double best = 0.0;
        make(&i, seed);
        bool is_any = try_all(&i.problem, &best);

        enum status st = optimize_solve(&i.problem, experts, &value);

        assert_int_equal(st, is_any ? ST_OK : ST_NOT_FOUND);
        if (is_any) {
            assert_float_equal(value, best, 1e-7);
            assert_true(optimize_fits(&i.problem, experts));
            solved++;
        }
    }
    assert_in_range(solved, INSTANCES / 2, INSTANCES - 1); /* and some have no solution */
}

static void without_budgets_each_category_gets_its_best(void **state)
{
    static struct instance i;
    size_t experts[CATEGORIES] = {0};
    double value = 0.0;
    (void)state;
    if (optimize_missing() != NULL) {
        print_message("SKIPPED: %s\n", optimize_missing());
        skip();
    }
    make(&i, 7);
    i.problem.budget_count = 0;

    assert_int_equal(optimize_solve(&i.problem, experts, &value), ST_OK);

    for (size_t c = 0; c < CATEGORIES; c++) {
        assert_int_equal(experts[c],
                         mapping_best(i.scores + c * EXPERTS, i.params, EXPERTS, i.problem.lambda));
    }
}

static void a_budget_counts_a_hosted_expert_once(void **state)
{
    static struct instance i;
    static const size_t twice[CATEGORIES] = {1, 1, 2, 1};
    (void)state;
    make(&i, 3);
    i.problem.budget_count = 1;

    i.budgets[0].most = i.params[1] + i.params[2];
    assert_true(optimize_fits(&i.problem, twice));
    i.budgets[0].most -= 0.001;
    assert_false(optimize_fits(&i.problem, twice));
}

static void running_out_of_memory_is_said(void **state)
{
    static struct instance i;
    size_t experts[CATEGORIES];
    double value = 0.0;
    (void)state;
    if (optimize_missing() != NULL) {
        print_message("SKIPPED: %s\n", optimize_missing());
        skip();
    }
    make(&i, 1);
    for (uint64_t nth = 1; nth <= 3; nth++) {
        mem_fail_at(nth, 0);
        enum status st = optimize_solve(&i.problem, experts, &value);
        mem_fail_at(0, 0);
        assert_int_equal(st, ST_NO_MEMORY);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_solver_is_as_good_as_trying_all_mappings),
        cmocka_unit_test(without_budgets_each_category_gets_its_best),
        cmocka_unit_test(a_budget_counts_a_hosted_expert_once),
        cmocka_unit_test(running_out_of_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
