/* See policy.h: the table and the driver over it. */
#include "policies/policy.h"

#include <stdarg.h>
#include <stdio.h>

const struct policy *const policy_table[] = {
    &policy_allow,   &policy_guarantee,
    &policy_ban,     &policy_capability,
    &policy_context, &policy_max_price,
    &policy_floor,   &policy_cost_quality,
    &policy_latency, &policy_split,
    &policy_budget,  &policy_health,
    &policy_session, NULL,
};

void policy_drop(struct policy_candidate *c, const struct policy *by, const char *format, ...)
{
    if (c->dropped_by != NULL) {
        return;
    }
    c->dropped_by = by->name;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->reason, sizeof c->reason, format, args);
    va_end(args);
}

static bool comes_before(const struct policy_candidate *a, const struct policy_candidate *b)
{
    bool a_in = a->dropped_by == NULL;
    bool b_in = b->dropped_by == NULL;
    return a_in != b_in ? a_in : a->rank > b->rank;
}

enum {
    PLACES_MAX = 64, /* candidates that are sorted by their places */
};

struct place { /* what a candidate is sorted by, and where it stands */
    double rank;
    bool is_in;
    size_t from;
};

/* Puts each candidate where its place says, moving it once: they are much larger than places. */
static void put_in_order(struct policy_candidate *candidates, struct place *places, size_t count)
{
    for (size_t start = 0; start < count; start++) {
        if (places[start].from == start) {
            continue;
        }
        struct policy_candidate first = candidates[start];
        size_t at = start;
        while (places[at].from != start) {
            size_t next = places[at].from;
            candidates[at] = candidates[next];
            places[at].from = at;
            at = next;
        }
        candidates[at] = first;
        places[at].from = at;
    }
}

/* Stable. */
static void sort_by_places(struct policy_candidate *candidates, size_t count)
{
    struct place places[PLACES_MAX];
    for (size_t i = 0; i < count; i++) {
        struct place moving = {candidates[i].rank, candidates[i].dropped_by == NULL, i};
        size_t at = i;
        while (at > 0 &&
               (moving.is_in != places[at - 1].is_in ? moving.is_in
                                                     : moving.rank > places[at - 1].rank)) {
            places[at] = places[at - 1];
            at--;
        }
        places[at] = moving;
    }
    put_in_order(candidates, places, count);
}

/* The same for any number. */
static void insertion_sort(struct policy_candidate *candidates, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct policy_candidate moving = candidates[i];
        size_t at = i;
        while (at > 0 && comes_before(&moving, &candidates[at - 1])) {
            candidates[at] = candidates[at - 1];
            at--;
        }
        candidates[at] = moving;
    }
}

size_t policy_apply_all(const struct policy_request *request, struct policy_candidate *candidates,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        candidates[i].rank = candidates[i].score;
        candidates[i].dropped_by = NULL;
        candidates[i].reason[0] = '\0';
    }
    for (size_t p = 0; policy_table[p] != NULL; p++) {
        policy_table[p]->apply(request, candidates, count);
    }
    if (count <= PLACES_MAX) {
        sort_by_places(candidates, count);
    } else {
        insertion_sort(candidates, count);
    }
    size_t in = 0;
    while (in < count && candidates[in].dropped_by == NULL) {
        in++;
    }
    return in;
}
