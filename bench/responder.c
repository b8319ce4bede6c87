/* An upstream for measurements: it answers every request at once and costs next to nothing, so that
 * what is left is the cost of whoever stands in front of it.
 *
 *     responder SPEC...
 *         fixed=BYTES                      a chat completion of BYTES, with Content-Length
 *         stream=EVENTS,INTERVAL_US,BYTES  SSE: an event of BYTES each INTERVAL_US; interval 0 is as
 *                                          fast as the reader takes them. Each carries the time it
 *                                          was sent ("t": ns of CLOCK_MONOTONIC), which loadgen reads.
 *         control                          GET anything: what was seen so far, as JSON
 * Each listens on a port of its own on the loopback, chosen by the kernel and printed as
 * "SPEC PORT"; the list ends with an empty line. Ends with its standard input.
 *
 * It reads only bodies with Content-Length, and one request after the other on a connection. It is
 * no test of HTTP: tests/raw and tests/flow are. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench/net.h"

enum {
    SERVICES_MAX = 16,
    HEAD_BYTES = 8192,
    EVENT_BYTES_MAX = 16384,
    READ_BYTES = 256 * 1024,
    EPOLL_BATCH = 256,
    TEXT_BYTES = 256,
};

enum kind {
    FIXED,
    STREAM,
    CONTROL,
};

struct service {
    int fd;
    enum kind kind;
    const char *spec; /* as given on the command line */
    uint16_t port;
    uint64_t events;
    uint64_t interval_ns;
    size_t event_bytes;
    char *reply; /* FIXED: the whole reply, head included */
    size_t reply_len;
    struct conn *due_first; /* STREAM: in the order in which they are due */
    struct conn *due_last;

    uint64_t connections;
    uint64_t requests;
    uint64_t streams_open;
    uint64_t gone;    /* clients that left inside a reply */
    uint64_t gone_ns; /* when the last one did */
    uint64_t body_bytes;
    uint64_t body_hash; /* of the last whole body, FNV-1a */
    char authorization[TEXT_BYTES];
};

enum conn_state {
    READ_HEAD,
    READ_BODY,
    REPLYING,
};

struct conn {
    struct service *service;
    int fd;
    enum conn_state state;
    bool is_due; /* in the service's list */
    bool is_dead;
    struct conn *next;
    struct conn *prev;
    struct conn *dead_next;
    uint64_t due_ns;
    uint64_t events_left;
    bool has_ended; /* the last bytes of the reply are on their way */
    uint64_t body_left;
    uint64_t body_hash;
    uint64_t body_bytes;
    char *rest; /* bytes of the reply that the socket did not take; allocated */
    size_t rest_at;
    size_t rest_len;
    size_t head_len;
    char head[HEAD_BYTES];
};

static struct service services[SERVICES_MAX];
static size_t service_count;
static int epoll;
static int timer;
static struct conn *dead; /* freed after the batch of events that may still name them */

static const uint64_t FNV_BASIS = 0xcbf29ce484222325U;
static const uint64_t FNV_PRIME = 0x100000001b3U;

static void due_remove(struct conn *c)
{
    if (!c->is_due) {
        return;
    }
    struct service *s = c->service;
    *(c->prev != NULL ? &c->prev->next : &s->due_first) = c->next;
    *(c->next != NULL ? &c->next->prev : &s->due_last) = c->prev;
    c->is_due = false;
}

static void due_append(struct conn *c)
{
    struct service *s = c->service;
    c->next = NULL;
    c->prev = s->due_last;
    *(s->due_last != NULL ? &s->due_last->next : &s->due_first) = c;
    s->due_last = c;
    c->is_due = true;
}

static void drop(struct conn *c)
{
    if (c->is_dead) {
        return;
    }
    if (c->state == REPLYING) {
        c->service->gone++;
        c->service->gone_ns = net_now_ns();
        c->service->streams_open -= c->service->kind == STREAM;
    }
    due_remove(c);
    close(c->fd);
    mem_free(c->rest);
    c->is_dead = true;
    c->dead_next = dead;
    dead = c;
}

/* Sends, and keeps what the socket does not take for on_writable. False: dropped. */
static bool put(struct conn *c, const char *data, size_t len)
{
    ssize_t n = net_send(c->fd, data, len);
    if (n < 0) {
        drop(c);
        return false;
    }
    if ((size_t)n == len) {
        return true;
    }
    c->rest_len = len - (size_t)n;
    c->rest_at = 0;
    c->rest = mem_alloc(c->rest_len);
    if (c->rest == NULL) {
        drop(c);
        return false;
    }
    memcpy(c->rest, data + n, c->rest_len);
    net_watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLRDHUP | EPOLLOUT, c);
    return true;
}

