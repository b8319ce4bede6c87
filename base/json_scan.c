/* See json_scan.h. RFC 8259 by hand. Every function that scans takes where it starts and returns
 * where it ended, or NULL after an error, which is then noted in the reader. Nesting lives in a bit
 * per level: nothing here recurses. Decoding strings and numbers is in json_text.c. */
#include "base/json_scan.h"

#include <string.h>

#include "base/assert.h"
#include "base/json_special.h"
#include "base/utf8.h"

/* What a value is, by its first byte. */
static const unsigned char first_bytes[256] = {
    ['n'] = JSON_NULL,   ['f'] = JSON_FALSE,  ['t'] = JSON_TRUE,   ['"'] = JSON_STRING,
    ['['] = JSON_ARRAY,  ['{'] = JSON_OBJECT, ['-'] = JSON_NUMBER, ['0'] = JSON_NUMBER,
    ['1'] = JSON_NUMBER, ['2'] = JSON_NUMBER, ['3'] = JSON_NUMBER, ['4'] = JSON_NUMBER,
    ['5'] = JSON_NUMBER, ['6'] = JSON_NUMBER, ['7'] = JSON_NUMBER, ['8'] = JSON_NUMBER,
    ['9'] = JSON_NUMBER,
};

static const char *refuse(struct json_reader *r, const char *at, const char *why)
{
    r->at = at;
    r->why = at < r->end ? why : "the text ends too early";
    return NULL;
}

static inline const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) {
        p++;
    }
    return p;
}

static inline bool is_digit_at(const struct json_reader *r, const char *p)
{
    return p < r->end && *p >= '0' && *p <= '9';
}

static const char *skip_digits(const struct json_reader *r, const char *p)
{
    while (is_digit_at(r, p)) {
        p++;
    }
    return p;
}

/* number = [ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ] [ ("e" / "E") [ "-" / "+" ] 1*digit ] */
static const char *scan_number(struct json_reader *r, const char *p)
{
    p += *p == '-';
    if (!is_digit_at(r, p)) {
        return refuse(r, p, "a digit was expected");
    }
    p = *p == '0' ? p + 1 : skip_digits(r, p);
    if (p < r->end && *p == '.') {
        p++;
        if (!is_digit_at(r, p)) {
            return refuse(r, p, "a digit was expected");
        }
        p = skip_digits(r, p);
    }
    if (p < r->end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < r->end && (*p == '-' || *p == '+');
        if (!is_digit_at(r, p)) {
            return refuse(r, p, "a digit was expected");
        }
        p = skip_digits(r, p);
    }
    return p;
}

/* p at the backslash. */
static const char *scan_escape(struct json_reader *r, const char *p)
{
    p++;
    if (p == r->end) {
        return refuse(r, p, "");
    }
    if (*p != 'u') {
        return json_escape_meaning(*p) >= 0 ? p + 1 : refuse(r, p, "an unknown escape");
    }
    p++;
    for (int i = 0; i < 4; i++, p++) {
        if (p == r->end || json_hex_value(*p) < 0) {
            return refuse(r, p, "four hexadecimal digits were expected");
        }
    }
    return p;
}

/* p at the opening quote. *ret_escaped is set when there is a backslash, else left alone. */
static inline const char *scan_string(struct json_reader *r, const char *p, bool *ret_escaped)
{
    p++;
    for (;;) {
        p = json_find_special(p, r->end);
        if (p == r->end) {
            return refuse(r, p, "");
        }
        unsigned char c = (unsigned char)*p;
        if (c == '"') {
            return p + 1;
        }
        if (c == '\\') {
            *ret_escaped = true;
            p = scan_escape(r, p);
            if (p == NULL) {
                return NULL;
            }
            continue;
        }
        size_t run = utf8_multibyte_run((struct str){p, (size_t)(r->end - p)});
        if (run == 0) {
            return refuse(r, p,
                          c < 0x20 ? "a raw control character in a string" : "no valid UTF-8");
        }
        p += run;
    }
}

