/* Frames between a gateway and a kernel-host, as either side reads them: a frame of bounded length
 * whose fields lie in it, or a reason to hang up. */
#include <stdint.h>

#include "backends/kernel_frame.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct str outer, struct ek_text inner)
{
    ASSERT(inner.len == 0 || (inner.ptr >= outer.ptr && inner.len <= outer.len &&
                              inner.ptr + inner.len <= outer.ptr + outer.len));
}

static void read_request(struct str payload)
{
    struct ek_request request;
    struct arena *arena = arena_create(4096, 1 << 24);
    ASSERT(arena != NULL);
    if (kernel_frame_read_request(payload, arena, &request) == ST_OK) {
        struct buf again;
        size_t len = 0;
        struct kernel_frame frame;
        for (size_t i = 0; i < request.message_count; i++) {
            check_inside(payload, request.messages[i].text);
        }
        check_inside(payload, request.body);
        buf_init(&again, 1 << 24);
        ASSERT(kernel_frame_write_request(&again, 7, &request) == ST_OK);
        ASSERT(kernel_frame_read(buf_str(&again), 1 << 24, &frame, &len) == ST_OK);
        ASSERT(frame.call == 7 && str_eq(frame.payload, payload));
        buf_fini(&again);
    }
    arena_destroy(arena);
}

static void read_asked(struct str payload)
{
    struct kernel_asked asked;
    float values[16];
    size_t width = 0;
    if (kernel_frame_read_asked(payload, &asked) == ST_OK) {
        struct buf again;
        size_t len = 0;
        struct kernel_frame frame;
        check_inside(payload, (struct ek_text){asked.text.ptr, asked.text.len});
        buf_init(&again, 1 << 24);
        ASSERT(kernel_frame_write_asked(&again, 7, &asked) == ST_OK);
        ASSERT(kernel_frame_read(buf_str(&again), 1 << 24, &frame, &len) == ST_OK);
        ASSERT(frame.type == KERNEL_FRAME_EMBED && str_eq(frame.payload, payload));
        buf_fini(&again);
    }
    if (kernel_frame_read_vector(payload, values, 16, &width) == ST_OK) {
        ASSERT(width >= 1 && width <= 16 && width * sizeof values[0] == payload.len);
    }
}

static void read_payload(const struct kernel_frame *frame)
{
    struct kernel_hello hello;
    struct kernel_ready ready;
    struct kernel_done done;
    if (kernel_frame_read_hello(frame->payload, &hello) == ST_OK) {
        check_inside(frame->payload, (struct ek_text){hello.folder.ptr, hello.folder.len});
    }
    if (kernel_frame_read_ready(frame->payload, &ready) == ST_OK) {
        check_inside(frame->payload, (struct ek_text){ready.name.ptr, ready.name.len});
    }
    if (kernel_frame_read_done(frame->payload, &done) == ST_OK) {
        ASSERT(done.status <= EK_FAILED);
        ASSERT(str_from(done.error.message).len < sizeof done.error.message);
    }
    read_request(frame->payload);
    read_asked(frame->payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct kernel_frame frame;
    size_t len = 0;
    while (kernel_frame_read(rest, 4096, &frame, &len) == ST_OK) {
        ASSERT(len <= rest.len && len == frame.payload.len + KERNEL_FRAME_HEAD_BYTES);
        ASSERT(frame.payload.len <= 4096);
        read_payload(&frame);
        rest = str_slice(rest, len, rest.len);
    }
    return 0;
}
