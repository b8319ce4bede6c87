/* See http1_reader.h. */
#include "backends/http1_reader.h"

enum {
    CHUNK_DIGITS_MAX = 15
};

void http1_reader_init(struct http1_reader *r)
{
    *r = (struct http1_reader){.state = HTTP1_IN_HEAD};
    buf_init(&r->line, REPLY_HEAD_BYTES_MAX);
    reply_head_init(&r->head);
}

void http1_reader_fini(struct http1_reader *r)
{
    buf_fini(&r->line);
}

void http1_reader_feed(struct http1_reader *r, struct str bytes)
{
    r->input = bytes;
}

/* The next whole line, without its end; false: it is not complete yet, or too long (then bad). */
static bool take_line(struct http1_reader *r, struct str *ret_line)
{
    size_t at = str_find_char(r->input, '\n');
    struct str piece = str_slice(r->input, 0, at);
    bool is_whole = at < r->input.len;
    r->head_bytes += piece.len + (is_whole ? 1 : 0);
    if (r->head_bytes > REPLY_HEAD_BYTES_MAX) {
        r->state = HTTP1_IS_BAD;
        return false;
    }
    r->input = str_slice(r->input, is_whole ? at + 1 : at, r->input.len);
    if (!is_whole || r->line.len > 0) {
        if (buf_append(&r->line, piece) != ST_OK) {
            r->state = HTTP1_IS_BAD;
            return false;
        }
        piece = buf_str(&r->line);
    }
    if (!is_whole) {
        return false;
    }
    if (str_ends_with(piece, STR("\r"))) {
        piece.len--;
    }
    *ret_line = piece;
    return true;
}

static void line_is_read(struct http1_reader *r)
{
    buf_reset(&r->line);
}

/* "HTTP/1.1 200 OK": version, blank, three digits, then a blank or the end. */
static bool read_status_line(struct http1_reader *r, struct str line)
{
    if (line.len < 12 || !str_starts_with(line, STR("HTTP/1.")) || line.ptr[8] != ' ' ||
        (line.len > 12 && line.ptr[12] != ' ')) {
        return false;
    }
    r->is_http_11 = line.ptr[7] == '1';
    r->status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (line.ptr[i] < '0' || line.ptr[i] > '9') {
            return false;
        }
        r->status = r->status * 10 + (line.ptr[i] - '0');
    }
    return r->status >= 100 && r->status < 600 && (line.ptr[7] == '1' || line.ptr[7] == '0');
}

/* RFC 9112 section 6.3, for answers to POST. */
static bool choose_framing(struct http1_reader *r)
{
    const struct reply_head *head = &r->head;
    if (!reply_head_is_framed(head)) {
        return false;
    }
    if (r->status == 204 || r->status == 304 || (!head->is_chunked && head->content_length == 0)) {
        r->state = HTTP1_AT_END;
    } else if (head->is_chunked) {
        r->state = HTTP1_IN_CHUNK_SIZE;
    } else if (head->content_length > 0) {
        r->left = (uint64_t)head->content_length;
        r->state = HTTP1_IN_SIZED;
    } else {
        r->state = HTTP1_IN_UNSIZED;
    }
    return true;
}

static enum http1_event bad(struct http1_reader *r)
{
    r->state = HTTP1_IS_BAD;
    return HTTP1_BAD;
}

/* One line of the head. HTTP1_HEAD when it is complete and no interim one. */
static enum http1_event read_head_line(struct http1_reader *r, struct str line)
{
    if (!r->has_status) {
        r->has_status = read_status_line(r, line);
        return r->has_status ? HTTP1_MORE : bad(r);
    }
    if (line.len > 0) {
        return reply_head_line(&r->head, line) ? HTTP1_MORE : bad(r);
    }
    if (r->status < 200) { /* 100 Continue and the like: the real head follows */
        if (r->status == 101) {
            return bad(r);
        }
        r->has_status = false;
        reply_head_init(&r->head);
        return HTTP1_MORE;
    }
    return choose_framing(r) ? HTTP1_HEAD : bad(r);
}

