/* See warmth.h. */
#include "gateway/warmth.h"

#include "backends/managed.h"
#include "gateway/exchange.h"
#include "gateway/prefetch.h"
#include "gateway/worker.h"
#include "policies/warm.h"
#include "router/cold.h"

bool warmth_apply(struct exchange *x)
{
    struct decision *d = &x->decision;
    if (x->snapshot->managed == NULL || d->plan.count == 0) {
        return true;
    }
    for (size_t i = 0; i < d->plan.count; i++) {
        struct managed *m = d->experts[i]->managed;
        d->candidates[i].wait_ms = m == NULL ? 0 : managed_wait_ms(m);
    }
    const struct expert *best = d->experts[0];
    int64_t wait_ms = d->candidates[0].wait_ms;
    int chosen = cold_apply(d);
    bool is_cold = chosen != 0 || wait_ms > 0;
    if (is_cold && best->managed != NULL && x->endpoint->write == NULL) { /* not to explain it */
        managed_load(best->managed); /* before a guess may take the memory */
    }
    if (chosen == WARM_NOBODY) {
        x->retry_after_s = (wait_ms + 999) / 1000;
    }
    if (x->endpoint->write == NULL) { /* as above */
        prefetch_turn(x->worker->prefetch, x);
    }
    return chosen != WARM_NOBODY;
}
