/* The forward pass. See lm.h for the equations. Keys and values are kept as halves, [layer][head], so
 * that one head reads one run of memory; how they lie there says dot.h. */
#include "backends/kernels/tinylm/lm_session.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum {
    SCORE_ROWS = 2048 / LM_BATCH, /* logits a token that are looked at together */
};

struct inputs { /* up to LM_BATCH vectors, also quantised */
    float *values;
    int8_t *quants;
    float *scales;
    size_t width; /* of a vector, as they lie in memory: rounded up to whole blocks */
};

struct lm_session {
    const struct lm *lm;
    size_t context;
    size_t room; /* positions: the context in whole groups of keys */
    size_t length;
    int32_t *tokens;
    uint16_t *keys;
    uint16_t *values;
    float *x;             /* [batch][width] */
    struct inputs narrow; /* [batch][width or heads * head] */
    struct inputs wide;   /* [batch][hidden] */
    float *q;             /* [batch][heads * head] */
    float *kv;            /* [batch][kv_heads * head] */
    float *up;            /* [batch][hidden] */
    float *scores;        /* [DOT_MANY][room] */
    float *turns;         /* [batch][rotary]: cosine and sine of each pair */
    float *frequencies;   /* [rotary / 2] */
    float *logits;        /* [vocabulary] */
};

static size_t rounded_up(size_t n, size_t step)
{
    return (n + step - 1) / step * step;
}

static size_t narrow_width(const struct lm_shape *p)
{
    size_t queries = p->heads * p->head;
    return queries > p->width ? queries : p->width;
}

/* ---- memory ---- */

static size_t inputs_bytes(size_t width)
{
    size_t n = rounded_up(width, DOT_BLOCK) * LM_BATCH;
    return n * (sizeof(float) + 1) + n / DOT_BLOCK * DOT_SCALES * sizeof(float);
}

size_t lm_session_kv_bytes(const struct lm_shape *shape, size_t context)
{
    return 2 * shape->layers * shape->kv_heads * shape->head * rounded_up(context, DOT_POSITIONS) *
           sizeof(uint16_t);
}

size_t lm_session_bytes(const struct lm_shape *shape, size_t context)
{
    size_t floats = LM_BATCH * (shape->width + narrow_width(shape) + shape->kv_heads * shape->head +
                                shape->hidden + shape->rotary) +
                    DOT_MANY * rounded_up(context, DOT_POSITIONS) + shape->rotary / 2 +
                    shape->vocabulary;
    return sizeof(struct lm_session) + lm_session_kv_bytes(shape, context) +
           context * sizeof(int32_t) + DOT_LANES * sizeof(uint16_t) + floats * sizeof(float) +
           inputs_bytes(narrow_width(shape)) + inputs_bytes(shape->hidden);
}

static bool init_inputs(struct inputs *in, size_t width)
{
    in->width = rounded_up(width, DOT_BLOCK);
    size_t n = in->width * LM_BATCH;
    in->values = mem_zalloc(n, sizeof *in->values);
    in->quants = mem_zalloc(n, sizeof *in->quants);
    in->scales = mem_zalloc(n / DOT_BLOCK, DOT_SCALES * sizeof *in->scales);
    return in->values != NULL && in->quants != NULL && in->scales != NULL;
}

static void fini_inputs(struct inputs *in)
{
    mem_free(in->values);
    mem_free(in->quants);
    mem_free(in->scales);
}

/* Angle of pair i at position p: p * scale * base^(-2i / rotary) / factor of the pair. */
static void fill_frequencies(struct lm_session *s)
{
    const struct lm_shape *p = &s->lm->shape;
    for (size_t i = 0; i < p->rotary / 2; i++) {
        float power = -2.0F * (float)i / (float)p->rotary;
        float factor = s->lm->rope_factors == NULL ? 1 : s->lm->rope_factors[i];
        s->frequencies[i] = powf(p->rope_base, power) * p->rope_scale / factor;
    }
}

