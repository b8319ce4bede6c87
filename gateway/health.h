/* How experts are: breakers, attempts in work, latencies, and who waits for a place. One object per
 * expert's name and url, whatever configuration it is in, so that a reload forgives nothing; those of
 * experts that are gone for long are freed (base/roll.h).
 *
 * Shared by all workers. Each object has a lock of its own: written and read by the workers (enter,
 * leave, look), by the thread that loads configurations (join) and by the first worker's probes and
 * pages; it is held for the arithmetic of policies/breaker.h and its kin, never across a wait. An expert
 * that is shut is seen without the lock (health_is_plain). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/call_outcome.h"
#include "base/buf.h"
#include "base/loop.h"
#include "policies/fair_queue.h"
#include "policies/policy.h"

struct expert;
struct health;
struct healths; /* the process's, all of them */

enum health_entry {
    HEALTH_IN,     /* go on; must be left once */
    HEALTH_QUEUED, /* waits; `done` will run once, unless it is cancelled */
    HEALTH_SHUT, /* the breaker is open, or the expert fails its probes, or is a kernel that is stuck */
    HEALTH_FULL, /* as many as may are in work, and as many as may wait */
    HEALTH_LATE, /* waited too long; never said by health.c */
};

struct health_pass { /* from enter to leave */
    struct health *health;
    uint64_t ticket;
    int64_t entered_us;
};

struct health_waiter {                     /* embedded; the first three are set by the caller */
    struct fair_item item;                 /* flow, weight, cost */
    struct loop *loop;                     /* where done runs */
    void (*done)(struct health_waiter *w); /* verdict is HEALTH_IN, HEALTH_SHUT or HEALTH_FULL */
    enum health_entry verdict;
    struct health_pass pass; /* of HEALTH_IN */
    struct loop_task task;   /* private */
};

struct healths *healths_create(void);     /* NULL: no memory */
void healths_destroy(struct healths *hs); /* NULL allowed */

/* The objects of a configuration's experts, made on first use, in ret[0..count), held until
 * healths_leave. By the thread that loads configurations. ST_NO_MEMORY: those that are not NULL are held. */
MUST_CHECK enum status healths_join(struct healths *hs, const struct expert *experts, size_t count,
                                    struct health **ret);
void healths_leave(struct health **list, size_t count); /* any thread */

/* This configuration is in use from now on: its rules hold, and pages show its experts. By the thread
 * that loads configurations. */
void healths_use(struct healths *hs, const struct expert *experts, size_t count,
                 struct health *const *list);

/* Frees those that nobody has held for long. By the thread that loads configurations. */
void healths_sweep(struct healths *hs);

/* Whether requests pass without a look at anything: not shut. Any thread, no lock. */
bool health_is_plain(const struct health *h);

/* The facts for policies. Any thread. */
void health_look(struct health *h, int64_t now_us, struct policy_health *ret);

/* Asks for a place for one attempt. `w` waits where there is none; NULL: HEALTH_FULL instead. Any
 * thread. */
enum health_entry health_enter(struct health *h, int64_t now_us, struct health_waiter *w,
                               struct health_pass *ret_pass);

/* A place in any case, whatever the breaker says; what comes of it does not count for the breaker. */
void health_force(struct health *h, int64_t now_us, struct health_pass *ret_pass);

/* Takes a waiter out of the queue. False: it is out already, and done will run. On its loop's thread. */
bool health_cancel(struct health *h, struct health_waiter *w);

struct health_result {
    enum call_outcome outcome;
    int http_status;        /* 0: no reply head */
    int64_t retry_after_s;  /* -1: none */
    int64_t first_token_us; /* 0: none came */
    bool is_outrun;         /* another attempt was faster: this one took first_token_us at least */
};

/* Within what 95 % of its answers began; 0: too few came to tell. Any thread. */
int64_t health_p95_us(struct health *h);

/* The attempt is over. Whoever waits gets the place. Any thread. */
void health_leave(const struct health_pass *pass, int64_t now_us,
                  const struct health_result *result);

/* Seconds until a place is likely, by the rate at which it has served; at least 1. Any thread. */
int64_t health_retry_s(struct health *h, int64_t now_us);

/* A probe came back. True: the expert fails its probes from now on, or no longer does. An open breaker
 * whose time is over takes it for the probe that it waits for. Any thread. */
bool health_probed(struct health *h, int64_t now_us, bool is_good);

/* Whether it is a kernel that is stuck (kernel_turn.h). True: that is news. Any thread. */
bool health_note_stuck(struct health *h, int64_t now_us, bool is_stuck);

/* Appends [{"expert":..., "state":..., ...}, ...]. Any thread. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status healths_write_json(struct healths *hs, int64_t now_us, struct buf *out);
/* Appends their part of the page of metrics. */
MUST_CHECK enum status healths_write_metrics(struct healths *hs, int64_t now_us, struct buf *out);
