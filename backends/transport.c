/* See transport.h. Sockets and timers between libcurl and the loop, and the pools of easy handles.
 *
 * Two things are lazy on purpose (measured, about 5 us a request together): a socket that libcurl
 * parks in its connection cache stays in epoll until it speaks or is closed, and easy handles keep
 * all options between requests.
 *
 * Sockets are found by descriptor in a table, because libcurl forgets the pointer assigned to a
 * socket when it parks it. Only sockets opened through transport_open_socket are lazy: libcurl
 * closes others (its resolver's) without telling. */
#include "backends/transport.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/expert.h"
#include "backends/http1.h"
#include "backends/transport_curl.h"
#include "backends/unsent.h"
#include "base/assert.h"
#include "base/container.h"
#include "base/mem.h"

enum {
    IDLE_PER_EXPERT = 256, /* easy handles kept ready; about 10 kB each */
};

struct upstream_socket {
    struct loop_io io;
    struct transport *transport;
    uint32_t events; /* what epoll watches; 0: not in epoll */
    bool is_ours;    /* opened by transport_open_socket */
    bool is_parked;  /* libcurl does not want events now */
    CURL *easy;      /* whose transfer wanted events last; to be compared only */
};

struct transport {
    struct loop *loop;
    struct http1 *http1; /* for plain http:// experts near by */
    CURLM *multi;
    struct remote_call *added; /* calls in the multi handle */
    struct loop_timer timer;
    bool wants_kick; /* libcurl asked for a time-out of 0 */
    size_t calls;
    size_t max_calls;
    struct upstream_socket **sockets; /* by descriptor */
    size_t socket_count;
    struct remote_pool **pools; /* by expert index; each holds one reference */
    size_t pool_count;
};

enum status transport_global_init(void)
{
    return curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK ? ST_OK : ST_NO_MEMORY;
}

struct loop *transport_loop(struct transport *t)
{
    return t->loop;
}

/* Tells the owners of transfers that libcurl has finished. */
static void reap(struct transport *t)
{
    int left;
    for (CURLMsg *message = curl_multi_info_read(t->multi, &left); message != NULL;
         message = curl_multi_info_read(t->multi, &left)) {
        char *private = NULL;
        if (message->msg == CURLMSG_DONE &&
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private) == CURLE_OK) {
            remote_call_finished((struct remote_call *)(void *)private, message->data.result);
        }
    }
}

static void start_anew(struct transport *t);

static void act(struct transport *t, curl_socket_t fd, int mask)
{
    int running;
    CURLMcode code = curl_multi_socket_action(t->multi, fd, mask, &running);
    reap(t);
    if (code == CURLM_OUT_OF_MEMORY) {
        start_anew(t);
    }
}

static void stop_watching(struct upstream_socket *s)
{
    if (s->events != 0) {
        loop_remove(s->transport->loop, &s->io);
        s->events = 0;
    }
}

static void on_socket(struct loop_io *io, uint32_t events)
{
    struct upstream_socket *s = CONTAINER_OF(io, struct upstream_socket, io);
    if (s->is_parked) {
        stop_watching(s); /* the peer closed an idle connection; libcurl finds out when it looks */
        return;
    }
    int mask = 0;
    mask |= (events & (EPOLLIN | EPOLLHUP)) != 0 ? CURL_CSELECT_IN : 0;
    mask |= (events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0;
    mask |= (events & EPOLLERR) != 0 ? CURL_CSELECT_ERR : 0;
    act(s->transport, io->fd, mask);
}

static struct upstream_socket *socket_of(struct transport *t, int fd)
{
    size_t i = (size_t)fd;
    if (i >= t->socket_count) {
        size_t count = i < 64 ? 128 : i * 2;
        struct upstream_socket **grown = mem_resize(t->sockets, count * sizeof(*grown));
        if (grown == NULL) {
            return NULL;
        }
        for (size_t k = t->socket_count; k < count; k++) {
            grown[k] = NULL;
        }
        t->sockets = grown;
        t->socket_count = count;
    }
    if (t->sockets[i] == NULL) {
        t->sockets[i] = mem_zalloc(1, sizeof(struct upstream_socket));
        if (t->sockets[i] != NULL) {
            t->sockets[i]->transport = t;
            t->sockets[i]->io = (struct loop_io){fd, on_socket};
        }
    }
    return t->sockets[i];
}

static void forget_socket(struct upstream_socket *s)
{
    stop_watching(s);
    s->is_ours = false;
    s->is_parked = false;
    s->easy = NULL;
}

curl_socket_t transport_open_socket(void *transport, curlsocktype purpose,
                                    struct curl_sockaddr *address)
{
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    address->protocol);
    if (fd < 0) {
        return CURL_SOCKET_BAD;
    }
    struct upstream_socket *s = socket_of(transport, fd);
    if (s == NULL) {
        (void)close(fd);
        return CURL_SOCKET_BAD;
    }
    forget_socket(s);
    s->is_ours = true;
    return fd;
}

