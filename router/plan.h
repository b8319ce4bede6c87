/* A plan: which experts to try, in which order, when, and when to stop. One pure object: the outcome of
 * an attempt goes in, the next step comes out. The gateway only executes it, so retries and fallbacks
 * are tested without a socket. No clock, no randomness, no I/O: times and the seed are passed in.
 *
 *  - An expert that was not asked yet comes before one that is asked again, unless `retry_first`, and
 *    is asked at once.
 *  - The same expert is asked again when the time of its Retry-After is over, else after a random part
 *    of a time that doubles (full jitter); only for the causes in `retry_on`, at most `retries` times,
 *    while the process has budget for it, and never past the deadline.
 *  - The client's own mistakes (400, 401, 403, 404, 405, 413, 422 and the like) and refusals of a
 *    content filter end the plan: other experts are no way around them.
 *  - A prompt that was too long for one expert goes to those only that have more context.
 *  - Once bytes of an answer have gone to the client, nobody else is asked. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/call_outcome.h"
#include "base/arena.h"
#include "base/status.h"
#include "router/plan_settings.h"

struct expert;

struct plan_entry {   /* what became of one expert */
    int64_t ready_ms; /* not to be asked again before */
    size_t tries;
    bool is_out; /* not to be asked again at all */
};

struct plan {
    const struct expert **experts; /* in order; in the arena */
    struct plan_entry *entries;    /* in the same order */
    size_t count;
    size_t attempts; /* how many were handed out */
    size_t attempts_max;
    size_t current;        /* index of the last one handed out */
    size_t repeats;        /* how many of them were asked before */
    int64_t context_floor; /* tokens that were too few for the prompt; -1: none were */
    const struct plan_settings *settings;
};

/* How an attempt ended. */
struct plan_outcome {
    enum call_outcome outcome;
    int http_status;        /* 0: no reply head */
    enum reply_error error; /* what kind of error the expert's document is */
    bool is_committed;      /* bytes of this answer have gone to the client */
    int64_t retry_after_s;  /* -1: the expert did not say */
};

/* What holds when a step is asked for. */
struct plan_facts {
    int64_t now_ms;
    int64_t deadline_ms; /* of the exchange, by the same clock */
    uint64_t seed;
    bool may_repeat; /* the process has budget to ask an expert again */

    /* Whether an expert may be tried now, or why not: it is known to be down, it is full. *ret_why is
     * static text without blanks, for headers and logs. NULL: all may. */
    bool (*may_try)(void *ctx, const struct expert *expert, const char **ret_why);
    void *ctx;
};

enum plan_verb {
    PLAN_TRY,  /* expert now */
    PLAN_WAIT, /* until at_ms, then expert */
    PLAN_STOP, /* answer with what there is */
};

struct plan_step {
    enum plan_verb verb;
    const struct expert *expert;
    int64_t at_ms;
    bool is_repeat; /* it was asked before: takes from the retry budget */
    const char
        *why; /* of PLAN_STOP: static text without blanks, may_try's if that was the reason */
};

/* Room for count experts; fill plan->experts[0..count). Settings are borrowed. ST_NO_MEMORY. */
MUST_CHECK enum status plan_init(struct plan *plan, struct arena *arena, size_t count,
                                 const struct plan_settings *settings);

/* The first attempt; begins anew. PLAN_TRY, or PLAN_STOP where nobody may be tried. */
struct plan_step plan_first(struct plan *plan, const struct plan_facts *facts);

/* What follows an attempt that brought no answer. */
struct plan_step plan_next(struct plan *plan, const struct plan_outcome *outcome,
                           const struct plan_facts *facts);

/* Whom to ask beside the expert that is at work: one that was not asked yet, else the same again if it
 * is elsewhere. PLAN_TRY, with plan->current, or PLAN_STOP. */
struct plan_step plan_beside(struct plan *plan, const struct plan_facts *facts);

/* The attempt that was handed out last was not made. */
void plan_take_back(struct plan *plan);

/* An attempt at plan->current brought no answer, while another one is at work. */
void plan_lose(struct plan *plan, const struct plan_outcome *outcome,
               const struct plan_facts *facts);

/* Why an attempt brought no answer; PLAN_FINAL where nobody else is to be asked. */
enum plan_cause plan_cause_of(const struct plan_outcome *outcome);
