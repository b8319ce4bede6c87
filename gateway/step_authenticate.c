/* EX_AUTHENTICATE: the API key becomes a tenant, on the head alone: of a client without a key no body
 * is kept. The key is then wiped from the request. Without tenants everybody may; conf.c holds such a
 * gateway on the loopback. */
#include "gateway/exchange.h"

/* A load balancer and a web page's preflight have no key. */
static bool is_open(const struct exchange *x)
{
    const struct snapshot *s = x->snapshot;
    bool has_keys = x->is_admin ? s->conf.server.admin_key.is_set : s->conf.tenants.list.count > 0;
    return !has_keys || str_eq(http_request_path(x->http), STR("/healthz")) ||
           str_eq(http_request_method(x->http), STR("OPTIONS"));
}

static enum status find(struct exchange *x, struct str key)
{
    const struct conf *conf = &x->snapshot->conf;
    if (x->is_admin) {
        return api_key_fits(key, &conf->server.admin_key) ? ST_OK : ST_NOT_FOUND;
    }
    enum status st = tenants_find(&conf->tenants, key, clock_wall_s(), &x->key);
    x->tenant = st == ST_OK ? x->key->tenant : NULL;
    return st;
}

enum step_result step_authenticate(struct exchange *x)
{
    static const struct str headers[] = {STR_INIT("Authorization"), STR_INIT("x-api-key"),
                                         STR_INIT("api-key")};

    const char *why = "";
    if (http_request_problem(x->http, &why) != PROBLEM_NONE || is_open(x)) {
        exchange_go(x, EX_RECEIVE); /* which refuses a head that cannot be served */
        return STEP_MORE;
    }
    struct str key = api_key_of(http_request_header(x->http, headers[0]),
                                http_request_header(x->http, headers[1]),
                                http_request_header(x->http, headers[2]));
    enum problem problem = key.len == 0 ? PROBLEM_NO_KEY : PROBLEM_BAD_KEY;
    enum status st = find(x, key);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        http_request_wipe(x->http, headers[i]);
    }
    if (st != ST_OK) {
        problem = st == ST_TIMEOUT ? PROBLEM_OLD_KEY : problem;
        return exchange_refuse(x, problem, STR(""), STR(""));
    }
    exchange_go(x, EX_RECEIVE);
    return STEP_MORE;
}
