/* Answers for the cache. A document that is fit becomes a stream, of which a document is fit, if there is
 * one; a stream that is captured whole does not depend on how it is cut. The first byte says how
 * long the pieces are. */
#include <stdint.h>

#include "base/assert.h"
#include "gateway/cache_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    OUT_MAX = 8 * 1024 * 1024
};

static enum status capture(struct str stream, size_t step, struct buf *out)
{
    struct cache_capture c;
    const struct usage usage = {0};
    cache_capture_init(&c);
    for (size_t at = 0; at < stream.len; at += step) {
        cache_capture_feed(&c, str_slice(stream, at, step));
    }
    enum status st = cache_capture_write(&c, &usage, out);
    cache_capture_fini(&c);
    return st;
}

static void check_stream(struct str stream, size_t step)
{
    struct buf whole;
    struct buf cut;
    buf_init(&whole, OUT_MAX);
    buf_init(&cut, OUT_MAX);
    enum status st = capture(stream, stream.len + 1, &whole);
    ASSERT(capture(stream, step, &cut) == st);
    ASSERT(st != ST_OK || str_eq(buf_str(&whole), buf_str(&cut)));
    ASSERT(st != ST_OK || cache_answer_is_fit(buf_str(&whole)));
    buf_fini(&whole);
    buf_fini(&cut);
}

static void check_document(struct str document)
{
    struct buf stream;
    struct buf again;
    buf_init(&stream, OUT_MAX);
    buf_init(&again, OUT_MAX);
    ASSERT(cache_answer_write_stream(document, false, &stream) == ST_OK);
    if (capture(buf_str(&stream), stream.len + 1, &again) == ST_OK) { /* not with indexes over 3 */
        ASSERT(cache_answer_is_fit(buf_str(&again)));
    }
    buf_fini(&stream);
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct str text = {(const char *)data + 1, size - 1};
    if (cache_answer_is_fit(text)) {
        check_document(text);
    }
    check_stream(text, 1U + data[0] % 64U);
    return 0;
}
