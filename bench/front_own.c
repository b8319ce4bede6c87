/* A strict HTTP/1.1 server behind the interface of gateway/http_server.h: what it would cost to do
 * without libmicrohttpd, measured by bench/front.c. A prototype: heads, sized and chunked bodies,
 * keep-alive, requests behind each other, streams, deadlines, clients that leave. It has no TLS, no drain,
 * no refusal of surplus connections, no 100 Continue, and wipes nothing.
 *
 * A connection is registered once, edge-triggered, for everything; it is read until there is no more. Its
 * bytes lie in `in`: the head, then a sized body, which is not copied. Chunked bodies are decoded into
 * `body`. What is to be sent goes out at the end of the turn. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/container.h"
#include "base/digits.h"
#include "base/mem.h"
#include "gateway/http_guard.h"
#include "gateway/http_server.h"

enum {
    HEADERS_MAX = 64,
    READ_BYTES = 4096,
    CHUNK_LINE_MAX = 32,
    HEX_TEXT = 18,
};

enum state {
    IN_HEAD,
    IN_SIZED,
    IN_CHUNK_SIZE,
    IN_CHUNK,
    IN_CHUNK_END,
    IN_TRAILER,
    ANSWERING, /* the request is complete */
    BROKEN,
};

struct field { /* places in `in` */
    uint32_t name;
    uint32_t name_len;
    uint32_t value;
    uint32_t value_len;
};

struct http_request {
    struct http_server *server;
    struct loop_io io;
    struct loop_timer timer;
    struct loop_task task;
    struct http_request *next;
    struct http_request *previous;
    struct http_request *next_dirty;
    void *owner;
    struct buf in;
    struct buf body; /* of chunks */
    struct buf out;
    struct str content; /* of a reply, borrowed: goes out behind `out` */
    enum state state;
    size_t scanned;
    size_t head_len;
    size_t left; /* of the chunk */
    size_t lead; /* bytes of the chunk's line, or of the line of a trailer */
    int64_t length;
    struct str method;
    struct str target;
    struct field fields[HEADERS_MAX];
    size_t field_count;
    enum problem problem;
    const char *why;
    bool is_dirty;
    bool is_stream;
    bool is_ended;
    bool is_replied;
    bool is_last;
    bool is_throttled;
    bool is_dead;
};

struct http_server {
    struct loop *loop;
    struct loop_io listen_io;
    struct http_limits limits;
    struct http_hooks hooks;
    void *ctx;
    struct http_request *connections;
    struct http_request *dirty;
    time_t date_s;
    char date[40];
};

/* ---------------------------------------------------------------- connections */

static void free_connection(struct loop_task *task)
{
    struct http_request *r = CONTAINER_OF(task, struct http_request, task);
    buf_fini(&r->in);
    buf_fini(&r->body);
    buf_fini(&r->out);
    mem_free(r);
}

static void close_connection(struct http_request *r)
{
    struct http_server *s = r->server;
    if (r->is_dead) {
        return;
    }
    r->is_dead = true;
    loop_timer_cancel(s->loop, &r->timer);
    loop_remove(s->loop, &r->io);
    (void)close(r->io.fd);
    if (r->owner != NULL) {
        if (!r->is_replied || r->out.len > 0 || r->content.len > 0 || !r->is_ended) {
            s->hooks.on_gone(r->owner);
        }
        s->hooks.on_close(r->owner);
        r->owner = NULL;
    }
    for (struct http_request **at = &s->dirty; *at != NULL; at = &(*at)->next_dirty) {
        if (*at == r) {
            *at = r->next_dirty;
            break;
        }
    }
    if (r->next != NULL) {
        r->next->previous = r->previous;
    }
    *(r->previous == NULL ? &s->connections : &r->previous->next) = r->next;
    loop_defer(s->loop, &r->task);
}

static void wait_for(struct http_request *r, int64_t ms)
{
    struct loop *loop = r->server->loop;
    if (ms == 0) {
        loop_timer_cancel(loop, &r->timer);
    } else if (loop_timer_set(loop, &r->timer, loop_now_ms(loop) + ms) != ST_OK) {
        (void)shutdown(r->io.fd, SHUT_RDWR);
    }
}

static void mark(struct http_request *r)
{
    if (!r->is_dirty && !r->is_dead) {
        r->is_dirty = true;
        r->next_dirty = r->server->dirty;
        r->server->dirty = r;
    }
}

