/* One answer: reads a prompt into a session, then chooses token after token until the model ends, a
 * stop text comes, or a limit is reached. Tokens that the session holds already from the answer
 * before are not read again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/kernels/tinylm/lm_session.h"
#include "backends/kernels/tinylm/outlet.h"
#include "backends/kernels/tinylm/sampler.h"

struct lm_request { /* borrowed for the call */
    const int32_t *prompt;
    size_t prompt_count; /* at least 1 */
    int64_t max_tokens;  /* at least 1; the context is a limit too */
    struct sampling sampling;
    const struct str *stops;
    size_t stop_count;
};

struct lm_sink {
    struct outlet_sink outlet;
    /* Asked before each token and each LM_BATCH tokens of the prompt: false ends with ST_CLOSED. */
    bool (*goes_on)(void *ctx);
};

struct lm_result {
    size_t prompt_tokens;
    size_t reused_tokens;     /* of them, those that were not read again */
    size_t completion_tokens; /* chosen, without the one that ends the answer */
    bool is_cut;              /* by max_tokens or the context */
};

/* ST_TOO_BIG: the prompt leaves no room for an answer in the context; nothing was said. ST_CLOSED.
 * ST_INVALID: the model gives no numbers. ST_NO_MEMORY. ret_result is filled in every case. */
MUST_CHECK enum status lm_answer(struct lm_session *session, const struct lm *lm,
                                 const struct lm_request *request, const struct lm_sink *sink,
                                 struct lm_result *ret_result);
