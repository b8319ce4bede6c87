/* A kernel that refuses: for prompts that shall have no answer here. Without a code the refusal is an
 * answer, whose text stands in the message's `refusal`; with one it is an error 400 with this code. */
#include <string.h>

#include "backends/kernels/kernels.h"
#include "base/mem.h"

struct refuse {
    struct kernel base;
    struct str code; /* both in text */
    struct str message;
    char text[];
};

struct refuse_options {
    struct str message;
    struct str code;
};

static const struct key refuse_rows[] = {
    {
        .name = "message",
        .type = KEY_TEXT,
        .offset = offsetof(struct refuse_options, message),
        .is_required = true,
        .sentence = "why, for whoever asked",
        .example = "Legal advice is not given here.",
    },
    {
        .name = "code",
        .type = KEY_TEXT,
        .offset = offsetof(struct refuse_options, code),
        .sentence =
            "absent: an answer that is marked as a refusal; given: an error 400 with this code",
        .example = "legal_advice",
    },
};

static const struct keys refuse_keys = {
    .name = "refuse",
    .size = sizeof(struct refuse_options),
    .rows = refuse_rows,
    .count = sizeof refuse_rows / sizeof refuse_rows[0],
    .sentence = "a refusal",
};

static void destroy(struct kernel *kernel)
{
    mem_free(kernel);
}

static bool is_code(struct str code)
{
    for (size_t i = 0; i < code.len; i++) {
        char c = code.ptr[i];
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_') {
            return false;
        }
    }
    return code.len < sizeof((struct kernel_result *)NULL)->code;
}

/* Says what is wrong, or NULL. */
static const char *judge(const struct refuse_options *o)
{
    if (o->message.len == 0) {
        return "\"message\" must not be empty";
    }
    if (!is_code(o->code)) {
        return "\"code\" must be up to 63 lower-case letters, digits and \"_\"";
    }
    if (o->code.len > 0 && o->message.len >= sizeof((struct kernel_result *)NULL)->message) {
        return "\"message\" must have fewer than 256 bytes where there is a code";
    }
    return NULL;
}

static enum status create(struct key_reader *reader, const struct yaml_node *options,
                          struct kernel **ret_kernel)
{
    struct refuse_options o;
    enum status st = keys_decode(&refuse_keys, reader, options, &o);
    if (st != ST_OK) {
        return st;
    }
    const char *why = judge(&o);
    if (why != NULL) {
        diags_add(reader->diags, DIAG_ERROR, options->file, options->pos, "%s", why);
        return ST_INVALID;
    }
    struct refuse *refuse = mem_zalloc(1, sizeof *refuse + o.message.len + o.code.len);
    if (refuse == NULL) {
        return ST_NO_MEMORY;
    }
    kernel_init(&refuse->base, &refuse_kernel_type);
    memcpy(refuse->text, o.message.ptr, o.message.len);
    if (o.code.len > 0) {
        memcpy(refuse->text + o.message.len, o.code.ptr, o.code.len);
    }
    refuse->message = (struct str){refuse->text, o.message.len};
    refuse->code = (struct str){refuse->text + o.message.len, o.code.len};
    *ret_kernel = &refuse->base;
    return ST_OK;
}

static void generate(struct kernel *kernel, const struct kernel_prompt *prompt,
                     const struct kernel_sink *sink, struct kernel_result *ret_result)
{
    (void)prompt;
    const struct refuse *refuse = (const struct refuse *)kernel;
    if (refuse->code.len == 0) {
        kernel_finish(ret_result, sink->text(sink->ctx, refuse->message));
        return;
    }
    kernel_fail(ret_result, 400, "");
    memcpy(ret_result->message, refuse->message.ptr, refuse->message.len);
    ret_result->message[refuse->message.len] = '\0';
    memcpy(ret_result->code, refuse->code.ptr, refuse->code.len);
    ret_result->code[refuse->code.len] = '\0';
}

const struct kernel_type refuse_kernel_type = {
    .name = "refuse",
    .sentence = "refuses, with a reason",
    .keys = &refuse_keys,
    .is_refusal = true,
    .create = create,
    .destroy = destroy,
    .generate = generate,
};
