/* A worker: one thread, one loop, its own listener, libmicrohttpd daemon and libcurl multi handle.
 * A request lives and dies on one worker. Everything here belongs to the worker's thread, but for the
 * functions marked "any thread". */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/loop.h"
#include "gateway/access_log.h"
#include "gateway/http_server.h"
#include "gateway/metrics.h"
#include "gateway/snapshot.h"
#include "router/decide.h"

struct cache;
struct exchange;
struct drift;
struct learner;
struct kernel_pool;
struct prefetch;
struct sessions;
struct recent;
struct retry_budget;
struct healths;
struct quotas;
struct state;
struct state_job;
struct probes;
struct transport;
struct worker_thread;

struct worker {
    size_t index;
    struct loop *loop;
    struct http_server *server; /* for clients */
    struct http_server *admin;  /* for operations; on the first worker only, else NULL */
    struct transport *transport;
    struct kernel_pool *kernels;    /* the process's */
    struct metrics *metrics;        /* the process's */
    struct metrics_shard *counters; /* this worker's */
    struct drift *drift;            /* the process's; each worker has a shard */
    struct sessions *sessions;      /* the process's */
    struct prefetch *prefetch;      /* the process's */
    struct cache *cache;            /* the process's */
    struct retry_budget *retries;   /* the process's */
    struct retry_budget *hedges;    /* the process's; second calls, see hedge.h */
    struct quotas *quotas;          /* the process's */
    struct healths *healths;        /* the process's */
    struct probes *probes;          /* on the first worker; NULL: nobody is probed */
    struct access_log *access_log;  /* the process's */
    struct access_log *prompt_log;  /* the process's; NULL: prompts are not logged */
    struct recent *recent;          /* the process's; NULL with state */
    struct learner *learner;        /* the process's; NULL: online learning is off */
    unsigned learned;               /* version of scratch.delta */
    struct state *state;            /* the process's; NULL: nothing is stored */
    struct snapshot *snapshot;      /* a reference: what new requests get */
    struct decide_scratch scratch;
    struct exchange *runnable_first;
    struct exchange *runnable_last;
    size_t exchanges;   /* alive */
    size_t state_jobs;  /* handed over, not done */
    size_t cache_seats; /* of this worker's requests */
    size_t waiters;     /* for a place at an expert; see expert_queue.h */
    struct buf log_lines;
    struct loop_timer log_timer;
    int64_t turn_us;    /* when this turn began; lag_us, while server.limits.lag_ms is set */
    int64_t lag_us;     /* how long the turn before took: what came then has waited so long */
    int64_t service_us; /* average time of a request, while server.limits.exchanges is set */
    uint64_t id_state;  /* of the generator of request ids */
    bool is_previewing; /* on its thread: step_preview.c */
    bool is_draining;
};

struct worker_setup { /* lent for worker_start; descriptors are taken */
    size_t index;
    struct http_listener clients;
    struct http_listener admin; /* fd -1: none */
    struct http_limits limits;
    struct snapshot *snapshot;
    struct kernel_pool *kernels;
    struct metrics *metrics;
    struct drift *drift;
    struct sessions *sessions;
    struct prefetch *prefetch;
    struct cache *cache;
    struct retry_budget *retries;
    struct retry_budget *hedges;
    struct quotas *quotas;
    struct healths *healths;
    struct access_log *access_log;
    struct access_log *prompt_log; /* NULL: prompts are not logged */
    struct recent *recent;         /* NULL with state */
    struct learner *learner;       /* NULL: online learning is off */
    struct state *state;           /* NULL: nothing is stored */
};

/* Starts the thread. ST_NO_MEMORY. */
MUST_CHECK enum status worker_start(const struct worker_setup *setup,
                                    struct worker_thread **ret_thread);

/* Gives new requests this snapshot, and returns when the worker has taken it. By the thread that
 * starts and drains workers: it waits for the worker's current turn to end. */
void worker_switch(struct worker_thread *t, struct snapshot *snapshot);

/* Whether the worker has taken a turn since this was last asked; the first time, that it is asked. By
 * the thread that starts and drains workers, and not after it drained them. */
bool worker_is_alive(struct worker_thread *t);

/* Any thread: stop accepting, finish what runs, at most drain_ms, then end. Once. */
void worker_drain(struct worker_thread *t, int64_t drain_ms);

/* Waits for the thread to end and frees it. */
void worker_join(struct worker_thread *t);

/* For the exchange. */
void worker_log_line(struct worker *w, struct str line);
void worker_enqueue(struct worker *w, struct exchange *x); /* marks it runnable */

/* Hands a job to the state file; its done runs on this worker and must call worker_forget_job. The
 * worker does not end before. ST_CLOSED: nothing is stored; ST_TOO_BIG: too much waits already; in
 * both the job stays the caller's. */
MUST_CHECK enum status worker_submit(struct worker *w, struct state_job *job);
void worker_forget_job(struct worker *w);