struct lm_session *lm_session_create(const struct lm *lm, size_t context)
{
    ASSERT(context >= 1 && context <= LM_CONTEXT_MAX);
    const struct lm_shape *p = &lm->shape;
    struct lm_session *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->lm = lm;
    s->context = context;
    s->room = rounded_up(context, DOT_POSITIONS);
    size_t kv = p->layers * p->kv_heads * p->head * s->room;
    s->tokens = mem_zalloc(context, sizeof *s->tokens);
    s->keys = mem_zalloc(kv, sizeof *s->keys);
    s->values = mem_zalloc(kv + DOT_LANES, sizeof *s->values);
    s->x = mem_zalloc(LM_BATCH * p->width, sizeof *s->x);
    s->q = mem_zalloc(LM_BATCH * narrow_width(p), sizeof *s->q);
    s->kv = mem_zalloc(LM_BATCH * p->kv_heads * p->head, sizeof *s->kv);
    s->up = mem_zalloc(LM_BATCH * p->hidden, sizeof *s->up);
    s->scores = mem_zalloc(DOT_MANY * s->room, sizeof *s->scores);
    s->turns = mem_zalloc(LM_BATCH * p->rotary, sizeof *s->turns);
    s->frequencies = mem_zalloc(p->rotary / 2, sizeof *s->frequencies);
    s->logits = mem_zalloc(p->vocabulary, sizeof *s->logits);
    bool has_inputs = init_inputs(&s->narrow, narrow_width(p));
    has_inputs = init_inputs(&s->wide, p->hidden) && has_inputs;
    if (!has_inputs || s->tokens == NULL || s->keys == NULL || s->values == NULL || s->x == NULL ||
        s->q == NULL || s->kv == NULL || s->up == NULL || s->scores == NULL || s->turns == NULL ||
        s->frequencies == NULL || s->logits == NULL) {
        lm_session_destroy(s);
        return NULL;
    }
    fill_frequencies(s);
    return s;
}

void lm_session_destroy(struct lm_session *s)
{
    if (s == NULL) {
        return;
    }
    fini_inputs(&s->narrow);
    fini_inputs(&s->wide);
    mem_free(s->tokens);
    mem_free(s->keys);
    mem_free(s->values);
    mem_free(s->x);
    mem_free(s->q);
    mem_free(s->kv);
    mem_free(s->up);
    mem_free(s->scores);
    mem_free(s->turns);
    mem_free(s->frequencies);
    mem_free(s->logits);
    mem_free(s);
}

/* ---- the parts of a layer, for `n` tokens at a time ---- */

/* y = x / sqrt(mean(x^2) + epsilon) * weights */
static void normalise(const struct lm_shape *p, const float *x, const float *weights, float *y)
{
    float parts[8] = {0}; /* several sums at a time */
    for (size_t i = 0; i < p->width; i++) {
        parts[i % 8] += x[i] * x[i];
    }
    float squares = 0;
    for (size_t i = 0; i < 8; i++) {
        squares += parts[i];
    }
    float scale = 1 / sqrtf(squares / (float)p->width + p->epsilon);
    for (size_t i = 0; i < p->width; i++) {
        y[i] = x[i] * scale * weights[i];
    }
}

/* Quantises n vectors of `width`, where it is made of whole blocks: no other meets quantised
 * weights. */
static void quantise(const struct dot_ops *ops, struct inputs *in, size_t width, size_t n)
{
    if (width % DOT_BLOCK != 0) {
        return;
    }
    for (size_t t = 0; t < n; t++) {
        size_t at = t * in->width;
        ops->quantise(in->values + at, width, in->quants + at,
                      in->scales + at / DOT_BLOCK * DOT_SCALES);
    }
}

static struct dot_input input_of(const struct inputs *in, size_t t)
{
    size_t at = t * in->width;
    return (struct dot_input){in->values + at, in->quants + at,
                              in->scales + at / DOT_BLOCK * DOT_SCALES};
}

