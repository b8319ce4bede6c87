/* Bytes as a model file. What is accepted lies inside the bytes; what even is a model answers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "backends/kernels/tinylm/lm_session.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"

enum {
    CONTEXT_TOKENS = 8,
    SESSION_MAX_BYTES = 1 << 26, /* shapes may be large; memory is not what is tested */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lies_inside(struct str part, struct str all)
{
    ASSERT(part.len == 0 || (part.ptr >= all.ptr && part.len <= all.len &&
                             part.ptr + part.len <= all.ptr + all.len));
}

static void check_file(struct str bytes, struct diags *diags)
{
    struct gguf g;
    size_t before = diags->errors;
    enum status st = gguf_read(bytes, STR("fuzz.gguf"), diags, &g);
    ASSERT((st == ST_OK) == (diags->errors == before));
    for (size_t i = 0; st == ST_OK && i < g.value_count; i++) {
        check_lies_inside(g.values[i].key, bytes);
        check_lies_inside(g.values[i].bytes, bytes);
    }
    for (size_t i = 0; st == ST_OK && i < g.tensor_count; i++) {
        check_lies_inside(g.tensors[i].data, bytes);
    }
    gguf_fini(&g);
}

static void check_model(struct str bytes, struct diags *diags)
{
    static const struct str text = STR_INIT("Once <s> \xf0\x9f\x98\x80\n\xff 12 it's");
    struct lm *lm = NULL;
    if (lm_read(bytes, STR("fuzz.gguf"), diags, &lm) != ST_OK) {
        return;
    }
    struct tokens tokens = {NULL, 0, 0};
    size_t context = CONTEXT_TOKENS;
    struct lm_session *s = lm_cost(lm, context).session_bytes <= SESSION_MAX_BYTES
                               ? lm_session_create(lm, context)
                               : NULL;
    if (vocab_encode(lm->vocab, text, true, &tokens) == ST_OK && tokens.count > 0 && s != NULL) {
        size_t n = tokens.count < context ? tokens.count : context;
        ASSERT(lm_session_read(s, tokens.ids, n, true) == ST_OK);
    }
    tokens_fini(&tokens);
    lm_session_destroy(s);
    lm_destroy(lm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    char *bytes = mem_alloc(size + 1); /* its own block: reads beyond the end are seen */
    struct diags diags;
    ASSERT(arena != NULL && bytes != NULL);
    memcpy(bytes, data, size);
    diags_init(&diags, arena);
    check_file((struct str){bytes, size}, &diags);
    check_model((struct str){bytes, size}, &diags);
    mem_free(bytes);
    arena_destroy(arena);
    return 0;
}
