/* The tinylm kernel: language models from GGUF files, computed here, on one thread per answer. This
 * file joins backends/kernels/tinylm/, which knows nothing of gateways, to the kernels' interface:
 * options, a few sessions that take turns, limits, errors. */
#include <pthread.h>
#include <stdio.h>

#include "backends/kernel_sampling.h"
#include "backends/kernels/kernels.h"
#include "backends/kernels/tinylm/dialogue.h"
#include "backends/kernels/tinylm/lm_answer.h"
#include "backends/kernels/tinylm/lm_embed.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

enum {
    PARALLEL_MAX = 64,
    RUN_MAX_BYTES = 64 * 1024 * 1024, /* more than any request body may have */
    TURN_WAIT_MS = 5,                 /* between looks for a free session */
};

struct seat { /* a session and whether an answer uses it */
    struct lm_session *session;
    bool is_taken;
};

struct ek_instance {
    struct lm *lm;
    const struct dialogue_family *family;
    struct str default_system; /* in the file */
    struct sampling sampling;  /* where a request says nothing */
    int64_t max_tokens;
    enum lm_pooling pooling; /* of embeddings */
    bool shortens;           /* them, where fewer dimensions are asked for */
    size_t context;
    size_t seat_count;
    struct seat seats[PARALLEL_MAX];
    pthread_mutex_t lock; /* guards is_taken */
};

struct tinylm_options {
    struct str model;
    int64_t context;
    int64_t parallel;
    struct str template;
    int64_t max_tokens;
    double temperature;
    double top_p;
    int64_t top_k;
    int64_t seed;
    int pooling; /* enum lm_pooling */
    bool shortens;
};

static const char *const poolings[] = {"mean", "last", NULL};

#define FIELD(member) offsetof(struct tinylm_options, member)

static const struct key tinylm_rows[] = {
    {
        .name = "model",
        .type = KEY_PATH,
        .offset = FIELD(model),
        .is_required = true,
        .sentence = "GGUF file of llama's or Qwen 2's architecture",
        .example = "models/smollm2-135m-instruct.gguf",
    },
    {
        .name = "context",
        .type = KEY_INT,
        .offset = FIELD(context),
        .min = 0,
        .max = LM_CONTEXT_MAX,
        .unit = "tokens",
        .fallback = "2048",
        .sentence =
            "the most tokens of a prompt and its answer together; longer prompts are refused; "
            "0: what the model was trained for, which is also the most there is",
    },
    {
        .name = "parallel",
        .type = KEY_INT,
        .offset = FIELD(parallel),
        .min = 1,
        .max = PARALLEL_MAX,
        .unit = "answers",
        .fallback = "1",
        .sentence = "answers that are written at the same time, each with its own memory for "
                    "`context` tokens; others wait their turn",
    },
    {
        .name = "template",
        .type = KEY_TEXT,
        .offset = FIELD(template),
        .fallback = "auto",
        .sentence =
            "how messages are written for the model: chatml, llama3, llama2, zephyr, alpaca, "
            "plain, or auto: as the file says",
    },
    KERNEL_SAMPLING_ROWS(struct tinylm_options, LM_CONTEXT_MAX, VOCAB_TOKENS_MAX),
    {
        .name = "pooling",
        .type = KEY_CHOICE,
        .offset = FIELD(pooling),
        .choices = poolings,
        .fallback = "mean",
        .sentence =
            "of embeddings: the mean of what the model has made of all tokens, or of the last one",
    },
    {
        .name = "shortens",
        .type = KEY_BOOL,
        .offset = FIELD(shortens),
        .fallback = "false",
        .sentence =
            "whether a request for embeddings may ask for fewer dimensions: it gets the first "
            "ones, of length 1 again; for models that were trained for that",
    },
};

static const struct keys tinylm_keys = {
    .name = "tinylm",
    .size = sizeof(struct tinylm_options),
    .rows = tinylm_rows,
    .count = sizeof tinylm_rows / sizeof tinylm_rows[0],
    .sentence = "a language model of a GGUF file, computed in the process",
};

