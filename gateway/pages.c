/* Documents of our own: models, the explained route, health, metrics. Written with json_write; the
 * steps decide when. */
#include <inttypes.h>

#include "backends/managed.h"
#include "base/json_write.h"
#include "base/log.h"
#include "gateway/cache.h"
#include "gateway/editing.h"
#include "gateway/exchange.h"
#include "gateway/explain.h"
#include "gateway/learner.h"
#include "gateway/redaction.h"
#include "gateway/state.h"
#include "gateway/worker.h"
#include "router/drift.h"

struct model_entry { /* what stands in the list of models */
    struct str prefix;
    struct str name;
    const char *kind;
    struct str title;
    bool embeds;
};

static enum status write_model(struct buf *out, const struct model_entry *m)
{
    enum status st = buf_append(out, STR("{\"id\":\""));
    if (st == ST_OK) {
        st = json_write_escaped(out, m->prefix);
    }
    if (st == ST_OK) {
        st = json_write_escaped(out, m->name);
    }
    if (st == ST_OK) {
        st = buf_printf(
            out,
            "\",\"object\":\"model\",\"created\":0,\"owned_by\":\"expertd\",\"kind\":\"%s\","
            "\"title\":",
            m->kind);
    }
    if (st == ST_OK) {
        st = json_write_text(out, m->title);
    }
    return st == ST_OK ? buf_append(out, m->embeds ? STR(",\"embeds\":true}") : STR("}")) : st;
}

/* Calls `see` for each model name that the client may use, until it returns something else than ST_OK. */
static enum status
each_model(const struct exchange *x, struct buf *out,
           enum status (*see)(struct buf *out, const struct model_entry *m, void *ctx), void *ctx)
{
    static const struct permit everything = {.allow = NULL};

    const struct routes *routes = &x->snapshot->conf.routes;
    const struct permit *permit = x->tenant == NULL ? &everything : &x->tenant->permit;
    enum status st = ST_OK;
    if (routes_has_auto(routes) && permit_allows(permit, STR("auto"))) {
        struct model_entry automatic = {STR(""), STR("auto"), "router",
                                        STR("the expert that fits the prompt"),
                                        routes->router.embeddings.len > 0};
        st = see(out, &automatic, ctx);
    }
    const struct category *categories = routes->categories.items;
    for (size_t i = 0; st == ST_OK && i < routes->categories.count; i++) {
        struct model_entry m = {STR("category/"), categories[i].id.name, "category",
                                categories[i].title, false};
        st = permit_allows(permit, categories[i].model) ? see(out, &m, ctx) : ST_OK;
    }
    for (size_t i = 0; st == ST_OK && i < routes->aliases.count; i++) {
        struct str name = routes->aliases.items[i].name;
        struct model_entry m = {STR(""), name, "alias", STR(""), routes_embeds(routes, name)};
        st = permit_allows(permit, m.name) ? see(out, &m, ctx) : ST_OK;
    }
    const struct expert *experts = routes->experts.items;
    for (size_t i = 0; st == ST_OK && i < routes->experts.count; i++) {
        struct model_entry m = {STR(""), experts[i].id.name, "expert", experts[i].title,
                                (experts[i].capabilities & EXPERT_EMBED) != 0};
        st = permit_allows(permit, m.name) ? see(out, &m, ctx) : ST_OK;
    }
    return st;
}

static enum status list_one(struct buf *out, const struct model_entry *m, void *ctx)
{
    bool *is_first = ctx;
    enum status st = *is_first ? ST_OK : buf_append_char(out, ',');
    *is_first = false;
    return st == ST_OK ? write_model(out, m) : st;
}

enum status pages_models(struct exchange *x, struct buf *out)
{
    bool is_first = true;
    enum status st = buf_append(out, STR("{\"object\":\"list\",\"data\":["));
    if (st == ST_OK) {
        st = each_model(x, out, list_one, &is_first);
    }
    return st == ST_OK ? buf_append(out, STR("]}")) : st;
}

static enum status find_one(struct buf *out, const struct model_entry *m, void *ctx)
{
    struct str wanted = *(struct str *)ctx;
    if (!str_starts_with(wanted, m->prefix) ||
        !str_eq(str_slice(wanted, m->prefix.len, wanted.len), m->name)) {
        return ST_OK;
    }
    enum status st = write_model(out, m);
    return st == ST_OK ? ST_CLOSED : st; /* ends the walk */
}

enum status pages_model(struct exchange *x, struct buf *out)
{
    struct str path = http_request_path(x->http);
    struct str name = str_slice(path, x->endpoint->path.len, path.len);
    enum status st = each_model(x, out, find_one, &name);
    if (st == ST_CLOSED) {
        return ST_OK;
    }
    return st == ST_OK ? ST_NOT_FOUND : st;
}

enum status pages_route(struct exchange *x, struct buf *out)
{
    enum status st = explain_write(out, &x->snapshot->conf.routes, &x->worker->scratch,
                                   &x->chat.prompt, &x->decision);
    if (st == ST_OK) {
        buf_truncate(out, out->len - 1); /* the closing brace */
        struct editing of = exchange_editing(x);
        st = buf_append_char(out, ',');
        st = st == ST_OK ? editing_explain(&of, x->chat.body, out) : st;
    }
    st = st == ST_OK ? redaction_explain(x, out) : st;
    return st == ST_OK ? buf_append_char(out, '}') : st;
}

