/* See quota.h. */
#include "gateway/quota.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/container.h"
#include "base/mem.h"
#include "base/roll.h"
#include "policies/gcra.h"

enum {
    NAME_BYTES = 129,
    OUTCOMES = METRICS_INTERNAL + 1,
    LIMITS = QUOTA_REQUESTS + 1,
    CONCURRENCY_RETRY_MS = 1000, /* when one of its requests ends is not known; SDKs wait as long */
};

/* Written and read by all workers; the name by the loading thread before others see it. */
struct quota {
    struct roll_entry entry;
    char name[NAME_BYTES];
    _Atomic int64_t requests_tat_ns;
    _Atomic int64_t tokens_tat_ns;
    _Atomic int64_t in_flight;
    atomic_uint_fast64_t outcomes[OUTCOMES];
    atomic_uint_fast64_t refused[LIMITS];
    atomic_uint_fast64_t prompt_tokens;
    atomic_uint_fast64_t completion_tokens;
};

struct quotas {
    struct roll roll;
};

static const struct {
    const char *label;
    const char *sentence;
} limit_table[LIMITS] = {

#define QUOTA_ROW(name, label, sentence) [QUOTA_##name] = {label, sentence},
    QUOTA_LIMITS(QUOTA_ROW)
#undef QUOTA_ROW
};

static struct quota *quota_of(struct roll_entry *e)
{
    return CONTAINER_OF(e, struct quota, entry);
}

static void drop(struct roll_entry *e)
{
    mem_free(quota_of(e));
}

struct quotas *quotas_create(void)
{
    struct quotas *qs = mem_zalloc(1, sizeof *qs);
    if (qs != NULL) {
        roll_init(&qs->roll);
    }
    return qs;
}

void quotas_destroy(struct quotas *qs)
{
    if (qs != NULL) {
        roll_fini(&qs->roll, drop);
        mem_free(qs);
    }
}

struct quota *quotas_get(struct quotas *qs, struct str name)
{
    struct str kept = str_slice(name, 0, NAME_BYTES - 1);
    struct roll_entry *e = qs->roll.first;
    while (e != NULL && !str_eq(str_from(quota_of(e)->name), kept)) {
        e = e->next;
    }
    if (e == NULL) {
        struct quota *q = mem_zalloc(1, sizeof *q);
        if (q == NULL) {
            return NULL;
        }
        memcpy(q->name, kept.ptr, kept.len);
        e = &q->entry;
        roll_add(&qs->roll, e);
    }
    roll_hold(e);
    return quota_of(e);
}

void quotas_put(struct quota *q)
{
    roll_release(&q->entry);
}

void quotas_sweep(struct quotas *qs)
{
    roll_sweep(&qs->roll, drop);
}

/* ---------------------------------------------------------------- limits */

static struct gcra_verdict take(_Atomic int64_t *tat_ns, const struct gcra *limit, int64_t now_ns,
                                int64_t cost)
{
    int64_t old = atomic_load(tat_ns);
    struct gcra_verdict v = gcra_take(limit, old, now_ns, cost);
    while (v.is_allowed && !atomic_compare_exchange_weak(tat_ns, &old, v.tat_ns)) {
        v = gcra_take(limit, old, now_ns, cost);
    }
    return v;
}

static void correct(_Atomic int64_t *tat_ns, int64_t per_minute, int64_t now_us, int64_t more)
{
    if (per_minute == 0 || more == 0) {
        return;
    }
    struct gcra limit = gcra_per_minute(per_minute);
    int64_t old = atomic_load(tat_ns);
    while (!atomic_compare_exchange_weak(tat_ns, &old,
                                         gcra_correct(&limit, old, now_us * 1000, more))) {
    }
}

static bool enter(struct quota *q, int64_t most)
{
    int64_t old = atomic_load(&q->in_flight);
    while (most == 0 || old < most) {
        if (atomic_compare_exchange_weak(&q->in_flight, &old, old + 1)) {
            return true;
        }
    }
    return false;
}

/* One rate of a request: true when it passes. */
static bool pass(_Atomic int64_t *tat_ns, int64_t per_minute, int64_t now_us, int64_t cost,
                 struct quota_standing *ret_standing, struct quota_verdict *verdict)
{
    if (per_minute == 0) {
        return true;
    }
    struct gcra limit = gcra_per_minute(per_minute);
    struct gcra_verdict v = take(tat_ns, &limit, now_us * 1000, cost);
    *ret_standing =
        (struct quota_standing){per_minute, v.remaining, (v.reset_ns + 999999) / 1000000};
    verdict->is_never = v.is_never;
    verdict->retry_ms = (v.retry_ns + 999999) / 1000000;
    return v.is_allowed;
}

static struct quota_verdict refuse(struct quota *q, struct quota_verdict v, enum quota_limit limit)
{
    v.limit = limit;
    v.is_allowed = false;
    (void)atomic_fetch_add(&q->refused[limit], 1);
    return v;
}

