/* Takes connections from a listening socket, on the loop of one worker. Owns what happens when there is
 * no room, or no descriptor left: it pauses with a timer and never spins, and one descriptor is kept
 * in reserve with which those who wait are told so. Knows nothing of HTTP: its owner talks. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/loop.h"
#include "base/status.h"
#include "gateway/metrics.h"

struct acceptor_hooks {
    /* Whether one more may come; after false nothing is taken before acceptor_wake. */
    bool (*has_room)(void *ctx);
    void (*on_client)(void *ctx, int fd, const struct sockaddr *address,
                      socklen_t len); /* takes fd */
    /* No descriptor, or no memory, is left: what can be spared may be closed. It pauses then. */
    void (*on_short)(void *ctx, enum metrics_refusal why);
    /* Nobody can keep this connection. Says so; fd is closed behind it. */
    void (*on_refused)(void *ctx, int fd, enum metrics_refusal why);
};

struct acceptor { /* private */
    struct loop *loop;
    struct loop_io io;
    struct loop_timer timer;
    const struct acceptor_hooks *hooks;
    void *ctx;
    int reserve_fd; /* -1: it could not be opened again yet */
    int64_t complained_ms;
    enum metrics_refusal why; /* it was short last */
    bool is_watched;
    bool is_stopped;
};

/* fd: bound and listening, borrowed until acceptor_fini. ST_IO: nothing to clean up. */
MUST_CHECK enum status acceptor_init(struct acceptor *a, struct loop *loop, int fd,
                                     const struct acceptor_hooks *hooks, void *ctx);

/* There may be room again. Cheap when nothing waits for that. */
void acceptor_wake(struct acceptor *a);

/* Takes those who have come so far, and no more from now on. */
void acceptor_stop(struct acceptor *a);
void acceptor_fini(struct acceptor *a);
