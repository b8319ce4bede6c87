/* Chunks of chat streams: what is noted lies inside them, and says what the flags say. */
#include <stdint.h>

#include "base/assert.h"
#include "gateway/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct chunk chunk;
    if (chunk_read(text, &chunk) != ST_OK) {
        return 0;
    }
    ASSERT(str_trim(text).ptr[0] == '{');
    ASSERT(chunk.span_count <= CHUNK_SPANS);
    ASSERT(chunk.is_plain == (chunk.span_count > 0));
    ASSERT(!chunk.is_plain || (!chunk.is_finished && !chunk.is_error));
    const char *at = text.ptr;
    for (size_t i = 0; i < chunk.span_count; i++) {
        const struct chunk_span *span = &chunk.spans[i];
        ASSERT(span->ptr >= at && span->ptr + span->len <= text.ptr + text.len);
        at = span->ptr + span->len;
    }
    ASSERT(!chunk.is_usage_only || !chunk.is_plain);
    return 0;
}
