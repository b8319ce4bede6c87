/* The plain functions. See dot.h. */
#include "backends/kernels/tinylm/dot.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "backends/kernels/tinylm/dot_kinds.h"
#include "base/little.h"

enum {
    BF16 = 30 /* as numbered by ggml */
};

enum { /* where the parts of a block lie; scale and least are halves */
    Q4_0_QUANTS = 2,
    Q4_1_QUANTS = 4,
    Q5_0_HIGH = 2,
    Q5_1_HIGH = 4,
    HIGH_BYTES = 4,
    Q8_0_QUANTS = 2,
    HALF_BLOCK = DOT_BLOCK / 2,
    K_SCALES = 4, /* of Q4_K and Q5_K: twelve bytes behind two halves */
    Q4_K_QUANTS = 16,
    Q5_K_HIGH = 16,
    Q5_K_QUANTS = 48,
    Q6_K_HIGH = 128,
    Q6_K_SCALES = 192,
    Q6_K_SCALE = 208,
};

/* Activations below it count as nothing: the inverse of their scale would not be finite. */
static const float SCALED_LEAST = 1e-30F;

float dot_from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 0x1f;
    uint32_t fraction = half & 0x3ff;
    float value = 0;
    if (exponent == 0) { /* zero and subnormal: fraction * 2^-24 */
        value = (float)fraction * 0x1p-24F;
        return sign != 0 ? -value : value;
    }
    uint32_t bits = sign | (exponent == 31 ? 0xffU : exponent + 112) << 23 | fraction << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t dot_to_half(float value)
{
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t rest = bits & 0x7fffffff;
    if (rest > 0x7f800000) {
        return (uint16_t)(sign | 0x7e00); /* not a number */
    }
    if (rest >= 0x477ff000) {
        return (uint16_t)(sign | 0x7c00); /* rounds beyond the greatest half */
    }
    if (rest < 0x38800000) { /* subnormal: a multiple of 2^-24, to nearest even by the addition */
        float magnitude = 0;
        memcpy(&magnitude, &rest, sizeof magnitude);
        return (uint16_t)(sign | (uint32_t)lrintf(magnitude * 0x1p24F));
    }
    rest += 0xfff + (rest >> 13 & 1); /* nearest, ties to even */
    return (uint16_t)(sign | ((rest >> 13) - (112U << 10)));
}

static float half_at(const unsigned char *at)
{
    return dot_from_half((uint16_t)(at[0] | at[1] << 8));
}

static void set_scale(struct dot_block *ret_block, float scale, float least)
{
    ret_block->scales[0] = scale;
    ret_block->scales[1] = scale;
    ret_block->least = least;
}

static void unpack_nibbles(const unsigned char *at, struct dot_block *ret_block)
{
    for (size_t i = 0; i < HALF_BLOCK; i++) {
        ret_block->quants[i] = at[i] & 15;
        ret_block->quants[i + HALF_BLOCK] = at[i] >> 4;
    }
}

/* The fifth bits, one for each weight. */
static void add_high_bits(const unsigned char *at, struct dot_block *ret_block)
{
    uint32_t bits = little_u32(at);
    for (size_t i = 0; i < DOT_BLOCK; i++) {
        ret_block->quants[i] |= (int)(bits >> i & 1) << 4;
    }
}

void dot_plain_q4_0(const unsigned char *at, size_t part, struct dot_block *ret_block)
{
    (void)part;
    set_scale(ret_block, half_at(at), -8 * half_at(at));
    unpack_nibbles(at + Q4_0_QUANTS, ret_block);
}

void dot_plain_q4_1(const unsigned char *at, size_t part, struct dot_block *ret_block)
{
    (void)part;
    set_scale(ret_block, half_at(at), half_at(at + 2));
    unpack_nibbles(at + Q4_1_QUANTS, ret_block);
}

void dot_plain_q5_0(const unsigned char *at, size_t part, struct dot_block *ret_block)
{
    (void)part;
    set_scale(ret_block, half_at(at), -16 * half_at(at));
    unpack_nibbles(at + Q5_0_HIGH + HIGH_BYTES, ret_block);
    add_high_bits(at + Q5_0_HIGH, ret_block);
}

