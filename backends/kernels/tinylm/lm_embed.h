/* A text as a vector: what the model has made of its tokens, pooled, of length 1. A model that was trained to
 * write says less so than one that was trained to embed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "backends/kernels/tinylm/lm_session.h"
#include "base/str.h"

enum lm_pooling {
    LM_POOLING_MEAN, /* v = sum of h(t) over all tokens, divided by its length */
    LM_POOLING_LAST, /* v = h(last token), divided by its length */
};

struct lm_embed_request { /* borrowed for the call */
    const int32_t *tokens;
    size_t count; /* at least 1 */
    enum lm_pooling pooling;
    size_t dimensions;          /* at most the model's width: the first so many numbers */
    bool (*goes_on)(void *ctx); /* asked before each LM_BATCH tokens: false ends with ST_CLOSED */
    void *ctx;
};

/* The tokens of a text, with the one that a prompt begins with. ST_NO_MEMORY. ST_INVALID: the vocabulary cannot
 * write it. */
MUST_CHECK enum status lm_embed_encode(const struct lm *lm, struct str text, struct tokens *out);

/* Writes `dimensions` numbers. Forgets what the session held. ST_CLOSED. ST_TOO_BIG: more tokens than the context.
 * ST_INVALID: a number that is no token, or the model gives no numbers. */
MUST_CHECK enum status lm_embed(struct lm_session *session, const struct lm_embed_request *request,
                                float *ret_vector);
