/* Ranks by how long an expert takes to begin: rank -= latency_weight * seconds, of waiting for a place
 * and of the median time to the first token. Who is overtaken gets the reason. */
#include <stdio.h>

#include "policies/policy.h"

static const double US_PER_S = 1e6;

/* Whether somebody that was behind is before now. */
static bool is_overtaken(const struct policy_candidate *candidates, size_t count, size_t which,
                         double weight)
{
    const struct policy_candidate *c = &candidates[which];
    double before = c->rank + weight * (double)c->health.wait_us / US_PER_S;
    for (size_t i = 0; i < count; i++) {
        const struct policy_candidate *other = &candidates[i];
        double other_before = other->rank + weight * (double)other->health.wait_us / US_PER_S;
        if (other->dropped_by == NULL && other_before < before && other->rank > c->rank) {
            return true;
        }
    }
    return false;
}

static void apply(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count)
{
    double weight = request->latency_weight;
    for (size_t i = 0; weight > 0 && i < count; i++) {
        candidates[i].rank -= weight * (double)candidates[i].health.wait_us / US_PER_S;
    }
    for (size_t i = 0; weight > 0 && i < count; i++) {
        struct policy_candidate *c = &candidates[i];
        if (c->dropped_by == NULL && is_overtaken(candidates, count, i, weight)) {
            (void)snprintf(c->reason, sizeof c->reason, "about %.2f s to its first token",
                           (double)c->health.wait_us / US_PER_S);
        }
    }
}

const struct policy policy_latency = {
    "latency",
    "ranks experts lower by latency_weight for each second that they take to begin: for a place, and "
    "for the first token",
    apply};
