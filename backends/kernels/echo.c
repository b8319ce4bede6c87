/* A kernel for tests: gives the last user message back (or a fixed text) in pieces, with scripted
 * delays and faults. The faults are used up one per request, in the order in which requests start;
 * the last one stays. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "backends/kernels/echo_fault.h"
#include "backends/kernels/kernels.h"
#include "base/mem.h"

struct ek_instance {
    char *text; /* NULL: the last user message */
    size_t text_len;
    int64_t delay_ms;
    int64_t token_delay_ms;
    int64_t words; /* per piece */
    struct echo_fault *faults;
    size_t fault_count;
    _Atomic size_t requests; /* started so far; written by every generate */
};

struct echo_options {
    struct str text;
    int64_t delay_ms;
    int64_t token_delay_ms;
    int64_t pieces;
    struct key_texts faults;
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
    {
        .name = "faults",
        .type = KEY_TEXT_LIST,
        .offset = FIELD(faults),
        .sentence =
            "what goes wrong, one per request, the last one for all that follow: ok, a status "
            "as in 429@retry=2, cut@3 (pieces), stall@5s",
        .example = "[429@retry=2, 500, cut@3, stall@5s, ok]",
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
    mem_free(echo->faults);
    mem_free(echo);
}

static enum ek_status load_faults(struct ek_instance *echo, const struct key_texts *texts,
                                  struct ek_error *ret_error)
{
    if (texts->count == 0) {
        return EK_OK;
    }
    echo->faults = mem_zalloc(texts->count, sizeof *echo->faults);
    if (echo->faults == NULL) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the faults");
    }
    echo->fault_count = texts->count;
    for (size_t i = 0; i < texts->count; i++) {
        const char *why = NULL;
        if (echo_fault_parse(texts->items[i], &echo->faults[i], &why) != ST_OK) {
            (void)snprintf(ret_error->option, sizeof ret_error->option, "faults[%zu]", i);
            return kernel_fail(ret_error, EK_BAD_CONFIG, "fault \"%.*s\" is not known: %s",
                               STR_ARG(texts->items[i]), why);
        }
    }
    return EK_OK;
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

static enum ek_status build(const struct echo_options *options, struct ek_instance **ret_instance,
                            struct ek_error *ret_error)
{
    struct ek_instance *echo = mem_zalloc(1, sizeof *echo);
    if (echo == NULL) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the kernel");
    }
    echo->delay_ms = options->delay_ms;
    echo->token_delay_ms = options->token_delay_ms;
    echo->words = options->pieces;
    enum ek_status status = load_text(echo, options->text, ret_error);
    status = status == EK_OK ? load_faults(echo, &options->faults, ret_error) : status;
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
    struct echo_options options;
    struct arena *arena = kernel_arena(ret_error);
    if (arena == NULL) {
        return EK_NO_MEMORY;
    }
    enum ek_status status = kernel_decode(config, &echo_keys, arena, &options, ret_error);
    status = status == EK_OK ? build(&options, ret_instance, ret_error) : status;
    arena_destroy(arena);
    return status;
}

static struct echo_fault next_fault(struct ek_instance *echo)
{
    size_t request = atomic_fetch_add(&echo->requests, 1);
    if (echo->fault_count == 0) {
        return (struct echo_fault){.kind = ECHO_FAULT_NONE, .retry_after_s = -1};
    }
    return echo->faults[request < echo->fault_count ? request : echo->fault_count - 1];
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

/* Sends the text; stops after `pieces_max` pieces (-1: all). *ret_is_cut says that it did. */
static enum ek_status send(const struct ek_instance *echo, struct str text, int64_t pieces_max,
                           const struct ek_sink *sink, bool *ret_is_cut)
{
    enum ek_status status = EK_OK;
    int64_t sent = 0;
    while (status == EK_OK && text.len > 0 && sent != pieces_max) {
        if (sent > 0 && must_stop(sink, echo->token_delay_ms)) {
            return EK_CANCELLED;
        }
        struct str piece = first_words(text, echo->words);
        status = kernel_say(sink, piece);
        text = str_slice(text, piece.len, text.len);
        sent++;
    }
    *ret_is_cut = sent == pieces_max;
    return status;
}

static enum ek_status generate(struct ek_instance *echo, const struct ek_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    struct echo_fault fault = next_fault(echo);
    int64_t stall_ms = fault.kind == ECHO_FAULT_STALL ? fault.stall_ms : 0;
    if (must_stop(sink, echo->delay_ms + stall_ms)) {
        return EK_CANCELLED;
    }
    if (fault.kind == ECHO_FAULT_STATUS) {
        ret_error->http_status = fault.http_status;
        ret_error->retry_after_s = fault.retry_after_s;
        return kernel_fail(ret_error, EK_FAILED, "scripted fault");
    }
    struct str text = echo->text != NULL ? (struct str){echo->text, echo->text_len}
                                         : kernel_last_question(request);
    bool is_cut = false;
    int64_t pieces_max = fault.kind == ECHO_FAULT_CUT ? fault.pieces : -1;
    enum ek_status status = send(echo, text, pieces_max, sink, &is_cut);
    ret_result->finish = is_cut && status == EK_OK ? EK_FINISH_CUT : EK_FINISH_STOP;
    return status;
}

static const struct ek_info *info(void)
{
    static const struct ek_info facts = {
        .size = sizeof facts,
        .capabilities = EK_CAP_GENERATE | EK_CAP_PARALLEL,
        .name = STR_INIT("echo"),
        .version = STR_INIT("1"),
        .license = STR_INIT("Apache-2.0"),
    };
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
    .sentence = "gives the question back, with scripted delays and faults, for tests",
    .keys = &echo_keys,
    .abi = &abi,
};
