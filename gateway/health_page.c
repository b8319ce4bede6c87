/* How experts are, as documents: /admin/experts and their part of /metrics. Each expert's facts are
 * taken under its lock and written without it. */
#include <inttypes.h>

#include "base/json_write.h"
#include "gateway/health_table.h"
#include "gateway/metrics.h"

struct facts {
    const char *name;
    const char *state;
    bool is_cooling;
    bool is_sick;
    bool is_stuck;
    int64_t opens_ms;
    int64_t in_flight;
    int64_t limit;
    int64_t queued;
    int64_t p50_us;
    int64_t p95_us;
    int64_t service_us;
    uint64_t opened;
    uint64_t waited;
    uint64_t refused;
    uint64_t results[HEALTH_VERDICTS];
};

static const char *const result_texts[HEALTH_VERDICTS] = {"success", "failure", "neutral",
                                                          "cool_down"};

static struct facts take(struct health *h, int64_t now_us)
{
    (void)pthread_mutex_lock(&h->lock);
    struct facts f = {
        .name = h->name,
        .state = breaker_state_text(h->breaker.state),
        .is_cooling = h->breaker.is_cooling,
        .is_sick = h->is_sick,
        .is_stuck = h->is_stuck,
        .opens_ms = breaker_wait_ms(&h->breaker, now_us / 1000),
        .in_flight = h->in_flight,
        .limit = concurrency_limit(&h->concurrency, &h->concurrency_rule),
        .queued = (int64_t)h->queue.count,
        .p50_us = h->p50_us,
        .p95_us = h->p95_us,
        .service_us = (int64_t)h->service_us,
        .opened = h->breaker.opened,
        .waited = h->waited,
        .refused = h->refused,
    };
    for (size_t i = 0; i < HEALTH_VERDICTS; i++) {
        f.results[i] = h->results[i];
    }
    (void)pthread_mutex_unlock(&h->lock);
    return f;
}

/* The first current one from e on. NULL: there is none. */
static struct health *next_current(struct roll_entry *e)
{
    while (e != NULL && !atomic_load(&health_of(e)->is_current)) {
        e = e->next;
    }
    return e == NULL ? NULL : health_of(e);
}

/* ---------------------------------------------------------------- JSON */

static enum status write_object(struct buf *out, const struct facts *f)
{
    enum status st = buf_append(out, STR("{\"expert\":"));
    if (st == ST_OK) {
        st = json_write_text(out, str_from(f->name));
    }
    if (st == ST_OK) {
        st = buf_printf(
            out,
            ",\"breaker\":\"%s\",\"cooling_down\":%s,\"healthy\":%s,\"stuck\":%s,\"opens_in_ms\":%" PRId64
            ",\"in_flight\":%" PRId64 ",\"limit\":",
            f->state, f->is_cooling ? "true" : "false", f->is_sick ? "false" : "true",
            f->is_stuck ? "true" : "false", f->opens_ms, f->in_flight);
    }
    if (st == ST_OK) {
        st = f->limit == 0 ? buf_append(out, STR("null")) : buf_printf(out, "%" PRId64, f->limit);
    }
    if (st == ST_OK) {
        st = buf_printf(
            out,
            ",\"queued\":%" PRId64 ",\"first_token_us\":{\"p50\":%" PRId64 ",\"p95\":%" PRId64
            "},\"service_us\":%" PRId64 ",\"breaker_opened\":%" PRIu64 ",\"waited\":%" PRIu64
            ",\"refused\":%" PRIu64 ",\"attempts\":{",
            f->queued, f->p50_us, f->p95_us, f->service_us, f->opened, f->waited, f->refused);
    }
    for (size_t i = 0; st == ST_OK && i < HEALTH_VERDICTS; i++) {
        st =
            buf_printf(out, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",", result_texts[i], f->results[i]);
    }
    return st == ST_OK ? buf_append(out, STR("}}")) : st;
}

enum status healths_write_json(struct healths *hs, int64_t now_us, struct buf *out)
{
    enum status st = buf_append_char(out, '[');
    roll_lock(&hs->roll);
    struct health *first = next_current(hs->roll.first);
    for (struct health *h = first; st == ST_OK && h != NULL; h = next_current(h->entry.next)) {
        struct facts f = take(h, now_us);
        st = h == first ? ST_OK : buf_append(out, STR(",\n"));
        if (st == ST_OK) {
            st = write_object(out, &f);
        }
    }
    roll_unlock(&hs->roll);
    return st == ST_OK ? buf_append(out, STR("]\n")) : st;
}

/* ---------------------------------------------------------------- metrics */

