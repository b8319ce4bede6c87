/* EX_RELAY: what the call brings. Documents are wanted whole; event streams go to the client event by
 * event, up to the terminal one. How the attempt ended is judged here; the answer, or its end, goes out
 * in EX_ANSWER. A failure before the first byte of the answer went out goes back to EX_DISPATCH with the
 * next expert of the plan; after that the client is told in the stream. While two calls are at work
 * (hedge.h) each is read in turn; the first that has something for the client is the answer. */
#include "backends/reply_error.h"
#include "base/json_scan.h"
#include "base/log.h"
#include "gateway/attempt.h"
#include "gateway/exchange.h"
#include "gateway/hedge.h"
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
    case CALL_NOT_READY:
        return PROBLEM_EXPERT_NOT_READY;
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
                        STR_ARG(x->leg.expert->id.name), x->attempts);
}

static void drop_relay(struct exchange *x)
{
    if (x->leg.has_relay) {
        relay_fini(&x->leg.relay);
        x->leg.has_relay = false;
        x->leg.is_stream = false;
    }
}

/* Goes on with the call beside this one, or with the next attempt of the plan. False: there is none, this outcome is the answer. */
static bool try_next(struct exchange *x, const struct plan_outcome *what)
{
    bool is_hedged = hedge_is_open(x) && plan_cause_of(what) != PLAN_FINAL;
    if (is_hedged) {
        failover_lose(x, what);
    } else if (!failover_next(x, what, NULL)) {
        return false;
    }
    attempt_settle(x, what->outcome);
    exchange_drop_call(x);
    x->leg.usage = (struct usage){0};
    x->leg.error_status = 0;
    x->leg.error_document = STR("");
    drop_relay(x);
    if (is_hedged) {
        hedge_take_over(x);
    } else {
        exchange_go(x, EX_DISPATCH);
    }
    return true;
}

static enum step_result fail(struct exchange *x, enum call_outcome outcome)
{
    const struct plan_outcome what = {outcome, x->leg.call->http_status, REPLY_ERROR_OTHER,
                                      x->is_replied, x->leg.call->retry_after_s};
    if (x->leg.call->why != NULL) {
        log_write(LOG_WARN, "relay", "%s expert %.*s: %s: %s", x->id,
                  STR_ARG(x->leg.expert->id.name), call_outcome_text(outcome), x->leg.call->why);
    }
    if (try_next(x, &what)) {
        return STEP_MORE;
    }
    enum problem problem = problem_of(outcome);
    if (outcome == CALL_NOT_READY) {
        x->retry_after_s = x->leg.call->retry_after_s;
    }
    attempt_settle(x, outcome);
    x->reason = call_outcome_text(outcome);
    return exchange_refuse(x, problem, sentence(x, problem), STR(""));
}

/* The expert says that it cannot answer: with a status, or in an answer that is none. Where nobody else
 * is to be asked its document is the answer, with the status that is the document's. */
static enum step_result answer_error(struct exchange *x, struct str document)
{
    const struct call *call = x->leg.call;
    const struct reply_error_facts facts = reply_error_read(document);
    int status = call->http_status;
    if (status < 400) {
        status = facts.status != 0 ? facts.status : problem_status(PROBLEM_EXPERT_BAD_REPLY);
    }
    const struct plan_outcome what = {CALL_OK, status, facts.kind, x->is_replied,
                                      call->retry_after_s};
    x->leg.error_status = status;
    if (try_next(x, &what)) {
        return STEP_MORE;
    }
    attempt_settle(x, CALL_OK);
    if (status == 401 || status == 403) { /* about the gateway's key, not the client's */
        return exchange_refuse(x, PROBLEM_EXPERT_AUTH, sentence(x, PROBLEM_EXPERT_AUTH), STR(""));
    }
    if (json_validate(document, NULL, NULL) != ST_OK) {
        x->retry_after_s = call->retry_after_s;
        return exchange_refuse(x, PROBLEM_EXPERT_BAD_REPLY, sentence(x, PROBLEM_EXPERT_BAD_REPLY),
                               STR(""));
    }
    x->outcome = METRICS_EXPERT_ERROR;
    x->reason = "the expert answered with an error";
    exchange_go(x, EX_ANSWER);
    return STEP_MORE;
}

/* ---------------------------------------------------------------- documents */

static enum step_result answer_document(struct exchange *x)
{
    struct call *call = x->leg.call;
    struct str document = buf_str(&call->in);
    size_t answers = 0;
    size_t inputs = x->chat.inputs;
    if (call->outcome != CALL_OK) {
        return fail(x, call->outcome);
    }
    int status = call->http_status;
    bool is_json = usage_read(document, inputs > 0 ? USAGE_VECTORS : USAGE_CHOICES, &x->leg.usage,
                              &answers) == ST_OK;
    bool is_whole = inputs > 0 ? answers == inputs : answers > 0; /* a vector for each text */
    if (status >= 200 && status < 300 && is_json && is_whole) {
        attempt_settle(x, CALL_OK);
        exchange_go(x, EX_ANSWER);
        return STEP_MORE;
    }
    bool is_error = status >= 400 || (status < 300 && reply_error_read(document).is_error);
    return is_error ? answer_error(x, document) : fail(x, CALL_BAD_REPLY);
}

