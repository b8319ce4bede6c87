/* Drops experts that the request itself bans (x-expertd-ban). */
#include "policies/policy.h"

static void apply(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < request->ban_count; k++) {
            if (str_eq(candidates[i].name, request->bans[k])) {
                policy_drop(&candidates[i], &policy_ban, "the request bans it");
            }
        }
    }
}

const struct policy policy_ban = {"ban", "drops experts that the request bans", apply};