void dot_plain_q5_1(const unsigned char *at, size_t part, struct dot_block *ret_block)
{
    (void)part;
    set_scale(ret_block, half_at(at), half_at(at + 2));
    unpack_nibbles(at + Q5_1_HIGH + HIGH_BYTES, ret_block);
    add_high_bits(at + Q5_1_HIGH, ret_block);
}

void dot_plain_q8_0(const unsigned char *at, size_t part, struct dot_block *ret_block)
{
    (void)part;
    set_scale(ret_block, half_at(at), 0);
    for (size_t i = 0; i < DOT_BLOCK; i++) {
        ret_block->quants[i] = (int8_t)at[Q8_0_QUANTS + i];
    }
}

/* Scale and least of a part, six bits each: of the first four parts in bytes of their own, whose upper
 * two bits are those of the last four, whose lower four are together in one byte. */
static void unpack_k_scales(const unsigned char *at, size_t part, struct dot_block *ret_block)
{
    const unsigned char *s = at + K_SCALES;
    bool is_first = part < DOT_PARTS / 2;
    int scale = is_first ? s[part] & 63 : (s[part + 4] & 15) | s[part - 4] >> 6 << 4;
    int least = is_first ? s[part + 4] & 63 : s[part + 4] >> 4 | s[part] >> 6 << 4;
    set_scale(ret_block, half_at(at) * (float)scale, -half_at(at + 2) * (float)least);
}

/* 32 bytes hold two parts: the lower and the upper nibbles. */
static void unpack_k_nibbles(const unsigned char *at, size_t part, struct dot_block *ret_block)
{
    for (size_t i = 0; i < DOT_BLOCK; i++) {
        ret_block->quants[i] = at[part / 2 * DOT_BLOCK + i] >> part % 2 * 4 & 15;
    }
}

void dot_plain_q4_k(const unsigned char *at, size_t part, struct dot_block *ret_block)
{
    unpack_k_scales(at, part, ret_block);
    unpack_k_nibbles(at + Q4_K_QUANTS, part, ret_block);
}

void dot_plain_q5_k(const unsigned char *at, size_t part, struct dot_block *ret_block)
{
    unpack_k_scales(at, part, ret_block);
    unpack_k_nibbles(at + Q5_K_QUANTS, part, ret_block);
    for (size_t i = 0; i < DOT_BLOCK; i++) {
        ret_block->quants[i] |= (at[Q5_K_HIGH + i] >> part & 1) << 4;
    }
}

/* Halves of four parts: 64 bytes of nibbles, the lower ones of all bytes first; 32 bytes of pairs of
 * upper bits, a pair for each part; 8 signed scales. */
void dot_plain_q6_k(const unsigned char *at, size_t part, struct dot_block *ret_block)
{
    size_t half = part / 4;
    size_t k = part % 4;
    const unsigned char *low = at + half * 2 * DOT_BLOCK + k % 2 * DOT_BLOCK;
    const unsigned char *high = at + Q6_K_HIGH + half * DOT_BLOCK;
    const int8_t *scales = (const int8_t *)at + Q6_K_SCALES + 2 * part;
    ret_block->scales[0] = half_at(at + Q6_K_SCALE) * (float)scales[0];
    ret_block->scales[1] = half_at(at + Q6_K_SCALE) * (float)scales[1];
    ret_block->least = 0;
    for (size_t i = 0; i < DOT_BLOCK; i++) {
        int q = (low[i] >> k / 2 * 4 & 15) | (high[i] >> 2 * k & 3) << 4;
        ret_block->quants[i] = q - 32;
    }
}

static float row_f32(const void *row, const struct dot_input *input, size_t n)
{
    const char *at = row;
    float total = 0;
    for (size_t i = 0; i < n; i++) {
        total += little_f32(at + i * sizeof total) * input->values[i];
    }
    return total;
}

static float row_f16(const void *row, const struct dot_input *input, size_t n)
{
    const unsigned char *at = row;
    float total = 0;
    for (size_t i = 0; i < n; i++) {
        total += half_at(at + 2 * i) * input->values[i];
    }
    return total;
}