struct quota_verdict quota_admit(struct quota *q, const struct quota_rate *rate, int64_t now_us,
                                 int64_t tokens)
{
    struct quota_verdict v = {.is_allowed = true};
    if (!enter(q, rate->concurrency)) {
        v.retry_ms = CONCURRENCY_RETRY_MS;
        return refuse(q, v, QUOTA_CONCURRENCY);
    }
    if (!pass(&q->tokens_tat_ns, rate->tokens_per_minute, now_us, tokens, &v.tokens, &v)) {
        (void)atomic_fetch_sub(&q->in_flight, 1);
        return refuse(q, v, QUOTA_TOKENS);
    }
    if (!pass(&q->requests_tat_ns, rate->requests_per_minute, now_us, 1, &v.requests, &v)) {
        correct(&q->tokens_tat_ns, rate->tokens_per_minute, now_us, -tokens);
        (void)atomic_fetch_sub(&q->in_flight, 1);
        return refuse(q, v, QUOTA_REQUESTS);
    }
    return v;
}

void quota_release(struct quota *q, const struct quota_rate *rate, int64_t now_us, int64_t tokens,
                   int64_t used)
{
    correct(&q->tokens_tat_ns, rate->tokens_per_minute, now_us, used - tokens);
    (void)atomic_fetch_sub(&q->in_flight, 1);
}

const char *quota_limit_text(enum quota_limit limit)
{
    return limit_table[limit].sentence;
}

/* ---------------------------------------------------------------- metrics */

void quota_count(struct quota *q, enum metrics_outcome outcome, int64_t prompt_tokens,
                 int64_t completion_tokens)
{
    (void)atomic_fetch_add(&q->outcomes[outcome], 1);
    (void)atomic_fetch_add(&q->prompt_tokens, (uint64_t)prompt_tokens);
    (void)atomic_fetch_add(&q->completion_tokens, (uint64_t)completion_tokens);
}

/* Names of tenants need no escapes: see tenants.c. */
static enum status write_outcomes(const struct quota *q, struct buf *out)
{
    enum status st = ST_OK;
    for (int i = 0; st == ST_OK && i < OUTCOMES; i++) {
        uint64_t n = atomic_load(&q->outcomes[i]);
        if (n > 0) {
            st = buf_printf(
                out, "expertd_tenant_requests_total{tenant=\"%s\",outcome=\"%s\"} %" PRIu64 "\n",
                q->name, metrics_outcome_text((enum metrics_outcome)i), n);
        }
    }
    return st;
}

static enum status write_refused(const struct quota *q, struct buf *out)
{
    enum status st = ST_OK;
    for (int i = 0; st == ST_OK && i < LIMITS; i++) {
        st = buf_printf(out,
                        "expertd_tenant_refused_total{tenant=\"%s\",limit=\"%s\"} %" PRIu64 "\n",
                        q->name, limit_table[i].label, (uint64_t)atomic_load(&q->refused[i]));
    }
    return st;
}

static enum status write_tokens(const struct quota *q, struct buf *out)
{
    return buf_printf(out,
                      "expertd_tenant_tokens_total{tenant=\"%s\",kind=\"prompt\"} %" PRIu64 "\n"
                      "expertd_tenant_tokens_total{tenant=\"%s\",kind=\"completion\"} %" PRIu64
                      "\n",
                      q->name, (uint64_t)atomic_load(&q->prompt_tokens), q->name,
                      (uint64_t)atomic_load(&q->completion_tokens));
}

static enum status write_in_flight(const struct quota *q, struct buf *out)
{
    return buf_printf(out, "expertd_tenant_requests_in_flight{tenant=\"%s\"} %" PRId64 "\n",
                      q->name, atomic_load(&q->in_flight));
}

static const struct {
    const char *head;
    enum status (*write)(const struct quota *q, struct buf *out);
} families[] = {
    {"# HELP expertd_tenant_requests_total Requests of a tenant that ended, by how they ended.\n"
     "# TYPE expertd_tenant_requests_total counter\n",
     write_outcomes},
    {"# HELP expertd_tenant_refused_total Requests that a limit of the tenant refused.\n"
     "# TYPE expertd_tenant_refused_total counter\n",
     write_refused},
    {"# HELP expertd_tenant_tokens_total Tokens of a tenant, reported or estimated.\n"
     "# TYPE expertd_tenant_tokens_total counter\n",
     write_tokens},
    {"# HELP expertd_tenant_requests_in_flight Requests of a tenant that were admitted and run.\n"
     "# TYPE expertd_tenant_requests_in_flight gauge\n",
     write_in_flight},
};

enum status quotas_write_metrics(struct quotas *qs, struct buf *out)
{
    enum status st = ST_OK;
    roll_lock(&qs->roll);
    const struct roll_entry *first = qs->roll.first;
    for (size_t f = 0; first != NULL && st == ST_OK && f < sizeof families / sizeof families[0];
         f++) {
        st = buf_append(out, str_from(families[f].head));
        for (struct roll_entry *e = qs->roll.first; st == ST_OK && e != NULL; e = e->next) {
            st = families[f].write(quota_of(e), out);
        }
    }
    roll_unlock(&qs->roll);
    return st;
}
