/* See rational.h. */
#include "backends/kernels/rational.h"

#include <string.h>

#include "base/mem.h"

enum {
    DIGITS_MAX = 4900,   /* of a number as it is written: below RATIONAL_BITS_MAX */
    EXPONENT_MAX = 4900, /* decimal, written or needed to show a value */
    FACTORIAL_MAX = 2000,
    ROOT_MAX = 16,
    ROOT_GUARD_PLACES = 10,
};

static size_t bits(mpz_srcptr z)
{
    return mpz_sgn(z) == 0 ? 0 : mpz_sizeinbase(z, 2);
}

static size_t bits_of(const struct rational *r)
{
    size_t num = bits(mpq_numref(r->q));
    size_t den = bits(mpq_denref(r->q));
    return num > den ? num : den;
}

void rational_init(struct rational *r)
{
    mpq_init(r->q);
}

void rational_fini(struct rational *r)
{
    mpq_clear(r->q);
}

void rational_set(struct rational *r, const struct rational *other)
{
    mpq_set(r->q, other->q);
}

void rational_set_int(struct rational *r, int64_t value)
{
    mpq_set_si(r->q, (long)value, 1);
}

/* The sum of two has at most the bits of both and one more, also in its denominator. */
static bool fits_together(const struct rational *a, const struct rational *b)
{
    return bits_of(a) + bits_of(b) + 1 <= RATIONAL_BITS_MAX;
}

enum status rational_add(struct rational *r, const struct rational *b)
{
    if (!fits_together(r, b)) {
        return ST_TOO_BIG;
    }
    mpq_add(r->q, r->q, b->q);
    return ST_OK;
}

enum status rational_sub(struct rational *r, const struct rational *b)
{
    if (!fits_together(r, b)) {
        return ST_TOO_BIG;
    }
    mpq_sub(r->q, r->q, b->q);
    return ST_OK;
}

enum status rational_mul(struct rational *r, const struct rational *b)
{
    if (!fits_together(r, b)) {
        return ST_TOO_BIG;
    }
    mpq_mul(r->q, r->q, b->q);
    return ST_OK;
}

enum status rational_div(struct rational *r, const struct rational *b)
{
    if (mpq_sgn(b->q) == 0) {
        return ST_INVALID;
    }
    if (!fits_together(r, b)) {
        return ST_TOO_BIG;
    }
    mpq_div(r->q, r->q, b->q);
    return ST_OK;
}

enum status rational_mod(struct rational *r, const struct rational *b)
{
    struct rational whole;
    rational_init(&whole);
    rational_set(&whole, r);
    enum status st = rational_div(&whole, b);
    if (st == ST_OK) {
        mpz_fdiv_q(mpq_numref(whole.q), mpq_numref(whole.q), mpq_denref(whole.q));
        mpz_set_ui(mpq_denref(whole.q), 1);
        st = rational_mul(&whole, b);
    }
    if (st == ST_OK) {
        st = rational_sub(r, &whole);
    }
    rational_fini(&whole);
    return st;
}

/* Powers of 0, 1 and -1 are known for any exponent. */
static bool pow_is_trivial(const struct rational *r)
{
    return mpz_cmpabs_ui(mpq_numref(r->q), 1) <= 0 && mpz_cmp_ui(mpq_denref(r->q), 1) == 0;
}

enum status rational_pow(struct rational *r, int64_t exponent)
{
    if (mpq_sgn(r->q) == 0 && exponent < 0) {
        return ST_INVALID;
    }
    if (exponent == INT64_MIN) {
        return ST_TOO_BIG;
    }
    uint64_t times = (uint64_t)(exponent < 0 ? -exponent : exponent);
    if (pow_is_trivial(r)) {
        times = times == 0 ? 0 : 2 - times % 2;
    } else if (times > RATIONAL_BITS_MAX || times * bits_of(r) > RATIONAL_BITS_MAX) {
        return ST_TOO_BIG;
    }
    mpz_pow_ui(mpq_numref(r->q), mpq_numref(r->q), times);
    mpz_pow_ui(mpq_denref(r->q), mpq_denref(r->q), times);
    if (exponent < 0) {
        mpq_inv(r->q, r->q);
    }
    return ST_OK;
}

