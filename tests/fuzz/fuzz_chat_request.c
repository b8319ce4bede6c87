/* A chat request that is accepted must be accepted again after it was rewritten, with the new model,
 * asking for usage on streams, and with everything else as it was. */
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/json_scan.h"
#include "gateway/chat_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BLOCK_BYTES = 4096,
    ARENA_BYTES = 1 << 24,
};

static void check_ranges(const struct chat_request *request)
{
    struct str body = request->body;
    const struct chat_range ranges[] = {request->model, request->usage_options,
                                        request->include_usage};
    for (size_t i = 0; i < 3; i++) {
        ASSERT(ranges[i].start <= body.len && ranges[i].len <= body.len - ranges[i].start);
        struct str value = str_slice(body, ranges[i].start, ranges[i].len);
        ASSERT(value.len == 0 || json_validate(value, NULL, NULL) == ST_OK);
    }
    ASSERT(body.ptr[request->last_brace] == '}');
}

static void check_rewritten(const struct chat_request *before, bool ask_usage, struct arena *arena)
{
    static const struct str model = {"a \"model\"", 9};
    struct chat_request after;
    struct chat_error error;
    struct str body = chat_request_rewrite(before, model, ask_usage, arena);
    ASSERT(body.ptr != NULL);
    ASSERT(chat_request_parse(body, arena, &after, &error) == ST_OK);
    ASSERT(str_eq(after.prompt.model, model));
    ASSERT(after.is_stream == before->is_stream);
    ASSERT(after.wants_usage == (before->wants_usage || (ask_usage && before->is_stream)));
    ASSERT(after.prompt.needs == before->prompt.needs);
    ASSERT(after.prompt.max_tokens == before->prompt.max_tokens);
    ASSERT(after.prompt.text_bytes == before->prompt.text_bytes);
    ASSERT(after.prompt.session.key == before->prompt.session.key);
    ASSERT(after.prompt.session.is_tool_open == before->prompt.session.is_tool_open);
    ASSERT(after.prompt.talk.count == before->prompt.talk.count);
    for (size_t i = 0; i < after.prompt.talk.count; i++) {
        ASSERT(str_eq(after.prompt.talk.turns[i].user, before->prompt.talk.turns[i].user));
        ASSERT(str_eq(after.prompt.talk.turns[i].reply, before->prompt.talk.turns[i].reply));
    }
    if (!ask_usage) { /* all bytes but the model's */
        struct str old = before->body;
        struct chat_range at = before->model;
        ASSERT(str_eq(str_slice(body, 0, at.start), str_slice(old, 0, at.start)));
        ASSERT(str_eq(str_slice(body, after.model.start + after.model.len, body.len),
                      str_slice(old, at.start + at.len, old.len)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = {(const char *)data, size};
    struct chat_request request;
    struct chat_error error;
    struct arena *arena = arena_create(BLOCK_BYTES, ARENA_BYTES);
    ASSERT(arena != NULL);
    enum status st = chat_request_parse(body, arena, &request, &error);
    if (st == ST_OK) {
        ASSERT(json_validate(body, NULL, NULL) == ST_OK);
        check_ranges(&request);
        check_rewritten(&request, true, arena);
        check_rewritten(&request, false, arena);
    } else {
        ASSERT(st == ST_INVALID && error.message.len > 0);
    }
    arena_destroy(arena);
    return 0;
}
