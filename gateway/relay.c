/* See relay.h. */
#include "gateway/relay.h"

#include <string.h>

#include "gateway/chunk.h"

void relay_init(struct relay *relay, bool strips_usage)
{
    memset(relay, 0, sizeof *relay);
    relay->strips_usage = strips_usage;
    relay->held_end = UINT64_MAX;
    sse_init(&relay->sse, RELAY_EVENT_BYTES);
}

void relay_restore(struct relay *relay, struct restore *restore)
{
    relay->restore = restore;
}

void relay_fini(struct relay *relay)
{
    sse_fini(&relay->sse);
}

/* Steps over what may stand in a span; NULL: it would have to be read. */
static const char *skip_span(const char *at, const char *end, bool is_number)
{
    if (is_number) {
        const char *start = at;
        while (at < end && *at >= '0' && *at <= '9') {
            at++;
        }
        bool is_bad = at == start || (*start == '0' && at - start > 1);
        return is_bad ? NULL : at;
    }
    while (at < end && *at != '"') {
        unsigned char c = (unsigned char)*at;
        if (c < 0x20 || c >= 0x7f || c == '\\') {
            return NULL; /* JSON and UTF-8 have rules about these */
        }
        at++;
    }
    return at;
}

/* Whether the event is one that was read, but for values that may differ: then it says no more. */
static bool is_alike(const struct relay *relay, struct str data)
{
    const char *at = data.ptr;
    const char *end = data.ptr + data.len;
    size_t known = 0;
    for (size_t i = 0; i < relay->span_count; i++) {
        const struct relay_span *span = &relay->spans[i];
        size_t fixed = span->start - known;
        if ((size_t)(end - at) < fixed || memcmp(at, relay->alike + known, fixed) != 0) {
            return false;
        }
        at = skip_span(at + fixed, end, span->is_number);
        if (at == NULL) {
            return false;
        }
        known = span->start + span->len;
    }
    size_t rest = relay->alike_len - known;
    return relay->alike_len > 0 && (size_t)(end - at) == rest &&
           memcmp(at, relay->alike + known, rest) == 0;
}

static void remember_alike(struct relay *relay, struct str data, const struct chunk *chunk)
{
    if (!chunk->is_plain || data.len > RELAY_ALIKE_BYTES) {
        return;
    }
    memcpy(relay->alike, data.ptr, data.len);
    relay->alike_len = data.len;
    relay->span_count = chunk->span_count;
    for (size_t i = 0; i < chunk->span_count; i++) {
        const struct chunk_span *span = &chunk->spans[i];
        relay->spans[i] =
            (struct relay_span){(size_t)(span->ptr - data.ptr), span->len, span->is_number};
    }
}

/* Whether this event is to be withheld. Sets the fault of one that ends the reading. */
static bool read_event(struct relay *relay, const struct sse_event *event)
{
    struct chunk chunk;
    if (str_eq(event->data, STR("[DONE]"))) {
        relay->done_at = relay->saw_done ? relay->done_at : event->start;
        relay->saw_done = true;
        relay->is_committed = true;
        return false;
    }
    relay->events++;
    if (event->data.len == 0 || is_alike(relay, event->data)) {
        return false;
    }
    enum status st = chunk_read(event->data, &chunk);
    if (st != ST_OK && relay->saw_done) {
        return false; /* nobody reads that far */
    }
    if (st != ST_OK || (chunk.is_error && !relay->is_committed)) {
        relay->events--;
        relay->fault = st == ST_OK ? RELAY_ERROR_EVENT : RELAY_BAD_EVENT;
        relay->fault_at = event->start;
        return false;
    }
    relay->is_committed = relay->is_committed || !chunk.is_preamble;
    relay->saw_error = relay->saw_error || chunk.is_error;
    relay->saw_finish = relay->saw_finish || chunk.is_finished;
    relay->events -= chunk.is_usage_only;
    if (chunk.usage.is_reported) {
        relay->usage = chunk.usage;
    }
    remember_alike(relay, event->data, &chunk);
    return chunk.is_usage_only && relay->strips_usage;
}

static void remember_tail(struct relay *relay, struct str bytes)
{
    struct str last = bytes;
    if (last.len > RELAY_TAIL_BYTES) {
        last = str_slice(bytes, bytes.len - RELAY_TAIL_BYTES, RELAY_TAIL_BYTES);
    }
    size_t keep = RELAY_TAIL_BYTES - last.len;
    keep = relay->tail_len < keep ? relay->tail_len : keep;
    memmove(relay->tail, relay->tail + relay->tail_len - keep, keep);
    memcpy(relay->tail + keep, last.ptr, last.len);
    relay->tail_len = keep + last.len;
}