static void reply_ended(struct conn *c)
{
    c->service->streams_open -= c->service->kind == STREAM;
    c->state = READ_HEAD;
    c->head_len = 0;
}

/* One event as an HTTP chunk; after the last the end of the stream. Returns its length. */
static size_t event_write(const struct conn *c, char *out, size_t size)
{
    static const char START[] =
        "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\","
        "\"created\":1700000000,\"model\":\"expert\",\"choices\":[{\"index\":0,"
        "\"delta\":{\"content\":\"";
    static const char STOP[] = "\"},\"finish_reason\":%s}],\"t\":%20llu}\n\n";

    bool is_last = c->events_left == 1;
    char stop[TEXT_BYTES];
    int stop_len = snprintf(stop, sizeof(stop), STOP, is_last ? "\"stop\"" : "null",
                            (unsigned long long)net_now_ns());
    size_t fixed = sizeof(START) - 1 + (size_t)stop_len;
    size_t padding = c->service->event_bytes > fixed ? c->service->event_bytes - fixed : 1;
    size_t len = (size_t)snprintf(out, size, "%zx\r\n%s", fixed + padding, START);
    memset(out + len, 'x', padding);
    len += padding;
    len += (size_t)snprintf(out + len, size - len, "%s\r\n%s", stop,
                            is_last ? "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n" : "");
    return len;
}

/* Sends the next event, or as many as the socket takes when there is no interval. */
static void stream_go_on(struct conn *c)
{
    static char event[EVENT_BYTES_MAX + 1024];
    do {
        size_t len = event_write(c, event, sizeof(event));
        c->events_left--;
        c->has_ended = c->events_left == 0;
        if (!put(c, event, len)) {
            return;
        }
    } while (c->service->interval_ns == 0 && !c->has_ended && c->rest == NULL);
    if (c->rest != NULL) {
        return; /* on_writable takes over */
    }
    if (c->has_ended) {
        reply_ended(c);
    } else {
        c->due_ns += c->service->interval_ns;
        due_append(c);
    }
}

static void stream_start(struct conn *c)
{
    static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
    c->service->streams_open++;
    c->events_left = c->service->events;
    c->has_ended = false;
    if (!put(c, HEAD, sizeof(HEAD) - 1)) {
        return;
    }
    if (c->service->interval_ns == 0) {
        stream_go_on(c);
        return;
    }
    c->due_ns = net_now_ns() + c->service->interval_ns;
    due_append(c);
}

static void control_reply(struct conn *c)
{
    static char body[SERVICES_MAX * 1024];
    size_t len = 0;
    for (size_t i = 0; i < service_count; i++) {
        const struct service *s = &services[i];
        int n = snprintf(
            body + len, sizeof(body) - len,
            "%s{\"spec\":\"%s\",\"port\":%u,\"connections\":%llu,\"requests\":%llu,\"open\":%llu,"
            "\"gone\":%llu,\"gone_ns\":%llu,\"body_bytes\":%llu,\"body_hash\":\"%016llx\","
            "\"authorization\":\"%s\"}",
            i == 0 ? "[" : ",\n", s->spec, s->port, (unsigned long long)s->connections,
            (unsigned long long)s->requests, (unsigned long long)s->streams_open,
            (unsigned long long)s->gone, (unsigned long long)s->gone_ns,
            (unsigned long long)s->body_bytes, (unsigned long long)s->body_hash, s->authorization);
        len += (size_t)n;
    }
    static char reply[sizeof(body) + TEXT_BYTES];
    int n = snprintf(reply, sizeof(reply),
                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%.*s]\n",
                     len + 2, (int)len, body);
    if (put(c, reply, (size_t)n) && c->rest == NULL) {
        reply_ended(c);
    }
}

static void respond(struct conn *c)
{
    struct service *s = c->service;
    s->requests++;
    s->body_bytes = c->body_bytes;
    s->body_hash = c->body_hash;
    c->state = REPLYING;
    switch (s->kind) {
    case FIXED:
        c->has_ended = true;
        if (put(c, s->reply, s->reply_len) && c->rest == NULL) {
            reply_ended(c);
        }
        return;
    case STREAM:
        stream_start(c);
        return;
    case CONTROL:
        c->has_ended = true;
        control_reply(c);
        return;
    }
}

/* A value for the control listener: bytes that would need escaping in JSON become '?'. */
static void make_plain(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\') {
            *text = '?';
        }
    }
}

