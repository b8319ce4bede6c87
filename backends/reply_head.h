/* What the gateway wants to know of an expert's reply head, line by line. Pure; used by both HTTP
 * clients (call_remote.c over libcurl, http1.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum {
    REPLY_HEAD_BYTES_MAX = 64 * 1024, /* a longer head is refused */
    REPLY_HEAD_CONTENT_TYPE_BYTES = 128,
};

struct reply_head {         /* read-only to callers */
    int64_t retry_after_s;  /* -1: none */
    int64_t content_length; /* -1: none */
    int lengths;            /* Content-Length lines that differ from the first */
    bool is_encoded; /* Content-Encoding that nobody asked for: bytes could not be passed on */
    bool is_chunked;
    bool has_bad_encoding; /* a Transfer-Encoding that is not just chunked */
    bool closes;           /* Connection: close */
    char content_type[REPLY_HEAD_CONTENT_TYPE_BYTES];
};

void reply_head_init(struct reply_head *head);

/* One header line without its line end. False: it is no header line. */
bool reply_head_line(struct reply_head *head, struct str line);

/* Whether it says where the body ends in one way only (RFC 9112 section 6.3): not two lengths, no
 * length beside chunks, no unknown coding. */
bool reply_head_is_framed(const struct reply_head *head);

bool reply_head_is_event_stream(const struct reply_head *head);
