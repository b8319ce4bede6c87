/* A kernel that always gives the same answer: for answers that need no model ("closed until Monday")
 * and as the last fallback of a mapping. */
#include <string.h>

#include "backends/kernels/kernels.h"
#include "base/mem.h"

struct constant {
    struct kernel base;
    char *text;
    size_t len;
};

struct constant_options {
    struct str text;
};

static const struct key constant_rows[] = {
    {
        .name = "text",
        .type = KEY_TEXT,
        .offset = offsetof(struct constant_options, text),
        .is_required = true,
        .sentence = "the answer, whatever is asked",
        .example = "We are closed until Monday.",
    },
};

static const struct keys constant_keys = {
    .name = "constant",
    .size = sizeof(struct constant_options),
    .rows = constant_rows,
    .count = sizeof constant_rows / sizeof constant_rows[0],
    .sentence = "a fixed answer",
};

static void destroy(struct kernel *kernel)
{
    struct constant *constant = (struct constant *)kernel;
    mem_free(constant->text);
    mem_free(constant);
}

static enum status create(struct key_reader *reader, const struct yaml_node *options,
                          struct kernel **ret_kernel)
{
    struct constant_options decoded;
    enum status st = keys_decode(&constant_keys, reader, options, &decoded);
    if (st != ST_OK) {
        return st;
    }
    struct constant *constant = mem_zalloc(1, sizeof *constant);
    if (constant == NULL) {
        return ST_NO_MEMORY;
    }
    kernel_init(&constant->base, &constant_kernel_type);
    constant->text = mem_alloc(decoded.text.len);
    if (constant->text == NULL) {
        destroy(&constant->base);
        return ST_NO_MEMORY;
    }
    if (decoded.text.len > 0) {
        memcpy(constant->text, decoded.text.ptr, decoded.text.len);
    }
    constant->len = decoded.text.len;
    *ret_kernel = &constant->base;
    return ST_OK;
}

static void generate(struct kernel *kernel, const struct kernel_prompt *prompt,
                     const struct kernel_sink *sink, struct kernel_result *ret_result)
{
    (void)prompt;
    const struct constant *constant = (const struct constant *)kernel;
    enum status st = sink->text(sink->ctx, (struct str){constant->text, constant->len});
    kernel_finish(ret_result, st);
}

const struct kernel_type constant_kernel_type = {
    .name = "constant",
    .sentence = "gives one fixed answer",
    .keys = &constant_keys,
    .create = create,
    .destroy = destroy,
    .generate = generate,
};