/* ---- making ---- */

static void destroy(struct ek_instance *t)
{
    for (size_t i = 0; i < t->seat_count; i++) {
        lm_session_destroy(t->seats[i].session);
    }
    lm_destroy(t->lm);
    (void)pthread_mutex_destroy(&t->lock); /* cannot fail: nobody holds it */
    mem_free(t);
}

static enum ek_status complain(struct ek_error *ret_error, const char *option, struct str file,
                               struct str why)
{
    (void)snprintf(ret_error->option, sizeof ret_error->option, "%s", option);
    return kernel_fail(ret_error, EK_BAD_CONFIG, "\"%.*s\": %.*s", STR_ARG(file), STR_ARG(why));
}

/* Opens the model that the options name. */
static enum ek_status open_model(const struct tinylm_options *options, struct arena *arena,
                                 struct lm **ret_lm, struct ek_error *ret_error)
{
    struct diags *diags = arena_alloc(arena, sizeof *diags);
    char *path = arena_copy_z(arena, options->model);
    if (diags == NULL || path == NULL) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the model");
    }
    diags_init(diags, arena);
    enum status st = lm_open(path, diags, ret_lm);
    if (st == ST_NO_MEMORY) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the model");
    }
    if (st != ST_OK) {
        struct str why = diags->count > 0 ? diags->items[0].message : STR("cannot be read");
        return complain(ret_error, "model", options->model, why);
    }
    return EK_OK;
}

static size_t context_of(const struct lm *lm, const struct tinylm_options *options)
{
    size_t most = lm->shape.context;
    return options->context == 0 || (size_t)options->context > most ? most
                                                                    : (size_t)options->context;
}

static enum ek_status choose_family(struct ek_instance *t, const struct tinylm_options *options,
                                    struct ek_error *ret_error)
{
    struct str names = dialogue_names();
    bool is_auto = str_eq(options->template, STR("auto"));
    t->family =
        is_auto ? dialogue_recognise(t->lm->chat_template) : dialogue_find(options->template);
    if (t->family != NULL) {
        t->default_system = dialogue_default_system(t->family, t->lm->chat_template);
        return EK_OK;
    }
    (void)snprintf(ret_error->option, sizeof ret_error->option, "%s",
                   is_auto ? "model" : "template");
    return kernel_fail(
        ret_error, EK_BAD_CONFIG,
        is_auto ? "the model's chat template is none that is known here: choose one with "
                  "`template`, of %.*s"
                : "`template` must be auto or one of %.*s",
        STR_ARG(names));
}

static enum ek_status make_seats(struct ek_instance *t, size_t count, struct ek_error *ret_error)
{
    for (size_t i = 0; i < count; i++) {
        t->seats[i].session = lm_session_create(t->lm, t->context);
        if (t->seats[i].session == NULL) {
            return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for %zu sessions of %zu tokens",
                               count, t->context);
        }
        t->seat_count++;
    }
    return EK_OK;
}

static uint64_t bytes_of(const struct lm *lm, size_t context, int64_t parallel)
{
    return lm_cost(lm, context).session_bytes * (uint64_t)parallel;
}

static enum ek_status fill(struct ek_instance *t, const struct ek_config *config,
                           const struct tinylm_options *options, struct ek_error *ret_error)
{
    t->context = context_of(t->lm, options);
    t->max_tokens = options->max_tokens;
    t->sampling = (struct sampling){options->temperature, options->top_p, options->top_k,
                                    (uint64_t)options->seed};
    t->pooling = (enum lm_pooling)options->pooling;
    t->shortens = options->shortens;
    uint64_t needed = t->lm->file_bytes + bytes_of(t->lm, t->context, options->parallel);
    if (config->memory_bytes > 0 && needed > config->memory_bytes) {
        return kernel_fail(ret_error, EK_BAD_CONFIG,
                           "the model and its sessions take %llu bytes, more than the %llu allowed",
                           (unsigned long long)needed, (unsigned long long)config->memory_bytes);
    }
    enum ek_status status = choose_family(t, options, ret_error);
    return status == EK_OK ? make_seats(t, (size_t)options->parallel, ret_error) : status;
}

