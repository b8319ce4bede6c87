/* See plan.h. */
#include "router/plan.h"

#include "backends/expert.h"

enum {
    NO_ENTRY = -1,
    DOUBLINGS_MAX = 20,
};

enum status plan_init(struct plan *plan, struct arena *arena, size_t count,
                      const struct plan_settings *settings)
{
    *plan = (struct plan){
        .count = count, .attempts_max = (size_t)settings->attempts, .settings = settings};
    plan->entries = arena_alloc(arena, (count + 1) * sizeof *plan->entries);
    plan->experts = arena_alloc(arena, (count + 1) * sizeof(*plan->experts));
    return plan->entries == NULL || plan->experts == NULL ? ST_NO_MEMORY : ST_OK;
}

static struct plan_step stop(const char *why)
{
    return (struct plan_step){.verb = PLAN_STOP, .why = why};
}

static enum plan_cause cause_of_status(const struct plan_outcome *outcome)
{
    int status = outcome->http_status;
    if (outcome->error == REPLY_ERROR_FILTER) {
        return PLAN_FINAL;
    }
    if (outcome->error == REPLY_ERROR_CONTEXT) {
        return PLAN_CONTEXT;
    }
    if (status == 429) {
        return outcome->error == REPLY_ERROR_QUOTA ? PLAN_QUOTA : PLAN_RATE_LIMIT;
    }
    if (status == 408) {
        return PLAN_TIMEOUT;
    }
    return status >= 500 ? PLAN_SERVER_ERROR : PLAN_FINAL;
}

enum plan_cause plan_cause_of(const struct plan_outcome *outcome)
{
    if (outcome->is_committed) {
        return PLAN_FINAL;
    }
    switch (outcome->outcome) {
    case CALL_OK:
        return cause_of_status(outcome);
    case CALL_CONNECT_FAILED:
    case CALL_CONNECT_TIMEOUT:
    case CALL_NOT_READY:
        return PLAN_CONNECT;
    case CALL_FIRST_TOKEN_TIMEOUT:
    case CALL_IDLE_TIMEOUT:
    case CALL_TOTAL_TIMEOUT:
        return PLAN_TIMEOUT;
    case CALL_CUT:
        return PLAN_CUT;
    case CALL_BAD_REPLY:
    case CALL_TOO_BIG:
        return PLAN_BAD_REPLY;
    case CALL_NO_MEMORY: /* ours: another attempt would need more of it */
    case CALL_CANCELLED:
        return PLAN_FINAL;
    }
    return PLAN_FINAL;
}

static bool fits(const struct plan *plan, size_t i)
{
    return plan->experts[i]->context_tokens > plan->context_floor;
}

static struct plan_step take(struct plan *plan, size_t i, const struct plan_facts *facts)
{
    struct plan_entry *entry = &plan->entries[i];
    struct plan_step step = {.verb = PLAN_TRY,
                             .expert = plan->experts[i],
                             .at_ms = facts->now_ms,
                             .is_repeat = entry->tries > 0};
    if (step.is_repeat && entry->ready_ms > facts->now_ms) {
        step.verb = PLAN_WAIT;
        step.at_ms = entry->ready_ms;
    }
    plan->repeats += step.is_repeat;
    plan->attempts++;
    plan->current = i;
    entry->tries++;
    return step;
}

/* The first expert that was not asked yet and may be. What may_try says of others stays in *why. */
static int find_new(const struct plan *plan, const struct plan_facts *facts, const char **why)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->entries[i].tries == 0 && fits(plan, i) &&
            (facts->may_try == NULL || facts->may_try(facts->ctx, plan->experts[i], why))) {
            return (int)i;
        }
    }
    return NO_ENTRY;
}

/* Of those that may be asked again the one that is ready first. */
static int find_again(const struct plan *plan, const struct plan_facts *facts, const char **why)
{
    int best = NO_ENTRY;
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        if (entry->tries == 0 || entry->is_out || !fits(plan, i)) {
            continue;
        }
        if (!facts->may_repeat) {
            *why = "retry_budget";
        } else if (entry->ready_ms >= facts->deadline_ms) {
            *why = "deadline";
        } else if ((best == NO_ENTRY || entry->ready_ms < plan->entries[best].ready_ms) &&
                   (facts->may_try == NULL || facts->may_try(facts->ctx, plan->experts[i], why))) {
            best = (int)i;
        }
    }
    return best;
}

