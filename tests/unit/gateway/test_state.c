/* The store: order, group commit, its promise under a failing disk, a full queue and kill -9. */
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/container.h"
#include "base/mem.h"
#include "gateway/state.h"
#include "tests/support/test.h"

struct fixture {
    char folder[64];
    char path[128];
    char why[DB_WHY_BYTES];
    struct state_settings settings;
    struct state *state;
};

struct row_job { /* writes its number */
    struct state_job job;
    int64_t number;
    int report_fd;    /* the number is written there when it is done; -1: nowhere */
    sem_t *told;      /* posted when it is done; NULL: nobody waits */
    enum status *ret; /* where its status goes */
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof *f);
    assert_non_null(f);
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/expertd-state-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/a.db", f->folder);
    f->settings = (struct state_settings){.path = str_from(f->path),
                                          .durability = STATE_COMMIT,
                                          .interval_ms = 50,
                                          .queue = 100000,
                                          .recent_bytes = 65536};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"a.db", "a.db-wal", "a.db-shm", ""};

    struct fixture *f = *state;
    state_close(f->state);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", f->folder, names[i]);
        (void)remove(path);
    }
    mem_free(f);
    return 0;
}

static void start(struct fixture *f)
{
    assert_int_equal(state_open(&f->settings, &f->state, f->why), ST_OK);
}

static enum status write_row(struct state_job *job, struct db *db)
{
    const struct row_job *r = CONTAINER_OF(job, struct row_job, job);
    struct db_query *q = db_query(
        db,
        "INSERT INTO feedback (request_id, created_s, scheme, features) VALUES (?1, 0, 1, x'')");
    db_bind_int(q, 1, r->number);
    return db_run(q, NULL);
}

static void finish(struct state_job *job)
{
    struct row_job *r = CONTAINER_OF(job, struct row_job, job);
    if (r->ret != NULL) {
        *r->ret = job->st;
    }
    if (r->report_fd >= 0 && job->st == ST_OK) {
        ssize_t n = write(r->report_fd, &r->number, sizeof r->number);
        (void)n; /* nobody reads any more: the test ends */
    }
    if (r->told != NULL) {
        (void)sem_post(r->told);
    }
    mem_free(r);
}

static enum status submit(struct state *s, struct row_job row)
{
    struct row_job *r = mem_zalloc(1, sizeof *r);
    assert_non_null(r);
    *r = row;
    r->job.run = r->job.run == NULL ? write_row : r->job.run;
    r->job.done = finish;
    enum status st = state_submit(s, &r->job);
    if (st != ST_OK) {
        mem_free(r);
    }
    return st;
}

/* Runs one job and waits for what it is told. */
static enum status run_one(struct state *s, struct row_job row)
{
    enum status st = ST_OK;
    sem_t told;
    assert_int_equal(sem_init(&told, 0, 0), 0);
    row.report_fd = -1;
    row.told = &told;
    row.ret = &st;
    assert_int_equal(submit(s, row), ST_OK);
    while (sem_wait(&told) != 0) {
    }
    (void)sem_destroy(&told);
    return st;
}

static enum status write_number(struct state *s, int64_t number)
{
    return run_one(s, (struct row_job){.number = number});
}

static int64_t count_rows(struct fixture *f)
{
    struct db *db = NULL;
    assert_int_equal(state_open_file(f->path, DB_READ, &db, f->why), ST_OK);
    struct db_query *q = db_query(db, "SELECT count(*) FROM feedback");
    assert_int_equal(db_next(q), ST_OK);
    int64_t count = db_int(q, 0);
    assert_int_equal(db_end(q), ST_OK);
    db_close(db);
    return count;
}

static void what_is_told_can_be_read_by_others(void **state)
{
    struct fixture *f = *state;
    start(f);

    assert_int_equal(write_number(f->state, 1), ST_OK);

    assert_int_equal(count_rows(f), 1);
}

static void closing_writes_what_is_queued(void **state)
{
    struct fixture *f = *state;
    start(f);
    for (int64_t i = 0; i < 5000; i++) {
        assert_int_equal(submit(f->state, (struct row_job){.number = i, .report_fd = -1}), ST_OK);
    }

    state_close(f->state);
    f->state = NULL;

    assert_int_equal(count_rows(f), 5000);
}

static void many_jobs_share_a_commit(void **state)
{
    struct fixture *f = *state;
    start(f);
    for (int64_t i = 0; i < 5000; i++) {
        assert_int_equal(submit(f->state, (struct row_job){.number = i, .report_fd = -1}), ST_OK);
    }
    assert_int_equal(write_number(f->state, 5000), ST_OK);

    struct state_figures figures = state_figures(f->state);

    assert_true(figures.commits < 2500);
    assert_int_equal(figures.failed, 0);
}

