/* EX_AUTHENTICATE: the API key becomes a tenant, on the head alone: of a client without a key no body
 * is kept. The key is then wiped from the request. Without tenants everybody may; conf.c holds such a
 * gateway on the loopback. Then, on the head too: how important the request is, and whether there is
 * room for it. */
#include "gateway/exchange.h"
#include "gateway/overload.h"
#include "gateway/priority.h"
#include "gateway/worker.h"

static const struct str healthz = STR_INIT("/healthz");

/* A load balancer and a web page's preflight have no key. */
static bool is_open(const struct exchange *x)
{
    const struct snapshot *s = x->snapshot;
    bool has_keys = x->is_admin ? s->conf.server.admin_key.is_set : s->conf.tenants.list.count > 0;
    return !has_keys || str_eq(http_request_path(x->http), healthz) ||
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

/* Whether the gateway has too much to do for this one; sets when to come again. */
static bool is_too_much(struct exchange *x)
{
    const struct overload_limits *limits = &x->snapshot->conf.server.limits.overload;
    const struct worker *w = x->worker;
    if ((limits->exchanges == 0 && limits->lag_ms == 0) || x->is_admin) {
        return false;
    }
    const struct overload_facts facts = {
        .exchanges = metrics_in_flight_elsewhere(w->metrics, w->index) + (int64_t)w->exchanges,
        .lag_us = w->lag_us,
        .service_us = w->service_us,
        .priority = x->priority,
    };
    int64_t retry_s = overload_retry_s(limits, &facts);
    if (retry_s == 0 || str_eq(http_request_path(x->http), healthz)) {
        return false;
    }
    x->retry_after_s = retry_s;
    return true;
}

static enum step_result let_in(struct exchange *x)
{
    const struct str name = STR("x-expertd-priority");
    const struct tenant *t = x->tenant;
    enum status st = priority_read(http_request_header(x->http, name),
                                   t == NULL ? EXPERT_NORMAL : (enum expert_priority)t->priority,
                                   t == NULL || (t->headers & TENANT_PRIORITY) != 0, &x->priority);
    if (st != ST_OK) {
        return exchange_refuse(
            x, st == ST_INVALID ? PROBLEM_BAD_PARAM : PROBLEM_HEADER_FORBIDDEN,
            st == ST_INVALID
                ? STR("This header is low, normal or high.")
                : STR("This key may not raise its priority by the header x-expertd-priority."),
            name);
    }
    if (is_too_much(x)) {
        return exchange_refuse(x, PROBLEM_OVERLOADED, STR(""), STR(""));
    }
    exchange_go(x, EX_RECEIVE);
    return STEP_MORE;
}

static const struct str headers[] = {STR_INIT("Authorization"), STR_INIT("x-api-key"),
                                     STR_INIT("api-key")};

static void wipe(struct exchange *x)
{
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        http_request_wipe(x->http, headers[i]);
    }
}

enum step_result step_authenticate(struct exchange *x)
{
    const char *why = "";
    if (http_request_problem(x->http, &why) != PROBLEM_NONE) {
        wipe(x);
        exchange_go(x, EX_RECEIVE); /* which refuses it */
        return STEP_MORE;
    }
    if (is_open(x)) {
        return let_in(x);
    }
    struct str key = api_key_of(http_request_header(x->http, headers[0]),
                                http_request_header(x->http, headers[1]),
                                http_request_header(x->http, headers[2]));
    enum problem problem = key.len == 0 ? PROBLEM_NO_KEY : PROBLEM_BAD_KEY;
    enum status st = find(x, key);
    wipe(x);
    if (st != ST_OK) {
        problem = st == ST_TIMEOUT ? PROBLEM_OLD_KEY : problem;
        return exchange_refuse(x, problem, STR(""), STR(""));
    }
    return let_in(x);
}
