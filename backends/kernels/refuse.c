/* A kernel that refuses: for prompts that shall have no answer here. Without a code the refusal is an
 * answer, whose text stands in the message's `refusal`; with one it is an error 400 with this code. */
#include <string.h>

#include "backends/kernels/kernels.h"
#include "base/mem.h"

struct ek_instance {
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

static bool is_code(struct str code)
{
    for (size_t i = 0; i < code.len; i++) {
        char c = code.ptr[i];
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_') {
            return false;
        }
    }
    return code.len < sizeof((struct ek_error *)NULL)->code;
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
    if (o->code.len > 0 && o->message.len >= sizeof((struct ek_error *)NULL)->message) {
        return "\"message\" must have fewer than 256 bytes where there is a code";
    }
    return NULL;
}

static void destroy(struct ek_instance *instance)
{
    mem_free(instance);
}

static struct ek_instance *copy(const struct refuse_options *o)
{
    struct ek_instance *refuse = mem_alloc(sizeof *refuse + o->message.len + o->code.len);
    if (refuse == NULL) {
        return NULL;
    }
    memcpy(refuse->text, o->message.ptr, o->message.len);
    if (o->code.len > 0) {
        memcpy(refuse->text + o->message.len, o->code.ptr, o->code.len);
    }
    refuse->message = (struct str){refuse->text, o->message.len};
    refuse->code = (struct str){refuse->text + o->message.len, o->code.len};
    return refuse;
}

static enum ek_status build(const void *decoded, struct arena *arena,
                            struct ek_instance **ret_instance, struct ek_error *ret_error)
{
    const struct refuse_options *options = decoded;
    const char *why = judge(options);
    (void)arena;
    if (why != NULL) {
        return kernel_fail(ret_error, EK_BAD_CONFIG, "%s", why);
    }
    *ret_instance = copy(options);
    return *ret_instance != NULL
               ? EK_OK
               : kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the message");
}

static enum ek_status create(const struct ek_config *config, struct ek_instance **ret_instance,
                             struct ek_error *ret_error)
{
    return kernel_make(config, &refuse_keys, build, ret_instance, ret_error);
}

static enum ek_status generate(struct ek_instance *instance, const struct ek_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    (void)request;
    (void)ret_result;
    if (instance->code.len == 0) {
        return kernel_say(sink, instance->message);
    }
    memcpy(ret_error->code, instance->code.ptr, instance->code.len);
    ret_error->code[instance->code.len] = '\0';
    return kernel_fail(ret_error, EK_BAD_REQUEST, "%.*s", STR_ARG(instance->message));
}

static const struct ek_info *info(void)
{
    static const struct ek_info facts = KERNEL_FACTS(
        "refuse", EK_CAP_GENERATE | EK_CAP_DETERMINISTIC | EK_CAP_PARALLEL | EK_CAP_REFUSAL);
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

const struct kernel_builtin refuse_kernel = {
    .name = "refuse",
    .sentence = "refuses, with a reason",
    .keys = &refuse_keys,
    .abi = &abi,
};
