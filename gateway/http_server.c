/* See http_server.h.
 *
 * Order of one turn: resume what was answered, run the daemon until it has nothing to do at once. A
 * request that waits (for its answer, for stream bytes) is suspended: libmicrohttpd then does not
 * watch its socket, so the client's descriptor also stands in our own epoll, edge-triggered, for
 * EPOLLRDHUP. */
#include "gateway/http_server.h"

#include <linux/tcp.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cert_gnutls.h"
#include "base/container.h"
#include "base/mem.h"
#include "gateway/acceptor.h"
#include "gateway/http_guard.h"
#include "gateway/peers.h"

enum {
    STREAM_BLOCK_BYTES = 2048, /* per response; see docs/performance.md */
    RUNS_PER_TURN = 64,        /* of the daemon, before others get their turn */
    DISCARD_FACTOR = 4, /* a body that is too large is read up to this many times the limit */
    BODY_FIRST_BYTES = 4096,
    DRAIN_GRACE_MS = 250, /* for a request behind a connection that has just been made */
    SURPLUS = 16,         /* connections above the limit, which are told so */
    SURPLUS_MS = 1000,    /* for their request */
    SPARED_AT_ONCE = 8,   /* idle connections that go when descriptors are short */
    PROBE_IDLE_S = 30,    /* before a silent client is asked whether it is still there */
    PROBE_EVERY_S = 10,
};

enum phase { /* what the connection's timer waits for */
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_REPLY, /* the exchange keeps the deadlines */
    PHASE_IDLE,
};

struct http_connection {
    struct http_server *server;
    struct MHD_Connection *mhd;
    struct loop_io gone_io;
    struct loop_timer timer;
    struct http_request *request; /* the one in work, or NULL */
    struct cert *cert;            /* given in the handshake; NULL: plain, or not yet */
    struct http_connection *previous;
    struct http_connection *next;
    const char *target_end; /* of the request line that came last, in libmicrohttpd's memory */
    enum phase phase;
    bool is_gone;
    bool is_watched;
    bool is_surplus;        /* above the limit: gets a refusal */
    bool has_lawful_target; /* that request line */
};

struct http_request {
    struct http_connection *connection;
    struct MHD_Connection *mhd;
    void *owner;
    const char *method;
    const char *path;
    struct buf body;
    size_t discarded;
    struct MHD_Response *response; /* answered, not yet queued */
    int status;
    struct buf out; /* stream bytes that wait for the socket */
    struct http_request *next_resume;
    enum problem problem;
    char why[96];
    bool is_chunked;
    bool is_body_complete;
    bool is_suspended;
    bool is_resuming; /* on the server's list */
    bool is_answered;
    bool is_ended;
    bool is_broken; /* ends without its last chunk */
    bool is_aborted;
    bool is_throttled; /* the owner waits for on_writable */
};

struct http_server {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct loop_io daemon_io;
    struct http_limits limits;
    struct http_hooks hooks;
    void *ctx;
    int listen_fd;
    struct acceptor acceptor;
    struct cert *cert; /* of new connections; NULL: plain */
    bool is_readable;  /* the daemon's epoll has events */
    bool is_draining;
    bool is_full; /* the connection that is being taken is above the limit */
    struct http_request *resume_list;
    struct http_connection *connections; /* the latest first */
    struct http_connection *oldest;
    int64_t connection_count;
    int64_t idle_count;
};

/* ---------------------------------------------------------------- connections */

static int64_t phase_limit_ms(const struct http_connection *c)
{
    const struct http_limits *limits = &c->server->limits;
    switch (c->phase) {
    case PHASE_HEAD:
        return limits->head_ms;
    case PHASE_BODY:
        return limits->body_ms;
    case PHASE_REPLY:
        return 0;
    case PHASE_IDLE:
        return limits->idle_ms;
    }
    return 0;
}

/* The release that we know inside out; 1.0 rewrote what the two uses of this look at. */
static bool is_before_1_0(void)
{
    return MHD_VERSION < 0x01000000;
}

/* Ends a connection from outside. libmicrohttpd 0.9.75 misses an end that came together with the last
 * bytes: its epoll gave the one edge for both, and a short read told it that there is no more (its 1.0
 * looks again). A shutdown gives another edge, but not where the peer has reset the connection. So the
 * socket is armed anew in its own epoll, with what it registers itself. A suspended connection is not
 * in there, and its resume will do. Nor is one that was resumed only to break off its reply: closed for
 * libmicrohttpd, and forgotten until its time-out unless an event reminds it. */
