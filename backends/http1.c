/* See http1.h.
 *
 * A connection belongs to a pool; while it serves a call it also belongs to that call:
 *     connecting -> sending/reading -> idle (in the pool's list) -> sending/reading ...
 * Idle connections stay in epoll: whatever they say, they are closed. */
#include "backends/http1.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/call_watch.h"
#include "backends/expert.h"
#include "backends/http1_reader.h"
#include "backends/unsent.h"
#include "base/container.h"
#include "base/mem.h"

enum {
    IDLE_PER_EXPERT = 256,
    ADDRESSES_MAX = 2,
    READ_BYTES = 64 * 1024,        /* one buffer per worker */
    STREAM_READ_BYTES = 16 * 1024, /* of events at once: bounds what waits for a slow client */
    LENGTH_TEXT_BYTES = 48,
    PARTS = 4, /* of a request */
    HEAD_TEXT_MAX = 32 * 1024,
    HEAD_LINES_BYTES = 256, /* what is the same for all experts */
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

static socklen_t address_len(const union address *a)
{
    return a->any.sa_family == AF_INET    ? sizeof a->v4
           : a->any.sa_family == AF_INET6 ? sizeof a->v6
                                          : sizeof a->local;
}

struct head { /* of a request, up to Content-Length */
    char *text;
    size_t len;
};

/* What all calls to one expert share. Calls and connections hold references. */
struct pool {
    size_t refs;
    uint64_t serial; /* of the expert */
    bool is_retired;
    union address addresses[ADDRESSES_MAX];
    size_t address_count;
    struct head heads[2]; /* of completions, of embeddings */
    struct connection *idle;
    size_t idle_count;
};

struct connection {
    struct loop_io io;
    struct http1 *client;
    struct pool *pool;
    struct http1_call *call; /* NULL: idle */
    struct connection *previous;
    struct connection *next;
    uint32_t events; /* what epoll watches; 0: not in epoll */
    bool is_reused;
};

struct http1_call {
    struct call call; /* first: see call.h */
    struct http1 *client;
    struct pool *pool;
    struct connection *connection;
    struct call_watch watch;
    struct http1_reader reader;
    char length_text[LENGTH_TEXT_BYTES]; /* end of the request head */
    size_t length_len;
    size_t sent; /* of head, length_text and body together */
    size_t body_bytes;
    size_t address; /* tried */
    bool is_connecting;
    bool has_retried;
    bool has_reply; /* a byte of it came */
};

struct http1 {
    struct loop *loop;
    struct pool **pools; /* by expert index */
    size_t pool_count;
    char buffer[READ_BYTES];
};

/* ---------------------------------------------------------------- addresses */

struct target { /* a url taken apart */
    struct str host;
    struct str authority;
    struct str path;
    uint16_t port;
    bool is_ipv6;
};

static bool take_apart(struct str url, struct target *ret_target)
{
    static const struct str scheme = {"http://", 7};
    if (!str_starts_with(url, scheme)) {
        return false;
    }
    struct str rest = str_slice(url, scheme.len, url.len);
    size_t slash = str_find_char(rest, '/');
    struct target t = {.authority = str_slice(rest, 0, slash), .port = 80};
    t.path = str_slice(rest, slash, rest.len);
    size_t bracket = str_find_char(t.authority, ']');
    t.is_ipv6 = str_starts_with(t.authority, STR("[")) && bracket < t.authority.len;
    size_t colon = t.is_ipv6 ? bracket + 1 : str_find_char(t.authority, ':');
    t.host = t.is_ipv6 ? str_slice(t.authority, 1, bracket - 1) : str_slice(t.authority, 0, colon);
    if (colon < t.authority.len) {
        int64_t port;
        if (str_to_int(str_slice(t.authority, colon + 1, t.authority.len), &port) != ST_OK ||
            port < 1 || port > 65535) {
            return false;
        }
        t.port = (uint16_t)port;
    }
    *ret_target = t;
    return true;
}

static bool set_address(union address *a, int family, const char *host, uint16_t port)
{
    memset(a, 0, sizeof *a);
    a->any.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        a->v4.sin_port = htons(port);
        return inet_pton(AF_INET, host, &a->v4.sin_addr) == 1;
    }
    a->v6.sin6_port = htons(port);
    return inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1;
}

