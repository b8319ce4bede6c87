/* Taking connections: what happens when there is no room, no descriptor, no memory. accept4 is ours
 * here, so that it can fail as the system's would. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/acceptor.h"
#include "tests/support/fake_clock.h"
#include "tests/support/test.h"

enum {
    CLIENTS_MAX = 64,
    FAILURES_MAX = 256,
    PAUSE_MS = 100,       /* as in acceptor.c */
    REFUSED_AT_ONCE = 16, /* likewise */
};

static struct {
    int failures[FAILURES_MAX]; /* errno of the calls to come; 0: it works */
    size_t count;
    size_t next;
    size_t calls;
} script;

/* In place of the C library's accept4, which glibc declares with types that only it can name. */
int scripted_accept(int fd, struct sockaddr *address, socklen_t *len, int flags) __asm__("accept4");

int scripted_accept(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    int failure = script.next < script.count ? script.failures[script.next++] : 0;
    script.calls++;
    if (failure != 0) {
        errno = failure;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, address, len, flags);
}

static void fail_next(int error, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        script.failures[script.count++] = error;
    }
}

struct door {
    struct fake_clock clock;
    struct loop *loop;
    struct acceptor acceptor;
    struct sockaddr_un address;
    int listen_fd;
    int clients[CLIENTS_MAX];
    size_t client_count;
    size_t room;
    size_t taken;
    size_t shorts;
    size_t refused;
    enum metrics_refusal short_of;
    enum metrics_refusal refused_for;
};

static bool has_room(void *ctx)
{
    const struct door *d = ctx;
    return d->taken < d->room;
}

static void on_client(void *ctx, int fd, const struct sockaddr *address, socklen_t len)
{
    struct door *d = ctx;
    assert_int_equal(address->sa_family, AF_UNIX);
    assert_true(len >= sizeof address->sa_family);
    d->taken++;
    (void)close(fd);
}

static void on_short(void *ctx, enum metrics_refusal why)
{
    struct door *d = ctx;
    d->shorts++;
    d->short_of = why;
}

static void on_refused(void *ctx, int fd, enum metrics_refusal why)
{
    struct door *d = ctx;
    assert_int_equal(send(fd, "no", 2, MSG_NOSIGNAL), 2);
    d->refused++;
    d->refused_for = why;
}

static const struct acceptor_hooks hooks = {has_room, on_client, on_short, on_refused};

/* Listens in the abstract namespace, under a name that the kernel chooses. */
static void open_door(struct door *d, size_t room)
{
    socklen_t len = sizeof d->address;
    memset(&script, 0, sizeof script);
    memset(d, 0, sizeof *d);
    fake_clock_init(&d->clock);
    d->loop = loop_create(&d->clock.clock);
    d->room = room;
    d->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    d->address.sun_family = AF_UNIX;
    assert_int_equal(
        bind(d->listen_fd, (struct sockaddr *)&d->address, sizeof d->address.sun_family), 0);
    assert_int_equal(getsockname(d->listen_fd, (struct sockaddr *)&d->address, &len), 0);
    assert_int_equal(listen(d->listen_fd, CLIENTS_MAX), 0);
    assert_int_equal(acceptor_init(&d->acceptor, d->loop, d->listen_fd, &hooks, d), ST_OK);
    d->client_count = 0;
    d->room = room;
}

static void come(struct door *d, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        socklen_t len = sizeof d->address;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void)getsockname(d->listen_fd, (struct sockaddr *)&d->address, &len);
        assert_int_equal(connect(fd, (const struct sockaddr *)&d->address, len), 0);
        d->clients[d->client_count++] = fd;
    }
}

static void close_door(struct door *d)
{
    acceptor_fini(&d->acceptor);
    for (size_t i = 0; i < d->client_count; i++) {
        (void)close(d->clients[i]);
    }
    (void)close(d->listen_fd);
    loop_destroy(d->loop);
}

static void all_who_wait_are_taken_in_one_turn(void **state)
{
    (void)state;
    struct door d;
    open_door(&d, CLIENTS_MAX);
    come(&d, 10);

    (void)loop_turn(d.loop, 0);

    assert_int_equal(d.taken, 10);
    assert_int_equal(d.shorts, 0);
    close_door(&d);
}

static void without_room_they_wait_until_it_is_woken(void **state)
{
    (void)state;
    struct door d;
    open_door(&d, 2);
    come(&d, 3);

    (void)loop_turn(d.loop, 0);
    (void)loop_turn(d.loop, 0);
    assert_int_equal(d.taken, 2);
    assert_int_equal(script.calls, 2); /* it does not spin */

    d.room = 3;
    acceptor_wake(&d.acceptor);
    (void)loop_turn(d.loop, 0);
    assert_int_equal(d.taken, 3);
    close_door(&d);
}

static void clients_that_left_the_queue_are_passed_over(void **state)
{
    (void)state;
    struct door d;
    open_door(&d, CLIENTS_MAX);
    come(&d, 2);
    fail_next(ECONNABORTED, 3);
    fail_next(EINTR, 1);

    (void)loop_turn(d.loop, 0);

    assert_int_equal(d.taken, 2);
    assert_int_equal(d.shorts, 0);
    close_door(&d);
}

