/* EX_ACCOUNT: tokens, cost, counters; exactly once per exchange, refused ones too. What the expert
 * reports wins; where it reports nothing, an answer's tokens are estimated and marked so. */
#include "gateway/exchange.h"
#include "gateway/sessions.h"
#include "gateway/worker.h"

static void estimate_usage(struct exchange *x)
{
    bool is_answer = x->http_status >= 200 && x->http_status < 300;
    if (x->usage.is_reported || !is_answer || x->attempts == 0) {
        return;
    }
    x->is_usage_estimated = true;
    x->usage.prompt_tokens = prompt_tokens_estimate(&x->chat.prompt);
    x->usage.completion_tokens = x->has_relay ? (int64_t)x->relay.events : 0;
}

/* Who answered is asked first next time. */
static void remember(struct exchange *x)
{
    bool is_answer = x->outcome == METRICS_OK && x->expert != NULL && x->attempts > 0;
    if (is_answer && x->decision.session != DECIDE_SESSION_NONE) {
        sessions_put(x->worker->sessions, x->session, sessions_name(x->expert->id.name),
                     loop_now_ms(x->worker->loop) / 1000);
    }
}

enum step_result step_account(struct exchange *x)
{
    struct worker *w = x->worker;
    const struct snapshot *s = x->snapshot;
    if (x->has_relay) {
        x->usage = x->relay.usage;
    }
    estimate_usage(x);
    remember(x);
    struct metrics_event event = {
        .outcome = x->outcome,
        .category_slot = x->decision.category == NULL
                             ? METRICS_SLOT_NONE
                             : s->category_slots[x->decision.category->index],
        .expert_slot = x->expert == NULL ? METRICS_SLOT_NONE : s->expert_slots[x->expert->index],
        .language_slot = x->decision.language.code.len == 0
                             ? METRICS_SLOT_NONE
                             : s->language_slots[x->decision.language.index],
        .prompt_tokens = x->usage.prompt_tokens,
        .completion_tokens = x->usage.completion_tokens,
    };
    if (x->expert != NULL) {
        x->cost_nano_usd = expert_cost_nano_usd(x->expert, x->usage.prompt_tokens,
                                                x->usage.cached_tokens, x->usage.completion_tokens);
        event.cost_nano_usd = x->cost_nano_usd;
    }
    metrics_count(w->counters, &event);
    metrics_observe(w->counters, METRICS_DURATION, x->ended_us - x->started_us);
    if (x->dispatched_us != 0) {
        metrics_observe(w->counters, METRICS_OVERHEAD, x->dispatched_us - x->received_us);
    }
    if (x->first_byte_us != 0) {
        metrics_observe(w->counters, METRICS_TTFT, x->first_byte_us - x->started_us);
    }
    exchange_go(x, EX_LOG);
    return STEP_MORE;
}
