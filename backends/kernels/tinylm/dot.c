/* The plain functions. See dot.h. */
#include "backends/kernels/tinylm/dot.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

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
    PARTS = DOT_SUPER / DOT_BLOCK,
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

struct block { /* one block of weights, unpacked */
    int quants[DOT_BLOCK];
    float scale;
    float least;
};

/* `part`: which block of DOT_BLOCK of those that are stored together. */
typedef void unpack_fn(const unsigned char *at, size_t part, struct block *out);

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

static void unpack_nibbles(const unsigned char *at, struct block *out)
{
    for (size_t i = 0; i < HALF_BLOCK; i++) {
        out->quants[i] = at[i] & 15;
        out->quants[i + HALF_BLOCK] = at[i] >> 4;
    }
}

/* The fifth bits, one for each weight. */
static void add_high_bits(const unsigned char *at, struct block *out)
{
    uint32_t bits = little_u32(at);
    for (size_t i = 0; i < DOT_BLOCK; i++) {
        out->quants[i] |= (int)(bits >> i & 1) << 4;
    }
}

static void unpack_q4_0(const unsigned char *at, size_t part, struct block *out)
{
    (void)part;
    out->scale = half_at(at);
    out->least = -8 * out->scale;
    unpack_nibbles(at + Q4_0_QUANTS, out);
}

static void unpack_q4_1(const unsigned char *at, size_t part, struct block *out)
{
    (void)part;
    out->scale = half_at(at);
    out->least = half_at(at + 2);
    unpack_nibbles(at + Q4_1_QUANTS, out);
}

static void unpack_q5_0(const unsigned char *at, size_t part, struct block *out)
{
    (void)part;
    out->scale = half_at(at);
    out->least = -16 * out->scale;
    unpack_nibbles(at + Q5_0_HIGH + HIGH_BYTES, out);
    add_high_bits(at + Q5_0_HIGH, out);
}

static void unpack_q5_1(const unsigned char *at, size_t part, struct block *out)
{
    (void)part;
    out->scale = half_at(at);
    out->least = half_at(at + 2);
    unpack_nibbles(at + Q5_1_HIGH + HIGH_BYTES, out);
    add_high_bits(at + Q5_1_HIGH, out);
}

static void unpack_q8_0(const unsigned char *at, size_t part, struct block *out)
{
    (void)part;
    out->scale = half_at(at);
    out->least = 0;
    for (size_t i = 0; i < DOT_BLOCK; i++) {
        out->quants[i] = (int8_t)at[Q8_0_QUANTS + i];
    }
}

/* Scale and least of a part, six bits each: of the first four parts in bytes of their own, whose upper
 * two bits are those of the last four, whose lower four are together in one byte. */
static void unpack_k_scales(const unsigned char *at, size_t part, struct block *out)
{
    const unsigned char *s = at + K_SCALES;
    bool is_first = part < PARTS / 2;
    int scale = is_first ? s[part] & 63 : (s[part + 4] & 15) | s[part - 4] >> 6 << 4;
    int least = is_first ? s[part + 4] & 63 : s[part + 4] >> 4 | s[part] >> 6 << 4;
    out->scale = half_at(at) * (float)scale;
    out->least = -half_at(at + 2) * (float)least;
}

/* 32 bytes hold two parts: the lower and the upper nibbles. */
static void unpack_k_nibbles(const unsigned char *at, size_t part, struct block *out)
{
    for (size_t i = 0; i < DOT_BLOCK; i++) {
        out->quants[i] = at[part / 2 * DOT_BLOCK + i] >> part % 2 * 4 & 15;
    }
}

static void unpack_q4_k(const unsigned char *at, size_t part, struct block *out)
{
    unpack_k_scales(at, part, out);
    unpack_k_nibbles(at + Q4_K_QUANTS, part, out);
}

static void unpack_q5_k(const unsigned char *at, size_t part, struct block *out)
{
    unpack_k_scales(at, part, out);
    unpack_k_nibbles(at + Q5_K_QUANTS, part, out);
    for (size_t i = 0; i < DOT_BLOCK; i++) {
        out->quants[i] |= (at[Q5_K_HIGH + i] >> part & 1) << 4;
    }
}

