/* See kernel_frame.h. */
#include "backends/kernel_frame.h"

#include <string.h>

#include "backends/kernel.h"
#include "base/little.h"

/* ---- frames ---- */

enum status kernel_frame_read(struct str bytes, size_t max, struct kernel_frame *ret_frame,
                              size_t *ret_len)
{
    if (bytes.len < KERNEL_FRAME_HEAD_BYTES) {
        return ST_NOT_FOUND;
    }
    const unsigned char *head = (const unsigned char *)bytes.ptr;
    size_t len = little_u32(head);
    if (len > max || head[4] < KERNEL_FRAME_HELLO || head[4] > KERNEL_FRAME_VECTOR ||
        head[5] != 0) {
        return ST_INVALID;
    }
    if (bytes.len - KERNEL_FRAME_HEAD_BYTES < len) {
        return ST_NOT_FOUND;
    }
    *ret_frame =
        (struct kernel_frame){(enum kernel_frame_type)head[4], (uint16_t)(head[6] | head[7] << 8),
                              str_slice(bytes, KERNEL_FRAME_HEAD_BYTES, len)};
    *ret_len = KERNEL_FRAME_HEAD_BYTES + len;
    return ST_OK;
}

enum status kernel_frame_begin(struct buf *out, enum kernel_frame_type type, uint16_t call,
                               size_t *ret_mark)
{
    const char head[KERNEL_FRAME_HEAD_BYTES] = {
        0, 0, 0, 0, (char)type, 0, (char)(call & 0xFF), (char)(call >> 8)};
    *ret_mark = out->len;
    return buf_append(out, (struct str){head, sizeof head});
}

enum status kernel_frame_end(struct buf *out, size_t mark)
{
    size_t len = out->len - mark - KERNEL_FRAME_HEAD_BYTES;
    if (len > UINT32_MAX) {
        return ST_TOO_BIG;
    }
    little_put_u32(out->data + out->head + mark, (uint32_t)len);
    return ST_OK;
}

enum status kernel_frame_write(struct buf *out, enum kernel_frame_type type, uint16_t call,
                               struct str payload)
{
    size_t mark = 0;
    enum status st = kernel_frame_begin(out, type, call, &mark);
    st = st == ST_OK ? buf_append(out, payload) : st;
    return st == ST_OK ? kernel_frame_end(out, mark) : st;
}

/* ---- fields: writing, the first failure sticks ---- */

struct writer {
    struct buf *out;
    enum status st;
};

static void put_bytes(struct writer *w, struct str bytes)
{
    w->st = w->st == ST_OK ? buf_append(w->out, bytes) : w->st;
}

static void put_u32(struct writer *w, uint32_t value)
{
    char bytes[4];
    little_put_u32(bytes, value);
    put_bytes(w, (struct str){bytes, sizeof bytes});
}

static void put_u64(struct writer *w, uint64_t value)
{
    char bytes[8];
    little_put_u64(bytes, value);
    put_bytes(w, (struct str){bytes, sizeof bytes});
}

static void put_real(struct writer *w, double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    put_u64(w, bits);
}

static void put_text(struct writer *w, struct str text)
{
    if (text.len > UINT32_MAX) {
        w->st = ST_TOO_BIG;
        return;
    }
    put_u32(w, (uint32_t)text.len);
    put_bytes(w, text);
}

static enum status end(struct writer *w, size_t mark)
{
    return w->st == ST_OK ? kernel_frame_end(w->out, mark) : w->st;
}

/* ---- fields: reading, beyond the end all is zero and is_bad ---- */

struct reader {
    struct str rest;
    bool is_bad;
};

static struct str take_bytes(struct reader *r, size_t len)
{
    if (r->is_bad || r->rest.len < len) {
        r->is_bad = true;
        return STR("");
    }
    struct str bytes = str_slice(r->rest, 0, len);
    r->rest = str_slice(r->rest, len, r->rest.len);
    return bytes;
}

static uint32_t take_u32(struct reader *r)
{
    struct str bytes = take_bytes(r, 4);
    return r->is_bad ? 0 : little_u32(bytes.ptr);
}

