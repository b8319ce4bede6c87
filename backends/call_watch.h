/* The deadlines of one call to a remote expert: connect, first byte, silence, total. One timer, set
 * to what is due first and moved only when something may become due earlier, so that data costs a
 * store and no heap operation. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backends/call.h"
#include "base/loop.h"

struct call_watch {
    struct loop *loop;
    const struct call *call;
    void (*on_late)(struct call_watch *watch, enum call_outcome outcome);
    struct loop_timer timer;
    int64_t total_due_ms;
    int64_t last_byte_ms;
    int64_t connect_since_ms;
    bool is_connecting; /* connect_ms counts: call_watch_connecting, cleared by the owner */
    bool is_paused;     /* set by the owner: the client is slow, not the expert */
};

/* Starts watching a call that has just started (call->started_us, call->request are set). on_late is
 * called once, from the loop, when a deadline has passed. ST_NO_MEMORY. */
MUST_CHECK enum status
call_watch_start(struct call_watch *watch, struct loop *loop, const struct call *call,
                 void (*on_late)(struct call_watch *watch, enum call_outcome outcome));
void call_watch_stop(struct call_watch *watch);

/* A connection is being made, from now on unless one was already. */
void call_watch_connecting(struct call_watch *watch);

/* Bytes of the body came. is_first: the first ones. */
void call_watch_byte(struct call_watch *watch, bool is_first);
