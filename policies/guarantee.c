/* Drops experts that a guarantee of the configuration forbids for this prompt. What it drops nothing
 * brings back, whatever the ranking says. Which guarantees hold is found by router/guarantees.c. */
#include "policies/policy.h"

static void apply(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count)
{
    (void)request;
    for (size_t i = 0; i < count; i++) {
        if (candidates[i].barred_by.len > 0) {
            policy_drop(&candidates[i], &policy_guarantee,
                        "guarantee \"%.*s\" keeps such prompts from it",
                        STR_ARG(candidates[i].barred_by));
        }
    }
}

const struct policy policy_guarantee = {
    "guarantee", "drops experts that a guarantee of the configuration forbids for this prompt",
    apply};
