/* Threads and a bounded queue of jobs. What a job does is in kernel_call.c. */
#include "backends/kernel_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "backends/kernel_job.h"
#include "base/cores.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    SLOW_THREADS_MAX = 64, /* they mostly wait: for a session, a client or their turn */
};

struct seat { /* what a thread is told */
    struct kernel_pool *pool;
    size_t number;
};

struct kernel_pool {
    pthread_mutex_t lock;
    pthread_cond_t has_work;
    struct kernel_job *first; /* this and what follows up to is_stopping: under the lock */
    struct kernel_job *last;
    size_t waiting;
    bool is_stopping;
    bool is_released; /* nobody joins the threads: the last one frees the pool */
    size_t running;   /* threads that have not yet left */
    size_t queue_max;
    size_t thread_count; /* threads that were started */
    size_t threads_max;
    size_t idle;              /* threads that wait for a job */
    struct kernel_pool *slow; /* NULL: this is it, or belongs to a kernel */
    pthread_t *threads;
    struct seat *seats;
    struct kernel_pool_hooks hooks;
    _Atomic uint64_t next_id; /* written by any loop thread */
};

/* The rule for threads, in the whole process: kernels from files make theirs while a configuration is
 * read. Written once; `state` goes from none over writing to written. */
static struct kernel_pool_rule the_rule;
static atomic_int rule_state;

enum {
    RULE_NONE,
    RULE_WRITING,
    RULE_WRITTEN,
};

void kernel_pool_rule(const struct kernel_pool_rule *rule)
{
    int none = RULE_NONE;
    if (atomic_compare_exchange_strong(&rule_state, &none, RULE_WRITING)) {
        the_rule = *rule;
        atomic_store(&rule_state, RULE_WRITTEN);
    }
}

/* On a fresh thread; what the system refuses does not hold, and nothing else depends on it. */
static void obey_rule(void)
{
    if (atomic_load(&rule_state) != RULE_WRITTEN) {
        return;
    }
    bool holds = !the_rule.is_kept || cores_keep_to(the_rule.cpus);
    holds = (the_rule.nice == 0 || cores_yield(the_rule.nice)) && holds;
    if (!holds) {
        log_write(LOG_DEBUG, "kernel", "a thread cannot keep to its cores or its priority");
    }
}