enum status rational_gcd(struct rational *r, const struct rational *b)
{
    if (!rational_is_integer(r) || !rational_is_integer(b)) {
        return ST_INVALID;
    }
    mpz_gcd(mpq_numref(r->q), mpq_numref(r->q), mpq_numref(b->q));
    return ST_OK;
}

enum status rational_lcm(struct rational *r, const struct rational *b)
{
    if (!rational_is_integer(r) || !rational_is_integer(b)) {
        return ST_INVALID;
    }
    if (!fits_together(r, b)) {
        return ST_TOO_BIG;
    }
    mpz_lcm(mpq_numref(r->q), mpq_numref(r->q), mpq_numref(b->q));
    return ST_OK;
}

enum status rational_factorial(struct rational *r)
{
    int64_t n = 0;
    if (!rational_is_integer(r) || mpq_sgn(r->q) < 0) {
        return ST_INVALID;
    }
    if (!rational_to_int(r, FACTORIAL_MAX, &n)) {
        return ST_TOO_BIG;
    }
    mpz_t product;
    mpz_init(product);
    mpz_fac_ui(product, (unsigned long)n);
    enum status st = bits(product) <= RATIONAL_BITS_MAX ? ST_OK : ST_TOO_BIG;
    if (st == ST_OK) {
        mpz_set(mpq_numref(r->q), product);
    }
    mpz_clear(product);
    return st;
}

/* The root of num/den cut after `places`: floor((num * 10^(n * places) / den)^(1/n)) / 10^places. */
static void root_approximately(struct rational *r, unsigned n, unsigned long places)
{
    mpz_t scale;
    mpz_init(scale);
    mpz_ui_pow_ui(scale, 10, places * n);
    mpz_mul(mpq_numref(r->q), mpq_numref(r->q), scale);
    mpz_tdiv_q(mpq_numref(r->q), mpq_numref(r->q), mpq_denref(r->q));
    (void)mpz_root(mpq_numref(r->q), mpq_numref(r->q), n);
    mpz_ui_pow_ui(mpq_denref(r->q), 10, places);
    mpq_canonicalize(r->q);
    mpz_clear(scale);
}

enum status rational_root(struct rational *r, unsigned n, bool *ret_is_exact)
{
    if (n < 2 || n > ROOT_MAX || (n % 2 == 0 && mpq_sgn(r->q) < 0)) {
        return ST_INVALID;
    }
    /* A root of something tiny needs as many places more as it has zeros after the point. */
    int64_t magnitude = rational_magnitude(r);
    unsigned long places = RATIONAL_PLACES_MAX + ROOT_GUARD_PLACES;
    places += magnitude < 0 ? (unsigned long)(-magnitude) / n + 1 : 0;
    struct rational exact;
    rational_init(&exact);
    bool is_exact = mpz_root(mpq_numref(exact.q), mpq_numref(r->q), n) != 0;
    is_exact = mpz_root(mpq_denref(exact.q), mpq_denref(r->q), n) != 0 && is_exact;
    if (is_exact) {
        mpq_swap(r->q, exact.q);
    } else {
        root_approximately(r, n, places);
    }
    rational_fini(&exact);
    *ret_is_exact = is_exact;
    return bits_of(r) <= RATIONAL_BITS_MAX ? ST_OK : ST_TOO_BIG;
}

void rational_abs(struct rational *r)
{
    mpq_abs(r->q, r->q);
}

void rational_negate(struct rational *r)
{
    mpq_neg(r->q, r->q);
}

bool rational_is_integer(const struct rational *r)
{
    return mpz_cmp_ui(mpq_denref(r->q), 1) == 0;
}

int rational_sign(const struct rational *r)
{
    return mpq_sgn(r->q);
}

int rational_cmp(const struct rational *a, const struct rational *b)
{
    return mpq_cmp(a->q, b->q);
}

