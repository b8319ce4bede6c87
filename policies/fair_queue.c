/* See fair_queue.h. */
#include "policies/fair_queue.h"

static struct fair_item *find_flow(const struct fair_queue *q, uint64_t flow)
{
    struct fair_item *first = q->turn;
    for (struct fair_item *at = first; at != NULL;) {
        if (at->flow == flow) {
            return at;
        }
        at = at->ring_next == first ? NULL : at->ring_next;
    }
    return NULL;
}

void fair_queue_push(struct fair_queue *q, struct fair_item *item)
{
    struct fair_item *flow = find_flow(q, item->flow);
    item->is_queued = true;
    item->next = NULL;
    q->count++;
    if (flow != NULL) {
        flow->last->next = item;
        flow->last = item;
        return;
    }
    item->last = item;
    item->deficit = 0;
    if (q->turn == NULL) {
        item->ring_next = item;
        item->ring_previous = item;
        q->turn = item;
        q->is_credited = false;
        return;
    }
    item->ring_next = q->turn; /* behind all that wait already */
    item->ring_previous = q->turn->ring_previous;
    item->ring_previous->ring_next = item;
    q->turn->ring_previous = item;
}

static void pass_turn(struct fair_queue *q)
{
    q->turn = q->turn->ring_next;
    q->is_credited = false;
}

/* Takes the first item of its flow out; the second one, if any, carries the flow from then on. */
static void take_first(struct fair_queue *q, struct fair_item *first)
{
    struct fair_item *second = first->next;
    bool has_turn = q->turn == first;
    first->is_queued = false;
    q->count--;
    if (second == NULL) {
        if (has_turn) {
            pass_turn(q);
        }
        q->turn = q->turn == first ? NULL : q->turn; /* the only flow */
        first->ring_previous->ring_next = first->ring_next;
        first->ring_next->ring_previous = first->ring_previous;
        return;
    }
    bool is_alone = first->ring_next == first;
    second->last = first->last;
    second->deficit = first->deficit;
    second->ring_next = is_alone ? second : first->ring_next;
    second->ring_previous = is_alone ? second : first->ring_previous;
    second->ring_next->ring_previous = second;
    second->ring_previous->ring_next = second;
    q->turn = has_turn ? second : q->turn;
}

struct fair_item *fair_queue_pop(struct fair_queue *q)
{
    while (q->turn != NULL) {
        struct fair_item *first = q->turn;
        first->deficit += q->is_credited ? 0 : first->weight;
        q->is_credited = true;
        if (first->deficit >= first->cost) {
            first->deficit -= first->cost;
            take_first(q, first);
            return first;
        }
        pass_turn(q);
    }
    return NULL;
}

void fair_queue_remove(struct fair_queue *q, struct fair_item *item)
{
    if (!item->is_queued) {
        return;
    }
    struct fair_item *flow = find_flow(q, item->flow);
    if (flow == item) {
        take_first(q, item);
        return;
    }
    struct fair_item *before = flow;
    while (before->next != item) {
        before = before->next;
    }
    before->next = item->next;
    flow->last = flow->last == item ? before : flow->last;
    item->is_queued = false;
    q->count--;
}

struct fair_item *fair_queue_least(const struct fair_queue *q, int64_t weight)
{
    struct fair_item *least = NULL;
    struct fair_item *first = q->turn;
    for (struct fair_item *at = first; at != NULL;) {
        if (at->weight < (least == NULL ? weight : least->weight)) {
            least = at;
        }
        at = at->ring_next == first ? NULL : at->ring_next;
    }
    return least == NULL ? NULL : least->last;
}
