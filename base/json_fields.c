/* See json_fields.h. */
#include "base/json_fields.h"

#include <math.h>

#include "base/json_write.h"

enum {
    DIGITS_MAX = 24, /* of 64 bits, the sign and a point */
    DECIMALS = 4,
};

static void append(struct json_fields *f, struct str s)
{
    if (f->st == ST_OK) {
        f->st = buf_append(f->out, s);
    }
}

/* "name": with what belongs before it. */
static void begin(struct json_fields *f, struct str name)
{
    append(f, f->is_first ? STR("\"") : STR(",\""));
    append(f, name);
    append(f, STR("\":"));
    f->is_first = false;
}

struct json_fields json_fields_open(struct buf *out)
{
    struct json_fields f = {out, buf_append_char(out, '{'), true};
    return f;
}

enum status json_fields_close(struct json_fields *f)
{
    append(f, STR("}"));
    return f->st;
}

void json_fields_text(struct json_fields *f, struct str name, struct str value)
{
    begin(f, name);
    if (f->st == ST_OK) {
        f->st = json_write_text(f->out, value);
    }
}

void json_fields_symbol(struct json_fields *f, struct str name, const char *value)
{
    begin(f, name);
    append(f, STR("\""));
    append(f, str_from(value));
    append(f, STR("\""));
}

/* The decimal digits of `value`, right-aligned in `out`; at least `least` of them. */
static struct str digits(uint64_t value, size_t least, char out[DIGITS_MAX])
{
    size_t at = DIGITS_MAX;
    for (; value > 0 || DIGITS_MAX - at < least; value /= 10) {
        out[--at] = (char)('0' + value % 10);
    }
    return (struct str){out + at, DIGITS_MAX - at};
}

static void append_sign(struct json_fields *f, bool is_negative)
{
    if (is_negative) {
        append(f, STR("-"));
    }
}

void json_fields_int(struct json_fields *f, struct str name, int64_t value)
{
    char text[DIGITS_MAX];
    begin(f, name);
    append_sign(f, value < 0);
    append(f, digits(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 1, text));
}

void json_fields_bool(struct json_fields *f, struct str name, bool value)
{
    begin(f, name);
    append(f, value ? STR("true") : STR("false"));
}

void json_fields_null(struct json_fields *f, struct str name)
{
    begin(f, name);
    append(f, STR("null"));
}

void json_fields_share(struct json_fields *f, struct str name, double value)
{
    char text[DIGITS_MAX];
    if (!(fabs(value) < 1e12)) {
        json_fields_null(f, name);
        return;
    }
    struct str all = digits((uint64_t)llround(fabs(value) * 1e4), DECIMALS + 1, text);
    begin(f, name);
    append_sign(f, value < 0);
    append(f, str_slice(all, 0, all.len - DECIMALS));
    append(f, STR("."));
    append(f, str_slice(all, all.len - DECIMALS, DECIMALS));
}

void json_fields_enter(struct json_fields *f, struct str name)
{
    begin(f, name);
    append(f, STR("{"));
    f->is_first = true;
}

void json_fields_leave(struct json_fields *f)
{
    append(f, STR("}"));
    f->is_first = false;
}