static void hang_up(struct http_connection *c)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLET,
                                .data.ptr = c->mhd};
    (void)shutdown(c->gone_io.fd, SHUT_RDWR);
    if (!is_before_1_0()) {
        return;
    }
    int epoll_fd = c->server->daemon_io.fd;
    bool is_absent = epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->gone_io.fd, &event) != 0;
    if (is_absent && c->request == NULL) {
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->gone_io.fd, &event);
    }
}

/* The only place where the phase changes. */
static void enter(struct http_connection *c, enum phase phase)
{
    struct loop *loop = c->server->loop;
    c->server->idle_count += (phase == PHASE_IDLE) - (c->phase == PHASE_IDLE);
    c->phase = phase;
    int64_t limit = phase_limit_ms(c);
    if (c->is_surplus && limit > SURPLUS_MS) {
        limit = SURPLUS_MS;
    }
    if (limit == 0) {
        loop_timer_cancel(loop, &c->timer);
        return;
    }
    if (loop_timer_set(loop, &c->timer, loop_now_ms(loop) + limit) != ST_OK) {
        hang_up(c); /* without a deadline nobody may wait */
    }
}

static gnutls_session_t tls_session(const struct http_connection *c)
{
    return MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session;
}

/* At a drain. */
static void shorten(struct http_connection *c)
{
    struct loop *loop = c->server->loop;
    if (loop_timer_set(loop, &c->timer, loop_now_ms(loop) + DRAIN_GRACE_MS) != ST_OK) {
        hang_up(c);
    }
}

/* A whole answer to a request that nobody has read. */
static size_t write_refusal(enum problem problem, char *out, size_t size)
{
    char body[256];
    int n = snprintf(body, sizeof body,
                     "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":"
                     "\"%s\"}}",
                     problem_message(problem), problem_type(problem), problem_code(problem));
    n = snprintf(out, size,
                 "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
                 "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
                 problem_status(problem),
                 MHD_get_reason_phrase_for((unsigned)problem_status(problem)), n, body);
    return (size_t)n;
}

/* Says why on the wire: libmicrohttpd cannot answer a request it has not read. */
static void send_refusal(const struct http_connection *c, enum problem problem)
{
    char text[512];
    size_t n = write_refusal(problem, text, sizeof text);
    ssize_t sent = c->server->cert == NULL
                       ? send(c->gone_io.fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT)
                       : gnutls_record_send(tls_session(c), text, n);
    (void)sent; /* the connection closes either way */
}

/* A connection opened ahead of need says nothing, and gets no answer to it. */
static bool has_said_something(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 || info.tcpi_bytes_received > 0;
}

static void on_deadline(struct loop_timer *timer)
{
    struct http_connection *c = CONTAINER_OF(timer, struct http_connection, timer);
    /* With TLS there is nobody to tell before the handshake, which nothing shows us the end of. */
    bool is_waiting = (c->phase == PHASE_HEAD && c->server->cert == NULL) || c->phase == PHASE_BODY;
    if (c->phase == PHASE_BODY && c->request != NULL) {
        c->request->problem = PROBLEM_BODY_TIMEOUT; /* so that its owner knows who ended it */
    }
    if (is_waiting && has_said_something(c->gone_io.fd)) {
        send_refusal(c, c->phase == PHASE_HEAD ? PROBLEM_HEAD_TIMEOUT : PROBLEM_BODY_TIMEOUT);
    }
    hang_up(c);
}

static void wake_suspended(struct http_request *r)
{
    struct http_server *s = r->connection->server;
    if (r->is_suspended && !r->is_resuming) {
        r->is_resuming = true;
        r->next_resume = s->resume_list;
        s->resume_list = r;
    }
}

static void on_client_gone(struct loop_io *io, uint32_t events)
{
    struct http_connection *c = CONTAINER_OF(io, struct http_connection, gone_io);
    bool is_half = (events & (EPOLLHUP | EPOLLERR)) == 0;
    if (is_half && !c->server->limits.half_close_is_gone) {
        return;
    }
    c->is_gone = true;
    if (c->request == NULL) {
        hang_up(c);
    } else if (!c->request->is_aborted) {
        if (c->request->owner != NULL) {
            c->server->hooks.on_gone(c->request->owner);
        }
        http_abort(c->request);
    }
}

static const struct sockaddr *peer_of(const struct http_connection *c)
{
    return MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
}

