/* EX_PARSE, EX_EMBED: the body becomes byte ranges and a prompt. Refuses what it does not understand for
 * sure. */
#include "gateway/embed_request.h"
#include "gateway/exchange.h"

static enum step_result go_on(struct exchange *x, enum status st, const struct chat_error *error)
{
    if (st == ST_INVALID) {
        return exchange_refuse(x, error->problem, error->message, error->param);
    }
    if (st != ST_OK) {
        return exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    exchange_go(x, EX_ADMIT);
    return STEP_MORE;
}

enum step_result step_parse(struct exchange *x)
{
    struct chat_error error = {PROBLEM_NONE, STR(""), STR("")};
    enum status st = chat_request_parse(http_request_body(x->http), x->arena, &x->chat, &error);
    return go_on(x, st, &error);
}

enum step_result step_embed(struct exchange *x)
{
    struct chat_error error = {PROBLEM_NONE, STR(""), STR("")};
    enum status st = embed_request_parse(http_request_body(x->http), x->arena, &x->chat, &error);
    return go_on(x, st, &error);
}
