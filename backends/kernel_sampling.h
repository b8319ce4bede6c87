/* The options that kernels of language models share: how their answers are chosen where a request does
 * not say. Key rows for a struct of theirs with members of these names: int64_t max_tokens, top_k, seed;
 * double temperature, top_p. */
#pragma once

#include <stddef.h>

#include "base/keys.h"

#define KERNEL_SAMPLING_ROWS(options, tokens_most, top_k_most)                                     \
    {.name = "max_tokens",                                                                         \
     .type = KEY_INT,                                                                              \
     .offset = offsetof(options, max_tokens),                                                      \
     .min = 1,                                                                                     \
     .max = (tokens_most),                                                                         \
     .unit = "tokens",                                                                             \
     .fallback = "512",                                                                            \
     .sentence = "where a request names no limit: the most tokens of its answer"},                 \
        {.name = "temperature",                                                                    \
         .type = KEY_REAL,                                                                         \
         .offset = offsetof(options, temperature),                                                 \
         .min = 0,                                                                                 \
         .max = 2,                                                                                 \
         .fallback = "0.7",                                                                        \
         .sentence = "where a request names none; 0: always the most probable token"},             \
        {.name = "top_p",                                                                          \
         .type = KEY_REAL,                                                                         \
         .offset = offsetof(options, top_p),                                                       \
         .min = 0,                                                                                 \
         .max = 1,                                                                                 \
         .fallback = "0.95",                                                                       \
         .sentence = "where a request names none: the share of probability that tokens are "       \
                     "chosen from"},                                                               \
        {.name = "top_k",                                                                          \
         .type = KEY_INT,                                                                          \
         .offset = offsetof(options, top_k),                                                       \
         .min = 0,                                                                                 \
         .max = (top_k_most),                                                                      \
         .unit = "tokens",                                                                         \
         .fallback = "40",                                                                         \
         .sentence = "how many of the most probable tokens are chosen from; 0: all"},              \
    {                                                                                              \
        .name = "seed", .type = KEY_INT, .offset = offsetof(options, seed), .min = 0, .max = -1,   \
        .fallback = "0",                                                                           \
        .sentence = "where a request names none: what chance starts from; the same request with "  \
                    "the same seed gets the same answer"                                           \
    }
