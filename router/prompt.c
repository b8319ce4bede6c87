/* See prompt.h. */
#include "router/prompt.h"

#include <string.h>

#include "policies/policy.h"
#include "router/signals.h"

void prompt_from_text(struct prompt *prompt, struct str model, struct str text)
{
    memset(prompt, 0, sizeof *prompt);
    prompt->model = model;
    prompt->talk.turns[0].user = text;
    prompt->talk.count = 1;
    prompt->text_bytes = (int64_t)text.len;
}

struct str prompt_last_text(const struct prompt *prompt)
{
    return prompt->talk.count == 0 ? STR("") : prompt->talk.turns[prompt->talk.count - 1].user;
}

static int64_t tokens_of(int64_t bytes)
{
    return (bytes + PROMPT_BYTES_PER_TOKEN - 1) / PROMPT_BYTES_PER_TOKEN;
}

int64_t prompt_tokens_estimate(const struct prompt *prompt)
{
    return tokens_of(prompt->text_bytes);
}

bool prompt_is_embedding(const struct prompt *prompt)
{
    return (prompt->needs & POLICY_EMBED) != 0;
}

int64_t prompt_context_estimate(const struct prompt *prompt)
{
    return tokens_of(prompt_is_embedding(prompt) ? prompt->inputs.longest_bytes
                                                 : prompt->text_bytes);
}

int64_t prompt_answer_tokens(const struct prompt *prompt)
{
    enum {
        GUESS = 512
    };

    if (prompt_is_embedding(prompt)) {
        return 0;
    }
    return prompt->max_tokens > 0 ? prompt->max_tokens : GUESS;
}

int64_t prompt_paid_answer_tokens(const struct prompt *prompt)
{
    int64_t answers = 1 + prompt->more_answers;
    int64_t tokens = prompt_answer_tokens(prompt); /* of a receipt: any number */
    return tokens <= INT64_MAX / answers ? answers * tokens : INT64_MAX;
}

uint64_t prompt_seed(const struct prompt *prompt)
{
    static const uint64_t MIX = 0x9e3779b97f4a7c15U; /* 2^64 over the golden ratio: spreads bits */
    uint64_t key = prompt->session.key;
    if (prompt->signals != NULL) {
        return prompt->signals->seed;
    }
    if (key == 0) {
        key = str_hash(prompt_last_text(prompt));
    }
    return key * MIX >> 48;
}