/* out[t * stride + row] = row of m * in[t], for n tokens. */
static void multiply(const struct lm_matrix *m, const struct inputs *in, size_t n, float *out,
                     size_t stride)
{
    struct dot_input input[LM_BATCH];
    for (size_t t = 0; t < n; t++) {
        input[t] = input_of(in, t);
    }
    dot_multiply(m->kind, &(struct dot_task){m->data, m->row_bytes, m->rows, m->cols, input, n, out,
                                             stride});
}

static void add_bias(const float *bias, size_t width, size_t n, float *out)
{
    for (size_t i = 0; bias != NULL && i < n * width; i++) {
        out[i] += bias[i % width];
    }
}

/* Cosines and sines of the positions that are read now. */
static void fill_turns(struct lm_session *s, size_t n)
{
    size_t pairs = s->lm->shape.rotary / 2;
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < pairs; i++) {
            float angle = (float)(s->length + t) * s->frequencies[i];
            s->turns[(t * pairs + i) * 2] = cosf(angle);
            s->turns[(t * pairs + i) * 2 + 1] = sinf(angle);
        }
    }
}

/* Rotates the heads of one token. */
static void rotate(const struct lm_session *s, size_t t, float *heads, size_t count)
{
    const struct lm_shape *p = &s->lm->shape;
    size_t pairs = p->rotary / 2;
    const float *turn = s->turns + t * p->rotary;
    size_t step = p->rotates_halves ? 1 : 2;
    size_t apart = p->rotates_halves ? pairs : 1;
    for (size_t h = 0; h < count; h++) {
        float *head = heads + h * p->head;
        for (size_t i = 0; i < pairs; i++) {
            float a = head[i * step];
            float b = head[i * step + apart];
            head[i * step] = a * turn[2 * i] - b * turn[2 * i + 1];
            head[i * step + apart] = a * turn[2 * i + 1] + b * turn[2 * i];
        }
    }
}

/* Where a head's keys or values start. */
static size_t head_at(const struct lm_session *s, size_t layer, size_t kv_head)
{
    const struct lm_shape *p = &s->lm->shape;
    return (layer * p->kv_heads + kv_head) * s->room * p->head;
}

/* Keeps the keys of n tokens, in s->kv, as halves. */
static void keep_keys(struct lm_session *s, size_t layer, size_t n)
{
    const struct lm_shape *p = &s->lm->shape;
    uint16_t halves[LM_HEAD_MAX];
    for (size_t i = 0; i < n * p->kv_heads; i++) {
        size_t at = s->length + i / p->kv_heads;
        uint16_t *to = s->keys + head_at(s, layer, i % p->kv_heads) +
                       at / DOT_POSITIONS * DOT_POSITIONS * p->head + at % DOT_POSITIONS;
        s->lm->ops->to_half(s->kv + i * p->head, halves, p->head);
        for (size_t k = 0; k < p->head; k++) {
            to[k * DOT_POSITIONS] = halves[k];
        }
    }
}

/* The same of the values. */
static void keep_values(struct lm_session *s, size_t layer, size_t n)
{
    const struct lm_shape *p = &s->lm->shape;
    for (size_t i = 0; i < n * p->kv_heads; i++) {
        uint16_t *to = s->values + head_at(s, layer, i % p->kv_heads) +
                       (s->length + i / p->kv_heads) * p->head;
        s->lm->ops->to_half(s->kv + i * p->head, to, p->head);
    }
}

/* All queries of n tokens that one head of keys and values answers, DOT_MANY at a time. */
static void attend(struct lm_session *s, size_t layer, size_t kv_head, size_t n)
{
    const struct lm_shape *p = &s->lm->shape;
    size_t group = p->heads / p->kv_heads;
    struct dot_heads heads = {
        .keys = s->keys + head_at(s, layer, kv_head),
        .values = s->values + head_at(s, layer, kv_head),
        .width = p->head,
        .scores = s->scores,
        .stride = s->room,
    };
    for (size_t i = 0; i < n * group; i += heads.many) {
        heads.many = n * group - i < DOT_MANY ? n * group - i : DOT_MANY;
        for (size_t k = 0; k < heads.many; k++) {
            size_t t = (i + k) / group;
            size_t at = (kv_head * group + (i + k) % group) * p->head;
            heads.queries[k] = s->q + t * p->heads * p->head + at;
            heads.counts[k] = s->length + t + 1;
            heads.out[k] = s->narrow.values + t * s->narrow.width + at;
        }
        s->lm->ops->attend(&heads);
    }
}

