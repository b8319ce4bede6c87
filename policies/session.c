/* Keeps the expert that answered the conversation before: it ranks higher by switch_cost, so that
 * another one takes over only when it is better by more; and above all others while a tool call of
 * its own is open. Drops nobody and brings nobody back. */
#include "policies/policy.h"

static const double OVER_ALL = 1.0; /* any margin: nobody comes before */

static double best_rank(const struct policy_candidate *candidates, size_t count)
{
    double best = candidates[0].rank;
    for (size_t i = 1; i < count; i++) {
        best = candidates[i].rank > best ? candidates[i].rank : best;
    }
    return best;
}

static void apply(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (candidates[i].is_known && request->is_tool_open) {
            candidates[i].rank = best_rank(candidates, count) + OVER_ALL;
        } else if (candidates[i].is_known) {
            candidates[i].rank += request->switch_cost;
        }
    }
}

const struct policy policy_session = {
    "session", "ranks the expert that answered the conversation before higher by switch_cost",
    apply};
