/* Bytes as a weights file. What is accepted must be safe to score with. The checksum of the input
 * is put right first, so that the fuzzer sees what lies behind it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "router/curves.h"
#include "router/rows.h"
#include "router/weights.h"

enum {
    AT_FILE_BYTES = 16,
    AT_CHECKSUM = 24,
    HEADER_BYTES = 64,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(uint8_t *bytes, size_t size)
{
    uint64_t total = size;
    memcpy(bytes + AT_FILE_BYTES, &total, sizeof total); /* fuzzing machines are little-endian */
    memset(bytes + AT_CHECKSUM, 0, sizeof total);
    uint64_t hash = 0x6a09e667f3bcc909U ^ size;
    for (size_t i = 0; i < size; i += sizeof hash) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, size - i < sizeof word ? size - i : sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
        hash ^= hash >> 32;
    }
    memcpy(bytes + AT_CHECKSUM, &hash, sizeof hash);
}

/* What the curves promise, whatever they hold. */
static void check_curves(const struct weights *w)
{
    static struct curves curves; /* too large for some stacks */
    struct curves_cut cut;
    if (curves_read(w->curves, w->label_count, &curves) != NULL) {
        return;
    }
    for (int i = 0; i <= 10; i++) {
        (void)curves_choose(&curves, CURVES_ENTROPY, UINT64_MAX, CURVES_COVERAGE, i / 10.0, &cut);
        ASSERT(cut.share >= 0.0F && cut.share < 1.01F);
        bool is_met = curves_choose(&curves, CURVES_PROBABILITY, UINT64_MAX, CURVES_PRECISION,
                                    i / 10.0, &cut);
        ASSERT(!is_met || (double)cut.precision > i / 10.0 - 1e-4);
        float least = curves_set_threshold(&curves, i / 10.0);
        ASSERT(least >= 0.0F && least <= 1.0F);
    }
}

/* Every byte of an optional array can be read. */
static void check_bytes(struct str bytes)
{
    unsigned char sum = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        sum = (unsigned char)(sum ^ (unsigned char)bytes.ptr[i]);
    }
    *(volatile unsigned char *)&sum = sum; /* keeps the loop */
}

static void check_weights(const struct weights *w)
{
    check_bytes(w->vectors);
    check_bytes(w->network);
    check_bytes(w->curves);
    check_bytes(w->heads);
    check_curves(w);
    ASSERT(w->label_count >= 2 && w->label_count <= WEIGHTS_LABELS_MAX);
    ASSERT(w->bucket_count >= 1 && w->calibration.temperature > 0.0F);
    const int8_t *rows[2] = {weights_row(w, 0),
                             weights_row(w, w->bucket_count * WEIGHTS_SLOTS - 1)};
    int32_t fast[WEIGHTS_LABELS_MAX];
    int32_t plain[WEIGHTS_LABELS_MAX];
    rows_sum(rows, 2, w->label_count, fast);
    rows_sum_plain(rows, 2, w->label_count, plain);
    ASSERT(memcmp(fast, plain, w->label_count * sizeof plain[0]) == 0);
    for (uint32_t hash = 0; hash < UINT32_MAX - 0x1000000; hash += 0x1000001) {
        uint32_t slot = weights_find(w, hash);
        ASSERT(slot == WEIGHTS_NO_SLOT || slot < w->bucket_count * WEIGHTS_SLOTS);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    uint8_t *bytes = mem_alloc(size + 1); /* its own block: reads beyond the end are seen */
    ASSERT(arena != NULL && bytes != NULL);
    memcpy(bytes, data, size);
    struct diags diags;
    diags_init(&diags, arena);
    if (size >= HEADER_BYTES) {
        seal(bytes, size);
    }
    struct weights w;
    enum status st =
        weights_read((struct str){(const char *)bytes, size}, STR("fuzz.edm"), &diags, &w);
    ASSERT((st == ST_OK) == (diags.errors == 0));
    if (st == ST_OK) {
        check_weights(&w);
    }
    mem_free(bytes);
    arena_destroy(arena);
    return 0;
}
