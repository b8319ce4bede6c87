/* EX_REFUSE: the error reply. Nothing has gone to the client before: a stream that has begun is broken
 * off in step_relay.c. */
#include <inttypes.h>

#include "gateway/attempt.h"
#include "gateway/exchange.h"

static enum metrics_outcome outcome_of(enum problem p)
{
    int status = problem_status(p);
    switch (p) {
    case PROBLEM_EXPERT_TIMEOUT:
        return METRICS_TIMEOUT;
    case PROBLEM_OVERLOADED:
    case PROBLEM_NO_MEMORY:
    case PROBLEM_QUEUE_FULL:
    case PROBLEM_QUEUE_LATE:
    case PROBLEM_STATE_OFF:
    case PROBLEM_STATE_BUSY:
    case PROBLEM_STATE_FAILED:
        return METRICS_OVERLOADED;
    case PROBLEM_INTERNAL:
        return METRICS_INTERNAL;
    default: /* a table of dozens, of which these few are special */
        return status >= 500 ? METRICS_EXPERT_ERROR : METRICS_CLIENT_ERROR;
    }
}

enum step_result step_refuse(struct exchange *x)
{
    struct http_reply reply = {.status = problem_status(x->problem)};
    exchange_drop_call(x);
    expert_queue_drop(x);
    if (attempt_must_wait(x)) {
        return STEP_WAIT; /* the writer wakes, a timer at the latest */
    }
    buf_reset(&x->page);
    enum status st = problem_write(&x->page, x->problem, x->problem_message, x->problem_param);
    reply.body =
        st == ST_OK ? buf_str(&x->page) : STR("{\"error\":{\"message\":\"out of memory\"}}");
    exchange_add_headers(x, &reply, "application/json");
    exchange_add_header(&reply, "Allow", x->allow);
    if (reply.status == 401) {
        exchange_add_header(&reply, "WWW-Authenticate", "Bearer");
    }
    if (x->admission.is_never) {
        exchange_add_header(&reply, "x-should-retry", "false"); /* OpenAI's clients obey it */
    }
    if (x->retry_after_s >= 0) {
        struct str seconds = arena_printf(x->arena, "%" PRId64, x->retry_after_s);
        exchange_add_header(&reply, "Retry-After", seconds.ptr);
    }
    x->http_status = reply.status;
    x->outcome = outcome_of(x->problem);
    x->reason = x->reason == NULL ? problem_code(x->problem) : x->reason;
    x->is_replied = true;
    http_reply(x->http, &reply);
    exchange_go(x, EX_FINISH);
    return STEP_MORE;
}