/* Fills up to two addresses; 0: the host is a name, which is libcurl's. */
static size_t find_addresses(const struct target *t, union address *addresses)
{
    char host[INET6_ADDRSTRLEN];
    if (str_eq_nocase(t->host, STR("localhost"))) {
        (void)set_address(&addresses[0], AF_INET, "127.0.0.1", t->port);
        (void)set_address(&addresses[1], AF_INET6, "::1", t->port);
        return 2;
    }
    if (t->host.len >= sizeof host) {
        return 0;
    }
    memcpy(host, t->host.ptr, t->host.len);
    host[t->host.len] = '\0';
    return set_address(&addresses[0], t->is_ipv6 ? AF_INET6 : AF_INET, host, t->port) ? 1 : 0;
}

/* The address of a socket file; 0: its path is too long. */
static size_t find_socket(struct str path, union address *a)
{
    memset(a, 0, sizeof *a);
    a->local.sun_family = AF_UNIX;
    if (path.len >= sizeof a->local.sun_path) {
        return 0;
    }
    memcpy(a->local.sun_path, path.ptr, path.len);
    return 1;
}

bool http1_fits(const struct expert *expert)
{
    struct target target;
    union address addresses[ADDRESSES_MAX];
    return take_apart(expert->url, &target) && find_addresses(&target, addresses) > 0;
}

/* ---------------------------------------------------------------- pools */

static void unref_pool(struct pool *pool)
{
    pool->refs--;
    if (pool->refs > 0) {
        return;
    }
    for (size_t i = 0; i < sizeof pool->heads / sizeof pool->heads[0]; i++) {
        if (pool->heads[i].text != NULL) {
            explicit_bzero(pool->heads[i].text, pool->heads[i].len); /* holds the expert's key */
        }
        mem_free(pool->heads[i].text);
    }
    mem_free(pool);
}

static enum status write_request_head(const struct expert *expert, const struct target *t,
                                      struct str path, struct head *ret_head)
{
    struct buf head;
    buf_init(&head, HEAD_TEXT_MAX);
    /* At once: a buffer that grows leaves what it holds behind, and this will hold a key. */
    size_t size = HEAD_LINES_BYTES + t->path.len + t->authority.len + expert->key.len;
    enum status st = buf_reserve(&head, size) == NULL ? ST_NO_MEMORY : ST_OK;
    if (st == ST_OK) {
        st = buf_printf(&head,
                        "POST %.*s%.*s HTTP/1.1\r\nHost: %.*s\r\n"
                        "User-Agent: expertd\r\nAccept: */*\r\n"
                        "Content-Type: application/json\r\n",
                        STR_ARG(t->path), STR_ARG(path), STR_ARG(t->authority));
    }
    if (st == ST_OK && expert->key.len > 0) {
        st = buf_printf(&head, "Authorization: Bearer %.*s\r\n", STR_ARG(expert->key));
    }
    if (st == ST_OK) {
        st = buf_take(&head, &ret_head->text, &ret_head->len);
    }
    buf_fini(&head);
    return st;
}

static const struct head *head_of(const struct http1_call *hc)
{
    return &hc->pool->heads[hc->call.request.is_embedding ? 1 : 0];
}

static struct pool *make_pool(const struct expert *expert, const struct call_endpoint *at)
{
    struct target target;
    struct pool *pool = mem_zalloc(1, sizeof *pool);
    if (pool == NULL) {
        return NULL;
    }
    pool->refs = 1;
    pool->serial = at->serial;
    bool is_url = take_apart(at->url, &target);
    for (size_t i = 0; i < 2; i++) {
        if (!is_url ||
            write_request_head(expert, &target, call_path(i == 1), &pool->heads[i]) != ST_OK) {
            unref_pool(pool);
            return NULL;
        }
    }
    pool->address_count = at->socket.len > 0 ? find_socket(at->socket, pool->addresses)
                                             : find_addresses(&target, pool->addresses);
    return pool;
}

static void set_events(struct connection *c, uint32_t events)
{
    struct loop *loop = c->client->loop;
    if (events == c->events) {
        return;
    }
    enum status st = ST_OK;
    if (events == 0) {
        loop_remove(loop, &c->io);
    } else {
        st = c->events == 0 ? loop_add(loop, &c->io, events) : loop_change(loop, &c->io, events);
    }
    c->events = st == ST_OK ? events : 0; /* unwatched: the call's deadline ends it */
}

static void close_connection(struct connection *c)
{
    set_events(c, 0);
    (void)close(c->io.fd);
    unref_pool(c->pool);
    mem_free(c);
}

static void leave_idle_list(struct connection *c)
{
    if (c->previous != NULL) {
        c->previous->next = c->next;
    } else {
        c->pool->idle = c->next;
    }
    if (c->next != NULL) {
        c->next->previous = c->previous;
    }
    c->previous = NULL;
    c->next = NULL;
    c->pool->idle_count--;
}

