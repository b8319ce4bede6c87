/* Softmax and entropy with an exponential and a logarithm of our own, so that every machine and
 * every C library gives the same bits (IEEE doubles, no fused multiply-add: see CMakeLists.txt).
 * Relative error below 1e-14. */
#pragma once

#include <stddef.h>

double softmax_exp(double x); /* below -700: 0; above 700: as at 700 */
double softmax_log(double x); /* x > 0, normal */

/* p[i] = exp(logit[i] / temperature) / sum. Returns the entropy of p divided by log(count), in
 * 0..1. count >= 2. */
float softmax(const float *logit, size_t count, float temperature, float *ret_p);

/* Entropy of a distribution divided by log(count). count >= 2. */
float softmax_entropy(const float *p, size_t count);
