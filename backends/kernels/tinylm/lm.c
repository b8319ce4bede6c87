/* Loads a model: sizes, then tensors, each held against what the sizes say. See lm.h. */
#include "backends/kernels/tinylm/lm.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "backends/kernels/tinylm/lm_session.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"

enum {
    ARENA_BLOCK_BYTES = 64 * 1024,
    ARENA_MAX_BYTES = 16 * 1024 * 1024,
    SHOWN_BYTES = 60,
};

static const struct architecture {
    const char *name;
    bool rotates_halves;
} architectures[] = {
    {"llama", false},
    {"qwen2", true},
};

/* Keys that change what a model computes in ways that are not known here. */
static const char *const refused_keys[] = {
    "expert_count", "attention.sliding_window", "attention.clamp_kqv", "attention.max_alibi_bias",
    "logit_scale",  "embedding_scale",          "residual_scale",      "attention.scale",
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "weights are used as they lie in the file");

struct loading {
    struct lm *lm;
    struct str name;
    struct diags *diags;
    const struct architecture *architecture;
    size_t used; /* tensors that found their place */
    enum status st;
};

__attribute__((format(printf, 2, 3))) static void fail(struct loading *l, const char *format, ...)
{
    va_list args;
    if (l->st != ST_OK) {
        return;
    }
    l->st = ST_INVALID;
    va_start(args, format);
    struct str why = arena_vprintf(l->diags->arena, format, args);
    va_end(args);
    diags_add(l->diags, DIAG_ERROR, l->name, (struct pos){0, 0}, "%.*s", STR_ARG(why));
}

static struct str shown(struct str text)
{
    struct str head = str_slice(text, 0, SHOWN_BYTES);
    return str_slice(head, 0, utf8_valid_prefix(head));
}

/* ---- sizes ---- */

/* The value of "ARCHITECTURE.key", or NULL. */
static const struct gguf_value *find(struct loading *l, const char *key)
{
    struct str full = arena_printf(l->lm->arena, "%s.%s", l->architecture->name, key);
    if (full.ptr == NULL) {
        l->st = ST_NO_MEMORY;
        return NULL;
    }
    return gguf_find(&l->lm->gguf, full);
}

/* A whole number from 1 to max; fallback 0: it must be there. */
static size_t size_of(struct loading *l, const char *key, size_t max, size_t fallback)
{
    const struct gguf_value *value = find(l, key);
    int64_t number = 0;
    if (value == NULL && fallback > 0) {
        return fallback;
    }
    if (value == NULL || !gguf_to_int(value, &number) || number < 1 || (uint64_t)number > max) {
        fail(l, "%s.%s must be there, a whole number from 1 to %zu", l->architecture->name, key,
             max);
        return 1;
    }
    return (size_t)number;
}

static float real_of(struct loading *l, const char *key, double fallback)
{
    const struct gguf_value *value = find(l, key);
    double number = fallback;
    if (value != NULL && (!gguf_to_real(value, &number) || !isfinite(number) || number <= 0)) {
        fail(l, "%s.%s must be a number above 0", l->architecture->name, key);
    }
    return (float)number;
}

static void read_architecture(struct loading *l)
{
    const struct gguf_value *value = gguf_find(&l->lm->gguf, STR("general.architecture"));
    struct str name = STR("");
    if (value == NULL || !gguf_to_text(value, &name)) {
        fail(l, "general.architecture is missing: what kind of model this is");
        return;
    }
    for (size_t i = 0; i < sizeof architectures / sizeof architectures[0]; i++) {
        if (str_eq(name, str_from(architectures[i].name))) {
            l->architecture = &architectures[i];
            return;
        }
    }
    fail(l, "the architecture \"%.*s\" is not computed here, only llama and qwen2",
         STR_ARG(shown(name)));
}

/* Scaling of the rotary positions: none or linear. */
static void read_rope_scaling(struct loading *l)
{
    struct lm_shape *s = &l->lm->shape;
    struct str type = STR("none");
    const struct gguf_value *value = find(l, "rope.scaling.type");
    s->rope_scale = 1;
    if (value != NULL && !gguf_to_text(value, &type)) {
        fail(l, "%s.rope.scaling.type must be a text", l->architecture->name);
    } else if (str_eq(type, STR("linear"))) {
        s->rope_scale = 1 / real_of(l, "rope.scaling.factor", 1);
    } else if (!str_eq(type, STR("none"))) {
        fail(l, "rope scaling \"%.*s\" is not computed here, only none and linear",
             STR_ARG(shown(type)));
    }
}

