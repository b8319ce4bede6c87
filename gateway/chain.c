/* See chain.h. Knows the tables by their names, not what is in them. */
#include "gateway/chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

enum {
    NUMBER_BYTES = 8,
    CHAINED_BYTES = (1 + CHAIN_TEXTS_MAX) * DIGEST_BYTES + CHAIN_NUMBERS_MAX * NUMBER_BYTES,
    MS_PER_HOUR = 3600 * 1000,
    HOURS_PER_DAY = 24,
    KEEP_EVERY = 256,   /* rows between two looks at their age */
    KEEP_AT_ONCE = 512, /* more than come in between: old rows become fewer */
};

static const struct {
    const char *name;
    const char *last;   /* -> id, digest */
    const char *find;   /* ?1: id -> digest */
    const char *oldest; /* ?1: ms; ?2: rows -> id, digest of the last row that may go */
    const char *remove; /* ?1: id */
} chains[] = {
    [CHAIN_LEDGER] = {"ledger", "SELECT id, digest FROM ledger ORDER BY id DESC LIMIT 1",
                      "SELECT digest FROM ledger WHERE id = ?1",
                      "SELECT id, digest FROM (SELECT id, digest, "
                      "max(ended_ms) OVER (ORDER BY id) AS m FROM ledger ORDER BY id LIMIT ?2) "
                      "WHERE m < ?1 ORDER BY id DESC LIMIT 1",
                      "DELETE FROM ledger WHERE id <= ?1"},
    [CHAIN_RECEIPTS] = {"receipts", "SELECT id, digest FROM receipts ORDER BY id DESC LIMIT 1",
                        "SELECT digest FROM receipts WHERE id = ?1",
                        "SELECT id, digest FROM (SELECT id, digest, "
                        "max(made_ms) OVER (ORDER BY id) AS m FROM receipts ORDER BY id LIMIT ?2) "
                        "WHERE m < ?1 ORDER BY id DESC LIMIT 1",
                        "DELETE FROM receipts WHERE id <= ?1"},
};

const char *chain_name(enum chain chain)
{
    return chains[chain].name;
}

void chain_digest(const struct chain_fields *fields, const struct digest *before,
                  struct digest *ret_digest)
{
    char bytes[CHAINED_BYTES];
    size_t len = sizeof *before;
    ASSERT(fields->text_count <= CHAIN_TEXTS_MAX && fields->number_count <= CHAIN_NUMBERS_MAX);
    memcpy(bytes, before, sizeof *before);
    for (size_t i = 0; i < fields->text_count; i++) {
        struct digest part;
        digest_of(fields->texts[i], &part);
        memcpy(bytes + len, &part, sizeof part);
        len += sizeof part;
    }
    for (size_t i = 0; i < fields->number_count * NUMBER_BYTES; i++) {
        uint64_t number = (uint64_t)fields->numbers[i / NUMBER_BYTES];
        bytes[len++] = (char)(uint8_t)(number >> (56 - 8 * (i % NUMBER_BYTES)));
    }
    digest_of((struct str){bytes, len}, ret_digest);
}

static void take_digest(struct str blob, struct digest *ret)
{
    memset(ret, 0, sizeof *ret);
    if (blob.len > 0) {
        memcpy(ret->bytes, blob.ptr, blob.len < DIGEST_BYTES ? blob.len : DIGEST_BYTES);
    }
}

enum status chain_read_start(struct db *db, enum chain chain, struct chain_start *ret)
{
    struct chain_start start = {{0, {{0}}}, 0};
    struct db_query *q =
        db_query(db, "SELECT id, digest, until_ms FROM chain_starts WHERE chain = ?1");
    db_bind_text(q, 1, str_from(chains[chain].name));
    if (db_next(q) == ST_OK) {
        start.link.id = db_int(q, 0);
        take_digest(db_blob(q, 1), &start.link.digest);
        start.until_ms = db_int(q, 2);
    }
    *ret = start;
    return db_end(q);
}

enum status chain_last(struct db *db, enum chain chain, struct chain_link *ret)
{
    struct chain_start start;
    struct db_query *q = db_query(db, chains[chain].last);
    bool is_there = db_next(q) == ST_OK;
    if (is_there) {
        ret->id = db_int(q, 0);
        take_digest(db_blob(q, 1), &ret->digest);
    }
    enum status st = db_end(q);
    if (st != ST_OK || is_there) {
        return st;
    }
    st = chain_read_start(db, chain, &start);
    *ret = start.link;
    return st;
}

static enum status write_start(struct db *db, enum chain chain, const struct chain_start *start)
{
    struct db_query *q =
        db_query(db, "INSERT INTO chain_starts VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET "
                     "id = ?2, digest = ?3, until_ms = max(until_ms, ?4)");
    db_bind_text(q, 1, str_from(chains[chain].name));
    db_bind_int(q, 2, start->link.id);
    db_bind_blob(q, 3, start->link.digest.bytes, DIGEST_BYTES);
    db_bind_int(q, 4, start->until_ms);
    return db_run(q, NULL);
}

