/* EX_DISPATCH: the next attempt of the plan becomes a call. */
#include "backends/kernel_pool.h"
#include "backends/managed.h"
#include "backends/transport.h"
#include "base/log.h"
#include "gateway/attempt.h"
#include "gateway/editing.h"
#include "gateway/exchange.h"
#include "gateway/hedge.h"
#include "gateway/redaction.h"
#include "gateway/worker.h"

/* A time of an attempt, within what is left of the exchange's. */
static int64_t at_most(int64_t ms, int64_t left_ms)
{
    left_ms = left_ms > 0 ? left_ms : 1; /* 0 would be for ever */
    return ms > 0 && ms < left_ms ? ms : left_ms;
}

enum {
    FORWARDED_MAX_BYTES = 4000 /* a longer value is not passed on */
};

/* The client's headers that the expert may have; http_guard has seen that no value has control
 * characters. One that stands twice is nobody's: peers differ in which they take. */
static enum status forward_headers(const struct exchange *x, struct str *ret_lines)
{
    const struct key_texts *names = &x->leg.expert->forward_headers;
    struct str lines = STR("");
    for (size_t i = 0; x->http != NULL && i < names->count; i++) {
        struct str value = http_request_header(x->http, names->items[i]);
        if (value.len == 0 || value.len > FORWARDED_MAX_BYTES ||
            http_request_repeats(x->http, names->items[i])) {
            continue;
        }
        lines = arena_printf(x->arena, "%.*s%.*s: %.*s\r\n", STR_ARG(lines),
                             STR_ARG(names->items[i]), STR_ARG(value));
        if (lines.ptr == NULL) {
            return ST_NO_MEMORY;
        }
    }
    *ret_lines = lines;
    return ST_OK;
}

static enum status start_call(struct exchange *x, struct str body)
{
    const struct expert *e = x->leg.expert;
    const struct failover *f = &x->failover;
    struct call_request request = {.expert = e,
                                   .body = body,
                                   .is_stream = x->chat.is_stream,
                                   .is_embedding = prompt_is_embedding(&x->chat.prompt),
                                   .is_fresh = x->leg.is_repeat,
                                   .due_ms = f->deadline_ms,
                                   .first_due_ms = f->first_ms,
                                   .wake = exchange_wake,
                                   .owner = x};
    enum status st = forward_headers(x, &request.headers);
    if (st != ST_OK) {
        return st;
    }
    if (e->managed != NULL) {
        return managed_call(x->worker->transport, x->worker->loop, &request, &x->leg.call);
    }
    if (e->kernel == NULL) {
        return transport_call(x->worker->transport, &request, &x->leg.call);
    }
    int64_t now_ms = loop_now_ms(x->worker->loop);
    struct kernel_call_options options = {
        e->kernel,
        e->id.name,
        at_most(e->deadlines.first_token_ms, f->first_ms - now_ms),
        e->deadlines.idle_ms,
        at_most(e->deadlines.total_ms, f->deadline_ms - now_ms),
        e->reply_bytes};
    return kernel_pool_call(x->worker->kernels, x->worker->loop, &request, &options, &x->leg.call);
}

/* The next expert of the plan after one that could not be asked, or `otherwise`. */
static enum step_result go_on(struct exchange *x, const struct plan_outcome *outcome,
                              const char *word, enum problem otherwise, struct str message)
{
    expert_queue_drop(x);
    if (!failover_next(x, outcome, word)) {
        return exchange_refuse(x, otherwise, message, STR(""));
    }
    exchange_go(x, EX_DISPATCH);
    return STEP_MORE;
}

/* Others have reserved since the decision. */
static enum step_result refuse_budget(struct exchange *x, const struct budget *b)
{
    int64_t now_s = clock_wall_s();
    int64_t end_s = budget_window((enum budget_per)b->per, now_s).end_s;
    char until[CLOCK_TEXT_SIZE] = "";
    if (end_s != INT64_MAX) {
        x->retry_after_s = end_s - now_s;
        clock_text(end_s * 1000, until);
    }
    struct str message = arena_printf(
        x->arena, "Budget \"%.*s\" (%.2f USD per %s) cannot pay this request%s%s.",
        STR_ARG(b->name), (double)b->usd / 1e9, budget_per_text((enum budget_per)b->per),
        until[0] == '\0' ? "" : "; it begins anew at ", until);
    const struct plan_outcome outcome = {CALL_OK, 429, REPLY_ERROR_QUOTA, false, -1};
    return go_on(x, &outcome, "budget", PROBLEM_QUOTA, message);
}

/* The guarantees once more, by the same predicate, whatever made the plan: none that holds lets a
 * prompt go to an expert that it forbids. Firing is a mistake of ours. */