/* The next job; waits for one. NULL: the pool ends. */
static struct kernel_job *take_job(struct kernel_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    while (pool->first == NULL && !pool->is_stopping) {
        pool->idle++;
        (void)pthread_cond_wait(&pool->has_work, &pool->lock);
        pool->idle--;
    }
    struct kernel_job *job = pool->first;
    if (job != NULL) {
        pool->first = job->next;
        pool->last = pool->first == NULL ? NULL : pool->last;
        pool->waiting--;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return job;
}

static void free_pool(struct kernel_pool *pool)
{
    mem_free(pool->threads);
    mem_free(pool->seats);
    (void)pthread_cond_destroy(&pool->has_work);
    (void)pthread_mutex_destroy(&pool->lock);
    mem_free(pool);
}

/* Threads of released pools, in the whole process: nobody else knows of them. Written by those
 * threads and by whoever releases, read by kernel_pool_settle. */
static atomic_size_t loose_threads;

static void leave(struct kernel_pool *pool)
{
    struct kernel_pool_hooks hooks = pool->hooks;
    (void)pthread_mutex_lock(&pool->lock);
    bool is_loose = pool->is_released;
    bool is_last = --pool->running == 0 && is_loose;
    (void)pthread_mutex_unlock(&pool->lock);
    if (is_last) {
        free_pool(pool);
        if (hooks.gone != NULL) {
            hooks.gone(hooks.ctx);
        }
    }
    if (is_loose) {
        atomic_fetch_sub(&loose_threads, 1);
    }
}

static void *work(void *arg)
{
    const struct seat *seat = arg;
    struct kernel_pool *pool = seat->pool;
    (void)pthread_setname_np(pthread_self(), "kernel"); /* by itself: others need a file for it */
    obey_rule();
    if (pool->hooks.begin != NULL) {
        pool->hooks.begin(pool->hooks.ctx, seat->number);
    }
    for (struct kernel_job *job = take_job(pool); job != NULL; job = take_job(pool)) {
        job->run(job, seat->number);
    }
    if (pool->hooks.end != NULL) {
        pool->hooks.end(pool->hooks.ctx, seat->number);
    }
    leave(pool);
    return NULL;
}

/* Held. One more. Threads of the pool take no signals: those are for the process's main thread. */
static bool start_thread(struct kernel_pool *pool)
{
    sigset_t all;
    sigset_t before;
    pthread_t *thread = &pool->threads[pool->thread_count];
    struct seat *seat = &pool->seats[pool->thread_count];
    *seat = (struct seat){pool, pool->thread_count};
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    bool is_started = pthread_create(thread, NULL, work, seat) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    pool->thread_count += is_started;
    pool->running += is_started;
    return is_started;
}

static bool start_threads(struct kernel_pool *pool)
{
    bool is_started = true;
    (void)pthread_mutex_lock(&pool->lock);
    while (is_started && pool->thread_count < pool->threads_max) {
        is_started = start_thread(pool);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return is_started;
}

static struct kernel_pool *create(size_t threads, size_t queue_max,
                                  const struct kernel_pool_hooks *hooks)
{
    struct kernel_pool *pool = mem_zalloc(1, sizeof *pool);
    if (pool == NULL) {
        return NULL;
    }
    /* Neither can fail on Linux with default attributes. */
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->has_work, NULL);
    pool->queue_max = queue_max;
    pool->hooks = *hooks;
    pool->threads_max = threads;
    pool->threads = mem_zalloc(threads, sizeof *pool->threads);
    pool->seats = mem_zalloc(threads, sizeof *pool->seats);
    if (pool->threads == NULL || pool->seats == NULL) {
        free_pool(pool);
        return NULL;
    }
    return pool;
}

struct kernel_pool *kernel_pool_create(size_t threads, size_t queue_max)
{
    const struct kernel_pool_hooks none = {.ctx = NULL};
    struct kernel_pool *pool = create(threads, queue_max, &none);
    if (pool == NULL) {
        return NULL;
    }
    pool->slow = create(SLOW_THREADS_MAX, queue_max, &none);
    if (pool->slow == NULL || !start_threads(pool)) {
        kernel_pool_destroy(pool);
        pool = NULL;
    }
    return pool;
}

struct kernel_pool *kernel_pool_slow(struct kernel_pool *pool)
{
    return pool->slow;
}

struct kernel_pool *kernel_pool_open(size_t threads, size_t queue_max,
                                     const struct kernel_pool_hooks *hooks, bool *ret_is_gone)
{
    struct kernel_pool *pool = create(threads, queue_max, hooks);
    *ret_is_gone = false;
    if (pool != NULL && !start_threads(pool)) {
        *ret_is_gone = pool->thread_count > 0;
        kernel_pool_release(pool);
        pool = NULL;
    }
    return pool;
}

void kernel_pool_release(struct kernel_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    size_t running = pool->running;
    pool->is_stopping = true;
    pool->is_released = true;
    atomic_fetch_add(&loose_threads, running);
    for (size_t i = 0; i < pool->thread_count; i++) {
        (void)pthread_detach(pool->threads[i]);
    }
    (void)pthread_cond_broadcast(&pool->has_work);
    (void)pthread_mutex_unlock(&pool->lock);
    if (running == 0) { /* none was ever started */
        free_pool(pool);
    }
}

bool kernel_pool_settle(int64_t ms)
{
    static const struct timespec nap = {.tv_nsec = 1000000};
    while (atomic_load(&loose_threads) > 0 && ms-- > 0) {
        (void)nanosleep(&nap, NULL); /* a signal may cut it short: the wait is no measure */
    }
    return atomic_load(&loose_threads) == 0;
}

static void end_threads(struct kernel_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    (void)pthread_cond_broadcast(&pool->has_work);
    (void)pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->thread_count; i++) {
        (void)pthread_join(pool->threads[i], NULL);
    }
}

void kernel_pool_destroy(struct kernel_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    end_threads(pool);
    if (pool->slow != NULL) {
        end_threads(pool->slow);
        free_pool(pool->slow);
    }
    free_pool(pool);
}

enum status kernel_pool_push(struct kernel_pool *pool, struct kernel_job *job)
{
    enum status st = ST_TOO_BIG;
    job->next = NULL;
    (void)pthread_mutex_lock(&pool->lock);
    bool has_thread = pool->idle > pool->waiting || pool->thread_count == pool->threads_max ||
                      start_thread(pool) || pool->thread_count > 0;
    if (!has_thread) {
        st = ST_NO_MEMORY;
    } else if (pool->waiting < pool->queue_max) {
        if (pool->last == NULL) {
            pool->first = job;
        } else {
            pool->last->next = job;
        }
        pool->last = job;
        pool->waiting++;
        (void)pthread_cond_signal(&pool->has_work);
        st = ST_OK;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return st;
}

bool kernel_pool_drop(struct kernel_pool *pool, const struct kernel_job *job)
{
    bool is_dropped = false;
    (void)pthread_mutex_lock(&pool->lock);
    struct kernel_job *before = NULL;
    for (struct kernel_job *at = pool->first; at != NULL && !is_dropped; at = at->next) {
        if (at == job) {
            if (before == NULL) {
                pool->first = at->next;
            } else {
                before->next = at->next;
            }
            pool->last = pool->last == at ? before : pool->last;
            pool->waiting--;
            is_dropped = true;
        }
        before = at;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return is_dropped;
}

uint64_t kernel_pool_next_id(struct kernel_pool *pool)
{
    return atomic_fetch_add(&pool->next_id, 1) + 1;
}