static const char *scan_name(struct json_reader *r, const char *p, struct str name)
{
    if ((size_t)(r->end - p) < name.len || memcmp(p, name.ptr, name.len) != 0) {
        return refuse(r, p, "a value was expected");
    }
    return p + name.len;
}

/* Everything but arrays and objects. */
static inline const char *scan_scalar(struct json_reader *r, const char *p, enum json_type type,
                                      bool *ret_escaped)
{
    switch (type) {
    case JSON_STRING:
        return scan_string(r, p, ret_escaped);
    case JSON_NUMBER:
        return scan_number(r, p);
    case JSON_NULL:
        return scan_name(r, p, STR("null"));
    case JSON_FALSE:
        return scan_name(r, p, STR("false"));
    case JSON_TRUE:
        return scan_name(r, p, STR("true"));
    case JSON_NONE:
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return refuse(r, p, "a value was expected");
}

static inline enum json_type type_at(const struct json_reader *r, const char *p)
{
    return p < r->end ? (enum json_type)first_bytes[(unsigned char)*p] : JSON_NONE;
}

static inline bool is_in_object(const struct json_reader *r)
{
    uint32_t level = r->depth - 1;
    return (r->objects[level / 64] >> (level % 64) & 1) != 0;
}

/* p at the bracket. */
static inline const char *enter(struct json_reader *r, const char *p, enum json_type type)
{
    if (r->depth == JSON_DEPTH_MAX) {
        return refuse(r, p, "nested too deeply");
    }
    uint64_t bit = (uint64_t)1 << (r->depth % 64);
    uint64_t *word = &r->objects[r->depth / 64];
    *word = type == JSON_OBJECT ? *word | bit : *word & ~bit;
    r->depth++;
    return p + 1;
}

/* A key with its colon; returns where the value starts. */
static inline const char *scan_key(struct json_reader *r, const char *p, struct json_value *ret_key)
{
    if (p == r->end || *p != '"') {
        return refuse(r, p, "a key in quotes was expected");
    }
    bool is_escaped = false;
    const char *end = scan_string(r, p, &is_escaped);
    if (end == NULL) {
        return NULL;
    }
    *ret_key = (struct json_value){JSON_STRING, {p, (size_t)(end - p)}, is_escaped};
    p = skip_blanks(end, r->end);
    if (p == r->end || *p != ':') {
        return refuse(r, p, "a colon was expected");
    }
    return skip_blanks(p + 1, r->end);
}

/* One step in the innermost container, p after its bracket or after a value: to the next value, or
 * over the closing bracket, which lowers the depth. */
static inline const char *step(struct json_reader *r, const char *p, bool is_first,
                               struct json_value *ret_key)
{
    bool is_object = is_in_object(r);
    p = skip_blanks(p, r->end);
    if (p < r->end && *p == (is_object ? '}' : ']')) {
        r->depth--;
        return p + 1;
    }
    if (!is_first) {
        if (p == r->end || *p != ',') {
            return refuse(r, p,
                          is_object ? "a comma or a closing brace was expected"
                                    : "a comma or a closing bracket was expected");
        }
        p = skip_blanks(p + 1, r->end);
    }
    return is_object ? scan_key(r, p, ret_key) : p;
}

/* A whole array or object, p at its bracket. */
static const char *skip_container(struct json_reader *r, const char *p)
{
    uint32_t outside = r->depth;
    struct json_value unused_key;
    bool unused_escaped;
    do {
        enum json_type type = type_at(r, p);
        bool is_opened = type == JSON_ARRAY || type == JSON_OBJECT;
        p = is_opened ? enter(r, p, type) : scan_scalar(r, p, type, &unused_escaped);
        bool is_first = is_opened;
        uint32_t before = r->depth + 1;
        while (p != NULL && r->depth < before && r->depth > outside) { /* all that closes here */
            before = r->depth;
            p = step(r, p, is_first, &unused_key);
            is_first = false;
        }
    } while (p != NULL && r->depth > outside);
    return p;
}

void json_reader_init(struct json_reader *r, struct str text)
{
    static const char nothing[] = "";
    const char *start = text.len > 0 ? text.ptr : nothing;
    *r = (struct json_reader){
        .start = start, .at = start, .end = start + text.len, .expects_value = true};
}

enum json_type json_peek(struct json_reader *r)
{
    if (r->why != NULL || !r->expects_value) {
        return JSON_NONE;
    }
    r->at = skip_blanks(r->at, r->end);
    enum json_type type = type_at(r, r->at);
    if (type == JSON_NONE) {
        (void)refuse(r, r->at, "a value was expected"); /* noted in the reader, that is all */
    }
    return type;
}

bool json_open(struct json_reader *r, enum json_type type)
{
    ASSERT(type == JSON_ARRAY || type == JSON_OBJECT);
    ASSERT(r->why != NULL || r->expects_value);
    enum json_type there = json_peek(r);
    if (there == JSON_NONE) {
        return false;
    }
    const char *p = there == type         ? enter(r, r->at, type)
                    : type == JSON_OBJECT ? refuse(r, r->at, "an object was expected")
                                          : refuse(r, r->at, "an array was expected");
    if (p == NULL) {
        return false;
    }
    r->at = p;
    r->expects_value = false;
    r->is_first = true;
    return true;
}

/* The body of json_next_member and json_next_item. */
static bool next(struct json_reader *r, struct json_value *ret_key)
{
    uint32_t before = r->depth;
    const char *p = step(r, r->at, r->is_first, ret_key);
    if (p == NULL) {
        return false;
    }
    r->at = p;
    r->is_first = false;
    r->expects_value = r->depth == before;
    return r->expects_value;
}

bool json_next_member(struct json_reader *r, struct json_value *ret_key)
{
    if (r->why != NULL) {
        return false;
    }
    ASSERT(r->depth > 0 && is_in_object(r) && !r->expects_value);
    return next(r, ret_key);
}

bool json_next_item(struct json_reader *r)
{
    if (r->why != NULL) {
        return false;
    }
    ASSERT(r->depth > 0 && !is_in_object(r) && !r->expects_value);
    struct json_value no_key;
    return next(r, &no_key);
}

bool json_take(struct json_reader *r, struct json_value *ret_value)
{
    if (r->why != NULL) {
        return false;
    }
    ASSERT(r->expects_value);
    const char *p = skip_blanks(r->at, r->end);
    enum json_type type = type_at(r, p);
    bool is_escaped = false;
    const char *end = type == JSON_ARRAY || type == JSON_OBJECT
                          ? skip_container(r, p)
                          : scan_scalar(r, p, type, &is_escaped);
    if (end == NULL) {
        return false;
    }
    r->at = end;
    r->expects_value = false;
    if (ret_value != NULL) {
        *ret_value = (struct json_value){type, {p, (size_t)(end - p)}, is_escaped};
    }
    return true;
}

enum status json_close(struct json_reader *r)
{
    if (r->why != NULL) {
        return ST_INVALID;
    }
    if (r->depth > 0 || r->expects_value) {
        r->why = "the text was not read to its end";
        return ST_INVALID;
    }
    r->at = skip_blanks(r->at, r->end);
    if (r->at < r->end) {
        r->why = "nothing but blanks may follow the value";
        return ST_INVALID;
    }
    return ST_OK;
}

size_t json_offset(const struct json_reader *r)
{
    return (size_t)(r->at - r->start);
}

enum status json_validate(struct str text, const char **ret_why, size_t *ret_offset)
{
    struct json_reader r;
    json_reader_init(&r, text);
    (void)json_take(&r, NULL); /* errors are sticky */
    enum status st = json_close(&r);
    if (st != ST_OK && ret_why != NULL) {
        *ret_why = r.why;
    }
    if (st != ST_OK && ret_offset != NULL) {
        *ret_offset = json_offset(&r);
    }
    return st;
}
