/* The members of one flat JSON object, appended to a buffer one after the other: for lines that are
 * written for every request, without printf. The first failure is kept and everything after it does
 * nothing, so that callers ask once, at the end.
 *
 *     struct json_fields f = json_fields_open(line);
 *     json_fields_text(&f, STR("id"), id);
 *     json_fields_int(&f, STR("status"), 200);
 *     enum status st = json_fields_close(&f);
 *
 * Names are written as they are: they are ours, and plain. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct json_fields {
    struct buf
        *out; /* what has no function here may be appended by hand, and its status kept in st */
    enum status st;
    bool is_first; /* private: no comma before the next member */
};

/* Appends the opening brace to `out`, which is lent until close. */
struct json_fields json_fields_open(struct buf *out);

/* Appends the closing brace. ST_OK, or the first failure: ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status json_fields_close(struct json_fields *f);

void json_fields_text(struct json_fields *f, struct str name, struct str value); /* escaped */
void json_fields_symbol(struct json_fields *f, struct str name,
                        const char *value); /* ours, plain */
void json_fields_int(struct json_fields *f, struct str name, int64_t value);
void json_fields_bool(struct json_fields *f, struct str name, bool value);
void json_fields_null(struct json_fields *f, struct str name);

/* Four decimals, rounded to the nearest: for shares and probabilities. Null when it is no number, or
 * 1e12 and more. */
void json_fields_share(struct json_fields *f, struct str name, double value);

/* An object as a member: what follows goes into it until json_fields_leave. */
void json_fields_enter(struct json_fields *f, struct str name);
void json_fields_leave(struct json_fields *f);
