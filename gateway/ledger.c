/* See ledger.h. Knows rows, not requests: what they cost is decided in attempt.c. */
#include "gateway/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "gateway/chain.h"

enum {
    MS_PER_HOUR = 3600 * 1000,
};

/* ---------------------------------------------------------------- the chain */

/* Never changes: it is what digests are over. */
static void digest_row(const struct ledger_row *row, const struct digest *before,
                       struct digest *ret_digest)
{
    const struct chain_fields fields = {
        .texts = {row->request_id, row->tenant, row->key_id, row->expert, row->category,
                  row->outcome},
        .text_count = 6,
        .numbers = {row->id, row->attempt, row->prompt_tokens, row->cached_tokens,
                    row->completion_tokens, row->reasoning_tokens, row->is_estimated,
                    row->is_suspect, row->cost_nano_usd, row->started_ms, row->ended_ms},
        .number_count = 11,
    };
    chain_digest(&fields, before, ret_digest);
}

/* ---------------------------------------------------------------- writing */

static void bind_cost(struct db_query *q, int index, int64_t cost_nano_usd)
{
    if (cost_nano_usd == LEDGER_COST_UNKNOWN) {
        db_bind_null(q, index);
    } else {
        db_bind_int(q, index, cost_nano_usd);
    }
}

static enum status insert(struct db *db, const struct ledger_row *row, const struct digest *digest)
{
    struct db_query *q = db_query(
        db, "INSERT INTO ledger (id, request_id, attempt, tenant, key_id, expert, category, "
            "prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, is_estimated, "
            "is_suspect, cost_nano_usd, outcome, started_ms, ended_ms, digest) VALUES "
            "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)");
    db_bind_int(q, 1, row->id);
    db_bind_text(q, 2, row->request_id);
    db_bind_int(q, 3, row->attempt);
    db_bind_text(q, 4, row->tenant);
    db_bind_text(q, 5, row->key_id);
    db_bind_text(q, 6, row->expert);
    db_bind_text(q, 7, row->category);
    db_bind_int(q, 8, row->prompt_tokens);
    db_bind_int(q, 9, row->cached_tokens);
    db_bind_int(q, 10, row->completion_tokens);
    db_bind_int(q, 11, row->reasoning_tokens);
    db_bind_int(q, 12, row->is_estimated);
    db_bind_int(q, 13, row->is_suspect);
    bind_cost(q, 14, row->cost_nano_usd);
    db_bind_text(q, 15, row->outcome);
    db_bind_int(q, 16, row->started_ms);
    db_bind_int(q, 17, row->ended_ms);
    db_bind_blob(q, 18, digest->bytes, DIGEST_BYTES);
    return db_run(q, NULL);
}

static enum status add_to_hour(struct db *db, const struct ledger_row *row)
{
    bool is_priced = row->cost_nano_usd != LEDGER_COST_UNKNOWN;
    struct db_query *q = db_query(
        db, "INSERT INTO ledger_hours VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8, ?9, ?10, ?11) "
            "ON CONFLICT DO UPDATE SET attempts = attempts + 1, "
            "prompt_tokens = prompt_tokens + ?6, cached_tokens = cached_tokens + ?7, "
            "completion_tokens = completion_tokens + ?8, "
            "reasoning_tokens = reasoning_tokens + ?9, cost_nano_usd = cost_nano_usd + ?10, "
            "unpriced = unpriced + ?11");
    db_bind_int(q, 1, row->ended_ms / MS_PER_HOUR);
    db_bind_text(q, 2, row->tenant);
    db_bind_text(q, 3, row->key_id);
    db_bind_text(q, 4, row->expert);
    db_bind_text(q, 5, row->category);
    db_bind_int(q, 6, row->prompt_tokens);
    db_bind_int(q, 7, row->cached_tokens);
    db_bind_int(q, 8, row->completion_tokens);
    db_bind_int(q, 9, row->reasoning_tokens);
    db_bind_int(q, 10, is_priced ? row->cost_nano_usd : 0);
    db_bind_int(q, 11, !is_priced);
    return db_run(q, NULL);
}

enum status ledger_write(struct db *db, const struct ledger_row *row)
{
    struct ledger_row numbered = *row;
    struct chain_link last;
    struct digest digest;
    enum status st = chain_last(db, CHAIN_LEDGER, &last);
    if (st != ST_OK) {
        return st;
    }
    numbered.id = last.id + 1;
    digest_row(&numbered, &last.digest, &digest);
    st = insert(db, &numbered, &digest);
    return st == ST_OK ? add_to_hour(db, &numbered) : st;
}

/* ---------------------------------------------------------------- reading */

