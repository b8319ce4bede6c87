/* EX_DECIDE: prompt -> category, candidates, plan. All thinking is in router/decide.c; this file asks
 * it and turns its refusals into answers. */
#include <string.h>

#include "backends/managed.h"
#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/lookup.h"
#include "gateway/receipt.h"
#include "gateway/recent.h"
#include "gateway/sessions.h"
#include "gateway/warmth.h"
#include "gateway/wishes.h"
#include "gateway/worker.h"
#include "router/drift.h"

enum {
    SHUT_RETRY_S = 10, /* of an expert that fails its probes: nobody knows when it is back */
};

static struct str header(void *ctx, struct str name)
{
    const struct exchange *x = ctx;
    return http_request_header(x->http, name);
}

static void purse(void *ctx, struct str expert, struct str category, struct policy_purse *ret)
{
    const struct exchange *x = ctx;
    struct budget_who who = exchange_who(x, expert, category);
    budgets_purse(&x->snapshot->conf.budgets, &who, clock_wall_s(), ret);
}

/* Only where there is something to say: most experts are well. */
static void health(void *ctx, const struct expert *expert, struct policy_health *ret)
{
    const struct exchange *x = ctx;
    struct health *h = x->snapshot->health[expert->index];
    if (!health_is_plain(h) || x->snapshot->conf.routes.policies.latency_weight > 0) {
        health_look(h, clock_now_us(loop_clock(x->worker->loop)), ret);
    }
    if (expert->managed != NULL) { /* first of all its process must be there */
        ret->wait_us += managed_wait_ms(expert->managed) * 1000;
    }
}

/* Why there is nobody who embeds. */
static struct str embedder_text(struct exchange *x)
{
    struct str model = x->chat.prompt.model;
    bool is_routed = str_eq(model, STR("auto")) || str_starts_with(model, STR("category/"));
    return is_routed
               ? STR("Vectors of different models cannot be compared, so embeddings are not routed "
                     "by what they are about: name an alias or an expert that embeds. (The "
                     "operator can name one for auto: router.embeddings.)")
               : arena_printf(x->arena,
                              "There is no model \"%.*s\" here, or this key may not use it: "
                              "embeddings need an alias or an expert that embeds.",
                              STR_ARG(str_slice(model, 0, 128)));
}

static enum step_result refuse_model(struct exchange *x)
{
    if (prompt_is_embedding(&x->chat.prompt)) {
        return exchange_refuse(x, PROBLEM_MODEL_NOT_FOUND, embedder_text(x), STR("model"));
    }
    struct str message =
        arena_printf(x->arena,
                     "There is no model \"%.*s\" here, or this key may not use it: ask for auto, "
                     "category/NAME, an alias or an expert; GET /v1/models lists them.",
                     STR_ARG(str_slice(x->chat.prompt.model, 0, 128)));
    return exchange_refuse(x, PROBLEM_MODEL_NOT_FOUND, message, STR("model"));
}

/* Every candidate was dropped: says which and why. Where money was what was missing, says until when. */
static enum step_result refuse_candidates(struct exchange *x)
{
    const struct decision *d = &x->decision;
    struct str message = STR("No expert can take this request:");
    bool is_context = d->candidate_count > 0;
    bool is_budget = false;
    bool is_forbidden = d->candidate_count > 0 && d->candidates[0].dropped_by == policy_allow.name;
    bool is_shut = false;
    int64_t resets_s = INT64_MAX;
    int64_t opens_ms = INT64_MAX;
    for (size_t i = 0; i < d->candidate_count && message.ptr != NULL; i++) {
        const struct policy_candidate *c = &d->candidates[i];
        is_context = is_context && c->dropped_by == policy_context.name;
        if (c->dropped_by == policy_budget.name && c->has_price) {
            is_budget = true;
            resets_s = c->purse.resets_s < resets_s ? c->purse.resets_s : resets_s;
        }
        if (c->dropped_by == policy_health.name) {
            is_shut = true;
            opens_ms = c->health.opens_ms >= 0 && c->health.opens_ms < opens_ms ? c->health.opens_ms
                                                                                : opens_ms;
        }
        message = arena_printf(x->arena, "%.*s%s %.*s (%s)", STR_ARG(message), i == 0 ? "" : ",",
                               STR_ARG(c->name), c->reason);
    }
    if (is_forbidden) { /* all of them: the policy looks at none in particular */
        return exchange_refuse(x, PROBLEM_FORBIDDEN, message, STR("model"));
    }
    if (is_shut) { /* they come back by themselves, budgets later */
        x->retry_after_s = opens_ms == INT64_MAX ? SHUT_RETRY_S
                           : opens_ms <= 0       ? 1
                                                 : (opens_ms + 999) / 1000;
        return exchange_refuse(x, PROBLEM_UNAVAILABLE, message, STR(""));
    }
    if (is_budget) {
        x->retry_after_s = resets_s == INT64_MAX ? -1 : resets_s - clock_wall_s();
        return exchange_refuse(x, PROBLEM_QUOTA, message, STR(""));
    }
    bool is_embedding = prompt_is_embedding(&x->chat.prompt);
    return is_context ? exchange_refuse(x, PROBLEM_CONTEXT_LENGTH, message,
                                        is_embedding ? STR("input") : STR("messages"))
                      : exchange_refuse(x, PROBLEM_NO_EXPERT, message,
                                        is_embedding ? STR("model") : STR(""));
}

