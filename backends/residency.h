/* Residency: which managed experts are in memory, and which one comes or goes next. Pure: facts and
 * the time in, one step out; processes.c carries the steps out and reports what happened.
 *
 *     COLD --load--> STARTING --healthy--> READY --drain--> DRAINING --idle--> STOPPING --gone--> COLD
 *      ^                |                    '---stop (idle)-----------------> STOPPING
 *      '--unload-- FAILED <--- crash, late start: from any state that has a process
 *                     '--retry, once the backoff is over--> STARTING
 *
 * What holds, whatever the facts: what is loading, pinned or young is never stopped for another, what
 * is busy only drains, and only for one that has starved; the bytes of what is in memory never exceed
 * the bound by an admission; of two that wait the older one is looked at first.
 *
 * Who leaves first: the least use x load time / bytes (what it would cost, per byte gained, to have it
 * back: CoServe, arXiv 2503.02354); of equals the least recently used. When: at once, where the victim
 * is hardly used; else once those who wait have waited together `patience` times what the victim's users
 * would (ski rental), which lets requests of one expert gather. Nobody waits longer than starve_ms for room
 * that can be had. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum residency_state {
    RESIDENCY_COLD,
    RESIDENCY_STARTING,
    RESIDENCY_READY,
    RESIDENCY_DRAINING, /* takes no more requests; those that run are finished */
    RESIDENCY_STOPPING,
    RESIDENCY_FAILED, /* not before retry_ms */
};

struct residency_group { /* experts that share a fate; as llama-swap's */
    bool is_swap;        /* one member at a time */
    bool is_exclusive;   /* a member that loads sends the members of other groups away */
    bool is_persistent;  /* its members are never sent away for others */
};

struct residency_rule {                  /* from the configuration */
    int64_t bytes;                       /* as declared */
    int64_t ttl_ms;                      /* idle time after which it goes by itself; 0: never */
    int64_t min_resident_ms;             /* not sent away before */
    const struct residency_group *group; /* NULL: none; identity is the pointer */
    bool is_pinned;                      /* never goes by itself, nor for others */
};

struct resident { /* one expert; members are read-only outside residency.c but for measured_bytes */
    struct residency_rule rule;
    enum residency_state state;
    int64_t since_ms;       /* of the state */
    int64_t used_ms;        /* when its last request ended, or it became ready */
    size_t busy;            /* requests that run */
    size_t waiting;         /* requests that wait for it; 0 while READY */
    int64_t oldest_ms;      /* arrival of the first of those; the owner sets it */
    int64_t arrival_sum_ms; /* of all of those */
    int64_t measured_bytes; /* the most that it was seen to take; 0: not measured */
    int64_t load_ms;        /* a load takes so long, by experience; 0: none yet */
    double use;             /* requests, those of RESIDENCY_USE_MS ago counting 1/e */
    int64_t use_ms;         /* when `use` was right */
    int64_t first_ms;       /* arrival of its first request ever; 0: none yet */
    int64_t retry_ms;       /* FAILED: not before */
    unsigned failures;      /* in a row */
    bool is_wished;         /* to be loaded, if there is room */
    bool is_unwished;       /* to be stopped as soon as it is idle */
};

enum residency_order {
    RESIDENCY_BY_VALUE, /* as above */
    RESIDENCY_BY_AGE,   /* least recently used alone */
};

extern const char *const residency_orders[]; /* the same as words, NULL at the end */

struct residency { /* lent for a call */
    struct resident *const *list;
    size_t count;
    int64_t memory_bytes; /* 0: no bound */
    int64_t starve_ms;
    double patience; /* factor of the price of sending somebody away; 0: at once */
    enum residency_order order;
};

enum residency_act {
    RESIDENCY_NOTHING,
    RESIDENCY_LOAD,
    RESIDENCY_DRAIN,
    RESIDENCY_STOP, /* it is idle */
};

struct residency_step {
    enum residency_act act;
    size_t index;
    const char
        *reason; /* static text: "ttl", "memory", "group", "unload", "drained", "demand", "wish" */
};

enum {
    RESIDENCY_USE_MS = 60000,
    RESIDENCY_LOAD_GUESS_MS = 2000, /* before anything was measured */
    RESIDENCY_BACKOFF_MS = 1000,    /* doubles with each failure */
    RESIDENCY_BACKOFF_MAX_MS = 60000,
};

/* What is to be done now; carry it out (residency_enter) and ask again until it is NOTHING. */
struct residency_step residency_next(const struct residency *r, int64_t now_ms);

/* When to ask again if nothing happens before; INT64_MAX: no need. Never before now. */
int64_t residency_due_ms(const struct residency *r, int64_t now_ms);

/* Whether it could be loaded now with nobody leaving, and nobody waits for memory. */
bool residency_is_free_for(const struct residency *r, size_t index, int64_t now_ms);

/* What a request that comes now would wait for its expert to be loaded; an estimate. */
int64_t residency_wait_ms(const struct residency *r, size_t index, int64_t now_ms);

/* Changes the state; the way must be one of the drawing. STARTING to READY learns the load time, FAILED
 * the time of the next try. */
void resident_enter(struct resident *e, enum residency_state state, int64_t now_ms);
bool resident_is_loaded(const struct resident *e);          /* has a process */
int64_t resident_bytes(const struct resident *e);           /* what it counts with */
void resident_arrive(struct resident *e, int64_t now_ms);   /* a request came, for its use */
void resident_wait(struct resident *e, int64_t arrival_ms); /* it waits */
void resident_unwait(struct resident *e, int64_t arrival_ms);
void resident_begin(struct resident *e); /* it runs */
void resident_end(struct resident *e, int64_t now_ms);

/* "cold", "starting", ... */
const char *residency_state_text(enum residency_state state);
