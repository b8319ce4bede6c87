/* An expert made of a socket, played by the test in the same thread as the loop under test: it
 * listens, accepts, reads and says what the test tells it to, and turns the loop while it waits. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/loop.h"
#include "tests/support/test.h"

enum {
    PEER_TURNS = 60000, /* of at most a millisecond each, before a test gives up */
    PEER_BYTES_MAX = 64 << 20,
};

struct script_peer {
    struct loop *loop;
    int listener;
    int fd; /* the connection accepted last; -1: none */
    uint16_t port;
    struct buf got; /* what came over it */
};

/* family: AF_INET or AF_INET6 (loopback). False: this machine has none. */
static inline bool script_peer_listen(struct script_peer *p, struct loop *loop, int family)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = {.any = {.sa_family = (sa_family_t)family}};

    socklen_t len = family == AF_INET ? sizeof a.v4 : sizeof a.v6;

    *p = (struct script_peer){.loop = loop, .fd = -1};
    buf_init(&p->got, PEER_BYTES_MAX);
    if (family == AF_INET) {
        a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
        a.v6.sin6_addr = in6addr_loopback;
    }
    p->listener = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->listener < 0 || bind(p->listener, &a.any, len) != 0 || listen(p->listener, 8) != 0) {
        return false;
    }
    assert_int_equal(getsockname(p->listener, &a.any, &len), 0);
    p->port = ntohs(family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
    return true;
}

static inline void script_peer_hang_up(struct script_peer *p)
{
    if (p->fd >= 0) {
        (void)close(p->fd);
        p->fd = -1;
    }
}

static inline void script_peer_stop(struct script_peer *p)
{
    script_peer_hang_up(p);
    if (p->listener >= 0) {
        (void)close(p->listener);
    }
    buf_fini(&p->got);
}

/* Whether a connection waits; it becomes the current one. */
static inline bool script_peer_take(struct script_peer *p)
{
    int fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    script_peer_hang_up(p);
    buf_reset(&p->got);
    p->fd = fd;
    return true;
}

static inline void script_peer_accept(struct script_peer *p)
{
    for (int i = 0; i < PEER_TURNS; i++) {
        if (script_peer_take(p)) {
            return;
        }
        (void)loop_turn(p->loop, 1);
    }
    fail_msg("nobody connects");
}

/* Reads what is there. False: the other side has closed. */
static inline bool script_peer_read(struct script_peer *p)
{
    static char bytes[65536];
    ssize_t n = recv(p->fd, bytes, sizeof bytes, 0);
    if (n > 0) {
        assert_int_equal(buf_append(&p->got, (struct str){bytes, (size_t)n}), ST_OK);
    }
    return n > 0 || (n < 0 && errno == EAGAIN);
}

/* Reads until what came ends with `tail`. */
static inline void script_peer_read_until(struct script_peer *p, const char *tail)
{
    for (int i = 0; i < PEER_TURNS && !str_ends_with(buf_str(&p->got), str_from(tail)); i++) {
        (void)loop_turn(p->loop, 1);
        (void)script_peer_read(p);
    }
    if (!str_ends_with(buf_str(&p->got), str_from(tail))) {
        fail_msg("no \"%s\" at the end of \"%.*s\"", tail, STR_ARG(buf_str(&p->got)));
    }
}

/* Reads until the other side closes. */
static inline void script_peer_expect_close(struct script_peer *p)
{
    for (int i = 0; i < PEER_TURNS; i++) {
        if (!script_peer_read(p)) {
            return;
        }
        (void)loop_turn(p->loop, 1);
    }
    fail_msg("the connection stays open");
}

/* Says as much as the socket takes; how much that was. */
static inline size_t script_peer_say_some(struct script_peer *p, struct str text)
{
    ssize_t n = send(p->fd, text.ptr, text.len, MSG_NOSIGNAL);
    assert_true(n >= 0 || errno == EAGAIN);
    return n > 0 ? (size_t)n : 0;
}

static inline void script_peer_say(struct script_peer *p, const char *text)
{
    assert_int_equal(script_peer_say_some(p, str_from(text)), strlen(text));
}
