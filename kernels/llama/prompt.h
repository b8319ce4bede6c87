/* From messages to the tokens of a prompt, by libllama's chat templates and tokenizer. What a client
 * writes never becomes a control token: its texts do not pass through the template, and are read
 * apart where one of them looks like such a token. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "backends/kernel_abi.h"
#include "base/str.h"
#include "kernels/llama/engine.h"

struct prompt {
    int32_t *ids; /* freed with prompt_fini */
    size_t count;
};

struct prompt_style { /* how messages are written */
    const char
        *template; /* libllama's; borrowed from the model or the options; NULL: joined by newlines */
    struct str
        default_system; /* where no message is from the system; borrowed from the model; may be empty */
};

/* The style of that name as in the options, terminated; without a system message. EK_BAD_CONFIG: libllama has
 * no such template, or does not know the model's. */
enum ek_status prompt_choose(const struct engine *e, const char *name,
                             struct prompt_style *ret_style, struct ek_error *ret_error);

/* EK_TOO_LONG: it does not leave room for an answer. EK_BAD_REQUEST, EK_NO_MEMORY. */
enum ek_status prompt_write(const struct engine *e, const struct prompt_style *style,
                            const struct ek_request *request, struct prompt *ret_prompt,
                            struct ek_error *ret_error);
void prompt_fini(struct prompt *prompt);

/* Tokens of a text. */
enum ek_status prompt_count(const struct engine *e, struct ek_text text, uint64_t *ret_tokens);
