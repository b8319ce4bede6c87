/* How fast rows become durable: many at once, which share commits, and one after another. Then how long
 * the file takes to open after its writer was killed.
 *
 *     build/release/bench/state_bench FOLDER      FOLDER on the disk that is to be measured */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/mem.h"
#include "gateway/state.h"

enum {
    MANY = 200000,
    SINGLE = 200,
    QUEUE = 4096,
    PAUSE_US = 20,
};

struct row_job {
    struct state_job job;
    int64_t number;
};

static atomic_long written;

static enum status write_row(struct state_job *job, struct db *db)
{
    struct db_query *q = db_query(
        db,
        "INSERT INTO feedback (request_id, created_s, scheme, features) VALUES (?1, 0, 1, x'')");
    db_bind_int(q, 1, CONTAINER_OF(job, struct row_job, job)->number);
    return db_run(q, NULL);
}

static void on_done(struct state_job *job)
{
    (void)atomic_fetch_add(&written, job->st == ST_OK);
}

static struct state *open_state(const char *path)
{
    struct state_settings settings = {.path = str_from(path),
                                      .durability = STATE_COMMIT,
                                      .interval_ms = 50,
                                      .queue = QUEUE,
                                      .recent_bytes = 65536};
    struct state *s = NULL;
    char why[DB_WHY_BYTES];
    if (state_open(&settings, &s, why) != ST_OK) {
        (void)fprintf(stderr, "state_bench: %s: %s\n", path, why);
        exit(1);
    }
    return s;
}

static void submit(struct state *s, struct row_job *j, int64_t number)
{
    *j = (struct row_job){.job = {.run = write_row, .done = on_done}, .number = number};
    while (state_submit(s, &j->job) != ST_OK) {
        (void)usleep(PAUSE_US);
    }
}

static void wait_for(long rows)
{
    while (atomic_load(&written) < rows) {
        (void)usleep(PAUSE_US);
    }
}

static void measure(const char *path)
{
    struct row_job *jobs = mem_zalloc(MANY, sizeof *jobs);
    struct state *s = open_state(path);
    if (jobs == NULL) {
        _exit(1);
    }
    int64_t start_us = clock_now_us(clock_system());
    for (int64_t i = 0; i < MANY; i++) {
        submit(s, &jobs[i], i);
    }
    wait_for(MANY);
    double seconds = (double)(clock_now_us(clock_system()) - start_us) / 1e6;
    (void)printf("many rows      %.0f rows/s, %.0f rows per commit\n", MANY / seconds,
                 MANY / (double)state_figures(s).commits);
    start_us = clock_now_us(clock_system());
    for (int64_t i = 0; i < SINGLE; i++) {
        submit(s, &jobs[i], MANY + i);
        wait_for(MANY + i + 1);
    }
    (void)printf("one at a time  %.0f us from handing over to durable\n",
                 (double)(clock_now_us(clock_system()) - start_us) / SINGLE);
    (void)fflush(stdout);
    _exit(0); /* as a kill would: the file is not closed */
}

int main(int argc, char **argv)
{
    char path[4096];
    if (argc != 2) {
        (void)fputs("usage: state_bench FOLDER\n", stderr);
        return 2;
    }
    (void)snprintf(path, sizeof path, "%s/state_bench.db", argv[1]);
    (void)unlink(path);
    pid_t child = fork();
    if (child == 0) {
        measure(path);
    }
    int how = 0;
    if (child < 0 || waitpid(child, &how, 0) != child || how != 0) {
        return 1;
    }
    int64_t start_us = clock_now_us(clock_system());
    struct state *s = open_state(path);
    (void)printf("opened again   %.1f ms\n",
                 (double)(clock_now_us(clock_system()) - start_us) / 1e3);
    state_close(s);
    (void)unlink(path);
    return 0;
}
