/* Fits one head (heads.h): logistic regression for a probability, ridge regression for a score, by
 * Newton's method. Inputs are standardised while fitting. A probability is calibrated on
 * predictions for rows that its fit left out, group by group (Platt), and judged on the same.
 * Deterministic: no randomness, sums in row order.
 * Source: Platt, "Probabilistic Outputs for Support Vector Machines" (1999). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "router/heads.h"

enum {
    FIT_HEAD_GROUPS_MAX = 16,
};

struct fit_head_row {
    const float *x; /* inputs numbers */
    float value;    /* of a probability: 0..1 */
    uint32_t group; /* left out together */
};

struct fit_head_figures { /* of predictions for rows that were left out */
    size_t rows;
    double mean;       /* of the values */
    double predicted;  /* mean of what was predicted */
    double auc;        /* a value's share of 1 ranks before its share of 0; of scores: 0 */
    double error;      /* root of the mean squared error */
    double mean_error; /* the same of always saying the mean */
};

struct fit_head_report {
    struct fit_head_figures all;
    struct fit_head_figures groups[FIT_HEAD_GROUPS_MAX];
    size_t group_count;
};

struct fit_head_task {
    const struct fit_head_row *rows;
    size_t count;
    size_t inputs;
    enum head_kind kind;
    double ridge; /* pull of standardised weights towards zero, as if by so many rows */
};

/* Fits. ret_weights: inputs numbers; ret_left_out: a prediction per row by a fit without its group,
 * or NULL. ST_NO_MEMORY; ST_INVALID: fewer than two groups, or more than FIT_HEAD_GROUPS_MAX, a
 * value that is no number or, of a probability, outside 0..1, or values that are all the same. */
MUST_CHECK enum status fit_head(const struct fit_head_task *task, float *ret_weights,
                                float *ret_bias, float *ret_left_out,
                                struct fit_head_report *ret_report);
