/* Chooses the next token from logits: greedily, or by chance with temperature, top-k and top-p. The
 * same seed and logits give the same tokens. One per answer; not thread-safe. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct sampling {
    double temperature; /* 0: always the most probable token */
    double top_p;  /* of the most probable tokens, so many as make up this probability; 1: all */
    int64_t top_k; /* only so many of the most probable ones; 0: all */
    uint64_t seed;
};

struct sampler_choice {
    float share; /* of all, not normalised */
    int32_t id;
};

struct sampler { /* private */
    struct sampling sampling;
    uint64_t state;
    struct sampler_choice *choices;
    size_t count;
};

/* For a vocabulary of `count` tokens. ST_NO_MEMORY. */
MUST_CHECK enum status sampler_init(struct sampler *s, const struct sampling *sampling,
                                    size_t count);
void sampler_fini(struct sampler *s);

/* The token, or -1: no logit is a number. Of equals the lowest token is the most probable. */
int32_t sampler_pick(struct sampler *s, const float *logits);
