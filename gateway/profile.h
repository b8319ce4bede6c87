/* Which experts carry the traffic: the fewest that together answer a share of what the ledger saw. Each
 * request is one expert's, so a set covers the sum of its experts' requests, and the experts with the most
 * requests are the smallest set: greedy is optimal for a sum. It is not the set with the fewest bytes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/db.h"
#include "base/status.h"
#include "gateway/ledger.h"

enum {
    PROFILE_EXPERTS_MAX = 1024,
    PROFILE_NO_BYTES = -1, /* not known */
};

struct profile_expert {
    struct str name; /* in the arena */
    int64_t requests;
    int64_t tokens; /* prompts and answers */
    int64_t bytes;  /* PROFILE_NO_BYTES until the owner says more */
};

struct profile {
    struct profile_expert *experts; /* in the arena; after profile_cover the most used first */
    size_t count;
    int64_t requests; /* of all */
    double share;     /* that was asked for */
    size_t chosen;    /* the first so many cover it */
    int64_t covered;  /* requests of those */
};

/* Counts attempts, by expert; answers from the cache need no expert. ST_TOO_BIG: more than
 * PROFILE_EXPERTS_MAX; ST_NO_MEMORY; the statuses of db_next. */
MUST_CHECK enum status profile_read(struct db *db, const struct ledger_filter *filter,
                                    struct arena *arena, struct profile *ret);

/* share: 0 to 1. */
void profile_cover(struct profile *p, double share);

/* A table for people, or one JSON object. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status profile_write(const struct profile *p, struct buf *out);
MUST_CHECK enum status profile_write_json(const struct profile *p, struct buf *out);
