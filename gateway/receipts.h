/* Receipts: a row per decision in the state file, chained (chain.h): by which configuration and weights
 * it was made, from what, which experts were possible and why others were not, what came of it. No
 * text of a prompt: with `state.receipts: decision` a digest of its features, with `replayable` also
 * the signals from which the decision can be derived again. Written on the writer's thread, never
 * changed; old ones may be removed from the beginning. Blocks on the disk. */
#pragma once

#include <stdint.h>

#include "base/db.h"
#include "base/digest.h"
#include "base/str.h"
#include "gateway/chain.h"

enum receipt_level { /* the YAML key state.receipts */
    RECEIPTS_OFF,
    RECEIPTS_DECISION,
    RECEIPTS_REPLAYABLE,
};

struct receipt_row { /* texts are borrowed */
    int64_t id;      /* given by receipts_write */
    struct str request_id;
    int64_t made_ms;    /* since 1970 */
    struct digest conf; /* of the configuration file */
    uint64_t weights;   /* checksum; 0: none */
    struct digest features;
    struct str signals;  /* signals_write; "": not kept */
    struct str decision; /* JSON */
    struct str expert;   /* who answered, or "" */
    struct str outcome;
    int64_t attempts;
    int64_t prompt_tokens;
    int64_t completion_tokens;
    int64_t cost_nano_usd; /* -1: not known */
};

/* Appends a row. The statuses of db_run. */
MUST_CHECK enum status receipts_write(struct db *db, const struct receipt_row *row);

/* Calls `see` with the last receipt of a request. ST_NOT_FOUND; the statuses of db_next and of see. */
MUST_CHECK enum status receipts_find(struct db *db, struct str request_id,
                                     enum status (*see)(void *ctx, const struct receipt_row *row),
                                     void *ctx);

/* Calls `see` for each, oldest first, until it returns something else than ST_OK. */
MUST_CHECK enum status receipts_each(struct db *db,
                                     enum status (*see)(void *ctx, const struct receipt_row *row),
                                     void *ctx);

/* The same for the last `max` of them. */
MUST_CHECK enum status receipts_last(struct db *db, int64_t max,
                                     enum status (*see)(void *ctx, const struct receipt_row *row),
                                     void *ctx);

/* Reads all receipts: ids count without gaps, digests follow each other. ST_INVALID with ret_why: they
 * were changed; the statuses of db_next. */
MUST_CHECK enum status receipts_verify(struct db *db, int64_t *ret_rows,
                                       char ret_why[CHAIN_WHY_BYTES]);
