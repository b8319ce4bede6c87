/* See worker.h. One turn: what libcurl and libmicrohttpd want at once, then sleep, then the exchanges
 * that became runnable. */
#include "gateway/worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/random.h>
#include <unistd.h>

#include "backends/transport.h"
#include "base/assert.h"
#include "base/container.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/exchange.h"
#include "gateway/learner.h"
#include "gateway/probes.h"
#include "gateway/state.h"

enum {
    LOG_FLUSH_MS = 200,
    LOG_FLUSH_BYTES = 32 * 1024,
    LOG_MAX_BYTES = 1024 * 1024,
    SERVES_PER_TURN = 8, /* before descriptors get their turn */
    WAITED_US = 1000,    /* a poll that took longer has slept */
    ABORT_WAIT_MS = 10,
    ABORT_TURNS = 200, /* to close what is left at the end */
};

struct worker_thread {
    struct worker worker;
    pthread_t thread;
    struct loop_task drain_task;
    struct loop_task ping_task;
    atomic_bool is_pinged; /* set by the main thread, cleared by the worker when it gets there */
    struct loop_timer drain_timer;
    int64_t drain_ms;
    bool is_over; /* drain deadline passed */
};

struct switch_task { /* on the stack of the thread that waits for it */
    struct loop_task task;
    struct worker *worker;
    struct snapshot *snapshot;
    sem_t done;
};

/* ---------------------------------------------------------------- log lines */

static void flush_log(struct worker *w)
{
    loop_timer_cancel(w->loop, &w->log_timer);
    access_log_post(w->access_log, &w->log_lines);
}

static void on_log_due(struct loop_timer *timer)
{
    flush_log(CONTAINER_OF(timer, struct worker, log_timer));
}

void worker_log_line(struct worker *w, struct str line)
{
    if (buf_append(&w->log_lines, line) != ST_OK) {
        flush_log(w); /* full: this line is lost, the next ones are not */
        return;
    }
    bool is_armed = heap_contains(&w->log_timer.node);
    if (w->log_lines.len > LOG_FLUSH_BYTES ||
        (!is_armed &&
         loop_timer_set(w->loop, &w->log_timer, loop_now_ms(w->loop) + LOG_FLUSH_MS) != ST_OK)) {
        flush_log(w);
    }
}

/* ---------------------------------------------------------------- turns */

void worker_enqueue(struct worker *w, struct exchange *x)
{
    x->next_runnable = NULL;
    if (w->runnable_last == NULL) {
        w->runnable_first = x;
    } else {
        w->runnable_last->next_runnable = x;
    }
    w->runnable_last = x;
}

static void run_exchanges(struct worker *w)
{
    while (w->runnable_first != NULL) {
        struct exchange *x = w->runnable_first;
        w->runnable_first = x->next_runnable;
        if (w->runnable_first == NULL) {
            w->runnable_last = NULL;
        }
        exchange_run(x);
    }
}

/* The shorter of two waits, of which -1 means any. */
static int64_t shorter(int64_t a, int64_t b)
{
    if (a < 0 || b < 0) {
        return a < 0 ? b : a;
    }
    return a < b ? a : b;
}

/* What the libraries want done at once, and what that makes runnable. Returns the wait they allow. */
static int64_t serve(struct worker *w)
{
    int64_t wait = http_server_turn(w->server);
    if (w->admin != NULL) {
        wait = shorter(wait, http_server_turn(w->admin));
    }
    run_exchanges(w);
    transport_turn(w->transport);
    return wait;
}

static bool has_work(const struct worker *w)
{
    return w->runnable_first != NULL || http_server_is_due(w->server) ||
           (w->admin != NULL && http_server_is_due(w->admin));
}

static bool is_finished(const struct worker *w)
{
    return w->is_draining && w->exchanges == 0 && w->state_jobs == 0 && w->cache_seats == 0 &&
           w->waiters == 0 && http_server_is_empty(w->server) &&
           (w->admin == NULL || http_server_is_empty(w->admin));
}

/* Takes up what feedback taught since the last turn. */
static void learn(struct worker *w)
{
    if (w->learner != NULL && learner_version(w->learner) != w->learned) {
        online_delta_unref(w->scratch.delta);
        w->scratch.delta = learner_delta(w->learner, &w->learned);
    }
}

/* How long this turn has taken up to now, where that is asked for. */
static int64_t note_busy(struct worker *w)
{
    if (w->snapshot->conf.server.limits.overload.lag_ms == 0) {
        return 0;
    }
    int64_t now_us = clock_now_us(loop_clock(w->loop));
    int64_t busy_us = w->turn_us == 0 ? 0 : now_us - w->turn_us;
    w->turn_us = now_us;
    return busy_us;
}

