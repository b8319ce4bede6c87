/* EX_PARSE: the body becomes byte ranges and a prompt. Refuses what it does not understand for sure. */
#include "gateway/exchange.h"

enum step_result step_parse(struct exchange *x)
{
    struct chat_error error = {PROBLEM_NONE, STR(""), STR("")};
    enum status st = chat_request_parse(http_request_body(x->http), x->arena, &x->chat, &error);
    if (st == ST_INVALID) {
        return exchange_refuse(x, error.problem, error.message, error.param);
    }
    if (st != ST_OK) {
        return exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    exchange_go(x, EX_ADMIT);
    return STEP_MORE;
}