#define COLUMNS                                                                                    \
    "id, request_id, attempt, tenant, key_id, expert, category, prompt_tokens, cached_tokens, "    \
    "completion_tokens, reasoning_tokens, is_estimated, is_suspect, cost_nano_usd, outcome, "      \
    "started_ms, ended_ms, digest"

enum {
    COLUMN_COST = 13,
    COLUMN_DIGEST = 17,
};

static struct ledger_row row_of(struct db_query *q)
{
    return (struct ledger_row){
        .id = db_int(q, 0),
        .request_id = db_text(q, 1),
        .attempt = db_int(q, 2),
        .tenant = db_text(q, 3),
        .key_id = db_text(q, 4),
        .expert = db_text(q, 5),
        .category = db_text(q, 6),
        .prompt_tokens = db_int(q, 7),
        .cached_tokens = db_int(q, 8),
        .completion_tokens = db_int(q, 9),
        .reasoning_tokens = db_int(q, 10),
        .is_estimated = db_int(q, 11) != 0,
        .is_suspect = db_int(q, 12) != 0,
        .cost_nano_usd = db_is_null(q, COLUMN_COST) ? LEDGER_COST_UNKNOWN : db_int(q, COLUMN_COST),
        .outcome = db_text(q, 14),
        .started_ms = db_int(q, 15),
        .ended_ms = db_int(q, 16),
    };
}

/* Parameters 1 to 6 of every query below. */
#define NAMES_PASS                                                                                 \
    "(?1 = '' OR tenant = ?1) AND (?2 = '' OR key_id = ?2) AND (?3 = '' OR expert = ?3) AND "      \
    "(?4 = '' OR category = ?4)"
#define ROWS_PASS NAMES_PASS " AND ended_ms >= ?5 AND ended_ms < ?6"

static void bind_filter(struct db_query *q, const struct ledger_filter *filter, int64_t unit_ms)
{
    db_bind_text(q, 1, filter->tenant);
    db_bind_text(q, 2, filter->key_id);
    db_bind_text(q, 3, filter->expert);
    db_bind_text(q, 4, filter->category);
    db_bind_int(q, 5, filter->since_ms / unit_ms);
    db_bind_int(q, 6, filter->until_ms == 0 ? INT64_MAX : filter->until_ms / unit_ms);
}

enum status ledger_each(struct db *db, const struct ledger_filter *filter,
                        enum status (*see)(void *ctx, const struct ledger_row *row), void *ctx)
{
    struct db_query *q =
        db_query(db, "SELECT " COLUMNS " FROM ledger WHERE " ROWS_PASS " ORDER BY id");
    bind_filter(q, filter, 1);
    enum status st = db_next(q);
    while (st == ST_OK) {
        struct ledger_row row = row_of(q);
        st = see(ctx, &row);
        st = st == ST_OK ? db_next(q) : st;
    }
    enum status ended = db_end(q);
    return st == ST_NOT_FOUND ? ended : st;
}

#define SUMS                                                                                       \
    "count(*), sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), "                   \
    "sum(reasoning_tokens), coalesce(sum(cost_nano_usd), 0), sum(cost_nano_usd IS NULL) "          \
    "FROM ledger WHERE " ROWS_PASS " GROUP BY 1 ORDER BY 1"

static const char *const sum_queries[] = {
    [LEDGER_BY_TENANT] = "SELECT tenant, " SUMS,
    [LEDGER_BY_KEY] = "SELECT key_id, " SUMS,
    [LEDGER_BY_EXPERT] = "SELECT expert, " SUMS,
    [LEDGER_BY_CATEGORY] = "SELECT category, " SUMS,
    [LEDGER_BY_DAY] = "SELECT date(ended_ms / 1000, 'unixepoch'), " SUMS,
};

enum status ledger_sum_by(struct db *db, const struct ledger_filter *filter, enum ledger_by by,
                          enum status (*see)(void *ctx, struct str name,
                                             const struct ledger_sum *sum),
                          void *ctx)
{
    struct db_query *q = db_query(db, sum_queries[by]);
    bind_filter(q, filter, 1);
    enum status st = db_next(q);
    while (st == ST_OK) {
        struct ledger_sum sum = {
            .attempts = db_int(q, 1),
            .prompt_tokens = db_int(q, 2),
            .cached_tokens = db_int(q, 3),
            .completion_tokens = db_int(q, 4),
            .reasoning_tokens = db_int(q, 5),
            .cost_nano_usd = db_int(q, 6),
            .unpriced = db_int(q, 7),
        };
        st = see(ctx, db_text(q, 0), &sum);
        st = st == ST_OK ? db_next(q) : st;
    }
    enum status ended = db_end(q);
    return st == ST_NOT_FOUND ? ended : st;
}

