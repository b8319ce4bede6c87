/* EX_RELAY: what the call brings goes to the client. Documents are wanted whole and go out as they
 * came; event streams go out event by event. A failure before the first byte of the answer went out
 * goes back to EX_DISPATCH with the next expert of the plan; after that the client is told in the
 * stream. */
#include <inttypes.h>

#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/worker.h"

/* ---------------------------------------------------------------- failures */

static enum problem problem_of(enum call_outcome outcome)
{
    switch (outcome) {
    case CALL_CONNECT_FAILED:
        return PROBLEM_EXPERT_CONNECT;
    case CALL_CONNECT_TIMEOUT:
    case CALL_FIRST_TOKEN_TIMEOUT:
    case CALL_IDLE_TIMEOUT:
    case CALL_TOTAL_TIMEOUT:
        return PROBLEM_EXPERT_TIMEOUT;
    case CALL_CUT:
        return PROBLEM_EXPERT_CUT;
    case CALL_TOO_BIG:
        return PROBLEM_EXPERT_TOO_BIG;
    case CALL_NO_MEMORY:
        return PROBLEM_NO_MEMORY;
    case CALL_OK: /* a reply that is no answer */
    case CALL_BAD_REPLY:
    case CALL_CANCELLED:
        return PROBLEM_EXPERT_BAD_REPLY;
    }
    return PROBLEM_INTERNAL;
}

static struct str sentence(struct exchange *x, enum problem problem)
{
    return arena_printf(x->arena, "%s (expert %.*s, attempt %zu)", problem_message(problem),
                        STR_ARG(x->expert->id.name), x->attempts);
}

/* The next expert of the plan, or NULL: then this outcome is the answer. */
static bool try_next(struct exchange *x, enum call_outcome outcome, int http_status)
{
    struct plan_outcome what = {outcome, http_status, x->is_replied};
    const struct expert *next = plan_next(&x->decision.plan, &what);
    if (next == NULL) {
        return false;
    }
    log_write(LOG_INFO, "relay", "%s expert %.*s: %s, status %d; next: %.*s", x->id,
              STR_ARG(x->expert->id.name), call_outcome_text(outcome), http_status,
              STR_ARG(next->id.name));
    exchange_drop_call(x);
    if (x->has_relay) {
        relay_fini(&x->relay);
        x->has_relay = false;
        x->is_stream = false;
    }
    x->expert = next;
    exchange_go(x, EX_DISPATCH);
    return true;
}

static enum step_result fail(struct exchange *x, enum call_outcome outcome)
{
    if (try_next(x, outcome, x->call->http_status)) {
        return STEP_MORE;
    }
    enum problem problem = problem_of(outcome);
    x->reason = call_outcome_text(outcome);
    return exchange_refuse(x, problem, sentence(x, problem), STR(""));
}

/* ---------------------------------------------------------------- documents */

static enum step_result pass_document(struct exchange *x)
{
    struct call *call = x->call;
    struct http_reply reply = {.status = call->http_status, .body = buf_str(&call->in)};
    x->cost_nano_usd = expert_cost_nano_usd(x->expert, x->usage.prompt_tokens,
                                            x->usage.cached_tokens, x->usage.completion_tokens);
    exchange_add_headers(x, &reply, call->content_type.len > 0 ? call->content_type.ptr : NULL);
    if (call->retry_after_s >= 0) {
        struct str seconds = arena_printf(x->arena, "%" PRId64, call->retry_after_s);
        exchange_add_header(&reply, "Retry-After", seconds.ptr);
    }
    x->http_status = reply.status;
    x->is_replied = true;
    http_reply(x->http, &reply);
    if (call->http_status >= 400) {
        x->outcome = METRICS_EXPERT_ERROR;
        x->reason = "the expert answered with an error";
    }
    exchange_go(x, EX_FINISH);
    return STEP_MORE;
}

static enum step_result answer_document(struct exchange *x)
{
    struct call *call = x->call;
    bool is_usage_only = false;
    if (call->outcome != CALL_OK) {
        return fail(x, call->outcome);
    }
    int status = call->http_status;
    if (status >= 300 && try_next(x, CALL_OK, status)) {
        return STEP_MORE;
    }
    if (status == 401 || status == 403) { /* about the gateway's key, not the client's */
        return exchange_refuse(x, PROBLEM_EXPERT_AUTH, sentence(x, PROBLEM_EXPERT_AUTH), STR(""));
    }
    bool is_json = usage_read(buf_str(&call->in), &x->usage, &is_usage_only) == ST_OK;
    if (!is_json || (status >= 300 && status < 400)) {
        return fail(x, CALL_BAD_REPLY);
    }
    return pass_document(x);
}

