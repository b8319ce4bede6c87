/* See redact_char.h. */
#include "policies/redact_char.h"

#include <string.h>

/* Length of what shows nothing at `at`, or 0: U+00AD, U+200B to U+200D, U+2060, U+FEFF. */
static size_t invisible(struct str text, size_t at)
{
    static const struct str all[] = {{"\xc2\xad", 2},     {"\xe2\x80\x8b", 3}, {"\xe2\x80\x8c", 3},
                                     {"\xe2\x80\x8d", 3}, {"\xe2\x81\xa0", 3}, {"\xef\xbb\xbf", 3}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (str_starts_with(str_slice(text, at, 3), all[i])) {
            return all[i].len;
        }
    }
    return 0;
}

/* Length of a blank, dash, dot or slash; beyond ASCII U+00A0, U+2000 to U+200A, U+2010 to U+2015, U+202F,
 * U+205F, U+2212, U+3000. */
static size_t separator(struct str text, size_t at)
{
    static const struct {
        const char *first;
        const char *last;
        size_t len;
    } wide[] = {
        {"\xc2\xa0", "\xc2\xa0", 2},         {"\xe2\x80\x80", "\xe2\x80\x8a", 3},
        {"\xe2\x80\x90", "\xe2\x80\x95", 3}, {"\xe2\x80\xaf", "\xe2\x80\xaf", 3},
        {"\xe2\x81\x9f", "\xe2\x81\x9f", 3}, {"\xe2\x88\x92", "\xe2\x88\x92", 3},
        {"\xe3\x80\x80", "\xe3\x80\x80", 3},
    };

    char c = redact_char_at(text, at);
    if ((unsigned char)c < 0x80) {
        return c == ' ' || c == '-' || c == '.' || c == '/' || c == '\t';
    }
    struct str left = str_slice(text, at, text.len);
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        if (left.len >= wide[i].len && memcmp(left.ptr, wide[i].first, wide[i].len) >= 0 &&
            memcmp(left.ptr, wide[i].last, wide[i].len) <= 0) {
            return wide[i].len;
        }
    }
    return 0;
}

size_t redact_char_gap(struct str text, size_t at)
{
    enum {
        INVISIBLE_MAX = 4
    };

    size_t end = at;
    bool has_separator = false;
    for (int i = 0; i <= INVISIBLE_MAX && end < text.len; i++) {
        bool is_wide = (unsigned char)text.ptr[end] >= 0x80;
        size_t len = is_wide ? invisible(text, end) : 0;
        if (len == 0 && !has_separator) {
            len = separator(text, end);
            has_separator = len > 0;
        }
        if (len == 0) {
            break;
        }
        end += len;
    }
    return end - at;
}