static struct http_connection *connection_create(struct http_server *s, struct MHD_Connection *mhd,
                                                 int fd)
{
    struct http_connection *c = mem_zalloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    c->server = s;
    c->mhd = mhd;
    c->gone_io = (struct loop_io){fd, on_client_gone};
    c->timer.on_due = on_deadline;
    c->is_surplus = s->is_full;
    c->is_watched = loop_add(s->loop, &c->gone_io, EPOLLRDHUP | EPOLLET) == ST_OK;
    c->next = s->connections;
    if (c->next != NULL) {
        c->next->previous = c;
    }
    if (s->oldest == NULL) {
        s->oldest = c;
    }
    s->connections = c;
    s->connection_count++;
    enter(c, PHASE_HEAD);
    return c;
}

static void connection_destroy(struct http_connection *c)
{
    struct http_server *s = c->server;
    loop_timer_cancel(s->loop, &c->timer);
    if (c->is_watched) {
        loop_remove(s->loop, &c->gone_io);
    }
    if (c->previous != NULL) {
        c->previous->next = c->next;
    } else {
        s->connections = c->next;
    }
    if (c->next != NULL) {
        c->next->previous = c->previous;
    } else {
        s->oldest = c->previous;
    }
    s->connection_count--;
    s->idle_count -= c->phase == PHASE_IDLE;
    peers_release(s->limits.peers, peer_of(c));
    cert_unref(c->cert);
    mem_free(c);
    acceptor_wake(&s->acceptor);
}

/* MHD_OPTION_NOTIFY_CONNECTION */
static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *s = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = connection_create(s, mhd, info->connect_fd);
    } else if (*context != NULL) {
        connection_destroy(*context);
        *context = NULL;
    }
}

static struct http_connection *connection_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* MHD_OPTION_URI_LOG_CALLBACK: the request line is complete, so a head is on its way. Nowhere else is the
 * target whole: its query is cut off next, and taken apart where it lies. */
static void *on_request_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    (void)cls;
    struct http_connection *c = connection_of(mhd);
    if (c == NULL) {
        return NULL;
    }
    struct str target = str_from(uri);
    c->target_end = target.ptr + target.len;
    c->has_lawful_target = http_guard_is_target(target);
    if (c->phase == PHASE_IDLE) {
        enter(c, PHASE_HEAD);
    }
    return NULL;
}

/* ---------------------------------------------------------------- requests */

/* What on_header collects. */
struct head_check {
    struct http_guard guard;
    const char *end; /* of the part of the head that was looked at last, in memory */
    bool has_gap;    /* a part does not stand where the one before it ends */
};

/* libmicrohttpd before 1.0 takes a lone LF for a line end, joins folded lines (to the name!), drops what
 * stands behind a NUL, ends the head at a line that begins with one, and skips blanks in the request
 * line. Others do not: RFC 9112 sections 2.2, 3 and 5. But it parses in place and hands over what it
 * found where it was received, so that in a lawful head each part begins right behind the one before:
 * one byte between the parts of the request line, two (CR LF) between lines. */
static void check_part(struct head_check *check, const char *start, size_t between, const char *end)
{
    check->has_gap = check->has_gap || start != check->end + between;
    check->end = end;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                 size_t name_size, const char *value, size_t value_size)
{
    (void)kind;
    struct head_check *check = cls;
    http_guard_header(&check->guard, (struct str){name, name_size},
                      (struct str){value, value_size});
    check_part(check, name, 2, value + value_size);
    return MHD_YES;
}

static bool has_body(const struct http_guard *g)
{
    return g->encodings > 0 || g->content_length > 0;
}

static size_t head_size(const struct http_request *r)
{
    return MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
}

static void check_head(struct http_request *r, const char *version)
{
    const struct http_connection *c = r->connection;
    struct str method = str_from(r->method);
    struct head_check check = {.end = method.ptr + method.len};
    struct http_guard *guard = &check.guard;
    http_guard_start(guard, method, str_from(version));
    if (!c->has_lawful_target) {
        http_guard_fail(guard, "the target has characters that no target has");
    }
    check_part(&check, r->path, 1, c->target_end);
    check_part(&check, version, 1, version + strlen(version));
    (void)MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, on_header, &check);
    check_part(&check, r->method + head_size(r), 4, NULL);
    if (check.has_gap && is_before_1_0()) {
        http_guard_fail(guard, "the head has a NUL, a folded line, blanks that are too many, or a "
                               "line that does not end in CR LF");
    }
    r->is_chunked = guard->encodings > 0;
    r->problem = http_guard_finish(guard);
    (void)snprintf(r->why, sizeof r->why, "%s", http_guard_why(guard));
    int64_t most = c->server->limits.body_bytes;
    if (r->problem == PROBLEM_NONE && guard->content_length > most) {
        r->problem = PROBLEM_BODY_TOO_LARGE;
    }
    bool is_lawful = r->problem == PROBLEM_NONE;
    if (is_lawful && c->is_surplus) {
        r->problem = PROBLEM_CONNECTIONS;
    }
    if (is_lawful && has_body(guard)) {
        enter(r->connection, PHASE_BODY);
        size_t first = guard->content_length > 0 ? (size_t)guard->content_length : BODY_FIRST_BYTES;
        (void)buf_reserve(&r->body, first); /* only saves growing; the append says what fails */
    }
}

