/* The transport of one worker: libcurl's multi interface in socket mode on the worker's loop, and
 * per expert a pool of prepared easy handles. Makes calls to remote experts. One thread. */
#pragma once

#include <stddef.h>

#include "backends/call.h"
#include "base/loop.h"
#include "base/status.h"

struct transport;

/* max_calls: how many calls may run at once (libcurl's connection cache counts connections in use, so
 * it is sized above this). NULL: no memory. transport_global_init must have run. */
struct transport *transport_create(struct loop *loop, size_t max_calls);

/* All calls must have been destroyed. NULL allowed. */
void transport_destroy(struct transport *t);

/* Starts a call to a remote expert. The head and body are sent as soon as the loop turns.
 * ST_NO_MEMORY, ST_TOO_BIG (max_calls reached). */
MUST_CHECK enum status transport_call(struct transport *t, const struct call_request *request,
                                      struct call **ret_call);

/* Asks `path` of a remote expert's host with GET, on a connection of its own: is it well? The request
 * has no body; its expert's key goes along. As transport_call. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status transport_probe(struct transport *t, const struct call_request *request,
                                       struct str path, struct call **ret_call);

/* Starts a call to an expert's process, at the place where it listens; `at` is lent. ST_NO_MEMORY. */
MUST_CHECK enum status transport_call_at(struct transport *t, const struct call_request *request,
                                         const struct call_endpoint *at, struct call **ret_call);

/* Does what libcurl wants done at once. Call it before each loop_turn. */
void transport_turn(struct transport *t);

/* Drops idle handles, closing no connection: after a reload, so that none keeps an old expert. */
void transport_forget_idle(struct transport *t);

/* Once per process, before threads start. ST_NO_MEMORY. */
MUST_CHECK enum status transport_global_init(void);
