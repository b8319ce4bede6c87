/* The thresholds that decide whether a classification is believed: one for each label, from the
 * settings router.threshold, router.target, router.uncertainty and categories.NAME.threshold. Made
 * once with the routing tables; judging is pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/keys.h"
#include "router/classifier.h"
#include "router/uncertainty.h"

struct routes;

struct thresholds {
    enum uncertainty_method method;
    float of[CLASSIFIER_LABELS_MAX]; /* least certainty, by label */
    size_t general;                  /* label of the general category, or the number of labels */
    float set_least;                 /* least probability in a conformal set */
    size_t set_max;
};

/* After the classifier is loaded and its labels are mapped. Mistakes go to reader->diags: a target
 * that cannot be met (with the one that can), weights that do not say what their confidence is
 * worth, settings that exclude each other. */
void thresholds_build(struct routes *routes, struct key_reader *reader, struct str file);

/* Whether the result's best label is to be believed. ret_set is 0 unless the method is conformal. */
bool thresholds_judge(const struct thresholds *t, const struct classifier_result *r,
                      float *ret_certainty, uint64_t *ret_set);

/* What to expect of a label's threshold where sources are new: how many of the prompts above it are
 * right, and their share of all prompts. False: weights without curves, a conformal set, or a label
 * that goes to no expert. */
bool thresholds_expect(const struct routes *routes, size_t label, float *ret_precision,
                       float *ret_share);
