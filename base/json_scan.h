/* A strict JSON reader (RFC 8259) over bytes in memory: pulls values, gives byte ranges, allocates
 * nothing, copies nothing. What it hands out borrows from the text. One pass: whatever is not
 * opened is validated and skipped.
 *
 * Strict means: one value, nothing after it but blanks, no BOM, no raw control characters (0x00
 * included), valid UTF-8, no trailing commas, numbers by the grammar, nesting at most
 * JSON_DEPTH_MAX. Lone surrogates in \u escapes are accepted (the grammar allows them) and decode to
 * U+FFFD. Not for building documents (json_write.h, Jansson).
 *
 *     json_reader_init(&r, text);
 *     if (json_open(&r, JSON_OBJECT)) {
 *         while (json_next_member(&r, &key)) {
 *             if (json_text_is(key, STR("model"))) { json_take(&r, &model); }
 *             else if (json_text_is(key, STR("messages")) && json_peek(&r) == JSON_ARRAY) {
 *                 json_open(&r, JSON_ARRAY);
 *                 while (json_next_item(&r)) { json_take(&r, &item); }
 *             } else { json_take(&r, NULL); }
 *         }
 *     }
 *     st = json_close(&r);          errors are sticky: checked once, here
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum json_type {
    JSON_NONE, /* error, or end of input */
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

enum {
    JSON_DEPTH_MAX = 512
};

struct json_value {
    enum json_type type;
    struct str raw; /* the bytes of the value: strings with their quotes, objects with braces */
    bool escaped;   /* a string that contains a backslash */
};

struct json_reader {
    const char *start;
    const char *at;
    const char *end;
    const char *why;                       /* NULL, or what is wrong: static text, lower case */
    uint32_t depth;                        /* open arrays and objects */
    bool expects_value;                    /* just after a key, an item's start or at the top */
    bool is_first;                         /* nothing read yet in the open container */
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* bit per depth: object, else array */
};

void json_reader_init(struct json_reader *r, struct str text);

/* Type of the value at the cursor, without moving. JSON_NONE after an error. */
enum json_type json_peek(struct json_reader *r);

/* Enters the array or object at the cursor. False (an error) if it is something else. */
bool json_open(struct json_reader *r, enum json_type type);

/* Next member of the innermost open object: its key, cursor on its value, which must then be opened
 * or taken. False at the closing brace, which is consumed, or on an error. */
bool json_next_member(struct json_reader *r, struct json_value *ret_key);

/* Next item of the innermost open array, in the same way. */
bool json_next_item(struct json_reader *r);

/* Validates and steps over the value at the cursor, whatever it is. ret_value may be NULL. False on
 * an error. */
bool json_take(struct json_reader *r, struct json_value *ret_value);

/* Ends: ST_OK if the text was one whole valid value and all that was opened was read to its end,
 * else ST_INVALID with r->why and json_offset. */
MUST_CHECK enum status json_close(struct json_reader *r);
size_t json_offset(const struct json_reader *r); /* where it stands, or where the error is */

/* Validates a whole text. ST_INVALID with why and offset (both may be NULL). */
MUST_CHECK enum status json_validate(struct str text, const char **ret_why, size_t *ret_offset);

/* Strings. */
bool json_text_is(struct json_value v,
                  struct str text); /* compares decoded; false for non-strings */

/* The inside of a string without escapes: raw minus quotes. v must be an unescaped string. */
struct str json_plain(struct json_value v);

/* Appends the decoded text. ST_NO_MEMORY, ST_TOO_BIG. v must be a string. */
MUST_CHECK enum status json_decode(struct json_value v, struct buf *out);

/* Numbers: ST_INVALID if it is no integer (1.0 is none), ST_TOO_BIG out of int64 range. */
MUST_CHECK enum status json_to_int(struct json_value v, int64_t *ret_value);
MUST_CHECK enum status json_to_real(struct json_value v, double *ret_value);
