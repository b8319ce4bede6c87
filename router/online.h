/* Learning from feedback while serving: a small correction on top of the shipped weights, which stay
 * as they are. A label's logit becomes
 *
 *     logit(label) + sum over the prompt's features f of delta[f][label]
 *
 * A correction says that a prompt belongs to a label. The rarest of its features (measured on a replay
 * reservoir of past decisions) move by one normalised gradient step of a logistic loss, so that this
 * prompt's logits move by at most `rate`. A step is halved, then refused, when it would
 *
 *     - grow the correction beyond `cap` (its L2 norm), or
 *     - change the route of more than 0.5 % of the replayed decisions other than from the label that
 *       was wrong to the label that is right, or of more than 5 % in all (of 256 or more).
 *
 * Empty, it changes nothing, bit for bit: that is what a rollback restores. Deterministic; no clock, no
 * I/O. The learner belongs to one thread; a delta is immutable, reference-counted, for any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "router/classifier.h"

enum {
    ONLINE_HASHES_MAX = 512, /* features of a prompt that count: classifier_hashes */
    ONLINE_ROWS_MAX = 4096,  /* features that a delta can know */
    ONLINE_ROWS_STEP = 64,   /* features that one correction moves */
};

struct online_delta;

struct online_delta *online_delta_ref(struct online_delta *d);
void online_delta_unref(struct online_delta *d); /* NULL allowed */
uint64_t online_delta_weights(const struct online_delta *d);
size_t online_delta_rows(const struct online_delta *d);
double online_delta_norm(const struct online_delta *d);

/* Corrects a result of the classifier that these hashes are the features of: logits, probabilities,
 * best, entropy. Returns what the best label's logit gained. Leaves a result alone, to the bit, that
 * it knows nothing about. The result must be of the delta's weights. */
float online_apply(const struct online_delta *d, const uint32_t *hashes, size_t count,
                   struct classifier_result *r);

struct online_options {
    uint64_t weights; /* checksum of the classifier */
    size_t labels;
    double rate;      /* logits that one correction may move */
    double cap;       /* L2 norm of the delta */
    size_t reservoir; /* decisions */
};

enum online_verdict {
    ONLINE_LEARNED,
    ONLINE_KNOWN,   /* it is right already, with probability 0.9 at least */
    ONLINE_FULL,    /* beyond the cap, or no room for its features */
    ONLINE_REFUSED, /* too many other decisions would change */
};

struct online_example { /* borrowed; p are the classifier's own probabilities, without any delta */
    const uint32_t *hashes;
    size_t hash_count;
    const float *p;
};

struct online;

struct online *online_create(const struct online_options *options); /* NULL: no memory */
void online_destroy(struct online *o);                              /* NULL allowed */

/* Offers a past decision to the reservoir (each of those offered so far is in it with the same
 * probability). Returns the slot that it went to, or SIZE_MAX. */
size_t online_observe(struct online *o, const struct online_example *example);
size_t online_observed(const struct online *o); /* filled slots */

/* Takes a correction in. */
enum online_verdict online_learn(struct online *o, const struct online_example *example,
                                 size_t label);

/* Forgets all corrections; the reservoir stays. */
void online_rollback(struct online *o);

/* What has been learned so far; the caller's reference. NULL: no memory. */
struct online_delta *online_delta(const struct online *o);

/* For the state file: the corrections, and a slot of the reservoir. Reading refuses what does not fit
 * these weights and options, or is damaged: ST_INVALID, and nothing has changed. ST_NO_MEMORY,
 * ST_TOO_BIG. */
MUST_CHECK enum status online_write(const struct online *o, struct buf *out);
MUST_CHECK enum status online_read(struct online *o, struct str bytes);
MUST_CHECK enum status online_write_slot(const struct online *o, size_t slot, struct buf *out);
MUST_CHECK enum status online_read_slot(struct online *o,
                                        struct str bytes); /* the next free slot */
