/* EX_DISPATCH: the next attempt of the plan becomes a call. */
#include "backends/kernel_pool.h"
#include "backends/transport.h"
#include "gateway/attempt.h"
#include "gateway/exchange.h"
#include "gateway/worker.h"

static enum status start_call(struct exchange *x, struct str body)
{
    const struct expert *e = x->expert;
    struct call_request request = {e, body, x->chat.is_stream, exchange_wake, x};
    if (e->kernel == NULL) {
        return transport_call(x->worker->transport, &request, &x->call);
    }
    struct kernel_call_options options = {e->kernel, e->id.name, e->deadlines.first_token_ms,
                                          e->deadlines.idle_ms, e->deadlines.total_ms};
    return kernel_pool_call(x->worker->kernels, x->worker->loop, &request, &options, &x->call);
}

enum step_result step_dispatch(struct exchange *x)
{
    x->attempts++;
    x->asks_usage = x->chat.is_stream && !x->chat.wants_usage;
    struct str body = chat_request_rewrite(&x->chat, x->expert->model, x->asks_usage, x->arena);
    if (body.ptr == NULL || attempt_open(x) != ST_OK) {
        return exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    enum status st = start_call(x, body);
    if (x->dispatched_us == 0) {
        x->dispatched_us = clock_now_us(loop_clock(x->worker->loop));
    }
    if (st == ST_OK) {
        exchange_go(x, EX_RELAY);
        return STEP_MORE;
    }
    attempt_settle(x, CALL_NO_MEMORY);
    struct plan_outcome full = {CALL_OK, 503, false};
    const struct expert *next = st == ST_TOO_BIG ? plan_next(&x->decision.plan, &full) : NULL;
    if (next == NULL) {
        x->retry_after_s = 1;
        return exchange_refuse(x, st == ST_TOO_BIG ? PROBLEM_QUEUE_FULL : PROBLEM_NO_MEMORY,
                               STR(""), STR(""));
    }
    x->expert = next;
    exchange_go(x, EX_DISPATCH);
    return STEP_MORE;
}