/* The upper half of an F32. */
static float brain_at(const unsigned char *at)
{
    uint32_t bits = (uint32_t)(at[0] | at[1] << 8) << 16;
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float row_bf16(const void *row, const struct dot_input *input, size_t n)
{
    const unsigned char *at = row;
    float total = 0;
    for (size_t i = 0; i < n; i++) {
        total += brain_at(at + 2 * i) * input->values[i];
    }
    return total;
}

#define NUMBERS(type, name, bytes, id) {type, name, 1, bytes, 1, row_##id, NULL, NULL, NULL, NULL},
#define BLOCKS(type, name, bytes, id, tile)                                                        \
    {type, name, DOT_BLOCK, bytes, DOT_BLOCK, NULL, dot_plain_##id, NULL, NULL, NULL},
#define SUPERS(type, name, bytes, group, id, tile)                                                 \
    {type, name, DOT_SUPER, bytes, group, NULL, dot_plain_##id, NULL, NULL, NULL},

static const struct dot_kind plain_kinds[] = {DOT_KINDS(NUMBERS, BLOCKS, SUPERS)};

float dot_scale(float most)
{
    return isfinite(most) && most >= SCALED_LEAST ? most / 127 : 0;
}

static void quantise(const float *values, size_t n, int8_t *quants, float *scales)
{
    for (size_t b = 0; b < n / DOT_BLOCK; b++) {
        const float *x = values + b * DOT_BLOCK;
        float most = 0;
        for (size_t i = 0; i < DOT_BLOCK; i++) {
            most = fmaxf(most, fabsf(x[i]));
        }
        float scale = dot_scale(most);
        float inverse = scale > 0 ? 1 / scale : 0;
        int sums[2] = {0, 0};
        for (size_t i = 0; i < DOT_BLOCK; i++) {
            float scaled = x[i] * inverse;
            int q = isfinite(scaled) ? (int)lrintf(fminf(fmaxf(scaled, -127), 127)) : 0;
            quants[b * DOT_BLOCK + i] = (int8_t)q;
            sums[i / HALF_BLOCK] += q;
        }
        const float numbers[DOT_SCALES] = {scale, scale * (float)(sums[0] + sums[1]),
                                           (float)(128 * sums[0]), (float)(128 * sums[1])};
        memcpy(scales + DOT_SCALES * b, numbers, sizeof numbers);
    }
}

static void to_half(const float *from, uint16_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = dot_to_half(from[i]);
    }
}

/* s[p] = query * key[p] / sqrt(width). Returns the greatest one. */
static float score(const struct dot_heads *heads, size_t query)
{
    const float scale = 1 / sqrtf((float)heads->width);
    float most = -INFINITY;
    for (size_t p = 0; p < heads->counts[query]; p++) {
        const uint16_t *key = heads->keys + p / DOT_POSITIONS * DOT_POSITIONS * heads->width;
        float sum = 0;
        for (size_t i = 0; i < heads->width; i++) {
            sum += heads->queries[query][i] *
                   dot_from_half(key[i * DOT_POSITIONS + p % DOT_POSITIONS]);
        }
        heads->scores[p] = sum * scale;
        most = fmaxf(most, heads->scores[p]);
    }
    return most;
}

static void attend(const struct dot_heads *heads)
{
    for (size_t q = 0; q < heads->many; q++) {
        float most = score(heads, q);
        float total = 0;
        memset(heads->out[q], 0, heads->width * sizeof *heads->out[q]);
        for (size_t p = 0; p < heads->counts[q]; p++) {
            float weight = expf(heads->scores[p] - most);
            total += weight;
            for (size_t i = 0; i < heads->width; i++) {
                heads->out[q][i] += weight * dot_from_half(heads->values[p * heads->width + i]);
            }
        }
        for (size_t i = 0; i < heads->width; i++) {
            heads->out[q][i] /= total;
        }
    }
}

static void swish(float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        gate[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
    }
}

const struct dot_ops *dot_plain(void)
{
    static const struct dot_ops ops = {
        "plain", plain_kinds, sizeof plain_kinds / sizeof plain_kinds[0], quantise, to_half,
        attend,  swish,
    };
    return &ops;
}

const struct dot_ops *dot_best(void)
{
    const struct dot_ops *all[] = {dot_vnni(), dot_avx2(), dot_plain()};
    size_t i = 0;
    while (all[i] == NULL) {
        i++;
    }
    return all[i];
}

const struct dot_kind *dot_find(const struct dot_ops *ops, uint32_t type)
{
    for (size_t i = 0; i < ops->kind_count; i++) {
        if (ops->kinds[i].type == type) {
            return &ops->kinds[i];
        }
    }
    return NULL;
}

static void unpack(const struct dot_kind *kind, const void *row, size_t b,
                   struct dot_block *ret_block)
{
    size_t parts = kind->block / DOT_BLOCK;
    const unsigned char *at = row;
    kind->plain(at + b / parts * kind->bytes, b % parts, ret_block);
}

/* The equation of dot.h. */
static float dot_blocks(const struct dot_kind *kind, const void *row, const struct dot_input *input,
                        size_t n)
{
    struct dot_block block;
    float total = 0;
    for (size_t b = 0; b < n / DOT_BLOCK; b++) {
        unpack(kind, row, b, &block);
        const float *scales = input->scales + b * DOT_SCALES;
        const int8_t *quants = input->quants + b * DOT_BLOCK;
        for (size_t g = 0; g < DOT_BLOCK; g += kind->group) {
            int sum = 0;
            for (size_t i = g; i < g + kind->group; i++) {
                sum += block.quants[i] * quants[i];
            }
            total = fmaf(block.scales[g / HALF_BLOCK] * scales[0], (float)sum, total);
        }
        total = fmaf(block.least, scales[1], total);
    }
    return total;
}

float dot_row(const struct dot_kind *kind, const void *row, const struct dot_input *input, size_t n)
{
    return kind->row != NULL ? kind->row(row, input, n) : dot_blocks(kind, row, input, n);
}

/* DOT_ROWS rows with all inputs. */
static void multiply_panel(const struct dot_kind *kind, const struct dot_task *task, size_t row)
{
    struct dot_panel panel;
    const char *rows = task->rows + row * task->row_bytes;
    panel.source_bytes = (size_t)DOT_ROWS * DOT_BLOCK * kind->bytes / kind->block;
    size_t blocks = task->n / DOT_BLOCK;
    float *out = task->out + row;
    for (panel.first = 0; panel.first < blocks; panel.first += DOT_PARTS) {
        size_t rest = blocks - panel.first;
        panel.count = rest < DOT_PARTS ? rest : DOT_PARTS;
        panel.source = rows + panel.first * panel.source_bytes;
        kind->unpack(rows, task->row_bytes, &panel);
        size_t step = 0;
        for (size_t t = 0; t < task->input_count; t += step) {
            step = t + DOT_MANY <= task->input_count ? DOT_MANY : 1;
            kind->tile(&panel, &task->inputs[t], step, out + t * task->stride, task->stride);
        }
    }
}

/* One row, or one input, at a time would do for all; what can be done together is faster. */
void dot_multiply(const struct dot_kind *kind, const struct dot_task *task)
{
    bool is_column = task->input_count == 1 && kind->column != NULL;
    size_t together = is_column ? DOT_COLUMN : DOT_ROWS;
    if (kind->tile == NULL || task->row_count < together) {
        for (size_t i = 0; i < task->row_count * task->input_count; i++) {
            size_t row = i / task->input_count;
            size_t t = i % task->input_count;
            task->out[t * task->stride + row] =
                dot_row(kind, task->rows + row * task->row_bytes, &task->inputs[t], task->n);
        }
        return;
    }
    for (size_t i = 0; i < task->row_count; i += together) {
        size_t last = task->row_count - together; /* some rows twice rather than fewer together */
        size_t row = i < last ? i : last;
        if (is_column) {
            kind->column(task->rows + row * task->row_bytes, task->row_bytes, task->inputs,
                         task->n / DOT_BLOCK, task->out + row);
        } else {
            multiply_panel(kind, task, row);
        }
    }
}

void dot_expand(const struct dot_kind *kind, const void *row, float *out, size_t n)
{
    const unsigned char *at = row;
    struct dot_block block;
    for (size_t i = 0; i < n; i++) {
        size_t k = i % DOT_BLOCK;
        if (kind->plain != NULL && k == 0) {
            unpack(kind, row, i / DOT_BLOCK, &block);
        }
        if (kind->plain != NULL) {
            out[i] = block.scales[k / HALF_BLOCK] * (float)block.quants[k] + block.least;
        } else if (kind->bytes == 4) {
            out[i] = little_f32(at + 4 * i);
        } else {
            out[i] = kind->type == BF16 ? brain_at(at + 2 * i) : half_at(at + 2 * i);
        }
    }
}