/* Does the classifier still see what it used to see? */
static void watch(const struct exchange *x)
{
    const struct worker *w = x->worker;
    if (!x->decision.is_classified) {
        return;
    }
    enum drift_news news =
        drift_count(w->drift, w->index, exchange_weights(x), &x->decision.scores);
    if (news != DRIFT_SAME) {
        log_write(LOG_WARN, "drift",
                  news == DRIFT_ALARM ? "the classifier's confidence has fallen: prompts are not "
                                        "what they were at the start"
                                      : "the classifier's confidence is back");
    }
}

/* For feedback that names the request, for the preview of a change, and for the receipt. */
static void remember(struct exchange *x)
{
    const struct routes *routes = &x->snapshot->conf.routes;
    struct recent_decision local;
    if (x->worker->recent == NULL) {
        return;
    }
    struct recent_decision *decision = receipt_begin(x);
    decision = decision == NULL ? &local : decision;
    recent_describe(routes, &x->chat.prompt, &x->decision, &x->worker->scratch, decision);
    memcpy(decision->id, x->id, sizeof decision->id);
    decision->made_ms = clock_wall_ms();
    if (!prompt_is_embedding(
            &x->chat.prompt)) { /* nothing is to be learnt of where embeddings went */
        recent_put(x->worker->recent, x->worker->index, decision);
    }
}

static int64_t now_s(const struct exchange *x)
{
    return loop_now_ms(x->worker->loop) / 1000;
}

/* Who has a conversation: the tenant; without tenants whatever key the client sends. */
static uint64_t owner(const struct exchange *x)
{
    return str_hash(x->tenant != NULL ? x->tenant->name
                                      : http_request_header(x->http, STR("Authorization")));
}

/* Looks up who answered this conversation. Different clients have different ones. */
static void recall(struct exchange *x)
{
    const struct routes *routes = &x->snapshot->conf.routes;
    const struct session_settings *settings = &routes->router.session;
    struct prompt_session *session = &x->chat.prompt.session;
    if (!settings->affinity || session->key == 0) {
        return;
    }
    x->session = session->key ^ owner(x);
    uint32_t name = sessions_get(x->worker->sessions, x->session, now_s(x), settings->ttl_s);
    const struct expert *experts = routes->experts.items;
    for (size_t i = 0; name != 0 && i < routes->experts.count; i++) {
        if (sessions_name(experts[i].id.name) == name) {
            session->expert = experts[i].id.name;
        }
    }
}

/* What the key may use, and what the request asks for itself. */
static enum status permit(struct exchange *x, struct chat_error *ret_error)
{
    static const struct str names[] = {STR_INIT("x-expertd-expert"), STR_INIT("x-expertd-ban"),
                                       STR_INIT("x-expertd-max-price")};

    if (x->tenant != NULL) {
        x->chat.prompt.permit = x->tenant->permit;
        x->chat.prompt.tenant = x->tenant->name;
        x->chat.prompt.key = x->key == NULL ? STR("") : x->key->id;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (http_request_repeats(x->http, names[i])) {
            *ret_error =
                (struct chat_error){PROBLEM_BAD_PARAM, STR("This header stands twice."), names[i]};
            return ST_INVALID;
        }
    }
    struct wishes wishes = {http_request_header(x->http, names[0]),
                            http_request_header(x->http, names[1]),
                            http_request_header(x->http, names[2])};
    return wishes_apply(&wishes, x->tenant == NULL ? WISHES_ALL : x->tenant->headers,
                        &x->snapshot->conf.routes, x->arena, &x->chat.prompt, ret_error);
}

/* What policies.degrade makes of its budget. */
static void feel_pressure(struct exchange *x)
{
    const struct conf *conf = &x->snapshot->conf;
    const struct degrade_settings *degrade = &conf->routes.policies.degrade;
    if (degrade->budget.len > 0) {
        struct budget_who who = exchange_who(x, STR(""), STR(""));
        x->chat.prompt.pressure =
            budgets_pressure(&conf->budgets, degrade->budget, &who, degrade->start, clock_wall_s());
    }
}

enum step_result step_decide(struct exchange *x)
{
    struct chat_error error = {PROBLEM_NO_MEMORY, STR(""), STR("")};
    enum status permitted = permit(x, &error);
    if (permitted != ST_OK) {
        return permitted == ST_INVALID
                   ? exchange_refuse(x, error.problem, error.message, error.param)
                   : exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    recall(x);
    feel_pressure(x);
    struct rule_facts facts = {&x->chat.prompt, header, x,
                               x->snapshot->conf.budgets.count > 0 ? purse : NULL, health};
    enum status st =
        decide(&x->snapshot->conf.routes, &x->worker->scratch, &facts, x->arena, &x->decision);
    if (st == ST_NOT_FOUND) {
        return refuse_model(x);
    }
    if (st == ST_NO_MEMORY) {
        return exchange_refuse(x, PROBLEM_NO_MEMORY, STR(""), STR(""));
    }
    bool is_served = st != ST_OK || warmth_apply(x);
    if (x->endpoint->write != NULL) { /* /v1/route: explained, not dispatched */
        exchange_go(x, EX_PAGE);
        return STEP_MORE;
    }
    remember(x);
    if (st == ST_INVALID) {
        return refuse_candidates(x);
    }
    if (!is_served) {
        return exchange_refuse(x, PROBLEM_EXPERT_NOT_READY,
                               STR("The expert's model is not loaded; it is being loaded now."),
                               STR(""));
    }
    watch(x);
    x->leg.place.is_forced = x->decision.candidates[0].health.why != NULL;
    if (!failover_begin(x)) {
        return STEP_MORE;
    }
    exchange_go(x, lookup_is_wanted(x) ? EX_LOOKUP : EX_DISPATCH);
    return STEP_MORE;
}
