/* One conversation with a model: the keys and values of the tokens that it has read, and the scratch
 * to read more. Used by one thread at a time; the model must outlive it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/kernels/tinylm/lm.h"
#include "base/status.h"

enum {
    LM_BATCH = 64 /* tokens that are read together: each row of weights is fetched once for them */
};

struct lm_session;

/* context: the most tokens that it holds, at most LM_CONTEXT_MAX. Memory for keys and values is
 * touched only as it fills. NULL: no memory. */
struct lm_session *lm_session_create(const struct lm *lm, size_t context);
void lm_session_destroy(struct lm_session *s); /* NULL allowed */

size_t lm_session_context(const struct lm_session *s);
size_t lm_session_length(const struct lm_session *s); /* tokens read so far */

/* How many of the tokens, from the first on, the session holds already. */
size_t lm_session_common(const struct lm_session *s, const int32_t *tokens, size_t count);

/* Forgets all tokens from `length` on. */
void lm_session_cut(struct lm_session *s, size_t length);

/* Reads 1 to LM_BATCH further tokens. Afterwards `logits` says what may follow the last of them, one
 * number for each token of the vocabulary, valid until the next call; wants_logits false spares the
 * work. ST_TOO_BIG: they do not fit into the context. ST_INVALID: a number that is no token. */
MUST_CHECK enum status lm_session_read(struct lm_session *s, const int32_t *tokens, size_t count,
                                       bool wants_logits);
float *lm_session_logits(struct lm_session *s); /* the caller may change them */

/* Reads 1 to LM_BATCH further tokens and says how probable it was that next[t] follows tokens[t]: its
 * natural logarithm. The logits are as they were. Statuses as lm_session_read. */
MUST_CHECK enum status lm_session_score(struct lm_session *s, const int32_t *tokens,
                                        const int32_t *next, size_t count, float *ret_logs);

/* Reads 1 to LM_BATCH further tokens and gives what the model has made of each of them before the output
 * layer, normalised: row t begins at states[t * stride], valid until the next call. The logits are as they were.
 * Statuses as lm_session_read. */
MUST_CHECK enum status lm_session_states(struct lm_session *s, const int32_t *tokens, size_t count,
                                         const float **ret_states, size_t *ret_stride);

/* What a session of this shape takes, all of it and of that keys and values. */
size_t lm_session_bytes(const struct lm_shape *shape, size_t context);
size_t lm_session_kv_bytes(const struct lm_shape *shape, size_t context);
