/* Bytes as word vectors: whatever is accepted can be asked for every word. */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "router/vectors.h"

enum {
    ROOM = 16, /* readable bytes behind the array */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = mem_zalloc(1, size + ROOM); /* its own block: reads beyond the end are seen */
    ASSERT(bytes != NULL);
    if (size > 0) {
        memcpy(bytes, data, size);
    }
    struct vectors v;
    enum status st = vectors_read((struct str){bytes, size}, &v);
    ASSERT(st == ST_OK || st == ST_INVALID);
    ASSERT((v.table != NULL) == (st == ST_OK && size > 0));
    for (uint64_t hash = 0; v.table != NULL && hash <= UINT32_MAX; hash += 0x1000001) {
        vectors_prefetch(&v, (uint32_t)hash);
        const int8_t *row = vectors_find(&v, (uint32_t)hash);
        ASSERT(row == NULL ||
               ((const char *)row >= bytes && (const char *)row + v.dims <= bytes + size));
    }
    mem_free(bytes);
    return 0;
}