bool rational_to_int(const struct rational *r, int64_t max, int64_t *ret_value)
{
    if (!rational_is_integer(r) || !mpz_fits_slong_p(mpq_numref(r->q))) {
        return false;
    }
    int64_t value = mpz_get_si(mpq_numref(r->q));
    if (value > max || value < -max) {
        return false;
    }
    *ret_value = value;
    return true;
}

int64_t rational_places(const struct rational *r)
{
    mpz_t rest;
    mpz_t five;
    mpz_init(rest);
    mpz_init_set_ui(five, 5);
    int64_t fives = (int64_t)mpz_remove(rest, mpq_denref(r->q), five);
    int64_t twos = (int64_t)mpz_scan1(rest, 0);
    bool ends = mpz_sizeinbase(rest, 2) == (size_t)twos + 1;
    mpz_clear(five);
    mpz_clear(rest);
    if (!ends) {
        return -1;
    }
    return twos > fives ? twos : fives;
}

/* Compares |r| with 10^exponent. */
static int cmp_power(const struct rational *r, int64_t exponent)
{
    struct rational power;
    struct rational size;
    rational_init(&power);
    rational_init(&size);
    mpq_abs(size.q, r->q);
    mpz_ptr part = exponent >= 0 ? mpq_numref(power.q) : mpq_denref(power.q);
    mpz_set_ui(mpq_numref(power.q), 1);
    mpz_ui_pow_ui(part, 10, (unsigned long)(exponent < 0 ? -exponent : exponent));
    int order = mpq_cmp(size.q, power.q);
    rational_fini(&size);
    rational_fini(&power);
    return order;
}

int64_t rational_magnitude(const struct rational *r)
{
    if (mpq_sgn(r->q) == 0) {
        return 0;
    }
    /* sizeinbase(10) is exact or one too big, so the guess is off by one or two at most. */
    int64_t guess = (int64_t)mpz_sizeinbase(mpq_numref(r->q), 10) -
                    (int64_t)mpz_sizeinbase(mpq_denref(r->q), 10);
    int64_t magnitude = guess + 1;
    while (cmp_power(r, magnitude) < 0) {
        magnitude--;
    }
    return magnitude;
}

void rational_shift(struct rational *r, int64_t exponent)
{
    struct rational power;
    rational_init(&power);
    mpz_ui_pow_ui(mpq_numref(power.q), 10, (unsigned long)(exponent < 0 ? -exponent : exponent));
    mpz_set_ui(mpq_denref(power.q), 1);
    if (exponent < 0) {
        mpq_div(r->q, r->q, power.q);
    } else {
        mpq_mul(r->q, r->q, power.q);
    }
    rational_fini(&power);
}

static enum status write_integer(mpz_srcptr z, int base, struct buf *out)
{
    size_t room = mpz_sizeinbase(z, base) + 2; /* sign and NUL */
    char *digits = buf_reserve(out, room);
    if (digits == NULL) {
        return ST_NO_MEMORY;
    }
    (void)mpz_get_str(digits, base, z);
    buf_commit(out, strlen(digits));
    return ST_OK;
}

enum status rational_write_decimal(const struct rational *r, int64_t places, struct buf *out)
{
    mpz_t scaled;
    mpz_t half;
    struct buf digits;
    mpz_init(scaled);
    mpz_init(half);
    buf_init(&digits, 64UL * 1024);
    /* floor((2 * |num| * 10^places + den) / (2 * den)): rounds half away from zero */
    mpz_ui_pow_ui(scaled, 10, (unsigned long)places);
    mpz_mul(scaled, scaled, mpq_numref(r->q));
    mpz_abs(scaled, scaled);
    mpz_mul_2exp(scaled, scaled, 1);
    mpz_add(scaled, scaled, mpq_denref(r->q));
    mpz_mul_2exp(half, mpq_denref(r->q), 1);
    mpz_fdiv_q(scaled, scaled, half);
    bool is_negative = mpq_sgn(r->q) < 0 && mpz_sgn(scaled) != 0;
    enum status st = write_integer(scaled, 10, &digits);
    struct str all = buf_str(&digits);
    size_t fraction = (size_t)places;
    if (st == ST_OK && is_negative) {
        st = buf_append_char(out, '-');
    }
    if (st == ST_OK && all.len <= fraction) {
        st = buf_append(out, STR("0"));
    } else if (st == ST_OK) {
        st = buf_append(out, str_slice(all, 0, all.len - fraction));
    }
    if (st == ST_OK && fraction > 0) {
        st = buf_append_char(out, '.');
    }
    for (size_t i = all.len; st == ST_OK && i < fraction; i++) {
        st = buf_append_char(out, '0');
    }
    if (st == ST_OK && fraction > 0) {
        size_t from = all.len > fraction ? all.len - fraction : 0;
        st = buf_append(out, str_slice(all, from, all.len));
    }
    buf_fini(&digits);
    mpz_clear(half);
    mpz_clear(scaled);
    return st;
}

