/* See utf8.h. The well-formed sequences are those of RFC 3629, section 4. */
#include "base/utf8.h"

#include <string.h>

#include "base/assert.h"

#ifdef __SSE2__
#    include <emmintrin.h>
#endif

enum {
    MIN_2_BYTES = 0x80, /* the first code point that needs two bytes, and so on */
    MIN_3_BYTES = 0x800,
    MIN_4_BYTES = 0x10000,
    CODE_POINT_MAX = 0x10ffff,
    SURROGATE_MIN = 0xd800,
    SURROGATE_MAX = 0xdfff,
};

static bool is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Two to four bytes at p, of which `left` exist. Returns the length, or 0. */
static inline size_t decode_multibyte(const unsigned char *p, size_t left, uint32_t *ret_code_point)
{
    if (left < 2 || !is_continuation(p[1])) {
        return 0;
    }
    uint32_t tail = p[1] & 0x3fu;
    if (p[0] >= 0xc2 && p[0] <= 0xdf) { /* c0 and c1 could only be overlong */
        *ret_code_point = (p[0] & 0x1fu) << 6 | tail;
        return 2;
    }
    if (p[0] < 0xe0 || left < 3 || !is_continuation(p[2])) {
        return 0;
    }
    tail = tail << 6 | (p[2] & 0x3fu);
    if (p[0] <= 0xef) {
        uint32_t c = (p[0] & 0x0fu) << 12 | tail;
        if (c < MIN_3_BYTES || (c >= SURROGATE_MIN && c <= SURROGATE_MAX)) {
            return 0;
        }
        *ret_code_point = c;
        return 3;
    }
    if (p[0] > 0xf4 || left < 4 || !is_continuation(p[3])) {
        return 0;
    }
    uint32_t c = (p[0] & 0x07u) << 18 | tail << 6 | (p[3] & 0x3fu);
    if (c < MIN_4_BYTES || c > CODE_POINT_MAX) {
        return 0;
    }
    *ret_code_point = c;
    return 4;
}

static size_t skip_ascii(struct str s)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; s.len - i >= 16; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(s.ptr + i));
        if (_mm_movemask_epi8(bytes) != 0) {
            break;
        }
    }
#else
    for (; s.len - i >= 8; i += 8) {
        uint64_t bytes;
        memcpy(&bytes, s.ptr + i, sizeof bytes);
        if ((bytes & 0x8080808080808080u) != 0) {
            break;
        }
    }
#endif
    while (i < s.len && (unsigned char)s.ptr[i] < 0x80) {
        i++;
    }
    return i;
}

/* Skips three-byte sequences, which make up most scripts of Asia: two at a time, looked at in one
 * word. What it cannot judge in this way it leaves to decode_multibyte. */
static const unsigned char *skip_three_bytes(const unsigned char *p, const unsigned char *end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t mask = 0xc0c0f0c0c0f0u; /* the marking bits of both, first byte lowest */
    const uint64_t marks = 0x8080e08080e0u;
    while (end - p >= 8) {
        uint64_t bytes;
        memcpy(&bytes, p, sizeof bytes);
        /* What e0 and ed forbid shows in the lead's low bits and bit 5 of the second byte: e0 without
         * it is overlong, ed with it a surrogate. */
        uint64_t first = bytes & 0x200fu;
        uint64_t second = bytes >> 24 & 0x200fu;
        bool is_forbidden = first == 0 || first == 0x200d || second == 0 || second == 0x200d;
        if ((bytes & mask) != marks || is_forbidden) {
            break;
        }
        p += 6;
    }
#else
    (void)end;
#endif
    return p;
}

size_t utf8_valid_prefix(struct str s)
{
    size_t at = 0;
    while (at < s.len) {
        size_t step = skip_ascii((struct str){s.ptr + at, s.len - at});
        at += step;
        size_t run = utf8_multibyte_run((struct str){s.ptr + at, s.len - at});
        at += run;
        if (step + run == 0) {
            break;
        }
    }
    return at;
}

size_t utf8_multibyte_run(struct str s)
{
    if (s.len == 0) {
        return 0;
    }
    const unsigned char *start = (const unsigned char *)s.ptr;
    const unsigned char *p = start;
    const unsigned char *end = start + s.len;
    while (p < end && *p >= 0x80) {
        p = skip_three_bytes(p, end);
        uint32_t code_point;
        size_t n = p < end && *p >= 0x80 ? decode_multibyte(p, (size_t)(end - p), &code_point) : 0;
        if (n == 0) {
            break;
        }
        p += n;
    }
    return (size_t)(p - start);
}

size_t utf8_decode(struct str s, uint32_t *ret_code_point)
{
    ASSERT(s.len > 0);
    const unsigned char *p = (const unsigned char *)s.ptr;
    if (p[0] < 0x80) {
        *ret_code_point = p[0];
        return 1;
    }
    return decode_multibyte(p, s.len, ret_code_point);
}

size_t utf8_encode(uint32_t code_point, char out[4])
{
    ASSERT(code_point <= CODE_POINT_MAX &&
           (code_point < SURROGATE_MIN || code_point > SURROGATE_MAX));
    size_t len = 1;
    len += code_point >= MIN_2_BYTES;
    len += code_point >= MIN_3_BYTES;
    len += code_point >= MIN_4_BYTES;
    if (len == 1) {
        out[0] = (char)code_point;
        return 1;
    }
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80u | (code_point & 0x3fu));
        code_point >>= 6;
    }
    static const unsigned char leads[] = {[2] = 0xc0, [3] = 0xe0, [4] = 0xf0};
    out[0] = (char)(leads[len] | code_point);
    return len;
}

struct str utf8_truncate(struct str s, size_t max)
{
    if (s.len <= max) {
        return s;
    }
    size_t len = max;
    while (len > 0 && max - len < 3 && is_continuation((unsigned char)s.ptr[len])) {
        len--;
    }
    /* Still within a sequence: then this is no UTF-8, and there is nothing to keep whole. */
    bool is_broken = is_continuation((unsigned char)s.ptr[len]);
    return (struct str){s.ptr, is_broken ? max : len};
}

void utf8_window(struct str s, size_t head, size_t tail, struct str *ret_head, struct str *ret_tail)
{
    *ret_head = s;
    *ret_tail = (struct str){NULL, 0};
    if (s.len <= head + tail) {
        return;
    }
    *ret_head = utf8_truncate(s, head);
    size_t at = s.len - tail;
    while (at < s.len && ((unsigned char)s.ptr[at] & 0xc0) == 0x80) {
        at++;
    }
    *ret_tail = (struct str){s.ptr + at, s.len - at};
}