/* NAME{expert="...",LABEL="VALUE"} */
static enum status write_name(struct buf *out, const char *name, const struct facts *f,
                              const char *label, const char *value)
{
    enum status st = buf_printf(out, "%s{", name);
    if (st == ST_OK) {
        st = metrics_write_label(out, "expert", f->name);
    }
    if (st == ST_OK && label != NULL) {
        st = buf_printf(out, ",%s=\"%s\"", label, value);
    }
    return st == ST_OK ? buf_append(out, STR("} ")) : st;
}

static enum status write_count(struct buf *out, const char *name, const struct facts *f, int64_t n)
{
    enum status st = write_name(out, name, f, NULL, NULL);
    return st == ST_OK ? buf_printf(out, "%" PRId64 "\n", n) : st;
}

static enum status write_state(struct buf *out, const char *name, const struct facts *f)
{
    enum status st = ST_OK;
    for (int s = BREAKER_CLOSED; st == ST_OK && s <= BREAKER_HALF_OPEN; s++) {
        const char *text = breaker_state_text((enum breaker_state)s);
        st = write_name(out, name, f, "state", text);
        if (st == ST_OK) {
            st = buf_append(out, text == f->state ? STR("1\n") : STR("0\n"));
        }
    }
    return st;
}

static enum status write_healthy(struct buf *out, const char *name, const struct facts *f)
{
    return write_count(out, name, f, !f->is_sick);
}

static enum status write_stuck(struct buf *out, const char *name, const struct facts *f)
{
    return write_count(out, name, f, f->is_stuck);
}

static enum status write_opened(struct buf *out, const char *name, const struct facts *f)
{
    return write_count(out, name, f, (int64_t)f->opened);
}

static enum status write_in_flight(struct buf *out, const char *name, const struct facts *f)
{
    return write_count(out, name, f, f->in_flight);
}

static enum status write_limit(struct buf *out, const char *name, const struct facts *f)
{
    return write_count(out, name, f, f->limit);
}

static enum status write_queued(struct buf *out, const char *name, const struct facts *f)
{
    return write_count(out, name, f, f->queued);
}

static enum status write_refused(struct buf *out, const char *name, const struct facts *f)
{
    return write_count(out, name, f, (int64_t)f->refused);
}

static enum status write_results(struct buf *out, const char *name, const struct facts *f)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < HEALTH_VERDICTS; i++) {
        st = write_name(out, name, f, "result", result_texts[i]);
        if (st == ST_OK) {
            st = buf_printf(out, "%" PRIu64 "\n", f->results[i]);
        }
    }
    return st;
}

static enum status write_first_token(struct buf *out, const char *name, const struct facts *f)
{
    enum status st = write_name(out, name, f, "quantile", "0.5");
    if (st == ST_OK) {
        st = buf_printf(out, "%.6f\n", (double)f->p50_us / 1e6);
    }
    if (st == ST_OK) {
        st = write_name(out, name, f, "quantile", "0.95");
    }
    return st == ST_OK ? buf_printf(out, "%.6f\n", (double)f->p95_us / 1e6) : st;
}

static const struct {
    const char *name;
    const char *type;
    const char *sentence;
    enum status (*write)(struct buf *out, const char *name, const struct facts *f);
} families[] = {
    {"expertd_expert_breaker", "gauge", "1 for the state that the expert's breaker is in.",
     write_state},
    {"expertd_expert_healthy", "gauge", "0 while it fails its health checks.", write_healthy},
    {"expertd_expert_stuck", "gauge", "1 while a call to it (a kernel) does not return.",
     write_stuck},
    {"expertd_expert_breaker_opened_total", "counter", "How often its breaker opened.",
     write_opened},
    {"expertd_expert_attempts_total", "counter", "Attempts that ended, by what they say of it.",
     write_results},
    {"expertd_expert_in_flight", "gauge", "Attempts at it in work.", write_in_flight},
    {"expertd_expert_concurrency_limit", "gauge", "Attempts that it may have; 0: any number.",
     write_limit},
    {"expertd_expert_queued", "gauge", "Requests that wait for it.", write_queued},
    {"expertd_expert_queue_refused_total", "counter", "Requests that found its queue full.",
     write_refused},
    {"expertd_expert_first_token_seconds", "gauge",
     "Quantiles of its last times to the first token.", write_first_token},
};

enum status healths_write_metrics(struct healths *hs, int64_t now_us, struct buf *out)
{
    enum status st = ST_OK;
    roll_lock(&hs->roll);
    struct health *first = next_current(hs->roll.first);
    for (size_t i = 0; first != NULL && st == ST_OK && i < sizeof families / sizeof families[0];
         i++) {
        st = buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", families[i].name, families[i].sentence,
                        families[i].name, families[i].type);
        for (struct health *h = first; st == ST_OK && h != NULL; h = next_current(h->entry.next)) {
            struct facts f = take(h, now_us);
            st = families[i].write(out, families[i].name, &f);
        }
    }
    roll_unlock(&hs->roll);
    return st;
}