static void what_is_short_is_told_by_its_errno(void **state)
{
    (void)state;

    static const struct {
        int error;
        enum metrics_refusal why;
    } cases[] = {
        {EMFILE, METRICS_REFUSED_OWN_DESCRIPTORS},
        {ENFILE, METRICS_REFUSED_ALL_DESCRIPTORS},
        {ENOBUFS, METRICS_REFUSED_MEMORY},
        {ENOMEM, METRICS_REFUSED_MEMORY},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct door d;
        open_door(&d, CLIENTS_MAX);
        come(&d, 1);
        fail_next(cases[i].error, 1); /* with the descriptor in reserve it works */

        (void)loop_turn(d.loop, 0);

        assert_int_equal(d.shorts, 1);
        assert_int_equal(d.short_of, cases[i].why);
        assert_int_equal(d.refused, 1);
        assert_int_equal(d.refused_for, cases[i].why);
        assert_int_equal(d.taken, 0);
        close_door(&d);
    }
}

static void who_is_refused_is_told_and_the_rest_waits_for_the_end_of_a_pause(void **state)
{
    (void)state;
    struct door d;
    char said[2];
    open_door(&d, CLIENTS_MAX);
    come(&d, REFUSED_AT_ONCE + 4);
    fail_next(EMFILE, 1);

    (void)loop_turn(d.loop, 0);
    assert_int_equal(d.refused, REFUSED_AT_ONCE);
    assert_int_equal(read(d.clients[0], said, sizeof said), 2);
    size_t calls = script.calls;
    (void)loop_turn(d.loop, 0);
    acceptor_wake(&d.acceptor); /* room is not what is missing */
    (void)loop_turn(d.loop, 0);
    assert_int_equal(script.calls, calls);

    fake_clock_advance_ms(&d.clock, PAUSE_MS);
    (void)loop_turn(d.loop, 0);
    (void)loop_turn(d.loop, 0);
    assert_int_equal(d.taken, 4);
    assert_int_equal(d.shorts, 1);
    close_door(&d);
}

static void where_even_the_reserve_does_not_help_it_pauses_and_refuses_nobody(void **state)
{
    (void)state;
    struct door d;
    open_door(&d, CLIENTS_MAX);
    come(&d, 2);
    fail_next(ENFILE, 2);

    (void)loop_turn(d.loop, 0);
    assert_int_equal(d.shorts, 1);
    assert_int_equal(d.refused, 0);

    fake_clock_advance_ms(&d.clock, PAUSE_MS);
    (void)loop_turn(d.loop, 0);
    (void)loop_turn(d.loop, 0);
    assert_int_equal(d.taken, 2);
    close_door(&d);
}

static void stop_takes_those_who_have_come_and_nobody_after_them(void **state)
{
    (void)state;
    struct door d;
    open_door(&d, CLIENTS_MAX);
    come(&d, 3);

    acceptor_stop(&d.acceptor);
    assert_int_equal(d.taken, 3);

    come(&d, 1);
    (void)loop_turn(d.loop, 0);
    acceptor_wake(&d.acceptor);
    (void)loop_turn(d.loop, 0);
    assert_int_equal(d.taken, 3);
    close_door(&d);
}

static void a_stop_within_a_pause_ends_it(void **state)
{
    (void)state;
    struct door d;
    open_door(&d, CLIENTS_MAX);
    come(&d, 1);
    fail_next(ENFILE, 2);
    (void)loop_turn(d.loop, 0);

    acceptor_stop(&d.acceptor);
    assert_int_equal(d.taken, 1);

    fake_clock_advance_ms(&d.clock, PAUSE_MS);
    come(&d, 1);
    (void)loop_turn(d.loop, 0);
    (void)loop_turn(d.loop, 0);
    assert_int_equal(d.taken, 1);
    close_door(&d);
}

static void a_descriptor_that_nobody_can_watch_is_refused(void **state)
{
    (void)state;
    struct fake_clock clock;
    struct acceptor a;
    fake_clock_init(&clock);
    struct loop *loop = loop_create(&clock.clock);

    assert_int_equal(acceptor_init(&a, loop, -1, &hooks, NULL), ST_IO);

    loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_who_wait_are_taken_in_one_turn),
        cmocka_unit_test(without_room_they_wait_until_it_is_woken),
        cmocka_unit_test(clients_that_left_the_queue_are_passed_over),
        cmocka_unit_test(what_is_short_is_told_by_its_errno),
        cmocka_unit_test(who_is_refused_is_told_and_the_rest_waits_for_the_end_of_a_pause),
        cmocka_unit_test(where_even_the_reserve_does_not_help_it_pauses_and_refuses_nobody),
        cmocka_unit_test(stop_takes_those_who_have_come_and_nobody_after_them),
        cmocka_unit_test(a_stop_within_a_pause_ends_it),
        cmocka_unit_test(a_descriptor_that_nobody_can_watch_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
