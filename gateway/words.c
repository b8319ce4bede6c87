/* See words.h. */
#include "gateway/words.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "router/classifier.h"
#include "router/features.h"

enum {
    SEGMENTS_MAX = FEATURES_BYTES_MAX / FEATURES_WINDOW_BYTES, /* as much as features hold */
};

struct ek_instance {
    struct classifier *classifier;
    struct classifier_scratch *scratch;
    size_t width;
    pthread_mutex_t lock; /* guards the scratch: texts take turns, of microseconds */
};

struct words_options {
    struct str model;
};

static const struct key words_rows[] = {
    {
        .name = "model",
        .type = KEY_PATH,
        .offset = offsetof(struct words_options, model),
        .is_required = true,
        .sentence = "weights with word vectors, as router.model has them",
        .example = "conf/models/domains.edm",
    },
};

static const struct keys words_keys = {
    "words", sizeof(struct words_options), words_rows, 1,
    "Embeds texts by the word vectors of the router's weights, and does not chat."};

static void destroy(struct ek_instance *k)
{
    classifier_scratch_destroy(k->scratch);
    classifier_unref(k->classifier);
    (void)pthread_mutex_destroy(&k->lock);
    mem_free(k);
}

static enum ek_status complain(struct ek_error *ret_error, struct str file, struct str why)
{
    (void)snprintf(ret_error->option, sizeof ret_error->option, "model");
    return kernel_fail(ret_error, EK_BAD_CONFIG, "\"%.*s\": %.*s", STR_ARG(file), STR_ARG(why));
}

static enum ek_status load(struct ek_instance *k, struct str file, struct arena *arena,
                           struct ek_error *ret_error)
{
    const struct classifier_segment nothing = {STR(""), 1.0F};
    struct classifier_result r;
    struct diags *diags = arena_alloc(arena, sizeof *diags);
    char *path = arena_copy_z(arena, file);
    if (diags == NULL || path == NULL) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the weights");
    }
    diags_init(diags, arena);
    enum status st = classifier_load(path, diags, &k->classifier);
    if (st == ST_NO_MEMORY) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the weights");
    }
    if (st != ST_OK) {
        return complain(ret_error, file,
                        diags->count > 0 ? diags->items[0].message : STR("cannot be read"));
    }
    classifier_score(k->classifier, k->scratch, &nothing, 1, &r);
    k->width = r.vector_size;
    return k->width > 0 ? EK_OK
                        : complain(ret_error, file, STR("these weights have no word vectors"));
}

static enum ek_status create(const struct ek_config *config, struct ek_instance **ret_instance,
                             struct ek_error *ret_error)
{
    struct words_options options;
    struct arena *arena = kernel_arena(ret_error);
    struct ek_instance *k = arena == NULL ? NULL : mem_zalloc(1, sizeof *k);
    if (k == NULL) {
        arena_destroy(arena);
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for the weights");
    }
    (void)pthread_mutex_init(&k->lock, NULL); /* cannot fail on Linux */
    k->scratch = classifier_scratch_create();
    enum ek_status status = k->scratch == NULL
                                ? EK_NO_MEMORY
                                : kernel_decode(config, &words_keys, arena, &options, ret_error);
    if (status == EK_OK) {
        status = load(k, options.model, arena, ret_error);
    }
    arena_destroy(arena);
    if (status != EK_OK) {
        destroy(k);
        return status;
    }
    *ret_instance = k;
    return EK_OK;
}

/* ---- embedding ---- */

/* The start of a text that features see whole, up to a blank where there is one. */
static struct str first_segment(struct str text)
{
    if (text.len <= FEATURES_WINDOW_BYTES) {
        return text;
    }
    size_t at = FEATURES_WINDOW_BYTES;
    while (at > 0 && (unsigned char)text.ptr[at] > ' ') {
        at--;
    }
    return at > 0 ? str_slice(text, 0, at) : utf8_truncate(text, FEATURES_WINDOW_BYTES);
}

/* Returns how many segments there are; 0: more than features hold. */
static size_t cut(struct str text, struct classifier_segment *segments)
{
    size_t count = 0;
    do { /* an empty text is one, too */
        struct str part = first_segment(text);
        segments[count++] = (struct classifier_segment){part, 1.0F};
        text = str_slice(text, part.len, text.len);
    } while (text.len > 0 && count < SEGMENTS_MAX);
    return text.len > 0 ? 0 : count;
}

static enum ek_status refuse(struct ek_error *ret_error, enum ek_status status, const char *why)
{
    (void)snprintf(ret_error->option, sizeof ret_error->option, "input");
    return kernel_fail(ret_error, status, "%s", why);
}

static bool is_zero(const float *x, size_t count)
{
    float sum = 0.0F;
    for (size_t i = 0; i < count; i++) {
        sum += x[i] * x[i];
    }
    return !(sum > 0.0F);
}

static enum ek_status embed_one(struct ek_instance *k, struct str text, float *ret_vector,
                                struct ek_error *ret_error)
{
    struct classifier_segment segments[SEGMENTS_MAX];
    struct classifier_result r;
    size_t count = cut(text, segments);
    if (count == 0) {
        return refuse(ret_error, EK_TOO_LONG,
                      "A text of your input is longer than about 9,000 bytes: this model reads no "
                      "more.");
    }
    (void)pthread_mutex_lock(&k->lock);
    classifier_score(k->classifier, k->scratch, segments, count, &r);
    (void)pthread_mutex_unlock(&k->lock);
    if (is_zero(r.vector, k->width)) {
        return refuse(ret_error, EK_BAD_REQUEST,
                      "A text of your input has no word that this model knows.");
    }
    memcpy(ret_vector, r.vector, k->width * sizeof *ret_vector);
    return EK_OK;
}

static enum ek_status embed(struct ek_instance *k, const struct ek_text *texts, size_t count,
                            struct ek_vectors *ret_vectors, struct ek_error *ret_error)
{
    struct ek_vectors *v = ret_vectors;
    enum ek_status status = EK_OK;
    v->width = k->width;
    if (ek_vectors_is_whole(v) && v->dimensions > 0 && v->dimensions != k->width) {
        return kernel_refuse_dimensions(ret_error, k->width, false);
    }
    if (count > v->capacity / k->width) {
        return EK_TOO_LONG;
    }
    for (size_t i = 0; status == EK_OK && i < count; i++) {
        status = embed_one(k, kernel_str(texts[i]), v->values + i * k->width, ret_error);
    }
    return status;
}

static enum ek_status generate(struct ek_instance *k, const struct ek_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    (void)k;
    (void)request;
    (void)sink;
    (void)ret_result;
    return kernel_fail(ret_error, EK_UNSUPPORTED, "This model embeds texts and does not chat.");
}

static const struct ek_info *info(void)
{
    static const struct ek_info facts =
        KERNEL_FACTS("words", EK_CAP_EMBED | EK_CAP_DETERMINISTIC | EK_CAP_PARALLEL);
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
    .embed = embed,
};

const struct kernel_builtin words_kernel = {
    .name = "words",
    .sentence = "embeds texts by the word vectors of the router's weights, and does not chat",
    .keys = &words_keys,
    .abi = &abi,
};
