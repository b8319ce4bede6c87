/* See json_fields.h. */
#include "base/json_fields.h"

#include <math.h>

#include "base/digits.h"
#include "base/json_write.h"

enum {
    DECIMALS = 4
};

static void append(struct json_fields *f, struct str s)
{
    if (f->st == ST_OK) {
        f->st = buf_append(f->out, s);
    }
}

/* "name": with what belongs before it, and the first part of the value: one trip to the buffer. `mark`
 * stands before and behind that part. */
static void write_member(struct json_fields *f, struct str name, struct str mark, struct str value)
{
    const struct str parts[] = {
        f->is_first ? STR("\"") : STR(",\""), name, STR("\":"), mark, value, mark};
    if (f->st == ST_OK) {
        f->st = buf_append_all(f->out, parts, sizeof parts / sizeof parts[0]);
    }
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
    write_member(f, name, STR(""), STR(""));
    if (f->st == ST_OK) {
        f->st = json_write_text(f->out, value);
    }
}

void json_fields_symbol(struct json_fields *f, struct str name, const char *value)
{
    write_member(f, name, STR("\""), str_from(value));
}

void json_fields_int(struct json_fields *f, struct str name, int64_t value)
{
    char text[DIGITS_TEXT];
    write_member(f, name, STR(""), digits_write(value, 0, text));
}

void json_fields_bool(struct json_fields *f, struct str name, bool value)
{
    write_member(f, name, STR(""), value ? STR("true") : STR("false"));
}

void json_fields_null(struct json_fields *f, struct str name)
{
    write_member(f, name, STR(""), STR("null"));
}

void json_fields_share(struct json_fields *f, struct str name, double value)
{
    char text[DIGITS_TEXT];
    if (!(fabs(value) < 1e12)) {
        json_fields_null(f, name);
        return;
    }
    write_member(f, name, STR(""), digits_write(llround(value * 1e4), DECIMALS, text));
}

void json_fields_enter(struct json_fields *f, struct str name)
{
    write_member(f, name, STR(""), STR("{"));
    f->is_first = true;
}

void json_fields_leave(struct json_fields *f)
{
    append(f, STR("}"));
    f->is_first = false;
}