static struct http_request *request_create(struct http_connection *c, struct MHD_Connection *mhd)
{
    struct http_request *r = mem_zalloc(1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    r->connection = c;
    r->mhd = mhd;
    buf_init(&r->body, (size_t)c->server->limits.body_bytes);
    buf_init(&r->out, SIZE_MAX / 2); /* bounded by its owner: see HTTP_STREAM_HIGH_BYTES */
    c->request = r;
    return r;
}

static void request_destroy(struct http_request *r)
{
    struct http_server *s = r->connection->server;
    for (struct http_request **at = &s->resume_list; *at != NULL; at = &(*at)->next_resume) {
        if (*at == r) {
            *at = r->next_resume;
            break;
        }
    }
    if (r->response != NULL) {
        MHD_destroy_response(r->response);
    }
    r->connection->request = NULL;
    buf_fini(&r->body);
    buf_fini(&r->out);
    mem_free(r);
}

static void suspend(struct http_request *r)
{
    r->is_suspended = true;
    MHD_suspend_connection(r->mhd);
}

static enum MHD_Result queue_response(struct http_request *r)
{
    enum MHD_Result done = MHD_queue_response(r->mhd, (unsigned)r->status, r->response);
    MHD_destroy_response(r->response);
    r->response = NULL;
    return done;
}

/* Whether a request that is refused on its head is read to its end, and its body dropped: a client that
 * still writes would miss the answer, and libmicrohttpd closes where it was answered before. Not behind
 * a head that breaks the rules: nobody knows where its body ends. */
static bool is_worth_reading(const struct http_request *r)
{
    bool is_lawful = r->problem == PROBLEM_NONE || r->problem == PROBLEM_CONNECTIONS;
    return is_lawful && http_request_header(r, STR("Expect")).len == 0;
}

static enum MHD_Result start_request(struct http_connection *c, struct http_request *r,
                                     const char *version)
{
    struct http_server *s = c->server;
    enter(c, PHASE_REPLY);
    check_head(r, version);
    r->owner = s->hooks.on_head(s->ctx, r);
    if (r->owner == NULL) {
        return MHD_NO;
    }
    if (c->is_gone) {
        s->hooks.on_gone(r->owner);
        return MHD_NO;
    }
    return r->response != NULL && !is_worth_reading(r) ? queue_response(r) : MHD_YES;
}

/* Keeps the body up to the limit, reads a little more so that the refusal reaches the client. */
static enum MHD_Result take_upload(struct http_request *r, struct str bytes)
{
    const struct http_limits *limits = &r->connection->server->limits;
    if (r->problem == PROBLEM_NONE && !r->is_answered) {
        enum status st = buf_append(&r->body, bytes);
        if (st == ST_OK) {
            return MHD_YES;
        }
        r->problem = st == ST_TOO_BIG ? PROBLEM_BODY_TOO_LARGE : PROBLEM_NO_MEMORY;
        r->discarded = r->body.len;
        buf_fini(&r->body);
    }
    r->discarded += bytes.len;
    return r->discarded > (size_t)limits->body_bytes * DISCARD_FACTOR ? MHD_NO : MHD_YES;
}

/* MHD access handler: called with the head, with pieces of the body, at its end, and again after
 * each resume until a response is queued. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **state)
{
    (void)cls;
    struct http_request *r = *state;
    if (r == NULL) {
        struct http_connection *c = connection_of(mhd);
        r = c == NULL ? NULL : request_create(c, mhd);
        if (r == NULL) {
            return MHD_NO;
        }
        *state = r;
        r->method = method;
        r->path = url;
        return start_request(c, r, version);
    }
    r->is_suspended = false;
    if (r->is_aborted) {
        return MHD_NO;
    }
    if (*upload_size > 0) {
        struct str bytes = {upload, *upload_size};
        *upload_size = 0;
        return take_upload(r, bytes);
    }
    if (!r->is_body_complete) {
        r->is_body_complete = true;
        enter(r->connection, PHASE_REPLY);
        r->connection->server->hooks.on_body(r->owner);
    }
    if (r->response != NULL) {
        return queue_response(r);
    }
    suspend(r);
    return MHD_YES;
}

/* MHD_OPTION_NOTIFY_COMPLETED */
static void on_completed(void *cls, struct MHD_Connection *mhd, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)mhd;
    struct http_server *s = cls;
    struct http_request *r = *state;
    if (r == NULL) {
        return;
    }
    *state = NULL;
    if (r->owner != NULL) {
        if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK) {
            s->hooks.on_gone(r->owner);
        }
        s->hooks.on_close(r->owner);
    }
    struct http_connection *c = r->connection;
    request_destroy(r);
    enter(c, PHASE_IDLE);
    if (s->is_draining || c->is_gone || code != MHD_REQUEST_TERMINATED_COMPLETED_OK) {
        hang_up(c); /* what was sent still arrives */
    }
}

