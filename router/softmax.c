/* See softmax.h. */
#include "router/softmax.h"

#include <stdint.h>
#include <string.h>

enum {
    EXPONENT_BIAS = 1023,
    MANTISSA_BITS = 52,
    EXP_TERMS = 13, /* |r| <= ln2 / 2: the next term is below 2^-56 */
    LOG_TERMS = 21, /* |s| <= 0.172: the next term is below 2^-55 */
};

static const double log2_e = 1.4426950408889634;
static const double ln2_high = 0.693147180369123816490; /* low bits zero: k * high is exact */
static const double ln2_low = 1.90821492927058770002e-10;
static const double sqrt_half = 0.70710678118654752;

double softmax_exp(double x)
{
    if (!(x >= -700.0)) {
        return 0.0;
    }
    x = x > 700.0 ? 700.0 : x;
    int k = (int)(x * log2_e + (x < 0.0 ? -0.5 : 0.5));
    double r = (x - k * ln2_high) - k * ln2_low;
    double sum = 1.0;
    for (int n = EXP_TERMS; n > 0; n--) {
        sum = 1.0 + sum * r / n;
    }
    uint64_t bits = (uint64_t)(k + EXPONENT_BIAS) << MANTISSA_BITS;
    double power = 0.0;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

double softmax_log(double x)
{
    uint64_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    int k = (int)(bits >> MANTISSA_BITS) - EXPONENT_BIAS + 1;
    bits = (bits & (((uint64_t)1 << MANTISSA_BITS) - 1)) | (uint64_t)(EXPONENT_BIAS - 1)
                                                               << MANTISSA_BITS;
    double m = 0.0; /* x = m * 2^k, m in 0.5..1 */
    memcpy(&m, &bits, sizeof m);
    if (m < sqrt_half) {
        m *= 2.0;
        k--;
    }
    double s = (m - 1.0) / (m + 1.0);
    double sum = 0.0;
    for (int n = LOG_TERMS; n > 0; n -= 2) { /* log m = 2 (s + s^3/3 + s^5/5 + ...) */
        sum = sum * s * s + 1.0 / n;
    }
    return k * ln2_low + 2.0 * s * sum + k * ln2_high;
}

float softmax_entropy(const float *p, size_t count)
{
    double entropy = 0.0;
    for (size_t i = 0; i < count; i++) {
        double x = (double)p[i];
        if (x > 1e-30) {
            entropy -= x * softmax_log(x);
        }
    }
    double share = entropy / softmax_log((double)count);
    return (float)(share < 0.0 ? 0.0 : share > 1.0 ? 1.0 : share);
}

float softmax(const float *logit, size_t count, float temperature, float *ret_p)
{
    float top = logit[0];
    for (size_t i = 1; i < count; i++) {
        top = logit[i] > top ? logit[i] : top;
    }
    double e[64]; /* CLASSIFIER_LABELS_MAX */
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        e[i] = softmax_exp(((double)logit[i] - (double)top) / (double)temperature);
        sum += e[i];
    }
    for (size_t i = 0; i < count; i++) {
        ret_p[i] = (float)(e[i] / sum);
    }
    return softmax_entropy(ret_p, count);
}