static enum ek_status create(const struct ek_config *config, struct ek_instance **ret_instance,
                             struct ek_error *ret_error)
{
    struct tinylm_options options;
    struct arena *arena = kernel_arena(ret_error);
    struct ek_instance *t = arena == NULL ? NULL : mem_zalloc(1, sizeof *t);
    if (t == NULL) {
        arena_destroy(arena);
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the model");
    }
    (void)pthread_mutex_init(&t->lock, NULL); /* cannot fail on Linux */
    enum ek_status status = kernel_decode(config, &tinylm_keys, arena, &options, ret_error);
    if (status == EK_OK) {
        status = open_model(&options, arena, &t->lm, ret_error);
    }
    if (status == EK_OK) {
        status = fill(t, config, &options, ret_error);
    }
    arena_destroy(arena);
    if (status != EK_OK) {
        destroy(t);
        return status;
    }
    *ret_instance = t;
    return EK_OK;
}

static void fill_cost(const struct lm *lm, size_t context, int64_t parallel,
                      struct ek_cost *ret_cost)
{
    struct lm_cost cost = lm_cost(lm, context);
    ret_cost->is_exact = 1;
    ret_cost->resident_bytes = bytes_of(lm, context, parallel);
    ret_cost->shared_bytes = cost.weights_bytes;
    ret_cost->load_bytes = ret_cost->resident_bytes;
    ret_cost->context_tokens = context;
    ret_cost->bytes_per_token = cost.kv_bytes / context;
}

static enum ek_status estimate(const struct ek_config *config, struct ek_cost *ret_cost,
                               struct ek_error *ret_error)
{
    struct tinylm_options options;
    struct lm *lm = NULL;
    struct arena *arena = kernel_arena(ret_error);
    if (arena == NULL) {
        return EK_NO_MEMORY;
    }
    enum ek_status status = kernel_decode(config, &tinylm_keys, arena, &options, ret_error);
    if (status == EK_OK) {
        status = open_model(&options, arena, &lm, ret_error);
    }
    if (status == EK_OK) {
        fill_cost(lm, context_of(lm, &options), options.parallel, ret_cost);
    }
    lm_destroy(lm);
    arena_destroy(arena);
    return status;
}

static enum ek_status cost(struct ek_instance *t, struct ek_cost *ret_cost)
{
    fill_cost(t->lm, t->context, (int64_t)t->seat_count, ret_cost);
    return EK_OK;
}

/* ---- answering ---- */

struct asking { /* one answer */
    const struct ek_request *request;
    const struct ek_sink *sink;
    bool is_late;
};

static bool goes_on(void *ctx)
{
    struct asking *a = ctx;
    const struct ek_request *request = a->request;
    a->is_late = request->deadline_ns > 0 &&
                 (uint64_t)clock_now_us(clock_system()) * 1000 >= request->deadline_ns;
    return !a->is_late && ek_is_cancelled(request) == 0;
}

static enum status on_text(void *ctx, struct str text)
{
    struct asking *a = ctx;
    return a->sink->piece(a->sink->ctx, kernel_text(text)) == 0 ? ST_OK : ST_CLOSED;
}

/* The free seat whose session holds most of the prompt; NULL: none is free. */
static struct seat *try_seat(struct ek_instance *t, const struct tokens *prompt)
{
    struct seat *best = NULL;
    size_t most = 0;
    (void)pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->seat_count; i++) {
        struct seat *seat = &t->seats[i];
        if (seat->is_taken) {
            continue;
        }
        size_t common = lm_session_common(seat->session, prompt->ids, prompt->count);
        if (best == NULL || common > most) {
            best = seat;
            most = common;
        }
    }
    if (best != NULL) {
        best->is_taken = true;
    }
    (void)pthread_mutex_unlock(&t->lock);
    return best;
}