int transport_close_socket(void *transport, curl_socket_t fd)
{
    struct upstream_socket *s = socket_of(transport, fd);
    if (s != NULL) {
        forget_socket(s);
    }
    return close(fd);
}

/* So that it is known, when a call is given up, which socket is its own. */
static void note_socket(CURL *easy, struct upstream_socket *s)
{
    char *private = NULL;
    s->easy = easy;
    if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private) == CURLE_OK && private != NULL) {
        ((struct remote_call *)(void *)private)->fd = s->io.fd;
    }
}

/* CURLMOPT_SOCKETFUNCTION: what libcurl wants to know about fd. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *assigned)
{
    (void)assigned;
    struct transport *t = user;
    struct upstream_socket *s = socket_of(t, fd);
    if (s == NULL) {
        return -1;
    }
    s->is_parked = what == CURL_POLL_REMOVE;
    if (s->is_parked) {
        if (!s->is_ours) {
            stop_watching(s);
        }
        return 0;
    }
    note_socket(easy, s);
    uint32_t events = 0;
    events |= (what & CURL_POLL_IN) != 0 ? EPOLLIN : 0;
    events |= (what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0;
    if (events == s->events) {
        return 0;
    }
    enum status st =
        s->events == 0 ? loop_add(t->loop, &s->io, events) : loop_change(t->loop, &s->io, events);
    s->events = st == ST_OK ? events : 0;
    return st == ST_OK ? 0 : -1;
}

static void on_timer(struct loop_timer *timer)
{
    CONTAINER_OF(timer, struct transport, timer)->wants_kick = true;
}

/* CURLMOPT_TIMERFUNCTION */
static int on_curl_timer(CURLM *multi, long timeout_ms, void *user)
{
    (void)multi;
    struct transport *t = user;
    t->wants_kick = timeout_ms == 0;
    if (timeout_ms <= 0) {
        loop_timer_cancel(t->loop, &t->timer);
        return 0;
    }
    int64_t due = clock_now_ms(loop_clock(t->loop)) + timeout_ms;
    return loop_timer_set(t->loop, &t->timer, due) == ST_OK ? 0 : -1;
}

/* NULL: no memory. */
static CURLM *create_multi(struct transport *t)
{
    CURLM *multi = curl_multi_init();
    if (multi != NULL) {
        (void)curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
        (void)curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, t);
        (void)curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
        (void)curl_multi_setopt(multi, CURLMOPT_TIMERDATA, t);
        (void)curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
        /* Counts connections in use, too: with fewer, each finished request would reconnect. */
        (void)curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)t->max_calls + 256);
    }
    return multi;
}

/* Short of memory, libcurl 7.88 keeps a broken note of one of its sockets, does not say of which, and
 * divides by zero when it comes upon that number again. All its calls end, and its multi handle goes;
 * where there is no memory for another one, transport_add tries again. */
