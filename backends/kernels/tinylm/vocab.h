/* The vocabulary of a model file, of both kinds that llama-like models have: SentencePiece with
 * scores ("llama") and byte-level BPE with merges ("gpt2"). Turns text into tokens and tokens into
 * bytes. Text never becomes a control token: those come from vocab_special alone, which templates
 * use. Immutable after vocab_load; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/kernels/tinylm/gguf.h"
#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"

enum {
    VOCAB_TOKENS_MAX = 1 << 20,
    VOCAB_NONE = -1, /* no such token */
};

struct vocab;

struct tokens { /* a list that grows; zero-initialise, free with tokens_fini */
    int32_t *ids;
    size_t count;
    size_t cap;
};

MUST_CHECK enum status tokens_add(struct tokens *list, int32_t id); /* ST_NO_MEMORY */
void tokens_fini(struct tokens *list);

/* Borrows the file's bytes. Mistakes go to diags with `name` as the file: ST_INVALID.
 * ST_NO_MEMORY. */
MUST_CHECK enum status vocab_load(const struct gguf *g, struct str name, struct diags *diags,
                                  struct vocab **ret_vocab);
void vocab_destroy(struct vocab *v); /* NULL allowed */

size_t vocab_size(const struct vocab *v);
size_t vocab_longest(const struct vocab *v); /* bytes of the longest token: n bytes are at least n /
                                                this tokens */

int32_t vocab_bos(const struct vocab *v); /* VOCAB_NONE: the model has none */
int32_t vocab_eos(const struct vocab *v);
bool vocab_wants_bos(const struct vocab *v); /* prompts start with it */

/* The control token that is written so, or VOCAB_NONE. */
int32_t vocab_special(const struct vocab *v, struct str text);

/* True for the tokens that end an answer: end of text, of turn, of message. */
bool vocab_is_end(const struct vocab *v, int32_t id);

/* What the token adds to the answer: bytes that need not be whole code points; nothing for control
 * tokens. Precondition: 0 <= id < size. */
struct str vocab_bytes(const struct vocab *v, int32_t id);

/* Appends the tokens of a run of text. `is_start`: nothing or a control token stands before it, which
 * is where SentencePiece puts a blank. ST_NO_MEMORY. ST_INVALID: the vocabulary cannot write it. */
MUST_CHECK enum status vocab_encode(const struct vocab *v, struct str text, bool is_start,
                                    struct tokens *out);
