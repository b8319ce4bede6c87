/* The first byte says what the rest is: bytes as language tables, whose checksum is put right first,
 * so that the fuzzer sees what lies behind it; or a text for the guards. What is accepted must be safe
 * to ask. */
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "router/guards.h"
#include "router/language.h"

enum {
    AT_FILE_BYTES = 16,
    AT_CHECKSUM = 24,
    CHECKED_FROM = 32,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct language_model *m, struct str text)
{
    struct language_guess guess;
    struct guard guard;
    language_detect(m, text, &guess);
    guards_judge(m, text, &guard);
    ASSERT(guess.index < language_count(m) && str_eq(language_code(m, guess.index), guess.code));
    ASSERT(guess.confidence >= 0.0F && guess.confidence <= 1.01F);
    ASSERT(guess.english >= 0.0F && guess.english <= 1.01F);
    ASSERT(guard.score >= 0.0F && guard.score <= 1.0F);
}

static void read_tables(char *bytes, size_t size)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct language_model *m = NULL;
    struct diags diags;
    ASSERT(arena != NULL);
    diags_init(&diags, arena);
    if (size >= CHECKED_FROM) {
        uint64_t total = size;
        uint64_t sum = str_hash((struct str){bytes + CHECKED_FROM, size - CHECKED_FROM});
        memcpy(bytes + AT_FILE_BYTES, &total,
               sizeof total); /* fuzzing machines are little-endian */
        memcpy(bytes + AT_CHECKSUM, &sum, sizeof sum);
    }
    enum status st = language_model_read((struct str){bytes, size}, STR("fuzz.edl"), &diags, &m);
    ASSERT((st == ST_OK) == (diags.errors == 0));
    if (st == ST_OK) {
        ask(m, STR("Wie geht's? How are you? Как дела? كيف حالك؟ कैसे हो? 你好"));
        ask(m, (struct str){bytes, size});
    }
    language_model_destroy(m);
    arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guard guard;
    if (size == 0) {
        return 0;
    }
    char *bytes = mem_alloc(size); /* its own block: reads beyond the end are seen */
    ASSERT(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    if (data[0] == 'T') {
        read_tables(bytes, size - 1);
    } else {
        guards_judge(NULL, (struct str){bytes, size - 1}, &guard);
        ASSERT(guard.score >= 0.0F && guard.score <= 1.0F);
    }
    mem_free(bytes);
    return 0;
}
