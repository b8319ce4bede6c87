/* Whether answers are kept for requests that are the same to the last byte. The same keys stand under an
 * expert and under a category; gateway/lookup.h obeys them. Immutable. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/keys.h"

struct caching {
    int64_t ttl_s; /* 0: not given, nothing is kept */
    bool sampled;
};

extern const struct keys caching_keys;

/* The row of a block whose struct has a member `caching`. */
#define CACHING_ROW(owner)                                                                         \
    {                                                                                              \
        .name = "cache", .type = KEY_BLOCK, .offset = offsetof(owner, caching),                    \
        .sentence = "keeps answers for requests that are the same to the last byte; a category's " \
                    "block counts before an expert's",                                             \
        .block = &caching_keys                                                                     \
    }