/* Halves of four parts: 64 bytes of nibbles, the lower ones of all bytes first; 32 bytes of pairs of
 * upper bits, a pair for each part; 8 signed scales. */
static void unpack_q6_k(const unsigned char *at, size_t part, struct block *out)
{
    size_t half = part / 4;
    size_t k = part % 4;
    const unsigned char *low = at + half * 2 * DOT_BLOCK + k % 2 * DOT_BLOCK;
    const unsigned char *high = at + Q6_K_HIGH + half * DOT_BLOCK;
    out->scale = half_at(at + Q6_K_SCALE);
    out->least = 0;
    for (size_t i = 0; i < DOT_BLOCK; i++) {
        int q = (low[i] >> k / 2 * 4 & 15) | (high[i] >> 2 * k & 3) << 4;
        out->quants[i] = (int8_t)at[Q6_K_SCALES + 2 * part + i / HALF_BLOCK] * (q - 32);
    }
}

static const struct unpacking {
    uint32_t type;
    uint32_t block;
    uint32_t bytes;
    unpack_fn *unpack;
} unpackings[] = {
    {2, DOT_BLOCK, 18, unpack_q4_0},   {3, DOT_BLOCK, 20, unpack_q4_1},
    {6, DOT_BLOCK, 22, unpack_q5_0},   {7, DOT_BLOCK, 24, unpack_q5_1},
    {8, DOT_BLOCK, 34, unpack_q8_0},   {12, DOT_SUPER, 144, unpack_q4_k},
    {13, DOT_SUPER, 176, unpack_q5_k}, {14, DOT_SUPER, 210, unpack_q6_k},
};

static void unpack(const struct unpacking *u, const unsigned char *row, size_t b, struct block *out)
{
    size_t parts = u->block / DOT_BLOCK;
    u->unpack(row + b / parts * u->bytes, b % parts, out);
}

static float dot_blocks(const struct unpacking *u, const void *row, const struct dot_input *input,
                        size_t n)
{
    const unsigned char *at = row;
    struct block block;
    float total = 0;
    for (size_t b = 0; b < n / DOT_BLOCK; b++) {
        unpack(u, at, b, &block);
        int sum = 0;
        for (size_t i = 0; i < DOT_BLOCK; i++) {
            sum += block.quants[i] * input->quants[b * DOT_BLOCK + i];
        }
        total += block.scale * input->scales[2 * b] * (float)sum +
                 block.least * input->scales[2 * b + 1];
    }
    return total;
}

static float row_q4_0(const void *row, const struct dot_input *input, size_t n)
{
    return dot_blocks(&unpackings[0], row, input, n);
}

static float row_q4_1(const void *row, const struct dot_input *input, size_t n)
{
    return dot_blocks(&unpackings[1], row, input, n);
}

static float row_q5_0(const void *row, const struct dot_input *input, size_t n)
{
    return dot_blocks(&unpackings[2], row, input, n);
}

static float row_q5_1(const void *row, const struct dot_input *input, size_t n)
{
    return dot_blocks(&unpackings[3], row, input, n);
}

static float row_q8_0(const void *row, const struct dot_input *input, size_t n)
{
    return dot_blocks(&unpackings[4], row, input, n);
}

static float row_q4_k(const void *row, const struct dot_input *input, size_t n)
{
    return dot_blocks(&unpackings[5], row, input, n);
}

static float row_q5_k(const void *row, const struct dot_input *input, size_t n)
{
    return dot_blocks(&unpackings[6], row, input, n);
}

