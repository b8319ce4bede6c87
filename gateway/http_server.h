/* HTTP/1.1 for clients: one libmicrohttpd daemon in external-epoll mode on the loop of one worker. The
 * only place that knows libmicrohttpd. Turns its callbacks into the hooks below; keeps the deadlines
 * for head, body and idle connections; notices clients that leave.
 *
 * Hooks are called from inside library callbacks: they only record and mark runnable. The one
 * exception is on_head, which may call http_reply to refuse a request early: its body is then read and
 * dropped, so that the refusal reaches the client, unless the client waits for 100 Continue.
 *
 * One request after another on a connection; a struct http_request lives from on_head to on_close. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/status.h"
#include "base/str.h"
#include "gateway/problem.h"

struct cert;
struct metrics_shard;
struct peers;
struct http_server;
struct http_request;

struct http_header { /* C strings, borrowed for the call */
    const char *name;
    const char *value;
};

enum {
    HTTP_REPLY_HEADERS_MAX = 28
};

struct http_reply {
    int status;
    struct http_header headers[HTTP_REPLY_HEADERS_MAX];
    size_t header_count;
    struct str body; /* borrowed until on_close; unused for streams */
};

struct http_hooks {
    /* A lawful head is here, the body is not. Returns the request's owner, NULL: no memory. `ctx` is
     * the server's. */
    void *(*on_head)(void *ctx, struct http_request *r);
    void (*on_body)(void *owner);     /* the body is complete: http_request_body */
    void (*on_gone)(void *owner);     /* the client left before the reply was complete */
    void (*on_writable)(void *owner); /* a stream has room again */
    void (*on_close)(
        void *owner); /* over, for whatever reason: let go of r and of borrowed bytes */
};

struct http_limits {
    int64_t head_ms;
    int64_t body_ms;
    int64_t idle_ms;
    int64_t write_ms; /* a client may take nothing of an answer */
    int64_t head_bytes;
    int64_t body_bytes;
    int64_t connections;
    struct peers *peers;            /* counts what each address has; borrowed, NULL: no cap */
    struct metrics_shard *counters; /* of refused connections; borrowed, NULL: not counted */
    bool half_close_is_gone;        /* a client that shuts its sending side has left */
};

/* Where and how a server listens. */
struct http_listener {
    int fd;            /* bound and listening; taken */
    struct cert *cert; /* TLS with this certificate; NULL: plain. Referenced */
    bool tls_1_3_only; /* no TLS 1.2 */
};

/* NULL: no memory or libmicrohttpd refused. */
struct http_server *http_server_create(struct loop *loop, const struct http_listener *listener,
                                       const struct http_limits *limits,
                                       const struct http_hooks *hooks, void *ctx);

/* New connections get this certificate; those that are open keep theirs. Does nothing where the server
 * speaks plainly, or for NULL. */
void http_server_set_cert(struct http_server *s, struct cert *cert);

/* Lets libmicrohttpd do its work. Call it before each loop_turn; returns the longest wait in ms it
 * allows before the next call, -1: any. */
int64_t http_server_turn(struct http_server *s);
bool http_server_is_due(const struct http_server *s); /* wants a turn before the loop sleeps */

/* Stops accepting and closes idle connections; running requests go on and their connections close
 * after the reply. */
void http_server_drain(struct http_server *s);

/* Closes whatever is still open, so that http_server_is_empty becomes true within a few turns. */
void http_server_abort(struct http_server *s);
bool http_server_is_empty(const struct http_server *s); /* no connections */

/* Must be empty. NULL allowed. */
void http_server_destroy(struct http_server *s);

/* The request. Text is borrowed until on_close. */
struct str http_request_method(const struct http_request *r);
struct str http_request_path(const struct http_request *r);
struct str http_request_header(const struct http_request *r, struct str name); /* "": none */
bool http_request_repeats(const struct http_request *r,
                          struct str name); /* stands more than once */
struct str http_request_body(const struct http_request *r);

/* Overwrites the values of a header where they lie, so that a key is not kept in memory. */
void http_request_wipe(struct http_request *r, struct str name);

/* PROBLEM_NONE, or what the server itself found wrong with the request: on_head must refuse it. */
enum problem http_request_problem(const struct http_request *r, const char **ret_why);

/* Answers with a whole document. Once per request. */
void http_reply(struct http_request *r, const struct http_reply *reply);

/* Starts a stream: head now, bytes as they come. Then any number of writes, and one end. */
void http_stream_start(struct http_request *r, const struct http_reply *reply);
MUST_CHECK enum status http_stream_write(struct http_request *r,
                                         struct str bytes); /* ST_NO_MEMORY */
size_t http_stream_pending(const struct http_request *r);   /* bytes not yet handed to the socket */
void http_stream_end(struct http_request *r);               /* a proper end */

/* An end that shows as one: what was written goes out, then the connection closes without the last
 * chunk. */
void http_stream_break(struct http_request *r);

/* Closes the connection as it stands: a stream ends without its last chunk. */
void http_abort(struct http_request *r);

enum {
    HTTP_STREAM_HIGH_BYTES = 64 * 1024, /* stop writing above this, on_writable comes below half */
};
