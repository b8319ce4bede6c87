/* See sse.h. Grammar and rules: WHATWG HTML, section 9.2.6.
 *
 * The stream is read line by line. While an event lies whole in the chunk its lines are looked at in
 * place; when the chunk ends inside an event, the event's bytes so far are copied to `held`, and
 * following lines are appended there until the blank line. Positions of fields are kept relative to
 * the event's start, so they hold in both places. Does not look inside data. */
#include "backends/sse.h"

#include <string.h>

#include "base/assert.h"

static const char bom[] = {'\xEF', '\xBB', '\xBF'};

enum {
    BOM_DONE = sizeof bom,
    BLANK_LINE_MAX = 2,    /* CR LF: not counted, as it may or may not be there yet */
    RETRY_DIGITS_MAX = 15, /* keeps the value inside int64_t; longer ones are ignored */
};

static uint64_t offset_at(const struct sse_parser *p)
{
    return p->chunk_start + p->at;
}

static bool is_held(const struct sse_parser *p)
{
    return p->held.len > 0;
}

/* The current event's first byte, wherever it is. */
static const char *event_base(const struct sse_parser *p)
{
    if (is_held(p)) {
        return p->held.data + p->held.head;
    }
    return p->chunk.ptr + (p->event_start - p->chunk_start);
}

static void begin_event(struct sse_parser *p, uint64_t start)
{
    p->is_in_event = true;
    p->event_start = start;
    p->data_offset = 0;
    p->data_len = 0;
    p->data_lines = 0;
    p->type_offset = 0;
    p->type_len = 0;
    p->retry_ms = -1;
}

/* Releases what the event handed out last borrowed. */
static void forget_reported(struct sse_parser *p)
{
    if (p->is_reported) {
        buf_reset(&p->held);
        buf_reset(&p->joined);
        p->is_reported = false;
    }
}

/* Index of the first CR or LF of the chunk from `at` on, chunk.len if there is none. The place of the
 * next LF is remembered, so that a chunk full of CRs is not searched again and again. */
static size_t find_line_end(struct sse_parser *p)
{
    if (p->next_lf < p->at) {
        const char *lf = memchr(p->chunk.ptr + p->at, '\n', p->chunk.len - p->at);
        p->next_lf = lf != NULL ? (size_t)(lf - p->chunk.ptr) : p->chunk.len;
    }
    const char *cr = memchr(p->chunk.ptr + p->at, '\r', p->next_lf - p->at);
    return cr != NULL ? (size_t)(cr - p->chunk.ptr) : p->next_lf;
}

/* True when the current event up to chunk offset `until` is over its ceiling. */
static bool is_over(const struct sse_parser *p, size_t until)
{
    return p->chunk_start + until - p->event_start > p->event_max;
}

/* Keeps the event's bytes up to chunk offset `until`, which is where reading goes on. */
static enum status hold(struct sse_parser *p, size_t until)
{
    size_t from = is_held(p) ? p->at : (size_t)(p->event_start - p->chunk_start);
    return buf_append(&p->held, str_slice(p->chunk, from, until - from));
}

static enum status take_data(struct sse_parser *p, struct str value, size_t offset)
{
    p->data_lines++;
    if (p->data_lines == 1) {
        p->data_offset = offset;
        p->data_len = value.len;
        return ST_OK;
    }
    if (p->data_lines == 2) {
        struct str first = {event_base(p) + p->data_offset, p->data_len};
        enum status st = buf_append(&p->joined, first);
        if (st != ST_OK) {
            return st;
        }
    }
    enum status st = buf_append_char(&p->joined, '\n');
    return st == ST_OK ? buf_append(&p->joined, value) : st;
}

static enum status take_id(struct sse_parser *p, struct str value)
{
    if (str_find_char(value, '\0') < value.len) {
        return ST_OK;
    }
    buf_reset(&p->id);
    return buf_append(&p->id, value);
}

static void take_retry(struct sse_parser *p, struct str value)
{
    int64_t ms = 0;
    if (value.len == 0 || value.len > RETRY_DIGITS_MAX) {
        return;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9') {
            return;
        }
        ms = ms * 10 + (value.ptr[i] - '0');
    }
    p->retry_ms = ms;
}