static uint64_t take_u64(struct reader *r)
{
    struct str bytes = take_bytes(r, 8);
    return r->is_bad ? 0 : little_u64(bytes.ptr);
}

static double take_real(struct reader *r)
{
    uint64_t bits = take_u64(r);
    double value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static struct str take_text(struct reader *r)
{
    return take_bytes(r, take_u32(r));
}

/* Into an array of chars, which it must fit, terminated. */
static void take_chars(struct reader *r, char *out, size_t size)
{
    struct str text = take_text(r);
    if (text.len >= size) {
        r->is_bad = true;
        return;
    }
    if (text.len > 0) {
        memcpy(out, text.ptr, text.len);
    }
    out[text.len] = '\0';
}

static enum status finish(const struct reader *r)
{
    return r->is_bad || r->rest.len > 0 ? ST_INVALID : ST_OK;
}

/* ---- the frames that have fields ---- */

enum status kernel_frame_write_hello(struct buf *out, const struct kernel_hello *hello)
{
    size_t mark = 0;
    struct writer w = {out, kernel_frame_begin(out, KERNEL_FRAME_HELLO, 0, &mark)};
    put_u32(&w, hello->version);
    put_u32(&w, hello->threads);
    put_u64(&w, hello->memory_bytes);
    put_text(&w, hello->file);
    put_text(&w, hello->options);
    put_text(&w, hello->folder);
    return end(&w, mark);
}

enum status kernel_frame_read_hello(struct str payload, struct kernel_hello *ret_hello)
{
    struct reader r = {payload, false};
    ret_hello->version = take_u32(&r);
    ret_hello->threads = take_u32(&r);
    ret_hello->memory_bytes = take_u64(&r);
    ret_hello->file = take_text(&r);
    ret_hello->options = take_text(&r);
    ret_hello->folder = take_text(&r);
    return finish(&r);
}

enum status kernel_frame_write_ready(struct buf *out, const struct kernel_ready *ready)
{
    size_t mark = 0;
    struct writer w = {out, kernel_frame_begin(out, KERNEL_FRAME_READY, 0, &mark)};
    put_u32(&w, ready->version);
    put_u32(&w, ready->capabilities);
    put_text(&w, ready->name);
    put_text(&w, ready->kernel_version);
    return end(&w, mark);
}

enum status kernel_frame_read_ready(struct str payload, struct kernel_ready *ret_ready)
{
    struct reader r = {payload, false};
    ret_ready->version = take_u32(&r);
    ret_ready->capabilities = take_u32(&r);
    ret_ready->name = take_text(&r);
    ret_ready->kernel_version = take_text(&r);
    return finish(&r);
}

enum status kernel_frame_write_request(struct buf *out, uint16_t call,
                                       const struct ek_request *request)
{
    size_t mark = 0;
    struct writer w = {out, kernel_frame_begin(out, KERNEL_FRAME_REQUEST, call, &mark)};
    put_u64(&w, (uint64_t)request->max_tokens);
    put_real(&w, request->temperature);
    put_real(&w, request->top_p);
    put_u64(&w, request->seed);
    put_u32(&w, request->has_seed);
    put_u64(&w, request->deadline_ns);
    put_u32(&w, (uint32_t)request->message_count);
    for (size_t i = 0; i < request->message_count; i++) {
        put_text(&w, kernel_str(request->messages[i].role));
        put_text(&w, kernel_str(request->messages[i].text));
    }
    put_u32(&w, request->stop_count);
    for (size_t i = 0; i < request->stop_count; i++) {
        put_text(&w, kernel_str(request->stop[i]));
    }
    put_text(&w, kernel_str(request->body));
    return end(&w, mark);
}

static enum status read_lists(struct reader *r, struct arena *arena, struct ek_request *ret_request)
{
    ret_request->message_count = take_u32(r);
    if (ret_request->message_count > KERNEL_FRAME_MESSAGES_MAX) {
        return ST_INVALID;
    }
    struct ek_message *messages =
        arena_alloc(arena, (ret_request->message_count + 1) * sizeof *messages);
    if (messages == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < ret_request->message_count; i++) {
        messages[i].role = kernel_text(take_text(r));
        messages[i].text = kernel_text(take_text(r));
    }
    ret_request->messages = messages;
    ret_request->stop_count = take_u32(r);
    if (ret_request->stop_count > KERNEL_FRAME_STOPS_MAX) {
        return ST_INVALID;
    }
    struct ek_text *stops = arena_alloc(arena, (ret_request->stop_count + 1U) * sizeof *stops);
    if (stops == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < ret_request->stop_count; i++) {
        stops[i] = kernel_text(take_text(r));
    }
    ret_request->stop = stops;
    return ST_OK;
}

enum status kernel_frame_read_request(struct str payload, struct arena *arena,
                                      struct ek_request *ret_request)
{
    struct reader r = {payload, false};
    *ret_request = (struct ek_request){.size = sizeof *ret_request};
    ret_request->max_tokens = (int64_t)take_u64(&r);
    ret_request->temperature = take_real(&r);
    ret_request->top_p = take_real(&r);
    ret_request->seed = take_u64(&r);
    ret_request->has_seed = take_u32(&r);
    ret_request->deadline_ns = take_u64(&r);
    enum status st = read_lists(&r, arena, ret_request);
    if (st != ST_OK) {
        return st;
    }
    ret_request->body = kernel_text(take_text(&r));
    return finish(&r);
}

enum status kernel_frame_write_asked(struct buf *out, uint16_t call,
                                     const struct kernel_asked *asked)
{
    size_t mark = 0;
    struct writer w = {out, kernel_frame_begin(out, KERNEL_FRAME_EMBED, call, &mark)};
    put_u64(&w, asked->dimensions);
    put_u64(&w, asked->deadline_ns);
    put_text(&w, asked->text);
    return end(&w, mark);
}

enum status kernel_frame_read_asked(struct str payload, struct kernel_asked *ret_asked)
{
    struct reader r = {payload, false};
    ret_asked->dimensions = take_u64(&r);
    ret_asked->deadline_ns = take_u64(&r);
    ret_asked->text = take_text(&r);
    return finish(&r);
}

enum status kernel_frame_read_vector(struct str payload, float *ret_values, size_t max,
                                     size_t *ret_width)
{
    size_t width = payload.len / sizeof *ret_values;
    if (width == 0 || width > max || payload.len % sizeof *ret_values != 0) {
        return ST_INVALID;
    }
    memcpy(ret_values, payload.ptr, payload.len);
    *ret_width = width;
    return ST_OK;
}

enum status kernel_frame_write_done(struct buf *out, uint16_t call, const struct kernel_done *done)
{
    size_t mark = 0;
    struct writer w = {out, kernel_frame_begin(out, KERNEL_FRAME_DONE, call, &mark)};
    put_u32(&w, (uint32_t)done->status);
    put_u32(&w, done->result.finish);
    put_u64(&w, (uint64_t)done->result.prompt_tokens);
    put_u64(&w, (uint64_t)done->result.completion_tokens);
    put_u32(&w, (uint32_t)done->error.http_status);
    put_u64(&w, (uint64_t)done->error.retry_after_s);
    put_text(&w, str_from(done->error.message));
    put_text(&w, str_from(done->error.code));
    put_text(&w, str_from(done->error.option));
    return end(&w, mark);
}

enum status kernel_frame_read_done(struct str payload, struct kernel_done *ret_done)
{
    struct reader r = {payload, false};
    *ret_done = (struct kernel_done){.result = {.size = sizeof ret_done->result},
                                     .error = {.size = sizeof ret_done->error}};
    uint32_t status = take_u32(&r);
    ret_done->status = status <= EK_FAILED ? (enum ek_status)status : EK_FAILED;
    ret_done->result.finish = take_u32(&r);
    ret_done->result.prompt_tokens = (int64_t)take_u64(&r);
    ret_done->result.completion_tokens = (int64_t)take_u64(&r);
    ret_done->error.http_status = (int32_t)take_u32(&r);
    ret_done->error.retry_after_s = (int64_t)take_u64(&r);
    take_chars(&r, ret_done->error.message, sizeof ret_done->error.message);
    take_chars(&r, ret_done->error.code, sizeof ret_done->error.code);
    take_chars(&r, ret_done->error.option, sizeof ret_done->error.option);
    return finish(&r);
}
