/* Calibration: makes probabilities mean what they say. The softmax temperature depends on how much
 * text there was and on how much of it the weights know:
 *     log T = log temperature + by_length * log(features / 100) + by_unknown * (1 - known / features)
 * (evidence grows with the length of a text faster than accuracy does, and falls in languages that
 * training hardly saw). The three numbers are fitted on predictions for sources that the predicting
 * model was not trained on. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct calibration {
    float temperature;
    float by_length;
    float by_unknown;
};

struct calibrate_row { /* a prediction for a row whose labels are known */
    const float *logit;
    uint64_t accept; /* bit per label that is right */
    uint32_t features;
    uint32_t known;
    float weight;
};

/* Within 0.01..100, the same bits on every machine. */
float calibrate_temperature(const struct calibration *c, double features, double known);

/* The numbers with the least mean log loss. Without rows: 1, 0, 0. */
struct calibration calibrate_fit(const struct calibrate_row *rows, size_t count, size_t labels);