/* One line that is neither blank nor a comment, at `offset` in the event. */
static enum status take_field(struct sse_parser *p, size_t offset, size_t len)
{
    struct str line = {event_base(p) + offset, len};
    size_t colon = str_find_char(line, ':');
    struct str name = str_slice(line, 0, colon);
    size_t value_at = colon < len ? colon + 1 : len;
    if (value_at < len && line.ptr[value_at] == ' ') {
        value_at++;
    }
    struct str value = str_slice(line, value_at, len);
    if (str_eq(name, STR("data"))) {
        return take_data(p, value, offset + value_at);
    }
    if (str_eq(name, STR("event"))) {
        p->type_offset = offset + value_at;
        p->type_len = value.len;
    } else if (str_eq(name, STR("id"))) {
        return take_id(p, value);
    } else if (str_eq(name, STR("retry"))) {
        take_retry(p, value);
    }
    return ST_OK;
}

static void describe(const struct sse_parser *p, uint64_t end, struct sse_event *ret_event)
{
    const char *base = event_base(p);
    ret_event->type =
        p->type_len > 0 ? (struct str){base + p->type_offset, p->type_len} : STR("message");
    ret_event->data =
        p->data_lines > 1 ? buf_str(&p->joined) : (struct str){base + p->data_offset, p->data_len};
    ret_event->id = buf_str(&p->id);
    ret_event->retry_ms = p->retry_ms;
    ret_event->start = p->event_start;
    ret_event->end = end;
}

/* A line of the current event has ended at chunk offset `line_end`; the next starts at `next`.
 * ST_OK: an event is complete. ST_NOT_FOUND: go on. */
static enum status end_line(struct sse_parser *p, size_t line_end, size_t next,
                            struct sse_event *ret_event)
{
    uint64_t end = p->chunk_start + next;
    if (is_over(p, line_end)) {
        return ST_TOO_BIG;
    }
    if (is_held(p)) {
        enum status st = hold(p, next);
        if (st != ST_OK) {
            return st;
        }
    }
    size_t offset = (size_t)(p->line_start - p->event_start);
    size_t len = (size_t)(p->chunk_start + line_end - p->line_start);
    p->at = next;
    p->line_start = end;
    if (len > 0) {
        bool is_comment = event_base(p)[offset] == ':';
        enum status st = is_comment ? ST_OK : take_field(p, offset, len);
        return st == ST_OK ? ST_NOT_FOUND : st;
    }
    p->is_in_event = false;
    p->is_reported = true;
    if (p->data_lines == 0) {
        return ST_NOT_FOUND;
    }
    describe(p, end, ret_event);
    return ST_OK;
}

/* Steps over a byte order mark at the start of the stream. If it turns out to be none, its bytes are
 * the start of a field line. */
static enum status skip_bom(struct sse_parser *p)
{
    while (p->bom_len < BOM_DONE && p->at < p->chunk.len &&
           p->chunk.ptr[p->at] == bom[p->bom_len]) {
        p->bom_len++;
        p->at++;
        p->line_start = offset_at(p);
    }
    if (p->bom_len == BOM_DONE || p->at == p->chunk.len) {
        return ST_OK;
    }
    struct str seen = {bom, p->bom_len};
    p->bom_len = BOM_DONE;
    p->line_start = 0;
    if (seen.len == 0) {
        return ST_OK;
    }
    begin_event(p, 0);
    return buf_append(&p->held, seen);
}

/* Reads one line, or what there is of it. ST_OK: an event is complete. ST_NOT_FOUND: go on. */
static enum status read_line(struct sse_parser *p, struct sse_event *ret_event)
{
    char first = p->chunk.ptr[p->at];
    if (p->expects_lf) {
        p->expects_lf = false;
        if (first == '\n') {
            enum status st = is_held(p) ? hold(p, p->at + 1) : ST_OK;
            p->at++;
            p->line_start = offset_at(p);
            return st == ST_OK ? ST_NOT_FOUND : st;
        }
    }
    bool is_line_start = offset_at(p) == p->line_start;
    if (!p->is_in_event && is_line_start && first != ':' && first != '\r' && first != '\n') {
        begin_event(p, p->line_start);
    }
    size_t line_end = find_line_end(p);
    if (line_end == p->chunk.len) {
        enum status st = p->is_in_event ? hold(p, line_end) : ST_OK;
        p->at = line_end;
        return st == ST_OK ? ST_NOT_FOUND : st;
    }
    size_t next = line_end + 1;
    if (p->chunk.ptr[line_end] == '\r') {
        if (next == p->chunk.len) {
            p->expects_lf = true;
        } else if (p->chunk.ptr[next] == '\n') {
            next++;
        }
    }
    if (p->is_in_event) {
        return end_line(p, line_end, next, ret_event);
    }
    p->at = next;
    p->line_start = offset_at(p);
    return ST_NOT_FOUND;
}

