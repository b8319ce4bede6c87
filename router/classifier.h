/* The domain classifier: text -> calibrated probabilities over categories, in tens of microseconds.
 *
 * Words, pairs of words and runs of 4-5 letters (features.h); one int8 row of weights per known
 * feature, in which a logistic regression and a complement naive Bayes are folded together
 * (weights.h); per-category scale and bias. Beside spelling, meaning: the mean of the words' vectors
 * (vectors.h) through a small network (network.h), added to the logits. Softmax with a fitted
 * temperature. Three structs: the weights (one read-only mapped file,
 * shared by all threads), the scratch (one per thread), the result.
 *
 * Deterministic: the same weights and text give the same result on every machine, bit for bit
 * (integer sums). No clock, no I/O after load, no locks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"
#include "router/curves.h"
#include "router/vectors.h"

enum {
    CLASSIFIER_LABELS_MAX = 64
};

struct classifier;         /* immutable, reference-counted (atomic) */
struct classifier_scratch; /* per thread */
struct heads;              /* heads.h, which includes this header */

/* A piece of a conversation and how much it counts (1 = as a single prompt would). */
struct classifier_segment {
    struct str text;
    float weight;
};

struct classifier_result {
    size_t count;                       /* labels */
    float p[CLASSIFIER_LABELS_MAX];     /* calibrated probabilities, sum 1 */
    float logit[CLASSIFIER_LABELS_MAX]; /* before the temperature */
    size_t best;                        /* index of the largest p */
    float entropy;                      /* of p, divided by log(count): 0 certain, 1 clueless */
    uint32_t features;                  /* distinct features found in the text */
    float known;                        /* share of them that the weights know; noise has few */
    size_t vector_size;                 /* 0: the weights have no word vectors */
    float vector[VECTORS_DIMS_MAX];     /* what the words mean, of length 1, or zeros: vectors.h */
};

struct classifier_evidence {
    struct str
        feature;  /* as a reader knows it: `word "amoxicillin"`, `letters "icil"`; in scratch */
    float weight; /* its share of the category's logit */
};

/* Maps a weights file. Anything that does not match exactly (magic, version, sizes, checksum, NaN)
 * is refused: ST_INVALID with a diagnostic (pos 0); ST_IO, ST_NO_MEMORY. */
MUST_CHECK enum status classifier_load(const char *path, struct diags *diags,
                                       struct classifier **ret_classifier);
struct classifier *classifier_ref(struct classifier *c);
void classifier_unref(struct classifier *c); /* NULL allowed */

size_t classifier_label_count(const struct classifier *c);
struct str classifier_label(const struct classifier *c, size_t index);
struct str classifier_card(const struct classifier *c);   /* the training card, JSON text */
uint64_t classifier_checksum(const struct classifier *c); /* names these weights in logs */

/* What its confidence is worth, or NULL: the weights do not say. Borrowed. */
const struct curves *classifier_curves(const struct classifier *c);

/* Further questions that these weights answer (heads.h); none is fine. Borrowed. */
const struct heads *classifier_heads(const struct classifier *c);

struct classifier_scratch *classifier_scratch_create(void);    /* NULL: no memory */
void classifier_scratch_destroy(struct classifier_scratch *s); /* NULL allowed */

/* Scores. Reads at most about 1.5 kB of each segment (head and tail: the question often stands
 * last). Cannot fail; text without features gives the priors. */
void classifier_score(const struct classifier *c, struct classifier_scratch *s,
                      const struct classifier_segment *segments, size_t count,
                      struct classifier_result *ret_result);

/* The hashes of the texts' features (features.h), distinct, at most `max`: of more, every n-th.
 * Returns how many. */
size_t classifier_hashes(struct classifier_scratch *s, const struct classifier_segment *segments,
                         size_t count, uint32_t *ret_hashes, size_t max);

/* How far a prompt is from anything an expert is known for: the normalised entropy over the experts
 * after the share of `general` has been dealt out evenly among them. 0: one expert, surely; 1: none,
 * or surely general. With general >= count (no such label) it is the entropy itself. */
float classifier_uncertainty(const struct classifier_result *r, size_t general);

/* The features that speak most for `label` in the same text, heaviest first; at most `max`. Returns
 * how many. Their texts live in the scratch until its next use. Same code path as classifier_score.
 * The label's bias takes part as "prior": with `max` large enough the weights add up to its logit
 * (short of rounding, and of the 32 kB of names that the scratch holds). */
size_t classifier_explain(const struct classifier *c, struct classifier_scratch *s,
                          const struct classifier_segment *segments, size_t count, size_t label,
                          struct classifier_evidence *ret_evidence, size_t max);