/* ---------------------------------------------------------------- replies */

struct str http_request_method(const struct http_request *r)
{
    return str_from(r->method);
}

/* The absolute form (https://host/path) is cut to its path: RFC 9112 section 3.2.2. */
struct str http_request_path(const struct http_request *r)
{
    struct str path = str_from(r->path);
    size_t scheme = str_starts_with_nocase(path, STR("http://"))    ? 7
                    : str_starts_with_nocase(path, STR("https://")) ? 8
                                                                    : 0;
    if (scheme == 0) {
        return path;
    }
    struct str rest = str_slice(path, scheme, path.len);
    return str_slice(rest, str_find_char(rest, '/'), rest.len);
}

struct str http_request_header(const struct http_request *r, struct str name)
{
    const char *value = NULL;
    size_t size = 0;
    if (MHD_lookup_connection_value_n(r->mhd, MHD_HEADER_KIND, name.ptr, name.len, &value, &size) !=
        MHD_YES) {
        return STR("");
    }
    return (struct str){value, size};
}

struct str http_request_body(const struct http_request *r)
{
    return buf_str(&r->body);
}

struct header_count {
    struct str name;
    size_t count;
};

static enum MHD_Result on_counted(void *cls, enum MHD_ValueKind kind, const char *name,
                                  size_t name_size, const char *value, size_t value_size)
{
    struct header_count *c = cls;
    (void)kind;
    (void)value;
    (void)value_size;
    c->count += str_eq_nocase((struct str){name, name_size}, c->name);
    return MHD_YES;
}

bool http_request_repeats(const struct http_request *r, struct str name)
{
    struct header_count c = {name, 0};
    (void)MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, on_counted, &c);
    return c.count > 1;
}

static enum MHD_Result on_wiped(void *cls, enum MHD_ValueKind kind, const char *name,
                                size_t name_size, const char *value, size_t value_size)
{
    /* It is the connection's own memory: libmicrohttpd parses in place, and reads it no more. */
    union {
        const char *in;
        char *out;
    } bytes = {.in = value};

    (void)kind;
    if (str_eq_nocase((struct str){name, name_size}, *(const struct str *)cls)) {
        memset(bytes.out, '*', value_size);
    }
    return MHD_YES;
}

void http_request_wipe(struct http_request *r, struct str name)
{
    (void)MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, on_wiped, &name);
}

enum problem http_request_problem(const struct http_request *r, const char **ret_why)
{
    *ret_why = r->why;
    return r->problem;
}

/* Whether the connection ends with this reply. It does behind a chunked body: where its chunks end is
 * libmicrohttpd's to say, which takes a lone LF for the end of a chunk's line, and skips extensions up
 * to it. Whoever reads such a body otherwise (docs/http-front.md) has no next request here. */
static bool is_last(const struct http_request *r)
{
    const struct http_connection *c = r->connection;
    bool is_unread = !r->is_body_complete && !is_worth_reading(r);
    return is_unread || r->is_chunked || c->server->is_draining || c->is_surplus;
}

static void add_headers(struct http_request *r, struct MHD_Response *response,
                        const struct http_reply *reply)
{
    for (size_t i = 0; i < reply->header_count; i++) {
        /* Fails for lack of memory or for a value with control characters: such a header is missing,
         * the reply is whole. */
        (void)MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    }
    if (is_last(r)) {
        (void)MHD_add_response_header(response, "Connection", "close");
    }
}

