/* What outlives the process: one SQLite file, one writer thread, group commit. A job is a function
 * that runs on the writer thread inside the transaction of its batch, with what it needs behind it,
 * and a completion that runs on the worker's loop once the batch is on disk. Workers never wait for
 * the disk: handing a job over is lock-free, and a full queue is said at once.
 *
 * The promise is the durability: with STATE_COMMIT a job's completion means that its rows are on disk
 * (fsync); with STATE_INTERVAL it means that they will be within interval_ms, and what a kill takes
 * is at most that much. In both, kill -9 at any moment leaves whole jobs, each once.
 *
 * A disk that is full, gone or read-only fails the jobs of the batch (ST_IO) and nothing else: the
 * store counts as degraded, says so once in the log, tries again with the next batch, and says when
 * it works again. Reading commands open the file themselves (db.h, DB_READ). */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/db.h"
#include "base/keys.h"
#include "base/loop.h"

enum state_durability {
    STATE_COMMIT,
    STATE_INTERVAL,
};

struct state_keep { /* how long rows stay; 0: for ever */
    int64_t receipts_days;
    int64_t ledger_days;
};

struct state_settings { /* the YAML block `state` */
    struct str path;    /* empty: nothing is stored */
    int durability;     /* enum state_durability */
    int64_t interval_ms;
    int64_t queue;        /* jobs that may wait */
    int64_t recent_bytes; /* memory for recent decisions, see recent.h */
    int receipts;         /* enum receipt_level, see receipts.h */
    struct state_keep keep;
};

extern const struct keys state_keys;

struct state;

struct state_job { /* embedded in what the job needs; zero-initialise */
    /* On the writer thread, in a transaction. Anything but ST_OK undoes what this job did, and only
     * that. May not commit or roll back. */
    enum status (*run)(struct state_job *job, struct db *db);
    /* Exactly once after state_submit said ST_OK; owns the job from then on. On `loop`, or on the
     * writer thread where loop is NULL. */
    void (*done)(struct state_job *job);
    struct loop *loop; /* must live until done has run */

    enum status st; /* for done: of run, or ST_IO when the commit failed */

    struct state_job *next; /* the store's */
    struct loop_task task;  /* the store's */
};

struct state_figures {
    uint64_t jobs;    /* done and kept */
    uint64_t failed;  /* done and not kept */
    uint64_t refused; /* the queue was full */
    uint64_t commits;
    uint64_t pending;
    bool is_degraded;
};

/* Opens the file, brings its schema up to date and starts the writer. ret_why (always set on failure)
 * says what is wrong and what was meant. ST_IO, ST_INVALID, ST_NO_MEMORY. */
MUST_CHECK enum status state_open(const struct state_settings *settings, struct state **ret_state,
                                  char ret_why[DB_WHY_BYTES]);

/* Runs and commits what is queued, then ends. Nobody may submit any more. NULL allowed. */
void state_close(struct state *s);

/* Hands a job over; any thread, never waits. ST_TOO_BIG: the queue is full, the job stays the
 * caller's. */
MUST_CHECK enum status state_submit(struct state *s, struct state_job *job);

enum state_durability state_durability(const struct state *s); /* any thread */
struct state_figures state_figures(const struct state *s);     /* any thread */

/* Appends the figures in Prometheus' text format. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status state_write_metrics(const struct state *s, struct buf *out);

/* Opens a state file of this schema for a command: DB_READ, or DB_WRITE beside a running server.
 * As state_open. */
MUST_CHECK enum status state_open_file(const char *path, enum db_mode mode, struct db **ret_db,
                                       char ret_why[DB_WHY_BYTES]);