static struct seat *take_seat(struct ek_instance *t, const struct tokens *prompt, struct asking *a)
{
    struct seat *seat = try_seat(t, prompt);
    while (seat == NULL && goes_on(a) && a->sink->pause(a->sink->ctx, TURN_WAIT_MS) == 0) {
        seat = try_seat(t, prompt);
    }
    return seat;
}

static void leave_seat(struct ek_instance *t, struct seat *seat)
{
    (void)pthread_mutex_lock(&t->lock);
    seat->is_taken = false;
    (void)pthread_mutex_unlock(&t->lock);
}

static enum ek_status refuse_length(const struct ek_instance *t, size_t tokens, bool is_least,
                                    struct ek_error *ret_error)
{
    (void)snprintf(ret_error->code, sizeof ret_error->code, "context_length_exceeded");
    return kernel_fail(ret_error, EK_TOO_LONG,
                       "This model's maximum context length is %zu tokens. However, your messages "
                       "resulted in %s%zu tokens. Please reduce the length of the messages.",
                       t->context, is_least ? "at least " : "", tokens);
}

static enum status write_messages(const struct ek_instance *t, const struct ek_request *request,
                                  struct buf *run, struct tokens *prompt)
{
    struct dialogue d;
    bool has_system = false;
    for (size_t i = 0; i < request->message_count; i++) {
        struct str role = kernel_str(request->messages[i].role);
        has_system = has_system || str_eq(role, STR("system")) || str_eq(role, STR("developer"));
    }
    enum status st = dialogue_begin(&d, t->family, t->lm->vocab, run, prompt);
    if (st == ST_OK && !has_system && t->default_system.len > 0) {
        st = dialogue_add(&d, STR("system"), t->default_system);
    }
    for (size_t i = 0; st == ST_OK && i < request->message_count; i++) {
        st = dialogue_add(&d, kernel_str(request->messages[i].role),
                          kernel_str(request->messages[i].text));
    }
    return st == ST_OK ? dialogue_end(&d) : st;
}

/* The prompt's tokens. Refuses what cannot fit before it does the work of finding out exactly. */
static enum ek_status write_prompt(const struct ek_instance *t, const struct ek_request *request,
                                   struct tokens *prompt, struct ek_error *ret_error)
{
    size_t bytes = 0;
    for (size_t i = 0; i < request->message_count; i++) {
        bytes += request->messages[i].text.len;
    }
    size_t least = bytes / vocab_longest(t->lm->vocab);
    if (least > t->context) {
        return refuse_length(t, least, true, ret_error);
    }
    struct buf run;
    buf_init(&run, RUN_MAX_BYTES);
    enum status st = write_messages(t, request, &run, prompt);
    buf_fini(&run);
    if (st == ST_INVALID) {
        return kernel_fail(ret_error, EK_BAD_REQUEST,
                           "the model's vocabulary cannot write the text");
    }
    if (st != ST_OK) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "the expert ran out of memory");
    }
    if (prompt->count == 0) {
        return kernel_fail(ret_error, EK_BAD_REQUEST, "the messages are empty");
    }
    return prompt->count >= t->context ? refuse_length(t, prompt->count, false, ret_error) : EK_OK;
}

static struct sampling sampling_of(const struct ek_instance *t, const struct ek_request *request)
{
    struct sampling sampling = t->sampling;
    sampling.temperature = request->temperature >= 0 ? request->temperature : sampling.temperature;
    sampling.top_p = request->top_p >= 0 ? request->top_p : sampling.top_p;
    sampling.seed = request->has_seed != 0 ? request->seed : sampling.seed;
    return sampling;
}

static enum ek_status status_of(enum status st, bool is_late, struct ek_error *ret_error)
{
    switch (st) {
    case ST_OK:
        return EK_OK;
    case ST_CLOSED:
        return is_late ? EK_LATE : EK_CANCELLED;
    case ST_INVALID:
        return kernel_fail(ret_error, EK_FAILED, "the model computes no numbers");
    case ST_NO_MEMORY:
    case ST_TOO_BIG:
    case ST_NOT_FOUND:
    case ST_IO:
    case ST_TIMEOUT:
        break;
    }
    return kernel_fail(ret_error, EK_NO_MEMORY, "the expert ran out of memory");
}

