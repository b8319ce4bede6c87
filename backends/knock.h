/* A knock: one GET to a model server near by, to learn whether it is there and well. Nothing of the
 * reply is read but its status. One at a time per object; on the loop it was given. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/status.h"
#include "base/str.h"

enum {
    KNOCK_REQUEST_BYTES = 512,
    KNOCK_REPLY_BYTES = 64,
};

struct knock { /* zero-initialise; embedded */
    struct loop *loop;
    struct loop_io io;
    struct loop_timer timer;
    void (*done)(struct knock *k, int http_status); /* 0: no reply, or none in time */
    char request[KNOCK_REQUEST_BYTES];
    size_t request_len;
    char reply[KNOCK_REPLY_BYTES];
    size_t reply_len;
    bool is_out;
};

struct knock_at {
    unsigned port;      /* on 127.0.0.1, */
    const char *socket; /* or of this socket file, unless "" */
    struct str path;
    int64_t timeout_ms;
};

/* Starts; done comes later, from the loop, exactly once unless it is cancelled. ST_IO: nobody is there.
 * ST_NO_MEMORY. No knock may be out. */
MUST_CHECK enum status knock_start(struct knock *k, struct loop *loop, const struct knock_at *at);
void knock_cancel(struct knock *k); /* no-op when none is out */
