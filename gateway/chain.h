/* Chains of rows in the state file: each row has a digest over its own fields and the digest of the row
 * before, so that a row that was changed, removed or put in between shows. What is cut off at the end
 * shows against an anchor: the last id and digest, as somebody wrote them down elsewhere. Old rows may
 * be removed from the beginning; then a row of chain_starts says where the chain begins, with the
 * digest that the first row left is chained to.
 *
 * The digests have no key: who may write to the file may also chain it anew. Anchors kept elsewhere
 * are what shows that. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/db.h"
#include "base/digest.h"

enum chain {
    CHAIN_LEDGER,
    CHAIN_RECEIPTS,
};

enum {
    CHAIN_TEXTS_MAX = 8,
    CHAIN_NUMBERS_MAX = 16,
    CHAIN_ANCHOR_BYTES = 128, /* "receipts:12345:sha256:..." */
    CHAIN_WHY_BYTES = 256,
};

struct chain_link {
    int64_t id;
    struct digest digest;
};

struct chain_start {
    struct chain_link link; /* the last row that was removed; 0 and zeros: none was */
    int64_t until_ms;       /* all removed rows ended before; a whole hour */
};

struct chain_fields { /* of a row, in an order that never changes */
    struct str texts[CHAIN_TEXTS_MAX];
    size_t text_count;
    int64_t numbers[CHAIN_NUMBERS_MAX];
    size_t number_count;
};

/* "ledger", "receipts". */
const char *chain_name(enum chain chain);

/* The digest over the one before, the digests of the texts, and the numbers, highest byte first: parts
 * of fixed size, so that no two rows have the same bytes. */
void chain_digest(const struct chain_fields *fields, const struct digest *before,
                  struct digest *ret_digest);

MUST_CHECK enum status chain_read_start(struct db *db, enum chain chain, struct chain_start *ret);

/* The last row, or where the chain starts. */
MUST_CHECK enum status chain_last(struct db *db, enum chain chain, struct chain_link *ret);

/* Removes rows from the beginning that ended before the hour of before_ms, at most max of them.
 * ret_removed: how many. In a transaction. */
MUST_CHECK enum status chain_prune(struct db *db, enum chain chain, int64_t before_ms, int64_t max,
                                   int64_t *ret_removed);

/* For who has just appended a row: now and then removes what is older than so many days; 0 keeps all. */
MUST_CHECK enum status chain_keep(struct db *db, enum chain chain, int64_t days, int64_t now_ms);

/* "NAME:ID:sha256:HEX" of the last row. */
void chain_write_anchor(enum chain chain, const struct chain_link *link,
                        char ret_text[CHAIN_ANCHOR_BYTES]);

/* Whether the chain still has the row of an anchor. ST_NOT_FOUND: the anchor is of another chain.
 * ST_INVALID with ret_why: it has not, or the text is no anchor. */
MUST_CHECK enum status chain_check_anchor(struct db *db, enum chain chain, struct str anchor,
                                          char ret_why[CHAIN_WHY_BYTES]);
