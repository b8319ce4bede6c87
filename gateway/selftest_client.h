/* The client of a self-test: one request on a connection of its own to a gateway on the loopback, read
 * to its end. Blocks. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct selftest_reply {
    int status;      /* 0: nothing that is HTTP came */
    bool is_whole;   /* it ended as its framing says */
    struct buf head; /* as it came, and what came with it */
    struct buf body; /* without chunk framing */
};

/* Empty; the caller ends with selftest_reply_fini. */
void selftest_reply_init(struct selftest_reply *r);
void selftest_reply_fini(struct selftest_reply *r);

/* Posts a chat request and fills *r. ST_IO: no connection; ST_TIMEOUT: it took over timeout_ms;
 * ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status selftest_ask(uint16_t port, struct str body, int64_t timeout_ms,
                                    struct selftest_reply *r);

/* The value of a header, named in small letters; "" where it is not. Borrowed from r. */
struct str selftest_header(const struct selftest_reply *r, const char *name);
