/* Reads an HTTP/1.1 reply (RFC 9112), incrementally: bytes in, head and body ranges out. Does no I/O
 * and copies no body. Stricter than most clients where framing is concerned (two lengths, unknown
 * transfer codings, bad chunk sizes are errors), lenient about bare LF line ends.
 *
 *     http1_reader_feed(&r, bytes);
 *     while ((event = http1_reader_next(&r, &body)) != HTTP1_MORE) { ... }
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backends/reply_head.h"
#include "base/buf.h"
#include "base/str.h"

enum http1_event {
    HTTP1_MORE, /* the input is used up */
    HTTP1_HEAD, /* r->status and r->head are known */
    HTTP1_BODY, /* *ret_body is a piece of the body, inside the input */
    HTTP1_END,  /* the reply is complete; r->left bytes of input belong to nobody */
    HTTP1_BAD,  /* it breaks the rules, or its head is too long; final */
};

enum http1_state {
    HTTP1_IN_HEAD,
    HTTP1_IN_SIZED, /* body with Content-Length */
    HTTP1_IN_CHUNK_SIZE,
    HTTP1_IN_CHUNK_LINE, /* rest of the size line */
    HTTP1_IN_CHUNK,
    HTTP1_IN_CHUNK_END, /* the line end behind a chunk */
    HTTP1_IN_TRAILER,
    HTTP1_IN_UNSIZED, /* body until the connection ends */
    HTTP1_AT_END,
    HTTP1_IS_BAD,
};

struct http1_reader { /* read-only to callers */
    enum http1_state state;
    struct str input;
    struct buf line; /* head, size and trailer lines that came in pieces */
    struct reply_head head;
    int status;
    bool is_http_11;
    bool has_status;
    uint64_t left; /* of the sized body or the chunk */
    size_t head_bytes;
    int digits; /* of the chunk size */
};

void http1_reader_init(struct http1_reader *r);
void http1_reader_fini(struct http1_reader *r);

/* Borrowed until the next HTTP1_MORE. */
void http1_reader_feed(struct http1_reader *r, struct str bytes);
enum http1_event http1_reader_next(struct http1_reader *r, struct str *ret_body);

/* The connection ended: whether the reply is complete by that. */
bool http1_reader_end(const struct http1_reader *r);

/* After HTTP1_END: whether the connection may serve another request. */
bool http1_reader_keeps_alive(const struct http1_reader *r);