void sse_init(struct sse_parser *p, size_t event_max)
{
    *p = (struct sse_parser){.event_max = event_max};
    buf_init(&p->held, event_max + BLANK_LINE_MAX);
    buf_init(&p->joined, event_max);
    buf_init(&p->id, event_max);
    sse_reset(p);
}

void sse_fini(struct sse_parser *p)
{
    buf_fini(&p->held);
    buf_fini(&p->joined);
    buf_fini(&p->id);
}

void sse_reset(struct sse_parser *p)
{
    buf_reset(&p->held);
    buf_reset(&p->joined);
    buf_reset(&p->id);
    p->chunk = (struct str){NULL, 0};
    p->at = 0;
    p->next_lf = 0;
    p->chunk_start = 0;
    p->line_start = 0;
    p->failed = ST_OK;
    p->bom_len = 0;
    p->is_in_event = false;
    p->is_reported = false;
    p->expects_lf = false;
    begin_event(p, 0);
    p->is_in_event = false;
}

void sse_feed(struct sse_parser *p, struct str chunk)
{
    ASSERT(p->at == p->chunk.len || p->failed != ST_OK);
    forget_reported(p);
    p->chunk_start += p->chunk.len;
    p->chunk = chunk;
    p->at = 0;
    p->next_lf = 0;
    if (chunk.len > 0) {
        const char *lf = memchr(chunk.ptr, '\n', chunk.len);
        p->next_lf = lf != NULL ? (size_t)(lf - chunk.ptr) : chunk.len;
    }
}

enum status sse_next(struct sse_parser *p, struct sse_event *ret_event)
{
    if (p->failed != ST_OK) {
        return p->failed;
    }
    forget_reported(p);
    enum status st = ST_NOT_FOUND;
    if (p->bom_len < BOM_DONE) {
        st = skip_bom(p);
        st = st == ST_OK ? ST_NOT_FOUND : st;
    }
    while (st == ST_NOT_FOUND && p->at < p->chunk.len) {
        st = read_line(p, ret_event);
        if (st == ST_NOT_FOUND) {
            forget_reported(p);
        }
    }
    if (st == ST_NOT_FOUND && p->is_in_event) {
        if (is_over(p, p->at)) {
            st = ST_TOO_BIG;
        } else if (!is_held(p)) {
            enum status held = hold(p, p->at);
            st = held == ST_OK ? ST_NOT_FOUND : held;
        }
    }
    if (st != ST_OK && st != ST_NOT_FOUND) {
        p->failed = st;
    }
    return st;
}

bool sse_finish(struct sse_parser *p, struct sse_event *ret_event)
{
    ASSERT(p->at == p->chunk.len || p->failed != ST_OK);
    forget_reported(p);
    if (p->failed != ST_OK || !p->is_in_event) {
        return false;
    }
    size_t offset = (size_t)(p->line_start - p->event_start);
    size_t len = p->held.len - offset;
    if (len > 0 && event_base(p)[offset] != ':' && take_field(p, offset, len) != ST_OK) {
        return false;
    }
    p->is_in_event = false;
    p->is_reported = true;
    if (p->data_lines == 0) {
        return false;
    }
    describe(p, p->chunk_start + p->chunk.len, ret_event);
    return true;
}

uint64_t sse_settled(const struct sse_parser *p)
{
    if (p->is_in_event) {
        return p->event_start;
    }
    return p->bom_len > 0 && p->bom_len < BOM_DONE ? 0 : offset_at(p);
}

bool sse_is_in_event(const struct sse_parser *p)
{
    return p->is_in_event;
}
