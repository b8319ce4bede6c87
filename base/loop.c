/* See loop.h. Level-triggered epoll (callers may ask for EPOLLET), a timer heap, a deferred list and
 * a lock-free stack of posted tasks behind an eventfd. */
#include "base/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/container.h"
#include "base/mem.h"

enum {
    EVENTS_PER_TURN = 256
};

struct loop {
    int epoll_fd;
    int wake_fd;
    const struct clock *clock;
    int64_t now_ms;
    struct heap timers;
    struct loop_task *deferred_first;
    struct loop_task *deferred_last;
    /* Written by any thread (push), taken whole by the loop's thread (exchange). */
    _Atomic(struct loop_task *) posted;
    struct epoll_event events[EVENTS_PER_TURN];
    int event_count; /* of the batch being dispatched */
    int event_next;
};

struct loop *loop_create(const struct clock *clock)
{
    struct loop *loop = mem_zalloc(1, sizeof *loop);
    if (loop == NULL) {
        return NULL;
    }
    loop->clock = clock;
    loop->now_ms = clock_now_ms(clock);
    heap_init(&loop->timers);
    atomic_init(&loop->posted, NULL);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN,
                                .data.ptr = NULL}; /* NULL: the wake descriptor */
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) != 0) {
        loop_destroy(loop);
        return NULL;
    }
    return loop;
}

void loop_destroy(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    if (loop->epoll_fd >= 0) {
        (void)close(loop->epoll_fd);
    }
    if (loop->wake_fd >= 0) {
        (void)close(loop->wake_fd);
    }
    heap_fini(&loop->timers);
    mem_free(loop);
}

static enum status control(struct loop *loop, int operation, struct loop_io *io, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = io};
    return epoll_ctl(loop->epoll_fd, operation, io->fd, &event) == 0 ? ST_OK : ST_IO;
}

enum status loop_add(struct loop *loop, struct loop_io *io, uint32_t epoll_events)
{
    return control(loop, EPOLL_CTL_ADD, io, epoll_events);
}

enum status loop_change(struct loop *loop, struct loop_io *io, uint32_t epoll_events)
{
    return control(loop, EPOLL_CTL_MOD, io, epoll_events);
}

void loop_remove(struct loop *loop, struct loop_io *io)
{
    /* Fails when the descriptor is closed already; then epoll has forgotten it by itself. */
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    for (int i = loop->event_next; i < loop->event_count; i++) {
        if (loop->events[i].data.ptr == io) {
            loop->events[i].events = 0;
        }
    }
}

enum status loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ms)
{
    if (heap_contains(&timer->node)) {
        heap_move(&loop->timers, &timer->node, due_ms);
        return ST_OK;
    }
    return heap_insert(&loop->timers, &timer->node, due_ms);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
    heap_remove(&loop->timers, &timer->node);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    task->next = NULL;
    if (loop->deferred_last == NULL) {
        loop->deferred_first = task;
    } else {
        loop->deferred_last->next = task;
    }
    loop->deferred_last = task;
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    struct loop_task *head = atomic_load(&loop->posted);
    do {
        task->next = head;
    } while (!atomic_compare_exchange_weak(&loop->posted, &head, task));
    if (head == NULL) { /* the one who makes it non-empty rings the bell */
        uint64_t one = 1;
        ssize_t n = 0;
        do {
            n = write(loop->wake_fd, &one, sizeof one);
        } while (n < 0 && errno == EINTR); /* nobody else rings; full means that it rings already */
    }
}

/* Time to sleep: max_wait_ms, shortened by the next timer and to 0 by deferred work. */
static int wait_ms(const struct loop *loop, int64_t max_wait_ms)
{
    if (loop->deferred_first != NULL) {
        return 0;
    }
    int64_t wait = max_wait_ms;
    const struct heap_node *next = heap_min(&loop->timers);
    if (next != NULL) {
        int64_t left = next->key - clock_now_ms(loop->clock);
        left = left < 0 ? 0 : left;
        wait = wait < 0 || left < wait ? left : wait;
    }
    if (wait > 3600000) {
        wait = 3600000;
    }
    return (int)wait;
}

static int run_events(struct loop *loop)
{
    int ran = 0;
    for (loop->event_next = 0; loop->event_next < loop->event_count;) {
        const struct epoll_event *event = &loop->events[loop->event_next++];
        struct loop_io *io = event->data.ptr;
        if (io == NULL) {
            uint64_t count;
            ssize_t n = read(loop->wake_fd, &count, sizeof count);
            (void)n; /* empty means that somebody else emptied it: nothing to do */
        } else if (event->events != 0) {
            io->on_events(io, event->events);
            ran++;
        }
    }
    loop->event_count = 0;
    return ran;
}

static int run_timers(struct loop *loop)
{
    int ran = 0;
    for (struct heap_node *node = heap_min(&loop->timers);
         node != NULL && node->key <= loop->now_ms; node = heap_min(&loop->timers)) {
        heap_remove(&loop->timers, node);
        struct loop_timer *timer = CONTAINER_OF(node, struct loop_timer, node);
        timer->on_due(timer);
        ran++;
    }
    return ran;
}

static int run_tasks(struct loop_task *task)
{
    int ran = 0;
    while (task != NULL) {
        struct loop_task *next = task->next;
        task->run(task);
        task = next;
        ran++;
    }
    return ran;
}

static int run_posted(struct loop *loop)
{
    struct loop_task *stack = atomic_exchange(&loop->posted, NULL);
    struct loop_task *in_order = NULL;
    while (stack != NULL) {
        struct loop_task *next = stack->next;
        stack->next = in_order;
        in_order = stack;
        stack = next;
    }
    return run_tasks(in_order);
}

static int run_deferred(struct loop *loop)
{
    struct loop_task *first = loop->deferred_first;
    loop->deferred_first = NULL;
    loop->deferred_last = NULL;
    return run_tasks(first);
}

int loop_turn(struct loop *loop, int64_t max_wait_ms)
{
    int n = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_TURN, wait_ms(loop, max_wait_ms));
    ASSERT(n >= 0 || errno == EINTR);
    loop->event_count = n < 0 ? 0 : n;
    loop->now_ms = clock_now_ms(loop->clock);
    int ran = run_events(loop);
    ran += run_timers(loop);
    ran += run_posted(loop);
    ran += run_deferred(loop);
    return ran;
}

int64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

const struct clock *loop_clock(const struct loop *loop)
{
    return loop->clock;
}