static void start_anew(struct transport *t)
{
    while (t->added != NULL) {
        remote_call_finished(t->added, CURLE_OUT_OF_MEMORY);
    }
    (void)curl_multi_cleanup(t->multi);
    loop_timer_cancel(t->loop, &t->timer);
    t->wants_kick = false;
    for (size_t i = 0; i < t->socket_count; i++) { /* all are closed: epoll has forgotten them */
        if (t->sockets[i] != NULL) {
            t->sockets[i]->events = 0;
            t->sockets[i]->is_ours = false;
            t->sockets[i]->is_parked = false;
            t->sockets[i]->easy = NULL;
        }
    }
    t->multi = create_multi(t);
}

struct transport *transport_create(struct loop *loop, size_t max_calls)
{
    struct transport *t = mem_zalloc(1, sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    t->loop = loop;
    t->max_calls = max_calls;
    t->timer.on_due = on_timer;
    t->multi = create_multi(t);
    t->http1 = http1_create(loop);
    if (t->multi == NULL || t->http1 == NULL) {
        (void)curl_multi_cleanup(t->multi); /* takes NULL */
        http1_destroy(t->http1);
        mem_free(t);
        return NULL;
    }
    return t;
}

static void empty_pool(struct remote_pool *pool)
{
    while (pool->idle != NULL) {
        struct remote_call *rc = pool->idle;
        pool->idle = rc->next_idle;
        pool->idle_count--;
        remote_call_free(rc);
    }
}

void transport_unref_pool(struct remote_pool *pool)
{
    pool->refs--;
    if (pool->refs == 0) {
        curl_url_cleanup(pool->url);
        curl_url_cleanup(pool->embeddings_url);
        for (struct curl_slist *line = pool->headers; line != NULL; line = line->next) {
            explicit_bzero(line->data, strlen(line->data)); /* one has the expert's key */
        }
        curl_slist_free_all(pool->headers);
        curl_slist_free_all(pool->connect_to);
        cert_unref(pool->authorities);
        cert_unref(pool->pair);
        mem_free(pool);
    }
}

/* No more calls start from it; those that run keep it alive. */
static void retire_pool(struct remote_pool *pool)
{
    if (pool != NULL) {
        pool->is_retired = true;
        empty_pool(pool);
        transport_unref_pool(pool);
    }
}

void transport_destroy(struct transport *t)
{
    if (t == NULL) {
        return;
    }
    ASSERT(t->calls == 0);
    http1_destroy(t->http1);
    for (size_t i = 0; i < t->pool_count; i++) {
        retire_pool(t->pools[i]);
    }
    mem_free(t->pools);
    (void)curl_multi_cleanup(t->multi); /* closes connections through transport_close_socket */
    loop_timer_cancel(t->loop, &t->timer);
    for (size_t i = 0; i < t->socket_count; i++) {
        if (t->sockets[i] != NULL) {
            stop_watching(t->sockets[i]);
            mem_free(t->sockets[i]);
        }
    }
    mem_free(t->sockets);
    mem_free(t);
}

void transport_forget_idle(struct transport *t)
{
    http1_forget_idle(t->http1);
    for (size_t i = 0; i < t->pool_count; i++) {
        retire_pool(t->pools[i]);
        t->pools[i] = NULL;
    }
}

static enum status add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer == NULL) {
        return ST_NO_MEMORY;
    }
    *list = longer;
    return ST_OK;
}

static enum status add_header(struct remote_pool *pool, const char *line)
{
    return add_line(&pool->headers, line);
}

/* The certificate must have another name than the url's host: the url gets that name, for libcurl
 * checks what stands there, and is told where to connect and what to say as Host. */
