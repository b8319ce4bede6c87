/* The inside of a vocabulary, for vocab.c and vocab_encode.c. */
#pragma once

#include "backends/kernels/tinylm/pretoken.h"
#include "backends/kernels/tinylm/vocab.h"
#include "base/arena.h"
#include "base/table.h"

enum vocab_kind { /* as numbered in the file */
    VOCAB_NORMAL = 1,
    VOCAB_UNKNOWN,
    VOCAB_CONTROL,
    VOCAB_USER_DEFINED,
    VOCAB_UNUSED,
    VOCAB_BYTE,
};

struct vocab_token {
    struct str bytes; /* what it writes */
    float score;      /* SentencePiece: higher is joined earlier */
    bool is_end;
};

struct vocab_merge { /* BPE: left and right become result; rank: lower is joined earlier */
    int32_t left;    /* VOCAB_NONE: an empty slot */
    int32_t right;
    int32_t result;
    uint32_t rank;
};

struct vocab {
    struct vocab_token *tokens;
    size_t count;
    size_t longest;
    struct table *texts;    /* bytes of normal tokens -> struct vocab_token */
    struct table *specials; /* text of control tokens -> struct vocab_token */
    int32_t bytes[256];     /* the token of a single byte; VOCAB_NONE */
    int32_t bos;
    int32_t eos;
    int32_t unknown; /* never a control token; VOCAB_NONE */
    bool wants_bos;
    bool adds_blank;           /* SentencePiece */
    struct pretoken *pretoken; /* BPE; NULL: SentencePiece */
    struct vocab_merge *merges;
    size_t merge_mask; /* slots - 1 */
    struct arena *arena;
};

/* The merge of two neighbours, or NULL. */
const struct vocab_merge *vocab_find_merge(const struct vocab *v, int32_t left, int32_t right);
