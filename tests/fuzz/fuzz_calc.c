/* The calculator answers anything, quickly, in bounded memory, with valid UTF-8 for valid UTF-8. */
#include <stdint.h>

#include "backends/kernels/calc.h"
#include "base/assert.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str prompt = {(const char *)data, size};
    struct buf answer;
    buf_init(&answer, 1 << 20);
    ASSERT(calc_answer(prompt, &answer) == ST_OK);
    ASSERT(answer.len > 0);
    ASSERT(utf8_valid_prefix(prompt) < size || utf8_valid_prefix(buf_str(&answer)) == answer.len);
    buf_fini(&answer);
    return 0;
}