/* ---------------------------------------------------------------- streams */

static enum status write_stream(void *ctx, struct str bytes)
{
    struct exchange *x = ctx;
    if (!x->is_replied) {
        struct http_reply reply = {.status = 200};
        x->is_replied = true;
        x->http_status = 200;
        exchange_add_headers(x, &reply, x->call->content_type.ptr);
        exchange_add_header(&reply, "Cache-Control", "no-cache");
        exchange_add_header(&reply, "X-Accel-Buffering", "no");
        http_stream_start(x->http, &reply);
    }
    return http_stream_write(x->http, bytes);
}

/* Figures known only now, as a comment that event parsers skip; for clients that ask for it. */
static void write_trailer(struct exchange *x)
{
    if (!str_eq(http_request_header(x->http, STR("x-expertd-trailer")), STR("1"))) {
        return;
    }
    const struct usage *usage = &x->relay.usage;
    int64_t nano_usd = expert_cost_nano_usd(x->expert, usage->prompt_tokens, usage->cached_tokens,
                                            usage->completion_tokens);
    struct str line = arena_printf(
        x->arena,
        ": x-expertd-cost-usd=%.9f x-expertd-prompt-tokens=%" PRId64
        " x-expertd-completion-tokens=%" PRId64 " x-expertd-attempts=%zu\n\n",
        (double)nano_usd / 1e9, usage->prompt_tokens, usage->completion_tokens, x->attempts);
    if (line.ptr != NULL) {
        (void)write_stream(x, line); /* short of memory there is no comment */
    }
}

/* The client is told that what it has is not the whole answer: an error event, no [DONE], and a body
 * without its last chunk. */
static void break_stream(struct exchange *x, enum problem problem)
{
    struct buf text;
    buf_init(&text, 4096);
    if (buf_append(&text, STR("data: ")) == ST_OK &&
        problem_write(&text, problem, sentence(x, problem), STR("")) == ST_OK &&
        buf_append(&text, STR("\n\n")) == ST_OK) {
        (void)write_stream(x, buf_str(&text)); /* short of memory the broken body must do */
    }
    buf_fini(&text);
    http_stream_break(x->http);
}

static enum step_result end_stream(struct exchange *x)
{
    struct call *call = x->call;
    x->usage = x->relay.usage;
    if (call->outcome == CALL_OK && (x->relay.saw_done || x->relay.saw_error)) {
        if (x->relay.saw_error) {
            x->outcome = METRICS_EXPERT_ERROR;
            x->reason = "the expert ended its stream with an error";
        }
        write_trailer(x);
        http_stream_end(x->http);
        exchange_go(x, EX_FINISH);
        return STEP_MORE;
    }
    enum call_outcome outcome = call->outcome == CALL_OK ? CALL_CUT : call->outcome;
    if (!x->is_replied) {
        return fail(x, outcome);
    }
    break_stream(x, problem_of(outcome));
    x->outcome = METRICS_TRUNCATED;
    x->reason = call_outcome_text(outcome);
    exchange_go(x, EX_FINISH);
    return STEP_MORE;
}

static enum step_result relay_stream(struct exchange *x)
{
    struct call *call = x->call;
    size_t consumed = 0;
    if (!x->has_relay) {
        relay_init(&x->relay, x->asks_usage);
        x->has_relay = true;
        x->is_stream = true;
    }
    if (http_stream_pending(x->http) > HTTP_STREAM_HIGH_BYTES) {
        return STEP_WAIT; /* on_writable wakes; the server's idle deadline at the latest */
    }
    enum status st = relay_run(&x->relay, buf_str(&call->in), write_stream, x, &consumed);
    if (st == ST_OK) {
        call_consume(call, consumed);
    }
    if (st == ST_OK && call->state != CALL_DONE) {
        return STEP_WAIT; /* the call wakes, its deadlines at the latest */
    }
    if (st == ST_OK) {
        st = relay_end(&x->relay, buf_str(&call->in), write_stream, x);
    }
    if (st != ST_OK) {
        call_cancel(call);
        call->outcome = CALL_NO_MEMORY;
    }
    return end_stream(x);
}

enum step_result step_relay(struct exchange *x)
{
    struct call *call = x->call;
    if (call->first_byte_us != 0 && x->first_byte_us == 0) {
        x->first_byte_us = call->first_byte_us;
    }
    if (call->state == CALL_WAITING) {
        return STEP_WAIT; /* the call wakes, its deadlines at the latest */
    }
    bool is_answer = call->http_status >= 200 && call->http_status < 300;
    if (call->is_event_stream && is_answer) {
        return relay_stream(x);
    }
    return call->state == CALL_DONE ? answer_document(x) : STEP_WAIT;
}
