/* EX_ADMIT: the tenant's limits, before anything is thought or asked. What is taken here is settled in
 * step_account.c, with what was used. */
#include <inttypes.h>

#include "gateway/exchange.h"
#include "gateway/worker.h"

static enum step_result refuse(struct exchange *x)
{
    static const enum problem problems[] = {
        [QUOTA_CONCURRENCY] = PROBLEM_LIMIT_CONCURRENCY,
        [QUOTA_TOKENS] = PROBLEM_LIMIT_TOKENS,
        [QUOTA_REQUESTS] = PROBLEM_LIMIT_REQUESTS,
    };

    const struct quota_verdict *v = &x->admission;
    const struct quota_rate *rate = &x->tenant->rate;
    const int64_t limits[] = {
        [QUOTA_CONCURRENCY] = rate->concurrency,
        [QUOTA_TOKENS] = rate->tokens_per_minute,
        [QUOTA_REQUESTS] = rate->requests_per_minute,
    };

    x->reason = quota_limit_text(v->limit);
    struct str what = str_from(x->reason);
    struct str message =
        v->is_never
            ? arena_printf(x->arena,
                           "The request is too large for this key: limit %" PRId64
                           " %.*s, requested about %" PRId64
                           " for prompt and answer. A shorter prompt or a smaller max_tokens fits.",
                           limits[v->limit], STR_ARG(what), x->reserved_tokens)
            : arena_printf(x->arena,
                           "Rate limit reached for this key: %" PRId64
                           " %.*s. Please try again in %.3gs.",
                           limits[v->limit], STR_ARG(what), (double)v->retry_ms / 1e3);
    x->retry_after_s = v->is_never ? -1 : (v->retry_ms + 999) / 1000;
    return exchange_refuse(x, problems[v->limit], message, STR(""));
}

enum step_result step_admit(struct exchange *x)
{
    bool is_prompt = x->endpoint->first == EX_PARSE || x->endpoint->first == EX_EMBED;
    enum exchange_step next = is_prompt ? EX_DECIDE : x->endpoint->first;
    if (x->tenant == NULL) {
        exchange_go(x, next);
        return STEP_MORE;
    }
    const struct prompt *prompt = &x->chat.prompt;
    bool is_asked =
        is_prompt && x->endpoint->write == NULL; /* an explained route costs no tokens */
    x->reserved_tokens =
        is_asked ? prompt_tokens_estimate(prompt) + prompt_paid_answer_tokens(prompt) : 0;
    x->admission = quota_admit(x->tenant->quota, &x->tenant->rate,
                               clock_now_us(loop_clock(x->worker->loop)), x->reserved_tokens);
    if (!x->admission.is_allowed) {
        return refuse(x);
    }
    exchange_go(x, next);
    return STEP_MORE;
}
