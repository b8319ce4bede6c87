/* A call: one attempt at one expert, remote or in-process. It only moves bytes and says what
 * happened; it knows nothing of routing, retries or the client's dialect.
 *
 * The owner (an exchange, through its plan) starts it and from then on looks at its public members
 * whenever `wake` was called: wake may come from inside a library callback, so it must only mark the
 * owner runnable. Everything happens on the worker's loop thread.
 *
 *     CALL_WAITING --head--> CALL_STREAMING --end or failure--> CALL_DONE
 *          '------------------- failure ------------------------^
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backends/call_outcome.h"
#include "base/buf.h"
#include "base/loop.h"
#include "base/status.h"
#include "base/str.h"

struct expert;
struct transport;
struct kernel_pool;

enum call_state {
    CALL_WAITING,   /* no reply head yet */
    CALL_STREAMING, /* head is known; body bytes arrive in `in` */
    CALL_DONE,      /* nothing more will arrive; `outcome` is set; `in` may still hold bytes */
};

struct call_endpoint { /* where an expert is that has no fixed url: a process that was started */
    struct str url;    /* of the API's root */
    struct str socket; /* path of a socket file, instead of the url's host; "": none */
    uint64_t serial;   /* of this start: from expert_serial */
};

struct call_request {
    const struct expert *expert; /* outlives the call: the owner holds the snapshot */
    struct str body;             /* bytes to send; borrowed until the call is destroyed */
    struct str headers;   /* more of them, "NAME: VALUE\r\n" each; clean; borrowed likewise */
    bool is_stream;       /* the client asked for SSE */
    bool is_embedding;    /* it asks for embeddings, not for a completion */
    bool is_fresh;        /* on a new connection: the expert was asked before and failed */
    int64_t due_ms;       /* when the exchange ends, by the loop's clock; 0: never */
    int64_t first_due_ms; /* when its first content must be there; 0: never */
    void (*wake)(void *owner);
    void *owner;
};

struct call { /* read-only to callers; embedded first in the private structs of the kinds */
    const struct call_kind *kind;
    enum call_state state;
    enum call_outcome outcome;
    int http_status;         /* from CALL_STREAMING on */
    bool is_event_stream;    /* Content-Type is text/event-stream */
    struct str content_type; /* lives as long as the call */
    int64_t retry_after_s;   /* up to CALL_RETRY_AFTER_MAX_S; negative: none */
    const char *why;         /* more on a failure, for the log; NULL: `outcome` says it all */
    struct buf in;           /* bytes received and not yet consumed; bounded */
    int64_t started_us;
    int64_t first_byte_us; /* of the body; 0 before */
    bool has_content;      /* set by the owner of an event stream at the first content: until then
                              the first token is waited for, whatever else comes */
    bool is_held;          /* set by the owner of an event stream whose own reader is slow: little
                              more is taken from upstream until it is not */
    struct call_request request;
};

struct call_kind { /* remote (call_remote.c), kernel (kernel_call.c) */
    void (*consumed)(struct call *call);
    void (*cancel)(struct call *call);
    void (*destroy)(struct call *call);
};

/* What is added to the root of an expert's API: "/chat/completions" or "/embeddings". */
struct str call_path(bool is_embedding);

enum {
    /* Bytes that may wait in `in` before a streaming upstream is paused. */
    CALL_IN_PAUSE_BYTES = 256 * 1024,
    CALL_IN_HELD_BYTES = 16 * 1024, /* the same, while nobody takes them */
};

/* Whether a streaming upstream pauses when so many bytes wait. */
bool call_is_full(const struct call *call, size_t len);

/* Drops n bytes from the front of call->in and lets a paused upstream go on. */
void call_consume(struct call *call, size_t n);

/* Ends the work upstream at once: connection closed, kernel told to stop. The state becomes
 * CALL_DONE with CALL_CANCELLED; no wake. No-op when it is done already. */
void call_cancel(struct call *call);

/* Cancels if needed and frees, deferred where a library may still be inside. NULL allowed. Must not
 * be called from inside wake. */
void call_destroy(struct call *call);
