/* Checks a request head before anything else looks at it: libmicrohttpd 0.9.75 accepts framing that
 * another proxy may read differently (RFC 9112 sections 3, 5, 6.3; RFC 9110 section 5). Pure.
 *
 *     http_guard_start(&g, method, version);
 *     for each header: http_guard_header(&g, name, value);
 *     problem = http_guard_finish(&g);
 *
 * Anything but PROBLEM_NONE is answered with an error and the connection closed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "gateway/problem.h"

struct http_guard { /* private */
    struct str method;
    const char *why;
    int hosts;
    int lengths;
    int encodings;
    int headers;
    bool is_http_11;
    int64_t content_length; /* read-only after finish: -1 when there is none */
};

void http_guard_start(struct http_guard *g, struct str method, struct str version);
void http_guard_header(struct http_guard *g, struct str name, struct str value);

/* Notes what the caller found wrong by itself; the first reason stays. why: static text. */
void http_guard_fail(struct http_guard *g, const char *why);
enum problem http_guard_finish(struct http_guard *g);

/* What is wrong, for the message; "" if nothing is. */
const char *http_guard_why(const struct http_guard *g);

/* RFC 9110 section 5.6.2: a token, not empty. */
bool http_guard_is_token(struct str s);

/* Whether this may stand in a request line as its target: printable ASCII without blanks, no fragment,
 * not empty. Its form is not looked at: an unknown one is a path that is not there. */
bool http_guard_is_target(struct str s);
