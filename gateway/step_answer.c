/* EX_ANSWER: the attempt is settled. Once its row is on disk, where that is promised, the document goes
 * out, or the held end of the stream, or the news that the stream is broken. */
#include <inttypes.h>

#include "gateway/attempt.h"
#include "gateway/cache_answer.h"
#include "gateway/exchange.h"
#include "gateway/hedge.h"
#include "gateway/lookup.h"
#include "gateway/worker.h"

/* ---------------------------------------------------------------- documents */

/* The document with values for placeholders; as it came where there is nothing to restore, or no memory
 * for it. */
static struct str restored(struct exchange *x)
{
    struct str body =
        x->leg.error_document.len > 0 ? x->leg.error_document : buf_str(&x->leg.call->in);
    bool is_changed = false;
    if (x->leg.restore == NULL) {
        return body;
    }
    buf_reset(&x->page);
    enum status st = restore_document(x->leg.restore->vault, body, &x->page, &is_changed);
    return st == ST_OK && is_changed ? buf_str(&x->page) : body;
}

/* The client left, the answer was for others. */
static enum step_result end_for_nobody(struct exchange *x)
{
    x->outcome = METRICS_CANCELLED;
    x->reason = "the client left";
    exchange_go(x, EX_FINISH);
    return STEP_MORE;
}

static enum step_result pass_document(struct exchange *x)
{
    struct call *call = x->leg.call;
    struct http_reply reply = {.status = x->leg.error_status != 0 ? x->leg.error_status
                                                                  : call->http_status,
                               .body = restored(x)};
    const char *type = x->leg.error_document.len > 0 ? "application/json" : call->content_type.ptr;
    lookup_publish(x, reply.body);
    if (x->is_gone) {
        return end_for_nobody(x);
    }
    exchange_add_headers(x, &reply, type != NULL && type[0] != '\0' ? type : NULL);
    if (call->retry_after_s >= 0) {
        struct str seconds = arena_printf(x->arena, "%" PRId64, call->retry_after_s);
        exchange_add_header(&reply, "Retry-After", seconds.ptr);
    }
    x->http_status = reply.status;
    x->is_replied = true;
    x->is_answered = true;
    http_reply(x->http, &reply);
    exchange_go(x, EX_FINISH);
    return STEP_MORE;
}

/* ---------------------------------------------------------------- streams */

enum status step_answer_write(void *exchange, struct str bytes)
{
    struct exchange *x = exchange;
    if (x->hedge != NULL) {
        hedge_win(x);
    }
    lookup_capture(x, bytes);
    if (x->is_gone) { /* others wait for this answer */
        return ST_OK;
    }
    if (!x->is_replied) {
        struct http_reply reply = {.status = 200};
        x->is_replied = true;
        x->http_status = 200;
        exchange_add_headers(x, &reply, x->leg.call->content_type.ptr);
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
    struct str cost = x->is_cost_unknown
                          ? STR("unknown")
                          : arena_printf(x->arena, "%.9f", (double)x->cost_nano_usd / 1e9);
    struct str line = arena_printf(
        x->arena,
        ": x-expertd-cost-usd=%.*s x-expertd-prompt-tokens=%" PRId64
        " x-expertd-completion-tokens=%" PRId64 " x-expertd-attempts=%zu\n\n",
        STR_ARG(cost), x->leg.usage.prompt_tokens, x->leg.usage.completion_tokens, x->attempts);
    if (cost.ptr != NULL && line.ptr != NULL) {
        (void)step_answer_write(x, line); /* short of memory there is no comment */
    }
}

/* The client is told that what it has is not the whole answer: an error event, no [DONE], and a body
 * without its last chunk. */
static enum step_result break_stream(struct exchange *x)
{
    struct buf text;
    buf_init(&text, 4096);
    if (relay_flush(&x->leg.relay, step_answer_write, x) == ST_OK &&
        buf_append(&text, STR("data: ")) == ST_OK &&
        problem_write(&text, x->problem, x->problem_message, STR("")) == ST_OK &&
        buf_append(&text, STR("\n\n")) == ST_OK) {
        (void)step_answer_write(x, buf_str(&text)); /* short of memory the broken body must do */
    }
    buf_fini(&text);
    http_stream_break(x->http);
    exchange_go(x, EX_FINISH);
    return STEP_MORE;
}

static enum step_result end_stream(struct exchange *x)
{
    struct call *call = x->leg.call;
    if (!x->is_answered) {
        enum status st = relay_release(&x->leg.relay, buf_str(&call->in), step_answer_write, x);
        if (st != ST_OK) {
            x->problem = PROBLEM_NO_MEMORY;
            x->outcome = METRICS_TRUNCATED;
            x->reason = call_outcome_text(CALL_NO_MEMORY);
            return break_stream(x);
        }
        lookup_publish(x, STR(""));
        if (x->is_gone) {
            return end_for_nobody(x);
        }
        write_trailer(x);
        x->is_answered = true;
    }
    call_consume(call, call->in.len); /* nothing after the end is for the client */
    if (call->state != CALL_DONE) {
        return STEP_WAIT; /* so that its connection serves again; its deadlines wake */
    }
    http_stream_end(x->http);
    exchange_go(x, EX_FINISH);
    return STEP_MORE;
}

/* ---------------------------------------------------------------- kept answers */

/* Each way is given, whichever way the answer came. */
static enum step_result pass_kept(struct exchange *x)
{
    struct http_reply reply = {.status = 200, .body = lookup_answer(x)};
    x->leg.is_stream = x->chat.is_stream;
    buf_reset(&x->page);
    if (x->leg.is_stream &&
        cache_answer_write_stream(reply.body, x->chat.wants_usage, &x->page) != ST_OK) {
        return exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    exchange_add_headers(x, &reply, x->leg.is_stream ? "text/event-stream" : "application/json");
    x->http_status = reply.status;
    x->is_replied = true;
    x->is_answered = true;
    if (!x->leg.is_stream) {
        http_reply(x->http, &reply);
    } else {
        exchange_add_header(&reply, "Cache-Control", "no-cache");
        http_stream_start(x->http, &reply);
        if (http_stream_write(x->http, buf_str(&x->page)) == ST_OK) {
            http_stream_end(x->http);
        } else {
            x->outcome = METRICS_TRUNCATED;
            x->reason = call_outcome_text(CALL_NO_MEMORY);
            http_stream_break(x->http);
        }
    }
    exchange_go(x, EX_FINISH);
    return STEP_MORE;
}

enum step_result step_answer(struct exchange *x)
{
    if (attempt_must_wait(x)) {
        return STEP_WAIT; /* the writer wakes, a timer at the latest */
    }
    if (lookup_has_answer(x)) {
        return pass_kept(x);
    }
    if (!x->leg.has_relay) {
        return pass_document(x);
    }
    return x->problem == PROBLEM_NONE ? end_stream(x) : break_stream(x);
}