static void read_attention(struct lm_session *s, size_t l, size_t n)
{
    const struct lm_shape *p = &s->lm->shape;
    const struct lm_layer *layer = &s->lm->layers[l];
    size_t queries = p->heads * p->head;
    size_t keys = p->kv_heads * p->head;
    multiply(&layer->q, &s->narrow, n, s->q, queries);
    add_bias(layer->q_bias, queries, n, s->q);
    multiply(&layer->k, &s->narrow, n, s->kv, keys);
    add_bias(layer->k_bias, keys, n, s->kv);
    for (size_t t = 0; t < n; t++) {
        rotate(s, t, s->q + t * queries, p->heads);
        rotate(s, t, s->kv + t * keys, p->kv_heads);
    }
    keep_keys(s, l, n);
    multiply(&layer->v, &s->narrow, n, s->kv, keys);
    add_bias(layer->v_bias, keys, n, s->kv);
    keep_values(s, l, n);
    for (size_t h = 0; h < p->kv_heads; h++) {
        attend(s, l, h, n);
    }
    quantise(s->lm->ops, &s->narrow, queries, n);
    multiply(&layer->out, &s->narrow, n, s->q, p->width);
}

static void read_feed_forward(struct lm_session *s, size_t l, size_t n)
{
    const struct lm_shape *p = &s->lm->shape;
    const struct lm_layer *layer = &s->lm->layers[l];
    multiply(&layer->up, &s->narrow, n, s->up, p->hidden);
    multiply(&layer->gate, &s->narrow, n, s->wide.values, s->wide.width);
    for (size_t t = 0; t < n; t++) {
        s->lm->ops->swish(s->wide.values + t * s->wide.width, s->up + t * p->hidden, p->hidden);
    }
    quantise(s->lm->ops, &s->wide, p->hidden, n);
    multiply(&layer->down, &s->wide, n, s->q, p->width);
}

/* narrow = rms(x) * weights, for n tokens */
static void prepare(struct lm_session *s, const float *weights, size_t n)
{
    const struct lm_shape *p = &s->lm->shape;
    for (size_t t = 0; t < n; t++) {
        normalise(p, s->x + t * p->width, weights, s->narrow.values + t * s->narrow.width);
    }
    quantise(s->lm->ops, &s->narrow, p->width, n);
}

/* x = x + what a part of a layer left in q */
static void add(struct lm_session *s, size_t n)
{
    for (size_t i = 0; i < n * s->lm->shape.width; i++) {
        s->x[i] += s->q[i];
    }
}

/* ---- public ---- */

size_t lm_session_context(const struct lm_session *s)
{
    return s->context;
}

size_t lm_session_length(const struct lm_session *s)
{
    return s->length;
}

size_t lm_session_common(const struct lm_session *s, const int32_t *tokens, size_t count)
{
    size_t n = 0;
    while (n < count && n < s->length && s->tokens[n] == tokens[n]) {
        n++;
    }
    return n;
}

void lm_session_cut(struct lm_session *s, size_t length)
{
    s->length = length < s->length ? length : s->length;
}

static bool are_tokens(const struct lm_session *s, const int32_t *tokens, size_t count)
{
    for (size_t t = 0; t < count; t++) {
        if (tokens[t] < 0 || (size_t)tokens[t] >= s->lm->shape.vocabulary) {
            return false;
        }
    }
    return true;
}

