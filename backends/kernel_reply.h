/* The chat completions documents that a kernel's answer is wrapped in. Writes bytes; knows nothing of
 * threads. All functions append to `out`: ST_NO_MEMORY, ST_TOO_BIG. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct kernel_reply { /* what all documents of one reply share; borrowed */
    char id[40];      /* "chatcmpl-…" */
    int64_t created_s;
    struct str model;
    bool includes_usage;
    bool is_refusal; /* the text is no content, but why there is none */
};

struct kernel_usage {
    int64_t prompt_tokens;
    int64_t completion_tokens;
};

/* Fills id from a number that is unique in the process and the time. */
void kernel_reply_init(struct kernel_reply *reply, uint64_t number, int64_t created_s);

/* A whole answer. finish: "stop" or "length". */
MUST_CHECK enum status kernel_reply_whole(struct buf *out, const struct kernel_reply *reply,
                                          struct str text, const char *finish,
                                          struct kernel_usage usage);

/* Events: the role, a piece of text, the finish reason, usage (only where it is wanted) and [DONE]. */
MUST_CHECK enum status kernel_reply_role(struct buf *out, const struct kernel_reply *reply);
MUST_CHECK enum status kernel_reply_piece(struct buf *out, const struct kernel_reply *reply,
                                          struct str text);
MUST_CHECK enum status kernel_reply_end(struct buf *out, const struct kernel_reply *reply,
                                        const char *finish, struct kernel_usage usage);

/* An error document in OpenAI's form. An empty code or param is null. */
MUST_CHECK enum status kernel_reply_error(struct buf *out, int http_status, struct str message,
                                          struct str code, struct str param);
