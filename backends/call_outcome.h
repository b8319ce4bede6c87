/* How a call ended: the facts that plans decide on. No I/O, so that the router may see it. */
#pragma once

enum call_outcome {
    CALL_OK,             /* the reply came to its proper end (any HTTP status) */
    CALL_CONNECT_FAILED, /* no connection: refused, DNS, TLS */
    CALL_CONNECT_TIMEOUT,
    CALL_FIRST_TOKEN_TIMEOUT, /* no byte of the body in time */
    CALL_IDLE_TIMEOUT,        /* a gap in the body */
    CALL_TOTAL_TIMEOUT,
    CALL_CUT,       /* the connection ended inside the reply */
    CALL_TOO_BIG,   /* more than the expert's reply_bytes */
    CALL_BAD_REPLY, /* not HTTP, or a head that breaks the rules */
    CALL_NO_MEMORY,
    CALL_NOT_READY, /* a managed process could not be started, or not in time */
    CALL_CANCELLED, /* by call_cancel */
};

/* What kind of error an expert's document is (reply_error.h). */
enum reply_error {
    REPLY_ERROR_OTHER,
    REPLY_ERROR_CONTEXT, /* the prompt is too long */
    REPLY_ERROR_FILTER,  /* a content filter refuses */
    REPLY_ERROR_QUOTA,   /* the money is used up: no wait helps */
};

enum {
    CALL_RETRY_AFTER_MAX_S = 86400 /* who says more says nothing */
};

/* Lower-case words for logs and headers: "ok", "connect_failed", ... */
const char *call_outcome_text(enum call_outcome outcome);
