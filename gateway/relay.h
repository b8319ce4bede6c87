/* Relays an expert's event stream to a client byte for byte, and watches it: was the terminal event
 * seen, what usage was reported. Withholds exactly the bytes of the usage chunk when the gateway asked
 * for it and the client did not. Does no I/O: bytes in, ranges out.
 *
 * The terminal event and what follows it are held until relay_release: whoever runs the relay may have
 * something to do before the client learns that the answer is whole.
 *
 * Nothing is written before the first content token (or tool call, finish reason, end): until then
 * another expert can take over unseen. What came before is written then, unchanged.
 *
 * An event that is no JSON, or an error before the first content, is a fault: reading ends before it.
 * An error after that is passed on, as the end that the expert gave to its stream.
 *
 * Events over RELAY_EVENT_BYTES (images in base64, say) are passed on unread; from then on the stream
 * is only watched for its end, and placeholders stay. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/sse.h"
#include "base/status.h"
#include "base/str.h"
#include "gateway/chunk.h"
#include "gateway/restore.h"
#include "gateway/usage.h"

enum {
    RELAY_EVENT_BYTES = 128 * 1024,
    RELAY_TAIL_BYTES = 32,
    RELAY_HELD_BYTES = 64 * 1024,        /* preamble that is held back at most */
    RELAY_EDIT_BYTES = 16 * 1024 * 1024, /* an event with its placeholders restored */
    RELAY_ALIKE_BYTES = 512,
};

enum relay_fault {
    RELAY_FINE,
    RELAY_BAD_EVENT,   /* data that is no JSON object */
    RELAY_ERROR_EVENT, /* an error before the first content */
};

struct relay_span { /* of `alike`: struct chunk_span that may be moved */
    size_t start;
    size_t len;
    bool is_number;
};

struct relay { /* read-only to callers; may be moved */
    struct sse_parser sse;
    bool strips_usage;
    bool saw_done;     /* data: [DONE] */
    bool saw_finish;   /* a finish_reason */
    bool saw_error;    /* an event with an error object */
    bool is_committed; /* content was seen: bytes go out */
    bool is_blind;     /* events are too large to be read */
    bool drops_lf;     /* the LF of a withheld event's last CR LF has not come yet */
    uint64_t base;     /* stream offset of the first byte of the input window */
    uint64_t read;     /* stream offset up to which bytes were fed */
    uint64_t events;   /* with data, the terminal one excluded */
    uint64_t done_at;  /* of saw_done: stream offset where the terminal event begins */
    uint64_t held_end; /* where what is held and may go out ends: at a usage event, if at all */
    enum relay_fault fault;
    uint64_t fault_at; /* stream offset of the event */
    struct usage usage;
    /* An event with plain text. Others that differ from it in the spans only are not read again. */
    char alike[RELAY_ALIKE_BYTES];
    size_t alike_len; /* 0: none */
    struct relay_span spans[CHUNK_SPANS];
    size_t span_count;
    struct restore *restore;     /* placeholders become values in what is written; NULL: none do */
    char tail[RELAY_TAIL_BYTES]; /* last bytes, in blind mode */
    size_t tail_len;
};

/* Takes a range that may go to the client. */
typedef enum status (*relay_write_fn)(void *ctx, struct str bytes);

void relay_init(struct relay *relay, bool strips_usage);

/* Before the first byte: placeholders are restored in what is written. Borrowed until fini. */
void relay_restore(struct relay *relay, struct restore *restore);
void relay_fini(struct relay *relay);

/* Looks at the window of bytes received and not yet consumed; it begins where the last call's consumed
 * part ended. Writes what may go, in order; *ret_consumed is how much of the window is done with.
 * ST_NO_MEMORY, or what write returned. */
MUST_CHECK enum status relay_run(struct relay *relay, struct str window, relay_write_fn write,
                                 void *ctx, size_t *ret_consumed);

/* Writes what restoring holds back, where a stream breaks off. ST_NO_MEMORY, or what write returned. */
MUST_CHECK enum status relay_flush(struct relay *relay, relay_write_fn write, void *ctx);

/* At the end of the stream: judges what is left of it. After this saw_done is final. */
void relay_end(struct relay *relay);

/* Whether the stream has come to the end that the dialect gives it: [DONE] after a finish_reason, or an
 * error of the expert's. Of streams that are watched only, [DONE] is enough. */
bool relay_is_whole(const struct relay *relay);

/* Of RELAY_ERROR_EVENT: appends the data of the event that the window begins with or holds. ST_NO_MEMORY,
 * ST_TOO_BIG. */
MUST_CHECK enum status relay_read_fault(const struct relay *relay, struct str window,
                                        struct buf *out);

/* Writes what was held, of a stream that ended properly: all of the window, which is consumed. What
 * write returned. */
MUST_CHECK enum status relay_release(struct relay *relay, struct str window, relay_write_fn write,
                                     void *ctx);
