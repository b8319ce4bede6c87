/* See curve.h. */
#include "bench/routing/curve.h"

#include <stdlib.h>

static int by_score(const void *left, const void *right)
{
    const struct curve_row *a = left;
    const struct curve_row *b = right;
    if (a->score > b->score || a->score < b->score) {
        return a->score > b->score ? -1 : 1;
    }
    return a->order < b->order ? -1 : a->order > b->order;
}

static double share_of(size_t point)
{
    return (double)point / (CURVE_POINTS - 1);
}

/* The first crossing of the straight lines with the level. */
static double call_share(const struct curve *c, double level)
{
    for (size_t i = 1; i < CURVE_POINTS; i++) {
        if (c->pgr[i] >= level) {
            double rise = c->pgr[i] - c->pgr[i - 1];
            double part = rise > 0.0 ? (level - c->pgr[i - 1]) / rise : 1.0;
            return share_of(i - 1) + part * (share_of(i) - share_of(i - 1));
        }
    }
    return 1.0;
}

void curve_make(struct curve_row *rows, size_t count, struct curve *ret_curve)
{
    struct curve curve = {0};
    for (size_t i = 0; i < count; i++) {
        rows[i].order = i;
    }
    qsort(rows, count, sizeof *rows, by_score);
    double all = 0.0;
    for (size_t i = 0; i < count; i++) {
        all += rows[i].gain;
    }
    double sum = 0.0;
    size_t at = 0;
    for (size_t i = 0; i < CURVE_POINTS; i++) {
        for (; at < (size_t)(share_of(i) * (double)count + 0.5); at++) {
            sum += rows[at].gain;
        }
        curve.pgr[i] = sum / all;
    }
    for (size_t i = 1; i < CURVE_POINTS; i++) {
        curve.apgr += (curve.pgr[i] + curve.pgr[i - 1]) / 2.0 / (CURVE_POINTS - 1);
    }
    curve.cpt50 = call_share(&curve, 0.5);
    curve.cpt80 = call_share(&curve, 0.8);
    *ret_curve = curve;
}
