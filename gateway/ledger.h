/* The ledger: a row per attempt in the state file, chained by digests so that a row that was changed,
 * removed or put in between shows, and sums by hour beside them. Rows are written on the writer's
 * thread (attempt.h) and never changed; old ones may be removed from the beginning (chain.h), their
 * sums by hour stay. Blocks on the disk. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/db.h"
#include "base/str.h"

enum {
    LEDGER_COST_UNKNOWN = -1, /* the expert has no price */
    LEDGER_WHY_BYTES = 256,
};

struct ledger_row { /* texts are borrowed; "" is nobody in particular */
    int64_t id;     /* given by ledger_write */
    struct str request_id;
    int64_t attempt; /* of the request, from 1 */
    struct str tenant;
    struct str key_id;
    struct str expert;
    struct str category;
    int64_t prompt_tokens;
    int64_t cached_tokens; /* of the prompt tokens */
    int64_t completion_tokens;
    int64_t reasoning_tokens; /* of the completion tokens */
    bool is_estimated;        /* the expert reported nothing, or what cannot be */
    bool is_suspect;          /* it reported what cannot be */
    int64_t cost_nano_usd;    /* or LEDGER_COST_UNKNOWN */
    struct str outcome;
    int64_t started_ms; /* since 1970 */
    int64_t ended_ms;
};

struct ledger_filter { /* zero-initialised: all rows */
    struct str tenant; /* "": any */
    struct str key_id;
    struct str expert;
    struct str category;
    int64_t since_ms; /* ended at or after */
    int64_t until_ms; /* ended before; 0: no end */
};

struct ledger_sum {
    int64_t attempts;
    int64_t prompt_tokens;
    int64_t cached_tokens;
    int64_t completion_tokens;
    int64_t reasoning_tokens;
    int64_t cost_nano_usd; /* of those with a price */
    int64_t unpriced;      /* attempts without */
};

enum ledger_by {
    LEDGER_BY_TENANT,
    LEDGER_BY_KEY,
    LEDGER_BY_EXPERT,
    LEDGER_BY_CATEGORY,
    LEDGER_BY_DAY,
};

/* Appends a row and adds it to its hour. ST_INVALID: there is one of this request and attempt; the
 * statuses of db_run. */
MUST_CHECK enum status ledger_write(struct db *db, const struct ledger_row *row);

/* Calls `see` for each row that passes, oldest first, until it returns something else than ST_OK. The
 * statuses of db_next and of see. */
MUST_CHECK enum status ledger_each(struct db *db, const struct ledger_filter *filter,
                                   enum status (*see)(void *ctx, const struct ledger_row *row),
                                   void *ctx);

/* The sums of the rows that pass, by name or day ("2026-11-22"). As ledger_each. */
MUST_CHECK enum status
ledger_sum_by(struct db *db, const struct ledger_filter *filter, enum ledger_by by,
              enum status (*see)(void *ctx, struct str name, const struct ledger_sum *sum),
              void *ctx);

/* What was spent, from the sums by hour: since_ms and until_ms count as whole hours. Reads no rows. */
MUST_CHECK enum status ledger_spent(struct db *db, const struct ledger_filter *filter,
                                    int64_t *ret_nano_usd);

/* Reads the whole ledger: ids count without gaps, digests follow each other, no (request, attempt)
 * twice, parts are not over their whole, the hours add up. ST_INVALID with ret_why: it was changed;
 * the statuses of db_next. ret_rows: how many rows were read. */
MUST_CHECK enum status ledger_verify(struct db *db, int64_t *ret_rows,
                                     char ret_why[LEDGER_WHY_BYTES]);
