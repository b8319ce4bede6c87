/* How probable a model finds a text: what perplexity and bits per byte are made of. */
#pragma once

#include <stddef.h>

#include "backends/kernels/tinylm/lm_session.h"
#include "base/str.h"

/* The tokens of a text as they are scored: first the one that stands before any text (begin, or where
 * the model has none, end of text), then the text's. ST_NO_MEMORY. ST_INVALID: the model has neither,
 * or cannot write the text. */
MUST_CHECK enum status lm_score_encode(const struct lm *lm, struct str text, struct tokens *out);

/* ret_logs[i] = ln P(tokens[i + 1] | tokens[0] to tokens[i]), for i + 1 < count; count at least 1.
 * Forgets what the session held before.
 * ST_TOO_BIG: more than the context and one. ST_INVALID: a number that is no token. */
MUST_CHECK enum status lm_score(struct lm_session *session, const int32_t *tokens, size_t count,
                                float *ret_logs);
