/* See access_log.h. */
#include "gateway/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/container.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"

enum {
    QUEUE_MAX_BYTES = 16 * 1024 * 1024
};

struct access_log {
    int fd; /* -1: off */
    bool owns_fd;
    bool has_failed; /* of the writer: complained once */
    bool is_over;
    struct loop *loop;
    pthread_t thread;
    struct loop_task end_task;
    atomic_size_t queued;         /* bytes; added by workers, taken by the writer */
    atomic_uint_fast64_t dropped; /* by workers, read by anybody */
};

struct batch {
    struct loop_task task;
    struct access_log *log;
    char *bytes;
    size_t len;
};

static void write_all(struct access_log *log, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(log->fd, bytes, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            if (!log->has_failed) {
                log_write(LOG_ERROR, "access_log", "cannot write the access log, errno=%d", errno);
            }
            log->has_failed = true;
            return;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

static void on_batch(struct loop_task *task)
{
    struct batch *batch = CONTAINER_OF(task, struct batch, task);
    struct access_log *log = batch->log;
    write_all(log, batch->bytes, batch->len);
    (void)atomic_fetch_sub(&log->queued, batch->len);
    mem_free(batch->bytes);
    mem_free(batch);
}

static void on_end(struct loop_task *task)
{
    CONTAINER_OF(task, struct access_log, end_task)->is_over = true;
}

static void *run(void *arg)
{
    struct access_log *log = arg;
    while (!log->is_over) {
        (void)loop_turn(log->loop, -1);
    }
    return NULL;
}

static enum status open_target(struct access_log *log, struct str path, mode_t mode)
{
    log->fd = -1;
    if (str_eq(path, STR("off"))) {
        return ST_OK;
    }
    if (str_eq(path, STR("-"))) {
        log->fd = STDOUT_FILENO;
        return ST_OK;
    }
    if (path.len >= PATH_MAX) {
        return ST_IO;
    }
    struct buf text;
    buf_init(&text, PATH_MAX);
    char *owned = NULL;
    size_t len = 0;
    if (buf_append(&text, path) != ST_OK || buf_take(&text, &owned, &len) != ST_OK) {
        buf_fini(&text);
        return ST_NO_MEMORY;
    }
    log->fd = open(owned, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, mode);
    mem_free(owned);
    log->owns_fd = log->fd >= 0;
    return log->fd < 0 ? ST_IO : ST_OK;
}

static void close_target(const struct access_log *log)
{
    if (log->owns_fd) {
        (void)close(log->fd);
    }
}

enum status access_log_open(struct str path, mode_t mode, struct access_log **ret_log)
{
    struct access_log *log = mem_zalloc(1, sizeof *log);
    if (log == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = open_target(log, path, mode);
    if (st != ST_OK) {
        mem_free(log);
        return st;
    }
    log->end_task.run = on_end;
    log->loop = loop_create(clock_system());
    if (log->loop == NULL || pthread_create(&log->thread, NULL, run, log) != 0) {
        loop_destroy(log->loop);
        close_target(log);
        mem_free(log);
        return ST_NO_MEMORY;
    }
    *ret_log = log;
    return ST_OK;
}

void access_log_close(struct access_log *log)
{
    if (log == NULL) {
        return;
    }
    loop_post(log->loop, &log->end_task);
    (void)pthread_join(log->thread, NULL);
    loop_destroy(log->loop);
    close_target(log);
    mem_free(log);
}

void access_log_post(struct access_log *log, struct buf *lines)
{
    size_t len = buf_str(lines).len;
    if (log->fd < 0 || len == 0) {
        buf_reset(lines);
        return;
    }
    struct batch *batch = mem_alloc(sizeof *batch);
    if (batch == NULL || atomic_load(&log->queued) + len > QUEUE_MAX_BYTES ||
        buf_take(lines, &batch->bytes, &batch->len) != ST_OK) {
        mem_free(batch);
        buf_reset(lines);
        (void)atomic_fetch_add(&log->dropped, 1);
        return;
    }
    batch->log = log;
    batch->task.run = on_batch;
    (void)atomic_fetch_add(&log->queued, batch->len);
    loop_post(log->loop, &batch->task);
}

uint64_t access_log_dropped(const struct access_log *log)
{
    return atomic_load(&log->dropped);
}
