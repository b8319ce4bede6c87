/* Is the traffic still what it was? Three distributions of the classifier's answers (label,
 * confidence, share of features it does not know) are compared with a reference, the first requests
 * after the start or after new weights, by the population stability index; and the sequence of
 * confidences is watched for a lasting fall (Page-Hinkley).
 *
 *     PSI  = sum over bins of (now - then) * ln(now / then)        shares, smoothed
 *            below 0.1: the same; above 0.25: another population
 *     PH   = max(0, PH + mean - x - tolerance), alarm above limit  mean: of the reference
 *
 * A few counters per request. Each shard has one writer; whoever looks adds them up. Deterministic:
 * no clock, no log; the caller says what it is told. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/classifier.h"

enum {
    DRIFT_BINS = 10,        /* of confidence and of unknown features, each a tenth */
    DRIFT_REFERENCE = 1000, /* requests; a PSI of 14 labels by chance alone: about 0.03 */
    DRIFT_WINDOW = 500,     /* requests that are compared with it, at least */
};

enum drift_what {
    DRIFT_LABEL,
    DRIFT_CONFIDENCE,
    DRIFT_UNKNOWN,
};

enum {
    DRIFT_WHATS = DRIFT_UNKNOWN + 1
};

enum drift_news {
    DRIFT_SAME,
    DRIFT_ALARM,  /* begins */
    DRIFT_ALL_OK, /* ends */
};

static const double DRIFT_PSI_ALARM = 0.25;

struct drift;

struct drift_figures {
    bool has_reference;
    double psi[DRIFT_WHATS]; /* of the last whole window */
    enum drift_news news[DRIFT_WHATS];
    double page_hinkley; /* the highest of the shards */
    bool is_falling;     /* in at least one shard */
};

struct drift *drift_create(size_t shards); /* NULL: no memory */
void drift_destroy(struct drift *d);       /* NULL allowed */

/* Counts an answer of the classifier. By the shard's writer; weights name the classifier, a change
 * starts over. Says whether the confidence has begun or ceased to be low. */
enum drift_news drift_count(struct drift *d, size_t shard, uint64_t weights,
                            const struct classifier_result *r);

/* Adds the shards up and compares, if enough has come since the last time. One thread at a time;
 * weights: those in use now. */
struct drift_figures drift_look(struct drift *d, uint64_t weights);

/* The population stability index of two histograms. */
double drift_psi(const uint64_t *then, const uint64_t *now, size_t bins);

const char *drift_what_text(enum drift_what what); /* "label", "confidence", "unknown" */
