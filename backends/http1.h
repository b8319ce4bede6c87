/* An HTTP/1.1 client for experts behind plain http:// at a numeric address or localhost: model
 * servers on the same machine or network, where libcurl's generality would be half of the gateway's
 * cost (docs/performance.md). Everything else (TLS, names, proxies) is libcurl's: call_remote.c. One
 * client per worker, on its loop; connections are kept alive and pooled per expert. */
#pragma once

#include <stdbool.h>

#include "backends/call.h"
#include "base/loop.h"
#include "base/status.h"

struct expert;
struct http1;

struct http1 *http1_create(struct loop *loop); /* NULL: no memory */
void http1_destroy(struct http1 *h);           /* all calls destroyed; NULL allowed */

/* Whether this client can serve the expert's url. */
bool http1_fits(const struct expert *expert);

/* Starts a call. A connection that was kept alive and turns out to be dead before the first byte of
 * the reply is replaced once. ST_NO_MEMORY. */
MUST_CHECK enum status http1_call(struct http1 *h, const struct call_request *request,
                                  struct call **ret_call);

/* The same to a place that is not the expert's url; `at` is lent. */
MUST_CHECK enum status http1_call_at(struct http1 *h, const struct call_request *request,
                                     const struct call_endpoint *at, struct call **ret_call);

/* Closes idle connections: after a reload. */
void http1_forget_idle(struct http1 *h);
