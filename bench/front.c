/* The work of a front end alone: the gateway's HTTP server with a handler that does next to nothing.
 * Built twice: front_library is gateway/http_server.c over libmicrohttpd, front_own is
 * bench/front_own.c. `bench/front` compares the two.
 *
 *     front_library | front_own
 *
 * Listens on a port of its own on the loopback and prints "listening on 127.0.0.1:PORT". A POST gets a
 * short document with the headers of a gateway's answer; one whose body contains "stream" gets 50 events,
 * one each millisecond, or for ever where it contains "hold": one a second. Ends with SIGTERM. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/container.h"
#include "base/loop.h"
#include "base/mem.h"
#include "bench/net.h"
#include "gateway/http_server.h"

enum {
    DOCUMENT_BYTES = 431,
    EVENT_BYTES = 210,
    EVENTS = 50,
    EVENT_MS = 1,
    HOLD_MS = 1000,
};

struct exchange { /* of the bench: a stream or a document */
    struct loop *loop;
    struct http_request *http;
    struct loop_timer timer;
    struct loop_task task;
    int left;
    int64_t every_ms;
};

static struct bench {
    struct loop *loop;
    char document[DOCUMENT_BYTES];
    char event[EVENT_BYTES];
    bool is_over;
} bench;

static struct http_reply reply_head(const char *type)
{
    struct http_reply reply = {.status = 200, .header_count = 7};
    const struct http_header headers[] = {
        {"Content-Type", type},
        {"x-request-id", "req_0123456789abcdef"},
        {"x-expertd-confidence", "1.0000"},
        {"x-expertd-policy", "expert"},
        {"x-expertd-expert", "fixed"},
        {"x-expertd-attempts", "1"},
        {"x-expertd-overhead-us", "12"},
    };
    memcpy(reply.headers, headers, sizeof headers);
    return reply;
}

static void on_due(struct loop_timer *timer)
{
    struct exchange *x = CONTAINER_OF(timer, struct exchange, timer);
    bool is_written = http_stream_write(x->http, (struct str){bench.event, EVENT_BYTES}) == ST_OK;
    if (!is_written || --x->left == 0) {
        http_stream_end(x->http);
    } else if (loop_timer_set(x->loop, timer, loop_now_ms(x->loop) + x->every_ms) != ST_OK) {
        http_abort(x->http);
    }
}

static void destroy(struct loop_task *task)
{
    mem_free(CONTAINER_OF(task, struct exchange, task));
}

/* What the server itself found wrong. */
static void refuse(struct http_request *r)
{
    const char *why = NULL;
    enum problem problem = http_request_problem(r, &why);
    if (problem != PROBLEM_NONE) {
        struct http_reply reply = reply_head("application/json");
        reply.status = problem_status(problem);
        reply.body = str_from(why);
        http_reply(r, &reply);
    }
}

static void *on_head(void *ctx, struct http_request *r)
{
    struct exchange *x = mem_zalloc(1, sizeof *x);
    if (x != NULL) {
        x->loop = ctx;
        x->http = r;
        x->timer.on_due = on_due;
        x->task.run = destroy;
        refuse(r);
    }
    return x;
}

static bool has(struct str body, const char *word)
{
    return memmem(body.ptr, body.len, word, strlen(word)) != NULL;
}

static void on_body(void *owner)
{
    struct exchange *x = owner;
    struct str body = http_request_body(x->http);
    const char *why = NULL;
    if (http_request_problem(x->http, &why) != PROBLEM_NONE) {
        return; /* it was answered */
    }
    bool is_held = has(body, "\"hold\"");
    if (is_held || has(body, "\"stream\"")) {
        struct http_reply head = reply_head("text/event-stream");
        x->left = is_held ? 0 : EVENTS; /* of 0: none is the last */
        x->every_ms = is_held ? HOLD_MS : EVENT_MS;
        http_stream_start(x->http, &head);
        on_due(&x->timer);
        return;
    }
    struct http_reply reply = reply_head("application/json");
    reply.body = (struct str){bench.document, DOCUMENT_BYTES};
    http_reply(x->http, &reply);
}

static void on_nothing(void *owner)
{
    (void)owner;
}

static void on_close(void *owner)
{
    struct exchange *x = owner;
    loop_timer_cancel(x->loop, &x->timer);
    loop_defer(x->loop, &x->task);
}

static void on_signal(struct loop_io *io, uint32_t events)
{
    (void)io;
    (void)events;
    bench.is_over = true;
}

static void fill(char *out, size_t size, const char *begin, const char *end)
{
    memset(out, 'x', size);
    memcpy(out, begin, strlen(begin));
    memcpy(out + size - strlen(end), end, strlen(end));
}

static struct http_server *start(struct loop *loop)
{
    static const struct http_hooks hooks = {on_head, on_body, on_nothing, on_nothing, on_close};
    const struct http_limits limits = {.head_ms = 30000,
                                       .body_ms = 60000,
                                       .idle_ms = 300000,
                                       .write_ms = 60000,
                                       .head_bytes = 16384,
                                       .body_bytes = 8 << 20,
                                       .connections = 10000,
                                       .half_close_is_gone = true};
    uint16_t port = 0;
    struct http_listener listener = {.fd = net_listen(0, &port)};
    if (listener.fd < 0) {
        return NULL;
    }
    struct http_server *server = http_server_create(loop, &listener, &limits, &hooks, loop);
    (void)fprintf(stderr, "listening on 127.0.0.1:%u\n", port);
    return server;
}

int main(void)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    net_raise_descriptors();
    fill(bench.document, DOCUMENT_BYTES, "{\"choices\":[{\"text\":\"", "\"}]}");
    fill(bench.event, EVENT_BYTES, "data: {\"choices\":[{\"text\":\"", "\"}]}\n\n");
    bench.loop = loop_create(clock_system());
    struct loop_io io = {signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC), on_signal};
    if (bench.loop == NULL || loop_add(bench.loop, &io, EPOLLIN) != ST_OK) {
        return EXIT_FAILURE;
    }
    struct http_server *server = start(bench.loop);
    if (server == NULL) {
        return EXIT_FAILURE;
    }
    while (!bench.is_over) {
        int64_t wait = http_server_turn(server);
        (void)loop_turn(bench.loop, http_server_is_due(server) ? 0 : wait);
    }
    _exit(EXIT_SUCCESS); /* with connections open: what is measured is over */
}
