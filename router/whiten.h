/* Whitening: the change of coordinates after which rows spread the same way in every direction, so
 * that a penalty on weights costs the same everywhere. With C the mean of x x' over the rows,
 *
 *     L L' = C / mean of its diagonal + WHITEN_FLOOR I      y = L^-1 x
 *
 * Rows must be centred. Pure; deterministic. */
#pragma once

#include <stddef.h>

enum {
    WHITEN_DIMS_MAX = 256
};

static const double WHITEN_FLOOR = 0.03; /* of the mean spread: below, directions are noise */

struct whiten {
    size_t dims;
    double l[WHITEN_DIMS_MAX * (WHITEN_DIMS_MAX + 1) / 2]; /* lower triangle, row by row */
};

/* Of `count` rows, `stride` apart; at most WHITEN_DIMS_MAX dims. Rows of zeros give a plain scale. */
void whiten_init(struct whiten *w, const float *rows, size_t count, size_t stride, size_t dims);

/* y = L^-1 x, in place. */
void whiten_row(const struct whiten *w, float *x);

/* What the weights of a whitened row are for the row as it was: L'^-1 w, in place. */
void whiten_weights(const struct whiten *w, float *weights);
