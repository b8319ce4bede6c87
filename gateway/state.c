/* See state.h. The queue is a stack of jobs that the writer takes whole and turns round, as loop_post
 * does. Knows nothing of what jobs do. */
#include "gateway/state.h"

#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/state_schema.h"

enum {
    BATCH_MAX = 1024, /* jobs per commit: bounds what one failed commit takes with it */
    US_PER_S = 1000000,
    NS_PER_US = 1000,
};

static const char *const durabilities[] = {"commit", "interval", NULL};

static const char *const receipt_levels[] = {"off", "decision", "replayable", NULL};

static const struct key keep_rows[] = {
    {.name = "receipts_days",
     .type = KEY_INT,
     .offset = offsetof(struct state_keep, receipts_days),
     .min = 0,
     .max = 36500,
     .unit = "days",
     .fallback = "30",
     .sentence = "receipts that are older are removed from the beginning of their chain; 0: none"},
    {.name = "ledger_days",
     .type = KEY_INT,
     .offset = offsetof(struct state_keep, ledger_days),
     .min = 0,
     .max = 36500,
     .unit = "days",
     .fallback = "0",
     .sentence = "the same for rows of the ledger; sums by hour, which budgets read, stay"},
};

static const struct keys keep_keys = {"keep", sizeof(struct state_keep), keep_rows,
                                      sizeof keep_rows / sizeof keep_rows[0],
                                      "How long rows stay in the state file."};

static const struct key state_rows[] = {
    {.name = "path",
     .type = KEY_PATH,
     .offset = offsetof(struct state_settings, path),
     .is_required = true,
     .sentence = "the file; it and its folder are made, for their owner alone",
     .example = "state/expertd.db"},
    {.name = "durability",
     .type = KEY_CHOICE,
     .offset = offsetof(struct state_settings, durability),
     .fallback = "commit",
     .choices = durabilities,
     .sentence =
         "commit: what was acknowledged is on disk; interval: it will be within interval_ms"},
    {.name = "interval_ms",
     .type = KEY_INT,
     .offset = offsetof(struct state_settings, interval_ms),
     .min = 1,
     .max = 60000,
     .unit = "ms",
     .fallback = "50",
     .sentence = "time between commits with durability interval"},
    {.name = "queue",
     .type = KEY_INT,
     .offset = offsetof(struct state_settings, queue),
     .min = 1,
     .max = 1000000,
     .fallback = "4096",
     .sentence = "rows that may wait for the disk; more are refused"},
    {.name = "recent_bytes",
     .type = KEY_BYTES,
     .offset = offsetof(struct state_settings, recent_bytes),
     .min = 65536,
     .max = 1073741824,
     .fallback = "8MiB",
     .sentence = "memory for recent decisions (about 4 kB each), which feedback can name by their "
                 "request id and a preview tries a changed configuration on"},
    {.name = "receipts",
     .type = KEY_CHOICE,
     .offset = offsetof(struct state_settings, receipts),
     .fallback = "off",
     .choices = receipt_levels,
     .sentence = "decision: a chained record of every decision, with a digest of the prompt's "
                 "features; replayable: also the signals it was made from, without text"},
    {.name = "keep",
     .type = KEY_BLOCK,
     .offset = offsetof(struct state_settings, keep),
     .sentence = "how long rows stay",
     .block = &keep_keys},
};

const struct keys state_keys = {"state", sizeof(struct state_settings), state_rows,
                                sizeof state_rows / sizeof state_rows[0],
                                "What outlives the process; without this block nothing is stored."};

struct state {
    /* any thread pushes and counts up, the writer takes and counts down; default order */
    _Atomic(struct state_job *) queue;
    atomic_size_t pending;
    size_t pending_max;
    atomic_bool is_closing; /* set by state_close */
    sem_t wake;             /* posted when the queue was empty */

    /* written by the writer (refused: by anyone), read by scrapers; each right by itself */
    atomic_uint_fast64_t kept;
    atomic_uint_fast64_t failed;
    atomic_uint_fast64_t refused;
    atomic_uint_fast64_t commits;
    atomic_bool is_degraded;

    /* the writer's own */
    struct db *db;
    char *path;
    enum state_durability durability; /* constant */
    int64_t interval_us;
    bool is_open;           /* a transaction */
    int64_t due_us;         /* when it must be committed; STATE_INTERVAL */
    size_t uncommitted;     /* jobs in it that were already told; STATE_INTERVAL */
    struct state_job *held; /* in reverse order: to be told after the commit */
    pthread_t thread;
};

/* ---------------------------------------------------------------- the writer */

static void set_degraded(struct state *s, bool is_degraded, const char *why)
{
    if (atomic_exchange(&s->is_degraded, is_degraded) == is_degraded) {
        return;
    }
    if (is_degraded) {
        log_write(LOG_ERROR, "state",
                  "cannot write to \"%s\": %s; nothing is stored until it works", s->path, why);
    } else {
        log_write(LOG_INFO, "state", "\"%s\" works again", s->path);
    }
}

