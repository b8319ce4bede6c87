/* See gcra.h. */
#include "policies/gcra.h"

static const int64_t NS_PER_MINUTE = 60000000000;

/* Debts end somewhere: 30 years. Keeps every sum below in 64 bits. */
static const int64_t SPAN_MAX_NS = 1000000000000000000;

struct gcra gcra_per_minute(int64_t per_minute)
{
    return (struct gcra){.interval_ns = NS_PER_MINUTE / per_minute, .burst = per_minute};
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How long units take, clamped. */
static int64_t span(const struct gcra *limit, int64_t units)
{
    if (units > SPAN_MAX_NS / limit->interval_ns) {
        return SPAN_MAX_NS;
    }
    if (units < -(SPAN_MAX_NS / limit->interval_ns)) {
        return -SPAN_MAX_NS;
    }
    return units * limit->interval_ns;
}

struct gcra_verdict gcra_take(const struct gcra *limit, int64_t tat_ns, int64_t now_ns,
                              int64_t cost)
{
    int64_t most = span(limit, limit->burst);
    int64_t base = larger(tat_ns, now_ns);
    int64_t next = base + span(limit, cost);
    struct gcra_verdict v = {.is_never = cost > limit->burst};
    v.is_allowed = !v.is_never && next - now_ns <= most;
    v.tat_ns = v.is_allowed ? next : tat_ns;
    int64_t ahead = (v.is_allowed ? next : base) - now_ns;
    v.remaining = ahead >= most ? 0 : (most - ahead) / limit->interval_ns;
    v.reset_ns = ahead;
    v.retry_ns = v.is_allowed || v.is_never ? 0 : next - now_ns - most;
    return v;
}

int64_t gcra_correct(const struct gcra *limit, int64_t tat_ns, int64_t now_ns, int64_t more)
{
    /* A debt starts now at the earliest; what is given back of a time that has passed is lost. */
    int64_t base = more > 0 ? larger(tat_ns, now_ns) : tat_ns;
    int64_t next = larger(base + span(limit, more), 0);
    return next - now_ns > SPAN_MAX_NS ? now_ns + SPAN_MAX_NS : next;
}