static void a_job_that_fails_undoes_itself_alone(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(submit(f->state, (struct row_job){.number = 1, .report_fd = -1}), ST_OK);

    assert_int_equal(write_number(f->state, 1), ST_INVALID); /* the number is taken */
    assert_int_equal(write_number(f->state, 2), ST_OK);

    assert_int_equal(count_rows(f), 2);
    assert_false(state_figures(f->state).is_degraded);
}

static sem_t gate; /* holds the writer */
static sem_t is_held;

static enum status wait_at_gate(struct state_job *job, struct db *db)
{
    (void)db;
    (void)job;
    (void)sem_post(&is_held);
    while (sem_wait(&gate) != 0) {
    }
    return ST_OK;
}

static void a_full_queue_is_said_and_does_not_wait(void **state)
{
    struct fixture *f = *state;
    f->settings.queue = 3;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    assert_int_equal(sem_init(&is_held, 0, 0), 0);
    start(f);
    struct row_job hold = {.job.run = wait_at_gate, .report_fd = -1};
    assert_int_equal(submit(f->state, hold), ST_OK);
    while (sem_wait(&is_held) != 0) {
    }
    assert_int_equal(submit(f->state, (struct row_job){.number = 1, .report_fd = -1}), ST_OK);
    assert_int_equal(submit(f->state, (struct row_job){.number = 2, .report_fd = -1}), ST_OK);

    assert_int_equal(submit(f->state, (struct row_job){.number = 3, .report_fd = -1}), ST_TOO_BIG);

    assert_int_equal(state_figures(f->state).refused, 1);
    (void)sem_post(&gate);
    state_close(f->state);
    f->state = NULL;
    assert_int_equal(count_rows(f), 2);
}

static enum status fill_disk(struct state_job *job, struct db *db)
{
    (void)job;
    return db_exec(db, "PRAGMA max_page_count = 1"); /* it stays at what is used */
}

static enum status free_disk(struct state_job *job, struct db *db)
{
    (void)job;
    return db_exec(db, "PRAGMA max_page_count = 1000000");
}

static enum status write_big(struct state_job *job, struct db *db)
{
    (void)job;
    return db_exec(db, "INSERT INTO feedback (request_id, created_s, scheme, features) "
                       "VALUES ('big', 0, 1, zeroblob(1000000))");
}

static void a_full_disk_degrades_and_heals(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(run_one(f->state, (struct row_job){.job.run = fill_disk}), ST_OK);

    assert_int_equal(run_one(f->state, (struct row_job){.job.run = write_big}), ST_IO);

    assert_true(state_figures(f->state).is_degraded);
    assert_int_equal(run_one(f->state, (struct row_job){.job.run = free_disk}), ST_OK);
    assert_int_equal(run_one(f->state, (struct row_job){.job.run = write_big}), ST_OK);
    assert_false(state_figures(f->state).is_degraded);
    assert_int_equal(count_rows(f), 1);
}

static enum status forbid_writing(struct state_job *job, struct db *db)
{
    (void)job;
    return db_exec(db, "PRAGMA query_only = ON");
}

static void a_read_only_file_degrades_with_a_status(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(run_one(f->state, (struct row_job){.job.run = forbid_writing}), ST_OK);

    assert_int_equal(write_number(f->state, 1), ST_IO);

    assert_true(state_figures(f->state).is_degraded);
}

