/* Small helpers on top of the shipped training and classifying code: labelled rows -> a classifier,
 * without leaving a file behind; least squares for blending; a generator for fixed seeds. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"
#include "router/classifier.h"

struct model_row { /* borrowed */
    struct str text;
    struct str label;
};

struct model_options {
    uint64_t seed;
    uint32_t buckets;
    bool is_calibrated; /* on three folds that the fit has not seen: four times the work */
};

/* Trains with train.h, its default options otherwise. The caller ends with classifier_unref.
 * ST_INVALID (fewer than two labels), ST_IO, ST_NO_MEMORY. */
MUST_CHECK enum status model_train(const struct model_row *rows, size_t count,
                                   const struct model_options *options, struct diags *diags,
                                   struct classifier **ret_classifier);

enum {
    MODEL_INPUTS_MAX = 16
};

/* Ridge regression of y on `inputs` columns of x (rows of MODEL_INPUTS_MAX; column 0 should be 1 and
 * is not punished); other columns are scaled to unit spread before the punishment. */
void model_ridge(const double (*x)[MODEL_INPUTS_MAX], const double *y, size_t count, size_t inputs,
                 double punishment, double *ret_weights);

uint32_t model_random(uint64_t *state); /* xorshift64*; state not 0 */

/* Shuffles 0..count-1 into `order`. */
void model_shuffle(uint32_t *order, size_t count, uint64_t *state);
