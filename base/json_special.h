/* The bytes inside JSON strings that need a look, and what escapes mean: shared by json_scan.c,
 * json_text.c and json_write.c, not for others. The search takes 16 bytes at a time with SSE2 (every
 * x86-64 has it), else 8 in a word; JSON_SPECIAL_PORTABLE leaves SSE2 out, for the test of the
 * other. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && !defined(JSON_SPECIAL_PORTABLE)
#    include <emmintrin.h>
#endif

static inline int json_is_special(unsigned char c)
{
    return c == '"' || c == '\\' || c < 0x20 || c >= 0x80;
}

/* The first quote, backslash, control character or byte outside ASCII from p on, or end. */
static inline const char *json_find_special(const char *p, const char *end)
{
#if defined(__SSE2__) && !defined(JSON_SPECIAL_PORTABLE)
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i blank = _mm_set1_epi8(' ');
    for (; end - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i ends = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
        /* A signed compare: bytes from 0x80 on are negative, hence below a blank as well. */
        __m128i hits = _mm_or_si128(ends, _mm_cmplt_epi8(bytes, blank));
        unsigned mask = (unsigned)_mm_movemask_epi8(hits);
        if (mask != 0) {
            return p + __builtin_ctz(mask);
        }
    }
#else
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t tops = 0x8080808080808080u;
    for (; end - p >= 8; p += 8) {
        uint64_t bytes;
        memcpy(&bytes, p, sizeof bytes);
        /* (x - n * ones) & ~x & tops has a bit where a byte of x is below n; a borrow can only add
         * bits above a true one, and the byte loop below looks again. */
        uint64_t quote = bytes ^ (ones * '"');
        uint64_t backslash = bytes ^ (ones * '\\');
        uint64_t hits = ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
                        ((bytes - ones * ' ') & ~bytes) | bytes;
        if ((hits & tops) != 0) {
            break;
        }
    }
#endif
    while (p < end && !json_is_special((unsigned char)*p)) {
        p++;
    }
    return p;
}

/* What a backslash and c stand for, -1 when nothing does; 'u' is the caller's. */
static inline int json_escape_meaning(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return -1;
    }
}

static inline int json_hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}
