/* The inside of the kernel pool, for kernel_call.c: jobs, first come, first served. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct kernel_pool;

struct kernel_job { /* embedded; must live until it ran or was dropped */
    struct kernel_job *next;
    void (*run)(struct kernel_job *job); /* on a thread of the pool; may free the job */
};

/* From any thread. ST_TOO_BIG: the queue is full, nothing happened. */
MUST_CHECK enum status kernel_pool_push(struct kernel_pool *pool, struct kernel_job *job);

/* Takes a job out that still waits. False: it runs, or ran. */
bool kernel_pool_drop(struct kernel_pool *pool, const struct kernel_job *job);

/* Numbers from 1 on, for the ids of replies. */
uint64_t kernel_pool_next_id(struct kernel_pool *pool);