/* splitmix64 */
static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

/* A random part of backoff_ms, doubled with each repetition. */
static int64_t backoff_ms(const struct plan *plan, uint64_t seed)
{
    const struct plan_settings *s = plan->settings;
    int64_t most = s->backoff_ms << (plan->repeats < DOUBLINGS_MAX ? plan->repeats : DOUBLINGS_MAX);
    most = most < s->backoff_max_ms ? most : s->backoff_max_ms;
    return (int64_t)(mix(seed ^ plan->attempts) % (uint64_t)(most + 1));
}

/* When, if ever, the expert that failed may be asked again. */
static void mark(struct plan *plan, enum plan_cause cause, const struct plan_outcome *outcome,
                 const struct plan_facts *facts)
{
    const struct plan_settings *s = plan->settings;
    struct plan_entry *entry = &plan->entries[plan->current];
    int64_t after_ms = outcome->retry_after_s < 0 ? 0 : outcome->retry_after_s * 1000;
    bool is_worth_it = (s->retry_on & (1U << cause)) != 0 && after_ms <= s->retry_after_max_ms;
    entry->is_out = !is_worth_it || entry->tries > (size_t)s->retries;
    entry->ready_ms = facts->now_ms + after_ms + backoff_ms(plan, facts->seed);
    if (cause == PLAN_CONTEXT) {
        int64_t had = plan->experts[plan->current]->context_tokens;
        plan->context_floor = had > plan->context_floor ? had : plan->context_floor;
    }
}

struct plan_step plan_first(struct plan *plan, const struct plan_facts *facts)
{
    const char *why = "nobody";
    plan->attempts = 0;
    plan->repeats = 0;
    plan->current = 0;
    plan->context_floor = -1;
    for (size_t i = 0; i < plan->count; i++) {
        plan->entries[i] = (struct plan_entry){0};
    }
    int i = find_new(plan, facts, &why);
    return i == NO_ENTRY ? stop(why) : take(plan, (size_t)i, facts);
}

struct plan_step plan_next(struct plan *plan, const struct plan_outcome *outcome,
                           const struct plan_facts *facts)
{
    const char *why = "nobody_else";
    enum plan_cause cause = plan_cause_of(outcome);
    if (cause == PLAN_FINAL) {
        return stop("final");
    }
    if (plan->attempts >= plan->attempts_max) {
        return stop("attempts");
    }
    if (facts->now_ms >= facts->deadline_ms) {
        return stop("deadline");
    }
    mark(plan, cause, outcome, facts);
    bool is_same_first = plan->settings->retry_first && outcome->retry_after_s <= 0;
    int i = is_same_first ? find_again(plan, facts, &why) : NO_ENTRY;
    i = i == NO_ENTRY ? find_new(plan, facts, &why) : i;
    i = i == NO_ENTRY ? find_again(plan, facts, &why) : i;
    return i == NO_ENTRY ? stop(why) : take(plan, (size_t)i, facts);
}

struct plan_step plan_beside(struct plan *plan, const struct plan_facts *facts)
{
    const char *why = "nobody_else";
    if (plan->attempts >= plan->attempts_max) {
        return stop("attempts");
    }
    int i = find_new(plan, facts, &why);
    const struct expert *same = plan->experts[plan->current];
    bool is_elsewhere = same->kernel == NULL && same->managed == NULL;
    if (i == NO_ENTRY && is_elsewhere &&
        (facts->may_try == NULL || facts->may_try(facts->ctx, same, &why))) {
        i = (int)plan->current;
    }
    return i == NO_ENTRY ? stop(why) : take(plan, (size_t)i, facts);
}

void plan_take_back(struct plan *plan)
{
    struct plan_entry *entry = &plan->entries[plan->current];
    entry->tries--;
    plan->attempts--;
    plan->repeats -= entry->tries > 0;
}

void plan_lose(struct plan *plan, const struct plan_outcome *outcome,
               const struct plan_facts *facts)
{
    mark(plan, plan_cause_of(outcome), outcome, facts);
}
