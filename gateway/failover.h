/* The plan in action: what an exchange does when an attempt brings no answer, and the record of what
 * became of each attempt. The decision itself is router/plan.h's. Worker's thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/status.h"
#include "router/plan.h"

struct buf;
struct exchange;
struct expert;

struct failover_note { /* an attempt that brought no answer */
    struct failover_note *next;
    const struct expert *expert;
    const char *word; /* static text: what happened; NULL: an answer with this status */
    int status;
    int64_t took_us; /* 0: it was not asked */
};

struct failover {              /* part of the exchange */
    int64_t deadline_ms;       /* of the exchange; by the loop's clock */
    int64_t first_ms;          /* when the first content must be there; at most deadline_ms */
    const struct expert *next; /* whom to ask now, or from at_ms on; NULL: x->leg.expert */
    int64_t at_ms;
    struct loop_timer timer;
    struct failover_note *first; /* in the arena */
    struct failover_note *last;
};

/* Takes the plan's first expert as x->leg.expert, and the deadline of the exchange: the configuration's, or
 * what the client has time for if that is less. False: x is refused. */
bool failover_begin(struct exchange *x);

/* After an attempt that brought no answer: notes it and asks the plan. True: EX_DISPATCH goes on. False:
 * this outcome is the answer. `word` names what is no outcome of a call ("budget"), else NULL. */
bool failover_next(struct exchange *x, const struct plan_outcome *outcome, const char *word);

/* The current attempt brought no answer while another one is at work: notes it, for the plan too. */
void failover_lose(struct exchange *x, const struct plan_outcome *outcome);

/* Notes an attempt at `expert`, begun at asked_us (0: with the first), that is not the current one. */
void failover_note_other(struct exchange *x, const struct expert *expert, int64_t asked_us,
                         const char *word);

/* What holds now, for plans. */
struct plan_facts failover_facts(struct exchange *x);

/* Whether the next attempt has to wait: a timer is armed then. Else x->leg.expert is whom to ask. */
bool failover_must_wait(struct exchange *x);

/* Cancels the timer. */
void failover_forget(struct exchange *x);

/* Notes the current attempt, unless it is noted: for one that ends without the plan being asked. */
void failover_note(struct exchange *x, const struct plan_outcome *outcome, const char *word);

/* "med-70b 429; small-8b 200" for a header, or NULL where no attempt failed. In the arena. */
const char *failover_text(struct exchange *x);

/* Appends ,"attempt_log":[{"expert":"med-70b","result":"429","ms":12},...] where an attempt failed. */
MUST_CHECK enum status failover_write(const struct exchange *x, struct buf *line);
