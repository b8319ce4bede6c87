/* Exact rational numbers of bounded size: GMP's mpq with a ceiling before each operation, so that no
 * input can burn time or memory. GMP itself ends the process when memory runs out, which the ceiling
 * makes a matter of kilobytes.
 *
 * Operations change their first argument. ST_TOO_BIG: the result would be over the ceiling (the
 * argument is unchanged). ST_INVALID: the operation has no result. */
#pragma once

#include <gmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

enum {
    RATIONAL_BITS_MAX = 16384, /* of numerator and of denominator: 4,932 digits */
    RATIONAL_PLACES_MAX = 200, /* decimal places that a root is computed to, or that are shown */
};

struct rational { /* GMP's type is in the open because callers embed it; only calc uses this */
    mpq_t q;
};

void rational_init(struct rational *r); /* 0 */
void rational_fini(struct rational *r);
void rational_set(struct rational *r, const struct rational *other);
void rational_set_int(struct rational *r, int64_t value);

/* Reads digits with at most one point and an optional exponent ("3480", ".5", "6.02e23"), or 0x and
 * hexadecimal digits. ST_INVALID, ST_TOO_BIG. */
MUST_CHECK enum status rational_read(struct rational *r, struct str text);

MUST_CHECK enum status rational_add(struct rational *r, const struct rational *b);
MUST_CHECK enum status rational_sub(struct rational *r, const struct rational *b);
MUST_CHECK enum status rational_mul(struct rational *r, const struct rational *b);
MUST_CHECK enum status rational_div(struct rational *r, const struct rational *b);
MUST_CHECK enum status rational_mod(struct rational *r, const struct rational *b); /* floored */
MUST_CHECK enum status rational_pow(struct rational *r, int64_t exponent);
MUST_CHECK enum status rational_gcd(struct rational *r, const struct rational *b); /* integers */
MUST_CHECK enum status rational_lcm(struct rational *r, const struct rational *b);
MUST_CHECK enum status rational_factorial(struct rational *r);

/* The nth root, n from 2 to 16. *ret_is_exact: false where it is irrational; then it is cut (towards
 * zero) after RATIONAL_PLACES_MAX decimal places or more. ST_INVALID: even root of a negative. */
MUST_CHECK enum status rational_root(struct rational *r, unsigned n, bool *ret_is_exact);

void rational_abs(struct rational *r);
void rational_negate(struct rational *r);
bool rational_is_integer(const struct rational *r);
int rational_sign(const struct rational *r);
int rational_cmp(const struct rational *a, const struct rational *b);

/* The integer, where it is one and lies within ±max. */
bool rational_to_int(const struct rational *r, int64_t max, int64_t *ret_value);

/* Decimal places after which the decimal expansion ends, -1 if it does not. */
int64_t rational_places(const struct rational *r);

/* Decimal exponent of the first digit: 0 for 1 to 9, 3 for 1000, -1 for 0.1; 0 for zero. */
int64_t rational_magnitude(const struct rational *r);

/* Moves the decimal point: r * 10^exponent, without regard to the ceiling. For showing a value that
 * is within it; the exponent must come from rational_magnitude. */
void rational_shift(struct rational *r, int64_t exponent);

/* Appends the value rounded (half away from zero) to `places` decimal places. Trailing zeros stay.
 * ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status rational_write_decimal(const struct rational *r, int64_t places,
                                              struct buf *out);

/* Appends "-19/12", or "7" for an integer; base 2, 8, 10 or 16 in lower-case digits. */
MUST_CHECK enum status rational_write_fraction(const struct rational *r, int base, struct buf *out);
