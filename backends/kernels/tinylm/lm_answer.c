/* See lm_answer.h. */
#include "backends/kernels/tinylm/lm_answer.h"

/* The prompt, as far as the session does not hold it. Its last token is always read: what may follow
 * it is what the answer begins with. */
static enum status read_prompt(struct lm_session *session, const struct lm_request *request,
                               const struct lm_sink *sink, struct lm_result *result)
{
    size_t at = lm_session_common(session, request->prompt, request->prompt_count - 1);
    lm_session_cut(session, at);
    result->reused_tokens = at;
    enum status st = ST_OK;
    while (st == ST_OK && at < request->prompt_count) {
        size_t n = request->prompt_count - at;
        n = n < LM_BATCH ? n : LM_BATCH;
        if (!sink->goes_on(sink->outlet.ctx)) {
            return ST_CLOSED;
        }
        st = lm_session_read(session, request->prompt + at, n, at + n == request->prompt_count);
        at += n;
    }
    return st;
}

static enum status write_answer(struct lm_session *session, const struct lm *lm,
                                const struct lm_request *request, const struct lm_sink *sink,
                                struct lm_result *result)
{
    struct sampler sampler;
    struct outlet outlet;
    enum status st = sampler_init(&sampler, &request->sampling, lm->shape.vocabulary);
    outlet_init(&outlet, request->stops, request->stop_count, &sink->outlet);
    while (st == ST_OK && !outlet.is_stopped) {
        int32_t id = sampler_pick(&sampler, lm_session_logits(session));
        if (id < 0) {
            st = ST_INVALID;
            break;
        }
        if (vocab_is_end(lm->vocab, id)) {
            break;
        }
        result->completion_tokens++;
        st = outlet_put(&outlet, vocab_bytes(lm->vocab, id));
        if (st != ST_OK || outlet.is_stopped) {
            break;
        }
        result->is_cut = result->completion_tokens == (uint64_t)request->max_tokens ||
                         lm_session_length(session) == lm_session_context(session);
        if (result->is_cut) {
            break;
        }
        st = sink->goes_on(sink->outlet.ctx) ? lm_session_read(session, &id, 1, true) : ST_CLOSED;
    }
    if (st == ST_OK) {
        st = outlet_end(&outlet);
        result->is_cut = result->is_cut && !outlet.is_stopped;
    }
    outlet_fini(&outlet);
    sampler_fini(&sampler);
    return st;
}

enum status lm_answer(struct lm_session *session, const struct lm *lm,
                      const struct lm_request *request, const struct lm_sink *sink,
                      struct lm_result *ret_result)
{
    *ret_result = (struct lm_result){.prompt_tokens = request->prompt_count};
    if (request->prompt_count > lm_session_context(session)) {
        return ST_TOO_BIG;
    }
    enum status st = read_prompt(session, request, sink, ret_result);
    return st == ST_OK ? write_answer(session, lm, request, sink, ret_result) : st;
}
