/* What calls to a strong model buy: the curve of performance over the share of questions that go to
 * it, and the three figures of RouteLLM (arXiv 2406.18665, section 2 and its evaluation program):
 * questions are ordered by the router's score; at each of eleven shares 0, 10, ... 100 % the
 * highest scores go to the strong model; straight lines between.
 *     PGR(share)  performance gap recovered: (right - weak alone) / (strong alone - weak alone)
 *     APGR        area under PGR over the share
 *     CPT(x)      least share at which PGR reaches x */
#pragma once

#include <stddef.h>

enum {
    CURVE_POINTS = 11
};

struct curve {
    double pgr[CURVE_POINTS]; /* at share i / (CURVE_POINTS - 1) */
    double apgr;
    double cpt50; /* share of strong calls, 0..1 */
    double cpt80;
};

struct curve_row {
    double score; /* the higher, the sooner to the strong model; equal scores in the rows' order */
    size_t order; /* set by curve_make */
    int gain;     /* strong is right minus weak is right */
};

/* Sorts the rows. The strong model must be the better one over all rows. */
void curve_make(struct curve_row *rows, size_t count, struct curve *ret_curve);
