/* See lm_score.h. */
#include "backends/kernels/tinylm/lm_score.h"

enum status lm_score_encode(const struct lm *lm, struct str text, struct tokens *out)
{
    int32_t first = vocab_bos(lm->vocab);
    first = first == VOCAB_NONE ? vocab_eos(lm->vocab) : first;
    if (first == VOCAB_NONE) {
        return ST_INVALID;
    }
    out->count = 0;
    enum status st = tokens_add(out, first);
    return st == ST_OK ? vocab_encode(lm->vocab, text, true, out) : st;
}

enum status lm_score(struct lm_session *session, const int32_t *tokens, size_t count,
                     float *ret_logs)
{
    enum status st = ST_OK;
    lm_session_cut(session, 0);
    for (size_t at = 0; st == ST_OK && at + 1 < count;) {
        size_t n = count - 1 - at;
        n = n < LM_BATCH ? n : LM_BATCH;
        st = lm_session_score(session, tokens + at, tokens + at + 1, n, ret_logs + at);
        at += n;
    }
    return st;
}
