/* What the router knows of a request: the words, the needs, the sizes. Built from the request's body
 * by gateway/chat_request.c, or from a text on the command line. Borrows everything. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "router/conversation.h"
#include "router/permit.h"

struct signals;

/* What ties a request to those before it. */
struct prompt_session {
    uint64_t key;      /* of the system prompt and the first user message; 0: none */
    struct str expert; /* who answered the conversation last, as far as remembered; or "" */
    bool is_tool_open; /* a tool call waits for its result, or the result for the expert */
};

/* What a request for embeddings wants vectors of: prompts, each by itself. */
struct prompt_inputs {
    struct str *texts; /* those that can be looked at */
    size_t count;
    bool is_opaque;        /* there are others: token numbers, or too many */
    int64_t longest_bytes; /* 0: not known */
};

enum {
    PROMPT_INPUTS_MAX = 64,    /* texts that are looked at: they are classified one by one */
    PROMPT_BYTES_PER_TOKEN = 4 /* of English text; others have fewer */
};

struct prompt {
    struct str model; /* as the client asked for it: auto, category/NAME, alias, expert */
    struct conversation talk;
    struct prompt_session session;
    struct permit permit;
    struct str tenant;           /* whose request it is; "" without tenants */
    struct str key;              /* the id of its key; the same */
    struct prompt_inputs inputs; /* with POLICY_EMBED, and no talk */
    unsigned needs;              /* bits of enum policy_need */
    int64_t text_bytes;          /* of all messages, tools and schemas, as sent */
    int64_t max_tokens;          /* of one answer; 0: the client sets no limit */
    int64_t more_answers;        /* that it wants beside the first one: n - 1 */
    double pressure; /* of the budget of policies.degrade, 0 to 1; see policies/budget.h */
    bool is_stream;
    const struct signals
        *signals; /* the texts are gone, this is what they said; NULL: they are here */
};

/* Fills a prompt that consists of one text. */
void prompt_from_text(struct prompt *prompt, struct str model, struct str text);

/* The text that rules look at: the last user message. */
struct str prompt_last_text(const struct prompt *prompt);

/* About how many tokens messages, tools and schemas have: a quarter of their bytes, rounded up. */
int64_t prompt_tokens_estimate(const struct prompt *prompt);

/* What chance goes by: the same number for the same conversation; where that has no name, for the same
 * text. 16 bits of it, which tell nothing of the texts. */
uint64_t prompt_seed(const struct prompt *prompt);

/* Whether it wants embeddings, and no answer. */
bool prompt_is_embedding(const struct prompt *prompt);

/* What has to fit into a context, in about as many tokens: all messages, or the longest input. */
int64_t prompt_context_estimate(const struct prompt *prompt);

/* What the answer may have: max_tokens, or a guess where the client sets no limit; embeddings have none. */
int64_t prompt_answer_tokens(const struct prompt *prompt);

/* The same of all answers together: what is paid for. */
int64_t prompt_paid_answer_tokens(const struct prompt *prompt);
