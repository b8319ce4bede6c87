/* A chat completion request (OpenAI dialect): read once, strictly, as byte ranges, and rewritten by
 * splicing. Nothing is changed but the value of `model` and stream_options.include_usage. Requests for
 * embeddings are read by embed_request.h into the same struct. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "gateway/problem.h"
#include "router/prompt.h"

struct chat_range { /* of the body */
    size_t start;
    size_t len;
};

struct chat_request {
    struct str body;
    struct prompt prompt;
    struct chat_range model; /* the value, quotes included */
    bool is_stream;
    bool wants_usage;                /* stream_options.include_usage is true */
    struct chat_range usage_options; /* stream_options' value; len 0: not there */
    struct chat_range include_usage; /* its include_usage value; len 0: not there */
    bool usage_options_is_object;
    bool usage_options_is_empty;
    size_t last_brace; /* offset of the closing brace of the document */
    size_t inputs;     /* it asks for so many embeddings (embed_request.h); 0: it is a chat */
};

struct chat_error {
    enum problem problem;
    struct str message; /* in the arena, or static */
    struct str param;   /* static, may be empty */
};

/* Reads a body. ST_INVALID with ret_error; ST_NO_MEMORY. The request borrows from body and arena. */
MUST_CHECK enum status chat_request_parse(struct str body, struct arena *arena,
                                          struct chat_request *ret_request,
                                          struct chat_error *ret_error);

/* The body for an expert: `model` replaced, and with ask_usage include_usage set to true on streams.
 * In the arena. ret.ptr is NULL only for no memory. */
struct str chat_request_rewrite(const struct chat_request *request, struct str model,
                                bool ask_usage, struct arena *arena);
