/* From counts to a mapping category -> expert: scores that few samples do not fool, and the choice
 * of an expert by them. Pure. `scores` and `cells` are rows of experts, one per category:
 * [category * expert_count + expert], as score_table_cells gives them. */
#pragma once

#include <stddef.h>

#include "base/status.h"
#include "router/score_table.h"

struct mapping_grid { /* borrowed */
    const struct score_cell *cells;
    size_t categories;
    size_t experts;
};

/* What a cell is pulled towards when its own samples are few. */
enum mapping_target {
    MAPPING_RAW,      /* nothing: the share of right answers; 0.5 where nobody asked */
    MAPPING_EXPERT,   /* the expert's share over all categories */
    MAPPING_ADDITIVE, /* that plus how much easier or harder the category is for all experts */
};

struct mapping_fit {
    double variance; /* of true scores around their target, by the method of moments */
    double samples;  /* as many samples as a target is worth: a cell with so many stands halfway;
                      * infinite when the cells differ no more than chance explains */
};

/* Empirical-Bayes estimates of the true scores: with x the share of right answers of a cell, t its
 * target, n its count and v the variance between cells beyond what sampling explains,
 *     score = (v * x + t (1 - t) / n * t) / (v + t (1 - t) / n)
 * (Morris 1983, with the variance by moments). A cell without samples gets its target. ST_NO_MEMORY.
 * ret_fit may be NULL. */
MUST_CHECK enum status mapping_scores(const struct mapping_grid *grid, enum mapping_target target,
                                      double *ret_scores, struct mapping_fit *ret_fit);

/* The expert with the highest score - lambda * cost; the first of equals. cost NULL: no costs.
 * `scores` is one row; experts >= 1. */
size_t mapping_best(const double *scores, const double *cost, size_t experts, double lambda);