static enum ek_status answer(struct ek_instance *t, const struct tokens *prompt, struct asking *a,
                             struct ek_result *ret_result, struct ek_error *ret_error)
{
    const struct ek_request *request = a->request;
    struct str *stops = mem_zalloc(request->stop_count + 1UL, sizeof *stops);
    struct seat *seat = stops == NULL ? NULL : take_seat(t, prompt, a);
    if (seat == NULL) {
        mem_free(stops);
        return status_of(stops == NULL ? ST_NO_MEMORY : ST_CLOSED, a->is_late, ret_error);
    }
    for (size_t i = 0; i < request->stop_count; i++) {
        stops[i] = kernel_str(request->stop[i]);
    }
    const struct lm_request wanted = {
        .prompt = prompt->ids,
        .prompt_count = prompt->count,
        .max_tokens = request->max_tokens > 0 ? request->max_tokens : t->max_tokens,
        .sampling = sampling_of(t, request),
        .stops = stops,
        .stop_count = request->stop_count,
    };
    const struct lm_sink sink = {{a, on_text}, goes_on};
    struct lm_result result;
    enum status st = lm_answer(seat->session, t->lm, &wanted, &sink, &result);
    leave_seat(t, seat);
    mem_free(stops);
    ret_result->prompt_tokens = (int64_t)result.prompt_tokens;
    ret_result->completion_tokens = (int64_t)result.completion_tokens;
    ret_result->finish = result.is_cut ? EK_FINISH_LENGTH : EK_FINISH_STOP;
    return status_of(st, a->is_late, ret_error);
}

static enum ek_status generate(struct ek_instance *t, const struct ek_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    struct tokens prompt = {NULL, 0, 0};
    struct asking a = {request, sink, false};
    enum ek_status status = write_prompt(t, request, &prompt, ret_error);
    if (status == EK_OK) {
        status = answer(t, &prompt, &a, ret_result, ret_error);
    }
    tokens_fini(&prompt);
    return status;
}

/* ---- embedding ---- */

struct embedding { /* one text */
    const struct ek_vectors *asked;
    bool is_late;
};

static bool still_embeds(void *ctx)
{
    struct embedding *e = ctx;
    const struct ek_vectors *v = e->asked;
    if (!ek_vectors_is_whole(v)) {
        return true;
    }
    e->is_late =
        v->deadline_ns > 0 && (uint64_t)clock_now_us(clock_system()) * 1000 >= v->deadline_ns;
    return !e->is_late && (v->cancel == NULL || *v->cancel == 0);
}

/* Any free seat but, if there is a choice, not the one that holds most of a conversation. */
static struct seat *try_empty_seat(struct ek_instance *t)
{
    struct seat *best = NULL;
    (void)pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->seat_count; i++) {
        struct seat *seat = &t->seats[i];
        if (seat->is_taken) {
            continue;
        }
        bool is_emptier =
            best == NULL || lm_session_length(seat->session) < lm_session_length(best->session);
        best = is_emptier ? seat : best;
    }
    if (best != NULL) {
        best->is_taken = true;
    }
    (void)pthread_mutex_unlock(&t->lock);
    return best;
}

static struct seat *await_seat(struct ek_instance *t, struct embedding *e)
{
    const struct ek_vectors *v = e->asked;
    bool can_wait = ek_vectors_is_whole(v) != 0 && v->pause != NULL;
    struct seat *seat = try_empty_seat(t);
    while (seat == NULL && can_wait && still_embeds(e) && v->pause(v->ctx, TURN_WAIT_MS) == 0) {
        seat = try_empty_seat(t);
    }
    return seat;
}

