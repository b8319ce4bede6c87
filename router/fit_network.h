/* Fits the network of network.h: multinomial logistic loss, Adam with a rising and falling step,
 * decoupled weight decay, smoothed labels, dropping of hidden units. Deterministic for a seed.
 * Sources: Kingma and Ba, "Adam" (2015); Loshchilov and Hutter, "Decoupled Weight Decay
 * Regularization" (2019). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct fit_network_row {
    const float *x; /* inputs numbers */
    float weight;
    uint32_t label;
    uint64_t accept; /* bit per label that is right, the label itself among them */
};

struct fit_network_options {
    uint64_t seed;
    uint32_t hidden; /* a multiple of 4 */
    int epochs;
    double rate;        /* of Adam, at its highest */
    double decay;       /* pull of weights towards zero, relative to the step */
    double smoothing;   /* of the labels, towards all labels evenly */
    double dropping;    /* share of hidden units left out at each visit */
    double input_scale; /* x is multiplied by this while fitting; folded into the result */
};

void fit_network_options_default(struct fit_network_options *ret_options);

/* Fits and returns the bytes of a network (network.h), which the caller frees with mem_free.
 * ST_NO_MEMORY; ST_INVALID: no rows, or a shape that network.h does not take. */
MUST_CHECK enum status fit_network(const struct fit_network_row *rows, size_t count,
                                   uint32_t inputs, uint32_t labels,
                                   const struct fit_network_options *options,
                                   struct str *ret_bytes);
