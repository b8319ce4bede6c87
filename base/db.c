/* See db.h. Durability: WAL with synchronous=FULL, so that a commit that returned survives the loss
 * of power, not only of the process. */
#include "base/db.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

enum {
    BUSY_MS = 2000,                 /* another process writes: a command, a backup */
    CHECK_BYTES = 32 * 1024 * 1024, /* about 0.1 s */
    APPLICATION_ID = 0x45585044,    /* "EXPD": no stranger's file */
    FILE_MODE = 0600,
    FOLDER_MODE = 0700,
    PATH_BYTES = 4096,
};

struct db_query {
    struct db *db;
    const char *sql; /* the literal itself names it */
    sqlite3_stmt *statement;
    enum status st; /* sticky until the next db_query */
};

struct db {
    sqlite3 *handle;
    struct db_query queries[DB_QUERIES_MAX];
    size_t query_count;
};

static enum status status_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return ST_OK;
    case SQLITE_NOMEM:
        return ST_NO_MEMORY;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return ST_IO;
    default: /* a table of dozens of codes that another project owns */
        return ST_INVALID;
    }
}

static void say(char why[DB_WHY_BYTES], const char *text)
{
    (void)snprintf(why, DB_WHY_BYTES, "%s", text);
}

const char *db_why(struct db *db)
{
    return sqlite3_errmsg(db->handle);
}

/* ---------------------------------------------------------------- open, close */

enum status db_make_folders(const char *path)
{
    char folder[PATH_BYTES];
    if (strlen(path) >= sizeof folder) {
        errno = ENAMETOOLONG;
        return ST_IO;
    }
    for (size_t i = 1; path[i] != '\0'; i++) {
        if (path[i] != '/') {
            continue;
        }
        memcpy(folder, path, i);
        folder[i] = '\0';
        if (mkdir(folder, FOLDER_MODE) != 0 && errno != EEXIST) {
            return ST_IO;
        }
    }
    return ST_OK;
}

/* The file exists, for its owner alone, before SQLite sees it; its journals take over the mode. */
static enum status make_file(const char *path)
{
    enum status st = db_make_folders(path);
    int fd = st == ST_OK ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE) : -1;
    if (fd < 0) {
        return ST_IO;
    }
    (void)close(fd);
    return ST_OK;
}

/* One number that a PRAGMA answers with; -1: it does not. */
static int64_t ask(struct db *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        value = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement); /* the error of the step, seen above */
    return value;
}

enum status db_check(struct db *db, char ret_why[DB_WHY_BYTES])
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &statement, NULL);
    code = code == SQLITE_OK ? sqlite3_step(statement) : code;
    enum status st = status_of(code);
    if (st != ST_OK) {
        say(ret_why, db_why(db));
    } else {
        const unsigned char *text = sqlite3_column_text(statement, 0);
        if (text == NULL || memcmp(text, "ok", 3) != 0) {
            (void)snprintf(ret_why, DB_WHY_BYTES, "damaged: %.200s",
                           text == NULL ? "" : (const char *)text);
            st = ST_INVALID;
        }
    }
    (void)sqlite3_finalize(statement); /* the error of the step, seen above */
    return st;
}

/* Whose file is this? A new one becomes ours. */
static enum status claim(struct db *db, enum db_mode mode, char why[DB_WHY_BYTES])
{
    int64_t tables = ask(db, "SELECT count(*) FROM sqlite_master");
    if (tables < 0) { /* the first read: recovery, or no database at all */
        enum status st = status_of(sqlite3_errcode(db->handle));
        say(why, db_why(db));
        return st == ST_OK ? ST_INVALID : st;
    }
    int64_t id = ask(db, "PRAGMA application_id");
    if (id != APPLICATION_ID && (id != 0 || tables != 0)) {
        say(why, "a database of another program");
        return ST_INVALID;
    }
    if (id == APPLICATION_ID || mode == DB_READ) {
        return ST_OK;
    }
    char sql[64];
    (void)snprintf(sql, sizeof sql, "PRAGMA application_id = %d", (int)APPLICATION_ID);
    enum status st = db_exec(db, sql);
    if (st != ST_OK) {
        say(why, db_why(db));
    }
    return st;
}

