/* See plan.h. */
#include "router/plan.h"

enum status plan_init(struct plan *plan, struct arena *arena, size_t count, size_t attempts_max)
{
    *plan = (struct plan){.count = count, .attempts_max = attempts_max};
    plan->experts = arena_alloc(arena, (count + 1) * sizeof(*plan->experts));
    return plan->experts == NULL ? ST_NO_MEMORY : ST_OK;
}

static const struct expert *take(struct plan *plan)
{
    if (plan->next >= plan->count || plan->attempts >= plan->attempts_max) {
        return NULL;
    }
    plan->attempts++;
    return plan->experts[plan->next++];
}

const struct expert *plan_first(struct plan *plan)
{
    plan->next = 0;
    plan->attempts = 0;
    return take(plan);
}

bool plan_is_retryable(const struct plan_outcome *outcome)
{
    if (outcome->is_committed) {
        return false;
    }
    switch (outcome->outcome) {
    case CALL_OK:
        return outcome->http_status == 408 || outcome->http_status == 429 ||
               outcome->http_status >= 500;
    case CALL_CONNECT_FAILED:
    case CALL_CONNECT_TIMEOUT:
    case CALL_FIRST_TOKEN_TIMEOUT:
    case CALL_IDLE_TIMEOUT:
    case CALL_CUT:
    case CALL_BAD_REPLY:
    case CALL_TOO_BIG:
        return true;
    case CALL_TOTAL_TIMEOUT: /* the client has waited long enough */
    case CALL_NO_MEMORY:
    case CALL_CANCELLED:
        return false;
    }
    return false;
}

const struct expert *plan_next(struct plan *plan, const struct plan_outcome *outcome)
{
    return plan_is_retryable(outcome) ? take(plan) : NULL;
}
