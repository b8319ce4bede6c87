/* Puts the expert first that a category's split has drawn for this request. Drops nobody: when the drawn
 * one is out, the others are asked in their own order. A budget that degrades and a tool call that is
 * open count for more. */
#include <stdio.h>

#include "policies/policy.h"

static const double OVER_ALL = 1.0;

static void apply(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count)
{
    (void)request;
    for (size_t i = 0; i < count; i++) {
        struct policy_candidate *drawn = &candidates[i];
        for (size_t k = 0; drawn->split_percent > 0.0 && k < count; k++) {
            drawn->rank = candidates[k].rank > drawn->rank ? candidates[k].rank : drawn->rank;
        }
        if (drawn->split_percent > 0.0 && drawn->dropped_by == NULL) {
            drawn->rank += OVER_ALL;
            (void)snprintf(drawn->reason, sizeof drawn->reason,
                           "drawn: it comes first for %g %% of this category",
                           drawn->split_percent);
        }
    }
}

const struct policy policy_split = {
    "split", "puts the expert first that the category's split has drawn for this request", apply};