static void retire_pool(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    pool->is_retired = true;
    while (pool->idle != NULL) {
        struct connection *c = pool->idle;
        leave_idle_list(c);
        close_connection(c);
    }
    unref_pool(pool);
}

static struct pool *pool_of(struct http1 *h, const struct expert *expert,
                            const struct call_endpoint *at)
{
    if (expert->index >= h->pool_count) {
        size_t count = expert->index + 16;
        struct pool **grown = mem_resize(h->pools, count * sizeof(*grown));
        if (grown == NULL) {
            return NULL;
        }
        memset(grown + h->pool_count, 0, (count - h->pool_count) * sizeof(*grown));
        h->pools = grown;
        h->pool_count = count;
    }
    struct pool **pool = &h->pools[expert->index];
    if (*pool == NULL || (*pool)->serial != at->serial) {
        retire_pool(*pool);
        *pool = make_pool(expert, at);
    }
    return *pool;
}

/* ---------------------------------------------------------------- calls */

static struct http1_call *http1_of(struct call *call)
{
    return (struct http1_call *)call;
}

/* Takes the connection away from the call: into the pool, or closed. */
static void part(struct http1_call *hc, bool may_live)
{
    struct connection *c = hc->connection;
    if (c == NULL) {
        return;
    }
    struct pool *pool = c->pool;
    hc->connection = NULL;
    c->call = NULL;
    if (!may_live || pool->is_retired || pool->idle_count >= IDLE_PER_EXPERT) {
        close_connection(c);
        return;
    }
    set_events(c, EPOLLIN | EPOLLRDHUP);
    c->is_reused = true;
    c->next = pool->idle;
    if (c->next != NULL) {
        c->next->previous = c;
    }
    pool->idle = c;
    pool->idle_count++;
}

/* What of the request has not arrived shall not; the connection will be closed. */
static void give_up(const struct http1_call *hc)
{
    if (hc->connection != NULL) {
        unsent_forget(hc->connection->io.fd);
    }
}

/* The only place where a call ends by itself. */
static void finish(struct http1_call *hc, enum call_outcome outcome)
{
    size_t whole = head_of(hc)->len + hc->call.request.headers.len + hc->length_len +
                   hc->call.request.body.len;
    bool may_live =
        outcome == CALL_OK && hc->sent == whole && http1_reader_keeps_alive(&hc->reader);
    if (outcome != CALL_OK) {
        give_up(hc);
    }
    part(hc, may_live);
    call_watch_stop(&hc->watch);
    hc->call.state = CALL_DONE;
    hc->call.outcome = outcome;
    hc->call.request.wake(hc->call.request.owner);
}

static void on_late(struct call_watch *watch, enum call_outcome outcome)
{
    finish(CONTAINER_OF(watch, struct http1_call, watch), outcome);
}

static void on_events(struct loop_io *io, uint32_t events);

/* Opens a socket to the next address. ST_IO: all were tried. */
static enum status connect_next(struct http1_call *hc)
{
    const int one = 1;
    while (hc->address < hc->pool->address_count) {
        const union address *a = &hc->pool->addresses[hc->address++];
        int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0) {
            return ST_IO;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* only slower without */
        if (connect(fd, &a->any, address_len(a)) != 0 && errno != EINPROGRESS) {
            (void)close(fd);
            continue;
        }
        struct connection *c = mem_zalloc(1, sizeof *c);
        if (c == NULL) {
            (void)close(fd);
            return ST_NO_MEMORY;
        }
        *c = (struct connection){
            .io = {fd, on_events}, .client = hc->client, .pool = hc->pool, .call = hc};
        hc->pool->refs++;
        hc->connection = c;
        hc->is_connecting = true;
        call_watch_connecting(&hc->watch);
        set_events(c, EPOLLOUT);
        return ST_OK;
    }
    return ST_IO;
}

static void take_idle(struct http1_call *hc)
{
    struct connection *c = hc->pool->idle;
    leave_idle_list(c);
    c->call = hc;
    hc->connection = c;
}

