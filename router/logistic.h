/* A logistic regression of few against many: rows of a dense part (the same numbers in each) and a
 * sparse one (few of many numbers), labels yes and no, both sides of the same total weight, L2 on
 * everything but the bias.
 *
 *     minimise  sum over rows weight * log(1 + exp(-+ (bias + w x)))  +  |w|^2 / 2
 *
 * Nesterov's accelerated gradient with a step from power iteration; a fixed number of steps.
 * Deterministic: the same rows give the same bits on every machine. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct logistic_rows {   /* borrowed */
    size_t count;        /* rows */
    size_t dense;        /* numbers of the dense part, a multiple of 4 */
    size_t sparse;       /* columns of the sparse part */
    const float *x;      /* [count][dense] */
    const size_t *start; /* [count + 1]: where a row begins in columns and values */
    const uint32_t *columns;
    const float *values;
};

enum logistic_side {
    LOGISTIC_OUT, /* takes no part */
    LOGISTIC_NO,
    LOGISTIC_YES,
};

/* ret_weights: dense + sparse + 1 numbers, the bias last. At least one row on each side.
 * ST_NO_MEMORY. */
MUST_CHECK enum status logistic_fit(const struct logistic_rows *rows, const uint8_t *sides,
                                    float *ret_weights);

/* bias + w x of a row. */
float logistic_score(const struct logistic_rows *rows, size_t row, const float *weights);