static enum status run_blind(struct relay *relay, struct str window, relay_write_fn write,
                             void *ctx, size_t *ret_consumed)
{
    remember_tail(relay, window);
    enum status st = window.len == 0 ? ST_OK : write(ctx, window);
    relay->base += window.len;
    *ret_consumed = window.len;
    return st;
}

struct relay_sink {
    relay_write_fn write;
    void *ctx;
};

/* Writes [from, to) of the stream, which lies in the window. */
static enum status write_range(const struct relay *relay, struct str window, uint64_t from,
                               uint64_t to, const struct relay_sink *sink)
{
    if (from >= to) {
        return ST_OK;
    }
    return sink->write(sink->ctx,
                       str_slice(window, (size_t)(from - relay->base), (size_t)(to - from)));
}

static enum status write_text(const struct relay_sink *sink, struct str text)
{
    return text.len == 0 ? ST_OK : sink->write(sink->ctx, text);
}

/* Events with what is still held back. */
static enum status flush_held(struct relay *relay, const struct relay_sink *sink)
{
    struct buf before;
    if (relay->restore == NULL) {
        return ST_OK;
    }
    buf_init(&before, RELAY_EDIT_BYTES);
    enum status st = restore_flush(relay->restore, &before);
    if (st == ST_OK) {
        st = write_text(sink, buf_str(&before));
    }
    buf_fini(&before);
    return st;
}

/* Data that came in several lines, in one: their ends are blanks between the tokens of JSON. */
static enum status write_joined(struct buf *data, const struct relay_sink *sink)
{
    struct str text = buf_str(data);
    enum status st = write_text(sink, STR("data: "));
    while (st == ST_OK && text.len > 0) {
        struct str line;
        (void)str_split(text, '\n', &line, &text); /* there is text */
        st = write_text(sink, line);
    }
    return st == ST_OK ? write_text(sink, STR("\n\n")) : st;
}

/* Writes an event with its data exchanged, its other bytes as they came. *done moves up to where the
 * event's bytes are written. */
static enum status write_edited(const struct relay *relay, struct str window,
                                const struct sse_event *event, struct buf *data, uint64_t *done,
                                const struct relay_sink *sink)
{
    uint64_t end = event->end < relay->read ? event->end : relay->read;
    struct str raw =
        str_slice(window, (size_t)(event->start - relay->base), (size_t)(end - event->start));
    size_t at = str_find(raw, event->data);
    if (at == raw.len) {
        enum status st = write_range(relay, window, *done, event->start, sink);
        *done = end;
        return st == ST_OK ? write_joined(data, sink) : st;
    }
    enum status st = write_range(relay, window, *done, event->start + at, sink);
    if (st == ST_OK) {
        st = write_text(sink, buf_str(data));
    }
    *done = event->start + at + event->data.len;
    return st;
}

/* Restores an event, if that changes anything. */
static enum status restore(struct relay *relay, struct str window, const struct sse_event *event,
                           uint64_t *done, const struct relay_sink *sink)
{
    struct buf before;
    struct buf data;
    bool is_changed = false;
    if (relay->restore == NULL) {
        return ST_OK;
    }
    buf_init(&before, RELAY_EDIT_BYTES);
    buf_init(&data, RELAY_EDIT_BYTES);
    enum status st = restore_event(relay->restore, event->data, &before, &data, &is_changed);
    if (st == ST_OK && before.len > 0) {
        st = write_range(relay, window, *done, event->start, sink);
        *done = event->start;
    }
    if (st == ST_OK) {
        st = write_text(sink, buf_str(&before));
    }
    if (st == ST_OK && is_changed) {
        st = write_edited(relay, window, event, &data, done, sink);
    }
    buf_fini(&data);
    buf_fini(&before);
    return st;
}

