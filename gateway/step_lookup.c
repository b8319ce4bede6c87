/* EX_LOOKUP: is the answer there, or is the same request being answered? Only where answers are kept. */
#include "gateway/attempt.h"
#include "gateway/exchange.h"
#include "gateway/lookup.h"
#include "gateway/worker.h"

enum step_result step_lookup(struct exchange *x)
{
    switch (lookup_run(x)) {
    case LOOKUP_WAIT:
        return STEP_WAIT; /* the request that asks wakes it, its own timer at the latest */
    case LOOKUP_ASK:
        exchange_go(x, EX_DISPATCH);
        return STEP_MORE;
    case LOOKUP_ANSWER:
        x->dispatched_us = clock_now_us(loop_clock(x->worker->loop));
        attempt_record_cached(x);
        exchange_go(x, EX_ANSWER);
        return STEP_MORE;
    }
    return STEP_MORE;
}