static enum status set_up(struct db *db, const char *path, enum db_mode mode,
                          char why[DB_WHY_BYTES])
{
    struct stat file;
    (void)sqlite3_busy_timeout(db->handle, BUSY_MS);    /* cannot fail on an open handle */
    (void)sqlite3_extended_result_codes(db->handle, 1); /* nor can this */
    enum status st = claim(db, mode, why);
    if (st == ST_OK && stat(path, &file) == 0 && file.st_size <= CHECK_BYTES) {
        st = db_check(db, why);
    }
    if (st == ST_OK && mode == DB_WRITE) {
        st = db_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                         "PRAGMA foreign_keys = ON;");
        if (st != ST_OK) {
            say(why, db_why(db));
        }
    }
    return st;
}

enum status db_open(const char *path, enum db_mode mode, struct db **ret_db,
                    char ret_why[DB_WHY_BYTES])
{
    if (mode == DB_WRITE && make_file(path) != ST_OK) {
        char text[DB_WHY_BYTES] = "";
        say(ret_why, strerror_r(errno, text, sizeof text));
        return ST_IO;
    }
    struct db *db = mem_zalloc(1, sizeof *db);
    if (db == NULL) {
        say(ret_why, "no memory");
        return ST_NO_MEMORY;
    }
    int flags = mode == DB_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    enum status st =
        status_of(sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL));
    if (st != ST_OK) {
        say(ret_why, db->handle == NULL ? "no memory" : db_why(db));
    } else {
        st = set_up(db, path, mode, ret_why);
    }
    if (st != ST_OK) {
        db_close(db);
        return st;
    }
    *ret_db = db;
    return ST_OK;
}

void db_wait_at_most(struct db *db, int wait_ms)
{
    (void)sqlite3_busy_timeout(db->handle, wait_ms); /* cannot fail on an open handle */
}

void db_close(struct db *db)
{
    if (db == NULL) {
        return;
    }
    for (size_t i = 0; i < db->query_count; i++) {
        (void)sqlite3_finalize(db->queries[i].statement); /* errors were seen when it ran */
    }
    (void)sqlite3_close(db->handle); /* all statements are gone: it cannot be busy */
    mem_free(db);
}

bool db_in_transaction(const struct db *db)
{
    return sqlite3_get_autocommit(db->handle) == 0;
}

void db_rollback(struct db *db)
{
    if (db_in_transaction(db)) { /* the one failure there is: no transaction any more */
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    }
}

/* ---------------------------------------------------------------- schema */

int64_t db_version(struct db *db)
{
    return ask(db, "PRAGMA user_version");
}

static enum status migrate_once(struct db *db, const char *step, int64_t to)
{
    char sql[64];
    (void)snprintf(sql, sizeof sql, "PRAGMA user_version = %d; COMMIT", (int)to);
    enum status st = db_exec(db, "BEGIN IMMEDIATE");
    if (st == ST_OK) {
        st = db_exec(db, step);
    }
    return st == ST_OK ? db_exec(db, sql) : st;
}

enum status db_migrate(struct db *db, const char *const *steps, size_t count,
                       char ret_why[DB_WHY_BYTES])
{
    int64_t version = db_version(db);
    if (version < 0 || version > (int64_t)count) {
        (void)snprintf(ret_why, DB_WHY_BYTES,
                       "its schema has version %d, this program knows up to %zu: it was written by "
                       "a newer one",
                       (int)version, count);
        return ST_INVALID;
    }
    for (size_t i = (size_t)version; i < count; i++) {
        enum status st = migrate_once(db, steps[i], (int64_t)i + 1);
        if (st != ST_OK) {
            say(ret_why, db_why(db));
            db_rollback(db);
            return st;
        }
    }
    return ST_OK;
}

/* ---------------------------------------------------------------- statements */

