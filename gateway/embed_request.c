/* See embed_request.h. The reading itself is backends/embed_body.c's, which kernels use too. */
#include "gateway/embed_request.h"

#include "backends/embed_body.h"
#include "policies/policy.h"

static int64_t bytes_of(const struct embed_input *input)
{
    return input->tokens > 0 ? (int64_t)input->tokens * PROMPT_BYTES_PER_TOKEN
                             : (int64_t)input->raw.len;
}

/* The texts as the router looks at them. */
static enum status list_texts(const struct embed_body *body, struct arena *arena,
                              struct prompt *prompt)
{
    struct prompt_inputs *inputs = &prompt->inputs;
    size_t room = body->count < PROMPT_INPUTS_MAX ? body->count : PROMPT_INPUTS_MAX;
    inputs->texts = arena_alloc(arena, room * sizeof *inputs->texts);
    if (inputs->texts == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < body->count; i++) {
        const struct embed_input *input = &body->inputs[i];
        int64_t bytes = bytes_of(input);
        prompt->text_bytes += bytes;
        inputs->longest_bytes = bytes > inputs->longest_bytes ? bytes : inputs->longest_bytes;
        if (input->tokens > 0 || inputs->count == room) {
            inputs->is_opaque = true;
            continue;
        }
        enum status st = embed_body_text(input, arena, &inputs->texts[inputs->count++]);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

enum status embed_request_parse(struct str body, struct arena *arena,
                                struct chat_request *ret_request, struct chat_error *ret_error)
{
    struct embed_body read;
    struct embed_fault fault;
    *ret_request = (struct chat_request){.body = body};
    enum status st = embed_body_read(body, arena, &read, &fault);
    if (st == ST_INVALID) {
        *ret_error = (struct chat_error){fault.is_json      ? PROBLEM_BAD_JSON
                                         : fault.is_missing ? PROBLEM_MISSING_PARAM
                                                            : PROBLEM_BAD_PARAM,
                                         fault.message, str_from(fault.param)};
    }
    if (st != ST_OK) {
        return st;
    }
    ret_request->model =
        (struct chat_range){(size_t)(read.raw_model.ptr - body.ptr), read.raw_model.len};
    ret_request->inputs = read.count;
    ret_request->prompt.model = read.model;
    ret_request->prompt.needs = POLICY_EMBED;
    return list_texts(&read, arena, &ret_request->prompt);
}
