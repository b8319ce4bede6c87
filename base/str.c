/* See str.h. Bytes only: knows ASCII, nothing of UTF-8, allocates nothing. */
#include "base/str.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#    include <emmintrin.h>
#endif

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_from(const char *terminated)
{
    return (struct str){terminated, terminated != NULL ? strlen(terminated) : 0};
}

bool str_is_empty(struct str s)
{
    return s.len == 0;
}

bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_eq_nocase(struct str a, struct str b)
{
    return a.len == b.len && str_starts_with_nocase(a, b);
}

int str_cmp(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0) {
        return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

bool str_starts_with(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool str_starts_with_nocase(struct str s, struct str prefix)
{
    if (s.len < prefix.len) {
        return false;
    }
    for (size_t i = 0; i < prefix.len; i++) {
        if (lower(s.ptr[i]) != lower(prefix.ptr[i])) {
            return false;
        }
    }
    return true;
}

bool str_ends_with(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + (s.len - suffix.len), suffix.ptr, suffix.len) == 0);
}

struct str str_slice(struct str s, size_t start, size_t len)
{
    if (start >= s.len) { /* keeps pointing at the end, which callers may measure from */
        return s.len > 0 ? (struct str){s.ptr + s.len, 0} : s;
    }
    size_t rest = s.len - start;
    return (struct str){s.ptr + start, len < rest ? len : rest};
}

#ifdef __SSE2__
enum {
    PLACES = 16
};

/* needle.len >= 2, and at least 16 places. Looks at 16 places at a time for two neighbouring bytes from
 * the needle's middle: the first bytes of names in JSON are all quotes. The last window overlaps the
 * one before. */
static size_t find_by_windows(struct str s, struct str needle)
{
    size_t last = s.len - needle.len - (PLACES - 1);
    size_t middle = (needle.len - 1) / 2;
    __m128i first = _mm_set1_epi8(needle.ptr[middle]);
    __m128i second = _mm_set1_epi8(needle.ptr[middle + 1]);
    for (size_t at = 0;; at = at + PLACES < last ? at + PLACES : last) {
        const char *p = s.ptr + at + middle;
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
        __m128i both = _mm_and_si128(_mm_cmpeq_epi8(a, first), _mm_cmpeq_epi8(b, second));
        for (int hits = _mm_movemask_epi8(both); hits != 0; hits &= hits - 1) {
            size_t place = at + (size_t)__builtin_ctz((unsigned)hits);
            if (memcmp(s.ptr + place, needle.ptr, needle.len) == 0) {
                return place;
            }
        }
        if (at == last) {
            return s.len;
        }
    }
}
#endif

size_t str_find(struct str s, struct str needle)
{
    if (needle.len == 0) {
        return 0;
    }
    if (needle.len > s.len) {
        return s.len;
    }
#ifdef __SSE2__
    if (needle.len >= 2 && s.len >= needle.len + PLACES - 1) {
        return find_by_windows(s, needle);
    }
#endif
    const char *at = memmem(s.ptr, s.len, needle.ptr, needle.len);
    return at != NULL ? (size_t)(at - s.ptr) : s.len;
}

size_t str_find_char(struct str s, char c)
{
    const char *at = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;
    return at != NULL ? (size_t)(at - s.ptr) : s.len;
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) {
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    return s;
}

bool str_split(struct str s, char separator, struct str *ret_head, struct str *ret_rest)
{
    if (s.len == 0) {
        return false;
    }
    size_t at = str_find_char(s, separator);
    *ret_head = str_slice(s, 0, at);
    *ret_rest = str_slice(s, at + 1, s.len);
    return true;
}

enum status str_to_int(struct str s, int64_t *ret_value)
{
    bool is_negative = s.len > 0 && s.ptr[0] == '-';
    size_t i = is_negative ? 1 : 0;
    if (i == s.len) {
        return ST_INVALID;
    }
    /* The sum runs below zero, where one more value fits. */
    int64_t value = 0;
    bool is_too_big = false;
    for (; i < s.len; i++) {
        if (!is_digit(s.ptr[i])) {
            return ST_INVALID;
        }
        is_too_big = is_too_big || __builtin_mul_overflow(value, 10, &value) ||
                     __builtin_sub_overflow(value, s.ptr[i] - '0', &value);
    }
    if (is_too_big || (!is_negative && value == INT64_MIN)) {
        return ST_TOO_BIG;
    }
    *ret_value = is_negative ? value : -value;
    return ST_OK;
}

enum {
    /* Decimal digits that can decide how a double rounds: 767, plus one that stands for the rest. */
    REAL_DIGITS_MAX = 768,
    /* Powers of ten that a double holds exactly, and decimal digits that it surely holds. */
    REAL_EXACT_POWER = 22,
    REAL_EXACT_DIGITS = 15,
    /* Beyond this every non-zero number overflows or vanishes, however many digits it has. */
    REAL_POWER_MAX = 1000000000,
};

struct decimal { /* digits * 10^power */
    char digits[REAL_DIGITS_MAX];
    size_t count; /* significant digits kept */
    int64_t power;
    bool has_rest; /* a digit other than zero was cut off */
};

static void add_digit(struct decimal *d, char digit, bool is_fraction)
{
    if (d->count == 0 && digit == '0') {
        d->power -= is_fraction;
    } else if (d->count < REAL_DIGITS_MAX - 1) {
        d->digits[d->count++] = digit;
        d->power -= is_fraction;
    } else {
        d->has_rest = d->has_rest || digit != '0';
        d->power += !is_fraction;
    }
}

