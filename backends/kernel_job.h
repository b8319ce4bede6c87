/* The inside of the kernel pool, for kernel_call.c: jobs, first come, first served. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct kernel_pool;

struct kernel_job { /* embedded; must live until it ran or was dropped */
    struct kernel_job *next;
    /* On a thread of the pool, whose number it gets; may free the job. */
    void (*run)(struct kernel_job *job, size_t thread);
};

struct kernel_pool_hooks { /* for pools whose threads own something; all may be NULL */
    void (*begin)(void *ctx, size_t thread); /* first on each thread */
    void (*end)(void *ctx, size_t thread);   /* last on each thread */
    void (*gone)(void *ctx); /* after the last thread of a released pool, which is freed */
    void *ctx;
};

/* A pool whose threads own something. NULL: no memory or threads; the threads that were started end
 * by themselves, and `gone` is called when there was one (*ret_is_gone: it was or will be). */
struct kernel_pool *kernel_pool_open(size_t threads, size_t queue_max,
                                     const struct kernel_pool_hooks *hooks, bool *ret_is_gone);

/* Lets go of such a pool without waiting, from any thread, also one of its own: its threads end, the
 * last one frees it. Nothing waits in its queue any more. */
void kernel_pool_release(struct kernel_pool *pool);

/* The pool's other half, for jobs that compute for long. */
struct kernel_pool *kernel_pool_slow(struct kernel_pool *pool);

/* From any thread. ST_TOO_BIG: the queue is full, nothing happened. ST_NO_MEMORY: there is no thread for it. */
MUST_CHECK enum status kernel_pool_push(struct kernel_pool *pool, struct kernel_job *job);

/* Takes a job out that still waits. False: it runs, or ran. */
bool kernel_pool_drop(struct kernel_pool *pool, const struct kernel_job *job);

/* Numbers from 1 on, for the ids of replies. */
uint64_t kernel_pool_next_id(struct kernel_pool *pool);
