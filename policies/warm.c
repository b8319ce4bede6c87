/* See warm.h. */
#include "policies/warm.h"

const char *const warm_words[] = {"wait", "runner_up", "503", NULL};

int warm_choose(enum warm_rule rule, double margin, const struct policy_candidate *candidates,
                size_t count)
{
    if (rule == WARM_WAIT || candidates[0].wait_ms == 0) {
        return 0;
    }
    if (rule == WARM_REFUSE) {
        return WARM_NOBODY;
    }
    for (size_t i = 1; i < count && candidates[0].rank - candidates[i].rank < margin; i++) {
        if (candidates[i].wait_ms == 0) {
            return (int)i;
        }
    }
    return 0;
}
