/* Drops every expert when the request has been led to a category, or by a rule to an expert, that its
 * key may not use, and not even the general category would do. */
#include "policies/policy.h"

static void apply(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count)
{
    for (size_t i = 0; request->is_forbidden && i < count; i++) {
        policy_drop(&candidates[i], &policy_allow, "the key may not use %.*s",
                    STR_ARG(str_slice(request->led_to, 0, 80)));
    }
}

const struct policy policy_allow = {
    "allow", "drops experts that the allow-list of the tenant does not lead to", apply};
