/* See knock.h. */
#include "backends/knock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/container.h"

enum {
    STATUS_BYTES = 12, /* "HTTP/1.1 200" */
};

void knock_cancel(struct knock *k)
{
    if (k->is_out) {
        k->is_out = false;
        loop_remove(k->loop, &k->io);
        loop_timer_cancel(k->loop, &k->timer);
        (void)close(k->io.fd);
    }
}

static void finish(struct knock *k, int http_status)
{
    knock_cancel(k);
    k->done(k, http_status);
}

static void on_late(struct loop_timer *timer)
{
    finish(CONTAINER_OF(timer, struct knock, timer), 0);
}

static int status_of(const struct knock *k)
{
    int64_t status = 0;
    struct str reply = {k->reply, k->reply_len};
    bool is_http = str_starts_with(reply, STR("HTTP/1.")) && reply.len >= STATUS_BYTES &&
                   str_to_int(str_slice(reply, 9, 3), &status) == ST_OK;
    return is_http && status >= 100 && status <= 599 ? (int)status : 0;
}

static void on_events(struct loop_io *io, uint32_t events)
{
    struct knock *k = CONTAINER_OF(io, struct knock, io);
    if ((events & EPOLLOUT) != 0) { /* connected; so few bytes go at once or not at all */
        ssize_t n = send(io->fd, k->request, k->request_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n != (ssize_t)k->request_len || loop_change(k->loop, io, EPOLLIN) != ST_OK) {
            finish(k, 0);
        }
        return;
    }
    ssize_t n = recv(io->fd, k->reply + k->reply_len, sizeof k->reply - k->reply_len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    k->reply_len += n > 0 ? (size_t)n : 0;
    if (n <= 0 || k->reply_len >= STATUS_BYTES) {
        finish(k, status_of(k));
    }
}

static int connect_to(const struct knock_at *at)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_un local;
    } a;

    memset(&a, 0, sizeof a);
    socklen_t len = sizeof a.v4;
    if (at->socket[0] != '\0') {
        a.local.sun_family = AF_UNIX;
        len = sizeof a.local;
        (void)snprintf(a.local.sun_path, sizeof a.local.sun_path, "%s", at->socket);
    } else {
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons((uint16_t)at->port);
        a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, &a.any, len) != 0 && errno != EINPROGRESS) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

enum status knock_start(struct knock *k, struct loop *loop, const struct knock_at *at)
{
    ASSERT(!k->is_out);
    int written = snprintf(k->request, sizeof k->request,
                           "GET %.*s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: expertd\r\n"
                           "Connection: close\r\n\r\n",
                           STR_ARG(at->path));
    int fd = written > 0 && (size_t)written < sizeof k->request ? connect_to(at) : -1;
    if (fd < 0) {
        return ST_IO;
    }
    k->loop = loop;
    k->request_len = (size_t)written;
    k->reply_len = 0;
    k->io = (struct loop_io){fd, on_events};
    k->timer.on_due = on_late;
    if (loop_timer_set(loop, &k->timer, loop_now_ms(loop) + at->timeout_ms) != ST_OK) {
        (void)close(fd);
        return ST_NO_MEMORY;
    }
    if (loop_add(loop, &k->io, EPOLLOUT) != ST_OK) {
        loop_timer_cancel(loop, &k->timer);
        (void)close(fd);
        return ST_IO;
    }
    k->is_out = true;
    return ST_OK;
}
