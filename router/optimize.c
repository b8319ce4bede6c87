/* See optimize.h. The only file that knows the solver. Columns: x of category 0, 1, ... by expert,
 * then y by expert. */
#include "router/optimize.h"

#ifdef EXPERTD_CBC
#    include <coin/Cbc_C_Interface.h>
#endif

#include "base/mem.h"

static double worth(const struct optimize_problem *p, size_t category, size_t expert)
{
    double cost = p->cost != NULL ? p->lambda * p->cost[expert] : 0.0;
    return p->weights[category] * (p->scores[category * p->experts + expert] - cost);
}

double optimize_value(const struct optimize_problem *problem, const size_t *experts)
{
    double sum = 0.0;
    for (size_t c = 0; c < problem->categories; c++) {
        sum += worth(problem, c, experts[c]);
    }
    return sum;
}

static double used(const struct optimize_problem *p, const struct optimize_budget *budget,
                   const size_t *experts)
{
    double sum = 0.0;
    for (size_t c = 0; c < p->categories; c++) {
        bool is_new = true;
        for (size_t before = 0; before < c; before++) {
            is_new = is_new && experts[before] != experts[c];
        }
        double share = budget->kind == OPTIMIZE_PER_REQUEST ? p->weights[c] : (double)is_new;
        sum += share * budget->amounts[experts[c]];
    }
    return sum;
}

bool optimize_fits(const struct optimize_problem *problem, const size_t *experts)
{
    for (size_t i = 0; i < problem->budget_count; i++) {
        const struct optimize_budget *budget = &problem->budgets[i];
        double slack = 1e-9 * (budget->most > 1.0 ? budget->most : 1.0);
        if (used(problem, budget, experts) > budget->most + slack) {
            return false;
        }
    }
    return true;
}

#ifdef EXPERTD_CBC

struct row { /* of the programme, while it is written */
    int *columns;
    double *factors;
    int count;
};

static void put(struct row *row, size_t column, double factor)
{
    row->columns[row->count] = (int)column;
    row->factors[row->count++] = factor;
}

static void add(Cbc_Model *model, const struct row *row, char sense, double right)
{
    Cbc_addRow(model, "", row->count, row->columns, row->factors, sense, right);
}

static void write_choices(const struct optimize_problem *p, Cbc_Model *model, struct row *row)
{
    size_t y = p->categories * p->experts;
    for (size_t c = 0; c < p->categories; c++) {
        row->count = 0;
        for (size_t e = 0; e < p->experts; e++) {
            put(row, c * p->experts + e, 1.0);
        }
        add(model, row, 'E', 1.0);
    }
    for (size_t i = 0; i < y; i++) {
        row->count = 0;
        put(row, i, 1.0);
        put(row, y + i % p->experts, -1.0);
        add(model, row, 'L', 0.0);
    }
}

static void write_budgets(const struct optimize_problem *p, Cbc_Model *model, struct row *row)
{
    size_t y = p->categories * p->experts;
    for (size_t b = 0; b < p->budget_count; b++) {
        const struct optimize_budget *budget = &p->budgets[b];
        row->count = 0;
        for (size_t e = 0; e < p->experts && budget->kind == OPTIMIZE_HOSTED; e++) {
            put(row, y + e, budget->amounts[e]);
        }
        for (size_t i = 0; i < y && budget->kind == OPTIMIZE_PER_REQUEST; i++) {
            put(row, i, p->weights[i / p->experts] * budget->amounts[i % p->experts]);
        }
        add(model, row, 'L', budget->most);
    }
}

static enum status read_solution(const struct optimize_problem *p, Cbc_Model *model,
                                 size_t *ret_experts)
{
    const double *x = Cbc_bestSolution(model);
    if (Cbc_isProvenOptimal(model) == 0 || x == NULL) {
        return Cbc_isProvenInfeasible(model) != 0 ? ST_NOT_FOUND : ST_CLOSED;
    }
    for (size_t c = 0; c < p->categories; c++) {
        size_t best = 0;
        for (size_t e = 1; e < p->experts; e++) {
            best = x[c * p->experts + e] > x[c * p->experts + best] ? e : best;
        }
        ret_experts[c] = best;
    }
    return optimize_fits(p, ret_experts) ? ST_OK : ST_CLOSED;
}

static enum status solve(const struct optimize_problem *p, Cbc_Model *model, struct row *row,
                         size_t *ret_experts)
{
    size_t y = p->categories * p->experts;
    Cbc_setLogLevel(model, 0);
    Cbc_setParameter(model, "slogLevel", "0"); /* the linear solver below it is silent too */
    Cbc_setObjSense(model, -1.0);              /* maximise */
    Cbc_setAllowableGap(model, 0.0);
    Cbc_setAllowableFractionGap(model, 0.0);
    for (size_t i = 0; i < y + p->experts; i++) {
        double value = i < y ? worth(p, i / p->experts, i % p->experts) : 0.0;
        Cbc_addCol(model, "", 0.0, 1.0, value, 1, 0, NULL, NULL);
    }
    write_choices(p, model, row);
    write_budgets(p, model, row);
    (void)Cbc_solve(model); /* what came of it is asked below */
    return read_solution(p, model, ret_experts);
}

bool optimize_is_built_in(void)
{
    return true;
}

enum status optimize_solve(const struct optimize_problem *problem, size_t *ret_experts,
                           double *ret_value)
{
    if (problem->categories > OPTIMIZE_CHOICES_MAX / problem->experts ||
        problem->budget_count > OPTIMIZE_BUDGETS_MAX) {
        return ST_TOO_BIG;
    }
    size_t columns = (problem->categories + 1) * problem->experts;
    struct row row = {.columns = mem_zalloc(columns, sizeof *row.columns),
                      .factors = mem_zalloc(columns, sizeof *row.factors)};
    size_t *experts = mem_zalloc(problem->categories, sizeof *experts);
    enum status st = ST_NO_MEMORY;
    if (row.columns != NULL && row.factors != NULL && experts != NULL) {
        Cbc_Model *model = Cbc_newModel();
        st = solve(problem, model, &row, experts);
        Cbc_deleteModel(model);
    }
    for (size_t c = 0; st == ST_OK && c < problem->categories; c++) {
        ret_experts[c] = experts[c];
    }
    if (st == ST_OK) {
        *ret_value = optimize_value(problem, experts);
    }
    mem_free(row.columns);
    mem_free(row.factors);
    mem_free(experts);
    return st;
}

#else

bool optimize_is_built_in(void)
{
    return false;
}

enum status optimize_solve(const struct optimize_problem *problem, size_t *ret_experts,
                           double *ret_value)
{
    (void)problem;
    (void)ret_experts;
    (void)ret_value;
    return ST_CLOSED;
}

#endif
