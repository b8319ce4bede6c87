/* Calibration: makes probabilities mean what they say. The softmax temperature depends on how far
 * apart the logits are and on how much of the text the weights know:
 *     log T = log temperature + by_spread * log(spread + 1/20) + by_unknown * (1 - known / features)
 * where the spread is the logits' standard deviation (of evidence that is twice as strong, little
 * more than the order can be believed; and it is worth less in languages that training hardly saw).
 * The three numbers are fitted on predictions for sources that the predicting model was not trained
 * on. docs/classifier.md tells what else was tried. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct calibration {
    float temperature;
    float by_spread;
    float by_unknown;
};

struct calibrate_row { /* a prediction for a row whose labels are known */
    const float *logit;
    uint64_t accept; /* bit per label that is right */
    uint32_t features;
    uint32_t known;
    float weight;
};

/* Within 0.01..100, the same bits on every machine. Without features: the bare temperature.
 * labels >= 2. */
float calibrate_temperature(const struct calibration *c, const float *logit, size_t labels,
                            double features, double known);

/* The numbers with the least mean log loss. Without rows: 1, 0, 0. */
struct calibration calibrate_fit(const struct calibrate_row *rows, size_t count, size_t labels);
