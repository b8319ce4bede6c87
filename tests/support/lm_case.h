/* The model that comes with the tests, opened: tests/unit/backends/data/tinylm/README.md. In a header
 * because test_support does not link backends. */
#pragma once

#include "backends/kernels/tinylm/lm_answer.h"
#include "tests/support/test.h"

#define LM_CASE_MODEL "tests/unit/backends/data/tinylm/stories260K.gguf"

/* What its author published as its greedy sample (karpathy/llama2.c, test_all.py and README). */
#define LM_CASE_STORY                                                                               \
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. " \
    "One day, she saw a big, red ball. She wanted to play with it, but it was too high.\n"          \
    "Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do. "    \
    "She said, \"I want to play with your ball, but I can't find it.\"\n"                           \
    "Lily was sad and didn't know what to do. She said, \"I'm sorry, Lily. I didn't know what to "  \
    "do.\"\nLily didn't want to help her mom, so"

struct lm_case {
    struct arena *arena;
    struct diags diags;
    struct lm *lm;
};

static inline void lm_case_open(struct lm_case *c, const char *path)
{
    *c = (struct lm_case){.arena = arena_create(4096, 1 << 20)};
    assert_non_null(c->arena);
    diags_init(&c->diags, c->arena);
    assert_int_equal(lm_open(path, &c->diags, &c->lm), ST_OK);
}

static inline void lm_case_close(struct lm_case *c)
{
    lm_destroy(c->lm);
    arena_destroy(c->arena);
}