/* ---------------------------------------------------------------- heads */

static struct str line_of(const struct buf *b, size_t from, size_t to)
{
    return str_slice(buf_str(b), from, to - from);
}

/* The end of the head behind its empty line; 0: not yet. Bare LFs break it. */
static size_t find_end(struct http_request *r)
{
    struct str all = buf_str(&r->in);
    while (r->scanned < all.len) {
        const char *lf = memchr(all.ptr + r->scanned, '\n', all.len - r->scanned);
        if (lf == NULL) {
            r->scanned = all.len;
            return 0;
        }
        size_t at = (size_t)(lf - all.ptr);
        if (at == 0 || lf[-1] != '\r') {
            r->state = BROKEN;
            return at + 1;
        }
        r->scanned = at + 1;
        if (at >= 3 && lf[-2] == '\n') {
            return at + 1;
        }
        if (at == 1) { /* an empty line before the request line */
            buf_consume(&r->in, 2);
            all = buf_str(&r->in);
            r->scanned = 0;
        }
    }
    return 0;
}

/* OWS: blanks and tabs alone. */
static struct str trim(struct str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s = str_slice(s, 1, s.len);
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

static void take_field(struct http_request *r, struct http_guard *g, size_t from, size_t to)
{
    struct str line = line_of(&r->in, from, to);
    size_t colon = str_find_char(line, ':');
    struct str name = str_slice(line, 0, colon);
    struct str value = trim(str_slice(line, colon + 1, line.len));
    if (colon == line.len || r->field_count == HEADERS_MAX) {
        http_guard_fail(g, "a header has no colon, or there are too many");
        return;
    }
    const char *base = buf_str(&r->in).ptr;
    http_guard_header(g, name, value);
    r->fields[r->field_count++] = (struct field){(uint32_t)(name.ptr - base), (uint32_t)name.len,
                                                 (uint32_t)(value.ptr - base), (uint32_t)value.len};
}

static void take_request_line(struct http_request *r, struct http_guard *g, struct str line)
{
    size_t first = str_find_char(line, ' ');
    struct str rest = str_slice(line, first + 1, line.len);
    size_t second = str_find_char(rest, ' ');
    r->method = str_slice(line, 0, first);
    r->target = str_slice(rest, 0, second);
    http_guard_start(g, r->method, str_slice(rest, second + 1, rest.len));
    if (!http_guard_is_target(r->target)) {
        http_guard_fail(g, "the target has characters that no target has");
    }
}

static void parse_head(struct http_request *r)
{
    struct http_guard g;
    struct str all = line_of(&r->in, 0, r->head_len);
    size_t end = str_find_char(all, '\n');
    take_request_line(r, &g, str_slice(all, 0, end == 0 ? 0 : end - 1));
    if (r->state == BROKEN || r->head_len == 0) {
        http_guard_fail(&g, "a line of the head does not end in CR LF, or it is too long");
    }
    for (size_t from = end + 1; from + 2 < all.len; from = end + 1) {
        end = from + str_find_char(str_slice(all, from, all.len), '\n');
        take_field(r, &g, from, end - 1);
    }
    r->problem = http_guard_finish(&g);
    r->why = http_guard_why(&g);
    r->length = g.content_length < 0 ? 0 : g.content_length;
    if (r->problem == PROBLEM_NONE && r->length > r->server->limits.body_bytes) {
        r->problem = PROBLEM_BODY_TOO_LARGE;
    }
    bool is_lawful = r->problem == PROBLEM_NONE;
    struct str connection = http_request_header(r, STR("Connection"));
    r->is_last = !is_lawful || !g.is_http_11 || str_eq_nocase(connection, STR("close"));
    r->state = !is_lawful        ? BROKEN
               : g.encodings > 0 ? IN_CHUNK_SIZE
               : r->length > 0   ? IN_SIZED
                                 : ANSWERING;
}

/* ---------------------------------------------------------------- chunks */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "SIZE CRLF", without extensions: who sends them means nothing that we know. */
static void take_size(struct http_request *r, char c)
{
    static const char end[] = "\r\n";
    int digit = hex(c);
    r->lead++;
    if (digit >= 0 && r->lead <= 8) {
        r->left = r->left * 16 + (size_t)digit;
    } else if (c == end[0] && r->lead > 1 && r->lead < CHUNK_LINE_MAX) {
        r->lead = CHUNK_LINE_MAX;
    } else if (c == end[1] && r->lead == CHUNK_LINE_MAX + 1) {
        r->state = r->left == 0 ? IN_TRAILER : IN_CHUNK;
        r->lead = 0;
    } else {
        r->state = BROKEN;
    }
}

/* Returns how much of it belongs to this body. */
static size_t take_chunks(struct http_request *r, struct str bytes)
{
    size_t at = 0;
    while (at < bytes.len && r->state != ANSWERING && r->state != BROKEN) {
        if (r->state == IN_CHUNK) {
            struct str data = str_slice(bytes, at, r->left);
            bool is_kept = buf_append(&r->body, data) == ST_OK;
            r->left -= data.len;
            at += data.len;
            r->state = !is_kept ? BROKEN : r->left == 0 ? IN_CHUNK_END : IN_CHUNK;
            continue;
        }
        char c = bytes.ptr[at++];
        bool is_end = r->lead == 1 && c == '\n';
        if (r->state == IN_CHUNK_SIZE) {
            take_size(r, c);
        } else if (r->lead == 0 && c == '\r') {
            r->lead = 1;
        } else if (is_end) { /* no trailers either */
            r->lead = 0;
            r->state = r->state == IN_TRAILER ? ANSWERING : IN_CHUNK_SIZE;
        } else {
            r->state = BROKEN;
        }
    }
    return at;
}

/* ---------------------------------------------------------------- reading */

static void start_request(struct http_request *r)
{
    struct http_server *s = r->server;
    parse_head(r);
    bool has_body = r->state != ANSWERING && r->state != BROKEN;
    wait_for(r, has_body ? s->limits.body_ms : 0);
    if (r->state == IN_SIZED) {
        size_t whole = r->head_len + (size_t)r->length;
        r->state =
            whole > r->in.len && buf_reserve(&r->in, whole - r->in.len) == NULL ? BROKEN : IN_SIZED;
    }
    r->owner = s->hooks.on_head(s->ctx, r);
    if (r->owner == NULL) {
        r->state = BROKEN;
        r->is_ended = true;
        mark(r);
    }
}

/* Moves on with what was received. */
static void digest(struct http_request *r)
{
    if (r->state == IN_HEAD) {
        r->head_len = find_end(r);
        if (r->head_len == 0 && r->in.len < (size_t)r->server->limits.head_bytes) {
            return;
        }
        start_request(r);
    }
    if (r->state == IN_SIZED && r->in.len >= r->head_len + (size_t)r->length) {
        r->state = ANSWERING;
    } else if (r->state != ANSWERING && r->state != BROKEN && r->state != IN_SIZED) {
        struct str rest = line_of(&r->in, r->head_len, r->in.len);
        (void)take_chunks(r, rest);
        buf_truncate(&r->in, r->head_len); /* nothing behind a chunked body is served */
        r->is_last = true;
        if (r->state == BROKEN) {
            close_connection(r);
            return;
        }
    }
    if (r->state == ANSWERING && r->owner != NULL) {
        wait_for(r, 0);
        r->server->hooks.on_body(r->owner);
    }
}

static void receive(struct http_request *r)
{
    while (!r->is_dead && r->state != ANSWERING && r->state != BROKEN) {
        size_t missing = r->state == IN_SIZED ? r->head_len + (size_t)r->length - r->in.len : 0;
        size_t most = missing > READ_BYTES ? missing : READ_BYTES;
        char *room = buf_reserve(&r->in, most);
        ssize_t n = room == NULL ? 0 : recv(r->io.fd, room, most, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            close_connection(r);
            return;
        }
        if (r->in.len == 0) {
            wait_for(r, r->server->limits.head_ms);
        }
        buf_commit(&r->in, (size_t)n);
        digest(r);
        if ((size_t)n < most) {
            return; /* there is no more, or another edge says so */
        }
    }
}

/* ---------------------------------------------------------------- sending */

static void finish(struct http_request *r)
{
    struct http_server *s = r->server;
    if (r->owner != NULL) {
        s->hooks.on_close(r->owner);
        r->owner = NULL;
    }
    if (r->is_last || r->state == BROKEN) {
        (void)shutdown(r->io.fd, SHUT_WR);
        close_connection(r);
        return;
    }
    buf_consume(&r->in, r->head_len + (size_t)r->length);
    buf_fini(&r->body);
    buf_fini(&r->out);
    r->state = IN_HEAD;
    r->scanned = r->head_len = r->left = r->lead = r->field_count = 0;
    r->is_stream = r->is_ended = r->is_replied = r->is_throttled = false;
    wait_for(r, s->limits.idle_ms);
    if (r->in.len > 0) {
        digest(r);
    } else {
        buf_fini(&r->in); /* an idle connection holds nothing */
    }
    receive(r); /* what came meanwhile made its edge */
}

static void flush(struct http_request *r)
{
    struct str out = buf_str(&r->out);
    struct iovec parts[2] = {{r->out.data + r->out.head, out.len},
                             {(void *)(uintptr_t)r->content.ptr, r->content.len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n = out.len + r->content.len == 0
                    ? 0
                    : sendmsg(r->io.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            close_connection(r);
        }
        return;
    }
    size_t of_out = (size_t)n < out.len ? (size_t)n : out.len;
    buf_consume(&r->out, of_out);
    r->content = str_slice(r->content, (size_t)n - of_out, r->content.len);
    if (r->is_throttled && r->out.len < HTTP_STREAM_HIGH_BYTES / 2) {
        r->is_throttled = false;
        r->server->hooks.on_writable(r->owner);
    }
    if (r->is_ended && r->out.len + r->content.len == 0) {
        finish(r);
    }
}

static void on_events(struct loop_io *io, uint32_t events)
{
    struct http_request *r = CONTAINER_OF(io, struct http_request, io);
    bool is_half = (events & (EPOLLHUP | EPOLLERR)) == 0;
    bool is_gone = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (is_gone && (!is_half || r->server->limits.half_close_is_gone) && r->state != IN_HEAD) {
        close_connection(r);
        return;
    }
    if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) {
        receive(r);
    }
    if (!r->is_dead && (events & EPOLLOUT) != 0 && r->out.len + r->content.len > 0) {
        flush(r);
    }
}

static void on_deadline(struct loop_timer *timer)
{
    struct http_request *r = CONTAINER_OF(timer, struct http_request, timer);
    close_connection(r);
}

static void on_listener(struct loop_io *io, uint32_t events)
{
    struct http_server *s = CONTAINER_OF(io, struct http_server, listen_io);
    int one = 1;
    (void)events;
    for (;;) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct http_request *r = fd < 0 ? NULL : mem_zalloc(1, sizeof *r);
        if (r == NULL) {
            (void)(fd >= 0 && close(fd) == 0);
            return;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        r->server = s;
        r->io = (struct loop_io){fd, on_events};
        r->timer.on_due = on_deadline;
        r->task.run = free_connection;
        buf_init(&r->in, (size_t)(s->limits.head_bytes + s->limits.body_bytes) + READ_BYTES);
        buf_init(&r->body, (size_t)s->limits.body_bytes);
        buf_init(&r->out, SIZE_MAX / 2);
        r->next = s->connections;
        if (r->next != NULL) {
            r->next->previous = r;
        }
        s->connections = r;
        wait_for(r, s->limits.head_ms);
        if (loop_add(s->loop, &r->io, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) != ST_OK) {
            close_connection(r);
        }
    }
}

/* ---------------------------------------------------------------- the interface */

struct str http_request_method(const struct http_request *r)
{
    return r->method;
}

struct str http_request_path(const struct http_request *r)
{
    return str_slice(r->target, 0, str_find_char(r->target, '?'));
}

struct str http_request_header(const struct http_request *r, struct str name)
{
    const char *base = buf_str(&r->in).ptr;
    for (size_t i = 0; i < r->field_count; i++) {
        const struct field *f = &r->fields[i];
        if (str_eq_nocase((struct str){base + f->name, f->name_len}, name)) {
            return (struct str){base + f->value, f->value_len};
        }
    }
    return STR("");
}

struct str http_request_body(const struct http_request *r)
{
    return r->body.len > 0 ? buf_str(&r->body)
                           : line_of(&r->in, r->head_len, r->head_len + (size_t)r->length);
}

enum problem http_request_problem(const struct http_request *r, const char **ret_why)
{
    *ret_why = r->why;
    return r->problem;
}

/* RFC 9110 section 5.6.7, written once a second. */
static struct str date_of(struct http_server *s)
{
    time_t now = time(NULL);
    if (now != s->date_s) {
        struct tm t;
        (void)gmtime_r(&now, &t);
        (void)strftime(s->date, sizeof s->date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &t);
        s->date_s = now;
    }
    return str_from(s->date);
}

static void start_reply(struct http_request *r, const struct http_reply *reply)
{
    char text[DIGITS_TEXT];
    const struct str first[] = {STR("HTTP/1.1 "), digits_write(reply->status, 0, text),
                                STR(" OK\r\n"), date_of(r->server)};
    enum status st = buf_append_all(&r->out, first, 4);
    for (size_t i = 0; st == ST_OK && i < reply->header_count; i++) {
        const struct str parts[] = {str_from(reply->headers[i].name), STR(": "),
                                    str_from(reply->headers[i].value), STR("\r\n")};
        st = buf_append_all(&r->out, parts, 4);
    }
    if (st == ST_OK && (r->is_last || r->state == BROKEN)) {
        st = buf_append(&r->out, STR("Connection: close\r\n"));
    }
    const struct str sized[] = {STR("Content-Length: "),
                                digits_write((int64_t)reply->body.len, 0, text), STR("\r\n\r\n")};
    if (st == ST_OK) {
        st = r->is_stream ? buf_append(&r->out, STR("Transfer-Encoding: chunked\r\n\r\n"))
                          : buf_append_all(&r->out, sized, 3);
    }
    r->is_replied = true;
    r->is_last = r->is_last || st != ST_OK;
    mark(r);
}

void http_reply(struct http_request *r, const struct http_reply *reply)
{
    r->content = reply->body;
    r->is_ended = true;
    start_reply(r, reply);
}

void http_stream_start(struct http_request *r, const struct http_reply *reply)
{
    r->is_stream = true;
    start_reply(r, reply);
}

enum status http_stream_write(struct http_request *r, struct str bytes)
{
    char text[HEX_TEXT];
    size_t at = HEX_TEXT;
    for (size_t rest = bytes.len; rest > 0; rest >>= 4) {
        text[--at] = "0123456789abcdef"[rest & 15];
    }
    const struct str parts[] = {{text + at, HEX_TEXT - at}, STR("\r\n"), bytes, STR("\r\n")};
    enum status st = bytes.len == 0 ? ST_OK : buf_append_all(&r->out, parts, 4);
    r->is_throttled = r->out.len > HTTP_STREAM_HIGH_BYTES;
    mark(r);
    return st;
}

size_t http_stream_pending(const struct http_request *r)
{
    return r->out.len;
}

void http_stream_end(struct http_request *r)
{
    r->is_last = buf_append(&r->out, STR("0\r\n\r\n")) != ST_OK || r->is_last;
    r->is_ended = true;
    mark(r);
}

void http_stream_break(struct http_request *r)
{
    r->is_last = true;
    r->is_ended = true;
    mark(r);
}

void http_abort(struct http_request *r)
{
    (void)shutdown(r->io.fd, SHUT_RDWR);
}

struct http_server *http_server_create(struct loop *loop, const struct http_listener *listener,
                                       const struct http_limits *limits,
                                       const struct http_hooks *hooks, void *ctx)
{
    struct http_server *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->loop = loop;
    s->limits = *limits;
    s->hooks = *hooks;
    s->ctx = ctx;
    s->listen_io = (struct loop_io){listener->fd, on_listener};
    if (loop_add(loop, &s->listen_io, EPOLLIN) != ST_OK) {
        mem_free(s);
        return NULL;
    }
    return s;
}

bool http_server_is_due(const struct http_server *s)
{
    return s->dirty != NULL;
}

int64_t http_server_turn(struct http_server *s)
{
    while (s->dirty != NULL) {
        struct http_request *r = s->dirty;
        s->dirty = r->next_dirty;
        r->is_dirty = false;
        flush(r);
    }
    return -1;
}

void http_server_destroy(struct http_server *s)
{
    while (s != NULL && s->connections != NULL) {
        close_connection(s->connections);
    }
    if (s != NULL) {
        loop_remove(s->loop, &s->listen_io);
        (void)close(s->listen_io.fd);
        mem_free(s);
    }
}