/* ---------------------------------------------------------------- streams */

/* An error before the first content: nothing has gone to the client, it can be a document. */
static enum step_result answer_error_event(struct exchange *x)
{
    buf_reset(&x->page);
    enum status st = relay_read_fault(&x->leg.relay, buf_str(&x->leg.call->in), &x->page);
    char *copy = st == ST_OK ? arena_copy_z(x->arena, buf_str(&x->page)) : NULL;
    if (copy == NULL) {
        return fail(x, CALL_NO_MEMORY);
    }
    drop_relay(x);
    x->leg.error_document = str_from(copy);
    return answer_error(x, x->leg.error_document);
}

/* The terminal event was seen, or the call is over, or reading has ended. */
static enum step_result judge_stream(struct exchange *x, enum call_outcome outcome)
{
    if (x->leg.relay.fault == RELAY_ERROR_EVENT) {
        return answer_error_event(x);
    }
    bool is_whole = outcome == CALL_OK && relay_is_whole(&x->leg.relay);
    if (x->leg.relay.fault == RELAY_BAD_EVENT) {
        outcome = CALL_BAD_REPLY;
    } else if (outcome == CALL_OK && !is_whole) {
        outcome = CALL_CUT;
    }
    if (!is_whole && !x->is_replied) {
        return fail(x, outcome);
    }
    if (!is_whole) {
        const struct plan_outcome what = {.outcome = outcome, .is_committed = true};
        failover_note(x, &what, NULL);
        x->problem = problem_of(outcome);
        x->problem_message = sentence(x, x->problem);
        x->outcome = METRICS_TRUNCATED;
        x->reason = call_outcome_text(outcome);
    } else if (x->leg.relay.saw_error) {
        x->outcome = METRICS_EXPERT_ERROR;
        x->reason = "the expert ended its stream with an error";
    }
    attempt_settle(x, outcome);
    exchange_go(x, EX_ANSWER);
    return STEP_MORE;
}

static enum step_result relay_stream(struct exchange *x)
{
    struct call *call = x->leg.call;
    size_t consumed = 0;
    if (!x->leg.has_relay) {
        relay_init(&x->leg.relay, x->leg.asks_usage);
        if (x->leg.restore != NULL) {
            relay_restore(&x->leg.relay, x->leg.restore);
        }
        x->leg.has_relay = true;
        x->leg.is_stream = true;
    }
    call->is_held = !x->is_gone && http_stream_pending(x->http) > HTTP_STREAM_HIGH_BYTES;
    if (call->is_held) {
        return STEP_WAIT; /* on_writable wakes; the server's idle deadline at the latest */
    }
    enum status st = relay_run(&x->leg.relay, buf_str(&call->in), step_answer_write, x, &consumed);
    if (st != ST_OK) {
        call_cancel(call);
        return judge_stream(x, CALL_NO_MEMORY);
    }
    if (x->leg.relay.fault != RELAY_FINE) {
        call_cancel(call);
        return judge_stream(x, CALL_BAD_REPLY);
    }
    call->has_content = x->leg.relay.is_committed;
    call->is_held = !x->is_gone && http_stream_pending(x->http) > HTTP_STREAM_HIGH_BYTES;
    call_consume(call, consumed);
    if (call->state == CALL_DONE) {
        relay_end(&x->leg.relay);
    } else if (!x->leg.relay.saw_done) {
        return STEP_WAIT; /* the call wakes, its deadlines at the latest */
    }
    return judge_stream(x, x->leg.relay.saw_done ? CALL_OK : call->outcome);
}

static enum step_result read_call(struct exchange *x)
{
    struct call *call = x->leg.call;
    if (call->first_byte_us != 0 && x->leg.first_byte_us == 0) {
        x->leg.first_byte_us = call->first_byte_us;
    }
    if (call->state == CALL_WAITING) {
        return STEP_WAIT; /* the call wakes, its deadlines at the latest */
    }
    bool is_answer = call->http_status >= 200 && call->http_status < 300;
    if (call->is_event_stream && is_answer && !prompt_is_embedding(&x->chat.prompt)) {
        return relay_stream(x);
    }
    return call->state == CALL_DONE ? answer_document(x) : STEP_WAIT;
}

enum step_result step_relay(struct exchange *x)
{
    enum step_result result = read_call(x);
    if (x->hedge == NULL) {
        return result;
    }
    if (result == STEP_WAIT && hedge_turn(x)) {
        result = read_call(x);
    }
    if (x->step == EX_ANSWER || x->step == EX_REFUSE) {
        hedge_win(x);
    }
    hedge_settle(x);
    return result;
}