enum status ledger_spent(struct db *db, const struct ledger_filter *filter, int64_t *ret_nano_usd)
{
    struct db_query *q = db_query(db, "SELECT coalesce(sum(cost_nano_usd), 0) FROM ledger_hours "
                                      "WHERE " NAMES_PASS " AND hour >= ?5 AND hour < ?6");
    bind_filter(q, filter, MS_PER_HOUR);
    if (db_next(q) == ST_OK) {
        *ret_nano_usd = db_int(q, 0);
    }
    return db_end(q);
}

/* ---------------------------------------------------------------- verifying */

/* What is wrong with a row by itself or after the one before; NULL: nothing. */
static const char *judge(const struct ledger_row *row, int64_t id, struct str digest,
                         const struct digest *want)
{
    if (row->id != id) {
        return "rows are missing before it";
    }
    if (!str_eq(digest, (struct str){(const char *)want->bytes, DIGEST_BYTES})) {
        return "it or a row before it was changed";
    }
    if (row->cached_tokens > row->prompt_tokens || row->reasoning_tokens > row->completion_tokens ||
        row->prompt_tokens < 0 || row->completion_tokens < 0 || row->ended_ms < row->started_ms ||
        row->cost_nano_usd < LEDGER_COST_UNKNOWN) {
        return "its figures cannot be";
    }
    return NULL;
}

static enum status verify_rows(struct db *db, const struct chain_start *start, int64_t *ret_rows,
                               char ret_why[LEDGER_WHY_BYTES])
{
    struct db_query *q = db_query(db, "SELECT " COLUMNS " FROM ledger ORDER BY id");
    struct digest last = start->link.digest;
    const char *wrong = NULL;
    int64_t rows = 0;
    while (wrong == NULL && db_next(q) == ST_OK) {
        struct ledger_row row = row_of(q);
        struct digest want;
        digest_row(&row, &last, &want);
        wrong = judge(&row, start->link.id + rows + 1, db_blob(q, COLUMN_DIGEST), &want);
        if (wrong != NULL) {
            (void)snprintf(ret_why, LEDGER_WHY_BYTES,
                           "row %" PRId64 " (%.*s attempt %" PRId64 "): %s", row.id,
                           STR_ARG(str_slice(row.request_id, 0, 64)), row.attempt, wrong);
        }
        last = want;
        rows++;
    }
    *ret_rows = rows;
    enum status st = db_end(q);
    return st == ST_OK && wrong != NULL ? ST_INVALID : st;
}

/* Rows that say the same as the hours leave nothing of one side over. */
static enum status verify_hours(struct db *db, const struct chain_start *start,
                                char ret_why[LEDGER_WHY_BYTES])
{
    struct db_query *q = db_query(
        db, "SELECT h FROM (SELECT ended_ms / 3600000 AS h, tenant AS t, key_id AS k, expert AS e, "
            "category AS c, count(*) AS n, sum(prompt_tokens) AS p, sum(cached_tokens) AS a, "
            "sum(completion_tokens) AS o, sum(reasoning_tokens) AS r, "
            "coalesce(sum(cost_nano_usd), 0) AS m, sum(cost_nano_usd IS NULL) AS u FROM ledger "
            "WHERE ended_ms >= ?1 GROUP BY 1, 2, 3, 4, 5 "
            "UNION ALL SELECT * FROM ledger_hours WHERE hour >= ?1 / 3600000) "
            "GROUP BY h, t, k, e, c, n, p, a, o, r, m, u HAVING count(*) <> 2 ORDER BY h LIMIT 1");
    db_bind_int(q, 1, start->until_ms);
    bool is_off = db_next(q) == ST_OK;
    if (is_off) {
        (void)snprintf(ret_why, LEDGER_WHY_BYTES,
                       "the rows of hour %" PRId64 " since 1970 and its sums differ: rows were "
                       "removed at the end, or a sum was changed",
                       db_int(q, 0));
    }
    enum status st = db_end(q);
    return st == ST_OK && is_off ? ST_INVALID : st;
}

enum status ledger_verify(struct db *db, int64_t *ret_rows, char ret_why[LEDGER_WHY_BYTES])
{
    struct chain_start start;
    enum status st = chain_read_start(db, CHAIN_LEDGER, &start);
    if (st == ST_OK) {
        st = verify_rows(db, &start, ret_rows, ret_why);
    }
    if (st == ST_OK) {
        st = verify_hours(db, &start, ret_why);
    }
    if (st != ST_OK && st != ST_INVALID) {
        (void)snprintf(ret_why, LEDGER_WHY_BYTES, "%s", db_why(db));
    }
    return st;
}