static void read_shape(struct loading *l)
{
    struct lm_shape *s = &l->lm->shape;
    s->layers = size_of(l, "block_count", LM_LAYERS_MAX, 0);
    s->context = size_of(l, "context_length", LM_CONTEXT_MAX, 0);
    s->width = size_of(l, "embedding_length", LM_WIDTH_MAX, 0);
    s->hidden = size_of(l, "feed_forward_length", LM_WIDTH_MAX, 0);
    s->heads = size_of(l, "attention.head_count", LM_HEADS_MAX, 0);
    s->kv_heads = size_of(l, "attention.head_count_kv", LM_HEADS_MAX, s->heads);
    s->head = size_of(l, "attention.key_length", LM_HEAD_MAX, s->width / s->heads);
    s->rotary = size_of(l, "rope.dimension_count", LM_HEAD_MAX, s->head);
    s->epsilon = real_of(l, "attention.layer_norm_rms_epsilon", 1e-5);
    s->rope_base = real_of(l, "rope.freq_base", 10000);
    s->rotates_halves = l->architecture->rotates_halves;
    read_rope_scaling(l);
    if (l->st == ST_OK && size_of(l, "attention.value_length", LM_HEAD_MAX, s->head) != s->head) {
        fail(l, "keys and values of different widths are not computed here");
    }
    if (l->st == ST_OK && (s->heads % s->kv_heads != 0 || s->head * s->heads > LM_WIDTH_MAX ||
                           s->rotary % 2 != 0 || s->rotary > s->head)) {
        fail(l, "%zu heads of %zu, %zu of keys and values, %zu rotated: these do not fit together",
             s->heads, s->head, s->kv_heads, s->rotary);
    }
    for (size_t i = 0; i < sizeof refused_keys / sizeof refused_keys[0]; i++) {
        const struct gguf_value *value = l->st == ST_OK ? find(l, refused_keys[i]) : NULL;
        double number = 1;
        if (value != NULL && (!gguf_to_real(value, &number) || fabs(number) > 0)) {
            fail(l, "%s.%s: such models are not computed here", l->architecture->name,
                 refused_keys[i]);
        }
    }
}

/* ---- tensors ---- */

static const struct gguf_tensor *take(struct loading *l, struct str name)
{
    const struct gguf_tensor *t = gguf_tensor(&l->lm->gguf, name);
    l->used += t != NULL ? 1 : 0;
    return t;
}

static struct str layer_name(struct loading *l, size_t layer, const char *part)
{
    struct str name = arena_printf(l->lm->arena, "blk.%zu.%s", layer, part);
    if (name.ptr == NULL && l->st == ST_OK) {
        l->st = ST_NO_MEMORY;
    }
    return name;
}

static void read_matrix(struct loading *l, struct str name, size_t rows, size_t cols,
                        struct lm_matrix *ret_matrix)
{
    const struct gguf_tensor *t = l->st == ST_OK ? take(l, name) : NULL;
    if (t == NULL) {
        fail(l, "the tensor \"%.*s\" is missing", STR_ARG(name));
        return;
    }
    const struct dot_kind *kind = dot_find(l->lm->ops, t->type);
    if (kind == NULL) {
        fail(l, "the tensor \"%.*s\" is of the type %s, which is not computed with here",
             STR_ARG(name), gguf_type_name(t->type));
    } else if (t->dimensions > 2 || t->shape[0] != cols || t->shape[1] != rows) {
        fail(l, "the tensor \"%.*s\" is %" PRIu64 " by %" PRIu64 ", not %zu by %zu", STR_ARG(name),
             t->shape[0], t->shape[1], cols, rows);
    } else {
        *ret_matrix =
            (struct lm_matrix){t->data.ptr, kind, rows, cols, cols / kind->block * kind->bytes};
    }
}

/* A vector of f32. Optional ones may be missing: NULL. */
static const float *read_vector(struct loading *l, struct str name, size_t count, bool is_optional)
{
    const struct gguf_tensor *t = l->st == ST_OK ? take(l, name) : NULL;
    if (t == NULL) {
        if (!is_optional) {
            fail(l, "the tensor \"%.*s\" is missing", STR_ARG(name));
        }
        return NULL;
    }
    if (t->type != 0 || t->dimensions != 1 || t->shape[0] != count) {
        fail(l, "the tensor \"%.*s\" is not a vector of %zu F32", STR_ARG(name), count);
        return NULL;
    }
    return (const void *)t->data.ptr;
}

static void read_layer(struct loading *l, size_t i)
{
    const struct lm_shape *s = &l->lm->shape;
    struct lm_layer *layer = &l->lm->layers[i];
    size_t queries = s->heads * s->head;
    size_t keys = s->kv_heads * s->head;

    const struct {
        const char *name;
        struct lm_matrix *matrix;
        size_t rows;
        size_t cols;
    } matrices[] = {
        {"attn_q.weight", &layer->q, queries, s->width},
        {"attn_k.weight", &layer->k, keys, s->width},
        {"attn_v.weight", &layer->v, keys, s->width},
        {"attn_output.weight", &layer->out, s->width, queries},
        {"ffn_gate.weight", &layer->gate, s->hidden, s->width},
        {"ffn_up.weight", &layer->up, s->hidden, s->width},
        {"ffn_down.weight", &layer->down, s->width, s->hidden},
    };

    for (size_t m = 0; m < sizeof matrices / sizeof matrices[0]; m++) {
        read_matrix(l, layer_name(l, i, matrices[m].name), matrices[m].rows, matrices[m].cols,
                    matrices[m].matrix);
    }
    layer->attn_norm = read_vector(l, layer_name(l, i, "attn_norm.weight"), s->width, false);
    layer->ffn_norm = read_vector(l, layer_name(l, i, "ffn_norm.weight"), s->width, false);
    layer->q_bias = read_vector(l, layer_name(l, i, "attn_q.bias"), queries, true);
    layer->k_bias = read_vector(l, layer_name(l, i, "attn_k.bias"), keys, true);
    layer->v_bias = read_vector(l, layer_name(l, i, "attn_v.bias"), keys, true);
}

