/* See json_scan.h: what strings and numbers mean, once json_scan.c has found them valid. */
#include <string.h>

#include "base/assert.h"
#include "base/json_scan.h"
#include "base/json_special.h"
#include "base/utf8.h"

#ifdef __SSE2__
#    include <emmintrin.h>
#endif

enum {
    SURROGATE_HIGH = 0xd800, /* ..0xdbff: the first half of a pair */
    SURROGATE_LOW = 0xdc00,  /* ..0xdfff: the second */
    SURROGATE_COUNT = 0x400,
    PAIRS_START = 0x10000, /* the first code point that is written as a pair */
    REPLACEMENT = 0xfffd,
    UNIT_LEN = 6, /* bytes of \uXXXX */
};

/* The 16-bit unit of \uXXXX at p, in a string that was scanned before. */
static uint32_t unit_at(const char *p)
{
    uint32_t unit = 0;
    for (int i = 2; i < UNIT_LEN; i++) {
        unit = unit << 4 | (uint32_t)json_hex_value(p[i]);
    }
    return unit;
}

static bool is_surrogate(uint32_t unit, uint32_t first)
{
    return unit >= first && unit < first + SURROGATE_COUNT;
}

/* Decodes the escape at p, a pair at once. Returns where it ends; *ret_len bytes are written. Never
 * writes more bytes than it reads. */
static const char *decode_escape(const char *p, const char *end, char out[4], size_t *ret_len)
{
    if (p[1] != 'u') {
        out[0] = (char)json_escape_meaning(p[1]);
        *ret_len = 1;
        return p + 2;
    }
    uint32_t code_point = unit_at(p);
    p += UNIT_LEN;
    if (is_surrogate(code_point, SURROGATE_HIGH) && end - p >= UNIT_LEN && p[0] == '\\' &&
        p[1] == 'u' && is_surrogate(unit_at(p), SURROGATE_LOW)) {
        code_point =
            PAIRS_START + ((code_point - SURROGATE_HIGH) << 10) + (unit_at(p) - SURROGATE_LOW);
        p += UNIT_LEN;
    } else if (is_surrogate(code_point, SURROGATE_HIGH) ||
               is_surrogate(code_point, SURROGATE_LOW)) {
        code_point = REPLACEMENT;
    }
    *ret_len = utf8_encode(code_point, out);
    return p;
}

/* Cuts the next piece off the inside of a string: bytes that stand for themselves, or an escape
 * decoded into scratch. False at the end. */
static bool next_piece(struct str *rest, char scratch[4], struct str *ret_piece)
{
    if (rest->len == 0) {
        return false;
    }
    const char *end = rest->ptr + rest->len;
    const char *next_at = rest->ptr + str_find_char(*rest, '\\');
    if (next_at == rest->ptr) {
        next_at = decode_escape(rest->ptr, end, scratch, &ret_piece->len);
        ret_piece->ptr = scratch;
    } else {
        *ret_piece = (struct str){rest->ptr, (size_t)(next_at - rest->ptr)};
    }
    *rest = (struct str){next_at, (size_t)(end - next_at)};
    return true;
}

static struct str inside(struct json_value v)
{
    return (struct str){v.raw.ptr + 1, v.raw.len - 2};
}

bool json_text_is(struct json_value v, struct str text)
{
    if (v.type != JSON_STRING) {
        return false;
    }
    struct str rest = inside(v);
    if (!v.escaped) {
        return str_eq(rest, text);
    }
    char scratch[4];
    struct str piece;
    while (next_piece(&rest, scratch, &piece)) {
        if (!str_starts_with(text, piece)) {
            return false;
        }
        text = str_slice(text, piece.len, text.len);
    }
    return text.len == 0;
}

struct str json_plain(struct json_value v)
{
    ASSERT(v.type == JSON_STRING && !v.escaped);
    return inside(v);
}

/* Copies bytes up to the next backslash or the end, 16 at a time: what is written beyond them is
 * overwritten later or not counted. There must be room for all that is left. */
static inline const char *copy_plain(const char *p, const char *end, char **to)
{
#ifdef __SSE2__
    const __m128i backslash = _mm_set1_epi8('\\');
    while (end - p >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        _mm_storeu_si128((__m128i *)(void *)*to, bytes);
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, backslash));
        int n = mask != 0 ? __builtin_ctz(mask) : 16;
        p += n;
        *to += n;
        if (mask != 0) {
            return p;
        }
    }
#endif
    while (p < end && *p != '\\') {
        *(*to)++ = *p++;
    }
    return p;
}

/* Decodes into a place with room for as many bytes as the text has. Returns the length. */
static size_t decode_to(struct str text, char *place)
{
    const char *p = text.ptr;
    const char *end = p + text.len;
    char *to = place;
    while (p < end) {
        p = copy_plain(p, end, &to);
        if (p < end) {
            char scratch[4];
            size_t len;
            p = decode_escape(p, end, scratch, &len);
            memcpy(to, scratch, len);
            to += len;
        }
    }
    return (size_t)(to - place);
}

enum status json_decode(struct json_value v, struct buf *out)
{
    ASSERT(v.type == JSON_STRING);
    struct str rest = inside(v);
    if (!v.escaped) {
        return buf_append(out, rest);
    }
    char *place = buf_reserve(out, rest.len);
    if (place != NULL) {
        buf_commit(out, decode_to(rest, place));
        return ST_OK;
    }
    /* The escapes may make it fit all the same. */
    size_t before = out->len;
    char scratch[4];
    struct str piece;
    while (next_piece(&rest, scratch, &piece)) {
        enum status st = buf_append(out, piece);
        if (st != ST_OK) {
            buf_truncate(out, before);
            return st;
        }
    }
    return ST_OK;
}

enum status json_to_int(struct json_value v, int64_t *ret_value)
{
    return v.type == JSON_NUMBER ? str_to_int(v.raw, ret_value) : ST_INVALID;
}

enum status json_to_real(struct json_value v, double *ret_value)
{
    return v.type == JSON_NUMBER ? str_to_real(v.raw, ret_value) : ST_INVALID;
}
