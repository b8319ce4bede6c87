/* Inner products of stored weights with activations: what a model spends its time on. Plain C functions
 * say what is meant; those with AVX2, FMA and F16C, and those with AVX-512 and its VNNI, chosen when a
 * model is loaded, are fast. Pure; any thread.
 *
 * Quantised weights come in blocks of 32: w[i] = scale * q[i] + least, with q[i] unsigned (Q8_0, Q6_K:
 * signed, least 0; Q4_0 and Q5_0: least = -8 or -16 scales). Q6_K has a scale for each half of a block.
 * Activations are quantised in the same blocks, x[i] = scale * q[i] with q[i] from -127 to 127. A
 * block's part of a product is, in this order, with a single rounding each (fma),
 *   total = total + (scale_w * scale_x) * sum(q_w[i] * q_x[i]);  total = total + least * (scale_x * sum(q_x[i]))
 * and the sums are exact. So it makes no difference, to the last bit, how many rows and inputs are
 * computed together, nor by which functions. The K types keep eight blocks together and their scales
 * and least values as small integers, times one number for all. */
#pragma once

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DOT_BLOCK = 32,
    DOT_SUPER = 256, /* weights of a block of the K types: eight blocks with scales of their own */
    DOT_PARTS = DOT_SUPER / DOT_BLOCK,
    DOT_SCALES = 4,     /* numbers that go with a block of activations */
    DOT_MANY = 4,       /* inputs, and queries, that are computed together */
    DOT_ROWS = 16,      /* rows that are unpacked together */
    DOT_COLUMN = 4,     /* rows that meet one input together */
    DOT_POSITIONS = 32, /* keys that lie interleaved */
    DOT_LANES = 16,     /* numbers that may be read behind the last value, if not used */
};

struct dot_input {        /* one vector of activations; lengths are multiples of DOT_BLOCK where */
    const float *values;  /* quantised weights meet it */
    const int8_t *quants; /* the same, quantised: dot_ops.quantise */
    const float
        *scales; /* DOT_SCALES a block: its scale, scale * sum of its quants, and 128 times the */
};               /* sum of the first and of the second half of them */

/* DOT_ROWS rows of `count` blocks of 32, the `first` and those behind it, unpacked: a word holds
 * four weights of a row, one of its bytes each. */
struct dot_panel {
    alignas(64) uint32_t quants[DOT_PARTS][DOT_BLOCK / 4][DOT_ROWS];
    float scales[DOT_PARTS][2][DOT_ROWS]; /* the second for the second half, if it has its own */
    float least[DOT_PARTS][DOT_ROWS];     /* where the type has such values */
    size_t first;
    size_t count;
    const char
        *source; /* these blocks, if rows did not lie one behind the other but block by block: */
    size_t source_bytes; /* so much of each; says what memory is soon asked for */
};

struct dot_block { /* one block of weights, unpacked, for the plain functions */
    int quants[DOT_BLOCK];
    float scales[2]; /* of the halves */
    float least;
};

/* `part`: which block of DOT_BLOCK of those that are stored together. */
typedef void dot_block_fn(const unsigned char *at, size_t part, struct dot_block *ret_block);

/* The product of a row of n numbers, as it lies in the file, with an input. */
typedef float dot_row_fn(const void *row, const struct dot_input *input, size_t n);

/* Fills a panel, whose `first` and `count` say what with. May ask for memory behind the rows: only to
 * have it at hand. */
typedef void dot_unpack_fn(const char *rows, size_t row_bytes, struct dot_panel *panel);

/* Adds the panel's part of the products with 1 or DOT_MANY inputs to out[input * stride + row], or sets
 * them where `first` is 0. */
typedef void dot_tile_fn(const struct dot_panel *panel, const struct dot_input *inputs,
                         size_t count, float *out, size_t stride);

/* out[row] = the products of DOT_COLUMN rows of so many blocks with one input. */
typedef void dot_column_fn(const char *rows, size_t row_bytes, const struct dot_input *input,
                           size_t blocks, float *out);

struct dot_kind {
    uint32_t type; /* as numbered by ggml */
    const char *name;
    uint32_t block;  /* weights stored together: 1, DOT_BLOCK or DOT_SUPER */
    uint32_t bytes;  /* of a block */
    uint32_t group;  /* of them, which share a scale */
    dot_row_fn *row; /* numbers; NULL, and the others not: quantised */
    dot_block_fn *plain;
    dot_unpack_fn *unpack; /* NULL, like tile: block by block */
    dot_tile_fn *tile;
    dot_column_fn *column; /* NULL: no better than a tile with one input */
};

/* Some queries over the first `count` positions of one head. Keys lie as halves, [position / DOT_POSITIONS]
 * [width][DOT_POSITIONS]; values as halves, [position][width], and DOT_LANES that nobody needs. */
struct dot_heads {
    const uint16_t *keys;
    const uint16_t *values;
    size_t width;
    const float *queries[DOT_MANY];
    size_t counts[DOT_MANY]; /* not less than that before */
    float *out[DOT_MANY];    /* width */
    size_t many;
    float *scores; /* scratch: DOT_MANY * stride */
    size_t stride; /* a multiple of DOT_POSITIONS, not less than any count */
};

struct dot_ops {
    const char *name; /* "plain", "avx2", "vnni" */
    const struct dot_kind *kinds;
    size_t kind_count;
    /* Fills quants and scales of n values, a multiple of DOT_BLOCK. */
    void (*quantise)(const float *values, size_t n, int8_t *quants, float *scales);
    void (*to_half)(const float *from, uint16_t *to, size_t n);
    /* out = sum of values[p] * e^s[p] / sum of e^s[p], s[p] = query * key[p] / sqrt(width) */
    void (*attend)(const struct dot_heads *heads);
    void (*swish)(float *gate, const float *up, size_t n); /* gate = gate / (1 + e^-gate) * up */
};

const struct dot_ops *dot_plain(void);
const struct dot_ops *dot_avx2(void); /* NULL: this machine has no AVX2, FMA or F16C */
const struct dot_ops *dot_vnni(void); /* NULL: or no AVX-512 VNNI */
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

/* A row of n weights with one input: what dot_multiply says, if slowly. */
float dot_row(const struct dot_kind *kind, const void *row, const struct dot_input *input,
              size_t n);

/* A row of n weights as numbers. */
void dot_expand(const struct dot_kind *kind, const void *row, float *out, size_t n);

/* The scale of a block whose greatest magnitude is `most`: 0 where that is next to nothing, or not
 * finite, which makes nothing of the block: such a model is broken either way. */
float dot_scale(float most);

/* IEEE 754 binary16; to_half rounds to nearest even. */
float dot_from_half(uint16_t half);
uint16_t dot_to_half(float value);
