/* What confidence was worth on prompts of sources that the predicting model was not trained on: the
 * array `curves` of the weights file (weights.h). For each label and each of two confidences, how
 * many prompts had it in each of 32 steps and what share of them was right; and for conformal sets
 * the distribution of 1 - p of the label that was right. From it come the thresholds for a target.
 *
 * The share that is right is made to rise with the confidence (isotonic regression, pooling
 * neighbours that do not), so that a threshold means something. Pure.
 *
 * The array: f32, little-endian:
 *     per confidence, per label: 32 x mass | 32 x share right      all masses of one add up to 1
 *     101 quantiles of 1 - p of the right label, at 0 %, 1 %, ... 100 %
 *
 * Isotonic regression: Barlow, Bartholomew, Bremner and Brunk, Statistical Inference under Order
 * Restrictions (1972). Conformal sets by 1 - p: Sadinle, Lei and Wasserman, Least Ambiguous
 * Set-Valued Classifiers with Bounded Error Levels, JASA 114 (2019). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

enum {
    CURVES_LABELS_MAX = 64,
    CURVES_STEPS = 32,
    CURVES_QUANTILES = 101,
};

enum curves_of {        /* which confidence, see uncertainty.h */
    CURVES_PROBABILITY, /* of the best label */
    CURVES_ENTROPY,     /* 1 - normalised entropy over the experts */
};

struct curves_label {
    float mass[CURVES_STEPS];  /* share of all prompts with this best label and this confidence */
    float right[CURVES_STEPS]; /* share of those that were right; never falls */
};

struct curves {
    size_t label_count;
    struct curves_label of[CURVES_ENTROPY + 1][CURVES_LABELS_MAX];
    float quantile[CURVES_QUANTILES];
};

struct curves_row { /* a prediction for a row whose labels are known */
    size_t best;
    bool is_right;
    float confidence[CURVES_ENTROPY + 1];
    float right_p; /* the largest probability among the labels that are right */
    float weight;
};

/* Fits. Without rows: all zero but label_count. ST_NO_MEMORY. */
MUST_CHECK enum status curves_fit(const struct curves_row *rows, size_t count, size_t labels,
                                  struct curves *ret_curves);

size_t curves_bytes(size_t labels); /* of the array */

/* Writes curves_bytes(c->label_count) bytes. */
void curves_encode(const struct curves *c, char *ret_bytes);

/* NULL, or what is wrong with the array. */
const char *curves_read(struct str bytes, size_t labels, struct curves *ret_curves);

struct curves_cut { /* thresholds, and what to expect of them where sources are new */
    float threshold[CURVES_LABELS_MAX]; /* above 1: never */
    float precision; /* share of the prompts above it that are right; 0 where there are none */
    float share;     /* of all prompts, those above it */
};

enum curves_target {
    CURVES_PRECISION, /* the largest share with at least this precision */
    CURVES_COVERAGE,  /* at least this share, with the best precision */
};

/* Chooses thresholds for the labels in `wanted` (a bit each): the surest steps of all labels
 * together, until the target is met, so that the last prompt let through is about as likely right
 * in each label. False: it cannot be met, and ret_cut is the nearest there is. */
bool curves_choose(const struct curves *c, enum curves_of of, uint64_t wanted,
                   enum curves_target target, double value, struct curves_cut *ret_cut);

/* What to expect of a threshold for one label. A step in part counts in proportion. */
void curves_expect(const struct curves *c, enum curves_of of, size_t label, float threshold,
                   float *ret_precision, float *ret_share);

/* The least probability of a label in the set that misses the right label of `alpha` of all prompts.
 * alpha within 0..1. */
float curves_set_threshold(const struct curves *c, double alpha);
