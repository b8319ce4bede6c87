/* An expert that fails by a script, for tests of everything that must cope with it: entry after entry,
 * one per request in the order in which they start, and from the beginning again. A healthy answer
 * counts: "1 2 3 ...". */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "backends/kernels/fault_script.h"
#include "backends/kernels/kernels.h"
#include "base/mem.h"

struct ek_instance {
    int64_t pieces; /* of an answer */
    int64_t pause_ms;
    _Atomic size_t requests; /* started so far; written by every generate */
    size_t count;
    struct fault script[];
};

struct fault_options {
    struct key_texts script;
    int64_t pieces;
    int64_t pause_ms;
};

#define FIELD(member) offsetof(struct fault_options, member)

static const struct key fault_rows[] = {
    {
        .name = "script",
        .type = KEY_TEXT_LIST,
        .offset = FIELD(script),
        .is_required = true,
        .sentence =
            "what each request gets in turn, from the beginning again at the end; fault: [...] "
            "is short for it. ok, a status as in 429@retry=2, context_length, content_filter, "
            "slow_first@2s, stall@5s, cut@3 (pieces), reset, no_done, malformed, "
            "malformed@3",
        .example = "[429@retry=2, 500, cut@40, stall@5s, slow_first@2s, reset, no_done, ok]",
    },
    {
        .name = "pieces",
        .type = KEY_INT,
        .offset = FIELD(pieces),
        .min = 1,
        .max = 1000000,
        .fallback = "50",
        .sentence = "how many pieces an answer has: \"1 2 3 ...\"",
    },
    {
        .name = "token_delay_ms",
        .type = KEY_INT,
        .offset = FIELD(pause_ms),
        .min = 0,
        .max = 3600000,
        .unit = "ms",
        .fallback = "0",
        .sentence = "pause between pieces",
    },
};

static const struct keys fault_keys = {
    .name = "fault",
    .size = sizeof(struct fault_options),
    .rows = fault_rows,
    .count = sizeof fault_rows / sizeof fault_rows[0],
    .sentence = "fails by a script, for tests of everything around experts",
};

static void destroy(struct ek_instance *instance)
{
    mem_free(instance);
}

static enum ek_status read_script(struct ek_instance *f, const struct key_texts *texts,
                                  struct ek_error *ret_error)
{
    for (size_t i = 0; i < texts->count; i++) {
        const char *why = NULL;
        if (fault_script_parse(texts->items[i], &f->script[i], &why) != ST_OK) {
            (void)snprintf(ret_error->option, sizeof ret_error->option, "script[%zu]", i);
            return kernel_fail(ret_error, EK_BAD_CONFIG, "fault \"%.*s\" is not known: %s",
                               STR_ARG(texts->items[i]), why);
        }
    }
    return texts->count > 0 ? EK_OK
                            : kernel_fail(ret_error, EK_BAD_CONFIG, "the script must not be empty");
}

static enum ek_status build(const void *decoded, struct arena *arena,
                            struct ek_instance **ret_instance, struct ek_error *ret_error)
{
    const struct fault_options *options = decoded;
    (void)arena;
    size_t bytes = options->script.count * sizeof(struct fault);
    struct ek_instance *f = mem_zalloc(1, sizeof *f + bytes);
    if (f == NULL) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the script");
    }
    f->pieces = options->pieces;
    f->pause_ms = options->pause_ms;
    f->count = options->script.count;
    enum ek_status status = read_script(f, &options->script, ret_error);
    if (status != EK_OK) {
        destroy(f);
        return status;
    }
    *ret_instance = f;
    return EK_OK;
}

static enum ek_status create(const struct ek_config *config, struct ek_instance **ret_instance,
                             struct ek_error *ret_error)
{
    return kernel_make(config, &fault_keys, build, ret_instance, ret_error);
}

static bool must_stop(const struct ek_sink *sink, int64_t pause_ms)
{
    return pause_ms > 0 && sink->pause(sink->ctx, pause_ms) != 0;
}

/* Says the numbers from `from` up to `to`. */
static enum ek_status count_up(const struct ek_instance *f, int64_t from, int64_t to,
                               const struct ek_sink *sink)
{
    enum ek_status status = EK_OK;
    for (int64_t i = from; i <= to && status == EK_OK; i++) {
        char piece[32];
        int len = snprintf(piece, sizeof piece, i == 1 ? "%" PRId64 : " %" PRId64, i);
        status = i > 1 && must_stop(sink, f->pause_ms)
                     ? EK_CANCELLED
                     : kernel_say(sink, (struct str){piece, (size_t)len});
    }
    return status;
}

/* The answer of a fault that has one. *ret_finish is how it ends. */
static enum ek_status answer(const struct ek_instance *f, const struct fault *fault,
                             const struct ek_sink *sink, uint32_t *ret_finish)
{
    static const uint32_t finishes[] = {
        [FAULT_NONE] = EK_FINISH_STOP,
        [FAULT_CONTENT_FILTER] = EK_FINISH_FILTER,
        [FAULT_CUT] = EK_FINISH_CUT,
        [FAULT_RESET] = EK_FINISH_CUT,
        [FAULT_NO_DONE] = KERNEL_FINISH_NO_DONE,
        [FAULT_MALFORMED] = KERNEL_FINISH_MALFORMED,
    };
    bool is_short = fault->kind == FAULT_CONTENT_FILTER || fault->kind == FAULT_STALL;
    bool is_cut = fault->kind == FAULT_CUT || fault->kind == FAULT_RESET ||
                  fault->kind == FAULT_MALFORMED; /* the last two at 0, unless said */
    int64_t pieces = is_short ? 1 : is_cut ? fault->pieces : f->pieces;
    *ret_finish = finishes[fault->kind];
    enum ek_status status = count_up(f, 1, pieces, sink);
    if (status == EK_OK && fault->kind == FAULT_STALL) {
        status = must_stop(sink, fault->pause_ms) ? EK_CANCELLED : count_up(f, 2, f->pieces, sink);
    }
    return status;
}

static enum ek_status generate(struct ek_instance *f, const struct ek_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    const struct fault *fault = &f->script[atomic_fetch_add(&f->requests, 1) % f->count];
    (void)request;
    if (fault->kind == FAULT_STATUS) {
        ret_error->http_status = fault->http_status;
        ret_error->retry_after_s = fault->retry_after_s;
        return kernel_fail(ret_error, EK_FAILED, "scripted fault");
    }
    if (fault->kind == FAULT_CONTEXT_LENGTH) {
        return kernel_fail(ret_error, EK_TOO_LONG, "scripted fault: longer than the context");
    }
    if (fault->kind == FAULT_SLOW_FIRST && must_stop(sink, fault->pause_ms)) {
        return EK_CANCELLED;
    }
    return answer(f, fault, sink, &ret_result->finish);
}

static const struct ek_info *info(void)
{
    static const struct ek_info facts = KERNEL_FACTS("fault", EK_CAP_GENERATE | EK_CAP_PARALLEL);
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

const struct kernel_builtin fault_kernel = {
    .name = "fault",
    .sentence = "fails by a script, for tests",
    .keys = &fault_keys,
    .abi = &abi,
    .list_key = "script",
};
