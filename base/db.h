/* An embedded database: a thin, strict wrapper over SQLite in WAL mode. The only file that knows
 * SQLite. One connection, one thread at a time. Blocks on the disk: never on a worker's thread.
 *
 * Statements are prepared once and kept: db_query with the same literal gives the same query, reset.
 *
 *     struct db_query *q = db_query(db, "SELECT id FROM feedback WHERE category = ?1");
 *     db_bind_text(q, 1, category);
 *     while (db_next(q) == ST_OK) { use(db_int(q, 0)); }
 *     st = db_end(q);               errors are sticky: checked once, here
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct db;
struct db_query;

enum db_mode {
    DB_READ,  /* the file must be there; nothing is written */
    DB_WRITE, /* made if it is not there (0600), with its folders (0700) */
};

enum {
    DB_QUERIES_MAX = 64,
    DB_WHY_BYTES = 256,
};

/* Makes the folders above a file, for their owner alone. ST_IO: errno says why. */
MUST_CHECK enum status db_make_folders(const char *path);

/* Opens a file, recovers what a killed writer left, checks its integrity (files up to 32 MiB; larger
 * ones by db_check). ret_why gets a text for people, lower case, in every case of failure.
 * ST_IO: the disk, rights, or another process holds it; ST_INVALID: no database, or damaged;
 * ST_NO_MEMORY. */
MUST_CHECK enum status db_open(const char *path, enum db_mode mode, struct db **ret_db,
                               char ret_why[DB_WHY_BYTES]);
void db_close(struct db *db); /* NULL allowed */

/* For another process that writes; 2 s unless this says else. A busy server leaves little room. */
void db_wait_at_most(struct db *db, int wait_ms);

/* Reads the whole file and its indices. ST_INVALID: damaged, ret_why says where; ST_IO. */
MUST_CHECK enum status db_check(struct db *db, char ret_why[DB_WHY_BYTES]);

/* Brings the schema up to date: steps[n] leads from version n to n + 1 (PRAGMA user_version), each in
 * a transaction of its own. ST_INVALID: the file is newer than `count` or a step is wrong; ST_IO. */
MUST_CHECK enum status db_migrate(struct db *db, const char *const *steps, size_t count,
                                  char ret_why[DB_WHY_BYTES]);
int64_t db_version(struct db *db); /* of the schema; 0: a new file; -1: it cannot be read */

/* What was wrong last. Contains names and no values. Borrowed until the next call. */
const char *db_why(struct db *db);

/* Runs statements that give no rows. ST_IO: the disk is full, fails, is read-only or held by another
 * process; ST_INVALID: the statement, a constraint, or a damaged file; ST_NO_MEMORY. */
MUST_CHECK enum status db_exec(struct db *db, const char *sql);

/* In a transaction? A full disk may have ended it. */
bool db_in_transaction(const struct db *db);

/* Undoes the transaction, if one is open. db_why says "not an error" afterwards. */
void db_rollback(struct db *db);

/* The prepared statement of a literal, reset and with nothing bound. Never NULL: what is wrong with
 * it comes from db_end or db_run. At most DB_QUERIES_MAX literals per connection. */
struct db_query *db_query(struct db *db, const char *literal);

/* Parameters count from 1. Texts and blobs are borrowed until db_end or db_run. */
void db_bind_int(struct db_query *q, int index, int64_t value);
void db_bind_real(struct db_query *q, int index, double value);
void db_bind_text(struct db_query *q, int index, struct str value);
void db_bind_blob(struct db_query *q, int index, const void *bytes, size_t size);
void db_bind_null(struct db_query *q, int index);

/* ST_OK: a row stands ready. ST_NOT_FOUND: no more. Else the statuses of db_exec. */
MUST_CHECK enum status db_next(struct db_query *q);

/* Ends a query: ST_OK, or the first error since db_query. */
MUST_CHECK enum status db_end(struct db_query *q);

/* Runs a query whose rows nobody wants; ret_changes (NULL allowed): rows changed. */
MUST_CHECK enum status db_run(struct db_query *q, int64_t *ret_changes);

/* Columns of the row, from 0. Texts and blobs are borrowed until the next call for this query. */
int64_t db_int(struct db_query *q, int column);
double db_real(struct db_query *q, int column);
struct str db_text(struct db_query *q, int column);
struct str db_blob(struct db_query *q, int column);
bool db_is_null(struct db_query *q, int column);