/* The kernel refuses writes beyond a size, as a full disk does. */
static void writes_that_the_kernel_refuses_are_not_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct rlimit before;
    start(f);
    assert_int_equal(write_number(f->state, 1), ST_OK);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    assert_int_equal(sigaction(SIGXFSZ, &ignore, NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {32768, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);

    enum status st = run_one(f->state, (struct row_job){.job.run = write_big});

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(st, ST_IO);
    assert_int_equal(write_number(f->state, 2), ST_OK);
    assert_int_equal(count_rows(f), 2);
}

static void an_interval_tells_before_the_commit_and_commits_soon(void **state)
{
    struct fixture *f = *state;
    f->settings.durability = STATE_INTERVAL;
    f->settings.interval_ms = 60000;
    start(f);

    assert_int_equal(write_number(f->state, 1), ST_OK);

    assert_int_equal(count_rows(f), 0); /* told, not yet committed */
    state_close(f->state);
    f->state = NULL;
    assert_int_equal(count_rows(f), 1);
}

static void an_interval_commits_by_itself(void **state)
{
    struct fixture *f = *state;
    f->settings.durability = STATE_INTERVAL;
    f->settings.interval_ms = 1;
    start(f);
    assert_int_equal(write_number(f->state, 1), ST_OK);

    while (state_figures(f->state).commits == 0) {
        (void)sched_yield();
    }

    assert_int_equal(count_rows(f), 1);
}

static void completions_run_on_the_loop(void **state)
{
    struct fixture *f = *state;
    start(f);
    struct loop *loop = loop_create(clock_system());
    assert_non_null(loop);
    enum status st = ST_NOT_FOUND;

    struct row_job row = {.job.loop = loop, .number = 1, .report_fd = -1, .ret = &st};
    assert_int_equal(submit(f->state, row), ST_OK);
    assert_int_equal(loop_turn(loop, -1), 1);

    assert_int_equal(st, ST_OK);
    assert_int_equal(count_rows(f), 1);
    loop_destroy(loop);
}

/* ---------------------------------------------------------------- kill -9 */

enum {
    KILLS = 20,
    ROWS_PER_KILL = 1000000, /* more than it gets to write */
};

/* Writes rows until it is killed. */
static _Noreturn void be_the_victim(struct fixture *f, int64_t first, int report_fd)
{
    if (state_open(&f->settings, &f->state, f->why) != ST_OK) {
        _exit(1);
    }
    for (int64_t i = first; i < first + ROWS_PER_KILL; i++) {
        struct row_job row = {.number = i, .report_fd = report_fd};
        while (submit(f->state, row) == ST_TOO_BIG) {
            (void)sched_yield();
        }
    }
    for (;;) {
        (void)pause();
    }
}

/* Every acknowledged row is there, and no row is there that was not one of the victim's. Returns how
 * many rows from `first` on the file holds. */
static int64_t check_rows(struct fixture *f, int64_t first, int64_t acknowledged)
{
    struct db *db = NULL;
    assert_int_equal(state_open_file(f->path, DB_WRITE, &db, f->why), ST_OK);
    struct db_query *q =
        db_query(db, "SELECT count(*), coalesce(min(CAST(request_id AS INTEGER)), 0), "
                     "coalesce(max(CAST(request_id AS INTEGER)), 0), count(DISTINCT request_id) "
                     "FROM feedback WHERE CAST(request_id AS INTEGER) >= ?1");
    db_bind_int(q, 1, first);
    assert_int_equal(db_next(q), ST_OK);
    int64_t count = db_int(q, 0);
    assert_true(count >= acknowledged);
    assert_int_equal(db_int(q, 3), count);
    if (count > 0) { /* in order and without a gap: so the first `acknowledged` are all there */
        assert_int_equal(db_int(q, 1), first);
        assert_int_equal(db_int(q, 2), first + count - 1);
    }
    assert_int_equal(db_end(q), ST_OK);
    db_close(db);
    return count;
}

static void kill_9_loses_and_doubles_nothing_that_was_acknowledged(void **state)
{
    struct fixture *f = *state;
    int64_t first = 0;
    f->settings.queue = 64;
    for (int round = 0; round < KILLS; round++) {
        int pipe_fds[2];
        assert_int_equal(pipe(pipe_fds), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            be_the_victim(f, first, pipe_fds[1]);
        }
        (void)close(pipe_fds[1]);
        int64_t number = 0;
        int64_t acknowledged = 0;
        for (int64_t wanted = 1 + 37 * round; acknowledged < wanted; acknowledged++) {
            assert_int_equal(read(pipe_fds[0], &number, sizeof number), sizeof number);
            assert_int_equal(number, first + acknowledged);
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read(pipe_fds[0], &number, sizeof number) == (ssize_t)sizeof number) {
            acknowledged++; /* told before the kill */
        }
        (void)close(pipe_fds[0]);
        int how = 0;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how));

        first += check_rows(f, first, acknowledged);
    }
}

static void opening_says_what_is_wrong(void **state)
{
    struct fixture *f = *state;
    f->settings.path = STR("/dev/null/a.db");

    assert_int_equal(state_open(&f->settings, &f->state, f->why), ST_IO);

    assert_non_null(strstr(f->why, "Not a directory"));
}

static void memory_runs_out_cleanly(void **state)
{
    struct fixture *f = *state;
    for (uint64_t n = 1; n <= 3; n++) {
        mem_fail_at(n, 0);
        enum status st = state_open(&f->settings, &f->state, f->why);
        mem_fail_at(0, 0);
        assert_int_equal(st, ST_NO_MEMORY);
        test_assert_str(str_from(f->why), STR("no memory"));
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(kill_9_loses_and_doubles_nothing_that_was_acknowledged),
        CASE(what_is_told_can_be_read_by_others),
        CASE(closing_writes_what_is_queued),
        CASE(many_jobs_share_a_commit),
        CASE(a_job_that_fails_undoes_itself_alone),
        CASE(a_full_queue_is_said_and_does_not_wait),
        CASE(a_full_disk_degrades_and_heals),
        CASE(a_read_only_file_degrades_with_a_status),
        CASE(writes_that_the_kernel_refuses_are_not_acknowledged),
        CASE(an_interval_tells_before_the_commit_and_commits_soon),
        CASE(an_interval_commits_by_itself),
        CASE(completions_run_on_the_loop),
        CASE(opening_says_what_is_wrong),
        CASE(memory_runs_out_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
