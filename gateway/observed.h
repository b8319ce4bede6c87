/* What the ledger saw of the categories and experts of a placement (router/placement.h): how much is
 * asked, and what answers took. Blocks on the disk; offline work. */
#pragma once

#include "base/buf.h"
#include "base/db.h"
#include "base/status.h"
#include "router/placement.h"

enum {
    OBSERVED_LEAST_ANSWERS = 10, /* fewer say nothing of an expert's cost or time */
};

struct observed_expert { /* its answered attempts; cached answers are none */
    double answers;
    double prompt_tokens; /* sums */
    double completion_tokens;
    double ms;
    double priced; /* of the answers, those with a cost */
    double nano_usd;
};

struct observed {
    double requests[SCORE_TABLE_CATEGORIES_MAX]; /* by index of the placement, as are experts */
    struct observed_expert experts[SCORE_TABLE_EXPERTS_MAX];
    struct observed_expert all; /* experts that the placement lacks, too */
    double inside;              /* requests, each once however often it was tried */
    double elsewhere;           /* in other categories, or for a named expert */
};

/* Reads the rows that ended at since_ms or later. The statuses of db_next. */
MUST_CHECK enum status observed_read(struct db *db, int64_t since_ms, const struct placement *p,
                                     struct observed *ret);

/* Makes `requests` the shares of the traffic. ST_NOT_FOUND: there are none. */
MUST_CHECK enum status observed_share(const struct observed *o, struct placement *p);

/* Fills the prices and latencies that the table lacks, for experts with OBSERVED_LEAST_ANSWERS. */
void observed_fill(const struct observed *o, struct placement *p);

/* A table for people. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status observed_write(const struct observed *o, const struct placement *p,
                                      struct buf *out);