static void on_task(struct loop_task *task)
{
    struct state_job *job = CONTAINER_OF(task, struct state_job, task);
    job->done(job);
}

static void tell(struct state *s, struct state_job *job, enum status st)
{
    job->st = st;
    (void)atomic_fetch_add(st == ST_OK ? &s->kept : &s->failed, 1);
    (void)atomic_fetch_sub(&s->pending, 1);
    if (job->loop == NULL) {
        job->done(job);
        return;
    }
    job->task.run = on_task;
    loop_post(job->loop, &job->task);
}

static void tell_held(struct state *s, enum status st)
{
    struct state_job *job = s->held;
    s->held = NULL;
    struct state_job *in_order = NULL;
    while (job != NULL) {
        struct state_job *next = job->next;
        job->next = in_order;
        in_order = job;
        job = next;
    }
    while (in_order != NULL) {
        struct state_job *next = in_order->next;
        tell(s, in_order, in_order->st == ST_OK ? st : in_order->st);
        in_order = next;
    }
}

/* The transaction is lost: what was promised for later (STATE_INTERVAL) is said to be lost. */
static void give_up(struct state *s)
{
    set_degraded(s, true, db_why(s->db));
    if (s->uncommitted > 0) {
        log_write(LOG_ERROR, "state", "%zu rows of the last %" PRId64 " ms are lost",
                  s->uncommitted, s->interval_us / 1000);
    }
    db_rollback(s->db);
    s->is_open = false;
    s->uncommitted = 0;
    tell_held(s, ST_IO);
}

static void begin(struct state *s)
{
    if (s->is_open) {
        return;
    }
    if (db_exec(s->db, "BEGIN IMMEDIATE") != ST_OK) {
        give_up(s);
        return;
    }
    s->is_open = true;
    s->due_us = clock_now_us(clock_system()) + s->interval_us;
}

static void commit(struct state *s)
{
    if (!s->is_open) {
        return;
    }
    if (db_exec(s->db, "COMMIT") != ST_OK) {
        give_up(s);
        return;
    }
    s->is_open = false;
    s->uncommitted = 0;
    (void)atomic_fetch_add(&s->commits, 1);
    set_degraded(s, false, "");
    tell_held(s, ST_OK);
}

/* Runs a job between a savepoint and its release. False: the whole transaction is lost. Where the disk
 * is the trouble, not the job's own rules, its neighbours must not be told that all is well. */
static bool run_guarded(struct state *s, struct state_job *job)
{
    enum status st = db_run(db_query(s->db, "SAVEPOINT job"), NULL);
    job->st = st == ST_OK ? job->run(job, s->db) : st;
    if (job->st == ST_IO || !db_in_transaction(s->db)) {
        return false;
    }
    if (job->st != ST_OK && db_run(db_query(s->db, "ROLLBACK TO job"), NULL) != ST_OK) {
        return false;
    }
    return db_run(db_query(s->db, "RELEASE job"), NULL) == ST_OK;
}

static void run_job(struct state *s, struct state_job *job)
{
    begin(s);
    if (!s->is_open) {
        tell(s, job, ST_IO);
        return;
    }
    bool is_whole = run_guarded(s, job);
    job->next = s->held;
    s->held = job;
    if (!is_whole) {
        give_up(s);
    } else if (s->durability == STATE_INTERVAL) {
        s->uncommitted += job->st == ST_OK;
        tell_held(s, ST_OK);
    }
}

static struct state_job *take_queue(struct state *s)
{
    struct state_job *stack = atomic_exchange(&s->queue, NULL);
    struct state_job *in_order = NULL;
    while (stack != NULL) {
        struct state_job *next = stack->next;
        stack->next = in_order;
        in_order = stack;
        stack = next;
    }
    return in_order;
}

static void run_queue(struct state *s)
{
    struct state_job *job = take_queue(s);
    size_t in_batch = 0;
    while (job != NULL) {
        struct state_job *next = job->next;
        run_job(s, job);
        job = next;
        in_batch++;
        if (in_batch == BATCH_MAX && s->durability == STATE_COMMIT) {
            commit(s);
            in_batch = 0;
        }
    }
}

/* Until there is work, or until the open transaction is due. */
static void wait_for_work(struct state *s)
{
    if (!s->is_open) {
        (void)sem_wait(&s->wake); /* interrupted: a turn for nothing */
        return;
    }
    struct timespec due = {.tv_sec = s->due_us / US_PER_S,
                           .tv_nsec = s->due_us % US_PER_S * NS_PER_US};
    (void)sem_clockwait(&s->wake, CLOCK_MONOTONIC, &due); /* timed out: it is due */
}

