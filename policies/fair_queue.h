/* A queue that is fair between flows (tenants): deficit round robin (M. Shreedhar, G. Varghese, "Efficient
 * Fair Queueing using Deficit Round Robin", 1995). Flows take turns; at its turn a flow may spend its
 * weight, and keeps what is left for the next turn while it has items. A flow of two hundred delays one
 * of five by one item a turn, not by two hundred. Inside a flow first come, first served.
 *
 * Items are embedded in what waits; nothing is allocated. The first item of a flow carries the flow.
 * Pure; not for several threads at once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FAIR_COST_MAX = 64 /* keeps the search for the next item short */
};

struct fair_item {
    uint64_t flow;               /* set by the caller */
    int64_t weight;              /* set by the caller, > 0: what the flow may spend in a turn */
    int64_t cost;                /* set by the caller, 1 to FAIR_COST_MAX */
    bool is_queued;              /* read-only from here on */
    struct fair_item *next;      /* of the flow */
    struct fair_item *last;      /* of the flow; first items only, as all that follow */
    struct fair_item *ring_next; /* the flow whose turn is after this one's */
    struct fair_item *ring_previous;
    int64_t deficit; /* what it may still spend */
};

struct fair_queue {         /* zero: empty */
    struct fair_item *turn; /* first item of the flow whose turn it is */
    bool is_credited;       /* it has got its weight for this turn */
    size_t count;
};

void fair_queue_push(struct fair_queue *q, struct fair_item *item);
struct fair_item *fair_queue_pop(struct fair_queue *q);               /* NULL: empty */
void fair_queue_remove(struct fair_queue *q, struct fair_item *item); /* no-op when not queued */

/* The item that came last to the flow with the lowest weight below `weight`; NULL: there is none. It
 * stays queued. What is given up when a more important one comes to a full queue. */
struct fair_item *fair_queue_least(const struct fair_queue *q, int64_t weight);
