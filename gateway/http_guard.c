/* See http_guard.h. Looks only at what it is given: where the parts of a head lie is for http_server.c,
 * how chunks are delimited for libmicrohttpd. */
#include "gateway/http_guard.h"

#include <stddef.h>
#include <string.h>

enum {
    HEADERS_MAX = 200
};

static bool consists_of(struct str s, const char *marks)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_alnum && (c == '\0' || strchr(marks, c) == NULL)) {
            return false;
        }
    }
    return true;
}

bool http_guard_is_token(struct str s)
{
    return s.len > 0 && consists_of(s, "!#$%&'*+-.^_`|~");
}

bool http_guard_is_target(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || s.ptr[i] == '#') {
            return false;
        }
    }
    return s.len > 0;
}

/* The characters of uri-host and port, RFC 3986 section 3.2; empty where the target has no authority. */
static bool is_host(struct str s)
{
    return consists_of(s, "-._~%!$&'()*+,;=:[]");
}

static bool is_clean_value(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

void http_guard_fail(struct http_guard *g, const char *why)
{
    if (g->why == NULL) {
        g->why = why;
    }
}

void http_guard_start(struct http_guard *g, struct str method, struct str version)
{
    *g = (struct http_guard){.method = method, .content_length = -1};
    g->is_http_11 = str_eq(version, STR("HTTP/1.1"));
    if (!http_guard_is_token(method)) {
        http_guard_fail(g, "the method is not a token");
    }
    if (!g->is_http_11 && !str_eq(version, STR("HTTP/1.0"))) {
        http_guard_fail(g, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    }
}

/* Digits only: no sign, no blank, no list. */
static int64_t read_length(struct str value)
{
    int64_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c < '0' || c > '9' || n > (INT64_MAX - 9) / 10) {
            return -1;
        }
        n = n * 10 + (c - '0');
    }
    return value.len == 0 ? -1 : n;
}

void http_guard_header(struct http_guard *g, struct str name, struct str value)
{
    g->headers++;
    if (!http_guard_is_token(name)) {
        http_guard_fail(g, "a header name is not a token");
        return;
    }
    if (!is_clean_value(value)) {
        http_guard_fail(g, "a header value has control characters");
    }
    if (str_eq_nocase(name, STR("host"))) {
        g->hosts++;
        if (!is_host(str_trim(value))) {
            http_guard_fail(g, "Host is no name and port");
        }
    } else if (str_eq_nocase(name, STR("content-length"))) {
        g->lengths++;
        g->content_length = read_length(value);
        if (g->content_length < 0) {
            http_guard_fail(g, "Content-Length is not a number");
        }
    } else if (str_eq_nocase(name, STR("transfer-encoding"))) {
        g->encodings++;
        if (!str_eq_nocase(value, STR("chunked"))) {
            http_guard_fail(g, "Transfer-Encoding is not chunked");
        }
    }
}

enum problem http_guard_finish(struct http_guard *g)
{
    if (g->headers > HEADERS_MAX) {
        http_guard_fail(g, "there are too many headers");
    }
    if (g->lengths + g->encodings > 1) {
        http_guard_fail(g, "Content-Length and Transfer-Encoding may stand once, and not together");
    }
    if (g->encodings > 0 && !g->is_http_11) {
        http_guard_fail(g, "HTTP/1.0 knows no Transfer-Encoding");
    }
    if (g->hosts > 1 || (g->is_http_11 && g->hosts == 0)) {
        http_guard_fail(g, "Host must stand exactly once");
    }
    if (g->why != NULL) {
        return PROBLEM_BAD_HEAD;
    }
    bool takes_body = str_eq(g->method, STR("POST")) || str_eq(g->method, STR("PUT")) ||
                      str_eq(g->method, STR("PATCH"));
    if (takes_body && g->lengths + g->encodings == 0) {
        return PROBLEM_LENGTH_REQUIRED;
    }
    return PROBLEM_NONE;
}

const char *http_guard_why(const struct http_guard *g)
{
    return g->why == NULL ? "" : g->why;
}
