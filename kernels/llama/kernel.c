/* A kernel over libllama, llama.cpp's library: all that it can load becomes an expert. A shared object
 * for `kernel: {file: …}`; docs/local-experts.md says how to build it. This file joins the parts to the
 * kernels' interface. */
#include "backends/kernel.h"

#include <stdio.h>
#include <sys/stat.h>

#include "backends/kernels/tinylm/dialogue.h"
#include "base/arena.h"
#include "base/mem.h"
#include "kernels/llama/answer.h"
#include "kernels/llama/engine.h"
#include "kernels/llama/prompt.h"
#include "kernels/llama/settings.h"
#include "kernels/llama/vector.h"

struct ek_instance {
    struct arena *arena; /* owns the texts of the settings */
    struct settings settings;
    struct engine engine;
    struct prompt_style style;
};

static const struct ek_host *host; /* set once, by the entry function */

static void destroy(struct ek_instance *k)
{
    engine_close(&k->engine);
    arena_destroy(k->arena);
    mem_free(k);
}

static enum ek_status open_all(struct ek_instance *k, const struct ek_config *config,
                               struct ek_error *ret_error)
{
    enum ek_status status = settings_read(config, k->arena, &k->settings, ret_error);
    if (status == EK_OK) {
        status = engine_open(&k->engine, host, &k->settings, ret_error);
    }
    if (status == EK_OK) {
        status = prompt_choose(&k->engine, k->settings.template_name, &k->style, ret_error);
    }
    if (status == EK_OK && k->style.template != NULL) {
        struct str text = str_from(k->style.template); /* libllama leaves out what it says there */
        k->style.default_system = dialogue_default_system(dialogue_recognise(text), text);
    }
    return status;
}

static enum ek_status create(const struct ek_config *config, struct ek_instance **ret_instance,
                             struct ek_error *ret_error)
{
    struct ek_instance *k = mem_zalloc(1, sizeof *k);
    if (k == NULL) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the model");
    }
    k->arena = kernel_arena(ret_error);
    enum ek_status status = k->arena == NULL ? EK_NO_MEMORY : open_all(k, config, ret_error);
    if (status != EK_OK) {
        destroy(k);
        return status;
    }
    *ret_instance = k;
    return EK_OK;
}

/* What the file says by its size alone: libllama can tell more only once it has loaded it. */
static enum ek_status estimate(const struct ek_config *config, struct ek_cost *ret_cost,
                               struct ek_error *ret_error)
{
    struct settings settings;
    struct stat s;
    struct arena *arena = kernel_arena(ret_error);
    if (arena == NULL) {
        return EK_NO_MEMORY;
    }
    enum ek_status status = settings_read(config, arena, &settings, ret_error);
    if (status == EK_OK && stat(settings.model_path, &s) != 0) {
        (void)snprintf(ret_error->option, sizeof ret_error->option, "model");
        status =
            kernel_fail(ret_error, EK_BAD_CONFIG, "\"%s\" cannot be read", settings.model_path);
    }
    if (status == EK_OK) {
        ret_cost->shared_bytes = (uint64_t)s.st_size;
        ret_cost->context_tokens = (uint64_t)settings.context;
    }
    arena_destroy(arena);
    return status;
}

/* Reads one token: a model that is broken inside shows it here and not in the first answer. */
static enum ek_status self_test(struct ek_instance *k, struct ek_error *ret_error)
{
    const int32_t first = 0;
    enum ek_status status = engine_feed(&k->engine, &first, 1, ret_error);
    (void)engine_keep(&k->engine, &first, 1);
    return status;
}

static enum ek_status generate(struct ek_instance *k, const struct ek_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    struct prompt prompt;
    enum ek_status status = prompt_write(&k->engine, &k->style, request, &prompt, ret_error);
    if (status != EK_OK) {
        return status;
    }
    k->engine.request = request;
    status = answer_write(&k->engine, &k->settings, &prompt, sink, ret_result, ret_error);
    k->engine.request = NULL;
    prompt_fini(&prompt);
    return status;
}

static enum ek_status embed(struct ek_instance *k, const struct ek_text *texts, size_t count,
                            struct ek_vectors *ret_vectors, struct ek_error *ret_error)
{
    (void)count; /* one: as the host promises */
    return vector_make(&k->engine, texts[0], ret_vectors, ret_error);
}

static enum ek_status count(struct ek_instance *k, struct ek_text text, uint64_t *ret_tokens)
{
    return prompt_count(&k->engine, text, ret_tokens);
}

static const struct ek_info *info(void)
{
    static struct ek_info facts = {
        .size = sizeof facts,
        .capabilities = EK_CAP_GENERATE | EK_CAP_EMBED | EK_CAP_COUNT | EK_CAP_DETERMINISTIC,
        .name = STR_INIT("llama"),
        .license = STR_INIT("Apache-2.0; libllama: MIT"),
    };
    facts.version = kernel_text(str_from(engine_version()));
    return &facts;
}

EK_EXPORT const struct ek_kernel *ek_kernel_entry(const struct ek_host *lent);

EK_EXPORT const struct ek_kernel *ek_kernel_entry(const struct ek_host *lent)
{
    static const struct ek_kernel abi = {
        .size = sizeof abi,
        .abi_major = EK_ABI_MAJOR,
        .abi_minor = EK_ABI_MINOR,
        .info = info,
        .estimate = estimate,
        .create = create,
        .destroy = destroy,
        .generate = generate,
        .embed = embed,
        .count = count,
        .self_test = self_test,
    };
    host = lent;
    return lent->abi_major == EK_ABI_MAJOR ? &abi : NULL;
}
