/* Server-sent events, read incrementally: bytes in, events out (WHATWG HTML, "Interpreting an event
 * stream"). Does no I/O, changes no byte, and says for each event which bytes of the stream it
 * occupies, so that a relay can pass on or withhold exactly those.
 *
 *     sse_feed(&parser, chunk);
 *     for (st = sse_next(&parser, &event); st == ST_OK; st = sse_next(&parser, &event)) { ... }
 *     if (st != ST_NOT_FOUND) { the stream is broken: ST_TOO_BIG or ST_NO_MEMORY, for good }
 *     everything before sse_settled(&parser) may be passed on
 *
 * An event that lies whole in a chunk is borrowed from it and costs no copy (several data lines are
 * joined by copying); one that is cut by the end of a chunk is kept until it is whole. Text is handed
 * out as it came: not checked for UTF-8. Embedded by value; not thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

struct sse_event {    /* borrowed until the next sse_next, sse_feed, sse_reset or sse_fini */
    struct str type;  /* "message" unless an event field says otherwise */
    struct str data;  /* the data lines, joined by LF */
    struct str id;    /* last event id of the stream so far, may be empty */
    int64_t retry_ms; /* of this event's retry field, -1: none */
    uint64_t start;   /* stream offset of its first field line; see sse_next */
    uint64_t end;     /* stream offset just after the blank line that ended it */
};

struct sse_parser { /* all members private */
    struct str chunk;
    size_t at;            /* next unread byte of chunk */
    size_t next_lf;       /* first LF of chunk at or after `at`, chunk.len if none; < at: unknown */
    uint64_t chunk_start; /* stream offset of the chunk's first byte */
    uint64_t line_start;  /* stream offset of the current line */
    uint64_t event_start; /* stream offset of the current event, when is_in_event */
    size_t event_max;
    struct buf
        held; /* the current event's bytes from event_start, when it began in another chunk */
    struct buf joined; /* data of an event with several data lines */
    struct buf id;
    size_t data_offset; /* relative to event_start, like type_offset */
    size_t data_len;
    size_t data_lines;
    size_t type_offset;
    size_t type_len;
    int64_t retry_ms;
    enum status failed; /* sticky */
    uint8_t bom_len;    /* bytes of a byte order mark seen at the start; BOM_DONE when past it */
    bool is_in_event;
    bool is_reported; /* `held` and `joined` belong to the event that was handed out last */
    bool expects_lf;  /* the last chunk ended in CR: an LF now belongs to that line end */
};

/* event_max: ceiling in bytes on one event, from its first field line to its blank line, comments
 * between them included. Allocates nothing. */
void sse_init(struct sse_parser *p, size_t event_max);
void sse_fini(struct sse_parser *p);
void sse_reset(struct sse_parser *p); /* for another stream; keeps memory and ceiling */

/* Gives the next bytes of the stream, borrowed until sse_next returns something else than ST_OK.
 * The chunk before must have been read until then. */
void sse_feed(struct sse_parser *p, struct str chunk);

/* The next event that is complete. ST_NOT_FOUND: the chunk is used up, feed more. ST_TOO_BIG (an
 * event over the ceiling) and ST_NO_MEMORY are final.
 *
 * start..end covers the event's field lines, comments between them, and the blank line. Comments
 * before the first field line, blank lines, and blocks without data (`event: ping`, which by the
 * standard are no events) are in no event's range: a relay passes them on. Where the blank line ends
 * in CR LF and the chunk ends between the two, the event is reported at once, without the LF; an LF
 * left alone is one more blank line and means nothing. */
MUST_CHECK enum status sse_next(struct sse_parser *p, struct sse_event *ret_event);

/* At the end of the stream: the event that it leaves unfinished, as if its last line and a blank line
 * were complete. By the standard it is to be dropped; this is for judging what was cut (`[DONE]`
 * without its blank line is common). Afterwards only reset or fini. False: nothing was unfinished, or
 * it had no data. */
bool sse_finish(struct sse_parser *p, struct sse_event *ret_event);

/* Stream offset before which all bytes are decided: they belong to events handed out, or to none.
 * Meaningful once sse_next has said ST_NOT_FOUND. */
uint64_t sse_settled(const struct sse_parser *p);

/* True when the bytes read so far end inside an event. */
bool sse_is_in_event(const struct sse_parser *p);
