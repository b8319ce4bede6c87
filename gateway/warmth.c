/* See warmth.h. */
#include "gateway/warmth.h"

#include <inttypes.h>
#include <stdio.h>

#include "backends/managed.h"
#include "gateway/exchange.h"
#include "policies/warm.h"

/* The chosen one comes first; those that were before it follow in their order. */
static void move_first(struct decision *d, size_t chosen)
{
    struct policy_candidate candidate = d->candidates[chosen];
    const struct expert *expert = d->experts[chosen];
    for (size_t i = chosen; i > 0; i--) {
        d->candidates[i] = d->candidates[i - 1];
        d->experts[i] = d->experts[i - 1];
        d->plan.experts[i] = d->plan.experts[i - 1];
    }
    d->candidates[0] = candidate;
    d->experts[0] = expert;
    d->plan.experts[0] = expert;
}

bool warmth_apply(struct exchange *x)
{
    struct decision *d = &x->decision;
    const struct category *category = d->category;
    if (x->snapshot->managed == NULL || d->plan.count == 0) {
        return true;
    }
    for (size_t i = 0; i < d->plan.count; i++) {
        struct managed *m = d->experts[i]->managed;
        d->candidates[i].wait_ms = m == NULL ? 0 : managed_wait_ms(m);
    }
    if (category == NULL || d->candidates[0].wait_ms == 0) {
        return true;
    }
    int chosen = warm_choose((enum warm_rule)category->cold, category->cold_margin, d->candidates,
                             d->plan.count);
    if (chosen == 0) {
        return true;
    }
    if (x->endpoint->write == NULL) { /* not when it is only explained */
        managed_load(d->experts[0]->managed);
    }
    (void)snprintf(d->candidates[0].reason, sizeof d->candidates[0].reason,
                   "cold: loaded in about %" PRId64 " ms", d->candidates[0].wait_ms);
    if (chosen == WARM_NOBODY) {
        x->retry_after_s = (d->candidates[0].wait_ms + 999) / 1000;
        return false;
    }
    move_first(d, (size_t)chosen);
    return true;
}
