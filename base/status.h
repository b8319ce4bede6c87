/* Statuses: what a function returns that can fail for a reason outside the program.
 * A function has at most three expected failures; it names them in its header. */
#pragma once

enum status {
    ST_OK = 0,
    ST_NO_MEMORY, /* an allocation failed */
    ST_TOO_BIG,   /* a ceiling was reached: buffer, nesting, file, queue */
    ST_INVALID, /* the input breaks a rule; the reason is in the diagnostics or the error struct */
    ST_NOT_FOUND, /* no such thing */
    ST_IO,        /* the operating system refused; errno says why */
    ST_CLOSED,    /* the other side is gone, or the work was cancelled */
    ST_TIMEOUT,   /* a deadline passed */
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* A short lower-case text for logs: "no memory", "too big", ... Never NULL. */
const char *status_text(enum status st);
