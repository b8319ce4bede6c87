/* The mapping of Composition of Experts (arXiv 2412.01868) as a mixed-integer programme: which
 * experts to host and which of them each category gets, so that expected quality is highest within
 * budgets:
 *     max  sum_c weight[c] sum_e (score[c][e] - lambda cost[e]) x[c][e]
 *     sum_e x[c][e] = 1        x[c][e] <= y[e]        x, y in {0, 1}
 *     a hosted budget:         sum_e amount[e] y[e] <= most
 *     a budget per request:    sum_c weight[c] sum_e amount[e] x[c][e] <= most
 * Total parameters, memory and the number of experts are hosted budgets; price and latency are
 * budgets per request.
 *
 * Solved with CBC, which is loaded at the first solve: a program that never solves does without it
 * (docs/decisions/0011). Offline work: milliseconds for tens of
 * categories and experts, no bound in general. Not thread-safe: CBC is not. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum {
    OPTIMIZE_BUDGETS_MAX = 8,
    OPTIMIZE_CHOICES_MAX = 32768, /* categories * experts */
};

enum optimize_kind {
    OPTIMIZE_HOSTED,
    OPTIMIZE_PER_REQUEST,
};

struct optimize_budget {
    const double *amounts; /* per expert, not negative */
    double most;
    enum optimize_kind kind;
};

struct optimize_problem {  /* borrowed for the call; all numbers finite */
    const double *scores;  /* [category * experts + expert], see mapping.h */
    const double *weights; /* share of the requests per category, not negative */
    size_t categories;     /* at least 1 */
    size_t experts;        /* at least 1 */
    const double *cost;    /* per expert; NULL: none */
    double lambda;         /* score that one unit of cost must buy */
    const struct optimize_budget *budgets;
    size_t budget_count;
};

/* Loads the solver. NULL: it is there; else a sentence that says what is missing and how to get it,
 * and optimize_solve returns ST_CLOSED. */
const char *optimize_missing(void);

/* The best mapping: ret_experts gets the expert of each category, *ret_value what it is worth.
 * ST_NOT_FOUND: nothing fits the budgets; ST_NO_MEMORY; ST_TOO_BIG: more choices or budgets than the ceilings;
 * ST_CLOSED: no solver, or it gave up. */
MUST_CHECK enum status optimize_solve(const struct optimize_problem *problem, size_t *ret_experts,
                                      double *ret_value);

/* What a mapping is worth. */
double optimize_value(const struct optimize_problem *problem, const size_t *experts);

/* Whether it keeps all budgets, within a billionth of each. */
bool optimize_fits(const struct optimize_problem *problem, const size_t *experts);
