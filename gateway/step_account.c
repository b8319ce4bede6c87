/* EX_ACCOUNT: counters, exactly once per exchange, refused ones too. What it cost was settled attempt by
 * attempt (attempt.c). */
#include "gateway/exchange.h"
#include "gateway/hedge.h"
#include "gateway/lookup.h"
#include "gateway/receipt.h"
#include "gateway/sessions.h"
#include "gateway/worker.h"

enum {
    SERVICE_SPAN = 16, /* requests that the average time of one spans, about */
};

/* Who answered is asked first next time. */
static void remember(struct exchange *x)
{
    bool is_asked = x->attempts > 0 || lookup_has_answer(x);
    bool is_answer = x->outcome == METRICS_OK && x->leg.expert != NULL && is_asked;
    if (is_answer && x->decision.session != DECIDE_SESSION_NONE) {
        sessions_put(x->worker->sessions, x->session, sessions_name(x->leg.expert->id.name),
                     loop_now_ms(x->worker->loop) / 1000);
    }
}

/* Settles with the tenant what step_admit.c took. An attempt whose usage nobody told has had the prompt
 * at least. */
static void settle(struct exchange *x)
{
    if (x->tenant == NULL) {
        return;
    }
    struct quota *q = x->tenant->quota;
    quota_count(q, x->outcome, x->leg.usage.prompt_tokens, x->leg.usage.completion_tokens);
    if (!x->admission.is_allowed) {
        return;
    }
    int64_t used = x->leg.usage.prompt_tokens + x->leg.usage.completion_tokens;
    bool is_told = x->leg.usage.is_reported || x->leg.is_usage_estimated;
    if (x->attempts > 0 && !is_told && x->outcome == METRICS_CANCELLED) {
        used = prompt_tokens_estimate(&x->chat.prompt);
    }
    quota_release(q, &x->tenant->rate, clock_now_us(loop_clock(x->worker->loop)),
                  x->reserved_tokens, used);
}

enum step_result step_account(struct exchange *x)
{
    struct worker *w = x->worker;
    const struct snapshot *s = x->snapshot;
    receipt_send(x); /* of a client that left; others have theirs */
    remember(x);
    settle(x);
    hedge_count(x);
    struct metrics_event event = {
        .outcome = x->outcome,
        .fault = exchange_fault(x),
        .category_slot = x->decision.category == NULL
                             ? METRICS_SLOT_NONE
                             : s->category_slots[x->decision.category->index],
        .expert_slot =
            x->leg.expert == NULL ? METRICS_SLOT_NONE : s->expert_slots[x->leg.expert->index],
        .language_slot = x->decision.language.code.len == 0
                             ? METRICS_SLOT_NONE
                             : s->language_slots[x->decision.language.index],
    };
    metrics_count(w->counters, &event);
    metrics_observe(w->counters, METRICS_DURATION, x->ended_us - x->started_us);
    if (s->conf.server.limits.overload.exchanges > 0 && x->problem != PROBLEM_OVERLOADED) {
        w->service_us += (x->ended_us - x->started_us - w->service_us) / SERVICE_SPAN;
    }
    if (x->dispatched_us != 0) {
        metrics_observe(w->counters, METRICS_OVERHEAD, x->dispatched_us - x->received_us);
    }
    if (x->leg.first_byte_us != 0) {
        metrics_observe(w->counters, METRICS_TTFT, x->leg.first_byte_us - x->started_us);
    }
    exchange_go(x, EX_LOG);
    return STEP_MORE;
}
