/* A small network from the vector of a text (vectors.h) to evidence per label, added to that of the
 * table: one hidden layer of rectified units. A view over the array `network` of a weights file.
 *
 *     0   u32 inputs | u32 hidden | u32 labels | zeros up to 64
 *     64  f32 in [inputs][hidden] | f32 in_bias [hidden] | f32 out [hidden][labels]
 *         | f32 out_bias [labels]
 *
 *     hidden = max(0, in_bias + x in),  logit = out_bias + hidden out
 *
 * Sums run in one order, without fused multiply-add: the same bits on every machine. A network of
 * rectified units is linear around each point, so each input has an exact share in the result
 * (network_slope).
 * Lifetime: borrows the bytes, which must be aligned to 4. Thread-safe to read. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

enum {
    NETWORK_HIDDEN_MAX = 512, /* a multiple of 4 each */
    NETWORK_INPUTS_MAX = 256,
};

struct network {
    uint32_t inputs; /* 0: no network */
    uint32_t hidden;
    uint32_t labels;
    const float *in;
    const float *in_bias;
    const float *out;
    const float *out_bias;
};

/* Bytes of a network of this shape. */
size_t network_bytes(uint32_t inputs, uint32_t hidden, uint32_t labels);

/* Empty bytes give no network. ST_INVALID: anything that does not match exactly, a shape other than
 * inputs and labels, a number that is none or beyond a million. */
MUST_CHECK enum status network_read(struct str bytes, uint32_t inputs, uint32_t labels,
                                    struct network *ret_network);

/* The two layers: hidden numbers, none negative; then labels numbers. */
void network_hidden(const struct network *n, const float *x, float *ret_hidden);
void network_output(const struct network *n, const float *hidden, float *ret_logit);

/* Both. */
void network_run(const struct network *n, const float *x, float *ret_hidden, float *ret_logit);

/* What one unit of each input adds to the logit of `label` where network_run has put `hidden`; and
 * what is there without any input. logit = ret_constant + sum over inputs: x[i] * ret_slope[i]. */
void network_slope(const struct network *n, const float *hidden, size_t label, float *ret_slope,
                   float *ret_constant);

/* y += a * x, n a multiple of 4. */
void network_axpy(float *y, float a, const float *x, size_t n);