static bool is_barred(const struct exchange *x)
{
    const struct guarantee *bar =
        guarantees_bar(&x->snapshot->conf.routes, &x->decision.kinds, x->leg.expert);
    if (bar == NULL) {
        return false;
    }
    metrics_count_breach(x->worker->metrics);
    log_write(LOG_ERROR, "guarantee", "\"%.*s\" forbids expert \"%.*s\", which a plan had: refused",
              STR_ARG(bar->name), STR_ARG(x->leg.expert->id.name));
    return true;
}

/* The expert is shut, or has no place for this attempt. */
static enum step_result refuse_place(struct exchange *x, enum health_entry entry)
{
    static const struct {
        const char *word;
        enum problem problem;
    } rows[] = {
        [HEALTH_SHUT] = {"breaker_open", PROBLEM_UNAVAILABLE},
        [HEALTH_FULL] = {"queue_full", PROBLEM_QUEUE_FULL},
        [HEALTH_LATE] = {"queue_timeout", PROBLEM_QUEUE_LATE},
    };

    /* As a budget: others may have a place, it has none soon. */
    const struct plan_outcome outcome = {CALL_OK, 429, REPLY_ERROR_QUOTA, false, -1};
    x->retry_after_s = expert_queue_retry_s(x);
    return go_on(x, &outcome, rows[entry].word, rows[entry].problem, STR(""));
}

/* The prompt as x->leg.expert gets it, the money for it, and the call. ST_INVALID: what is private in it
 * could not be told; ST_TOO_BIG: *ret_budget cannot pay, or where it is NULL, a queue is full;
 * ST_NO_MEMORY. */
static enum status ask(struct exchange *x, const struct budget **ret_budget)
{
    x->attempts++;
    x->leg.asks_usage = x->chat.is_stream && !x->chat.wants_usage;
    struct str body =
        chat_request_rewrite(&x->chat, x->leg.expert->model, x->leg.asks_usage, x->arena);
    enum status st = body.ptr == NULL ? ST_NO_MEMORY : redaction_apply(x, &body);
    if (st == ST_TOO_BIG || st == ST_INVALID) {
        return ST_INVALID;
    }
    if (st == ST_OK && !prompt_is_embedding(&x->chat.prompt)) {
        struct editing of = exchange_editing(x);
        st = editing_apply(&of, x->leg.expert, &body, &x->leg.edited);
    }
    if (st == ST_OK) {
        st = attempt_open(x, ret_budget);
    }
    if (*ret_budget != NULL) {
        x->attempts--;
        return st;
    }
    if (st == ST_OK) {
        st = start_call(x, body);
    }
    if (st == ST_OK) {
        redaction_log(x, body);
    }
    return st;
}

bool step_dispatch_beside(struct exchange *x)
{
    const struct budget *budget = NULL;
    size_t attempts = x->attempts;
    x->leg.place.is_hasty = true;
    bool is_in = !is_barred(x) && expert_queue_enter(x) == HEALTH_IN;
    x->leg.place.is_hasty = false; /* who takes over from it may wait */
    if (!is_in) {
        return false;
    }
    if (ask(x, &budget) == ST_OK) {
        return true;
    }
    if (x->leg.attempt == NULL) { /* it is none */
        x->attempts = attempts;
    }
    attempt_settle(x, CALL_NO_MEMORY);
    expert_queue_drop(x);
    return false;
}

enum step_result step_dispatch(struct exchange *x)
{
    if (!expert_queue_is_pending(x) && failover_must_wait(x)) {
        return STEP_WAIT; /* its timer wakes, before the exchange's deadline */
    }
    if (is_barred(x)) {
        return exchange_refuse(x, PROBLEM_INTERNAL,
                               STR("A guarantee forbids the expert that was chosen."), STR(""));
    }
    enum health_entry entry = expert_queue_enter(x);
    if (entry != HEALTH_IN) {
        return entry == HEALTH_QUEUED ? STEP_WAIT : refuse_place(x, entry);
    }
    const struct budget *budget = NULL;
    enum status st = ask(x, &budget);
    if (st == ST_INVALID) {
        return exchange_refuse(x, PROBLEM_PRIVACY, STR(""),
                               prompt_is_embedding(&x->chat.prompt) ? STR("input")
                                                                    : STR("messages"));
    }
    if (budget != NULL) {
        return refuse_budget(x, budget);
    }
    if (x->dispatched_us == 0) {
        x->dispatched_us = clock_now_us(loop_clock(x->worker->loop));
    }
    if (st == ST_OK) {
        hedge_arm(x);
        exchange_go(x, EX_RELAY);
        return STEP_MORE;
    }
    const struct plan_outcome full = {CALL_OK, 503, REPLY_ERROR_OTHER, false, -1};
    attempt_settle(x, CALL_NO_MEMORY);
    x->retry_after_s = 1;
    if (x->leg.expert->managed != NULL) {
        x->retry_after_s += managed_wait_ms(x->leg.expert->managed) / 1000;
    }
    return st == ST_TOO_BIG ? go_on(x, &full, "queue_full", PROBLEM_QUEUE_FULL, STR(""))
                            : exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
}