enum status pages_health(struct exchange *x, struct buf *out)
{
    return buf_printf(out, "{\"status\":\"ok\",\"config_generation\":%" PRIu64 "}",
                      x->snapshot->generation);
}

static void tell_drift(const struct drift_figures *f)
{
    for (size_t i = 0; i < DRIFT_WHATS; i++) {
        if (f->news[i] != DRIFT_SAME) {
            log_write(LOG_WARN, "drift", "the distribution of \"%s\" %s: PSI %.3f",
                      drift_what_text((enum drift_what)i),
                      f->news[i] == DRIFT_ALARM ? "is another than at the start"
                                                : "is as it was at the start",
                      f->psi[i]);
        }
    }
}

static enum status write_drift(struct exchange *x, struct buf *out)
{
    struct drift_figures f = drift_look(x->worker->drift, exchange_weights(x));
    tell_drift(&f);
    enum status st = buf_append(
        out, STR("# HELP expertd_drift_psi How far the classifier's answers are from those after "
                 "the start; over 0.25: other traffic.\n"
                 "# TYPE expertd_drift_psi gauge\n"));
    for (size_t i = 0; st == ST_OK && i < DRIFT_WHATS; i++) {
        st = buf_printf(out, "expertd_drift_psi{of=\"%s\"} %.6f\n",
                        drift_what_text((enum drift_what)i), f.psi[i]);
    }
    return st != ST_OK ? st
                       : buf_printf(out,
                                    "# HELP expertd_drift_reference 1 once there is something to "
                                    "compare with.\n"
                                    "# TYPE expertd_drift_reference gauge\n"
                                    "expertd_drift_reference %d\n"
                                    "# HELP expertd_drift_page_hinkley How much confidence is "
                                    "missing; over 50 it has fallen.\n"
                                    "# TYPE expertd_drift_page_hinkley gauge\n"
                                    "expertd_drift_page_hinkley %.3f\n",
                                    f.has_reference ? 1 : 0, f.page_hinkley);
}

enum status pages_metrics(struct exchange *x, struct buf *out)
{
    struct worker *w = x->worker;
    enum status st = metrics_write(w->metrics, out);
    if (st == ST_OK) {
        st = buf_printf(
            out,
            "# HELP expertd_access_log_dropped_total Batches of lines that did not fit.\n"
            "# TYPE expertd_access_log_dropped_total counter\n"
            "expertd_access_log_dropped_total %" PRIu64 "\n",
            access_log_dropped(w->access_log));
    }
    if (st == ST_OK) {
        st = write_drift(x, out);
    }
    if (st == ST_OK) {
        st = cache_write_metrics(w->cache, out);
    }
    if (st == ST_OK) {
        st = budgets_write_metrics(&x->snapshot->conf.budgets, clock_wall_s(), out);
    }
    if (st == ST_OK && w->state != NULL) {
        st = state_write_metrics(w->state, out);
    }
    if (st == ST_OK) {
        st = quotas_write_metrics(w->quotas, out);
    }
    if (st == ST_OK && x->snapshot->managed != NULL) {
        st = managed_set_write_metrics(x->snapshot->managed, out);
    }
    if (st == ST_OK) {
        st = healths_write_metrics(w->healths, clock_now_us(loop_clock(w->loop)), out);
    }
    if (st == ST_OK && w->learner != NULL) {
        st = learner_write_metrics(w->learner, out);
    }
    return st;
}

enum status pages_processes(struct exchange *x, struct buf *out)
{
    return x->snapshot->managed == NULL ? buf_append(out, STR("[]"))
                                        : managed_set_write_json(x->snapshot->managed, out);
}

/* POST /admin/experts/NAME/load and /unload. What it leads to is seen in /admin/processes. */
enum status pages_expert(struct exchange *x, struct buf *out)
{
    static const struct {
        struct str verb;
        void (*act)(struct managed *m);
    } verbs[] = {
        {STR_INIT("/load"), managed_load},
        {STR_INIT("/unload"), managed_unload},
    };

    struct str path = http_request_path(x->http);
    struct str rest = str_slice(path, x->endpoint->path.len, path.len);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (!str_ends_with(rest, verbs[i].verb)) {
            continue;
        }
        struct str name = str_slice(rest, 0, rest.len - verbs[i].verb.len);
        const struct expert *e = routes_expert(&x->snapshot->conf.routes, name);
        if (e != NULL && e->managed != NULL) {
            verbs[i].act(e->managed);
            return buf_printf(out, "{\"accepted\":true,\"wait_ms\":%" PRId64 "}",
                              managed_wait_ms(e->managed));
        }
    }
    return ST_NOT_FOUND;
}

enum status pages_experts(struct exchange *x, struct buf *out)
{
    return healths_write_json(x->worker->healths, clock_now_us(loop_clock(x->worker->loop)), out);
}
