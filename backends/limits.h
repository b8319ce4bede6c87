/* What an operator says of an expert's health and load: when its breaker opens, how many attempts it
 * may have at a time, how many may wait for it, how it is probed. Words only; gateway/health.c lives by
 * them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/keys.h"

struct limits_breaker { /* see policies/breaker.h */
    int64_t failures;
    int64_t window_ms;
    int64_t open_ms;
    int64_t open_max_ms;
    int64_t half_open;
    bool cool_down;
    bool is_given; /* an expert without one has that of `policies` */
};

struct limits_concurrency { /* see policies/concurrency.h */
    int64_t min;
    int64_t max; /* 0: no limit */
    bool adaptive;
};

struct limits_probe {
    struct str path; /* "": not probed */
    int64_t interval_ms;
    int64_t timeout_ms;
    int64_t unhealthy;
    int64_t healthy;
};

struct limits {
    struct limits_breaker breaker;
    struct limits_concurrency concurrency;
    int64_t queue;
    int64_t queue_ms;
    struct limits_probe probe;
};

extern const struct keys limits_breaker_keys;
extern const struct keys limits_concurrency_keys;
extern const struct keys limits_probe_keys;

/* For KEY_CUSTOM: a block that notes that it is there; a number, or a block. */
MUST_CHECK enum status limits_decode_breaker(struct key_reader *reader,
                                             const struct yaml_node *node, void *field);
MUST_CHECK enum status limits_decode_concurrency(struct key_reader *reader,
                                                 const struct yaml_node *node, void *field);

/* The rows of a block whose struct has a member `limits`. */
#define LIMITS_AT(owner, member) offsetof(owner, limits) + offsetof(struct limits, member)
#define LIMITS_ROWS(owner)                                                                         \
    {.name = "breaker",                                                                            \
     .type = KEY_CUSTOM,                                                                           \
     .offset = LIMITS_AT(owner, breaker),                                                          \
     .sentence = "when it gets no more requests for a while; absent: as policies.breaker",         \
     .example = "{failures: 5, open_ms: 10000}",                                                   \
     .decode = limits_decode_breaker,                                                              \
     .block = &limits_breaker_keys,                                                                \
     .custom_type = "object"},                                                                     \
        {.name = "concurrency",                                                                    \
         .type = KEY_CUSTOM,                                                                       \
         .offset = LIMITS_AT(owner, concurrency),                                                  \
         .sentence = "requests that it has at the same time: a number, or {min, max, adaptive}, "  \
                     "which follows its latency; absent: any number",                              \
         .example = "64",                                                                          \
         .decode = limits_decode_concurrency,                                                      \
         .block = &limits_concurrency_keys},                                                       \
        {.name = "queue",                                                                          \
         .type = KEY_INT,                                                                          \
         .offset = LIMITS_AT(owner, queue),                                                        \
         .min = 0,                                                                                 \
         .max = 100000,                                                                            \
         .fallback = "128",                                                                        \
         .sentence = "requests that may wait for it while it has all that concurrency allows; "    \
                     "the next one goes to the next expert"},                                      \
    {                                                                                              \
        .name = "queue_ms", .type = KEY_INT, .offset = LIMITS_AT(owner, queue_ms), .min = 1,       \
        .max = 3600000, .unit = "ms", .fallback = "10000",                                         \
        .sentence = "how long one may wait; then it goes to the next expert"                       \
    }
