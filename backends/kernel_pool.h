/* The kernel pool: a few threads on which kernels run, so that no loop ever waits for them. Jobs
 * queue up to a ceiling; one pool for the process. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/call.h"
#include "base/loop.h"

struct kernel;
struct kernel_pool;

struct kernel_pool_rule { /* for the threads of all pools, and the children that those start */
    size_t cpus;          /* cores for all of them together */
    bool is_kept;         /* they run on the first so many cores only */
    int nice;             /* how much they yield to other threads */
};

/* Before the first pool, kernels from files included. The first call holds, for the life of the process:
 * what runs cannot be moved by a reload. Without one, threads run as the others. Any thread. */
void kernel_pool_rule(const struct kernel_pool_rule *rule);

/* threads >= 1, for kernels that answer at once; queue_max: jobs that may wait. Kernels that compute have
 * threads of their own, started as they are needed, so that nobody waits behind a language model; how many
 * of them compute at a time is for kernel_turn.h. NULL: no memory or threads. */
struct kernel_pool *kernel_pool_create(size_t threads, size_t queue_max);

/* Waits for running jobs (their calls must have been cancelled). NULL allowed. A loop that had calls
 * may be destroyed before or after; let it turn once without waiting after its last call is gone, for
 * what had been posted to it. */
void kernel_pool_destroy(struct kernel_pool *pool);

/* Waits, at most so long, for threads of kernels that were let go of (kernels from files have threads
 * of their own, which destroy them). For the end of the process. False: some do not end. */
bool kernel_pool_settle(int64_t ms);

/* Starts a call to a kernel (kernel_call.c): parses messages, stream, stream_options.include_usage,
 * max_tokens (and max_completion_tokens) from the request body, runs the kernel on the pool (or on threads of
 * its own, if it has some), and
 * delivers a chat completion (JSON) or chat completion chunks (SSE, ended by [DONE]) as bytes of call->in, in
 * the way a remote OpenAI-dialect expert would: the same head (status, content type), usage, error
 * documents, finish_reason, ids. Of a stream, the pool thread blocks while more than
 * CALL_IN_PAUSE_BYTES wait; a JSON answer comes whole, with its end. It stops within one piece after
 * call_cancel. The body is copied and the kernel referenced: both may go once the call is destroyed,
 * even if the kernel still runs.
 * `model` is the expert's name, put into the reply. `loop` is the caller's loop: wake is called on
 * it. Deadlines: first token, idle and total as given (ms, 0 none).
 * ST_TOO_BIG: the queue is full, or the kernel is stuck (kernel_turn.h). ST_NO_MEMORY. A body that is no chat request is a reply with status
 * 400, not an error here. A request for embeddings (request->is_embedding) is answered with the document of
 * its vectors, whole, in the same way. */
struct kernel_call_options {
    struct kernel *kernel;
    struct str model;
    int64_t first_token_ms;
    int64_t idle_ms;
    int64_t total_ms;
    int64_t reply_bytes; /* a longer answer is CALL_TOO_BIG; 0: no bound of the caller's */
};

MUST_CHECK enum status kernel_pool_call(struct kernel_pool *pool, struct loop *loop,
                                        const struct call_request *request,
                                        const struct kernel_call_options *options,
                                        struct call **ret_call);
