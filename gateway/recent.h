/* The decisions of the last requests, so that feedback can name one by its request id and a changed
 * configuration can be tried on them: what was decided, from which signals, and the hashes of the
 * features it was decided on. No text. Bounded: the oldest goes first.
 * A shard per worker; its lock is held for one copy and is contended only by feedback. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "router/decide.h"
#include "router/signals.h"

enum {
    RECENT_ID_BYTES = 24,
    RECENT_NAME_BYTES = 132,               /* names of categories and experts have at most 128 */
    RECENT_HASHES_MAX = ONLINE_HASHES_MAX, /* of a longer text every n-th feature counts */
};

struct recent_decision {
    char id[RECENT_ID_BYTES];         /* of the request */
    int64_t made_ms;                  /* since 1970 */
    char category[RECENT_NAME_BYTES]; /* "": none */
    char expert[RECENT_NAME_BYTES];   /* the plan's first */
    float confidence;
    uint32_t label_count;           /* 0: the classifier was not asked */
    uint64_t weights;               /* its checksum */
    float p[CLASSIFIER_LABELS_MAX]; /* its probabilities, without what feedback taught */
    struct signals signals;         /* to decide it again */
    uint32_t hash_count;
    uint32_t hashes[RECENT_HASHES_MAX];
};

struct recent;

/* bytes: all shards together. NULL: no memory. */
struct recent *recent_create(size_t shards, size_t bytes);
void recent_destroy(struct recent *r); /* NULL allowed */

/* Notes what was decided of a prompt, all but the id and the time. Its texts must still be there. */
void recent_describe(const struct routes *routes, const struct prompt *prompt,
                     const struct decision *d, struct decide_scratch *scratch,
                     struct recent_decision *ret);

/* Keeps it. By the worker of that shard. */
void recent_put(struct recent *r, size_t shard, const struct recent_decision *decision);

/* Copies the decision of that request. Any thread. False: unknown, or too long ago. */
bool recent_find(struct recent *r, struct str id, struct recent_decision *ret);

/* Copies the first decision that was put after *cursor (0: the oldest), and moves the cursor; false:
 * there is none. Any thread. */
bool recent_next(struct recent *r, size_t shard, uint64_t *cursor, struct recent_decision *ret);
size_t recent_shards(const struct recent *r);