/* Reads digits from s at *at; false when there is not a single one. */
static bool read_digits(struct str s, size_t *at, struct decimal *d, bool is_fraction)
{
    size_t start = *at;
    while (*at < s.len && is_digit(s.ptr[*at])) {
        add_digit(d, s.ptr[(*at)++], is_fraction);
    }
    return *at > start;
}

static bool read_exponent(struct str s, size_t *at, struct decimal *d)
{
    bool is_negative = *at < s.len && s.ptr[*at] == '-';
    *at += *at < s.len && (s.ptr[*at] == '-' || s.ptr[*at] == '+');
    size_t start = *at;
    int64_t exponent = 0;
    for (; *at < s.len && is_digit(s.ptr[*at]); (*at)++) {
        if (exponent < REAL_POWER_MAX) {
            exponent = exponent * 10 + (s.ptr[*at] - '0');
        }
    }
    d->power += is_negative ? -exponent : exponent;
    return *at > start;
}

/* [-]digits[.digits][e[+-]digits] and nothing else. */
static bool read_decimal(struct str s, struct decimal *d)
{
    size_t at = s.len > 0 && s.ptr[0] == '-';
    if (!read_digits(s, &at, d, false)) {
        return false;
    }
    if (at < s.len && s.ptr[at] == '.') {
        at++;
        if (!read_digits(s, &at, d, true)) {
            return false;
        }
    }
    if (at < s.len && (s.ptr[at] == 'e' || s.ptr[at] == 'E')) {
        at++;
        if (!read_exponent(s, &at, d)) {
            return false;
        }
    }
    return at == s.len;
}

static double decimal_to_real(struct decimal *d)
{
    static const double powers[REAL_EXACT_POWER + 1] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    };
    if (d->count == 0) {
        return 0;
    }
    if (d->count <= REAL_EXACT_DIGITS && d->power >= -REAL_EXACT_POWER &&
        d->power <= REAL_EXACT_POWER) { /* two exact operands, one rounding */
        int64_t whole = 0;
        for (size_t i = 0; i < d->count; i++) {
            whole = whole * 10 + (d->digits[i] - '0');
        }
        return d->power < 0 ? (double)whole / powers[-d->power] : (double)whole * powers[d->power];
    }
    if (d->has_rest) { /* any non-zero digit below the others decides a tie */
        d->digits[d->count++] = '1';
        d->power--;
    }
    /* strtod sees no decimal point: the locale does not matter. */
    char text[REAL_DIGITS_MAX + 32];
    int64_t power = d->power > INT_MAX ? INT_MAX : d->power < INT_MIN ? INT_MIN : d->power;
    (void)snprintf(text, sizeof text, "%.*se%d", (int)d->count, d->digits, (int)power);
    return strtod(text, NULL);
}

enum status str_to_real(struct str s, double *ret_value)
{
    struct decimal d;
    d.count = 0;
    d.power = 0;
    d.has_rest = false;
    if (!read_decimal(s, &d)) {
        return ST_INVALID;
    }
    double value = decimal_to_real(&d);
    if (isinf(value)) {
        return ST_TOO_BIG;
    }
    *ret_value = s.ptr[0] == '-' ? -value : value;
    return ST_OK;
}

enum {
    DISTANCE_LEN_MAX = 255 /* bytes of the shorter text, after what both share at the ends */
};

/* One row of the matrix: from the distances of a[0..i) to those of a[0..i+1), to all of b's
 * prefixes. Returns the smallest distance in the new row. */
static size_t next_distances(size_t *row, char c, struct str b)
{
    size_t diagonal = row[0];
    row[0]++;
    size_t least = row[0];
    for (size_t j = 0; j < b.len; j++) {
        size_t replace = diagonal + (c != b.ptr[j]);
        size_t insert = row[j] + 1;
        size_t drop = row[j + 1] + 1;
        diagonal = row[j + 1];
        size_t best = insert < drop ? insert : drop;
        row[j + 1] = replace < best ? replace : best;
        least = row[j + 1] < least ? row[j + 1] : least;
    }
    return least;
}

size_t str_distance(struct str a, struct str b, size_t limit)
{
    while (a.len > 0 && b.len > 0 && a.ptr[0] == b.ptr[0]) {
        a = str_slice(a, 1, a.len);
        b = str_slice(b, 1, b.len);
    }
    while (a.len > 0 && b.len > 0 && a.ptr[a.len - 1] == b.ptr[b.len - 1]) {
        a.len--;
        b.len--;
    }
    if (a.len < b.len) {
        struct str swap = a;
        a = b;
        b = swap;
    }
    if (a.len - b.len >= limit || b.len > DISTANCE_LEN_MAX) {
        return limit;
    }
    size_t row[DISTANCE_LEN_MAX + 1];
    for (size_t j = 0; j <= b.len; j++) {
        row[j] = j;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (next_distances(row, a.ptr[i], b) >= limit) {
            return limit;
        }
    }
    return row[b.len] < limit ? row[b.len] : limit;
}

uint64_t str_hash(struct str s)
{
    /* FNV-1a, 64 bits: offset basis and prime from its specification. */
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.len; i++) {
        hash = (hash ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
    }
    /* MurmurHash3's finaliser: spreads the entropy into the low bits, which tables use. */
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
    return hash ^ (hash >> 33);
}