/* Head, length and body from `sent` on, in one system call where the socket takes it. */
static void send_request(struct http1_call *hc)
{
    struct connection *c = hc->connection;
    const struct head *head = head_of(hc);
    const struct str parts[PARTS] = {{head->text, head->len},
                                     hc->call.request.headers,
                                     {hc->length_text, hc->length_len},
                                     hc->call.request.body};
    struct iovec vectors[PARTS];
    size_t skip = hc->sent;
    size_t left = 0;
    int count = 0;
    for (size_t i = 0; i < PARTS; i++) {
        struct str rest = str_slice(parts[i], skip, parts[i].len);
        skip -= skip < parts[i].len ? skip : parts[i].len;
        if (rest.len > 0) {
            union {
                const char *in;
                void *out;
            } base = {.in = rest.ptr}; /* sendmsg reads only, but its struct is not const */

            vectors[count++] = (struct iovec){base.out, rest.len};
            left += rest.len;
        }
    }
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = (size_t)count};
    ssize_t n = sendmsg(c->io.fd, &message, MSG_NOSIGNAL);
    hc->sent += n > 0 ? (size_t)n : 0;
    /* An error shows again when reading, where a reply that came before it is not lost. */
    bool is_whole = n >= 0 ? (size_t)n == left : errno != EAGAIN && errno != EINTR;
    set_events(c, is_whole ? EPOLLIN | EPOLLRDHUP : EPOLLIN | EPOLLRDHUP | EPOLLOUT);
}

static void on_connected(struct http1_call *hc)
{
    int error = 0;
    socklen_t len = sizeof error;
    int fd = hc->connection->io.fd;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        part(hc, false);
        if (connect_next(hc) != ST_OK) {
            finish(hc, CALL_CONNECT_FAILED);
        }
        return;
    }
    hc->is_connecting = false;
    hc->watch.is_connecting = false;
    send_request(hc);
}

/* The connection ended. A kept-alive one that dies before the reply begins is replaced once. */
static void on_end(struct http1_call *hc, bool is_clean)
{
    if (is_clean && http1_reader_end(&hc->reader) && hc->call.state == CALL_STREAMING) {
        finish(hc, CALL_OK);
        return;
    }
    if (hc->connection->is_reused && !hc->has_reply && !hc->has_retried) {
        hc->has_retried = true;
        hc->sent = 0;
        hc->address = 0;
        part(hc, false);
        if (connect_next(hc) != ST_OK) {
            finish(hc, CALL_CONNECT_FAILED);
        }
        return;
    }
    finish(hc, CALL_CUT);
}

/* CALL_OK: go on. */
static enum call_outcome take_head(struct http1_call *hc)
{
    struct call *call = &hc->call;
    const struct reply_head *head = &hc->reader.head;
    if (head->is_encoded) {
        return CALL_BAD_REPLY;
    }
    if (head->content_length > call->request.expert->reply_bytes) {
        return CALL_TOO_BIG;
    }
    call->http_status = hc->reader.status;
    call->retry_after_s = head->retry_after_s;
    call->content_type = str_from(head->content_type);
    call->is_event_stream = reply_head_is_event_stream(head);
    call->state = CALL_STREAMING;
    if (!call->is_event_stream && head->content_length > 0 &&
        buf_reserve(&call->in, (size_t)head->content_length) == NULL) {
        return CALL_NO_MEMORY;
    }
    return CALL_OK;
}

static enum call_outcome take_body(struct http1_call *hc, struct str bytes)
{
    struct call *call = &hc->call;
    hc->body_bytes += bytes.len;
    if (hc->body_bytes > (size_t)call->request.expert->reply_bytes) {
        return CALL_TOO_BIG;
    }
    if (buf_append(&call->in, bytes) != ST_OK) {
        return CALL_NO_MEMORY;
    }
    bool is_first = call->first_byte_us == 0;
    if (is_first) {
        call->first_byte_us = clock_now_us(loop_clock(hc->client->loop));
    }
    call_watch_byte(&hc->watch, is_first);
    return CALL_OK;
}

/* What was received goes through the reader. Ends the call where the reply ends or breaks rules. */
static void digest(struct http1_call *hc, struct str bytes)
{
    struct call *call = &hc->call;
    struct str body;
    enum call_outcome outcome = CALL_OK;
    http1_reader_feed(&hc->reader, bytes);
    for (;;) {
        enum http1_event event = http1_reader_next(&hc->reader, &body);
        if (event == HTTP1_MORE) {
            break;
        }
        if (event == HTTP1_HEAD) {
            outcome = take_head(hc);
        } else if (event == HTTP1_BODY) {
            outcome = take_body(hc, body);
        } else {
            finish(hc, event == HTTP1_END ? CALL_OK : CALL_BAD_REPLY);
            return;
        }
        if (outcome != CALL_OK) {
            finish(hc, outcome);
            return;
        }
    }
    if (!call->is_event_stream) {
        return; /* plain answers are wanted whole */
    }
    if (call_is_full(call, call->in.len)) {
        hc->watch.is_paused = true;
        set_events(hc->connection, 0);
    }
    call->request.wake(call->request.owner);
}

