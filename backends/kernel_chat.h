/* What a kernel needs of a chat completions request: messages as decoded text, and how the answer is
 * wanted. Reads nothing else; parts of a message that are no text are left out. */
#pragma once

#include <stdbool.h>

#include "backends/kernel.h"
#include "base/arena.h"
#include "base/str.h"

struct kernel_chat {
    struct kernel_prompt prompt; /* borrows from the body and from the arena */
    bool is_stream;
    bool includes_usage; /* stream_options.include_usage */
    const char *why;     /* after ST_INVALID: for the client, static text */
    struct arena *arena;
    struct kernel_message *messages;
    size_t message_cap;
};

/* Reads the body of a request, which must outlive the chat. ST_INVALID with ret_chat->why;
 * ST_NO_MEMORY. ret_chat is filled in every case and wants kernel_chat_fini. */
MUST_CHECK enum status kernel_chat_parse(struct str body, struct kernel_chat *ret_chat);
void kernel_chat_fini(struct kernel_chat *chat);