enum status chain_prune(struct db *db, enum chain chain, int64_t before_ms, int64_t max,
                        int64_t *ret_removed)
{
    struct chain_start start = {.until_ms = before_ms - before_ms % MS_PER_HOUR};
    struct db_query *q = db_query(db, chains[chain].oldest);
    db_bind_int(q, 1, start.until_ms);
    db_bind_int(q, 2, max);
    bool is_there = db_next(q) == ST_OK;
    if (is_there) {
        start.link.id = db_int(q, 0);
        take_digest(db_blob(q, 1), &start.link.digest);
    }
    enum status st = db_end(q);
    *ret_removed = 0;
    if (st != ST_OK || !is_there) {
        return st;
    }
    st = write_start(db, chain, &start);
    if (st != ST_OK) {
        return st;
    }
    q = db_query(db, chains[chain].remove);
    db_bind_int(q, 1, start.link.id);
    return db_run(q, ret_removed);
}

enum status chain_keep(struct db *db, enum chain chain, int64_t days, int64_t now_ms)
{
    struct chain_link last;
    int64_t removed = 0;
    enum status st = days == 0 ? ST_OK : chain_last(db, chain, &last);
    if (st != ST_OK || days == 0 || last.id % KEEP_EVERY != 0) {
        return st;
    }
    int64_t age_ms = days * HOURS_PER_DAY * MS_PER_HOUR;
    return now_ms <= age_ms ? ST_OK
                            : chain_prune(db, chain, now_ms - age_ms, KEEP_AT_ONCE, &removed);
}

void chain_write_anchor(enum chain chain, const struct chain_link *link,
                        char ret_text[CHAIN_ANCHOR_BYTES])
{
    char digest[DIGEST_TEXT_BYTES];
    digest_write(&link->digest, digest);
    (void)snprintf(ret_text, CHAIN_ANCHOR_BYTES, "%s:%" PRId64 ":%s", chains[chain].name, link->id,
                   digest);
}

/* "12:sha256:..." */
static enum status parse_link(struct str text, struct chain_link *ret)
{
    size_t colon = str_find_char(text, ':');
    int64_t id = 0;
    if (colon == 0 || colon >= text.len || colon > 18) {
        return ST_INVALID;
    }
    for (size_t i = 0; i < colon; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return ST_INVALID;
        }
        id = id * 10 + (text.ptr[i] - '0');
    }
    ret->id = id;
    return digest_parse(str_slice(text, colon + 1, text.len), &ret->digest);
}

static enum status find_link(struct db *db, enum chain chain, const struct chain_link *link,
                             bool *ret_is_there)
{
    struct chain_start start;
    struct digest got;
    enum status st = chain_read_start(db, chain, &start);
    if (st != ST_OK) {
        return st;
    }
    *ret_is_there = link->id == start.link.id && digest_eq(&link->digest, &start.link.digest);
    struct db_query *q = db_query(db, chains[chain].find);
    db_bind_int(q, 1, link->id);
    if (db_next(q) == ST_OK) {
        take_digest(db_blob(q, 0), &got);
        *ret_is_there = digest_eq(&got, &link->digest);
    }
    return db_end(q);
}

enum status chain_check_anchor(struct db *db, enum chain chain, struct str anchor,
                               char ret_why[CHAIN_WHY_BYTES])
{
    struct str name = str_from(chains[chain].name);
    struct chain_start start;
    struct chain_link link;
    bool is_there = false;
    if (!str_starts_with(anchor, name) || anchor.len <= name.len || anchor.ptr[name.len] != ':') {
        return ST_NOT_FOUND;
    }
    if (parse_link(str_slice(anchor, name.len + 1, anchor.len), &link) != ST_OK) {
        (void)snprintf(ret_why, CHAIN_WHY_BYTES, "an anchor is NAME:ID:sha256:DIGITS");
        return ST_INVALID;
    }
    enum status st = find_link(db, chain, &link, &is_there);
    if (st == ST_OK) {
        st = chain_read_start(db, chain, &start);
    }
    if (st != ST_OK || is_there) {
        return st;
    }
    if (link.id < start.link.id) {
        (void)snprintf(ret_why, CHAIN_WHY_BYTES,
                       "the rows up to %" PRId64
                       " were removed for their age (state.keep), and row "
                       "%" PRId64 " of the anchor with them",
                       start.link.id, link.id);
    } else {
        (void)snprintf(ret_why, CHAIN_WHY_BYTES,
                       "row %" PRId64 " of the anchor is not there, or is another: rows were "
                       "removed at the end, or chained anew",
                       link.id);
    }
    return ST_INVALID;
}
