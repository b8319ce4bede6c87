/* See digits.h. */
#include "base/digits.h"

#include "base/assert.h"

struct str digits_write(int64_t value, size_t decimals, char out[DIGITS_TEXT])
{
    ASSERT(decimals <= DIGITS_DECIMALS);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t at = DIGITS_TEXT - 1;
    out[at] = '\0';
    for (size_t i = 0; i <= decimals || rest > 0; i++) {
        if (i == decimals && i > 0) {
            out[--at] = '.';
        }
        out[--at] = (char)('0' + rest % 10);
        rest /= 10;
    }
    if (value < 0) {
        out[--at] = '-';
    }
    return (struct str){out + at, DIGITS_TEXT - 1 - at};
}
