/* The body and the verdict on a reply must not depend on how it is cut. The first input byte decides
 * the size of the pieces. Body ranges lie inside what was fed. */
#include <stdint.h>

#include "backends/http1_reader.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BODY_MAX = 1 << 20
};

struct reading {
    struct buf body;
    enum http1_event last;
    int status;
    int64_t retry_after_s;
    bool is_ended;
};

/* Takes all events of a piece. False: the reply is over. */
static bool take_events(struct http1_reader *r, struct str piece, struct reading *out)
{
    http1_reader_feed(r, piece);
    for (;;) {
        struct str body = {NULL, 0};
        out->last = http1_reader_next(r, &body);
        if (out->last == HTTP1_HEAD) {
            ASSERT(out->status == 0);
            out->status = r->status;
            out->retry_after_s = r->head.retry_after_s;
        } else if (out->last == HTTP1_BODY) {
            ASSERT(out->status >= 200 && body.len > 0);
            ASSERT(body.ptr >= piece.ptr && body.ptr + body.len <= piece.ptr + piece.len);
            ASSERT(buf_append(&out->body, body) == ST_OK);
        } else {
            return out->last == HTTP1_MORE;
        }
    }
}

static void read_reply(struct str reply, size_t step, struct reading *out)
{
    struct http1_reader r;
    *out = (struct reading){.last = HTTP1_MORE};
    buf_init(&out->body, BODY_MAX);
    http1_reader_init(&r);
    bool wants_more = true;
    for (size_t at = 0; wants_more && at < reply.len; at += step) {
        wants_more = take_events(&r, str_slice(reply, at, step), out);
    }
    out->is_ended = http1_reader_end(&r);
    ASSERT(out->last == HTTP1_END || !http1_reader_keeps_alive(&r));
    http1_reader_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct str reply = {(const char *)data + 1, size - 1};
    struct reading whole;
    struct reading cut;
    read_reply(reply, reply.len, &whole);
    read_reply(reply, (size_t)data[0] % 17 + 1, &cut);
    ASSERT(whole.last == cut.last);
    ASSERT(whole.status == cut.status);
    ASSERT(whole.retry_after_s == cut.retry_after_s);
    ASSERT(whole.is_ended == cut.is_ended);
    ASSERT(str_eq(buf_str(&whole.body), buf_str(&cut.body)));
    buf_fini(&whole.body);
    buf_fini(&cut.body);
    return 0;
}
