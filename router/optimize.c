/* See optimize.h. The only file that knows the solver: its C interface is declared here, as
 * Cbc_C_Interface.h of 2.10 has it, and looked up in the library at the first solve. Columns: x of
 * category 0, 1, ... by expert, then y by expert. */
#include "router/optimize.h"

#include <dlfcn.h>
#include <string.h>

#include "base/mem.h"

static const char library_name[] = "libCbcSolver.so.3"; /* the number stands for its interface */

typedef void Cbc_Model;

/* All that is called, a row each: what it returns, its name, its parameters. */
#define CBC_FUNCTIONS(FUNCTION)                                                                    \
    FUNCTION(Cbc_Model *, newModel, (void))                                                        \
    FUNCTION(void, deleteModel, (Cbc_Model *))                                                     \
    FUNCTION(void, setLogLevel, (Cbc_Model *, int))                                                \
    FUNCTION(void, setParameter, (Cbc_Model *, const char *, const char *))                        \
    FUNCTION(void, setObjSense, (Cbc_Model *, double))                                             \
    FUNCTION(void, setAllowableGap, (Cbc_Model *, double))                                         \
    FUNCTION(void, setAllowableFractionGap, (Cbc_Model *, double))                                 \
    FUNCTION(void, addCol,                                                                         \
             (Cbc_Model *, const char *, double, double, double, char, int, int *, double *))      \
    FUNCTION(void, addRow,                                                                         \
             (Cbc_Model *, const char *, int, const int *, const double *, char, double))          \
    FUNCTION(int, solve, (Cbc_Model *))                                                            \
    FUNCTION(const double *, bestSolution, (Cbc_Model *))                                          \
    FUNCTION(int, isProvenOptimal, (Cbc_Model *))                                                  \
    FUNCTION(int, isProvenInfeasible, (Cbc_Model *))

#define MEMBER(type, name, parameters) type(*name) parameters;
#define SYMBOL(type, name, parameters) "Cbc_" #name,

static struct {
    CBC_FUNCTIONS(MEMBER)
} cbc; /* filled once by optimize_missing, never emptied: rule 38 broken for a library's symbols */

static const char *const symbols[] = {CBC_FUNCTIONS(SYMBOL)};

enum {
    SYMBOLS = sizeof symbols / sizeof symbols[0]
};

_Static_assert(sizeof cbc == SYMBOLS * sizeof(void *), "a pointer per symbol, without gaps");

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
    cbc.addRow(model, "", row->count, row->columns, row->factors, sense, right);
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
    const double *x = cbc.bestSolution(model);
    if (cbc.isProvenOptimal(model) == 0 || x == NULL) {
        return cbc.isProvenInfeasible(model) != 0 ? ST_NOT_FOUND : ST_CLOSED;
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
    cbc.setLogLevel(model, 0);
    cbc.setParameter(model, "slogLevel", "0"); /* the linear solver below it is silent too */
    cbc.setObjSense(model, -1.0);              /* maximise */
    cbc.setAllowableGap(model, 0.0);
    cbc.setAllowableFractionGap(model, 0.0);
    for (size_t i = 0; i < y + p->experts; i++) {
        double value = i < y ? worth(p, i / p->experts, i % p->experts) : 0.0;
        cbc.addCol(model, "", 0.0, 1.0, value, 1, 0, NULL, NULL);
    }
    write_choices(p, model, row);
    write_budgets(p, model, row);
    (void)cbc.solve(model); /* what came of it is asked below */
    return read_solution(p, model, ret_experts);
}

const char *optimize_missing(void)
{
    void *found[SYMBOLS];
    if (cbc.newModel != NULL) {
        return NULL;
    }
    void *library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; library != NULL && i < SYMBOLS; i++) {
        found[i] = dlsym(library, symbols[i]);
        if (found[i] == NULL) {
            (void)dlclose(library); /* there is nothing to do about a failure */
            return "libCbcSolver.so.3 is not the solver that was expected: a function is missing";
        }
    }
    if (library == NULL) {
        return "the solver libCbcSolver.so.3 is not installed or cannot be loaded: on Debian, "
               "apt-get install coinor-libcbc3";
    }
    memcpy(&cbc, found, sizeof cbc);
    return NULL;
}

enum status optimize_solve(const struct optimize_problem *problem, size_t *ret_experts,
                           double *ret_value)
{
    if (optimize_missing() != NULL) {
        return ST_CLOSED;
    }
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
        Cbc_Model *model = cbc.newModel();
        st = solve(problem, model, &row, experts);
        cbc.deleteModel(model);
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
