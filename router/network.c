/* See network.h. */
#include "router/network.h"

#include <math.h>
#include <string.h>

#include "base/little.h"
#ifdef __SSE2__
#    include <emmintrin.h>
#endif

enum {
    HEADER_BYTES = 64,
    LANES = 4,
};

static size_t number_count(uint32_t inputs, uint32_t hidden, uint32_t labels)
{
    return (size_t)inputs * hidden + hidden + (size_t)hidden * labels + labels;
}

size_t network_bytes(uint32_t inputs, uint32_t hidden, uint32_t labels)
{
    return HEADER_BYTES + number_count(inputs, hidden, labels) * sizeof(float);
}

enum status network_read(struct str bytes, uint32_t inputs, uint32_t labels,
                         struct network *ret_network)
{
    *ret_network = (struct network){0};
    if (bytes.len == 0) {
        return ST_OK;
    }
    if (bytes.len < HEADER_BYTES || little_u32(bytes.ptr) != inputs ||
        little_u32(bytes.ptr + 8) != labels) {
        return ST_INVALID;
    }
    uint32_t hidden = little_u32(bytes.ptr + 4);
    if (inputs < 1 || inputs > NETWORK_INPUTS_MAX || hidden < LANES ||
        hidden > NETWORK_HIDDEN_MAX || hidden % LANES != 0 ||
        bytes.len != network_bytes(inputs, hidden, labels)) {
        return ST_INVALID;
    }
    for (size_t i = 12; i < HEADER_BYTES; i++) {
        if (bytes.ptr[i] != 0) {
            return ST_INVALID;
        }
    }
    const float *at = (const float *)(const void *)(bytes.ptr + HEADER_BYTES);
    size_t count = number_count(inputs, hidden, labels);
    for (size_t i = 0; i < count; i++) {
        if (!(fabsf(at[i]) < 1e6F)) {
            return ST_INVALID;
        }
    }
    struct network n = {.inputs = inputs, .hidden = hidden, .labels = labels, .in = at};
    n.in_bias = n.in + (size_t)inputs * hidden;
    n.out = n.in_bias + hidden;
    n.out_bias = n.out + (size_t)hidden * labels;
    *ret_network = n;
    return ST_OK;
}

void network_axpy(float *y, float a, const float *x, size_t n)
{
#ifdef __SSE2__
    __m128 factor = _mm_set1_ps(a);
    for (size_t i = 0; i < n; i += LANES) {
        _mm_storeu_ps(y + i,
                      _mm_add_ps(_mm_loadu_ps(y + i), _mm_mul_ps(factor, _mm_loadu_ps(x + i))));
    }
#else
    for (size_t i = 0; i < n; i++) {
        y[i] += a * x[i];
    }
#endif
}

void network_hidden(const struct network *n, const float *x, float *ret_hidden)
{
    memcpy(ret_hidden, n->in_bias, n->hidden * sizeof *ret_hidden);
    for (uint32_t i = 0; i < n->inputs; i++) {
        network_axpy(ret_hidden, x[i], n->in + (size_t)i * n->hidden, n->hidden);
    }
    for (uint32_t h = 0; h < n->hidden; h++) {
        ret_hidden[h] = ret_hidden[h] > 0.0F ? ret_hidden[h] : 0.0F;
    }
}

void network_output(const struct network *n, const float *hidden, float *ret_logit)
{
    memcpy(ret_logit, n->out_bias, n->labels * sizeof *ret_logit);
    for (uint32_t h = 0; h < n->hidden; h++) {
        const float *row = n->out + (size_t)h * n->labels;
        for (uint32_t k = 0; hidden[h] > 0.0F && k < n->labels; k++) {
            ret_logit[k] += hidden[h] * row[k];
        }
    }
}

void network_run(const struct network *n, const float *x, float *ret_hidden, float *ret_logit)
{
    network_hidden(n, x, ret_hidden);
    network_output(n, ret_hidden, ret_logit);
}

void network_slope(const struct network *n, const float *hidden, size_t label, float *ret_slope,
                   float *ret_constant)
{
    memset(ret_slope, 0, n->inputs * sizeof *ret_slope);
    *ret_constant = n->out_bias[label];
    for (uint32_t h = 0; h < n->hidden; h++) {
        if (!(hidden[h] > 0.0F)) {
            continue;
        }
        float out = n->out[(size_t)h * n->labels + label];
        *ret_constant += n->in_bias[h] * out;
        for (uint32_t i = 0; i < n->inputs; i++) {
            ret_slope[i] += n->in[(size_t)i * n->hidden + h] * out;
        }
    }
}
