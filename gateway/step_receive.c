/* EX_RECEIVE: which endpoint this is, what the server found wrong with the request, and the wait for
 * the body (http_server keeps its deadline). Knows nothing of bodies' contents. */
#include <string.h>

#include "gateway/exchange.h"

static const struct endpoint endpoints[] = {
    {"POST", {"/v1/chat/completions", 20}, false, false, true, EX_PARSE, NULL, NULL},
    {"POST", {"/v1/embeddings", 14}, false, false, true, EX_EMBED, NULL, NULL},
    {"POST", {"/v1/route", 9}, false, false, true, EX_PARSE, pages_route, "application/json"},
    {"POST",
     {"/v1/feedback", 12},
     false,
     false,
     true,
     EX_FEEDBACK,
     pages_feedback,
     "application/json"},
    {"POST",
     {"/admin/preview", 14},
     false,
     true,
     false,
     EX_PREVIEW,
     pages_preview,
     "application/json"},
    {"POST",
     {"/admin/router/rollback", 22},
     false,
     true,
     false,
     EX_FEEDBACK,
     pages_rollback,
     "application/json"},
    {"GET", {"/v1/models", 10}, false, false, true, EX_PAGE, pages_models, "application/json"},
    {"GET", {"/v1/models/", 11}, true, false, true, EX_PAGE, pages_model, "application/json"},
    {"GET", {"/healthz", 8}, false, true, true, EX_PAGE, pages_health, "application/json"},
    {"GET", {"/readyz", 7}, false, true, false, EX_PAGE, pages_health, "application/json"},
    {"GET", {"/admin/experts", 14}, false, true, false, EX_PAGE, pages_experts, "application/json"},
    {"GET",
     {"/admin/processes", 16},
     false,
     true,
     false,
     EX_PAGE,
     pages_processes,
     "application/json"},
    {"POST", {"/admin/experts/", 15}, true, true, false, EX_PAGE, pages_expert, "application/json"},
    {"GET",
     {"/metrics", 8},
     false,
     true,
     false,
     EX_PAGE,
     pages_metrics,
     "text/plain; version=0.0.4; charset=utf-8"},
};

enum {
    ENDPOINTS = sizeof endpoints / sizeof endpoints[0]
};

static bool path_fits(const struct exchange *x, const struct endpoint *e)
{
    struct str path = http_request_path(x->http);
    bool is_here = x->is_admin ? e->is_admin : e->is_public;
    bool is_path = e->is_prefix ? str_starts_with(path, e->path) && path.len > e->path.len
                                : str_eq(path, e->path);
    return is_here && is_path;
}

static bool method_fits(struct str method, const struct endpoint *e)
{
    return str_eq(method, str_from(e->method)) ||
           (str_eq(method, STR("HEAD")) && strcmp(e->method, "GET") == 0);
}

static const char *allowed(const struct endpoint *e)
{
    return strcmp(e->method, "GET") == 0 ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
}

/* 204 with what the path takes; for pages of allowed origins also what CORS asks. */
static enum step_result answer_options(struct exchange *x, const struct endpoint *e)
{
    struct http_reply reply = {.status = 204};
    const char *allow = allowed(e);
    exchange_add_headers(x, &reply, NULL);
    exchange_add_header(&reply, "Allow", allow);
    if (x->snapshot->conf.server.cors.origins.count > 0) {
        exchange_add_header(&reply, "Access-Control-Allow-Methods", allow);
        exchange_add_header(&reply, "Access-Control-Allow-Headers",
                            "Authorization, Content-Type, *");
        exchange_add_header(&reply, "Access-Control-Max-Age", "600");
    }
    x->http_status = reply.status;
    x->is_replied = true;
    x->endpoint = e;
    http_reply(x->http, &reply);
    exchange_go(x, EX_FINISH);
    return STEP_MORE;
}

/* What the path takes. A page of another site can send neither without being asked for (CORS). */
static bool type_fits(const struct exchange *x, const struct endpoint *e)
{
    static const struct str yamls[] = {STR_INIT("application/yaml"),
                                       STR_INIT("application/x-yaml")};

    struct str type = http_request_header(x->http, STR("Content-Type"));
    struct str media = str_trim(str_slice(type, 0, str_find_char(type, ';')));
    bool is_yaml = str_eq_nocase(media, yamls[0]) || str_eq_nocase(media, yamls[1]);
    return str_eq_nocase(media, STR("application/json")) || (is_yaml && e->first == EX_PREVIEW);
}

enum step_result step_receive(struct exchange *x)
{
    const char *why = "";
    enum problem problem = http_request_problem(x->http, &why);
    if (problem != PROBLEM_NONE) {
        return exchange_refuse(x, problem, str_from(why), STR(""));
    }
    if (!x->is_received) {
        return STEP_WAIT; /* on_body wakes, the server's body deadline at the latest */
    }
    struct str method = http_request_method(x->http);
    for (size_t i = 0; i < ENDPOINTS; i++) {
        const struct endpoint *e = &endpoints[i];
        if (!path_fits(x, e)) {
            continue;
        }
        x->allow = allowed(e);
        if (str_eq(method, STR("OPTIONS"))) {
            return answer_options(x, e);
        }
        if (!method_fits(method, e)) {
            continue;
        }
        x->endpoint = e;
        x->allow = NULL;
        if (e->first != EX_PAGE && !type_fits(x, e)) {
            return exchange_refuse(x, PROBLEM_MEDIA_TYPE, STR(""), STR(""));
        }
        bool is_prompt = e->first == EX_PARSE || e->first == EX_EMBED;
        bool is_counted = x->tenant != NULL && !is_prompt; /* which is, once it is read */
        exchange_go(x, is_counted ? EX_ADMIT : e->first);
        return STEP_MORE;
    }
    return exchange_refuse(x, x->allow != NULL ? PROBLEM_METHOD : PROBLEM_NOT_FOUND, STR(""),
                           STR(""));
}
