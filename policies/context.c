/* Drops experts whose context is too short for the prompt, with what the gateway adds to it, and the
 * answer the client allows. All are estimates: an expert with no declared context stays. */
#include <inttypes.h>

#include "policies/policy.h"

static void apply(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count)
{
    int64_t asked = request->prompt_tokens + request->completion_tokens;
    for (size_t i = 0; i < count; i++) {
        int64_t needed = asked + candidates[i].added_tokens;
        int64_t context = candidates[i].context_tokens;
        if (context > 0 && needed > context) {
            policy_drop(&candidates[i], &policy_context,
                        "needs about %" PRId64 " tokens of context, the expert has %" PRId64,
                        needed, context);
        }
    }
}

const struct policy policy_context = {
    "context", "drops experts whose context is shorter than prompt and answer together", apply};
