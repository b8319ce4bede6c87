/* Deciding again: noted signals and a configuration -> the decision that it makes of them. */
#pragma once

#include "gateway/snapshot.h"
#include "router/decide.h"
#include "router/signals.h"

/* As decide(): the tenant's permit is that of this configuration; ST_NOT_FOUND: it has no such model.
 * The decision borrows from the signals, the snapshot and the arena. */
MUST_CHECK enum status replay_decide(const struct snapshot *s, const struct signals *signals,
                                     struct decide_scratch *scratch, struct arena *arena,
                                     struct decision *ret_decision);