static void head_done(struct conn *c)
{
    char value[TEXT_BYTES];
    c->body_left = 0;
    if (net_header(c->head, "content-length", value, sizeof(value))) {
        c->body_left = strtoull(value, NULL, 10);
    }
    char *authorization = c->service->authorization;
    if (net_header(c->head, "authorization", authorization, TEXT_BYTES)) {
        make_plain(authorization);
    } else {
        authorization[0] = '\0';
    }
    c->body_hash = FNV_BASIS;
    c->body_bytes = c->body_left;
    if (c->body_left == 0) {
        respond(c);
    } else {
        c->state = READ_BODY;
    }
}

/* Takes bytes of the head; returns how many, or -1 when the head is too long. */
static ssize_t feed_head(struct conn *c, const char *data, size_t len)
{
    size_t before = c->head_len;
    size_t room = sizeof(c->head) - 1 - before;
    size_t n = len < room ? len : room;
    memcpy(c->head + before, data, n);
    c->head_len += n;
    c->head[c->head_len] = '\0';
    const char *end = strstr(c->head + (before > 3 ? before - 3 : 0), "\r\n\r\n");
    if (end == NULL) {
        return n == room ? -1 : (ssize_t)n;
    }
    size_t used = (size_t)(end + 4 - c->head) - before;
    c->head[before + used - 2] = '\0';
    head_done(c);
    return (ssize_t)used;
}

static size_t feed_body(struct conn *c, const char *data, size_t len)
{
    size_t n = len < c->body_left ? len : (size_t)c->body_left;
    uint64_t hash = c->body_hash;
    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ (uint8_t)data[i]) * FNV_PRIME;
    }
    c->body_hash = hash;
    c->body_left -= n;
    if (c->body_left == 0) {
        respond(c);
    }
    return n;
}

static void on_readable(struct conn *c)
{
    static char data[READ_BYTES];
    ssize_t got = recv(c->fd, data, sizeof(data), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        drop(c);
        return;
    }
    size_t at = 0;
    while (at < (size_t)got && !c->is_dead) {
        ssize_t used = -1;
        switch (c->state) {
        case READ_HEAD:
            used = feed_head(c, data + at, (size_t)got - at);
            break;
        case READ_BODY:
            used = (ssize_t)feed_body(c, data + at, (size_t)got - at);
            break;
        case REPLYING: /* no pipelining */
            break;
        }
        if (used < 0) {
            drop(c);
            return;
        }
        at += (size_t)used;
    }
}

static void on_writable(struct conn *c)
{
    if (c->rest == NULL) {
        return;
    }
    ssize_t n = net_send(c->fd, c->rest + c->rest_at, c->rest_len - c->rest_at);
    if (n < 0) {
        drop(c);
        return;
    }
    c->rest_at += (size_t)n;
    if (c->rest_at < c->rest_len) {
        return;
    }
    mem_free(c->rest);
    c->rest = NULL;
    net_watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLRDHUP, c);
    if (c->has_ended) {
        reply_ended(c);
    } else {
        stream_go_on(c);
    }
}

static void on_acceptable(struct service *s)
{
    for (int fd = net_accept(s->fd); fd >= 0; fd = net_accept(s->fd)) {
        struct conn *c = mem_zalloc(1, sizeof(*c));
        if (c == NULL) {
            close(fd);
            return;
        }
        c->service = s;
        c->fd = fd;
        s->connections++;
        net_watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP, c);
    }
}

static void on_timer(void)
{
    uint64_t expirations;
    ssize_t n = read(timer, &expirations, sizeof(expirations));
    (void)n; /* only clears it */
    uint64_t now = net_now_ns();
    for (size_t i = 0; i < service_count; i++) {
        while (services[i].due_first != NULL && services[i].due_first->due_ns <= now) {
            struct conn *c = services[i].due_first;
            due_remove(c);
            if (c->rest == NULL) {
                stream_go_on(c);
            } /* else the reader is slow: on_writable goes on */
        }
    }
}

static void arm_timer(void)
{
    uint64_t due = 0;
    for (size_t i = 0; i < service_count; i++) {
        const struct conn *c = services[i].due_first;
        if (c != NULL && (due == 0 || c->due_ns < due)) {
            due = c->due_ns;
        }
    }
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(due / 1000000000U), .tv_nsec = (long)(due % 1000000000U)}};
    (void)timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL); /* cannot fail: valid arguments */
}

