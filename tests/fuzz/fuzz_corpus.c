/* Passage files: whatever is read has a title, a text and a source; whatever is not has a message. */
#include <stdint.h>

#include "backends/kernels/corpus.h"
#include "base/assert.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct diags diags;
    struct corpus corpus = {.arena = arena_create(4096, 16 << 20)};
    struct arena *messages = arena_create(4096, 16 << 20);
    ASSERT(corpus.arena != NULL && messages != NULL);
    diags_init(&diags, messages);
    enum status st =
        corpus_read(&corpus, (struct str){(const char *)data, size}, STR("a.md"), &diags);
    ASSERT(st == ST_OK ? diags.errors == 0 : st == ST_INVALID && diags.errors > 0);
    for (size_t i = 0; i < corpus.count; i++) {
        ASSERT(corpus.passages[i].title.len > 0);
        ASSERT(corpus.passages[i].text.len > 0);
        ASSERT(corpus.passages[i].source.len > 0);
    }
    corpus_fini(&corpus);
    arena_destroy(messages);
    return 0;
}