enum status relay_run(struct relay *relay, struct str window, relay_write_fn write, void *ctx,
                      size_t *ret_consumed)
{
    if (relay->fault != RELAY_FINE) { /* reading has ended */
        *ret_consumed = 0;
        return ST_OK;
    }
    if (relay->is_blind) {
        return run_blind(relay, window, write, ctx, ret_consumed);
    }
    struct relay_sink sink = {write, ctx};
    struct sse_event event;
    uint64_t done = relay->base; /* written or withheld up to here */
    if (relay->drops_lf && window.len > 0) {
        relay->drops_lf = false;
        done += window.ptr[0] == '\n';
    }
    sse_feed(&relay->sse, str_slice(window, (size_t)(relay->read - relay->base), window.len));
    relay->read = relay->base + window.len;
    enum status st = sse_next(&relay->sse, &event);
    for (; st == ST_OK; st = sse_next(&relay->sse, &event)) {
        bool is_held = relay->saw_done;
        bool is_withheld = read_event(relay, &event);
        if (relay->fault != RELAY_FINE) {
            break;
        }
        if (is_withheld && is_held) {
            relay->held_end = event.start < relay->held_end ? event.start : relay->held_end;
        } else if (is_withheld) {
            relay->is_committed = true;
            enum status written = write_range(relay, window, done, event.start, &sink);
            if (written != ST_OK) {
                return written;
            }
            done = event.end;
            relay->drops_lf = done == relay->read && window.ptr[window.len - 1] == '\r';
        } else if (!is_held) {
            enum status restored = restore(relay, window, &event, &done, &sink);
            if (restored != ST_OK) {
                return restored;
            }
        }
    }
    if (st == ST_NO_MEMORY) {
        return st;
    }
    uint64_t settled = relay->read;
    if (st == ST_TOO_BIG) {
        relay->is_blind = true;
        relay->is_committed = true;
        remember_tail(relay, window);
        enum status flushed = write_range(relay, window, done, sse_settled(&relay->sse), &sink);
        done = sse_settled(&relay->sse) > done ? sse_settled(&relay->sse) : done;
        flushed = flushed == ST_OK ? flush_held(relay, &sink) : flushed;
        if (flushed != ST_OK) {
            return flushed;
        }
    } else {
        settled = sse_settled(&relay->sse);
        settled = relay->saw_done && relay->done_at < settled ? relay->done_at : settled;
        settled = relay->fault != RELAY_FINE ? relay->fault_at : settled;
    }
    relay->is_committed = relay->is_committed || window.len > RELAY_HELD_BYTES;
    if (!relay->is_committed) {
        *ret_consumed = 0;
        return ST_OK;
    }
    st = write_range(relay, window, done, settled, &sink);
    *ret_consumed = (size_t)(settled - relay->base);
    relay->base = settled;
    return st;
}

static bool is_line_end(struct str s, size_t at)
{
    return at == s.len || s.ptr[at] == '\n' || s.ptr[at] == '\r';
}

/* Whether a line of its own among the last bytes is the terminal event. */
static bool tail_is_end(struct str tail)
{
    static const struct str ends[] = {{"data: [DONE]", 12}, {"data:[DONE]", 11}};
    for (size_t at = 1; at < tail.len; at++) {
        struct str rest = str_slice(tail, at, tail.len);
        for (size_t i = 0; is_line_end(tail, at - 1) && i < 2; i++) {
            if (str_starts_with(rest, ends[i]) && is_line_end(rest, ends[i].len)) {
                return true;
            }
        }
    }
    return false;
}

void relay_end(struct relay *relay)
{
    struct sse_event event;
    if (relay->is_blind) {
        relay->saw_done =
            relay->saw_done || tail_is_end((struct str){relay->tail, relay->tail_len});
        return;
    }
    bool saw_error = relay->saw_error;
    enum relay_fault fault = relay->fault;
    if (fault == RELAY_FINE && sse_finish(&relay->sse, &event) && read_event(relay, &event)) {
        relay->held_end = event.start < relay->held_end ? event.start : relay->held_end;
    }
    relay->saw_error = saw_error; /* one that is cut does not reach the client */
    relay->fault = fault;         /* nor is it broken, but cut */
}

bool relay_is_whole(const struct relay *relay)
{
    return relay->fault == RELAY_FINE &&
           ((relay->saw_done && (relay->saw_finish || relay->is_blind)) || relay->saw_error);
}

enum status relay_read_fault(const struct relay *relay, struct str window, struct buf *out)
{
    struct sse_parser sse;
    struct sse_event event;
    sse_init(&sse, RELAY_EVENT_BYTES);
    sse_feed(&sse, str_slice(window, (size_t)(relay->fault_at - relay->base), window.len));
    enum status st = sse_next(&sse, &event);
    st = st == ST_OK ? buf_append(out, event.data) : ST_NO_MEMORY;
    sse_fini(&sse);
    return st;
}

enum status relay_flush(struct relay *relay, relay_write_fn write, void *ctx)
{
    struct relay_sink sink = {write, ctx};
    return flush_held(relay, &sink);
}

enum status relay_release(struct relay *relay, struct str window, relay_write_fn write, void *ctx)
{
    uint64_t len = relay->held_end < relay->base ? 0 : relay->held_end - relay->base;
    struct str held = len < window.len ? str_slice(window, 0, (size_t)len) : window;
    enum status st = relay_flush(relay, write, ctx);
    return st == ST_OK && relay->saw_done && held.len > 0 ? write(ctx, held) : st;
}
