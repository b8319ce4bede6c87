/* Any bytes as noted signals: refused, or written again as they were. */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "router/signals.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct signals signals;
    char again[SIGNALS_BYTES_MAX];
    char *bytes = mem_alloc(size); /* its own block: reads beyond the end are seen */
    ASSERT(bytes != NULL);
    if (size > 0) {
        memcpy(bytes, data, size);
    }
    if (signals_read((struct str){bytes, size}, &signals) == ST_OK) {
        struct signals second;
        size_t len = signals_write(&signals, again);
        ASSERT(len <= SIGNALS_BYTES_MAX);
        ASSERT(signals_read((struct str){again, len}, &second) == ST_OK);
        ASSERT(second.label_count == signals.label_count);
        ASSERT(strlen(signals.model) < SIGNALS_NAME_BYTES);
    }
    mem_free(bytes);
    return 0;
}