static enum status rename_server(struct remote_pool *pool, struct str name)
{
    char *host = NULL;
    char *port = NULL;
    struct buf lines; /* three, each with a NUL behind it: buf_printf takes it as any byte */
    buf_init(&lines, 8192);
    enum status st = ST_NO_MEMORY;
    if (curl_url_get(pool->url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(pool->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
        buf_printf(&lines, "Host: %s:%s%c%.*s:%s:%s:%s%c%.*s%c", host, port, '\0', STR_ARG(name),
                   port, host, port, '\0', STR_ARG(name), '\0') == ST_OK) {
        const char *host_line = lines.data;
        const char *target = host_line + strlen(host_line) + 1;
        const char *new_host = target + strlen(target) + 1;
        if (add_line(&pool->headers, host_line) == ST_OK &&
            add_line(&pool->connect_to, target) == ST_OK &&
            curl_url_set(pool->url, CURLUPART_HOST, new_host, 0) == CURLUE_OK) {
            st = ST_OK;
        }
    }
    curl_free(host);
    curl_free(port);
    buf_fini(&lines);
    return st;
}

/* Beside /chat/completions, of the same host. */
static enum status add_embeddings_url(struct remote_pool *pool)
{
    pool->embeddings_url = curl_url_dup(pool->url);
    bool is_set = pool->embeddings_url != NULL && curl_url_set(pool->embeddings_url, CURLUPART_URL,
                                                               "../embeddings", 0) == CURLUE_OK;
    return is_set ? ST_OK : ST_NO_MEMORY;
}

static enum status fill_pool(struct remote_pool *pool, const struct expert *expert)
{
    struct buf line;
    buf_init(&line, 16384);
    char *text = NULL;
    size_t len = 0;
    enum status st = ST_NO_MEMORY;
    pool->url = curl_url();
    if (pool->url == NULL ||
        buf_printf(&line, "%.*s%.*s", STR_ARG(expert->url), STR_ARG(call_path(false))) != ST_OK ||
        buf_take(&line, &text, &len) != ST_OK ||
        curl_url_set(pool->url, CURLUPART_URL, text, 0) != CURLUE_OK) {
        goto out;
    }
    if (add_header(pool, "Content-Type: application/json") != ST_OK ||
        add_header(pool, "Expect:") != ST_OK) {
        goto out;
    }
    if (expert->key.len > 0) {
        mem_free(text);
        text = NULL;
        if (buf_printf(&line, "Authorization: Bearer %.*s", STR_ARG(expert->key)) != ST_OK ||
            buf_take(&line, &text, &len) != ST_OK || add_header(pool, text) != ST_OK) {
            goto out;
        }
    }
    if (expert->tls.server_name.len > 0) {
        st = rename_server(pool, expert->tls.server_name);
        if (st != ST_OK) {
            goto out;
        }
    }
    st = add_embeddings_url(pool);
    if (st != ST_OK) {
        goto out;
    }
    pool->authorities = cert_ref(expert->tls.authorities);
    pool->pair = cert_ref(expert->tls.pair);
    pool->serial = expert->serial;
    st = ST_OK;

out:
    if (text != NULL) {
        explicit_bzero(text, len);
    }
    mem_free(text);
    buf_fini(&line);
    return st;
}

static struct remote_pool *make_pool(const struct expert *expert)
{
    struct remote_pool *pool = mem_zalloc(1, sizeof *pool);
    if (pool == NULL) {
        return NULL;
    }
    pool->refs = 1;
    if (fill_pool(pool, expert) != ST_OK) {
        transport_unref_pool(pool);
        return NULL;
    }
    return pool;
}

/* The pool of an expert, made on first use, and again when a reload gave its index to another. */
static struct remote_pool *pool_of(struct transport *t, const struct expert *expert)
{
    if (expert->index >= t->pool_count) {
        size_t count = expert->index + 16;
        struct remote_pool **grown = mem_resize(t->pools, count * sizeof(*grown));
        if (grown == NULL) {
            return NULL;
        }
        for (size_t i = t->pool_count; i < count; i++) {
            grown[i] = NULL;
        }
        t->pools = grown;
        t->pool_count = count;
    }
    struct remote_pool **pool = &t->pools[expert->index];
    if (*pool == NULL || (*pool)->serial != expert->serial) {
        retire_pool(*pool);
        *pool = make_pool(expert);
    }
    return *pool;
}

enum status transport_call(struct transport *t, const struct call_request *request,
                           struct call **ret_call)
{
    if (request->expert->is_near) {
        return http1_call(t->http1, request, ret_call);
    }
    if (t->calls >= t->max_calls) {
        return ST_TOO_BIG;
    }
    struct remote_pool *pool = pool_of(t, request->expert);
    if (pool == NULL) {
        return ST_NO_MEMORY;
    }
    struct remote_call *rc = pool->idle;
    if (rc != NULL) {
        pool->idle = rc->next_idle;
        pool->idle_count--;
    } else {
        rc = remote_call_create(t, pool);
    }
    if (rc == NULL) {
        return ST_NO_MEMORY;
    }
    t->calls++;
    enum status st = remote_call_start(rc, request);
    if (st != ST_OK) {
        transport_give_back(t, rc);
        return st;
    }
    *ret_call = &rc->call;
    return ST_OK;
}

enum status transport_probe(struct transport *t, const struct call_request *request,
                            struct str path, struct call **ret_call)
{
    if (t->calls >= t->max_calls) {
        return ST_TOO_BIG;
    }
    struct remote_pool *pool = pool_of(t, request->expert);
    struct remote_call *rc = pool == NULL ? NULL : remote_call_create(t, pool);
    if (rc == NULL) {
        return ST_NO_MEMORY;
    }
    t->calls++;
    enum status st = remote_call_set_get(rc, path);
    if (st == ST_OK) {
        st = remote_call_start(rc, request);
    }
    if (st != ST_OK) {
        transport_give_back(t, rc);
        return st;
    }
    *ret_call = &rc->call;
    return ST_OK;
}

enum status transport_call_at(struct transport *t, const struct call_request *request,
                              const struct call_endpoint *at, struct call **ret_call)
{
    return http1_call_at(t->http1, request, at, ret_call);
}

void transport_give_back(struct transport *t, struct remote_call *rc)
{
    t->calls--;
    struct remote_pool *pool = rc->pool;
    if (rc->url != NULL || pool->is_retired || pool->idle_count >= IDLE_PER_EXPERT) {
        remote_call_free(rc);
        return;
    }
    rc->next_idle = pool->idle;
    pool->idle = rc;
    pool->idle_count++;
}

/* libcurl speaks HTTP/1.1 here (call_remote.c): a connection has one transfer, and one that is taken away in
 * its midst costs the connection, so nobody else's is touched. A parked one is nobody's. */
void transport_forget_unsent(struct transport *t, const struct remote_call *rc)
{
    size_t i = (size_t)rc->fd;
    const struct upstream_socket *s = i < t->socket_count ? t->sockets[i] : NULL;
    if (s != NULL && s->is_ours && !s->is_parked && s->easy == rc->easy) {
        unsent_forget(rc->fd);
    }
}

enum status transport_add(struct transport *t, struct remote_call *rc)
{
    if (t->multi == NULL) {
        t->multi = create_multi(t);
    }
    if (t->multi == NULL || curl_multi_add_handle(t->multi, rc->easy) != CURLM_OK) {
        return ST_NO_MEMORY;
    }
    rc->previous_added = NULL;
    rc->next_added = t->added;
    if (t->added != NULL) {
        t->added->previous_added = rc;
    }
    t->added = rc;
    return ST_OK;
}

void transport_remove(struct transport *t, struct remote_call *rc)
{
    (void)curl_multi_remove_handle(t->multi, rc->easy); /* fails only for a bad handle */
    if (rc->previous_added != NULL) {
        rc->previous_added->next_added = rc->next_added;
    } else {
        t->added = rc->next_added;
    }
    if (rc->next_added != NULL) {
        rc->next_added->previous_added = rc->previous_added;
    }
}

void transport_turn(struct transport *t)
{
    while (t->wants_kick) {
        t->wants_kick = false;
        act(t, CURL_SOCKET_TIMEOUT, 0);
    }
}
