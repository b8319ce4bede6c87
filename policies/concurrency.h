/* How many attempts an expert should have at a time: a fixed number, or one that follows its latency.
 * Pure.
 *
 * The adaptive limit is the "gradient2" algorithm of Netflix' concurrency-limits (Gradient2Limit,
 * https://github.com/Netflix/concurrency-limits; Envoy's adaptive concurrency filter is its kin): a
 * queue at the expert shows as latency that rises over its long-term average.
 *
 *     gradient = clamp(TOLERANCE * long / short, 0.5, 1)
 *     limit    = (1 - SMOOTHING) * limit + SMOOTHING * (limit * gradient + HEADROOM)
 *
 * `short` averages over about ten attempts, `long` over about six hundred. The limit only moves while
 * at least half of it is in use: an idle expert proves nothing. A refusal for overload (429, 503, a
 * time-out) takes a tenth of it at once. The latency is that of the first token: how long the whole
 * answer takes says how long the answer is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct concurrency_rule {
    int64_t min;
    int64_t max; /* 0: no limit */
    bool is_adaptive;
};

struct concurrency { /* private; zero: nothing seen */
    double limit;
    double short_us;
    double long_us;
};

/* How many may run at once now; 0: any number. */
int64_t concurrency_limit(const struct concurrency *c, const struct concurrency_rule *rule);

/* An attempt answered after latency_us, when in_flight were running, itself among them. */
void concurrency_observe(struct concurrency *c, const struct concurrency_rule *rule,
                         int64_t in_flight, int64_t latency_us);

/* The expert refused for overload. */
void concurrency_drop(struct concurrency *c, const struct concurrency_rule *rule);
