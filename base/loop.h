/* An epoll loop: descriptors, timers, deferred work, and a thread-safe way to wake it. One loop, one
 * thread; only loop_post may be called from elsewhere. Objects that callbacks may still mention are
 * freed with loop_defer, never inside a callback. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/status.h"

struct loop;

struct loop_io { /* embedded; lives from loop_add to loop_remove */
    int fd;
    void (*on_events)(struct loop_io *io, uint32_t epoll_events);
};

struct loop_timer { /* embedded; zero-initialise before the first loop_timer_set */
    struct heap_node node;
    void (*on_due)(struct loop_timer *timer);
};

struct loop_task { /* embedded; runs once per loop_defer or loop_post, on the loop's thread */
    struct loop_task *next;
    void (*run)(struct loop_task *task);
};

struct loop *loop_create(const struct clock *clock); /* NULL: no memory or descriptors */
void loop_destroy(struct loop *loop);                /* NULL allowed; runs no callbacks */

MUST_CHECK enum status loop_add(struct loop *loop, struct loop_io *io,
                                uint32_t epoll_events); /* ST_IO */
MUST_CHECK enum status loop_change(struct loop *loop, struct loop_io *io,
                                   uint32_t epoll_events); /* ST_IO */

/* After this no more events are delivered for io, not even those already fetched in this turn. */
void loop_remove(struct loop *loop, struct loop_io *io);

/* Sets or moves a timer to an absolute time. ST_NO_MEMORY (never when it was already set). */
MUST_CHECK enum status loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ms);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer); /* no-op when not set */

/* Runs the task at the end of this turn, after all events: the place to free things. */
void loop_defer(struct loop *loop, struct loop_task *task);

/* The same from any thread; wakes the loop. Lock-free for the loop while nothing is posted. A task
 * may not be posted again before it ran. */
void loop_post(struct loop *loop, struct loop_task *task);

/* One turn: waits at most max_wait_ms (-1: until something happens; 0: not at all; timers shorten
 * it), dispatches descriptors, due timers, posted tasks, deferred tasks. Returns the number of
 * callbacks that ran. */
int loop_turn(struct loop *loop, int64_t max_wait_ms);

int64_t loop_now_ms(const struct loop *loop); /* time of the current turn; cheap */
const struct clock *loop_clock(const struct loop *loop);
