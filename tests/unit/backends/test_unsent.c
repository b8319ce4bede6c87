/* What has not arrived is thrown away with the connection, and what has arrived is not. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/unsent.h"
#include "tests/support/test.h"

static char bytes[64 * 1024];

struct pair {
    int ours;
    int theirs;
};

/* Over TCP; their side buffers as little as may be. */
static struct pair connect_pair(void)
{
    const int least = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &least, sizeof least), 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    struct pair p = {.ours = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(connect(p.ours, (struct sockaddr *)&address, len), 0);
    p.theirs = accept(listener, NULL, NULL);
    assert_true(p.theirs >= 0);
    assert_int_equal(close(listener), 0);
    return p;
}

/* Sends what the kernel takes; how much that was. */
static size_t fill(int fd)
{
    size_t sent = 0;
    for (ssize_t n = 0; n >= 0; n = send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL)) {
        sent += (size_t)n;
    }
    assert_int_equal(errno, EAGAIN);
    return sent;
}

/* Reads until the end: 0, or the error. */
static int read_to_end(int fd)
{
    ssize_t n = 1;
    while (n > 0) {
        n = recv(fd, bytes, sizeof bytes, 0);
    }
    return n == 0 ? 0 : errno;
}

static void what_has_not_arrived_is_thrown_away(void **state)
{
    (void)state;
    struct pair p = connect_pair();
    int room = 0;
    socklen_t len = sizeof room;
    assert_int_equal(getsockopt(p.theirs, SOL_SOCKET, SO_RCVBUF, &room, &len), 0);
    if (fill(p.ours) <= (size_t)room) {
        (void)close(p.ours);
        (void)close(p.theirs);
        print_message("this kernel buffers all of it on their side\n");
        skip();
    }

    unsent_forget(p.ours);
    assert_int_equal(close(p.ours), 0);

    assert_int_equal(read_to_end(p.theirs), ECONNRESET);
    (void)close(p.theirs);
}

static void what_has_arrived_is_closed_as_ever(void **state)
{
    (void)state;
    struct pair p = connect_pair();
    assert_int_equal(send(p.ours, bytes, 5, MSG_NOSIGNAL), 5);
    assert_int_equal(recv(p.theirs, bytes, 5, MSG_WAITALL), 5);
    assert_int_equal(send(p.theirs, bytes, 5, MSG_NOSIGNAL), 5); /* says that the others are here */
    assert_int_equal(recv(p.ours, bytes, 5, MSG_WAITALL), 5);

    unsent_forget(p.ours);
    assert_int_equal(close(p.ours), 0);

    assert_int_equal(read_to_end(p.theirs), 0);
    (void)close(p.theirs);
}

static void a_socket_of_another_kind_is_closed_as_ever(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(send(fds[0], bytes, 5, MSG_NOSIGNAL), 5);

    unsent_forget(fds[0]);
    assert_int_equal(close(fds[0]), 0);

    assert_int_equal(read_to_end(fds[1]), 0);
    (void)close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_not_arrived_is_thrown_away),
        cmocka_unit_test(what_has_arrived_is_closed_as_ever),
        cmocka_unit_test(a_socket_of_another_kind_is_closed_as_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