/* After the loop looked for news: if it had to wait for them, nothing has waited for it. */
static void note_lag(struct worker *w, int64_t busy_us)
{
    if (w->turn_us == 0) {
        return;
    }
    int64_t now_us = clock_now_us(loop_clock(w->loop));
    w->lag_us = now_us - w->turn_us > WAITED_US ? 0 : busy_us;
    w->turn_us = now_us;
}

static void turn(struct worker *w, int64_t max_wait_ms)
{
    learn(w);
    int64_t wait = serve(w);
    for (int i = 0; i < SERVES_PER_TURN && has_work(w); i++) {
        wait = serve(w);
    }
    /* When the last connection has just ended, nothing would wake a finished worker. */
    bool is_idle = !has_work(w) && !is_finished(w);
    metrics_set_gauges(w->counters, (int64_t)w->exchanges,
                       w->snapshot->generation); /* it may sleep */
    int64_t busy_us = note_busy(w);
    (void)loop_turn(w->loop, is_idle ? shorter(wait, max_wait_ms) : 0);
    note_lag(w, busy_us);
    run_exchanges(w);
}

static void *run(void *arg)
{
    struct worker_thread *t = arg;
    struct worker *w = &t->worker;
    while (!is_finished(w) && !t->is_over) {
        turn(w, -1);
    }
    if (!is_finished(w)) {
        log_write(LOG_WARN, "worker", "drain deadline passed, %zu requests are cut", w->exchanges);
    }
    for (int i = 0; i < ABORT_TURNS && !is_finished(w); i++) {
        http_server_abort(w->server);
        if (w->admin != NULL) {
            http_server_abort(w->admin);
        }
        turn(w, ABORT_WAIT_MS);
    }
    /* Their completions come through this loop. */
    while (w->state_jobs > 0 || (w->cache_seats + w->waiters > 0 && w->exchanges == 0)) {
        turn(w, ABORT_WAIT_MS);
    }
    (void)loop_turn(w->loop, 0); /* what was posted for calls that had gone is freed there */
    flush_log(w);
    return NULL;
}

/* ---------------------------------------------------------------- state */

enum status worker_submit(struct worker *w, struct state_job *job)
{
    if (w->state == NULL) {
        return ST_CLOSED;
    }
    job->loop = w->loop;
    enum status st = state_submit(w->state, job);
    w->state_jobs += st == ST_OK;
    return st;
}

void worker_forget_job(struct worker *w)
{
    ASSERT(w->state_jobs > 0);
    w->state_jobs--;
}

/* ---------------------------------------------------------------- reload, drain */

/* As the snapshot wants them; the old ones end first. */
static void probe(struct worker *w)
{
    probes_stop(w->probes);
    w->probes = NULL;
    if (w->index == 0 && !w->is_draining &&
        probes_start(w->loop, w->transport, w->snapshot, &w->probes) != ST_OK) {
        log_write(LOG_ERROR, "worker", "no expert is probed: out of memory");
    }
}

static void on_switch(struct loop_task *task)
{
    struct switch_task *s = CONTAINER_OF(task, struct switch_task, task);
    struct worker *w = s->worker;
    transport_forget_idle(w->transport);
    snapshot_unref(w->snapshot);
    w->snapshot = s->snapshot;
    probe(w);
    http_server_set_cert(w->server, w->snapshot->conf.server.tls.pair);
    if (w->admin != NULL) {
        http_server_set_cert(w->admin, w->snapshot->conf.server.admin_tls.pair);
    }
    (void)sem_post(&s->done); /* cannot overflow */
}

void worker_switch(struct worker_thread *t, struct snapshot *snapshot)
{
    struct switch_task s = {
        .task.run = on_switch, .worker = &t->worker, .snapshot = snapshot_ref(snapshot)};
    (void)sem_init(&s.done, 0, 0); /* cannot fail for a value of 0 */
    loop_post(t->worker.loop, &s.task);
    while (sem_wait(&s.done) != 0) { /* interrupted */
    }
    (void)sem_destroy(&s.done);
}

static void on_ping(struct loop_task *task)
{
    atomic_store(&CONTAINER_OF(task, struct worker_thread, ping_task)->is_pinged, false);
}

bool worker_is_alive(struct worker_thread *t)
{
    if (atomic_exchange(&t->is_pinged, true)) {
        return false;
    }
    t->ping_task.run = on_ping;
    loop_post(t->worker.loop, &t->ping_task);
    return true;
}

