/* An exchange's place at its expert: asked for before each attempt, waited for in the expert's queue,
 * given back when the attempt is over. Tenants take turns in the queue (policies/fair_queue.h), those
 * of higher priority get more of them. Worker's thread. */
#pragma once

#include <stdbool.h>

#include "base/loop.h"
#include "gateway/health.h"

struct exchange;
struct expert;
struct expert_waiter;

enum expert_priority {
    EXPERT_LOW,
    EXPERT_NORMAL,
    EXPERT_HIGH,
};

struct expert_place { /* private; zero: none */
    struct health_pass pass;
    bool is_in;
    bool is_forced;               /* take the next place, whatever the breaker says */
    bool is_hasty;                /* does not wait: a place at once or none */
    bool is_outrun;               /* the attempt is over because another one was faster */
    struct expert_waiter *waiter; /* NULL: not waiting */
    bool is_told;                 /* the wait is over; verdict says how */
    enum health_entry verdict;
    struct loop_timer timer; /* of queue_ms */
};

/* A place at x->leg.expert. HEALTH_QUEUED: the exchange is woken when there is news, at the latest after the
 * expert's queue_ms; then ask again. HEALTH_SHUT, HEALTH_FULL, HEALTH_LATE: there is none. */
enum health_entry expert_queue_enter(struct exchange *x);

/* Whether a place was asked for and not refused: it is waited for, or taken and not used yet. */
bool expert_queue_is_pending(const struct exchange *x);

/* For plans (struct plan_facts): whether the expert takes requests; ctx is the exchange. */
bool expert_queue_may_try(void *exchange, const struct expert *expert, const char **ret_why);

/* The attempt is over: gives the place back and says how it went. x->leg.call may be NULL. No-op without. */
void expert_queue_leave(struct exchange *x, enum call_outcome outcome);

/* Gives the place back, or leaves the queue; says nothing of the expert. No-op without. */
void expert_queue_drop(struct exchange *x);

/* Seconds until a place at x->leg.expert is likely. */
int64_t expert_queue_retry_s(struct exchange *x);
