/* Heads: further questions about a prompt, answered in the classifier's pass over it. How hard is
 * it? Does it need code to be run, a long context, a picture? A head is data: a name and a linear
 * function of what the classifier has found anyway, and of the text's shape. Operators add their own
 * (`expertd train-heads`). A view over the array `heads` of a weights file:
 *
 *     0   u32 heads | u32 labels | u32 dims | u32 shape inputs | zeros up to 64
 *     64  per head: name (32 bytes, NUL-padded) | u32 kind | f32 bias | zeros up to 64
 *                   | f32 weights [inputs] | zeros up to a multiple of 64
 *
 *     inputs = shape (enum heads_shape) | probabilities, one per label | word vector, dims numbers
 *     value = bias + inputs weights;  of a probability: 1 / (1 + exp(-value))
 *
 * Calibration (Platt) is folded into bias and weights when a head is fitted. Sums run in one order:
 * the same bits on every machine.
 * Lifetime: borrows the bytes, which must be aligned to 4. Thread-safe to read. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "router/classifier.h"
#include "router/vectors.h"

enum heads_shape {         /* what a text looks like; each about 0..1 */
    HEADS_SHAPE_LENGTH,    /* logarithm of its bytes */
    HEADS_SHAPE_DIGITS,    /* share of them in what the classifier reads */
    HEADS_SHAPE_CODE,      /* share of the marks that code is full of */
    HEADS_SHAPE_CAPITALS,  /* share of A-Z */
    HEADS_SHAPE_FOREIGN,   /* share of bytes beyond ASCII */
    HEADS_SHAPE_QUESTIONS, /* question marks, of four */
    HEADS_SHAPE_LINES,     /* line feeds, of sixteen */
    HEADS_SHAPE_KNOWN,     /* share of features that the weights know */
};

enum {
    HEADS_SHAPE_COUNT = HEADS_SHAPE_KNOWN + 1,
    HEADS_MAX = 16,
    HEADS_NAME_MAX = 31,
    HEADS_SHARES_MAX = 2 + HEADS_SHAPE_COUNT + CLASSIFIER_LABELS_MAX,
    HEADS_INPUTS_MAX = HEADS_SHAPE_COUNT + CLASSIFIER_LABELS_MAX + VECTORS_DIMS_MAX,
};

enum head_kind {
    HEAD_PROBABILITY, /* logistic: 0..1 */
    HEAD_SCORE,       /* linear: any number */
};

struct head {
    struct str name; /* letters, digits, '_', '-' */
    enum head_kind kind;
    float bias;
    const float *weights; /* one per input */
};

struct heads {
    struct head items[HEADS_MAX];
    size_t count; /* 0: no heads */
    uint32_t labels;
    uint32_t dims;
};

struct heads_share {  /* what an input adds to the value before the logistic function */
    struct str input; /* "length", a label, "words" for the whole vector, "prior" for the bias */
    float weight;
};

/* Empty bytes give no heads. ST_INVALID: anything that does not match exactly; a number of labels
 * or dims other than these; names that are empty, not unique or hold other bytes; a number that is
 * none or beyond a million. */
MUST_CHECK enum status heads_read(struct str bytes, uint32_t labels, uint32_t dims,
                                  struct heads *ret_heads);

/* The caller frees ret_bytes->ptr with mem_free. No heads give the empty string. ST_NO_MEMORY;
 * ST_INVALID: what heads_read would refuse. */
MUST_CHECK enum status heads_encode(const struct heads *heads, struct str *ret_bytes);

size_t heads_inputs_count(const struct heads *heads);

/* The inputs of all heads: what the classifier said of the prompt, and the shape of its last text.
 * ret_x: heads_inputs_count numbers. A result without vector counts as one of zeros. */
void heads_inputs(const struct heads *heads, const struct classifier_result *result,
                  struct str text, float *ret_x);

/* ret_values: one per head. */
void heads_run(const struct heads *heads, const float *x, float *ret_values);

/* The shares of a head's inputs, in their order; they add up to the value before the logistic
 * function. ret_shares: HEADS_SHARES_MAX entries; names of labels come from `c`. Returns how
 * many. */
size_t heads_explain(const struct heads *heads, size_t head, const float *x,
                     const struct classifier *c, struct heads_share *ret_shares);

/* The head of that name, or SIZE_MAX. */
size_t heads_find(const struct heads *heads, struct str name);
