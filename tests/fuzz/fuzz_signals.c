/* Any bytes as noted signals: refused, or written again as they were. */
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "router/signals.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct signals signals;
    struct arena *arena = arena_create(4096, 1 << 24);
    char *bytes = mem_alloc(size); /* its own block: reads beyond the end are seen */
    ASSERT(bytes != NULL && arena != NULL);
    if (size > 0) {
        memcpy(bytes, data, size);
    }
    if (signals_read((struct str){bytes, size}, arena, &signals) == ST_OK) {
        struct signals second;
        struct buf again;
        buf_init(&again, 1 << 24);
        ASSERT(signals_write(&signals, &again) == ST_OK);
        ASSERT(signals_read(buf_str(&again), arena, &second) == ST_OK);
        ASSERT(second.label_count == signals.label_count);
        ASSERT(second.fact_count == signals.fact_count);
        ASSERT(strlen(signals.model) < SIGNALS_NAME_BYTES);
        buf_fini(&again);
    }
    arena_destroy(arena);
    mem_free(bytes);
    return 0;
}
