/* Deciding again: noted signals and a configuration -> the decision that it makes of them. */
#pragma once

#include "gateway/budgets.h"
#include "gateway/snapshot.h"
#include "router/decide.h"
#include "router/signals.h"

struct replay { /* how to decide again */
    const struct snapshot *snapshot;
    const struct key_array *budgets; /* what they have left counts; NULL: what was noted does */
    int64_t now_s;                   /* for the budgets */
};

/* As decide(), and what the gateway does about experts that are not loaded: the tenant's permit is that
 * of this configuration; ST_NOT_FOUND: it has no such model. The decision borrows from the signals, the
 * snapshot and the arena. */
MUST_CHECK enum status replay_decide(const struct replay *how, const struct signals *signals,
                                     struct decide_scratch *scratch, struct arena *arena,
                                     struct decision *ret_decision);

/* Whose request it was, by the names of this configuration; "" where it has them not. */
struct budget_who replay_who(const struct snapshot *s, const struct signals *signals);
