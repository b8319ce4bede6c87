/* Rows of the ledger: texts that clients and experts choose, numbers of experts. What was written comes back,
 * and the chain verifies. Input: five texts, cut at line feeds, then bytes for the numbers. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "gateway/ledger.h"
#include "gateway/state_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/fuzz-ledger-XXXXXX";

static void remove_files(void)
{
    static const char *const names[] = {"a.db", "a.db-wal", "a.db-shm"};
    char path[64];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

/* One file for all runs: rows chain up. */
static struct db *ledger(void)
{
    static struct db *db;
    char why[DB_WHY_BYTES];
    char path[64];
    if (db == NULL) {
        ASSERT(mkdtemp(folder) != NULL && atexit(remove_files) == 0);
        (void)snprintf(path, sizeof path, "%s/a.db", folder);
        ASSERT(db_open(path, DB_WRITE, &db, why) == ST_OK);
        ASSERT(db_migrate(db, state_schema, STATE_SCHEMA_VERSION, why) == ST_OK);
    }
    return db;
}

struct expected {
    const struct ledger_row *row;
    int64_t seen;
};

static enum status compare(void *ctx, const struct ledger_row *row)
{
    struct expected *e = ctx;
    if (str_eq(row->request_id, e->row->request_id)) {
        ASSERT(str_eq(row->tenant, e->row->tenant) && str_eq(row->expert, e->row->expert));
        ASSERT(str_eq(row->category, e->row->category) && str_eq(row->outcome, e->row->outcome));
        ASSERT(row->prompt_tokens == e->row->prompt_tokens);
        ASSERT(row->cost_nano_usd == e->row->cost_nano_usd);
        e->seen++;
    }
    return ST_OK;
}

static int64_t number(struct str bytes, size_t at)
{
    uint32_t value = 0;
    struct str four = str_slice(bytes, at, sizeof value);
    memcpy(&value, four.len == sizeof value ? four.ptr : "\0\0\0", sizeof value);
    return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int64_t runs;
    char id[32];
    char why[LEDGER_WHY_BYTES] = "";
    int64_t rows = 0;
    struct str rest = {(const char *)data, size};
    struct str texts[5] = {STR(""), STR(""), STR(""), STR(""), STR("")};
    for (size_t i = 0; i < 5 && str_split(rest, '\n', &texts[i], &rest); i++) {
    }
    int len = snprintf(id, sizeof id, "run-%lld", (long long)runs++);
    struct ledger_row row = {
        .request_id = {id, (size_t)len},
        .attempt = 1,
        .tenant = texts[0],
        .key_id = texts[1],
        .expert = texts[2],
        .category = texts[3],
        .outcome = texts[4],
        .prompt_tokens = number(rest, 0),
        .completion_tokens = number(rest, 4),
        .cost_nano_usd = number(rest, 8),
        .started_ms = number(rest, 12),
        .ended_ms = number(rest, 12) + number(rest, 16),
    };
    struct expected expected = {.row = &row};
    const struct ledger_filter all = {.tenant = texts[0]};
    struct db *db = ledger();
    ASSERT(ledger_write(db, &row) == ST_OK);
    ASSERT(ledger_write(db, &row) == ST_INVALID);
    ASSERT(ledger_each(db, &all, compare, &expected) == ST_OK && expected.seen == 1);
    if ((runs & (runs - 1)) == 0) { /* the whole chain, ever more seldom */
        ASSERT(ledger_verify(db, &rows, why) == ST_OK && rows == runs);
    }
    return 0;
}