static void answer(struct http_request *r, struct MHD_Response *response,
                   const struct http_reply *reply)
{
    r->is_answered = true;
    if (response == NULL) {
        http_abort(r);
        return;
    }
    add_headers(r, response, reply);
    r->response = response;
    r->status = reply->status;
    wake_suspended(r);
}

void http_reply(struct http_request *r, const struct http_reply *reply)
{
    /* libmicrohttpd takes a non-const pointer and does not write through it. */
    union {
        const char *in;
        void *out;
    } body = {.in = reply->body.ptr};

    answer(r, MHD_create_response_from_buffer(reply->body.len, body.out, MHD_RESPMEM_PERSISTENT),
           reply);
}

/* Content reader of streams: hands over what is there, or suspends until there is more. */
static ssize_t on_pull(void *cls, uint64_t position, char *out, size_t max)
{
    (void)position;
    struct http_request *r = cls;
    r->is_suspended = false;
    if (r->is_aborted) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    struct str waiting = str_slice(buf_str(&r->out), 0, max);
    if (waiting.len == 0 && r->is_ended) {
        return r->is_broken ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (waiting.len == 0) {
        suspend(r);
        return 0;
    }
    memcpy(out, waiting.ptr, waiting.len);
    buf_consume(&r->out, waiting.len);
    if (r->is_throttled && r->out.len < HTTP_STREAM_HIGH_BYTES / 2) {
        r->is_throttled = false;
        r->connection->server->hooks.on_writable(r->owner);
    }
    return (ssize_t)waiting.len;
}

void http_stream_start(struct http_request *r, const struct http_reply *reply)
{
    answer(
        r,
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, on_pull, r, NULL),
        reply);
}

enum status http_stream_write(struct http_request *r, struct str bytes)
{
    enum status st = buf_append(&r->out, bytes);
    r->is_throttled = r->out.len > HTTP_STREAM_HIGH_BYTES;
    wake_suspended(r);
    return st;
}

size_t http_stream_pending(const struct http_request *r)
{
    return r->out.len;
}

void http_stream_end(struct http_request *r)
{
    r->is_ended = true;
    wake_suspended(r);
}

void http_stream_break(struct http_request *r)
{
    r->is_broken = true;
    http_stream_end(r);
}

void http_abort(struct http_request *r)
{
    r->is_aborted = true;
    if (!r->is_suspended) {
        hang_up(r->connection);
    }
    wake_suspended(r);
}

/* ---------------------------------------------------------------- server */

static void on_daemon_events(struct loop_io *io, uint32_t events)
{
    (void)events;
    CONTAINER_OF(io, struct http_server, daemon_io)->is_readable = true;
}

/* Paths stay as they were sent: no route of ours needs an escape. */
static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

static void drop_message(void *cls, const char *format, va_list args)
{
    (void)cls;
    (void)format;
    (void)args;
}

/* MHD_OPTION_HTTPS_CERT_CALLBACK2, in each handshake. The connection holds what it was given: GnuTLS
 * only borrows it. */
static int on_handshake(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                        gnutls_pcert_st **chain, unsigned *chain_count, gnutls_ocsp_data_st **ocsp,
                        unsigned *ocsp_count, gnutls_privkey_t *key, unsigned *flags)
{
    (void)info;
    struct http_connection *c = connection_of(gnutls_session_get_ptr(session));
    if (c == NULL) {
        return -1; /* there was no memory for it */
    }
    if (c->cert == NULL) {
        c->cert = cert_ref(c->server->cert);
    }
    cert_give(c->cert, chain, chain_count, key);
    *ocsp = NULL;
    *ocsp_count = 0;
    *flags = 0;
    return 0;
}

/* Only what keeps old talk secret when a key gets lost, and authenticates what it encrypts. */
#define TLS_PRIORITIES(versions)                                                                   \
    "NORMAL:-VERS-ALL:" versions ":-RSA:-DHE-RSA:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"           \
    "+CHACHA20-POLY1305:%SERVER_PRECEDENCE"

