/* Numbers as decimal digits, without printf: for what is written with every request. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    DIGITS_TEXT = 32,    /* a sign, the digits of 64 bits, a point, a NUL, and some to spare */
    DIGITS_DECIMALS = 9, /* at most */
};

/* value / 10^decimals, with all its decimals: (12345, 4) is 1.2345, (5, 2) is 0.05, (-5, 0) is -5. The
 * text lies at the end of `out` and ends with a NUL. */
struct str digits_write(int64_t value, size_t decimals, char out[DIGITS_TEXT]);
