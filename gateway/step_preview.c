/* EX_PREVIEW: a configuration in the body is loaded and tried on the recent decisions, on a thread of its
 * own, one at a time: the worker's loop only waits for it. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/mem.h"
#include "gateway/exchange.h"
#include "gateway/preview.h"
#include "gateway/recent.h"
#include "gateway/worker.h"

enum {
    ARENA_BLOCK_BYTES = 64 * 1024,
    ARENA_MAX_BYTES = 64 * 1024 * 1024,
    RESULT_MAX_BYTES = 4 * 1024 * 1024,
    MESSAGES_BYTES = 8192,
};

struct preview_job { /* the thread's until done, then the worker's */
    struct loop_task task;
    pthread_t thread;
    struct worker *worker;
    struct exchange *exchange; /* the worker's thread only; NULL: it is gone */
    struct snapshot *snapshot; /* a reference */
    struct recent *recent;
    char *text; /* the body */
    size_t text_len;
    char messages[MESSAGES_BYTES]; /* what is wrong with it, or warnings */
    struct buf result;
    enum status st;
};

static void destroy(struct preview_job *j)
{
    snapshot_unref(j->snapshot);
    buf_fini(&j->result);
    mem_free(j->text);
    mem_free(j);
}

/* ---------------------------------------------------------------- on its thread */

/* Copies what came lately into ret[0..PREVIEW_REQUESTS_MAX). Returns how many. */
static size_t collect(struct recent *recent, struct preview_request *ret)
{
    struct recent_decision decision;
    size_t count = 0;
    for (size_t i = 0; i < recent_shards(recent); i++) {
        uint64_t cursor = 0;
        while (count < PREVIEW_REQUESTS_MAX && recent_next(recent, i, &cursor, &decision)) {
            ret[count++] = (struct preview_request){decision.made_ms, decision.signals};
        }
    }
    return count;
}

static enum status try_it(struct preview_job *j, const struct snapshot *candidate)
{
    struct preview preview;
    struct preview_source source = {.now_s = clock_wall_s()};
    source.requests = mem_zalloc(PREVIEW_REQUESTS_MAX, sizeof *source.requests);
    struct arena *arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    enum status st = arena == NULL || source.requests == NULL ? ST_NO_MEMORY : ST_OK;
    if (st == ST_OK) {
        source.count = collect(j->recent, source.requests);
        st = preview_run(j->snapshot, candidate, &source, arena, &preview);
    }
    if (st == ST_OK) {
        st = preview_write(&preview, &j->result);
    }
    arena_destroy(arena);
    mem_free(source.requests);
    return st;
}

static void *run(void *arg)
{
    struct preview_job *j = arg;
    struct snapshot *candidate = NULL;
    FILE *messages = fmemopen(j->messages, sizeof j->messages, "w");
    j->st = messages == NULL ? ST_NO_MEMORY : ST_OK;
    if (j->st == ST_OK) {
        (void)setvbuf(messages, NULL, _IONBF, 0);
        j->st = snapshot_try((struct str){j->text, j->text_len}, STR("preview"), j->snapshot,
                             messages, &candidate);
        (void)fclose(messages); /* memory */
    }
    j->messages[sizeof j->messages - 1] = '\0';
    if (j->st == ST_OK) {
        j->st = try_it(j, candidate);
        snapshot_unref(candidate);
    }
    loop_post(j->worker->loop, &j->task);
    return NULL;
}

/* ---------------------------------------------------------------- on the worker */

static void on_done(struct loop_task *task)
{
    struct preview_job *j = CONTAINER_OF(task, struct preview_job, task);
    (void)pthread_join(j->thread, NULL); /* it has nothing left to do */
    worker_forget_job(j->worker);
    j->worker->is_previewing = false;
    if (j->exchange == NULL) {
        destroy(j);
        return;
    }
    j->exchange->is_previewed = true;
    exchange_wake(j->exchange);
}

void step_preview_forget(struct exchange *x)
{
    struct preview_job *j = x->preview;
    x->preview = NULL;
    if (j != NULL && x->is_previewed) {
        destroy(j);
    } else if (j != NULL) {
        j->exchange = NULL;
    }
}

static enum step_result start(struct exchange *x)
{
    struct worker *w = x->worker;
    struct str body = http_request_body(x->http);
    if (w->recent == NULL) {
        return exchange_refuse(x, PROBLEM_STATE_OFF, STR(""), STR(""));
    }
    if (w->is_previewing) {
        x->retry_after_s = 1;
        return exchange_refuse(x, PROBLEM_QUEUE_FULL, STR("A preview is running already."),
                               STR(""));
    }
    struct preview_job *j = mem_zalloc(1, sizeof *j);
    char *text = mem_alloc(body.len + 1);
    if (j == NULL || text == NULL) {
        mem_free(j);
        mem_free(text);
        return exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    memcpy(text, body.len > 0 ? body.ptr : "", body.len);
    j->task.run = on_done;
    j->text = text;
    j->text_len = body.len;
    j->worker = w;
    j->exchange = x;
    j->recent = w->recent;
    j->snapshot = snapshot_ref(x->snapshot);
    buf_init(&j->result, RESULT_MAX_BYTES);
    if (pthread_create(&j->thread, NULL, run, j) != 0) {
        destroy(j);
        return exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    w->state_jobs++; /* on_done takes it back */
    w->is_previewing = true;
    x->preview = j;
    return STEP_WAIT; /* on_done wakes; the client leaving, too */
}

enum step_result step_preview(struct exchange *x)
{
    if (x->preview == NULL) {
        return start(x);
    }
    if (!x->is_previewed) {
        return STEP_WAIT; /* woken for another reason */
    }
    if (x->preview->st == ST_INVALID || x->preview->st == ST_IO) {
        return exchange_refuse(x, PROBLEM_BAD_CONF,
                               arena_copy(x->arena, str_from(x->preview->messages)), STR(""));
    }
    if (x->preview->st != ST_OK) {
        return exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    exchange_go(x, EX_PAGE);
    return STEP_MORE;
}

enum status pages_preview(struct exchange *x, struct buf *out)
{
    return buf_append(out, buf_str(&x->preview->result));
}
