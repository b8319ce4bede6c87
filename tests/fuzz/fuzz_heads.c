/* Bytes as heads over two labels and no vectors: whatever is accepted answers, and is written the
 * same again. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "router/heads.h"

enum {
    LABELS = 2,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_heads(const struct heads *h, struct str bytes)
{
    static const struct classifier_result result = {.count = LABELS, .p = {0.25F, 0.75F}};
    float x[HEADS_INPUTS_MAX];
    float values[HEADS_MAX];
    struct str again = {NULL, 0};
    char *owned = NULL;
    heads_inputs(h, &result, bytes, x);
    heads_run(h, x, values);
    for (size_t i = 0; i < h->count; i++) {
        ASSERT(isfinite(values[i]));
        ASSERT(heads_find(h, h->items[i].name) == i);
    }
    ASSERT(heads_encode(h, &again) == ST_OK && str_eq(again, bytes));
    memcpy(&owned, &again.ptr, sizeof owned);
    mem_free(owned);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = mem_alloc(size); /* its own block: reads beyond the end are seen */
    ASSERT(bytes != NULL);
    if (size > 0) {
        memcpy(bytes, data, size);
    }
    struct heads h;
    enum status st = heads_read((struct str){bytes, size}, LABELS, 0, &h);
    ASSERT(st == ST_OK || st == ST_INVALID);
    ASSERT((h.count > 0) == (st == ST_OK && size > 0));
    if (h.count > 0) {
        check_heads(&h, (struct str){bytes, size});
    }
    mem_free(bytes);
    return 0;
}
