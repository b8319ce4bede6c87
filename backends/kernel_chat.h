/* What a kernel needs of a chat completions request: messages as decoded text, and how the answer is
 * wanted. Reads nothing else; parts of a message that are no text are left out. */
#pragma once

#include <stdbool.h>

#include "backends/kernel_abi.h"
#include "base/arena.h"
#include "base/str.h"

enum {
    KERNEL_CHAT_STOPS = 4, /* as in OpenAI's API */
};

struct kernel_chat {           /* must stay where it is: the request points into it */
    struct ek_request request; /* borrows from the body and from the arena */
    bool is_stream;
    bool includes_usage; /* stream_options.include_usage */
    const char *why;     /* after ST_INVALID: for the client, static text */
    struct arena *arena;
    struct ek_message *messages;
    size_t message_cap;
    struct ek_text stops[KERNEL_CHAT_STOPS];
};

/* Reads the body of a request, which must outlive the chat. ST_INVALID with ret_chat->why;
 * ST_NO_MEMORY. ret_chat is filled in every case and wants kernel_chat_fini. */
MUST_CHECK enum status kernel_chat_parse(struct str body, struct kernel_chat *ret_chat);
void kernel_chat_fini(struct kernel_chat *chat);