static void read_tensors(struct loading *l)
{
    struct lm *lm = l->lm;
    const struct lm_shape *s = &lm->shape;
    lm->layers = arena_alloc(lm->arena, s->layers * sizeof *lm->layers);
    if (lm->layers == NULL) {
        l->st = ST_NO_MEMORY;
        return;
    }
    read_matrix(l, STR("token_embd.weight"), s->vocabulary, s->width, &lm->embedding);
    lm->output = lm->embedding;
    if (gguf_tensor(&lm->gguf, STR("output.weight")) != NULL) {
        read_matrix(l, STR("output.weight"), s->vocabulary, s->width, &lm->output);
    }
    lm->output_norm = read_vector(l, STR("output_norm.weight"), s->width, false);
    lm->rope_factors = read_vector(l, STR("rope_freqs.weight"), s->rotary / 2, true);
    for (size_t i = 0; i < s->layers && l->st == ST_OK; i++) {
        read_layer(l, i);
    }
    if (l->st == ST_OK && l->used != lm->gguf.tensor_count) {
        fail(l, "%zu of its %zu tensors have no place in a model of this architecture",
             lm->gguf.tensor_count - l->used, lm->gguf.tensor_count);
    }
}

static struct str text_of(const struct lm *lm, struct str key)
{
    const struct gguf_value *value = gguf_find(&lm->gguf, key);
    struct str text = STR("");
    return value != NULL && gguf_to_text(value, &text) ? text : STR("");
}

static void load(struct loading *l)
{
    struct lm *lm = l->lm;
    read_architecture(l);
    if (l->st == ST_OK) {
        read_shape(l);
    }
    if (l->st == ST_OK) {
        l->st = vocab_load(&lm->gguf, l->name, l->diags, &lm->vocab);
    }
    if (l->st == ST_OK) {
        lm->shape.vocabulary = vocab_size(lm->vocab);
        read_tensors(l);
    }
    lm->chat_template = text_of(lm, STR("tokenizer.chat_template"));
    lm->name = text_of(lm, STR("general.name"));
}

enum status lm_read(struct str bytes, struct str name, struct diags *diags, struct lm **ret_lm)
{
    struct lm *lm = mem_zalloc(1, sizeof *lm);
    if (lm == NULL) {
        return ST_NO_MEMORY;
    }
    lm->ops = dot_best();
    lm->file_bytes = bytes.len;
    lm->arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    struct loading l = {.lm = lm, .name = name, .diags = diags, .st = ST_OK};
    l.st = gguf_read(bytes, name, diags, &lm->gguf);
    if (l.st == ST_OK) {
        l.st = lm->arena == NULL ? ST_NO_MEMORY : ST_OK;
    }
    if (l.st == ST_OK) {
        load(&l);
    }
    if (l.st != ST_OK) {
        lm_destroy(lm);
        return l.st;
    }
    *ret_lm = lm;
    return ST_OK;
}

enum status lm_open(const char *path, struct diags *diags, struct lm **ret_lm)
{
    struct str bytes = STR("");
    enum status st = file_map(path, diags, &bytes);
    if (st != ST_OK) {
        return st;
    }
    st = lm_read(bytes, str_from(path), diags, ret_lm);
    if (st != ST_OK) {
        file_unmap(bytes);
        return st;
    }
    (*ret_lm)->bytes = bytes;
    return ST_OK;
}

void lm_destroy(struct lm *lm)
{
    if (lm == NULL) {
        return;
    }
    vocab_destroy(lm->vocab);
    gguf_fini(&lm->gguf);
    arena_destroy(lm->arena);
    file_unmap(lm->bytes);
    mem_free(lm);
}

static void use_plain(struct lm_matrix *m)
{
    m->kind = dot_find(dot_plain(), m->kind->type); /* it has all types that others have */
}

void lm_use_plain(struct lm *lm)
{
    lm->ops = dot_plain();
    use_plain(&lm->embedding);
    use_plain(&lm->output);
    for (size_t i = 0; i < lm->shape.layers; i++) {
        struct lm_layer *l = &lm->layers[i];
        struct lm_matrix *matrices[] = {&l->q, &l->k, &l->v, &l->out, &l->gate, &l->up, &l->down};
        for (size_t m = 0; m < sizeof matrices / sizeof matrices[0]; m++) {
            use_plain(matrices[m]);
        }
    }
}

struct lm_cost lm_cost(const struct lm *lm, size_t context)
{
    return (struct lm_cost){
        .weights_bytes = lm->file_bytes,
        .session_bytes = lm_session_bytes(&lm->shape, context),
        .kv_bytes = lm_session_kv_bytes(&lm->shape, context),
    };
}
