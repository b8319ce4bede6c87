/* A circuit breaker (M. Nygard, "Release It!", 2nd edition, chapter 5) as a pure state machine: whoever
 * asks an expert asks the breaker first, and reports how it went. The time is passed in; whoever owns
 * the breaker sees to it that one thread at a time is inside.
 *
 *              failures                        open_ms passed
 *     CLOSED ------------> OPEN -------------------------------------> HALF_OPEN
 *       ^                   ^ '--- a cool-down passed ---> CLOSED        |   |
 *       |                   '--------------- a probe failed -------------'   |
 *       '---------------------------- half_open probes went well ------------'
 *
 * Each time it opens again soon after it closed it stays open for twice as long, up to open_max_ms: an
 * expert that comes and goes lets ever fewer failures through. It counts as recovered, and starts with
 * open_ms again, when it has been closed for as long as it was open before. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    BREAKER_FAILURES_MAX = 64
};

struct breaker_rule {
    int64_t failures;    /* that open it, at most BREAKER_FAILURES_MAX; 0: none ever do */
    int64_t window_ms;   /* in which they must lie; 0: in a row, however far apart */
    int64_t open_ms;     /* how long it stays open, the first time */
    int64_t open_max_ms; /* and at most; a cool-down too */
    int64_t half_open;   /* probes that must go well, > 0 */
};

enum breaker_state {
    BREAKER_CLOSED,
    BREAKER_OPEN,
    BREAKER_HALF_OPEN,
};

enum breaker_event {
    BREAKER_SUCCESS,
    BREAKER_FAILURE, /* no connection, a time-out, 5xx, a cut answer */
    BREAKER_NOTHING, /* says nothing of the expert: cancelled, the client's mistake */
};

struct breaker { /* read-only to callers; zero: closed, nothing known */
    enum breaker_state state;
    bool is_cooling;   /* open because the expert asked for time */
    uint64_t era;      /* counts changes of state */
    int64_t until_ms;  /* OPEN: until when */
    int64_t span_ms;   /* how long it was open last; 0: never, or it has recovered */
    int64_t closed_ms; /* CLOSED: since when */
    int64_t probes;    /* HALF_OPEN: out */
    int64_t passed;    /* HALF_OPEN: went well */
    uint64_t opened;   /* how often, in its life */
    int64_t failed;    /* CLOSED: failures that count */
    int64_t failed_ms[BREAKER_FAILURES_MAX]; /* when: a ring */
};

/* Whether an attempt would be let through now. */
bool breaker_allows(const struct breaker *b, const struct breaker_rule *rule, int64_t now_ms);

/* Lets an attempt through or not. True: it must be reported once, with *ret_ticket. */
bool breaker_try(struct breaker *b, const struct breaker_rule *rule, int64_t now_ms,
                 uint64_t *ret_ticket);

/* How an attempt went. One that began before the last change of state changes nothing. */
void breaker_report(struct breaker *b, const struct breaker_rule *rule, enum breaker_event event,
                    uint64_t ticket, int64_t now_ms);

/* The expert asked for time (429 or 503 with Retry-After): open for so long, then closed again. Takes
 * the place of the report. A longer opening stands. */
void breaker_cool(struct breaker *b, const struct breaker_rule *rule, uint64_t ticket,
                  int64_t cool_ms, int64_t now_ms);

/* Milliseconds until it lets somebody through again; 0: now, or as soon as a probe comes back. */
int64_t breaker_wait_ms(const struct breaker *b, int64_t now_ms);

const char *breaker_state_text(enum breaker_state state); /* "closed", "open", "half_open" */