enum status rational_write_fraction(const struct rational *r, int base, struct buf *out)
{
    enum status st = write_integer(mpq_numref(r->q), base, out);
    if (st != ST_OK || rational_is_integer(r)) {
        return st;
    }
    st = buf_append_char(out, '/');
    return st == ST_OK ? write_integer(mpq_denref(r->q), base, out) : st;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits of `text` without the point as an integer; *ret_places counts those after it. */
static enum status read_mantissa(mpz_ptr z, struct str text, int64_t *ret_places)
{
    char digits[DIGITS_MAX + 1];
    size_t len = 0;
    int64_t places = -1;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '.' && places < 0) {
            places = 0;
        } else if (!is_digit(c)) {
            return ST_INVALID;
        } else if (len == DIGITS_MAX) {
            return ST_TOO_BIG;
        } else {
            digits[len++] = c;
            places += places >= 0 ? 1 : 0;
        }
    }
    if (len == 0) {
        return ST_INVALID;
    }
    digits[len] = '\0';
    *ret_places = places < 0 ? 0 : places;
    return mpz_set_str(z, digits, 10) == 0 ? ST_OK : ST_INVALID;
}

static enum status read_hex(struct rational *r, struct str text)
{
    char digits[257];
    if (text.len == 0) {
        return ST_INVALID;
    }
    if (text.len >= sizeof digits) {
        return ST_TOO_BIG;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_hex = is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (!is_hex) {
            return ST_INVALID;
        }
        digits[i] = c;
    }
    digits[text.len] = '\0';
    mpq_set_ui(r->q, 0, 1);
    return mpz_set_str(mpq_numref(r->q), digits, 16) == 0 ? ST_OK : ST_INVALID;
}

enum status rational_read(struct rational *r, struct str text)
{
    if (str_starts_with_nocase(text, STR("0x"))) {
        return read_hex(r, str_slice(text, 2, text.len));
    }
    size_t e = str_find_char(text, 'e');
    e = e == text.len ? str_find_char(text, 'E') : e;
    int64_t exponent = 0;
    if (e < text.len) {
        struct str digits = str_slice(text, e + 1, text.len);
        digits = str_starts_with(digits, STR("+")) ? str_slice(digits, 1, digits.len) : digits;
        enum status st = str_to_int(digits, &exponent);
        if (st != ST_OK) {
            return st;
        }
    }
    int64_t places = 0;
    mpq_set_ui(r->q, 0, 1);
    enum status st = read_mantissa(mpq_numref(r->q), str_slice(text, 0, e), &places);
    if (st != ST_OK) {
        return st;
    }
    if (exponent > EXPONENT_MAX || exponent < -EXPONENT_MAX) {
        return ST_TOO_BIG;
    }
    exponent -= places;
    mpz_t scale;
    mpz_init(scale);
    mpz_ui_pow_ui(scale, 10, (unsigned long)(exponent < 0 ? -exponent : exponent));
    if (exponent < 0) {
        mpz_set(mpq_denref(r->q), scale);
        mpq_canonicalize(r->q);
    } else {
        mpz_mul(mpq_numref(r->q), mpq_numref(r->q), scale);
    }
    mpz_clear(scale);
    return bits_of(r) <= RATIONAL_BITS_MAX ? ST_OK : ST_TOO_BIG;
}
