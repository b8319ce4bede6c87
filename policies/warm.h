/* Who answers when the best expert's process is not loaded: it, after a wait; the runner-up that is, if
 * it is nearly as good; or nobody. Pure, over candidates in order of rank. */
#pragma once

#include <stddef.h>

#include "policies/policy.h"

enum warm_rule {
    WARM_WAIT,
    WARM_RUNNER_UP, /* a loaded one whose rank is less than `margin` behind */
    WARM_REFUSE,
};

/* Words of the rules for the configuration: "wait", "runner_up", "503", NULL. */
extern const char *const warm_words[];

enum {
    WARM_NOBODY = -1,
};

/* Index of the one that answers among the first `count` candidates, which are in and ordered; count is
 * at least 1. */
int warm_choose(enum warm_rule rule, double margin, const struct policy_candidate *candidates,
                size_t count);
