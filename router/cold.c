/* See cold.h. */
#include "router/cold.h"

#include <inttypes.h>
#include <stdio.h>

#include "policies/warm.h"
#include "router/decide.h"

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

int cold_apply(struct decision *d)
{
    const struct category *category = d->category;
    if (category == NULL || d->plan.count == 0 || d->candidates[0].wait_ms == 0) {
        return 0;
    }
    int chosen = warm_choose((enum warm_rule)category->cold, category->cold_margin, d->candidates,
                             d->plan.count);
    if (chosen != 0) {
        (void)snprintf(d->candidates[0].reason, sizeof d->candidates[0].reason,
                       "cold: loaded in about %" PRId64 " ms", d->candidates[0].wait_ms);
    }
    d->is_cold = chosen == WARM_NOBODY;
    if (chosen != 0 && !d->is_cold) {
        move_first(d, (size_t)chosen);
    }
    return chosen;
}