/* Options of a server with a certificate; the empty list for others. */
static void set_tls(const struct http_listener *listener, struct MHD_OptionItem options[3])
{
    /* libmicrohttpd takes text and functions as non-const data pointers. */
    union {
        const char *text;
        void *data;
    } priorities = {.text = listener->tls_1_3_only ? TLS_PRIORITIES("+VERS-TLS1.3")
                                                   : TLS_PRIORITIES("+VERS-TLS1.3:+VERS-TLS1.2")};

    union {
        gnutls_certificate_retrieve_function3 *function;
        void *data;
    } callback = {.function = on_handshake};
    static const struct MHD_OptionItem end = {MHD_OPTION_END, 0, NULL};

    options[0] = end;
    if (listener->cert != NULL) {
        options[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, priorities.data};
        options[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, callback.data};
        options[2] = end;
    }
}

static struct MHD_Daemon *start_daemon(struct http_server *s, const struct http_listener *listener)
{
    const struct http_limits *l =
        &s->limits; /* the deadlines are ours; this one comes behind all */
    int64_t longest_ms = l->head_ms + l->body_ms + l->idle_ms + l->write_ms;
    unsigned timeout_s = (unsigned)((longest_ms + 999) / 1000) + 1;
    struct MHD_OptionItem tls[3];
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_ERROR_LOG | (s->cert == NULL ? 0U : (unsigned)MHD_USE_TLS);
    set_tls(listener, tls);
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_ARRAY, tls, /* */
                            MHD_OPTION_EXTERNAL_LOGGER, drop_message, NULL,             /* */
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,             /* */
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,               /* */
                            MHD_OPTION_URI_LOG_CALLBACK, on_request_line, s,            /* */
                            MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,           /* */
                            MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)s->limits.connections + SURPLUS * 2,                    /* */
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)s->limits.head_bytes, /* */
                            MHD_OPTION_CONNECTION_TIMEOUT, timeout_s,                         /* */
                            MHD_OPTION_END);
}

/* ---------------------------------------------------------------- accepting */

/* What the kernel watches for us, inherited by each connection: an answer of which a client takes
 * nothing ends it (a vanished one, too), little that was not sent waits in the kernel, and a client
 * that says nothing for long is asked whether it is still there. */
static void set_socket_options(int fd, const struct http_limits *limits)
{
    const struct {
        int level;
        int name;
        int value;
    } options[] = {
        {IPPROTO_TCP, TCP_USER_TIMEOUT, (int)limits->write_ms},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, HTTP_STREAM_HIGH_BYTES},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, PROBE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, PROBE_EVERY_S},
    };

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        /* Fails for sockets that are not TCP, which need none of it. */
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof options[i].value);
    }
}

/* Closes the idle connection that is the oldest, if there is one. */
static bool spare_one(struct http_server *s)
{
    for (struct http_connection *c = s->oldest; c != NULL && s->idle_count > 0; c = c->previous) {
        if (c->phase == PHASE_IDLE) {
            enter(c, PHASE_HEAD); /* a deadline for its end */
            hang_up(c);
            return true;
        }
    }
    return false;
}

static bool has_room(void *ctx)
{
    const struct http_server *s = ctx;
    return s->connection_count < s->limits.connections + SURPLUS;
}

static void count_refused(const struct http_server *s, enum metrics_refusal why)
{
    if (s->limits.counters != NULL) {
        metrics_count_refused(s->limits.counters, why);
    }
}

static void on_short(void *ctx, enum metrics_refusal why)
{
    const struct http_server *s = ctx;
    if (s->limits.counters != NULL) {
        metrics_count_pause(s->limits.counters, why);
    }
    for (int i = 0; i < SPARED_AT_ONCE && spare_one(ctx); i++) {
    }
}

