/* Any bytes as a user's turn: what is found stands in the text, and the prior is a probability. */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "router/conversation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = mem_alloc(size); /* its own block: reads beyond the end are seen */
    ASSERT(bytes != NULL);
    if (size > 0) {
        memcpy(bytes, data, size);
    }
    struct str text = {bytes, size};
    struct turn_shape shape = turn_shape_of(text);
    double prior = conversation_prior(&conversation_defaults, &shape);
    struct str start = str_trim(text);
    ASSERT(shape.words <= TURN_SHAPE_BYTES);
    ASSERT(shape.announces.len <= start.len);
    ASSERT(str_starts_with_nocase(start, shape.continues));
    ASSERT(prior > 0.0 && prior < 1.0);
    mem_free(bytes);
    return 0;
}
