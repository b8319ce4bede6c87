/* See receipts.h. Knows rows, not requests: what is in them is decided in receipt.c. */
#include "gateway/receipts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct str blob(const struct digest *digest)
{
    return (struct str){(const char *)digest->bytes, DIGEST_BYTES};
}

/* Never changes: it is what digests are over. */
static void digest_row(const struct receipt_row *row, const struct digest *before,
                       struct digest *ret_digest)
{
    const struct chain_fields fields = {
        .texts = {row->request_id, blob(&row->conf), blob(&row->features), row->signals,
                  row->decision, row->expert, row->outcome},
        .text_count = 7,
        .numbers = {row->id, row->made_ms, (int64_t)row->weights, row->attempts, row->prompt_tokens,
                    row->completion_tokens, row->cost_nano_usd},
        .number_count = 7,
    };
    chain_digest(&fields, before, ret_digest);
}

enum status receipts_write(struct db *db, const struct receipt_row *row)
{
    struct receipt_row numbered = *row;
    struct chain_link last;
    struct digest digest;
    enum status st = chain_last(db, CHAIN_RECEIPTS, &last);
    if (st != ST_OK) {
        return st;
    }
    numbered.id = last.id + 1;
    digest_row(&numbered, &last.digest, &digest);
    struct db_query *q = db_query(
        db, "INSERT INTO receipts (id, request_id, made_ms, conf, weights, features, signals, "
            "decision, expert, outcome, attempts, prompt_tokens, completion_tokens, "
            "cost_nano_usd, digest) VALUES "
            "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)");
    db_bind_int(q, 1, numbered.id);
    db_bind_text(q, 2, row->request_id);
    db_bind_int(q, 3, row->made_ms);
    db_bind_blob(q, 4, row->conf.bytes, DIGEST_BYTES);
    db_bind_int(q, 5, (int64_t)row->weights);
    db_bind_blob(q, 6, row->features.bytes, DIGEST_BYTES);
    db_bind_blob(q, 7, row->signals.ptr, row->signals.len);
    db_bind_text(q, 8, row->decision);
    db_bind_text(q, 9, row->expert);
    db_bind_text(q, 10, row->outcome);
    db_bind_int(q, 11, row->attempts);
    db_bind_int(q, 12, row->prompt_tokens);
    db_bind_int(q, 13, row->completion_tokens);
    db_bind_int(q, 14, row->cost_nano_usd);
    db_bind_blob(q, 15, digest.bytes, DIGEST_BYTES);
    return db_run(q, NULL);
}

/* ---------------------------------------------------------------- reading */

#define COLUMNS                                                                                    \
    "id, request_id, made_ms, conf, weights, features, signals, decision, expert, outcome, "       \
    "attempts, prompt_tokens, completion_tokens, cost_nano_usd, digest"

enum {
    COLUMN_DIGEST = 14
};

static struct digest digest_at(struct db_query *q, int column)
{
    struct digest digest = {{0}};
    struct str bytes = db_blob(q, column);
    if (bytes.len == DIGEST_BYTES) {
        memcpy(digest.bytes, bytes.ptr, DIGEST_BYTES);
    }
    return digest;
}

static struct receipt_row row_of(struct db_query *q)
{
    return (struct receipt_row){
        .id = db_int(q, 0),
        .request_id = db_text(q, 1),
        .made_ms = db_int(q, 2),
        .conf = digest_at(q, 3),
        .weights = (uint64_t)db_int(q, 4),
        .features = digest_at(q, 5),
        .signals = db_blob(q, 6),
        .decision = db_text(q, 7),
        .expert = db_text(q, 8),
        .outcome = db_text(q, 9),
        .attempts = db_int(q, 10),
        .prompt_tokens = db_int(q, 11),
        .completion_tokens = db_int(q, 12),
        .cost_nano_usd = db_int(q, 13),
    };
}

enum status receipts_find(struct db *db, struct str request_id,
                          enum status (*see)(void *ctx, const struct receipt_row *row), void *ctx)
{
    struct db_query *q = db_query(db, "SELECT " COLUMNS " FROM receipts WHERE request_id = ?1 "
                                      "ORDER BY id DESC LIMIT 1");
    db_bind_text(q, 1, request_id);
    enum status st = db_next(q);
    if (st == ST_OK) {
        struct receipt_row row = row_of(q);
        st = see(ctx, &row);
    }
    enum status ended = db_end(q);
    return ended == ST_OK ? st : ended;
}

enum status receipts_each(struct db *db,
                          enum status (*see)(void *ctx, const struct receipt_row *row), void *ctx)
{
    return receipts_last(db, INT64_MAX, see, ctx);
}

enum status receipts_last(struct db *db, int64_t max,
                          enum status (*see)(void *ctx, const struct receipt_row *row), void *ctx)
{
    struct db_query *q = db_query(db, "SELECT " COLUMNS " FROM receipts WHERE id > "
                                      "(SELECT coalesce(max(id), 0) FROM receipts) - ?1 "
                                      "ORDER BY id");
    db_bind_int(q, 1, max);
    enum status st = db_next(q);
    while (st == ST_OK) {
        struct receipt_row row = row_of(q);
        st = see(ctx, &row);
        st = st == ST_OK ? db_next(q) : st;
    }
    enum status ended = db_end(q);
    return st == ST_NOT_FOUND ? ended : st;
}

enum status receipts_verify(struct db *db, int64_t *ret_rows, char ret_why[CHAIN_WHY_BYTES])
{
    struct chain_start start;
    const char *wrong = NULL;
    int64_t rows = 0;
    *ret_rows = 0;
    enum status st = chain_read_start(db, CHAIN_RECEIPTS, &start);
    if (st != ST_OK) {
        return st;
    }
    struct digest last = start.link.digest;
    struct db_query *q = db_query(db, "SELECT " COLUMNS " FROM receipts ORDER BY id");
    while (wrong == NULL && db_next(q) == ST_OK) {
        struct receipt_row row = row_of(q);
        struct digest want;
        digest_row(&row, &last, &want);
        if (row.id != start.link.id + rows + 1) {
            wrong = "rows are missing before it";
        } else if (!str_eq(db_blob(q, COLUMN_DIGEST), blob(&want))) {
            wrong = "it or a row before it was changed";
        }
        if (wrong != NULL) {
            (void)snprintf(ret_why, CHAIN_WHY_BYTES, "receipt %" PRId64 " (%.*s): %s", row.id,
                           STR_ARG(str_slice(row.request_id, 0, 64)), wrong);
        }
        last = want;
        rows++;
    }
    *ret_rows = rows;
    st = db_end(q);
    return st == ST_OK && wrong != NULL ? ST_INVALID : st;
}