/* Leaves in x what the last layer says of each token. */
static enum status read_layers(struct lm_session *s, const int32_t *tokens, size_t count)
{
    ASSERT(count >= 1 && count <= LM_BATCH);
    const struct lm *lm = s->lm;
    const struct lm_shape *p = &lm->shape;
    if (count > s->context - s->length) {
        return ST_TOO_BIG;
    }
    if (!are_tokens(s, tokens, count)) {
        return ST_INVALID;
    }
    for (size_t t = 0; t < count; t++) {
        dot_expand(lm->embedding.kind,
                   lm->embedding.data + (size_t)tokens[t] * lm->embedding.row_bytes,
                   s->x + t * p->width, p->width);
        s->tokens[s->length + t] = tokens[t];
    }
    fill_turns(s, count);
    for (size_t l = 0; l < p->layers; l++) {
        prepare(s, lm->layers[l].attn_norm, count);
        read_attention(s, l, count);
        add(s, count);
        prepare(s, lm->layers[l].ffn_norm, count);
        read_feed_forward(s, l, count);
        add(s, count);
    }
    s->length += count;
    return ST_OK;
}

/* ln(sum of exp(logit)) of a token, as far as its logits are known: most + ln(total). */
struct mass {
    float most;
    double total;
};

static void weigh(struct mass *m, const float *logits, size_t count)
{
    float most = m->most;
    for (size_t i = 0; i < count; i++) {
        most = fmaxf(most, logits[i]);
    }
    m->total *= (double)expf(m->most - most);
    m->most = most;
    for (size_t i = 0; i < count; i++) {
        m->total += (double)expf(logits[i] - most);
    }
}

enum status lm_session_read(struct lm_session *s, const int32_t *tokens, size_t count,
                            bool wants_logits)
{
    const struct lm *lm = s->lm;
    const struct lm_shape *p = &lm->shape;
    enum status st = read_layers(s, tokens, count);
    if (st == ST_OK && wants_logits) {
        memmove(s->x, s->x + (count - 1) * p->width, p->width * sizeof *s->x);
        prepare(s, lm->output_norm, 1);
        multiply(&lm->output, &s->narrow, 1, s->logits, p->vocabulary);
    }
    return st;
}

float *lm_session_logits(struct lm_session *s)
{
    return s->logits;
}

/* The output layer is computed in parts of SCORE_ROWS: the logits of all positions at once would take
 * LM_BATCH times the vocabulary. */
enum status lm_session_score(struct lm_session *s, const int32_t *tokens, const int32_t *next,
                             size_t count, float *ret_logs)
{
    const struct lm_matrix *output = &s->lm->output;
    float logits[LM_BATCH * SCORE_ROWS];
    struct mass masses[LM_BATCH];
    float chosen[LM_BATCH] = {0};
    enum status st = are_tokens(s, next, count) ? read_layers(s, tokens, count) : ST_INVALID;
    if (st != ST_OK) {
        return st;
    }
    prepare(s, s->lm->output_norm, count);
    for (size_t t = 0; t < count; t++) {
        masses[t] = (struct mass){-INFINITY, 0};
    }
    for (size_t row = 0; row < output->rows; row += SCORE_ROWS) {
        struct lm_matrix part = *output;
        part.data += row * output->row_bytes;
        part.rows = output->rows - row < SCORE_ROWS ? output->rows - row : SCORE_ROWS;
        multiply(&part, &s->narrow, count, logits, SCORE_ROWS);
        for (size_t t = 0; t < count; t++) {
            weigh(&masses[t], logits + t * SCORE_ROWS, part.rows);
            size_t at = (size_t)next[t] - row; /* wraps for rows before: then it is beyond */
            chosen[t] = at < part.rows ? logits[t * SCORE_ROWS + at] : chosen[t];
        }
    }
    for (size_t t = 0; t < count; t++) {
        ret_logs[t] = chosen[t] - masses[t].most - (float)log(masses[t].total);
    }
    return ST_OK;
}

enum status lm_session_states(struct lm_session *s, const int32_t *tokens, size_t count,
                              const float **ret_states, size_t *ret_stride)
{
    enum status st = read_layers(s, tokens, count);
    if (st != ST_OK) {
        return st;
    }
    prepare(s, s->lm->output_norm, count);
    *ret_states = s->narrow.values;
    *ret_stride = s->narrow.width;
    return ST_OK;
}
