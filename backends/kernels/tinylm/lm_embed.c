/* See lm_embed.h. */
#include "backends/kernels/tinylm/lm_embed.h"

#include <math.h>
#include <string.h>

enum status lm_embed_encode(const struct lm *lm, struct str text, struct tokens *out)
{
    int32_t first = vocab_wants_bos(lm->vocab) ? vocab_bos(lm->vocab) : VOCAB_NONE;
    enum status st = first == VOCAB_NONE ? ST_OK : tokens_add(out, first);
    return st == ST_OK ? vocab_encode(lm->vocab, text, true, out) : st;
}

static void add(const float *state, size_t dimensions, float *sum)
{
    for (size_t i = 0; i < dimensions; i++) {
        sum[i] += state[i];
    }
}

/* Brings it to length 1. False: it has none. */
static bool normalise(float *vector, size_t dimensions)
{
    double squares = 0;
    for (size_t i = 0; i < dimensions; i++) {
        squares += (double)vector[i] * (double)vector[i];
    }
    double length = sqrt(squares);
    if (!(length > 0) || !isfinite(length)) {
        return false;
    }
    for (size_t i = 0; i < dimensions; i++) {
        vector[i] = (float)((double)vector[i] / length);
    }
    return true;
}

enum status lm_embed(struct lm_session *session, const struct lm_embed_request *request,
                     float *ret_vector)
{
    size_t width = request->dimensions;
    enum status st = ST_OK;
    memset(ret_vector, 0, width * sizeof *ret_vector);
    lm_session_cut(session, 0);
    for (size_t at = 0; st == ST_OK && at < request->count;) {
        size_t left = request->count - at;
        size_t n = left < LM_BATCH ? left : LM_BATCH;
        const float *states = NULL;
        size_t stride = 0;
        if (!request->goes_on(request->ctx)) {
            return ST_CLOSED;
        }
        st = lm_session_states(session, request->tokens + at, n, &states, &stride);
        bool is_mean = request->pooling == LM_POOLING_MEAN;
        size_t from = is_mean ? 0 : left <= n ? n - 1 : n;
        for (size_t t = from; st == ST_OK && t < n; t++) {
            add(states + t * stride, width, ret_vector);
        }
        at += n;
    }
    return st != ST_OK || normalise(ret_vector, width) ? st : ST_INVALID;
}
