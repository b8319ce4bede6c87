/* The JSON reader must judge a text the same way whether values are skipped or opened, and what it
 * decodes must be UTF-8 and survive being written and read again. */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/json_scan.h"
#include "base/json_write.h"
#include "base/utf8.h"
#include "tests/support/json_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    TEXT_MAX = 1 << 24 /* bytes; what libFuzzer sends is far below */
};

static struct json_value value_of(struct str text)
{
    struct json_reader r;
    struct json_value v = {0};
    json_reader_init(&r, text);
    ASSERT(json_take(&r, &v));
    ASSERT(json_close(&r) == ST_OK);
    return v;
}

static void check_string(struct json_value v)
{
    struct buf text;
    struct buf written;
    buf_init(&text, TEXT_MAX);
    buf_init(&written, TEXT_MAX);
    ASSERT(json_decode(v, &text) == ST_OK);
    ASSERT(text.len <= v.raw.len - 2);
    ASSERT(utf8_valid_prefix(buf_str(&text)) == text.len);
    ASSERT(json_text_is(v, buf_str(&text)));
    ASSERT(json_write_text(&written, buf_str(&text)) == ST_OK);
    ASSERT(json_text_is(value_of(buf_str(&written)), buf_str(&text)));
    buf_fini(&text);
    buf_fini(&written);
}

static void check_number(struct json_value v)
{
    int64_t whole = 0;
    double real = 0;
    enum status as_int = json_to_int(v, &whole);
    enum status as_real = json_to_real(v, &real);
    ASSERT(as_real == ST_OK || as_real == ST_TOO_BIG); /* each number is a real */
    double rounded = (double)whole;
    ASSERT(as_int != ST_OK || (as_real == ST_OK && !(rounded < real) && !(rounded > real)));
}

/* The values of a valid text, one level deep, each of them valid by itself. */
static void check_value(struct str text)
{
    struct json_reader r;
    struct json_value v;
    struct json_value key;
    json_reader_init(&r, text);
    enum json_type type = json_peek(&r);
    bool is_object = type == JSON_OBJECT;
    if (type != JSON_OBJECT && type != JSON_ARRAY) {
        v = value_of(text);
        if (v.type == JSON_STRING) {
            check_string(v);
        } else if (v.type == JSON_NUMBER) {
            check_number(v);
        }
        return;
    }
    ASSERT(json_open(&r, type));
    while (is_object ? json_next_member(&r, &key) : json_next_item(&r)) {
        if (is_object) {
            check_string(key);
        }
        ASSERT(json_take(&r, &v));
        if (v.type == JSON_STRING) {
            check_string(v);
        } else if (v.type == JSON_NUMBER) {
            check_number(v);
        } else {
            ASSERT(json_validate(v.raw, NULL, NULL) == ST_OK);
        }
    }
    ASSERT(json_close(&r) == ST_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct json_reader r;
    const char *why = NULL;
    size_t offset = 0;
    enum status whole = json_validate(text, &why, &offset);
    enum status walked = json_walk(text, &r, NULL);
    ASSERT(whole == walked);
    if (whole != ST_OK) {
        ASSERT(why != NULL && strcmp(why, r.why) == 0 && offset == json_offset(&r));
        ASSERT(offset <= size);
        return 0;
    }
    check_value(text);
    return 0;
}
