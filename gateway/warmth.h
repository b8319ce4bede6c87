/* What processes that are not loaded mean for a decision: facts for its candidates, and the category's
 * rule for a cold best one (policies/warm.h). */
#pragma once

#include <stdbool.h>

struct exchange;

/* After decide: fills wait_ms of the candidates, lets the one that answers come first, and starts the
 * load of the best one, and of what is likely next (prefetch.h). False: refuse, x->retry_after_s says when it is loaded. Nothing is done, nor
 * looked at, without managed experts. */
bool warmth_apply(struct exchange *x);