static void receive(struct http1_call *hc)
{
    size_t most = hc->call.is_event_stream ? STREAM_READ_BYTES : READ_BYTES;
    ssize_t n = recv(hc->connection->io.fd, hc->client->buffer, most, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        on_end(hc, n == 0);
        return;
    }
    hc->has_reply = true;
    digest(hc, (struct str){hc->client->buffer, (size_t)n});
}

static void on_events(struct loop_io *io, uint32_t events)
{
    struct connection *c = CONTAINER_OF(io, struct connection, io);
    struct http1_call *hc = c->call;
    if (hc == NULL) { /* idle: the expert closed it, or says what nobody asked */
        leave_idle_list(c);
        close_connection(c);
        return;
    }
    if (hc->is_connecting) {
        on_connected(hc);
        return;
    }
    if ((events & EPOLLOUT) != 0) {
        send_request(hc);
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        receive(hc);
    }
}

static void consumed(struct call *call)
{
    struct http1_call *hc = http1_of(call);
    bool has_room = !call->is_held && call->in.len <= CALL_IN_PAUSE_BYTES / 2;
    if (hc->watch.is_paused && has_room && hc->connection != NULL) {
        hc->watch.is_paused = false;
        hc->watch.last_byte_ms = loop_now_ms(hc->client->loop);
        set_events(hc->connection, EPOLLIN | EPOLLRDHUP);
    }
}

static void cancel(struct call *call)
{
    struct http1_call *hc = http1_of(call);
    give_up(hc);
    part(hc, false);
    call_watch_stop(&hc->watch);
}

static void destroy(struct call *call)
{
    struct http1_call *hc = http1_of(call);
    part(hc, false);
    http1_reader_fini(&hc->reader);
    buf_fini(&call->in);
    unref_pool(hc->pool);
    mem_free(hc);
}

static const struct call_kind http1_kind = {consumed, cancel, destroy};

static struct http1_call *create_call(struct http1 *h, struct pool *pool,
                                      const struct call_request *request)
{
    struct http1_call *hc = mem_zalloc(1, sizeof *hc);
    if (hc == NULL) {
        return NULL;
    }
    hc->client = h;
    hc->pool = pool;
    pool->refs++;
    hc->call.kind = &http1_kind;
    hc->call.request = *request;
    hc->call.retry_after_s = -1;
    hc->call.content_type = STR("");
    hc->call.started_us = clock_now_us(loop_clock(h->loop));
    buf_init(&hc->call.in, (size_t)request->expert->reply_bytes);
    http1_reader_init(&hc->reader);
    hc->length_len = (size_t)snprintf(hc->length_text, sizeof hc->length_text,
                                      "Content-Length: %zu\r\n\r\n", request->body.len);
    return hc;
}

enum status http1_call(struct http1 *h, const struct call_request *request, struct call **ret_call)
{
    const struct expert *expert = request->expert;
    const struct call_endpoint at = {expert->url, STR(""), expert->serial};
    return http1_call_at(h, request, &at, ret_call);
}

enum status http1_call_at(struct http1 *h, const struct call_request *request,
                          const struct call_endpoint *at, struct call **ret_call)
{
    struct pool *pool = pool_of(h, request->expert, at);
    struct http1_call *hc = pool == NULL ? NULL : create_call(h, pool, request);
    if (hc == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = call_watch_start(&hc->watch, h->loop, &hc->call, on_late);
    if (st != ST_OK) {
        destroy(&hc->call);
        return st;
    }
    if (pool->idle != NULL && !request->is_fresh) {
        *ret_call = &hc->call;
        take_idle(hc);
        send_request(hc);
        return ST_OK;
    }
    st = connect_next(hc);
    if (st != ST_OK && st != ST_IO) {
        cancel(&hc->call);
        destroy(&hc->call);
        return st;
    }
    *ret_call = &hc->call;
    if (st == ST_IO) {
        finish(hc, CALL_CONNECT_FAILED);
    }
    return ST_OK;
}

struct http1 *http1_create(struct loop *loop)
{
    struct http1 *h = mem_zalloc(1, sizeof *h);
    if (h != NULL) {
        h->loop = loop;
    }
    return h;
}

void http1_forget_idle(struct http1 *h)
{
    for (size_t i = 0; i < h->pool_count; i++) {
        retire_pool(h->pools[i]);
        h->pools[i] = NULL;
    }
}

void http1_destroy(struct http1 *h)
{
    if (h == NULL) {
        return;
    }
    http1_forget_idle(h);
    mem_free(h->pools);
    mem_free(h);
}
