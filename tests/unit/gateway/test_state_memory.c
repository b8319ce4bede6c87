/* The store when memory runs out below it: a job that is told to be kept is kept, with both chains whole,
 * and one that is told to have failed has left nothing. SQLite has its own allocator, whose ceiling is
 * one of the process: each try is a process of its own. */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/container.h"
#include "gateway/chain.h"
#include "gateway/ledger.h"
#include "gateway/receipts.h"
#include "gateway/state.h"
#include "tests/support/test.h"

enum {
    CEILING_FIRST = 4096,
    CEILING_STEP = 8192,
    CEILING_LAST = 1 << 20, /* far more than an open file takes */
    KEPT = 10,
    FAILED = 11,
};

struct fixture {
    char folder[64];
    char path[128];
    struct state_settings settings;
};

struct pair_job { /* a row of the ledger with its receipt, as an attempt writes them */
    struct state_job job;
    int64_t ceiling;
    int number;
    sem_t told;
    enum status st;
};

static void start(struct fixture *f)
{
    *f = (struct fixture){.folder = "/tmp/expertd-state-XXXXXX"};
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/a.db", f->folder);
    f->settings = (struct state_settings){.path = str_from(f->path),
                                          .durability = STATE_COMMIT,
                                          .interval_ms = 50,
                                          .queue = 1000,
                                          .recent_bytes = 65536};
}

static void stop(struct fixture *f)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char name[160];
        (void)snprintf(name, sizeof name, "%s%s", f->path, ends[i]);
        (void)unlink(name);
    }
    assert_int_equal(rmdir(f->folder), 0);
}

static enum status lower_ceiling(struct db *db, int64_t bytes)
{
    char sql[64];
    (void)snprintf(sql, sizeof sql, "PRAGMA hard_heap_limit=%lld", (long long)bytes);
    return db_exec(db, sql);
}

static enum status write_pair(struct state_job *job, struct db *db)
{
    const struct pair_job *p = CONTAINER_OF(job, struct pair_job, job);
    char id[32];
    (void)snprintf(id, sizeof id, "req_%d", p->number);
    const struct ledger_row row = {.request_id = str_from(id),
                                   .attempt = 1,
                                   .expert = STR("med"),
                                   .category = STR("medical"),
                                   .outcome = STR("ok"),
                                   .cost_nano_usd = 7,
                                   .started_ms = 1,
                                   .ended_ms = 2};
    const struct receipt_row receipt = {.request_id = str_from(id),
                                        .made_ms = 1,
                                        .signals = STR("abc"),
                                        .decision = STR("{}"),
                                        .outcome = STR("ok"),
                                        .cost_nano_usd = 7};
    enum status st = p->ceiling > 0 ? lower_ceiling(db, p->ceiling) : ST_OK;
    st = st == ST_OK ? ledger_write(db, &row) : st;
    st = st == ST_OK ? receipts_write(db, &receipt) : st;
    return st == ST_OK ? chain_keep(db, CHAIN_RECEIPTS, 1, 3) : st;
}

static void finish(struct state_job *job)
{
    struct pair_job *p = CONTAINER_OF(job, struct pair_job, job);
    p->st = job->st;
    (void)sem_post(&p->told);
}

static enum status write_one(struct state *s, struct pair_job *p)
{
    p->job.run = write_pair;
    p->job.done = finish;
    if (sem_init(&p->told, 0, 0) != 0 || state_submit(s, &p->job) != ST_OK) {
        abort();
    }
    while (sem_wait(&p->told) != 0) {
    }
    (void)sem_destroy(&p->told);
    return p->st;
}

/* In a process of its own: whether the row was told to be kept. */
static int try_with(const struct fixture *f, int64_t ceiling, int number)
{
    struct state *s = NULL;
    char why[DB_WHY_BYTES];
    struct pair_job p = {.ceiling = ceiling, .number = number};
    if (state_open(&f->settings, &s, why) != ST_OK) {
        abort();
    }
    enum status st = write_one(s, &p);
    state_close(s);
    return st == ST_OK ? KEPT : FAILED;
}

static int run_child(const struct fixture *f, int64_t ceiling, int number)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL) { /* the store says what it cannot do */
            abort();
        }
        _exit(try_with(f, ceiling, number));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status)) {
        fail_msg("the store died of signal %d at %lld bytes", WTERMSIG(status), (long long)ceiling);
    }
    return WEXITSTATUS(status);
}

static void assert_whole(const struct fixture *f, int64_t want)
{
    struct db *db = NULL;
    char why[DB_WHY_BYTES];
    char wrong[LEDGER_WHY_BYTES] = "";
    int64_t rows[2] = {-1, -1};
    assert_int_equal(state_open_file(f->path, DB_READ, &db, why), ST_OK);
    enum status st = ledger_verify(db, &rows[0], wrong);
    st = st == ST_OK ? receipts_verify(db, &rows[1], wrong) : st;
    db_close(db);
    if (st != ST_OK || rows[0] != want || rows[1] != want) {
        fail_msg("want %lld rows, got %lld and %lld: %s", (long long)want, (long long)rows[0],
                 (long long)rows[1], wrong);
    }
}

static void what_is_told_holds_whenever_memory_runs_out(void **state)
{
    struct fixture f;
    int number = 0;
    int64_t kept = 0;
    int64_t failed = 0;
    (void)state;
    start(&f);
    assert_int_equal(run_child(&f, 0, number++), KEPT);
    kept++;

    for (int64_t ceiling = CEILING_FIRST; ceiling < CEILING_LAST; ceiling += CEILING_STEP) {
        int code = run_child(&f, ceiling, number++);
        assert_true(code == KEPT || code == FAILED);
        kept += code == KEPT;
        failed += code == FAILED;
        assert_whole(&f, kept);
    }

    assert_true(failed > 3);
    assert_true(kept > 10);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_holds_whenever_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
