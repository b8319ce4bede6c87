/* See outlet.h. */
#include "backends/kernels/tinylm/outlet.h"

#include "base/utf8.h"

enum {
    HELD_MAX_BYTES = 16 * 1024 * 1024, /* a stop text may be as long as a request */
};

static const struct str replacement = STR_INIT("\xef\xbf\xbd");

void outlet_init(struct outlet *o, const struct str *stops, size_t stop_count,
                 const struct outlet_sink *sink)
{
    *o = (struct outlet){.stops = stops, .stop_count = stop_count, .sink = sink};
    buf_init(&o->bytes, HELD_MAX_BYTES);
    buf_init(&o->text, HELD_MAX_BYTES);
}

void outlet_fini(struct outlet *o)
{
    buf_fini(&o->bytes);
    buf_fini(&o->text);
}

/* Bytes that an incomplete code point at the start of s still wants: 0 when it can be none. */
static size_t missing(struct str s)
{
    unsigned char lead = (unsigned char)s.ptr[0];
    size_t want = lead >= 0xf0 && lead <= 0xf4 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
    if (lead > 0xf4 || s.len >= want) {
        return 0;
    }
    for (size_t i = 1; i < s.len; i++) {
        if (((unsigned char)s.ptr[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return want - s.len;
}

/* Moves whole code points from bytes to text. */
static enum status decode(struct outlet *o, bool is_end)
{
    enum status st = ST_OK;
    while (st == ST_OK && o->bytes.len > 0) {
        struct str bytes = buf_str(&o->bytes);
        size_t n = utf8_valid_prefix(bytes);
        if (n > 0) {
            st = buf_append(&o->text, str_slice(bytes, 0, n));
        } else if (is_end || missing(bytes) == 0) {
            st = buf_append(&o->text, replacement);
            n = 1;
        } else {
            break;
        }
        buf_consume(&o->bytes, n);
    }
    return st;
}

/* Where the first stop text starts, or the end of the text. */
static size_t find_stop(const struct outlet *o, struct str text)
{
    size_t first = text.len;
    for (size_t i = 0; i < o->stop_count; i++) {
        size_t at = o->stops[i].len == 0 ? text.len : str_find(text, o->stops[i]);
        first = at < first ? at : first;
    }
    return first;
}

/* Where the end of the text may be the beginning of a stop text, or its end. */
static size_t find_beginning(const struct outlet *o, struct str text)
{
    for (size_t at = 0; at < text.len; at++) {
        struct str tail = str_slice(text, at, text.len);
        for (size_t i = 0; i < o->stop_count; i++) {
            if (tail.len < o->stops[i].len && str_starts_with(o->stops[i], tail)) {
                return at;
            }
        }
    }
    return text.len;
}

static enum status say(struct outlet *o, size_t n)
{
    enum status st = ST_OK;
    if (n > 0) {
        st = o->sink->text(o->sink->ctx, str_slice(buf_str(&o->text), 0, n));
        buf_consume(&o->text, n);
    }
    return st;
}

enum status outlet_put(struct outlet *o, struct str bytes)
{
    if (o->is_stopped) {
        return ST_OK;
    }
    enum status st = buf_append(&o->bytes, bytes);
    st = st == ST_OK ? decode(o, false) : st;
    if (st != ST_OK) {
        return st;
    }
    struct str text = buf_str(&o->text);
    size_t stop = find_stop(o, text);
    o->is_stopped = stop < text.len;
    st = say(o, o->is_stopped ? stop : find_beginning(o, text));
    if (o->is_stopped) {
        buf_reset(&o->text);
        buf_reset(&o->bytes);
    }
    return st;
}

enum status outlet_end(struct outlet *o)
{
    if (o->is_stopped) {
        return ST_OK;
    }
    enum status st = decode(o, true);
    if (st != ST_OK) {
        return st;
    }
    struct str text = buf_str(&o->text);
    size_t stop = find_stop(o, text);
    o->is_stopped = stop < text.len;
    return say(o, stop);
}
