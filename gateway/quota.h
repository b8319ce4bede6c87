/* What a tenant uses: rates, requests in work, counters. One object per tenant's name for the life of
 * the process, so that a reload forgives nothing. Shared by all workers, without locks: each limit's
 * state is one 64-bit atomic (see policies/gcra.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "gateway/metrics.h"

struct quota;
struct quotas; /* the process's, all of them */

/* X(name, label, sentence): limits, in the order in which they are looked at */
#define QUOTA_LIMITS(X)                                                                            \
    X(CONCURRENCY, "concurrency", "requests at the same time")                                     \
    X(TOKENS, "tokens_per_minute", "tokens per minute")                                            \
    X(REQUESTS, "requests_per_minute", "requests per minute")

enum quota_limit {
#define QUOTA_MEMBER(name, label, sentence) QUOTA_##name,
    QUOTA_LIMITS(QUOTA_MEMBER)
#undef QUOTA_MEMBER
};

struct quota_rate { /* from the configuration; 0: no limit */
    int64_t requests_per_minute;
    int64_t tokens_per_minute;
    int64_t concurrency;
};

struct quota_standing { /* of one rate, for x-ratelimit-* */
    int64_t limit;      /* 0: none */
    int64_t remaining;
    int64_t reset_ms;
};

struct quota_verdict {
    bool is_allowed;
    enum quota_limit limit; /* which one refused */
    bool is_never;          /* more tokens than a minute has */
    int64_t retry_ms;       /* when to come again; 0 for is_never */
    struct quota_standing requests;
    struct quota_standing tokens;
};

struct quotas *quotas_create(void);     /* NULL: no memory */
void quotas_destroy(struct quotas *qs); /* NULL allowed */

/* The one of this name, made on first use, held until quotas_put. By the thread that loads
 * configurations. NULL: no memory. */
struct quota *quotas_get(struct quotas *qs, struct str name);
void quotas_put(struct quota *q); /* any thread */

/* Frees those that nobody has held for long, see base/roll.h. By the thread that loads configurations. */
void quotas_sweep(struct quotas *qs);

/* Admits a request of about so many tokens, or refuses it and takes nothing. An admitted one must be
 * released once. Any thread. */
struct quota_verdict quota_admit(struct quota *q, const struct quota_rate *rate, int64_t now_us,
                                 int64_t tokens);

/* The request is over: `tokens` were taken for it, `used` it has used. */
void quota_release(struct quota *q, const struct quota_rate *rate, int64_t now_us, int64_t tokens,
                   int64_t used);

/* Counts a request that ended. Any thread. */
void quota_count(struct quota *q, enum metrics_outcome outcome, int64_t prompt_tokens,
                 int64_t completion_tokens);

const char *quota_limit_text(enum quota_limit limit); /* "tokens per minute" */

/* Appends their part of the page of metrics. Any thread. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status quotas_write_metrics(struct quotas *qs, struct buf *out);