/* How many numbers: EK_UNSUPPORTED, EK_TOO_LONG with the width. */
static enum ek_status choose_width(const struct ek_instance *t, struct ek_vectors *v,
                                   struct ek_error *ret_error)
{
    size_t own = t->lm->shape.width;
    size_t asked = ek_vectors_is_whole(v) && v->dimensions > 0 ? v->dimensions : own;
    if (asked > own || (asked < own && !t->shortens)) {
        return kernel_refuse_dimensions(ret_error, own, t->shortens);
    }
    v->width = asked;
    return asked > v->capacity ? EK_TOO_LONG : EK_OK;
}

static enum ek_status refuse_text(const struct ek_instance *t, size_t tokens,
                                  struct ek_error *ret_error)
{
    (void)snprintf(ret_error->code, sizeof ret_error->code, "context_length_exceeded");
    (void)snprintf(ret_error->option, sizeof ret_error->option, "input");
    return kernel_fail(ret_error, EK_TOO_LONG,
                       "This model's maximum context length is %zu tokens. However, a text of your "
                       "input has at least %zu.",
                       t->context, tokens);
}

static enum ek_status embed_tokens(struct ek_instance *t, const struct tokens *tokens,
                                   struct ek_vectors *v, struct ek_error *ret_error)
{
    struct embedding e = {v, false};
    struct seat *seat = await_seat(t, &e);
    enum status st = ST_CLOSED;
    if (seat != NULL) {
        const struct lm_embed_request request = {tokens->ids, tokens->count, t->pooling,
                                                 v->width,    still_embeds,  &e};
        st = lm_embed(seat->session, &request, v->values);
        leave_seat(t, seat);
    }
    return status_of(st, e.is_late, ret_error);
}

static enum ek_status embed(struct ek_instance *t, const struct ek_text *texts, size_t count,
                            struct ek_vectors *ret_vectors, struct ek_error *ret_error)
{
    struct tokens tokens = {NULL, 0, 0};
    struct ek_vectors *v = ret_vectors;
    struct str text = kernel_str(texts[0]);
    ASSERT(count == 1); /* as the host promises */
    enum ek_status status = choose_width(t, v, ret_error);
    size_t least = text.len / vocab_longest(t->lm->vocab);
    if (status == EK_OK && least > t->context) {
        status = refuse_text(t, least, ret_error);
    }
    if (status == EK_OK) {
        enum status st = lm_embed_encode(t->lm, text, &tokens);
        status = st == ST_OK        ? EK_OK
                 : st == ST_INVALID ? kernel_fail(ret_error, EK_BAD_REQUEST,
                                                  "the model's vocabulary cannot write the text")
                                    : EK_NO_MEMORY;
    }
    if (status == EK_OK && (tokens.count == 0 || tokens.count > t->context)) {
        status = tokens.count > 0 ? refuse_text(t, tokens.count, ret_error)
                                  : kernel_fail(ret_error, EK_BAD_REQUEST, "a text has no tokens");
    }
    if (status == EK_OK) {
        status = embed_tokens(t, &tokens, v, ret_error);
    }
    if (ek_vectors_is_whole(v)) {
        v->tokens = (int64_t)tokens.count;
    }
    tokens_fini(&tokens);
    return status;
}

static enum ek_status count(struct ek_instance *t, struct ek_text text, uint64_t *ret_tokens)
{
    struct tokens tokens = {NULL, 0, 0};
    enum status st = vocab_encode(t->lm->vocab, kernel_str(text), true, &tokens);
    *ret_tokens = tokens.count;
    tokens_fini(&tokens);
    return st == ST_OK ? EK_OK : EK_FAILED;
}

static const struct ek_info *info(void)
{
    static const struct ek_info facts =
        KERNEL_FACTS("tinylm", EK_CAP_GENERATE | EK_CAP_EMBED | EK_CAP_COUNT |
                                   EK_CAP_DETERMINISTIC | EK_CAP_PARALLEL);
    return &facts;
}

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
    .cost = cost,
};

const struct kernel_builtin tinylm_kernel = {
    .name = "tinylm",
    .sentence = "answers with a language model of a GGUF file, computed in the process",
    .keys = &tinylm_keys,
    .threads = 1,
    .parallel = "parallel",
    .abi = &abi,
};
