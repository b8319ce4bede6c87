/* A reader that opens everything: walks a whole text through json_open and json_next_*, iteratively.
 * For tests and fuzz targets. */
#pragma once

#include "base/json_scan.h"

/* Reads all of text with r. What json_close says; *ret_scalars (NULL allowed) counts what was
 * taken. */
static inline enum status json_walk(struct str text, struct json_reader *r, size_t *ret_scalars)
{
    bool is_object[JSON_DEPTH_MAX];
    uint32_t depth = 0;
    size_t scalars = 0;
    bool has_value = true;
    json_reader_init(r, text);
    do {
        enum json_type type = has_value ? json_peek(r) : JSON_NONE;
        if (type == JSON_ARRAY || type == JSON_OBJECT) {
            if (json_open(r, type)) {
                is_object[depth++] = type == JSON_OBJECT;
            }
        } else if (has_value) {
            scalars += json_take(r, NULL);
        }
        struct json_value key;
        has_value =
            depth > 0 && (is_object[depth - 1] ? json_next_member(r, &key) : json_next_item(r));
        depth -= depth > 0 && !has_value;
    } while (r->why == NULL && (has_value || depth > 0));
    if (ret_scalars != NULL) {
        *ret_scalars = scalars;
    }
    return json_close(r);
}
