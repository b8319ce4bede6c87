/* Kernels: experts served in the process. This is the interface between the kernels and their host
 * (backends/kernel_call.c), which speaks the chat API for them: it parses messages, wraps pieces in
 * chat completions or SSE events, counts usage, keeps the deadline. A kernel only turns messages
 * into text. Every call runs on the kernel pool, never on a loop; it may block in the sink.
 *
 * Thread rule: create and destroy run on one thread at a time; generate may run on several at once
 * for the same kernel, which therefore is immutable after create. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/keys.h"
#include "base/status.h"
#include "base/str.h"
#include "base/yaml.h"

struct kernel_message {
    struct str role; /* system, developer, user, assistant, tool */
    struct str text; /* decoded UTF-8; the text parts of multi-part content joined by newlines */
};

struct kernel_prompt { /* borrowed for the call */
    const struct kernel_message *messages;
    size_t count;
    int64_t max_tokens; /* 0: no limit of the client's */
};

enum kernel_finish {
    KERNEL_STOP,      /* said all it had to say */
    KERNEL_LENGTH,    /* cut at max_tokens */
    KERNEL_CANCELLED, /* the sink said ST_CLOSED */
    KERNEL_FAILED,    /* no answer: http_status and message say why */
    KERNEL_CUT,       /* test kernels: break the reply off without its end */
};

struct kernel_result {
    enum kernel_finish finish;
    int http_status;       /* KERNEL_FAILED: 400-599 */
    int64_t retry_after_s; /* KERNEL_FAILED: -1 none */
    char message[256];     /* KERNEL_FAILED: for the client */
    int64_t prompt_tokens; /* -1: the host counts */
    int64_t completion_tokens;
};

struct kernel_sink { /* lent by the host for one generate call */
    void *ctx;
    /* Hands over a piece of the answer: whole UTF-8 code points, copied. Blocks while the client's
     * queue is full. ST_CLOSED: stop and return KERNEL_CANCELLED. */
    enum status (*text)(void *ctx, struct str piece);
    /* Sleeps; ST_CLOSED when cancelled meanwhile. */
    enum status (*pause)(void *ctx, int64_t ms);
};

struct kernel_type;

struct kernel { /* first member of each kernel's private struct */
    const struct kernel_type *type;
};

struct kernel_type {
    const char *name;        /* the key under `kernel:`, e.g. "lookup" */
    const char *sentence;    /* what it is, for the docs */
    const struct keys *keys; /* its options, for the docs; NULL: its value is not a block */
    /* Decodes the options (the node under its name), loads what it needs. Mistakes go to
     * reader->diags with ST_INVALID. The kernel is destroyed with type->destroy. */
    enum status (*create)(struct key_reader *reader, const struct yaml_node *options,
                          struct kernel **ret_kernel);
    void (*destroy)(struct kernel *kernel);
    /* Answers. Fills ret_result in every case. */
    void (*generate)(struct kernel *kernel, const struct kernel_prompt *prompt,
                     const struct kernel_sink *sink, struct kernel_result *ret_result);
};

/* The built-in kernels, NULL-terminated: calc, lookup, constant, echo. */
extern const struct kernel_type *const kernel_types[];

/* A rough count of tokens in English-like text: the larger of words * 4 / 3 and bytes / 4, rounded up.
 * Used where no tokenizer is known; marked as an estimate by whoever shows it. */
int64_t kernel_count_tokens(struct str text);
