/* A kernel that always gives the same answer: for answers that need no model ("closed until Monday")
 * and as the last fallback of a mapping. */
#include <string.h>

#include "backends/kernels/kernels.h"
#include "base/mem.h"

struct ek_instance {
    size_t len;
    char text[];
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

static void destroy(struct ek_instance *instance)
{
    mem_free(instance);
}

static enum ek_status build(const void *decoded, struct arena *arena,
                            struct ek_instance **ret_instance, struct ek_error *ret_error)
{
    const struct constant_options *options = decoded;
    struct ek_instance *constant = mem_alloc(sizeof *constant + options->text.len);
    (void)arena;
    if (constant == NULL) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the text");
    }
    constant->len = options->text.len;
    if (options->text.len > 0) {
        memcpy(constant->text, options->text.ptr, options->text.len);
    }
    *ret_instance = constant;
    return EK_OK;
}

static enum ek_status create(const struct ek_config *config, struct ek_instance **ret_instance,
                             struct ek_error *ret_error)
{
    return kernel_make(config, &constant_keys, build, ret_instance, ret_error);
}

static enum ek_status generate(struct ek_instance *instance, const struct ek_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    (void)request;
    (void)ret_result;
    (void)ret_error;
    return kernel_say(sink, (struct str){instance->text, instance->len});
}

static const struct ek_info *info(void)
{
    static const struct ek_info facts =
        KERNEL_FACTS("constant", EK_CAP_GENERATE | EK_CAP_DETERMINISTIC | EK_CAP_PARALLEL);
    return &facts;
}

static const struct ek_kernel abi = {
    .size = sizeof abi,
    .abi_major = EK_ABI_MAJOR,
    .abi_minor = EK_ABI_MINOR,
    .info = info,
    .create = create,
    .destroy = destroy,
    .generate = generate,
};

const struct kernel_builtin constant_kernel = {
    .name = "constant",
    .sentence = "gives one fixed answer",
    .keys = &constant_keys,
    .abi = &abi,
};
