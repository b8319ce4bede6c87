/* See acceptor.h. */
#include "gateway/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/container.h"
#include "base/log.h"

enum {
    BATCH = 64,           /* connections before others get their turn */
    REFUSED_AT_ONCE = 16, /* with the reserve, before it pauses */
    PAUSE_MS = 100,
    COMPLAIN_MS = 60000, /* one line a minute */
    STOP_BATCHES = 64,
};

/* Where several workers share a socket, one of them is woken, not all. */
static const uint32_t WATCHED = EPOLLIN | EPOLLEXCLUSIVE;

enum taken {
    TAKEN_ONE,
    TAKEN_NONE,  /* nobody waits */
    TAKEN_SHORT, /* somebody waits, and there is no descriptor */
};

static void watch(struct acceptor *a)
{
    if (!a->is_watched && !a->is_stopped) {
        a->is_watched = loop_add(a->loop, &a->io, WATCHED) == ST_OK;
    }
}

static void ignore(struct acceptor *a)
{
    if (a->is_watched) {
        loop_remove(a->loop, &a->io);
        a->is_watched = false;
    }
}

/* Until the timer; a timer that cannot be set leaves it to acceptor_wake. */
static void pause_for_a_while(struct acceptor *a)
{
    ignore(a);
    (void)!loop_timer_set(a->loop, &a->timer, loop_now_ms(a->loop) + PAUSE_MS);
}

/* False: nothing is short. */
static bool is_short(int error, enum metrics_refusal *ret_why)
{
    static const struct {
        int error;
        enum metrics_refusal why;
    } all[] = {
        {EMFILE, METRICS_REFUSED_OWN_DESCRIPTORS},
        {ENFILE, METRICS_REFUSED_ALL_DESCRIPTORS},
        {ENOBUFS, METRICS_REFUSED_MEMORY},
        {ENOMEM, METRICS_REFUSED_MEMORY},
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].error == error) {
            *ret_why = all[i].why;
            return true;
        }
    }
    return false;
}

static void complain(struct acceptor *a, int error)
{
    char text[128] = "";
    int64_t now_ms = loop_now_ms(a->loop);
    if (a->complained_ms == 0 || now_ms - a->complained_ms >= COMPLAIN_MS) {
        a->complained_ms = now_ms;
        log_write(LOG_WARN, "acceptor", "clients are turned away: %s",
                  strerror_r(error, text, sizeof text));
    }
}

/* Interrupted calls and clients that left the queue are passed over: accept(2), "Error handling". */
static enum taken take(struct acceptor *a, int *ret_fd, struct sockaddr_storage *address,
                       socklen_t *len)
{
    for (int i = 0; i < BATCH; i++) {
        *len = sizeof *address;
        int fd = accept4(a->io.fd, (struct sockaddr *)address, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            *ret_fd = fd;
            return TAKEN_ONE;
        }
        if (errno == EAGAIN) {
            return TAKEN_NONE;
        }
        if (is_short(errno, &a->why)) {
            complain(a, errno);
            return TAKEN_SHORT;
        }
    }
    return TAKEN_NONE; /* a flood of clients that left: the loop asks again */
}

static void reserve(struct acceptor *a)
{
    if (a->reserve_fd < 0) {
        a->reserve_fd = fcntl(a->io.fd, F_DUPFD_CLOEXEC, 0);
    }
}

/* Tells some of those who wait that there is no place, one after another with the one descriptor. */
static void refuse_some(struct acceptor *a)
{
    const enum metrics_refusal why = a->why;
    struct sockaddr_storage address;
    socklen_t len = 0;
    int fd = -1;
    for (int i = 0; i < REFUSED_AT_ONCE && a->reserve_fd >= 0; i++) {
        (void)close(a->reserve_fd);
        a->reserve_fd = -1;
        enum taken taken = take(a, &fd, &address, &len);
        if (taken == TAKEN_ONE) {
            a->hooks->on_refused(a->ctx, fd, why);
            (void)close(fd);
        }
        reserve(a);
        if (taken != TAKEN_ONE) {
            return;
        }
    }
}

/* False: enough for now. */
static bool accept_one(struct acceptor *a)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    int fd = -1;
    if (!a->hooks->has_room(a->ctx)) {
        ignore(a);
        return false;
    }
    enum taken taken = take(a, &fd, &address, &len);
    if (taken == TAKEN_ONE) {
        a->hooks->on_client(a->ctx, fd, (const struct sockaddr *)&address, len);
    } else if (taken == TAKEN_SHORT) {
        a->hooks->on_short(a->ctx, a->why);
        refuse_some(a);
        pause_for_a_while(a);
    }
    return taken == TAKEN_ONE;
}

static void on_events(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct acceptor *a = CONTAINER_OF(io, struct acceptor, io);
    for (int i = 0; i < BATCH && accept_one(a); i++) {
    }
}

static void on_due(struct loop_timer *timer)
{
    struct acceptor *a = CONTAINER_OF(timer, struct acceptor, timer);
    reserve(a);
    watch(a);
}

enum status acceptor_init(struct acceptor *a, struct loop *loop, int fd,
                          const struct acceptor_hooks *hooks, void *ctx)
{
    *a = (struct acceptor){.loop = loop, .hooks = hooks, .ctx = ctx, .reserve_fd = -1};
    a->io = (struct loop_io){fd, on_events};
    a->timer.on_due = on_due;
    watch(a);
    if (!a->is_watched) {
        return ST_IO;
    }
    reserve(a);
    return ST_OK;
}

void acceptor_wake(struct acceptor *a)
{
    if (!a->is_watched && !heap_contains(&a->timer.node)) {
        watch(a);
    }
}

void acceptor_stop(struct acceptor *a)
{
    for (int i = 0; i < STOP_BATCHES * BATCH && accept_one(a); i++) {
    }
    a->is_stopped = true;
    ignore(a);
    loop_timer_cancel(a->loop, &a->timer);
}

void acceptor_fini(struct acceptor *a)
{
    a->is_stopped = true;
    ignore(a);
    loop_timer_cancel(a->loop, &a->timer);
    if (a->reserve_fd >= 0) {
        (void)close(a->reserve_fd);
        a->reserve_fd = -1;
    }
}
