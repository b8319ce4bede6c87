/* A plan: which experts to try, in which order, and when to stop. One pure object with a cursor; the
 * gateway only executes it, so retries and fallbacks are tested without a socket. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "backends/call_outcome.h"
#include "base/arena.h"
#include "base/status.h"

struct expert;

struct plan {
    const struct expert **experts; /* in order; in the arena */
    size_t count;
    size_t next;     /* the cursor: the next one to try */
    size_t attempts; /* how many were handed out */
    size_t attempts_max;
};

/* How an attempt ended. */
struct plan_outcome {
    enum call_outcome outcome;
    int http_status;   /* 0: no reply head */
    bool is_committed; /* bytes of this answer have gone to the client */
};

/* Room for count experts; fill plan->experts[0..count). ST_NO_MEMORY. */
MUST_CHECK enum status plan_init(struct plan *plan, struct arena *arena, size_t count,
                                 size_t attempts_max);

/* The first expert to try, or NULL for an empty plan. */
const struct expert *plan_first(struct plan *plan);

/* After an attempt: the next expert to try, or NULL to stop and answer with what there is. Goes on
 * after failures that another expert may not share (no connection, time-outs, a cut answer, 408, 429,
 * 5xx), never once the answer is committed, never after the client's own mistakes (other 4xx). */
const struct expert *plan_next(struct plan *plan, const struct plan_outcome *outcome);

/* Whether an attempt failed in a way that another expert may not share. */
bool plan_is_retryable(const struct plan_outcome *outcome);
