/* The two linear models of the classifier over rows of feature numbers, fitted together: complement
 * naive Bayes and a logistic regression. With x the distinct features of a row, n how many the row
 * has in all (unknown ones too) and W one row of numbers per feature:
 *     logit[label] = bias[label] + sum over x: W[x][label] / sqrt(n)
 * Being linear in the same features their weights add up to one table.
 * Deterministic for a seed. Knows no text, no hashes, no files. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct fit_item { /* a row */
    size_t at;    /* of its first feature in fit_set.ids */
    uint32_t count;
    uint32_t features; /* count plus those that are not in the set */
    float weight;
    uint32_t label;
    uint64_t accept; /* bit per label that is right, the label itself among them */
};

struct fit_set {
    struct fit_item *items;
    size_t item_count;
    uint32_t *ids; /* feature numbers below id_count */
    uint32_t id_count;
    uint32_t label_count; /* at most 64 */
};

struct fit_options {
    uint64_t seed;    /* of the shuffling and of the dropping */
    int epochs;       /* passes of the logistic regression */
    double rate;      /* Adagrad step */
    double smoothing; /* of the labels, towards all labels evenly */
    double dropping;  /* share of a row's features left out at each visit: spreads the evidence */
    double decay;     /* pull of weights towards zero, relative to their step */
    double prior;     /* naive Bayes: count added to each feature */
    double bayes;     /* share of naive Bayes in the sum, 0..1 */
};

struct fit {       /* the result */
    float *rows;   /* id_count rows of fit_stride(label_count) numbers, each row with mean 0 */
    float *spread; /* per feature: length of its row times the root of its row count */
    float bias[64];
};

uint32_t fit_stride(uint32_t label_count); /* label_count rounded up to 16 */

/* Fits. The caller ends with fit_fini. ST_NO_MEMORY. */
MUST_CHECK enum status fit_run(const struct fit_set *set, const struct fit_options *options,
                               struct fit *ret_fit);
void fit_fini(struct fit *fit);
