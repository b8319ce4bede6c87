/* See call_outcome.h. */
#include "backends/call_outcome.h"

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
        [CALL_NOT_READY] = "not_ready",
        [CALL_CANCELLED] = "cancelled",
    };
    return texts[outcome];
}