static void make_fixed_reply(struct service *s, size_t bytes)
{
    static const char START[] =
        "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\","
        "\"created\":1700000000,\"model\":\"expert\",\"choices\":[{\"index\":0,"
        "\"message\":{\"role\":\"assistant\",\"content\":\"";
    static const char STOP[] = "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":20,"
                               "\"completion_tokens\":20,\"total_tokens\":40}}";
    size_t least = sizeof(START) + sizeof(STOP) - 2;
    size_t padding = bytes > least ? bytes - least : 1;
    size_t size = TEXT_BYTES + least + padding;
    s->reply = mem_alloc(size);
    if (s->reply == NULL) {
        abort();
    }
    int head = snprintf(s->reply, size,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        least + padding, START);
    memset(s->reply + head, 'y', padding);
    memcpy(s->reply + (size_t)head + padding, STOP, sizeof(STOP) - 1);
    s->reply_len = (size_t)head + padding + sizeof(STOP) - 1;
}

/* "EVENTS,INTERVAL_US,BYTES"; false: it is not that. */
static bool parse_stream(struct service *s, const char *text)
{
    enum {
        FIELDS = 3
    };

    uint64_t values[FIELDS] = {0};
    char copy[TEXT_BYTES];
    (void)snprintf(copy, sizeof(copy), "%s", text);
    char *rest = copy;
    for (size_t i = 0; i < FIELDS; i++) {
        char *field = strsep(&rest, ",");
        if (field == NULL) {
            return false;
        }
        values[i] = net_number("stream", field);
    }
    s->events = values[0];
    s->interval_ns = values[1] * 1000;
    s->event_bytes = (size_t)values[2];
    return rest == NULL && s->events > 0 && s->event_bytes <= EVENT_BYTES_MAX;
}

static void service_open(const char *spec)
{
    struct service *s = &services[service_count];
    s->spec = spec;
    bool is_known = service_count < SERVICES_MAX;
    if (is_known && strncmp(spec, "fixed=", 6) == 0) {
        s->kind = FIXED;
        make_fixed_reply(s, (size_t)net_number("fixed", spec + 6));
    } else if (is_known && strncmp(spec, "stream=", 7) == 0) {
        s->kind = STREAM;
        is_known = parse_stream(s, spec + 7);
    } else if (is_known && strcmp(spec, "control") == 0) {
        s->kind = CONTROL;
    } else {
        is_known = false;
    }
    if (!is_known) {
        fprintf(stderr, "responder: cannot serve \"%s\"\n", spec);
        exit(2);
    }
    s->fd = net_listen(0, &s->port);
    if (s->fd < 0) {
        perror("responder: listen");
        exit(1);
    }
    service_count++;
    printf("%s %u\n", spec, s->port);
}

/* Returns false when standard input ended. */
static bool dispatch(const struct epoll_event *event)
{
    void *owner = event->data.ptr;
    if (owner == NULL) {
        char byte;
        return read(STDIN_FILENO, &byte, 1) > 0;
    }
    if (owner == &timer) {
        on_timer();
        return true;
    }
    for (size_t i = 0; i < service_count; i++) {
        if (owner == &services[i]) {
            on_acceptable(&services[i]);
            return true;
        }
    }
    struct conn *c = owner;
    if (!c->is_dead && (event->events & EPOLLOUT) != 0) {
        on_writable(c);
    }
    if (!c->is_dead && (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        on_readable(c);
    }
    return true;
}

static void free_dead(void)
{
    while (dead != NULL) {
        struct conn *c = dead;
        dead = c->dead_next;
        mem_free(c);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr,
                "usage: responder fixed=BYTES|stream=EVENTS,INTERVAL_US,BYTES|control...\n");
        return 2;
    }
    net_raise_descriptors();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    net_watch(epoll, EPOLL_CTL_ADD, timer, EPOLLIN, &timer);
    for (int i = 1; i < argc; i++) {
        service_open(argv[i]);
    }
    for (size_t i = 0; i < service_count; i++) {
        net_watch(epoll, EPOLL_CTL_ADD, services[i].fd, EPOLLIN, &services[i]);
    }
    net_watch(epoll, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, NULL);
    printf("\n");
    if (fflush(stdout) != 0) {
        return 1;
    }

    bool goes_on = true;
    while (goes_on) {
        struct epoll_event events[EPOLL_BATCH];
        arm_timer();
        int n = epoll_wait(epoll, events, EPOLL_BATCH, -1);
        for (int i = 0; i < n; i++) {
            goes_on = dispatch(&events[i]) && goes_on;
        }
        free_dead();
    }
    return 0;
}
