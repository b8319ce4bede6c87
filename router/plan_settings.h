/* What operators say about retries and fallbacks: keys of the block `policies`. plan.h applies them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/keys.h"
#include "base/status.h"

/* X(name, word): why an attempt brought no answer. Those with a word may stand in `retry_on`. */
#define PLAN_CAUSES(X)                                                                             \
    X(CONNECT, "connect")           /* no connection */                                            \
    X(TIMEOUT, "timeout")           /* a deadline of the attempt; 408 */                           \
    X(CUT, "cut")                   /* the answer broke off, none of it was passed on */           \
    X(BAD_REPLY, "bad_reply")       /* it breaks the rules of HTTP, JSON or event streams */       \
    X(RATE_LIMIT, "rate_limit")     /* 429 */                                                      \
    X(SERVER_ERROR, "server_error") /* 5xx */                                                      \
    X(CONTEXT, "")                  /* the prompt is too long for this expert */                   \
    X(QUOTA, "")                    /* the money for it is used up, there or here */               \
    X(FINAL, "")                    /* nobody else is to be asked */

enum plan_cause {
#define PLAN_MEMBER(name, word) PLAN_##name,
    PLAN_CAUSES(PLAN_MEMBER)
#undef PLAN_MEMBER
};

struct plan_settings {
    int64_t attempts;  /* at most, repeated ones included */
    int64_t retries;   /* how often one expert is asked again */
    unsigned retry_on; /* bits by enum plan_cause */
    bool retry_first;  /* the same expert again before another one */
    int64_t backoff_ms;
    int64_t backoff_max_ms;
    int64_t retry_after_max_ms;
    double retry_budget; /* repeated attempts per request, see policies/retry_budget.h */
    int64_t deadline_ms; /* of the whole exchange */
};

struct plan_hedge {   /* a second call beside one that is late */
    int64_t after_ms; /* 0: the expert's 95th percentile to the first token */
    double max;       /* of these per request; 0: none */
};

/* The words of a list -> bits of retry_on; for KEY_CUSTOM. Mistakes go to reader->diags; ST_OK. */
enum status plan_settings_decode_causes(struct key_reader *reader, const struct yaml_node *node,
                                        void *field);

/* "p95", or a number of ms; for KEY_CUSTOM. Mistakes go to reader->diags; ST_OK. */
enum status plan_settings_decode_after(struct key_reader *reader, const struct yaml_node *node,
                                       void *field);
