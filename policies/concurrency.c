/* See concurrency.h. */
#include "policies/concurrency.h"

static const double INITIAL = 20;    /* as the original */
static const double HEADROOM = 4;    /* queue_size of the original: attempts that may wait */
static const double TOLERANCE = 1.5; /* latency may be so much over the average */
static const double SMOOTHING = 0.2;
static const double SHORT_SHARE = 0.1; /* about ten attempts */
static const double LONG_SHARE = 1.0 / 600;
static const double RECOVERY = 0.95; /* of a long average that is far too high */
static const double DROP_SHARE = 0.9;

static double clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

static double limit_of(const struct concurrency *c, const struct concurrency_rule *rule)
{
    return clamp(c->limit > 0 ? c->limit : INITIAL, (double)rule->min, (double)rule->max);
}

int64_t concurrency_limit(const struct concurrency *c, const struct concurrency_rule *rule)
{
    if (rule->max == 0 || !rule->is_adaptive) {
        return rule->max;
    }
    double limit = limit_of(c, rule);
    return (int64_t)limit;
}

static double average(double old, double value, double share)
{
    return old > 0 ? old + (value - old) * share : value;
}

void concurrency_observe(struct concurrency *c, const struct concurrency_rule *rule,
                         int64_t in_flight, int64_t latency_us)
{
    if (!rule->is_adaptive || latency_us <= 0) {
        return;
    }
    c->short_us = average(c->short_us, (double)latency_us, SHORT_SHARE);
    c->long_us = average(c->long_us, (double)latency_us, LONG_SHARE);
    if (c->long_us > 2 * c->short_us) { /* a bad time is over: forget it quickly */
        c->long_us *= RECOVERY;
    }
    double limit = limit_of(c, rule);
    if ((double)in_flight < limit / 2) {
        return;
    }
    double gradient = clamp(TOLERANCE * c->long_us / c->short_us, 0.5, 1);
    double next = limit * gradient + HEADROOM;
    c->limit = clamp(limit + (next - limit) * SMOOTHING, (double)rule->min, (double)rule->max);
}

void concurrency_drop(struct concurrency *c, const struct concurrency_rule *rule)
{
    if (rule->is_adaptive) {
        c->limit = clamp(limit_of(c, rule) * DROP_SHARE, (double)rule->min, (double)rule->max);
    }
}
