/* Judging a JSON document by Jansson, which shares no code with ours. Not together with
 * base/json_scan.h: both name an enum member JSON_OBJECT. */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "tests/support/test.h"

/* Parses strictly; fails the running test for anything that is no document. The caller decrefs. */
static inline json_t *json_doc_load(struct str text)
{
    json_error_t error;
    json_t *doc = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
    if (doc == NULL) {
        fail_msg("%s, at %d of %.*s", error.text, error.position, STR_ARG(text));
    }
    return doc;
}
