/* See kernel_embed.h. */
#include "backends/kernel_embed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backends/embed_body.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json_write.h"
#include "base/mem.h"

enum {
    ARENA_BLOCK_BYTES = 16 * 1024,
    ARENA_MAX_BYTES = 64 * 1024 * 1024,
    NUMBER_BYTES = 24, /* of a float as text, comma included */
};

/* ---- numbers as JSON ---- */

/* RFC 4648, section 4, of the numbers as little-endian floats of 32 bits, which is how this machine has
 * them. */
static enum status write_base64(struct buf *out, const float *values, size_t count)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = (const unsigned char *)values;
    size_t len = count * sizeof *values;
    char *to = buf_reserve(out, (len + 2) / 3 * 4 + 2);
    size_t n = 0;
    if (to == NULL) {
        return ST_TOO_BIG;
    }
    to[n++] = '"';
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        unsigned group = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0U) |
                         (left > 2 ? bytes[i + 2] : 0U);
        to[n++] = letters[group >> 18];
        to[n++] = letters[group >> 12 & 63];
        to[n++] = left > 1 ? letters[group >> 6 & 63] : '=';
        to[n++] = left > 2 ? letters[group & 63] : '=';
    }
    to[n++] = '"';
    buf_commit(out, n);
    return ST_OK;
}

/* Nine digits tell all floats apart. */
static enum status write_numbers(struct buf *out, const float *values, size_t count)
{
    char *to = buf_reserve(out, count * NUMBER_BYTES + 2);
    size_t n = 0;
    if (to == NULL) {
        return ST_TOO_BIG;
    }
    to[n++] = '[';
    for (size_t i = 0; i < count; i++) {
        int len = snprintf(to + n, NUMBER_BYTES, "%s%.9g", i == 0 ? "" : ",", (double)values[i]);
        n += len > 0 ? (size_t)len : 0;
    }
    to[n++] = ']';
    buf_commit(out, n);
    return ST_OK;
}

static enum status write_vector(struct buf *out, size_t index, const struct ek_vectors *v,
                                bool is_base64)
{
    enum status st = buf_printf(out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":",
                                index == 0 ? "" : ",", index);
    if (st == ST_OK) {
        st = is_base64 ? write_base64(out, v->values, v->width)
                       : write_numbers(out, v->values, v->width);
    }
    return st == ST_OK ? buf_append_char(out, '}') : st;
}

static enum status write_end(struct buf *out, struct str model, int64_t tokens)
{
    enum status st = buf_append(out, STR("],\"model\":"));
    if (st == ST_OK) {
        st = json_write_text(out, model);
    }
    return st == ST_OK ? buf_printf(out,
                                    ",\"usage\":{\"prompt_tokens\":%" PRId64
                                    ",\"total_tokens\":%" PRId64 "}}",
                                    tokens, tokens)
                       : st;
}

/* ---- text by text ---- */

struct run {
    const struct kernel_embed *asked;
    struct embed_body body;
    struct arena *arena;
    struct kernel_vectors vectors;
    int64_t tokens;
};

static enum ek_status fail(struct ek_error *ret_error, enum status st)
{
    return st == ST_TOO_BIG
               ? kernel_fail(ret_error, EK_BAD_REQUEST,
                             "the vectors of so many texts are too large for one answer")
               : kernel_fail(ret_error, EK_NO_MEMORY, "the expert ran out of memory");
}

static enum ek_status refuse(struct ek_error *ret_error, const char *param, struct str message)
{
    (void)snprintf(ret_error->option, sizeof ret_error->option, "%s", param);
    return kernel_fail(ret_error, EK_BAD_REQUEST, "%.*s", STR_ARG(message));
}

/* Whether it may go on: EK_OK, EK_CANCELLED, EK_LATE. */
static enum ek_status look(const struct kernel_embed *e)
{
    if (*e->cancel != 0) {
        return EK_CANCELLED;
    }
    return e->deadline_ns > 0 && clock_now_ns() >= e->deadline_ns ? EK_LATE : EK_OK;
}

static enum ek_status embed_one(struct run *r, size_t index, struct buf *out,
                                struct ek_error *ret_error)
{
    const struct kernel_embed *e = r->asked;
    const struct embed_input *input = &r->body.inputs[index];
    struct str text;
    enum ek_status status = look(e);
    if (status != EK_OK) {
        return status;
    }
    if (input->tokens > 0) {
        return refuse(ret_error, "input",
                      STR("This model embeds texts: token numbers are another model's."));
    }
    enum status st = embed_body_text(input, r->arena, &text);
    if (st != ST_OK) {
        return fail(ret_error, st);
    }
    status = kernel_embed(e->kernel, &r->vectors, text, ret_error);
    if (status != EK_OK) {
        return status;
    }
    int64_t tokens = r->vectors.ek.tokens;
    r->tokens += tokens >= 0 ? tokens : kernel_count(e->kernel, e->thread, text);
    st = write_vector(out, index, &r->vectors.ek, r->body.is_base64);
    return st == ST_OK ? EK_OK : fail(ret_error, st);
}

static enum ek_status embed_all(struct run *r, struct buf *out, struct ek_error *ret_error)
{
    enum ek_status status = EK_OK;
    enum status st = buf_append(out, STR("{\"object\":\"list\",\"data\":["));
    for (size_t i = 0; st == ST_OK && status == EK_OK && i < r->body.count; i++) {
        status = embed_one(r, i, out, ret_error);
    }
    if (status != EK_OK) {
        return status;
    }
    if (st == ST_OK) {
        st = write_end(out, r->asked->model, r->tokens);
    }
    return st == ST_OK ? EK_OK : fail(ret_error, st);
}

static enum ek_status begin(struct run *r, struct buf *out, struct ek_error *ret_error)
{
    struct embed_fault fault;
    enum status st = embed_body_read(r->asked->body, r->arena, &r->body, &fault);
    if (st == ST_INVALID) {
        return refuse(ret_error, fault.param, fault.message);
    }
    if (st != ST_OK) {
        return fail(ret_error, st);
    }
    r->vectors.ek.dimensions = (size_t)r->body.dimensions;
    return embed_all(r, out, ret_error);
}

enum ek_status kernel_embed_answer(const struct kernel_embed *e, struct buf *out,
                                   struct ek_error *ret_error)
{
    float *values = mem_alloc(KERNEL_WIDTH_MAX * sizeof *values);
    struct run r = {
        .asked = e,
        .arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES),
        .vectors = {.ek = {.size = sizeof r.vectors.ek,
                           .values = values,
                           .capacity = KERNEL_WIDTH_MAX,
                           .deadline_ns = e->deadline_ns,
                           .cancel = e->cancel,
                           .ctx = e->ctx,
                           .pause = e->pause},
                    .thread = e->thread,
                    .cancel_fd = e->cancel_fd},
    };
    *ret_error = (struct ek_error){.size = sizeof *ret_error, .retry_after_s = -1};
    bool has_memory = values != NULL && r.arena != NULL;
    enum ek_status status = has_memory ? begin(&r, out, ret_error) : fail(ret_error, ST_NO_MEMORY);
    arena_destroy(r.arena);
    mem_free(values);
    return status;
}
