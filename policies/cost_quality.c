/* Ranks by quality minus cost: rank = score - cost_weight * cost in US cents of this prompt. With a
 * weight of 0 the order is the operator's scores. */
#include "policies/policy.h"

static const double NANO_USD_PER_CENT = 1e7;

static void apply(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double cents = (double)candidates[i].cost_nano_usd / NANO_USD_PER_CENT;
        candidates[i].rank = candidates[i].score - request->cost_weight * cents;
    }
}

const struct policy policy_cost_quality = {
    "cost_quality", "ranks experts by score minus cost_weight times the estimated cost in US cents",
    apply};
