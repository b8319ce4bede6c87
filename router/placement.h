/* Which experts to host and which category gets which of them, from a table of evaluation results
 * to a mapping and the frontier of mappings around it. Joins score_table.h, mapping.h and
 * optimize.h; placement_write.h prints what comes out. Offline work, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "router/mapping.h"
#include "router/score_table.h"

enum {
    PLACEMENT_POINTS_MAX = 40, /* of a frontier */
    PLACEMENT_LEAST_ANSWERS = 10,
};

struct placement_expert {
    struct str name;             /* borrowed from the table */
    double traits[SCORE_TRAITS]; /* NaN: not known */
    double n;                    /* answers, over all categories */
    double mean;                 /* of them, the share that is right */
    struct score_answers answers;
    size_t index; /* in the table */
};

struct placement_budgets { /* HUGE_VAL: none */
    double most[SCORE_TRAITS];
    double experts;
};

struct placement_cost { /* what lambda is paid for */
    bool is_known;      /* false: no trait that all experts have, and lambda is nothing */
    enum score_trait trait;
    double lambda;
};

struct placement { /* read-only to callers, but for what is said at the functions */
    const struct score_table *table;
    size_t categories;
    size_t experts;
    struct placement_expert *expert; /* traits may be changed before the first solve */
    double *shares;                  /* of the traffic per category; add up to 1 */
    struct score_cell *cells;        /* [category * experts + expert], as is scores */
    double *scores;                  /* shrunk */
    struct mapping_fit fit;
    struct placement_budgets budgets; /* set by the caller; no budgets after create */
    struct placement_cost cost;       /* set by the caller */
};

struct placement_point {
    double lambda;
    double quality;              /* expected score */
    double traits[SCORE_TRAITS]; /* per request, or of all hosted experts; NaN: not known */
    size_t hosted;
    size_t experts[SCORE_TABLE_CATEGORIES_MAX]; /* of each category */
};

struct placement_frontier {
    struct placement_point items[PLACEMENT_POINTS_MAX];
    size_t count;
};

/* What is odd about the answers of an expert. */
enum placement_suspicion {
    PLACEMENT_SOUND,
    PLACEMENT_SAME,  /* half of its answers or more are one and the same text */
    PLACEMENT_SHORT, /* a tenth of the median length, with a score that is not below the median */
    PLACEMENT_LONG,  /* ten times that */
};

/* Of the experts with is_used[index in the table]; NULL: of all. The table is borrowed and outlives
 * it. The shares are those of the table's counts. NULL: no memory. At least one category and one
 * expert. */
struct placement *placement_create(const struct score_table *table, const bool *is_used);
void placement_destroy(struct placement *p); /* NULL allowed */

/* The first trait that a budget or the cost needs and an expert lacks; false: none is missing. */
bool placement_lacks(const struct placement *p, enum score_trait *ret_trait, size_t *ret_expert);

/* Price, else latency, parameters, memory: the first that all experts have; is_known false: none. */
struct placement_cost placement_default_cost(const struct placement *p);

/* The best mapping at p->cost. Statuses as optimize_solve. */
MUST_CHECK enum status placement_solve(const struct placement *p, struct placement_point *ret);

/* The different mappings that lambda leads to, from 0 (quality alone) to where cost alone decides;
 * all within the budgets. Statuses as optimize_solve. */
MUST_CHECK enum status placement_sweep(const struct placement *p, struct placement_frontier *ret);

/* All categories to one expert. False: the budgets do not allow it. */
bool placement_single(const struct placement *p, size_t expert, struct placement_point *ret);

/* Whether its answers look like those of a model that games its judge (a null model: arXiv
 * 2410.07137), as far as the table has answers or lengths; needs PLACEMENT_LEAST_ANSWERS. Repeated
 * answers count only when they are twice as common as the median expert's: a test of yes and no has
 * few answers. */
enum placement_suspicion placement_suspect(const struct placement *p, size_t expert);
