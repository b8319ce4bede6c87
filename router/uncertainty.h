/* When to believe the classifier: the confidence of a result by one of two measures, and the set of
 * labels that conformal prediction leaves. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "router/classifier.h"

enum uncertainty_method {    /* in the order of enum curves_of */
    UNCERTAINTY_PROBABILITY, /* the best label's probability */
    UNCERTAINTY_ENTROPY,     /* 1 - classifier_uncertainty */
    UNCERTAINTY_CONFORMAL,   /* a set of labels; its confidence is the probability */
};

/* How sure a result is, 0..1. `general` as for classifier_uncertainty. */
float uncertainty_confidence(enum uncertainty_method method, const struct classifier_result *r,
                             size_t general);

/* The labels with at least this probability, a bit each. */
uint64_t uncertainty_set(const struct classifier_result *r, float least);