static void *write_all(void *arg)
{
    struct state *s = arg;
    bool is_last = false;
    while (!is_last) {
        wait_for_work(s);
        is_last = atomic_load(&s->is_closing); /* before the queue: what was queued then is there */
        run_queue(s);
        bool is_due = s->durability == STATE_COMMIT || is_last ||
                      (s->is_open && clock_now_us(clock_system()) >= s->due_us);
        if (is_due) {
            commit(s);
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------- for the others */

enum status state_submit(struct state *s, struct state_job *job)
{
    if (atomic_fetch_add(&s->pending, 1) >= s->pending_max) {
        (void)atomic_fetch_sub(&s->pending, 1);
        (void)atomic_fetch_add(&s->refused, 1);
        return ST_TOO_BIG;
    }
    struct state_job *first = atomic_load(&s->queue);
    do {
        job->next = first;
    } while (!atomic_compare_exchange_weak(&s->queue, &first, job));
    if (first == NULL) {
        (void)sem_post(&s->wake); /* cannot overflow: the writer takes the whole queue */
    }
    return ST_OK;
}

enum state_durability state_durability(const struct state *s)
{
    return s->durability;
}

struct state_figures state_figures(const struct state *s)
{
    return (struct state_figures){
        .jobs = atomic_load(&s->kept),
        .failed = atomic_load(&s->failed),
        .refused = atomic_load(&s->refused),
        .commits = atomic_load(&s->commits),
        .pending = atomic_load(&s->pending),
        .is_degraded = atomic_load(&s->is_degraded),
    };
}

enum status state_write_metrics(const struct state *s, struct buf *out)
{
    struct state_figures f = state_figures(s);
    return buf_printf(
        out,
        "# HELP expertd_state_rows_total Rows handed to the state file, by what became of them.\n"
        "# TYPE expertd_state_rows_total counter\n"
        "expertd_state_rows_total{result=\"kept\"} %" PRIu64 "\n"
        "expertd_state_rows_total{result=\"failed\"} %" PRIu64 "\n"
        "expertd_state_rows_total{result=\"refused\"} %" PRIu64 "\n"
        "# HELP expertd_state_commits_total Commits of the state file.\n"
        "# TYPE expertd_state_commits_total counter\n"
        "expertd_state_commits_total %" PRIu64 "\n"
        "# HELP expertd_state_pending Rows that wait for the disk.\n"
        "# TYPE expertd_state_pending gauge\n"
        "expertd_state_pending %" PRIu64 "\n"
        "# HELP expertd_state_degraded 1 while the state file cannot be written.\n"
        "# TYPE expertd_state_degraded gauge\n"
        "expertd_state_degraded %d\n",
        f.jobs, f.failed, f.refused, f.commits, f.pending, f.is_degraded ? 1 : 0);
}

/* ---------------------------------------------------------------- life */

enum status state_open_file(const char *path, enum db_mode mode, struct db **ret_db,
                            char ret_why[DB_WHY_BYTES])
{
    struct db *db = NULL;
    enum status st = db_open(path, mode, &db, ret_why);
    if (st == ST_OK && mode == DB_WRITE) {
        st = db_migrate(db, state_schema, STATE_SCHEMA_VERSION, ret_why);
    } else if (st == ST_OK && db_version(db) != STATE_SCHEMA_VERSION) {
        (void)snprintf(ret_why, DB_WHY_BYTES,
                       "its schema has version %" PRId64 ", this program reads %d; the server "
                       "brings older ones up to date",
                       db_version(db), (int)STATE_SCHEMA_VERSION);
        st = ST_INVALID;
    }
    if (st != ST_OK) {
        db_close(db);
        return st;
    }
    *ret_db = db;
    return ST_OK;
}

static void destroy(struct state *s)
{
    (void)sem_destroy(&s->wake);
    db_close(s->db);
    mem_free(s->path);
    mem_free(s);
}

static struct state *create(const struct state_settings *settings)
{
    struct state *s = mem_zalloc(1, sizeof *s);
    char *path = mem_zalloc(settings->path.len + 1, 1);
    if (s == NULL || path == NULL) {
        mem_free(s);
        mem_free(path);
        return NULL;
    }
    memcpy(path, settings->path.ptr, settings->path.len);
    s->path = path;
    s->durability = (enum state_durability)settings->durability;
    s->interval_us = settings->interval_ms * 1000;
    s->pending_max = (size_t)settings->queue;
    (void)sem_init(&s->wake, 0, 0); /* cannot fail for a value of 0 */
    return s;
}

enum status state_open(const struct state_settings *settings, struct state **ret_state,
                       char ret_why[DB_WHY_BYTES])
{
    (void)snprintf(ret_why, DB_WHY_BYTES, "no memory");
    struct state *s = create(settings);
    if (s == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = state_open_file(s->path, DB_WRITE, &s->db, ret_why);
    if (st == ST_OK && pthread_create(&s->thread, NULL, write_all, s) != 0) {
        (void)snprintf(ret_why, DB_WHY_BYTES, "no thread for the writer");
        st = ST_NO_MEMORY;
    }
    if (st != ST_OK) {
        destroy(s);
        return st;
    }
    *ret_state = s;
    return ST_OK;
}

void state_close(struct state *s)
{
    if (s == NULL) {
        return;
    }
    atomic_store(&s->is_closing, true);
    (void)sem_post(&s->wake); /* cannot overflow */
    (void)pthread_join(s->thread, NULL);
    ASSERT(atomic_load(&s->pending) == 0);
    destroy(s);
}
