/* A kernel for tests: gives the last user message back (or a fixed text) in pieces, with delays. One
 * that fails is fault.c. */
#include <string.h>

#include "backends/kernels/kernels.h"
#include "base/mem.h"

struct ek_instance {
    char *text; /* NULL: the last user message */
    size_t text_len;
    int64_t delay_ms;
    int64_t token_delay_ms;
    int64_t words; /* per piece */
};

struct echo_options {
    struct str text;
    int64_t delay_ms;
    int64_t token_delay_ms;
    int64_t pieces;
};

#define FIELD(member) offsetof(struct echo_options, member)

static const struct key echo_rows[] = {
    {
        .name = "text",
        .type = KEY_TEXT,
        .offset = FIELD(text),
        .sentence = "a fixed answer; without it the last user message comes back",
        .example = "pong",
    },
    {
        .name = "delay_ms",
        .type = KEY_INT,
        .offset = FIELD(delay_ms),
        .min = 0,
        .max = 3600000,
        .unit = "ms",
        .fallback = "0",
        .sentence = "pause before the first piece",
    },
    {
        .name = "token_delay_ms",
        .type = KEY_INT,
        .offset = FIELD(token_delay_ms),
        .min = 0,
        .max = 3600000,
        .unit = "ms",
        .fallback = "0",
        .sentence = "pause between pieces",
    },
    {
        .name = "pieces",
        .type = KEY_INT,
        .offset = FIELD(pieces),
        .min = 1,
        .max = 1000000,
        .unit = "words",
        .fallback = "1",
        .sentence = "size of the pieces that the answer comes in",
    },
};

static const struct keys echo_keys = {
    .name = "echo",
    .size = sizeof(struct echo_options),
    .rows = echo_rows,
    .count = sizeof echo_rows / sizeof echo_rows[0],
    .sentence = "answers with the question, for tests of everything around experts",
};

static void destroy(struct ek_instance *echo)
{
    mem_free(echo->text);
    mem_free(echo);
}

static enum ek_status load_text(struct ek_instance *echo, struct str text,
                                struct ek_error *ret_error)
{
    if (text.ptr == NULL) {
        return EK_OK;
    }
    echo->text = mem_alloc(text.len);
    if (echo->text == NULL) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the text");
    }
    if (text.len > 0) {
        memcpy(echo->text, text.ptr, text.len);
    }
    echo->text_len = text.len;
    return EK_OK;
}

static enum ek_status build(const void *decoded, struct arena *arena,
                            struct ek_instance **ret_instance, struct ek_error *ret_error)
{
    const struct echo_options *options = decoded;
    (void)arena;
    struct ek_instance *echo = mem_zalloc(1, sizeof *echo);
    if (echo == NULL) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the kernel");
    }
    echo->delay_ms = options->delay_ms;
    echo->token_delay_ms = options->token_delay_ms;
    echo->words = options->pieces;
    enum ek_status status = load_text(echo, options->text, ret_error);
    if (status != EK_OK) {
        destroy(echo);
        return status;
    }
    *ret_instance = echo;
    return EK_OK;
}

static enum ek_status create(const struct ek_config *config, struct ek_instance **ret_instance,
                             struct ek_error *ret_error)
{
    return kernel_make(config, &echo_keys, build, ret_instance, ret_error);
}

/* The first `words` words of text with the blanks around them. */
static struct str first_words(struct str text, int64_t words)
{
    size_t at = 0;
    for (int64_t i = 0; i < words && at < text.len; i++) {
        while (at < text.len && text.ptr[at] == ' ') {
            at++;
        }
        while (at < text.len && text.ptr[at] != ' ') {
            at++;
        }
    }
    while (at < text.len && text.ptr[at] == ' ') {
        at++;
    }
    return str_slice(text, 0, at);
}

static bool must_stop(const struct ek_sink *sink, int64_t pause_ms)
{
    return pause_ms > 0 && sink->pause(sink->ctx, pause_ms) != 0;
}

static enum ek_status generate(struct ek_instance *echo, const struct ek_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    struct str text = echo->text != NULL ? (struct str){echo->text, echo->text_len}
                                         : kernel_last_question(request);
    enum ek_status status = must_stop(sink, echo->delay_ms) ? EK_CANCELLED : EK_OK;
    bool is_first = true;
    (void)ret_result;
    (void)ret_error;
    while (status == EK_OK && text.len > 0) {
        if (!is_first && must_stop(sink, echo->token_delay_ms)) {
            return EK_CANCELLED;
        }
        struct str piece = first_words(text, echo->words);
        status = kernel_say(sink, piece);
        text = str_slice(text, piece.len, text.len);
        is_first = false;
    }
    return status;
}

static const struct ek_info *info(void)
{
    static const struct ek_info facts = KERNEL_FACTS("echo", EK_CAP_GENERATE | EK_CAP_PARALLEL);
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

const struct kernel_builtin echo_kernel = {
    .name = "echo",
    .sentence = "gives the question back, with scripted delays, for tests",
    .keys = &echo_keys,
    .abi = &abi,
};
