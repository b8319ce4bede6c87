/* See selftest_client.h. */
#include "gateway/selftest_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/http1_reader.h"
#include "base/clock.h"

enum {
    REPLY_BYTES_MAX = 1024 * 1024,
    READ_BYTES = 8192,
    HEADER_NAME_BYTES = 64,
};

void selftest_reply_init(struct selftest_reply *r)
{
    *r = (struct selftest_reply){0};
    buf_init(&r->head, REPLY_BYTES_MAX);
    buf_init(&r->body, REPLY_BYTES_MAX);
}

void selftest_reply_fini(struct selftest_reply *r)
{
    buf_fini(&r->head);
    buf_fini(&r->body);
}

static int open_connection(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static enum status send_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return ST_IO;
        }
        bytes = str_slice(bytes, n < 0 ? 0 : (size_t)n, bytes.len);
    }
    return ST_OK;
}

static enum status send_request(int fd, struct str body)
{
    struct buf request;
    buf_init(&request, REPLY_BYTES_MAX);
    enum status st = buf_printf(&request,
                                "POST /v1/chat/completions HTTP/1.1\r\nHost: selftest\r\n"
                                "Content-Type: application/json\r\nConnection: close\r\n"
                                "Content-Length: %zu\r\n\r\n%.*s",
                                body.len, STR_ARG(body));
    st = st == ST_OK ? send_all(fd, buf_str(&request)) : st;
    buf_fini(&request);
    return st;
}

/* What one read brought. */
static enum status take(struct http1_reader *reader, struct str bytes, struct selftest_reply *r)
{
    struct str piece;
    enum status st = r->body.len == 0 ? buf_append(&r->head, bytes) : ST_OK;
    http1_reader_feed(reader, bytes);
    while (st == ST_OK) {
        enum http1_event event = http1_reader_next(reader, &piece);
        if (event == HTTP1_BODY) {
            st = buf_append(&r->body, piece);
        } else if (event == HTTP1_HEAD) {
            r->status = reader->status;
        } else {
            r->is_whole = event == HTTP1_END;
            return st;
        }
    }
    return st;
}

static enum status read_reply(int fd, int64_t timeout_ms, struct selftest_reply *r)
{
    char bytes[READ_BYTES];
    struct http1_reader reader;
    http1_reader_init(&reader);
    int64_t end_ms = clock_now_ms(clock_system()) + timeout_ms;
    enum status st = ST_OK;
    while (st == ST_OK && !r->is_whole) {
        int64_t left_ms = end_ms - clock_now_ms(clock_system());
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;
        if (ready == 0) {
            st = ST_TIMEOUT;
            break;
        }
        ssize_t n = ready > 0 ? recv(fd, bytes, sizeof bytes, 0) : -1;
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            r->is_whole = n == 0 && http1_reader_end(&reader);
            break;
        }
        st = take(&reader, (struct str){bytes, (size_t)n}, r);
    }
    http1_reader_fini(&reader);
    return st;
}

enum status selftest_ask(uint16_t port, struct str body, int64_t timeout_ms,
                         struct selftest_reply *r)
{
    int fd = open_connection(port);
    if (fd < 0) {
        return ST_IO;
    }
    enum status st = send_request(fd, body);
    st = st == ST_OK ? read_reply(fd, timeout_ms, r) : st;
    (void)close(fd);
    return st;
}

struct str selftest_header(const struct selftest_reply *r, const char *name)
{
    char line[HEADER_NAME_BYTES];
    int len = snprintf(line, sizeof line, "\r\n%s: ", name);
    struct str head = buf_str(&r->head);
    size_t at = str_find(head, (struct str){line, (size_t)len});
    if (at == head.len) {
        return STR("");
    }
    struct str rest = str_slice(head, at + (size_t)len, head.len);
    return str_slice(rest, 0, str_find_char(rest, '\r'));
}
