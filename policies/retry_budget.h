/* What a process may repeat: a bucket of tokens that keeps retries from becoming a storm. Each request
 * brings a share of a token, each repeated attempt takes a whole one; beside that a few tokens come
 * with time, so that a process with little traffic may repeat too. Attempts at experts that a request
 * has not asked before take nothing: they multiply nobody's load.
 *
 * Shared by all workers. The two numbers are atomics; requests only read while the bucket is full,
 * which it is while nothing fails. Time is passed in. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct retry_budget { /* written and read by all workers, relaxed: a count, no order hangs on it */
    atomic_int_fast64_t milli; /* thousandths of tokens; a little below 0 when workers race */
    atomic_int_fast64_t at_ms; /* until when tokens of time were given */
};

enum {
    RETRY_BUDGET_TIMED = 3,  /* tokens that come ... */
    RETRY_BUDGET_MS = 10000, /* ... in this time */
    RETRY_BUDGET_REQUESTS =
        100, /* the bucket holds the shares of so many requests, and RETRY_BUDGET_TIMED */
};

/* Full of what comes with time. */
void retry_budget_init(struct retry_budget *b, int64_t now_ms);

/* A request came: `share` of a token is added. */
void retry_budget_earn(struct retry_budget *b, double share);

/* Whether there is a token. */
bool retry_budget_has(struct retry_budget *b, int64_t now_ms);

/* Takes one. Workers that ask at the same time may take one each where there was one only. */
void retry_budget_take(struct retry_budget *b);
