/* See logistic.h. Does not know what rows and columns mean. */
#include "router/logistic.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "router/softmax.h"

enum {
    STEPS = 80, /* not converged on rare examples: 160 gives less recall (docs/classifier.md) */
    POWER_STEPS = 12, /* of the power iteration */
};

static const double SIDE_WEIGHT = 60.0; /* total weight of a side: against an L2 of 1 */
static const double STEP_SAFETY = 1.2;  /* the power iteration comes from below */

struct solver {
    const struct logistic_rows *rows;
    const uint8_t *sides;
    double weight[LOGISTIC_YES + 1]; /* of a row, by side */
    size_t count;                    /* numbers in w */
    float *w;
    float *ahead; /* w with the momentum: where the gradient is taken */
    float *gradient;
};

float logistic_score(const struct logistic_rows *rows, size_t row, const float *weights)
{
    const float *x = rows->x + row * rows->dense;
    float sum[4] = {0.0F, 0.0F, 0.0F, 0.0F};
    for (size_t i = 0; i < rows->dense; i += 4) {
        for (size_t k = 0; k < 4; k++) {
            sum[k] += x[i + k] * weights[i + k];
        }
    }
    const float *sparse = weights + rows->dense;
    float total = sparse[rows->sparse] + sum[0] + sum[1] + sum[2] + sum[3];
    for (size_t i = rows->start[row]; i < rows->start[row + 1]; i++) {
        total += rows->values[i] * sparse[rows->columns[i]];
    }
    return total;
}

/* gradient += factor * row */
static void add_row(const struct solver *s, size_t row, float factor)
{
    const struct logistic_rows *rows = s->rows;
    const float *x = rows->x + row * rows->dense;
    float *sparse = s->gradient + rows->dense;
    for (size_t i = 0; i < rows->dense; i++) {
        s->gradient[i] += factor * x[i];
    }
    for (size_t i = rows->start[row]; i < rows->start[row + 1]; i++) {
        sparse[rows->columns[i]] += factor * rows->values[i];
    }
    sparse[rows->sparse] += factor;
}

/* The gradient at s->ahead. */
static void take_gradient(const struct solver *s)
{
    memcpy(s->gradient, s->ahead, s->count * sizeof *s->gradient);
    s->gradient[s->count - 1] = 0.0F; /* the bias is free */
    for (size_t i = 0; i < s->rows->count; i++) {
        if (s->sides[i] == LOGISTIC_OUT) {
            continue;
        }
        double z = (double)logistic_score(s->rows, i, s->ahead);
        double p = 1.0 / (1.0 + softmax_exp(-z));
        double error = p - (s->sides[i] == LOGISTIC_YES ? 1.0 : 0.0);
        add_row(s, i, (float)(s->weight[s->sides[i]] * error));
    }
}

/* The largest curvature: of the loss, whose second derivative is 1/4 at most, and of the L2 term. */
static double find_curvature(const struct solver *s)
{
    double norm = 1.0;
    for (size_t i = 0; i < s->count; i++) {
        s->ahead[i] = 1.0F;
    }
    for (int step = 0; step < POWER_STEPS; step++) {
        memset(s->gradient, 0, s->count * sizeof *s->gradient);
        for (size_t i = 0; i < s->rows->count; i++) {
            if (s->sides[i] != LOGISTIC_OUT) {
                double z = (double)logistic_score(s->rows, i, s->ahead);
                add_row(s, i, (float)(0.25 * s->weight[s->sides[i]] * z));
            }
        }
        double square = 0.0;
        for (size_t i = 0; i < s->count; i++) {
            square += (double)s->gradient[i] * (double)s->gradient[i];
        }
        norm = sqrt(square);
        for (size_t i = 0; i < s->count && norm > 0.0; i++) {
            s->ahead[i] = (float)((double)s->gradient[i] / norm);
        }
    }
    return STEP_SAFETY * norm + 1.0;
}

static void descend(const struct solver *s)
{
    float step = (float)(1.0 / find_curvature(s));
    memset(s->w, 0, s->count * sizeof *s->w);
    memset(s->ahead, 0, s->count * sizeof *s->ahead);
    for (int k = 0; k < STEPS; k++) {
        float momentum = (float)k / (float)(k + 3);
        take_gradient(s);
        for (size_t i = 0; i < s->count; i++) {
            float next = s->ahead[i] - step * s->gradient[i];
            s->ahead[i] = next + momentum * (next - s->w[i]);
            s->w[i] = next;
        }
    }
}

enum status logistic_fit(const struct logistic_rows *rows, const uint8_t *sides, float *ret_weights)
{
    size_t on[LOGISTIC_YES + 1] = {0};
    for (size_t i = 0; i < rows->count; i++) {
        on[sides[i]]++;
    }
    ASSERT(on[LOGISTIC_NO] > 0 && on[LOGISTIC_YES] > 0 && rows->dense % 4 == 0);
    struct solver s = {.rows = rows, .sides = sides, .count = rows->dense + rows->sparse + 1};
    s.weight[LOGISTIC_NO] = SIDE_WEIGHT / (double)on[LOGISTIC_NO];
    s.weight[LOGISTIC_YES] = SIDE_WEIGHT / (double)on[LOGISTIC_YES];
    s.w = ret_weights;
    s.ahead = mem_zalloc(2 * s.count, sizeof *s.ahead);
    if (s.ahead == NULL) {
        return ST_NO_MEMORY;
    }
    s.gradient = s.ahead + s.count;
    descend(&s);
    mem_free(s.ahead);
    return ST_OK;
}
