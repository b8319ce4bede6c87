/* What stands between the bytes of tokens and a client: makes whole code points of them and ends the
 * answer at a stop text. What may be the beginning of one is held back until it is clear. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

struct outlet_sink {
    void *ctx;
    /* Whole code points. ST_CLOSED: nobody listens any more. */
    enum status (*text)(void *ctx, struct str text);
};

struct outlet {
    const struct str *stops; /* borrowed; empty ones never match */
    size_t stop_count;
    const struct outlet_sink *sink;
    struct buf bytes; /* at most the beginning of a code point */
    struct buf text;  /* held back */
    bool is_stopped;  /* read-only: a stop text came; what follows is dropped */
};

void outlet_init(struct outlet *o, const struct str *stops, size_t stop_count,
                 const struct outlet_sink *sink);
void outlet_fini(struct outlet *o);

/* ST_CLOSED from the sink, ST_NO_MEMORY. Bytes that are no UTF-8 become U+FFFD. */
MUST_CHECK enum status outlet_put(struct outlet *o, struct str bytes);

/* The end of the answer: what was held back goes out. */
MUST_CHECK enum status outlet_end(struct outlet *o);