static float row_q6_k(const void *row, const struct dot_input *input, size_t n)
{
    return dot_blocks(&unpackings[7], row, input, n);
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

static const struct dot_kind plain_kinds[] = {
    {0, "F32", 1, 4, row_f32, NULL, NULL, NULL},
    {1, "F16", 1, 2, row_f16, NULL, NULL, NULL},
    {2, "Q4_0", DOT_BLOCK, 18, row_q4_0, NULL, NULL, NULL},
    {3, "Q4_1", DOT_BLOCK, 20, row_q4_1, NULL, NULL, NULL},
    {6, "Q5_0", DOT_BLOCK, 22, row_q5_0, NULL, NULL, NULL},
    {7, "Q5_1", DOT_BLOCK, 24, row_q5_1, NULL, NULL, NULL},
    {8, "Q8_0", DOT_BLOCK, 34, row_q8_0, NULL, NULL, NULL},
    {12, "Q4_K", DOT_SUPER, 144, row_q4_k, NULL, NULL, NULL},
    {13, "Q5_K", DOT_SUPER, 176, row_q5_k, NULL, NULL, NULL},
    {14, "Q6_K", DOT_SUPER, 210, row_q6_k, NULL, NULL, NULL},
    {BF16, "BF16", 1, 2, row_bf16, NULL, NULL, NULL},
};

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
        int sum = 0;
        for (size_t i = 0; i < DOT_BLOCK; i++) {
            float scaled = x[i] * inverse;
            int q = isfinite(scaled) ? (int)lrintf(fminf(fmaxf(scaled, -127), 127)) : 0;
            quants[b * DOT_BLOCK + i] = (int8_t)q;
            sum += q;
        }
        scales[2 * b] = scale;
        scales[2 * b + 1] = scale * (float)sum;
    }
}

static float half(const uint16_t *a, const float *b, size_t n)
{
    float total = 0;
    for (size_t i = 0; i < n; i++) {
        total += dot_from_half(a[i]) * b[i];
    }
    return total;
}

static void add_half(float *to, float factor, const uint16_t *a, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] += factor * dot_from_half(a[i]);
    }
}

static void to_half(const float *from, uint16_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = dot_to_half(from[i]);
    }
}

const struct dot_ops *dot_plain(void)
{
    static const struct dot_ops ops = {
        "plain",  plain_kinds, sizeof plain_kinds / sizeof plain_kinds[0], quantise, half,
        add_half, to_half,
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

/* DOT_ROWS rows with all inputs. */
static void multiply_rows(const struct dot_kind *kind, const struct dot_task *task, size_t row)
{
    const char *rows = task->rows + row * task->row_bytes;
    float out[DOT_ROWS * DOT_MANY];
    size_t step = 0;
    for (size_t t = 0; t < task->input_count; t += step) {
        bool is_many = t + DOT_MANY <= task->input_count;
        step = is_many ? DOT_MANY : 1;
        (is_many ? kind->tile : kind->column)(rows, task->row_bytes, &task->inputs[t], task->n,
                                              out);
        for (size_t k = 0; k < step; k++) {
            memcpy(&task->out[(t + k) * task->stride + row], &out[k * DOT_ROWS],
                   DOT_ROWS * sizeof *out);
        }
    }
}

static void multiply_row(const struct dot_kind *kind, const struct dot_task *task, size_t row)
{
    const char *weights = task->rows + row * task->row_bytes;
    size_t t = 0;
    for (; kind->many != NULL && t + DOT_MANY <= task->input_count; t += DOT_MANY) {
        float out[DOT_MANY];
        kind->many(weights, &task->inputs[t], task->n, out);
        for (size_t k = 0; k < DOT_MANY; k++) {
            task->out[(t + k) * task->stride + row] = out[k];
        }
    }
    for (; t < task->input_count; t++) {
        task->out[t * task->stride + row] = kind->row(weights, &task->inputs[t], task->n);
    }
}

void dot_multiply(const struct dot_kind *kind, const struct dot_task *task)
{
    size_t row = 0;
    for (; kind->tile != NULL && row + DOT_ROWS <= task->row_count; row += DOT_ROWS) {
        multiply_rows(kind, task, row);
    }
    for (; row < task->row_count; row++) {
        multiply_row(kind, task, row);
    }
}

void dot_expand(const struct dot_kind *kind, const void *row, float *out, size_t n)
{
    const unsigned char *at = row;
    for (size_t u = 0; u < sizeof unpackings / sizeof unpackings[0]; u++) {
        if (unpackings[u].type != kind->type) {
            continue;
        }
        struct block block;
        for (size_t i = 0; i < n; i++) {
            if (i % DOT_BLOCK == 0) {
                unpack(&unpackings[u], at, i / DOT_BLOCK, &block);
            }
            out[i] = block.scale * (float)block.quants[i % DOT_BLOCK] + block.least;
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (kind->bytes == 4) {
            out[i] = little_f32(at + 4 * i);
        } else {
            out[i] = kind->type == BF16 ? brain_at(at + 2 * i) : half_at(at + 2 * i);
        }
    }
}
