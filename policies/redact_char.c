/* See redact_char.h. */
#include "policies/redact_char.h"

size_t redact_char_gap(struct str text, size_t at)
{
    static const struct str wide[] = {
        {"\xc2\xa0", 2}, {"\xe2\x80\xaf", 3}, {"\xe2\x80\x91", 3}, {"\xe2\x80\x93", 3}};
    char c = redact_char_at(text, at);
    if (c == ' ' || c == '-' || c == '.' || c == '/') {
        return 1;
    }
    for (size_t i = 0; (unsigned char)c >= 0x80 && i < sizeof wide / sizeof wide[0]; i++) {
        if (str_starts_with(str_slice(text, at, 3), wide[i])) {
            return wide[i].len;
        }
    }
    return 0;
}
