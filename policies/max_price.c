/* Drops experts that would cost more for this request than it wants to pay (x-expertd-max-price), by
 * the estimate of its tokens; and those of which nobody knows what they cost. */
#include "policies/policy.h"

static const double NANO_USD_PER_USD = 1e9;

static void apply(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count)
{
    for (size_t i = 0; request->has_max_price && i < count; i++) {
        struct policy_candidate *c = &candidates[i];
        if (!c->has_price) {
            policy_drop(c, &policy_max_price, "has no price, and the request sets the highest");
        } else if (c->cost_nano_usd > request->max_price_nano_usd) {
            policy_drop(c, &policy_max_price, "up to %.9f USD; the request pays %.9f",
                        (double)c->cost_nano_usd / NANO_USD_PER_USD,
                        (double)request->max_price_nano_usd / NANO_USD_PER_USD);
        }
    }
}

const struct policy policy_max_price = {
    "max_price", "drops experts over the highest price that the request sets", apply};
