/* Kernels: experts served in the process. This is the interface between the kernels and their host
 * (backends/kernel_call.c), which speaks the chat API for them: it parses messages, wraps pieces in
 * chat completions or SSE events, counts usage, keeps the deadline. A kernel only turns messages
 * into text. Every call runs on the kernel pool, never on a loop; it may block in the sink.
 *
 * Thread rule: create and destroy run on one thread at a time; generate may run on several at once
 * for the same kernel, which therefore is immutable after create. */
#pragma once

#include <stdbool.h>
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
    char code[64];         /* KERNEL_FAILED: for programs; "": none */
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
    _Atomic uint32_t users; /* private: whoever made it, and each call that runs on the pool */
};

struct kernel_type {
    const char *name;        /* the key under `kernel:`, e.g. "lookup" */
    const char *sentence;    /* what it is, for the docs */
    const struct keys *keys; /* its options, for the docs; NULL: its value is not a block */
    bool is_refusal;         /* its text is why there is no answer */
    /* Decodes the options (the node under its name), loads what it needs. Mistakes go to
     * reader->diags with ST_INVALID. What the kernel keeps it owns: a call that was abandoned may
     * still run when the configuration and its arena are gone. */
    enum status (*create)(struct key_reader *reader, const struct yaml_node *options,
                          struct kernel **ret_kernel);
    void (*destroy)(struct kernel *kernel); /* only kernel_unref calls it */
    /* Answers. Fills ret_result in every case. */
    void (*generate)(struct kernel *kernel, const struct kernel_prompt *prompt,
                     const struct kernel_sink *sink, struct kernel_result *ret_result);
};

/* The built-in kernels, NULL-terminated: calc, lookup, constant, refuse, echo. */
extern const struct kernel_type *const kernel_types[];

/* For create: fills the common part; the creator holds one reference. */
void kernel_init(struct kernel *kernel, const struct kernel_type *type);

/* From any thread. The last unref destroys; NULL allowed. */
void kernel_ref(struct kernel *kernel);
void kernel_unref(struct kernel *kernel);

/* Text of the last message whose role is "user", or the empty string. */
struct str kernel_last_question(const struct kernel_prompt *prompt);

/* For generate: fills *ret_result for an answer that came to its end, or that the sink stopped
 * (st is what the sink said last). The host counts tokens. */
void kernel_finish(struct kernel_result *ret_result, enum status st);

/* For generate: fills *ret_result for no answer. */
void kernel_fail(struct kernel_result *ret_result, int http_status, const char *message);

/* A rough count of tokens in English-like text: the larger of words * 4 / 3 and bytes / 4, rounded up.
 * Used where no tokenizer is known; marked as an estimate by whoever shows it. */
int64_t kernel_count_tokens(struct str text);

/* The same for text that comes in pieces. Zero-initialise. */
struct kernel_tally {
    size_t words;
    size_t bytes;
    bool is_in_word;
};

void kernel_tally_add(struct kernel_tally *tally, struct str text);
int64_t kernel_tally_tokens(const struct kernel_tally *tally);
