/* Inner products of stored weights with activations: what a model spends its time on. For each type
 * of weights a plain C function, which says what is meant, one with AVX2, FMA and F16C, and one with
 * AVX-512's VNNI besides, chosen when a model is loaded. Pure; any thread.
 *
 * Quantised weights come in blocks of 32: w[i] = scale * q[i] + least, with q[i] unsigned (Q8_0:
 * signed, least 0; Q4_0 and Q5_0: least = -8 or -16 scales). Activations are quantised in the same
 * blocks, x[i] = scale * q[i] with q[i] from -127 to 127, so that a block's part of the product is
 *   scale_w * scale_x * sum(q_w[i] * q_x[i]) + least * scale_x * sum(q_x[i]).
 * The K types keep eight such blocks together and their scales and least values as small integers, times
 * one number for all. Q6_K has an integer for each half of a block, s: there q[i] is s * (stored - 32). */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    DOT_BLOCK = 32,
    DOT_SUPER = 256, /* weights of a block of the K types: eight blocks with scales of their own */
    DOT_MANY = 4,    /* inputs that a row is multiplied with at once */
    DOT_ROWS = 4,    /* rows that meet them together */
};

struct dot_input {        /* one vector of activations; lengths are multiples of DOT_BLOCK where */
    const float *values;  /* quantised weights meet it */
    const int8_t *quants; /* the same, quantised: dot_quantise */
    const float *scales;  /* two a block: its scale, and scale * sum of its quants */
};

/* The product of a row of n weights, as it lies in the file, with an input. */
typedef float dot_row_fn(const void *row, const struct dot_input *input, size_t n);

/* The same with DOT_MANY inputs, to the last bit: what is read together and what is not must not make a
 * difference. */
typedef void dot_many_fn(const void *row, const struct dot_input *inputs, size_t n, float *out);

/* The same for DOT_ROWS rows, `row_bytes` apart, and one input or DOT_MANY of them, to the last bit:
 * out[input * DOT_ROWS + row]. */
typedef void dot_tile_fn(const void *rows, size_t row_bytes, const struct dot_input *inputs,
                         size_t n, float *out);

struct dot_kind {
    uint32_t type; /* as numbered by ggml */
    const char *name;
    uint32_t block; /* weights stored together: 1, DOT_BLOCK or DOT_SUPER */
    uint32_t bytes; /* of a block */
    dot_row_fn *row;
    dot_many_fn *many;   /* NULL: row by row is as good */
    dot_tile_fn *column; /* with one input; NULL, like the next: there is no such function */
    dot_tile_fn *tile;   /* with DOT_MANY */
};

struct dot_ops {
    const char *name; /* "plain", "avx2", "vnni" */
    const struct dot_kind *kinds;
    size_t kind_count;
    /* Fills quants and scales of n values, a multiple of DOT_BLOCK. */
    void (*quantise)(const float *values, size_t n, int8_t *quants, float *scales);
    float (*half)(const uint16_t *a, const float *b, size_t n);             /* sum of a[i] * b[i] */
    void (*add_half)(float *to, float factor, const uint16_t *a, size_t n); /* to += factor * a */
    void (*to_half)(const float *from, uint16_t *to, size_t n);
};

const struct dot_ops *dot_plain(void);
const struct dot_ops *dot_avx2(void); /* NULL: this machine has no AVX2, FMA or F16C */
const struct dot_ops *
dot_vnni(void); /* NULL: or no AVX-512 VNNI; to the last bit dot_avx2's results */
const struct dot_ops *dot_best(void);

/* NULL: weights of this type are not computed with here. */
const struct dot_kind *dot_find(const struct dot_ops *ops, uint32_t type);

struct dot_task { /* a matrix and some inputs; all borrowed */
    const char *rows;
    size_t row_bytes;
    size_t row_count;
    size_t n; /* weights of a row */
    const struct dot_input *inputs;
    size_t input_count;
    float *out; /* out[input * stride + row] */
    size_t stride;
};

/* All rows with all inputs, by the fastest functions that the kind has. */
void dot_multiply(const struct dot_kind *kind, const struct dot_task *task);

/* A row of n weights as numbers. */
void dot_expand(const struct dot_kind *kind, const void *row, float *out, size_t n);

/* The scale of a block whose greatest magnitude is `most`: 0 where that is next to nothing, or not
 * finite, which makes nothing of the block: such a model is broken either way. */
float dot_scale(float most);

/* IEEE 754 binary16; to_half rounds to nearest even. */
float dot_from_half(uint16_t half);
uint16_t dot_to_half(float value);
