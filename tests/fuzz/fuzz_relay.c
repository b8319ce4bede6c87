/* What the relay writes and notes must not depend on how the stream is cut. The first input byte
 * decides the size of the pieces and whether usage is withheld. Where it is not, all that is written
 * is the stream, up to where it broke off. */
#include <stdint.h>

#include "base/assert.h"
#include "base/buf.h"
#include "gateway/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    STREAM_MAX = 65536,
    TEXT_MAX = 2 * STREAM_MAX,
};

struct played {
    struct buf out;
    struct relay relay;
};

static enum status append(void *ctx, struct str bytes)
{
    struct played *p = ctx;
    ASSERT(bytes.len > 0);
    return buf_append(&p->out, bytes);
}

static void play(struct played *p, struct str stream, bool strips, size_t step)
{
    struct buf window;
    buf_init(&window, TEXT_MAX);
    buf_init(&p->out, TEXT_MAX);
    relay_init(&p->relay, strips);
    for (size_t at = 0; at < stream.len; at += step) {
        size_t consumed = 0;
        ASSERT(buf_append(&window, str_slice(stream, at, step)) == ST_OK);
        ASSERT(relay_run(&p->relay, buf_str(&window), append, p, &consumed) == ST_OK);
        ASSERT(consumed <= window.len);
        buf_consume(&window, consumed);
    }
    relay_end(&p->relay);
    ASSERT(relay_release(&p->relay, buf_str(&window), append, p) == ST_OK);
    buf_fini(&window);
}

static void stop(struct played *p)
{
    relay_fini(&p->relay);
    buf_fini(&p->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > STREAM_MAX) {
        return 0;
    }
    bool strips = (data[0] & 0x80) != 0;
    struct str stream = {(const char *)data + 1, size - 1};
    struct played whole;
    struct played cut;
    play(&whole, stream, strips, stream.len);
    play(&cut, stream, strips, (size_t)data[0] % 17 + 1);
    ASSERT(str_eq(buf_str(&whole.out), buf_str(&cut.out)));
    ASSERT(whole.relay.saw_done == cut.relay.saw_done);
    ASSERT(whole.relay.saw_error == cut.relay.saw_error);
    ASSERT(whole.relay.is_committed == cut.relay.is_committed);
    ASSERT(whole.relay.events == cut.relay.events);
    ASSERT(whole.relay.usage.prompt_tokens == cut.relay.usage.prompt_tokens);
    ASSERT(whole.relay.usage.completion_tokens == cut.relay.usage.completion_tokens);
    ASSERT(strips || str_starts_with(stream, buf_str(&whole.out)));
    stop(&whole);
    stop(&cut);
    return 0;
}
