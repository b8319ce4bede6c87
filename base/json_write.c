/* See json_write.h. Keeps no state: braces and commas are the caller's. */
#include "base/json_write.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "base/json_special.h"
#include "base/utf8.h"

static const char *const short_escapes[256] = {
    ['"'] = "\\\"", ['\\'] = "\\\\", ['\b'] = "\\b", ['\f'] = "\\f",
    ['\n'] = "\\n", ['\r'] = "\\r",  ['\t'] = "\\t",
};

/* How the byte at p is written that json_find_special stopped at. Returns how many bytes of the text
 * that stands for. */
static size_t escape(struct str rest, struct buf *b, enum status *ret_st)
{
    unsigned char c = (unsigned char)rest.ptr[0];
    if (c >= 0x80) {
        size_t run = utf8_multibyte_run(rest);
        *ret_st = buf_append(b, run > 0 ? str_slice(rest, 0, run) : STR("\xef\xbf\xbd"));
        return run > 0 ? run : 1;
    }
    *ret_st = short_escapes[c] != NULL ? buf_append(b, str_from(short_escapes[c]))
                                       : buf_printf(b, "\\u%04x", (unsigned)c);
    return 1;
}

static enum status append_escaped(struct buf *b, struct str text)
{
    while (text.len > 0) {
        const char *special = json_find_special(text.ptr, text.ptr + text.len);
        size_t plain = (size_t)(special - text.ptr);
        enum status st = buf_append(b, str_slice(text, 0, plain));
        text = str_slice(text, plain, text.len);
        if (st == ST_OK && text.len > 0) {
            text = str_slice(text, escape(text, b, &st), text.len);
        }
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

enum status json_write_text(struct buf *b, struct str text)
{
    size_t before = b->len;
    enum status st = buf_append_char(b, '"');
    if (st == ST_OK) {
        st = append_escaped(b, text);
    }
    if (st == ST_OK) {
        st = buf_append_char(b, '"');
    }
    if (st != ST_OK) {
        buf_truncate(b, before);
    }
    return st;
}

enum status json_write_escaped(struct buf *b, struct str text)
{
    size_t before = b->len;
    enum status st = append_escaped(b, text);
    if (st != ST_OK) {
        buf_truncate(b, before);
    }
    return st;
}

enum status json_write_real(struct buf *b, double value)
{
    if (!isfinite(value)) {
        return buf_append(b, STR("null"));
    }
    /* 15 digits always survive the way to a double and back, 17 always bring a double back. Below
     * the normal range there is less precision than that, so fewer digits may do. The program never
     * leaves the C locale: the point is a point. */
    char text[32];
    int len = 0;
    double again = 0;
    int digits = fabs(value) < DBL_MIN ? 1 : DBL_DIG;
    for (; digits <= DBL_DECIMAL_DIG; digits++) {
        len = snprintf(text, sizeof text, "%.*g", digits, value);
        struct str written = {text, (size_t)len};
        if (str_to_real(written, &again) == ST_OK && !(again < value) && !(again > value)) {
            break;
        }
    }
    return buf_append(b, (struct str){text, (size_t)len});
}
