/* Drops experts whose score in the category is below the floor, so that neither cost nor a split brings
 * them in. Experts that were named have no score here; while a tool call waits for its expert it stays. */
#include "policies/policy.h"

static void apply(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool is_held = candidates[i].is_known && request->is_tool_open;
        if (candidates[i].score < request->min_score && !is_held) {
            policy_drop(&candidates[i], &policy_floor, "scores %g, the floor is %g",
                        candidates[i].score, request->min_score);
        }
    }
}

const struct policy policy_floor = {
    "floor", "drops experts whose score in the category is below policies.min_score", apply};
