/* Drops experts whose breaker is open or that fail their health checks. Where that would leave nobody
 * of those that are still in, and the operator wants it so, the one that opens first stays. */
#include "policies/policy.h"

static bool is_shut(const struct policy_candidate *c)
{
    return c->dropped_by == NULL && c->health.why != NULL;
}

/* -1, not known, is later than any time. */
static bool opens_before(const struct policy_candidate *a, const struct policy_candidate *b)
{
    return a->health.opens_ms >= 0 &&
           (b->health.opens_ms < 0 || a->health.opens_ms < b->health.opens_ms);
}

/* The one to try when all are shut; NULL: some are not. */
static const struct policy_candidate *last_resort(const struct policy_candidate *candidates,
                                                  size_t count)
{
    const struct policy_candidate *first = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct policy_candidate *c = &candidates[i];
        if (c->dropped_by == NULL && c->health.why == NULL) {
            return NULL;
        }
        if (is_shut(c) && (first == NULL || opens_before(c, first))) {
            first = c;
        }
    }
    return first;
}

static void apply(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count)
{
    const struct policy_candidate *kept =
        request->tries_shut ? last_resort(candidates, count) : NULL;
    for (size_t i = 0; i < count; i++) {
        struct policy_candidate *c = &candidates[i];
        if (!is_shut(c) || c == kept) {
            continue;
        }
        if (c->health.opens_ms >= 0) {
            policy_drop(c, &policy_health, "%s, for another %.1f s", c->health.why,
                        (double)c->health.opens_ms / 1e3);
        } else {
            policy_drop(c, &policy_health, "%s", c->health.why);
        }
    }
}

const struct policy policy_health = {
    "health",
    "drops experts whose breaker is open or that fail their health checks; with when_all_open: try "
    "not the last one",
    apply};
