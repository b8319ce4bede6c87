/* See hedge.h. */
#include "gateway/hedge.h"

#include "base/container.h"
#include "base/log.h"
#include "gateway/attempt.h"
#include "gateway/exchange.h"
#include "gateway/redaction.h"
#include "gateway/worker.h"
#include "policies/retry_budget.h"

struct hedge { /* in the arena */
    struct loop_timer timer;
    struct exchange *exchange;
    int64_t at_ms;
    struct leg *other; /* in the arena; NULL: one call is at work */
    size_t planned;    /* the plan's `current` of that one */
    bool is_started;   /* or cannot be */
    bool is_asked;     /* there was a second call */
    bool is_second;    /* it is the current one */
    bool is_won;       /* the current one answers */
    bool is_cancelled; /* the client left before */
};

/* ---------------------------------------------------------------- legs */

/* The plan knows the current attempt only. Neither leg waits for a place: no timer of theirs is set, and they
 * may be moved. */
static void exchange_legs(struct exchange *x)
{
    struct hedge *h = x->hedge;
    const struct leg leg = x->leg;
    const size_t planned = x->decision.plan.current;
    x->leg = *h->other;
    x->decision.plan.current = h->planned;
    *h->other = leg;
    h->planned = planned;
    h->is_second = !h->is_second;
}

/* The current leg is over: the other one is all there is. */
static void keep_other(struct exchange *x)
{
    redaction_forget(x);
    exchange_legs(x);
    x->hedge->other = NULL;
}

static void cancel_other(struct exchange *x, bool is_outrun)
{
    exchange_legs(x);
    x->leg.place.is_outrun = is_outrun;
    if (x->leg.call != NULL) {
        call_cancel(x->leg.call);
    }
    attempt_settle(x, CALL_CANCELLED);
    exchange_drop_call(x);
    if (x->leg.has_relay) {
        relay_fini(&x->leg.relay);
    }
    keep_other(x);
}

/* ---------------------------------------------------------------- the second call */

static void on_due(struct loop_timer *timer)
{
    exchange_wake(CONTAINER_OF(timer, struct hedge, timer)->exchange);
}

/* How long the first token is waited for; 0: nobody knows. */
static int64_t wait_ms(const struct exchange *x, const struct plan_hedge *settings)
{
    if (settings->after_ms > 0) {
        return settings->after_ms;
    }
    int64_t p95_us = health_p95_us(x->snapshot->health[x->leg.expert->index]);
    return (p95_us + 999) / 1000;
}

void hedge_arm(struct exchange *x)
{
    const struct plan_hedge *settings = &x->snapshot->conf.routes.policies.hedge;
    struct hedge *h = x->hedge;
    if (settings->max <= 0) {
        return;
    }
    if (h == NULL) {
        retry_budget_earn(x->worker->hedges, settings->max);
        h = arena_alloc(x->arena, sizeof *h);
        x->hedge = h;
        if (h == NULL) {
            return;
        }
        *h = (struct hedge){0};
    }
    if (h->is_started) {
        return;
    }
    loop_timer_cancel(x->worker->loop, &h->timer); /* of an attempt before */
    h->at_ms = 0;
    h->exchange = x;
    h->timer.on_due = on_due;
    int64_t after_ms = wait_ms(x, settings);
    if (after_ms == 0) {
        return;
    }
    h->at_ms = loop_now_ms(x->worker->loop) + after_ms;
    if (loop_timer_set(x->worker->loop, &h->timer, h->at_ms) != ST_OK) {
        h->is_started = true; /* without memory there is no second call */
    }
}

/* Whether the expert has begun to answer; of an event stream, with content. */
static bool has_begun(const struct call *call)
{
    return call->state == CALL_DONE || call->has_content ||
           (!call->is_event_stream && call->first_byte_us != 0);
}

/* Asks the plan's expert as the current leg; the one that was stays as the other. */
static bool ask_second(struct exchange *x, struct leg *first)
{
    struct hedge *h = x->hedge;
    const struct plan_facts facts = failover_facts(x);
    *first = x->leg;
    h->planned = x->decision.plan.current;
    struct plan_step step = plan_beside(&x->decision.plan, &facts);
    if (step.verb != PLAN_TRY) {
        return false;
    }
    x->leg = (struct leg){
        .expert = step.expert,
        .asked_us = clock_now_us(loop_clock(x->worker->loop)),
        .is_repeat = step.is_repeat,
    };
    if (!step_dispatch_beside(x)) {
        redaction_forget(x);
        plan_take_back(&x->decision.plan);
        x->leg = *first;
        x->decision.plan.current = h->planned;
        return false;
    }
    return true;
}

static bool start(struct exchange *x)
{
    struct hedge *h = x->hedge;
    struct worker *w = x->worker;
    h->is_started = true;
    struct leg *first = retry_budget_has(w->hedges, loop_now_ms(w->loop))
                            ? arena_alloc(x->arena, sizeof *first)
                            : NULL;
    if (first == NULL || !ask_second(x, first)) {
        metrics_count_hedge(w->counters, METRICS_HEDGE_NONE);
        return false;
    }
    retry_budget_take(w->hedges);
    h->other = first;
    h->is_asked = true;
    h->is_second = true;
    log_write(LOG_INFO, "hedge", "%s expert %.*s is late: %.*s is asked too", x->id,
              STR_ARG(first->expert->id.name), STR_ARG(x->leg.expert->id.name));
    return true;
}

bool hedge_is_open(const struct exchange *x)
{
    return x->hedge != NULL && x->hedge->other != NULL && !x->hedge->is_won;
}

bool hedge_turn(struct exchange *x)
{
    struct hedge *h = x->hedge;
    if (h == NULL || h->is_won) {
        return false;
    }
    if (h->other != NULL) {
        exchange_legs(x);
        return true;
    }
    bool is_due = !h->is_started && h->at_ms != 0 && loop_now_ms(x->worker->loop) >= h->at_ms;
    return is_due && !has_begun(x->leg.call) && start(x);
}

/* ---------------------------------------------------------------- the end of it */

void hedge_win(struct exchange *x)
{
    if (!hedge_is_open(x)) {
        return;
    }
    x->hedge->is_won = true;
    failover_note_other(x, x->hedge->other->expert, x->hedge->other->asked_us, "hedged");
}

void hedge_settle(struct exchange *x)
{
    if (x->hedge->other != NULL && x->hedge->is_won) {
        cancel_other(x, true);
    }
}

void hedge_take_over(struct exchange *x)
{
    keep_other(x);
}

void hedge_forget(struct exchange *x)
{
    struct hedge *h = x->hedge;
    if (h == NULL) {
        return;
    }
    loop_timer_cancel(x->worker->loop, &h->timer);
    h->is_started = true;
    if (h->other != NULL) {
        h->is_cancelled = !h->is_won;
        cancel_other(x, h->is_won);
    }
}

void hedge_count(const struct exchange *x)
{
    const struct hedge *h = x->hedge;
    if (h != NULL && h->is_asked) {
        metrics_count_hedge(x->worker->counters, h->is_cancelled ? METRICS_HEDGE_CANCELLED
                                                 : h->is_second  ? METRICS_HEDGE_WON
                                                                 : METRICS_HEDGE_LOST);
    }
}

const char *hedge_text(const struct exchange *x)
{
    const struct hedge *h = x->hedge;
    if (h == NULL || !h->is_asked) {
        return NULL;
    }
    return h->is_cancelled ? "cancelled" : h->is_second ? "won" : "lost";
}
