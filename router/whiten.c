/* See whiten.h. Does not centre. */
#include "router/whiten.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"

static size_t at(size_t row, size_t column)
{
    return row * (row + 1) / 2 + column;
}

/* The lower triangle of C, scaled and lifted. */
static void spread(struct whiten *w, const float *rows, size_t count, size_t stride)
{
    double trace = 0.0;
    memset(w->l, 0, sizeof w->l);
    for (size_t r = 0; r < count; r++) {
        const float *x = rows + r * stride;
        for (size_t i = 0; i < w->dims; i++) {
            for (size_t k = 0; k <= i; k++) {
                w->l[at(i, k)] += (double)x[i] * (double)x[k];
            }
        }
    }
    for (size_t i = 0; i < w->dims; i++) {
        trace += w->l[at(i, i)];
    }
    double scale = trace > 0.0 ? (double)w->dims / trace : 1.0;
    for (size_t i = 0; i < w->dims; i++) {
        for (size_t k = 0; k <= i; k++) {
            w->l[at(i, k)] = w->l[at(i, k)] * scale + (i == k ? WHITEN_FLOOR : 0.0);
        }
    }
}

/* Cholesky's decomposition, in place; the floor keeps the roots real. */
static void decompose(struct whiten *w)
{
    for (size_t i = 0; i < w->dims; i++) {
        for (size_t k = 0; k <= i; k++) {
            double sum = w->l[at(i, k)];
            for (size_t j = 0; j < k; j++) {
                sum -= w->l[at(i, j)] * w->l[at(k, j)];
            }
            w->l[at(i, k)] = i == k ? sqrt(sum) : sum / w->l[at(k, k)];
        }
    }
}

void whiten_init(struct whiten *w, const float *rows, size_t count, size_t stride, size_t dims)
{
    ASSERT(dims <= WHITEN_DIMS_MAX && dims <= stride);
    w->dims = dims;
    spread(w, rows, count, stride);
    decompose(w);
}

void whiten_row(const struct whiten *w, float *x)
{
    for (size_t i = 0; i < w->dims; i++) {
        double sum = (double)x[i];
        for (size_t k = 0; k < i; k++) {
            sum -= w->l[at(i, k)] * (double)x[k];
        }
        x[i] = (float)(sum / w->l[at(i, i)]);
    }
}

void whiten_weights(const struct whiten *w, float *weights)
{
    for (size_t i = w->dims; i-- > 0;) {
        double sum = (double)weights[i];
        for (size_t k = i + 1; k < w->dims; k++) {
            sum -= w->l[at(k, i)] * (double)weights[k];
        }
        weights[i] = (float)(sum / w->l[at(i, i)]);
    }
}
