/* See calibrate.h. */
#include "router/calibrate.h"

#include <math.h>

#include "router/softmax.h"

enum {
    LABELS_MAX = 64,
    SECTIONS = 12, /* narrows a range by 0.618^12 = 0.003 */
    ROUNDS = 4,    /* over the three numbers; the loss has one valley */
    PARAMETERS = 3,
};

static const double SPREAD_MIN = 0.05; /* added: what all but equal logits count as */

struct range {
    double low;
    double high;
};

/* Of log temperature, by_spread, by_unknown. */
static const struct range ranges[PARAMETERS] = {
    {-3.0, 2.0},
    {-0.5, 1.5},
    {-1.0, 3.0},
};

struct problem {
    const struct calibrate_row *rows;
    size_t count;
    size_t labels;
    double at[PARAMETERS];
};

static struct calibration calibration_of(const double at[PARAMETERS])
{
    return (struct calibration){expf((float)at[0]), (float)at[1], (float)at[2]};
}

static double loss(const struct problem *p)
{
    struct calibration c = calibration_of(p->at);
    double sum = 0.0;
    for (size_t i = 0; i < p->count; i++) {
        const struct calibrate_row *row = &p->rows[i];
        float probability[LABELS_MAX];
        float t = calibrate_temperature(&c, row->logit, p->labels, row->features, row->known);
        (void)softmax(row->logit, p->labels, t, probability); /* the entropy is not needed */
        double right = 1e-9;
        for (size_t k = 0; k < p->labels; k++) {
            right += (row->accept >> k & 1) != 0 ? (double)probability[k] : 0.0;
        }
        sum -= (double)row->weight * log(right);
    }
    return sum;
}

static double loss_with(struct problem *p, size_t parameter, double value)
{
    p->at[parameter] = value;
    return loss(p);
}

/* Golden section along one parameter. */
static void search(struct problem *p, size_t parameter, struct range range)
{
    const double ratio = 0.6180339887498949;
    double a = range.high - ratio * (range.high - range.low);
    double b = range.low + ratio * (range.high - range.low);
    double loss_a = loss_with(p, parameter, a);
    double loss_b = loss_with(p, parameter, b);
    for (int i = 0; i < SECTIONS; i++) {
        if (loss_a < loss_b) {
            range.high = b;
            b = a;
            loss_b = loss_a;
            a = range.high - ratio * (range.high - range.low);
            loss_a = loss_with(p, parameter, a);
        } else {
            range.low = a;
            a = b;
            loss_a = loss_b;
            b = range.low + ratio * (range.high - range.low);
            loss_b = loss_with(p, parameter, b);
        }
    }
    p->at[parameter] = (range.low + range.high) / 2.0;
}

static double spread_of(const float *logit, size_t labels)
{
    double mean = 0.0;
    double squares = 0.0;
    for (size_t i = 0; i < labels; i++) {
        mean += (double)logit[i] / (double)labels;
    }
    for (size_t i = 0; i < labels; i++) {
        squares += ((double)logit[i] - mean) * ((double)logit[i] - mean);
    }
    return sqrt(squares / (double)labels);
}

float calibrate_temperature(const struct calibration *c, const float *logit, size_t labels,
                            double features, double known)
{
    if (!(features >= 1.0)) {
        return c->temperature;
    }
    double exponent = (double)c->by_spread * softmax_log(spread_of(logit, labels) + SPREAD_MIN) +
                      (double)c->by_unknown * (1.0 - known / features);
    double t = (double)c->temperature * softmax_exp(exponent);
    return (float)(t < 0.01 ? 0.01 : t > 100.0 ? 100.0 : t);
}

struct calibration calibrate_fit(const struct calibrate_row *rows, size_t count, size_t labels)
{
    struct problem p = {.rows = rows, .count = count, .labels = labels};
    for (int round = 0; count > 0 && round < ROUNDS; round++) {
        for (size_t i = 0; i < PARAMETERS; i++) {
            search(&p, i, ranges[i]);
        }
    }
    return calibration_of(p.at);
}
