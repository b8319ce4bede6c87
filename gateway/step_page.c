/* EX_PAGE: a document of our own, written by the endpoint's function. */
#include "gateway/exchange.h"

enum step_result step_page(struct exchange *x)
{
    enum status st = x->endpoint->write(x, &x->page);
    if (st == ST_NOT_FOUND) {
        return exchange_refuse(x, PROBLEM_MODEL_NOT_FOUND, STR(""), STR("model"));
    }
    if (st != ST_OK) {
        buf_reset(&x->page);
        return exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    struct http_reply reply = {.status = 200, .body = buf_str(&x->page)};
    exchange_add_headers(x, &reply, x->endpoint->content_type);
    x->http_status = reply.status;
    x->is_replied = true;
    http_reply(x->http, &reply);
    exchange_go(x, EX_FINISH);
    return STEP_MORE;
}
