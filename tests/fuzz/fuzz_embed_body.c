/* A body that is taken is valid JSON, its inputs lie in it and are what they say, and it is taken again
 * once its model was replaced. */
#include <stdint.h>
#include <string.h>

#include "backends/embed_body.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BLOCK_BYTES = 4096,
    ARENA_BYTES = 1 << 24,
};

static size_t items(struct str array)
{
    struct json_reader r;
    size_t count = 0;
    json_reader_init(&r, array);
    (void)json_open(&r, JSON_ARRAY);
    while (json_next_item(&r)) {
        (void)json_take(&r, NULL);
        count++;
    }
    ASSERT(json_close(&r) == ST_OK);
    return count;
}

static void check_inputs(struct str body, const struct embed_body *read, struct arena *arena)
{
    ASSERT(read->count >= 1 && read->count <= EMBED_INPUTS_MAX);
    for (size_t i = 0; i < read->count; i++) {
        const struct embed_input *in = &read->inputs[i];
        struct str text = STR("");
        ASSERT(in->raw.ptr >= body.ptr && in->raw.ptr + in->raw.len <= body.ptr + body.len);
        ASSERT(json_validate(in->raw, NULL, NULL) == ST_OK);
        ASSERT(in->raw.ptr[0] == (in->tokens > 0 ? '[' : '"'));
        ASSERT(in->tokens == 0 || items(in->raw) == in->tokens);
        ASSERT(in->tokens > 0 || (embed_body_text(in, arena, &text) == ST_OK && text.len > 0));
    }
}

static void check_replaced(struct str body, const struct embed_body *before, struct arena *arena)
{
    struct embed_body after;
    struct embed_fault fault;
    size_t at = (size_t)(before->raw_model.ptr - body.ptr);
    struct str head = str_slice(body, 0, at);
    struct str tail = str_slice(body, at + before->raw_model.len, body.len);
    char *text = arena_alloc(arena, head.len + tail.len + 8);
    ASSERT(text != NULL);
    memcpy(text, head.ptr, head.len);
    memcpy(text + head.len, "\"other\"", 7);
    memcpy(text + head.len + 7, tail.ptr, tail.len);
    struct str replaced = {text, head.len + 7 + tail.len};
    ASSERT(embed_body_read(replaced, arena, &after, &fault) == ST_OK);
    ASSERT(str_eq(after.model, STR("other")) && after.count == before->count);
    ASSERT(after.dimensions == before->dimensions && after.is_base64 == before->is_base64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = {(const char *)data, size};
    struct embed_body read;
    struct embed_fault fault;
    struct arena *arena = arena_create(BLOCK_BYTES, ARENA_BYTES);
    ASSERT(arena != NULL);
    enum status st = embed_body_read(body, arena, &read, &fault);
    if (st == ST_OK) {
        ASSERT(json_validate(body, NULL, NULL) == ST_OK);
        check_inputs(body, &read, arena);
        check_replaced(body, &read, arena);
    } else {
        ASSERT(st == ST_INVALID && fault.message.len > 0 && fault.param != NULL);
    }
    arena_destroy(arena);
    return 0;
}
