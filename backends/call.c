/* See call.h. The small part that all kinds of calls share. */
#include "backends/call.h"

#include <stddef.h>

void call_consume(struct call *call, size_t n)
{
    buf_consume(&call->in, n);
    call->kind->consumed(call);
}

void call_cancel(struct call *call)
{
    if (call->state == CALL_DONE) {
        return;
    }
    call->kind->cancel(call);
    call->state = CALL_DONE;
    call->outcome = CALL_CANCELLED;
}

void call_destroy(struct call *call)
{
    if (call == NULL) {
        return;
    }
    call_cancel(call);
    call->kind->destroy(call);
}

const char *call_outcome_text(enum call_outcome outcome)
{
    static const char *const texts[] = {
        [CALL_OK] = "ok",
        [CALL_CONNECT_FAILED] = "connect_failed",
        [CALL_CONNECT_TIMEOUT] = "connect_timeout",
        [CALL_FIRST_TOKEN_TIMEOUT] = "first_token_timeout",
        [CALL_IDLE_TIMEOUT] = "idle_timeout",
        [CALL_TOTAL_TIMEOUT] = "total_timeout",
        [CALL_CUT] = "cut",
        [CALL_TOO_BIG] = "too_big",
        [CALL_BAD_REPLY] = "bad_reply",
        [CALL_NO_MEMORY] = "no_memory",
        [CALL_CANCELLED] = "cancelled",
    };
    return texts[outcome];
}