/* Without TLS there is a language in which to say why. */
static void turn_away(const struct http_server *s, int fd, enum problem problem)
{
    char text[512];
    if (s->cert == NULL) {
        (void)recv(fd, text, sizeof text,
                   MSG_DONTWAIT | MSG_TRUNC); /* unread bytes would reset it */
        (void)send(fd, text, write_refusal(problem, text, sizeof text),
                   MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    (void)shutdown(fd, SHUT_WR);
}

static void on_refused(void *ctx, int fd, enum metrics_refusal why)
{
    count_refused(ctx, why);
    turn_away(ctx, fd, PROBLEM_CONNECTIONS);
}

static void on_client(void *ctx, int fd, const struct sockaddr *address, socklen_t len)
{
    struct http_server *s = ctx;
    if (!peers_take(s->limits.peers, address)) {
        count_refused(s, METRICS_REFUSED_PER_ADDRESS);
        turn_away(s, fd, PROBLEM_PEER_CONNECTIONS);
        (void)close(fd);
        return;
    }
    int64_t before = s->connection_count;
    s->is_full = before >= s->limits.connections && !spare_one(s);
    if (s->is_full) {
        count_refused(s, METRICS_REFUSED_TOTAL);
    }
    (void)MHD_add_connection(s->daemon, fd, address, len); /* closes it where it fails */
    if (s->connection_count == before) {
        peers_release(s->limits.peers, address);
    }
}

static void release(struct http_server *s)
{
    if (s->daemon != NULL) {
        MHD_stop_daemon(s->daemon);
    }
    (void)close(s->listen_fd);
    cert_unref(s->cert);
    mem_free(s);
}

static const struct acceptor_hooks accept_hooks = {has_room, on_client, on_short, on_refused};

struct http_server *http_server_create(struct loop *loop, const struct http_listener *listener,
                                       const struct http_limits *limits,
                                       const struct http_hooks *hooks, void *ctx)
{
    struct http_server *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) {
        (void)close(listener->fd);
        return NULL;
    }
    s->loop = loop;
    s->listen_fd = listener->fd;
    s->cert = cert_ref(listener->cert);
    s->limits = *limits;
    s->hooks = *hooks;
    s->ctx = ctx;
    set_socket_options(s->listen_fd, limits);
    s->daemon = start_daemon(s, listener);
    if (s->daemon == NULL) {
        release(s);
        return NULL;
    }
    int fd = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    s->daemon_io = (struct loop_io){fd, on_daemon_events};
    if (loop_add(loop, &s->daemon_io, EPOLLIN) != ST_OK) {
        release(s);
        return NULL;
    }
    if (acceptor_init(&s->acceptor, loop, s->listen_fd, &accept_hooks, s) != ST_OK) {
        loop_remove(loop, &s->daemon_io);
        release(s);
        return NULL;
    }
    return s;
}

void http_server_set_cert(struct http_server *s, struct cert *cert)
{
    if (s->cert != NULL && cert != NULL) {
        (void)cert_ref(cert);
        cert_unref(s->cert);
        s->cert = cert;
    }
}

/* All resumes of a batch before one run: each run with a resume walks all suspended connections. */
static bool resume_all(struct http_server *s)
{
    bool any = s->resume_list != NULL;
    while (s->resume_list != NULL) {
        struct http_request *r = s->resume_list;
        s->resume_list = r->next_resume;
        r->next_resume = NULL;
        r->is_resuming = false;
        r->is_suspended = false;
        MHD_resume_connection(r->mhd);
    }
    return any;
}

bool http_server_is_due(const struct http_server *s)
{
    return s->resume_list != NULL || s->is_readable;
}

int64_t http_server_turn(struct http_server *s)
{
    MHD_UNSIGNED_LONG_LONG wait = 0;
    bool is_due = resume_all(s) || s->is_readable;
    s->is_readable = false;
    if (!is_due) {
        if (MHD_get_timeout(s->daemon, &wait) != MHD_YES) {
            return -1;
        }
        if (wait > 0) {
            return (int64_t)wait;
        }
    }
    for (int i = 0; i < RUNS_PER_TURN; i++) {
        (void)MHD_run(s->daemon); /* fails only without the external mode that we asked for */
        if (MHD_get_timeout(s->daemon, &wait) != MHD_YES) {
            return -1;
        }
        if (wait > 0) {
            return (int64_t)wait;
        }
        (void)resume_all(s);
    }
    return 0;
}

void http_server_drain(struct http_server *s)
{
    if (s->is_draining) {
        return;
    }
    acceptor_stop(&s->acceptor);
    s->is_draining = true;
    for (struct http_connection *c = s->connections; c != NULL; c = c->next) {
        if (c->request == NULL && c->phase == PHASE_IDLE) {
            hang_up(c);
        } else if (c->phase == PHASE_HEAD && !has_said_something(c->gone_io.fd)) {
            shorten(c); /* it may have come just now, with its request on the way */
        }
    }
    s->is_readable = true;
}

void http_server_abort(struct http_server *s)
{
    for (struct http_connection *c = s->connections; c != NULL; c = c->next) {
        if (c->request != NULL) {
            http_abort(c->request);
        }
        hang_up(c);
    }
    s->is_readable = true;
}

bool http_server_is_empty(const struct http_server *s)
{
    return s->connections == NULL;
}

void http_server_destroy(struct http_server *s)
{
    if (s == NULL) {
        return;
    }
    acceptor_fini(&s->acceptor);
    loop_remove(s->loop, &s->daemon_io);
    release(s);
}