static void on_drain_deadline(struct loop_timer *timer)
{
    CONTAINER_OF(timer, struct worker_thread, drain_timer)->is_over = true;
}

static void on_drain(struct loop_task *task)
{
    struct worker_thread *t = CONTAINER_OF(task, struct worker_thread, drain_task);
    struct worker *w = &t->worker;
    w->is_draining = true;
    probe(w);
    http_server_drain(w->server);
    if (w->admin != NULL) {
        http_server_drain(w->admin);
    }
    t->drain_timer.on_due = on_drain_deadline;
    if (loop_timer_set(w->loop, &t->drain_timer, loop_now_ms(w->loop) + t->drain_ms) != ST_OK) {
        t->is_over = true;
    }
}

void worker_drain(struct worker_thread *t, int64_t drain_ms)
{
    t->drain_ms = drain_ms;
    t->drain_task.run = on_drain;
    loop_post(t->worker.loop, &t->drain_task);
}

/* ---------------------------------------------------------------- life */

static void destroy(struct worker_thread *t)
{
    struct worker *w = &t->worker;
    probes_stop(w->probes);
    http_server_destroy(w->server);
    http_server_destroy(w->admin);
    transport_destroy(w->transport);
    online_delta_unref(w->scratch.delta);
    decide_scratch_fini(&w->scratch);
    snapshot_unref(w->snapshot);
    buf_fini(&w->log_lines);
    loop_destroy(w->loop);
    mem_free(t);
}

/* Takes the descriptors in every case. */
static enum status open_servers(struct worker *w, const struct worker_setup *setup)
{
    bool has_admin = setup->admin.fd >= 0;
    struct http_limits limits = setup->limits;
    limits.counters = w->counters;
    w->server = http_server_create(w->loop, &setup->clients, &limits, &exchange_hooks, w);
    if (has_admin) {
        limits.peers = NULL; /* operators get in */
        w->admin = http_server_create(w->loop, &setup->admin, &limits, &exchange_admin_hooks, w);
    }
    bool is_open = w->server != NULL && (!has_admin || w->admin != NULL);
    return is_open ? ST_OK : ST_NO_MEMORY;
}

static enum status set_up(struct worker *w, const struct worker_setup *setup)
{
    w->index = setup->index;
    w->kernels = setup->kernels;
    w->metrics = setup->metrics;
    w->counters = metrics_shard(setup->metrics, setup->index);
    w->access_log = setup->access_log;
    w->prompt_log = setup->prompt_log;
    w->state = setup->state;
    w->drift = setup->drift;
    w->learner = setup->learner;
    w->sessions = setup->sessions;
    w->prefetch = setup->prefetch;
    w->cache = setup->cache;
    w->retries = setup->retries;
    w->hedges = setup->hedges;
    w->quotas = setup->quotas;
    w->healths = setup->healths;
    w->recent = setup->recent;
    w->snapshot = snapshot_ref(setup->snapshot);
    w->log_timer.on_due = on_log_due;
    buf_init(&w->log_lines, LOG_MAX_BYTES);
    if (getrandom(&w->id_state, sizeof w->id_state, 0) != sizeof w->id_state) {
        w->id_state = (uint64_t)clock_now_us(clock_system()) + setup->index;
    }
    w->loop = loop_create(clock_system());
    if (w->loop == NULL) {
        (void)close(setup->clients.fd);
        if (setup->admin.fd >= 0) {
            (void)close(setup->admin.fd);
        }
        return ST_NO_MEMORY;
    }
    enum status st = open_servers(w, setup);
    if (st == ST_OK) {
        st = decide_scratch_init(&w->scratch);
    }
    if (st == ST_OK) {
        w->transport = transport_create(w->loop, (size_t)setup->limits.connections);
        st = w->transport == NULL ? ST_NO_MEMORY : ST_OK;
    }
    if (st == ST_OK) {
        probe(w);
    }
    return st;
}

enum status worker_start(const struct worker_setup *setup, struct worker_thread **ret_thread)
{
    struct worker_thread *t = mem_zalloc(1, sizeof *t);
    if (t == NULL) {
        return ST_NO_MEMORY;
    }
    if (set_up(&t->worker, setup) != ST_OK || pthread_create(&t->thread, NULL, run, t) != 0) {
        destroy(t);
        return ST_NO_MEMORY;
    }
    *ret_thread = t;
    return ST_OK;
}

void worker_join(struct worker_thread *t)
{
    (void)pthread_join(t->thread, NULL);
    ASSERT(t->worker.exchanges == 0);
    destroy(t);
}
