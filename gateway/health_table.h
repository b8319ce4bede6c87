/* What health.c keeps of an expert. Private to health.c and health_page.c. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/container.h"
#include "base/roll.h"
#include "gateway/health.h"
#include "policies/breaker.h"
#include "policies/concurrency.h"
#include "policies/quantile.h"

enum {
    HEALTH_VERDICTS = 4
};

struct health {
    struct roll_entry entry;
    uint64_t url_hash;      /* written before others see it, as name */
    atomic_bool is_current; /* in the configuration in use; written by the loading thread */
    atomic_bool is_unplain; /* shut, or probed for; written under the lock, read without */
    pthread_mutex_t lock;   /* for all that follows */
    struct breaker_rule breaker_rule;
    struct concurrency_rule concurrency_rule;
    bool cools_down;
    bool is_probed; /* so that no request has to try whether it is well again */
    bool is_sick;   /* by its probes */
    bool is_stuck;  /* a kernel of which a call does not return */
    size_t queue_max;
    int64_t probe_bad;
    int64_t probe_good;
    int64_t probes_in_row; /* good ones; bad ones count below 0 */
    struct breaker breaker;
    struct concurrency concurrency;
    struct quantile first_token;
    struct fair_queue queue;
    int64_t in_flight;
    double service_us; /* average from entering to leaving */
    int64_t p50_us;    /* of the first token */
    int64_t p95_us;
    uint64_t
        results[HEALTH_VERDICTS]; /* attempts that were good, bad, said nothing, asked for time */
    uint64_t waited;              /* and got a place */
    uint64_t refused;             /* for a full queue */
    char name[];
};

struct healths {
    struct roll roll;
};

static inline struct health *health_of(struct roll_entry *e)
{
    return CONTAINER_OF(e, struct health, entry);
}
