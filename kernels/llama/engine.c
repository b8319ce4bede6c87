/* See engine.h. Everything that libllama is asked to load or to compute passes here. */
#include "kernels/llama/engine.h"

#include <dlfcn.h>
#include <llama.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "backends/kernel.h"
#include "base/mem.h"

enum {
    PATH_BYTES = 4096,
};

static pthread_once_t started = PTHREAD_ONCE_INIT;
static const struct ek_host *log_host; /* written once, before the library speaks */

const char *engine_version(void)
{
    return HEADERS_VERSION;
}

/* ---- the library ---- */

static void on_log(enum ggml_log_level level, const char *text, void *ctx)
{
    (void)ctx;
    size_t len = strlen(text);
    if (level == GGML_LOG_LEVEL_ERROR || level == GGML_LOG_LEVEL_WARN) {
        log_host->log((struct ek_text){text, len > 0 && text[len - 1] == '\n' ? len - 1 : len});
    }
}

/* The code for this machine's CPU lies in libraries beside libllama. */
static void start_library(void)
{
    Dl_info where;
    char folder[PATH_BYTES];

    union { /* ISO C does not convert functions to object pointers; POSIX has them alike */
        const char *(*call)(void);
        void *object;
    } symbol = {.call = llama_version};

    llama_log_set(on_log, NULL);
    if (dladdr(symbol.object, &where) != 0 && strlen(where.dli_fname) < sizeof folder) {
        memcpy(folder, where.dli_fname, strlen(where.dli_fname) + 1);
        char *slash = strrchr(folder, '/');
        if (slash != NULL) {
            *slash = '\0';
            ggml_backend_load_all_from_path(folder);
        }
    }
    llama_backend_init();
}

/* "0.5.0" is the version of "0.5.0" and of "0.5.0-dev". */
static bool is_our_version(const char *version)
{
    size_t len = strlen(HEADERS_VERSION);
    return strncmp(version, HEADERS_VERSION, len) == 0 &&
           (version[len] == '\0' || version[len] == '-');
}

/* ---- open and close ---- */

static bool must_abort(void *ctx)
{
    return engine_is_wanted(ctx) != EK_OK;
}

static enum ek_status load_model(struct engine *e, const char *path, struct ek_error *ret_error)
{
    struct llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = 0;
    e->model = llama_model_load_from_file(path, params);
    if (e->model == NULL) {
        (void)snprintf(ret_error->option, sizeof ret_error->option, "model");
        return kernel_fail(ret_error, EK_BAD_CONFIG, "libllama cannot load \"%s\"", path);
    }
    e->vocab = llama_model_get_vocab(e->model);
    if (!llama_model_has_decoder(e->model) || llama_model_has_encoder(e->model)) {
        return kernel_fail(ret_error, EK_BAD_CONFIG, "\"%s\" is no model that writes text", path);
    }
    return EK_OK;
}

static void measure_tokens(struct engine *e)
{
    int32_t count = llama_vocab_n_tokens(e->vocab);
    e->longest_token = 1;
    for (int32_t i = 0; i < count; i++) {
        const char *text = llama_vocab_get_text(e->vocab, i);
        size_t len = text == NULL ? 0 : strlen(text);
        e->longest_token = len > e->longest_token ? len : e->longest_token;
    }
}

static enum ek_status make_context(struct engine *e, int64_t wanted, int32_t threads,
                                   struct ek_error *ret_error)
{
    int32_t trained = llama_model_n_ctx_train(e->model);
    int64_t most = trained > 0 ? trained : wanted;
    e->context = (size_t)(wanted == 0 || wanted > most ? most : wanted);
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t)e->context;
    params.n_batch = ENGINE_BATCH_TOKENS;
    params.n_ubatch = ENGINE_BATCH_TOKENS;
    params.n_seq_max = 1;
    params.n_threads = threads;
    params.n_threads_batch = threads;
    params.abort_callback = must_abort;
    params.abort_callback_data = e;
    params.no_perf = true;
    e->held = mem_zalloc(e->context, sizeof *e->held);
    e->llama = e->held == NULL ? NULL : llama_init_from_model(e->model, params);
    if (e->llama == NULL) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for a context of %zu tokens",
                           e->context);
    }
    return EK_OK;
}

enum ek_status engine_open(struct engine *e, const struct ek_host *host,
                           const struct settings *settings, struct ek_error *ret_error)
{
    *e = (struct engine){.host = host};
    if (!is_our_version(llama_version())) {
        return kernel_fail(ret_error, EK_BAD_CONFIG,
                           "it was built for llama.cpp " HEADERS_VERSION ", the library is %s",
                           llama_version());
    }
    log_host = host;
    (void)pthread_once(&started, start_library); /* cannot fail on Linux */
    enum ek_status status = load_model(e, settings->model_path, ret_error);
    if (status == EK_OK) {
        measure_tokens(e);
        status = make_context(e, settings->context, (int32_t)settings->threads, ret_error);
    }
    return status;
}

void engine_close(struct engine *e)
{
    if (e->llama != NULL) {
        llama_free(e->llama);
    }
    if (e->model != NULL) {
        llama_model_free(e->model);
    }
    mem_free(e->held);
    *e = (struct engine){.host = e->host};
}

/* ---- computing ---- */

enum ek_status engine_is_wanted(const struct engine *e)
{
    const struct ek_request *request = e->request;
    if (request == NULL) {
        return EK_OK;
    }
    if (ek_is_cancelled(request)) {
        return EK_CANCELLED;
    }
    return request->deadline_ns > 0 && e->host->now_ns() >= request->deadline_ns ? EK_LATE : EK_OK;
}

void engine_forget(struct engine *e)
{
    llama_memory_clear(llama_get_memory(e->llama), false);
    e->held_count = 0;
}

enum ek_status engine_feed(struct engine *e, const int32_t *ids, size_t count,
                           struct ek_error *ret_error)
{
    for (size_t done = 0; done < count;) {
        size_t n = count - done < ENGINE_BATCH_TOKENS ? count - done : ENGINE_BATCH_TOKENS;
        int32_t *place = e->held + e->held_count;
        memcpy(place, ids + done, n * sizeof *ids);
        int32_t failed = llama_decode(e->llama, llama_batch_get_one(place, (int32_t)n));
        if (failed != 0) {
            enum ek_status status = engine_is_wanted(e);
            engine_forget(e);
            return status != EK_OK ? status
                                   : kernel_fail(ret_error, EK_FAILED,
                                                 "libllama cannot compute: error %d", (int)failed);
        }
        e->held_count += n;
        done += n;
    }
    return EK_OK;
}

size_t engine_keep(struct engine *e, const int32_t *ids, size_t count)
{
    size_t same = 0;
    while (same + 1 < count && same < e->held_count && ids[same] == e->held[same]) {
        same++;
    }
    /* Models without keys and values for each token cannot go back: they forget all. */
    if (same == 0 || !llama_memory_seq_rm(llama_get_memory(e->llama), 0, (llama_pos)same, -1)) {
        engine_forget(e);
        return 0;
    }
    e->held_count = same;
    return same;
}
