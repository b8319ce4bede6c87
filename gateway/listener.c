/* See listener.h. */
#include "gateway/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/conf.h"
#include "gateway/supervisor.h"

enum {
    LISTEN_BACKLOG = 4096,
};

union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Fills a socket address; its length. The host was checked when the file was loaded. */
static socklen_t fill_address(union socket_address *a, const struct conf_address *from,
                              uint16_t port)
{
    memset(a, 0, sizeof *a);
    if (from->is_ipv6) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons(port);
        (void)inet_pton(AF_INET6, from->host.ptr, &a->v6.sin6_addr);
        return sizeof a->v6;
    }
    a->v4.sin_family = AF_INET;
    a->v4.sin_port = htons(port);
    (void)inet_pton(AF_INET, from->host.ptr, &a->v4.sin_addr);
    return sizeof a->v4;
}

/* A listening socket. port 0: any; *ret_port says which one it became. -1: errno says why. */
static int open_socket(const struct conf_address *address, uint16_t port, uint16_t *ret_port)
{
    union socket_address a;
    const int one = 1;
    socklen_t len = fill_address(&a, address, port);
    int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0 ||
        bind(fd, &a.any, len) != 0 || listen(fd, LISTEN_BACKLOG) != 0 ||
        getsockname(fd, &a.any, &len) != 0) {
        int why = errno;
        (void)close(fd);
        errno = why;
        return -1;
    }
    *ret_port = ntohs(address->is_ipv6 ? a.v6.sin6_port : a.v4.sin_port);
    return fd;
}

/* Whether a descriptor listens where the configuration says; port 0: anywhere on the host. *ret_port
 * says which one it is. */
static bool listens_at(int fd, const struct conf_address *address, uint16_t *ret_port)
{
    union socket_address want;
    union socket_address got;
    int is_listening = 0;
    socklen_t size = sizeof is_listening;
    socklen_t len = sizeof got;
    (void)fill_address(&want, address, address->port);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) != 0 || is_listening == 0 ||
        getsockname(fd, &got.any, &len) != 0 || got.any.sa_family != want.any.sa_family) {
        return false;
    }
    bool is_host = address->is_ipv6
                       ? memcmp(&got.v6.sin6_addr, &want.v6.sin6_addr, sizeof got.v6.sin6_addr) == 0
                       : got.v4.sin_addr.s_addr == want.v4.sin_addr.s_addr;
    *ret_port = ntohs(address->is_ipv6 ? got.v6.sin6_port : got.v4.sin_port);
    return is_host && (address->port == 0 || address->port == *ret_port);
}

static void complain_listen(const struct conf_address *address, int why)
{
    char text[128] = "";
    log_write(LOG_ERROR, "process", "cannot listen on %.*s: %s", STR_ARG(address->text),
              strerror_r(why, text, sizeof text));
}

static bool make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

enum status listener_open(const struct supervisor *from, const char *name, size_t index,
                          const struct conf_address *address, uint16_t *port, int *ret_fd)
{
    int fd = supervisor_take(from, name, (int)index);
    if (fd < 0) {
        fd = open_socket(address, *port, port);
        if (fd < 0) {
            complain_listen(address, errno);
            return ST_IO;
        }
    } else if (!listens_at(fd, address, port) || !make_nonblocking(fd)) {
        log_write(LOG_ERROR, "process",
                  "the descriptor handed over as \"%s\" does not listen on %.*s", name,
                  STR_ARG(address->text));
        (void)close(fd);
        return ST_IO;
    }
    *ret_fd = fd;
    return ST_OK;
}

/* SO_REUSEPORT would share a port with a stranger of the same user silently: so try without first. */
bool listener_is_taken(const struct supervisor *from, const char *name,
                       const struct conf_address *address)
{
    union socket_address a;
    const int one = 1;
    int handed = supervisor_take(from, name, 0);
    if (handed >= 0) {
        (void)close(handed); /* a copy */
    }
    if (address->port == 0 || handed >= 0) {
        return false;
    }
    socklen_t len = fill_address(&a, address, address->port);
    int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                 bind(fd, &a.any, len) != 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (taken) {
        complain_listen(address, EADDRINUSE);
    }
    return taken;
}
