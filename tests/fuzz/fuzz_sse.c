/* The event stream parser must not depend on how the stream is cut: the same events, the same
 * ranges, whole, and in chunks whose sizes the first input byte decides. */
#include <stdint.h>
#include <string.h>

#include "backends/sse.h"
#include "base/assert.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    EVENT_MAX = 4096,
    SEEN_MAX = 1 << 22
};

static enum status parse(struct str stream, size_t step, struct buf *seen)
{
    struct sse_parser p;
    enum status st = ST_NOT_FOUND;
    sse_init(&p, EVENT_MAX);
    for (size_t at = 0; at < stream.len && st == ST_NOT_FOUND; at += step) {
        struct sse_event event;
        sse_feed(&p, str_slice(stream, at, step));
        for (st = sse_next(&p, &event); st == ST_OK; st = sse_next(&p, &event)) {
            ASSERT(event.start < event.end && event.end <= stream.len);
            ASSERT(buf_printf(seen, "%u %d %zu:", (unsigned)event.start, (int)event.retry_ms,
                              event.type.len) == ST_OK);
            ASSERT(buf_append(seen, event.type) == ST_OK);
            ASSERT(buf_append(seen, event.data) == ST_OK);
            ASSERT(buf_append(seen, event.id) == ST_OK);
        }
        ASSERT(st != ST_NOT_FOUND || sse_settled(&p) <= at + step);
    }
    sse_fini(&p);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 65536) {
        return 0;
    }
    struct str stream = {(const char *)data + 1, size - 1};
    struct buf whole;
    struct buf cut;
    buf_init(&whole, SEEN_MAX);
    buf_init(&cut, SEEN_MAX);
    enum status st_whole = parse(stream, stream.len, &whole);
    enum status st_cut = parse(stream, (size_t)data[0] % 17 + 1, &cut);
    /* Where an event goes over the ceiling, both must say so; the events before it are the same. */
    ASSERT(st_whole == st_cut);
    ASSERT(str_eq(buf_str(&whole), buf_str(&cut)));
    buf_fini(&whole);
    buf_fini(&cut);
    return 0;
}