static enum http1_event read_head(struct http1_reader *r)
{
    struct str line;
    enum http1_event event = HTTP1_MORE;
    while (event == HTTP1_MORE && take_line(r, &line)) {
        event = read_head_line(r, line);
        line_is_read(r);
    }
    return r->state == HTTP1_IS_BAD ? HTTP1_BAD : event;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static enum http1_event read_chunk_size(struct http1_reader *r)
{
    while (r->input.len > 0) {
        int digit = digit_of(r->input.ptr[0]);
        if (digit < 0) {
            if (r->digits == 0) {
                return bad(r);
            }
            r->digits = 0;
            r->state = HTTP1_IN_CHUNK_LINE;
            return HTTP1_MORE;
        }
        if (r->digits == CHUNK_DIGITS_MAX) {
            return bad(r);
        }
        r->left = r->left * 16 + (uint64_t)digit;
        r->digits++;
        r->input = str_slice(r->input, 1, r->input.len);
    }
    return HTTP1_MORE;
}

/* The rest of the size line: nothing, or an extension. */
static enum http1_event read_chunk_line(struct http1_reader *r)
{
    struct str line;
    if (!take_line(r, &line)) {
        return r->state == HTTP1_IS_BAD ? HTTP1_BAD : HTTP1_MORE;
    }
    size_t at = 0;
    while (at < line.len && (line.ptr[at] == ' ' || line.ptr[at] == '\t')) {
        at++;
    }
    bool is_good = at == line.len || line.ptr[at] == ';';
    line_is_read(r);
    if (!is_good) {
        return bad(r);
    }
    r->head_bytes = 0;
    r->state = r->left == 0 ? HTTP1_IN_TRAILER : HTTP1_IN_CHUNK;
    return HTTP1_MORE;
}

static enum http1_event read_chunk_end(struct http1_reader *r)
{
    struct str line;
    if (!take_line(r, &line)) {
        return r->state == HTTP1_IS_BAD ? HTTP1_BAD : HTTP1_MORE;
    }
    bool is_good = line.len == 0;
    line_is_read(r);
    r->head_bytes = 0;
    r->state = HTTP1_IN_CHUNK_SIZE;
    return is_good ? HTTP1_MORE : bad(r);
}

static enum http1_event read_trailer(struct http1_reader *r)
{
    struct str line;
    while (take_line(r, &line)) {
        bool is_last = line.len == 0;
        line_is_read(r);
        if (is_last) {
            r->state = HTTP1_AT_END;
            return HTTP1_END;
        }
    }
    return r->state == HTTP1_IS_BAD ? HTTP1_BAD : HTTP1_MORE;
}

/* A piece of a body of which r->left bytes are missing; after the last one comes `next`. */
static enum http1_event read_sized(struct http1_reader *r, enum http1_state next,
                                   struct str *ret_body)
{
    size_t n = r->left < r->input.len ? (size_t)r->left : r->input.len;
    *ret_body = str_slice(r->input, 0, n);
    r->input = str_slice(r->input, n, r->input.len);
    r->left -= n;
    if (r->left == 0) {
        r->state = next;
    }
    return HTTP1_BODY;
}

static enum http1_event step(struct http1_reader *r, struct str *ret_body)
{
    switch (r->state) {
    case HTTP1_IN_HEAD:
        return read_head(r);
    case HTTP1_IN_SIZED:
        return read_sized(r, HTTP1_AT_END, ret_body);
    case HTTP1_IN_CHUNK_SIZE:
        return read_chunk_size(r);
    case HTTP1_IN_CHUNK_LINE:
        return read_chunk_line(r);
    case HTTP1_IN_CHUNK:
        return read_sized(r, HTTP1_IN_CHUNK_END, ret_body);
    case HTTP1_IN_CHUNK_END:
        return read_chunk_end(r);
    case HTTP1_IN_TRAILER:
        return read_trailer(r);
    case HTTP1_IN_UNSIZED:
        *ret_body = r->input;
        r->input.len = 0;
        return HTTP1_BODY;
    case HTTP1_AT_END:
        return HTTP1_END;
    case HTTP1_IS_BAD:
        return HTTP1_BAD;
    }
    return HTTP1_BAD;
}

enum http1_event http1_reader_next(struct http1_reader *r, struct str *ret_body)
{
    enum http1_event event = HTTP1_MORE;
    while (event == HTTP1_MORE && (r->input.len > 0 || r->state == HTTP1_AT_END)) {
        event = step(r, ret_body);
    }
    return event;
}

bool http1_reader_end(const struct http1_reader *r)
{
    return r->state == HTTP1_IN_UNSIZED || r->state == HTTP1_AT_END;
}

bool http1_reader_keeps_alive(const struct http1_reader *r)
{
    return r->state == HTTP1_AT_END && r->is_http_11 && !r->head.closes && r->input.len == 0;
}