enum status db_exec(struct db *db, const char *sql)
{
    return status_of(sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

struct db_query *db_query(struct db *db, const char *literal)
{
    struct db_query *q = db->queries;
    struct db_query *end = db->queries + db->query_count;
    while (q < end && strcmp(q->sql, literal) != 0) {
        q++;
    }
    if (q == end) {
        ASSERT(db->query_count < DB_QUERIES_MAX);
        *q = (struct db_query){.db = db, .sql = literal};
        db->query_count++;
    }
    q->st = ST_OK;
    if (q->statement == NULL) { /* new, or it could not be prepared the last time */
        q->st = status_of(sqlite3_prepare_v3(db->handle, literal, -1, SQLITE_PREPARE_PERSISTENT,
                                             &q->statement, NULL));
        return q;
    }
    (void)sqlite3_reset(q->statement);          /* the error of the last run, long reported */
    (void)sqlite3_clear_bindings(q->statement); /* cannot fail */
    return q;
}

static void bound(struct db_query *q, int code)
{
    q->st = q->st == ST_OK ? status_of(code) : q->st;
}

void db_bind_int(struct db_query *q, int index, int64_t value)
{
    bound(q, q->statement == NULL ? SQLITE_OK : sqlite3_bind_int64(q->statement, index, value));
}

void db_bind_real(struct db_query *q, int index, double value)
{
    bound(q, q->statement == NULL ? SQLITE_OK : sqlite3_bind_double(q->statement, index, value));
}

void db_bind_text(struct db_query *q, int index, struct str value)
{
    const char *text = value.ptr == NULL ? "" : value.ptr;
    bound(q, q->statement == NULL ? SQLITE_OK
                                  : sqlite3_bind_text64(q->statement, index, text, value.len,
                                                        SQLITE_STATIC, SQLITE_UTF8));
}

void db_bind_blob(struct db_query *q, int index, const void *bytes, size_t size)
{
    bound(q, q->statement == NULL ? SQLITE_OK
                                  : sqlite3_bind_blob64(q->statement, index, size == 0 ? "" : bytes,
                                                        size, SQLITE_STATIC));
}

void db_bind_null(struct db_query *q, int index)
{
    bound(q, q->statement == NULL ? SQLITE_OK : sqlite3_bind_null(q->statement, index));
}

enum status db_next(struct db_query *q)
{
    if (q->st != ST_OK) {
        return q->st;
    }
    int code = sqlite3_step(q->statement);
    if (code == SQLITE_ROW) {
        return ST_OK;
    }
    q->st = status_of(code);
    return q->st == ST_OK ? ST_NOT_FOUND : q->st;
}

enum status db_end(struct db_query *q)
{
    if (q->statement != NULL) {
        (void)sqlite3_reset(q->statement);          /* repeats the error that st holds */
        (void)sqlite3_clear_bindings(q->statement); /* lets go of borrowed memory */
    }
    return q->st;
}

enum status db_run(struct db_query *q, int64_t *ret_changes)
{
    enum status st = db_next(q);
    while (st == ST_OK) {
        st = db_next(q);
    }
    if (st == ST_NOT_FOUND && ret_changes != NULL) {
        *ret_changes = sqlite3_changes64(q->db->handle);
    }
    return db_end(q);
}

int64_t db_int(struct db_query *q, int column)
{
    return sqlite3_column_int64(q->statement, column);
}

double db_real(struct db_query *q, int column)
{
    return sqlite3_column_double(q->statement, column);
}

struct str db_text(struct db_query *q, int column)
{
    const void *text = sqlite3_column_text(q->statement, column); /* before the size: it converts */
    return (struct str){text, (size_t)sqlite3_column_bytes(q->statement, column)};
}

struct str db_blob(struct db_query *q, int column)
{
    const void *bytes = sqlite3_column_blob(q->statement, column);
    return (struct str){bytes, (size_t)sqlite3_column_bytes(q->statement, column)};
}

bool db_is_null(struct db_query *q, int column)
{
    return sqlite3_column_type(q->statement, column) == SQLITE_NULL;
}
