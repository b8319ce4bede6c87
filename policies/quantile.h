/* Quantiles of latencies, of the last few thousand: counts in buckets as HdrHistogram's (G. Tene), eight
 * to an octave, so that what is told is at most 1/8 over the true one, from 1 us to 19 hours, in 1 kB.
 * After each QUANTILE_HALF_LIFE values all counts are halved: what was long ago fades. Pure. */
#pragma once

#include <stdint.h>

enum {
    QUANTILE_BUCKETS = 272, /* 8 exact ones, then 33 octaves of 8 */
    QUANTILE_HALF_LIFE = 1024,
};

struct quantile { /* private; zero: empty */
    uint32_t counts[QUANTILE_BUCKETS];
    uint32_t total;
    uint32_t fresh; /* since they were halved */
};

void quantile_add(struct quantile *q, int64_t us);

/* The upper bound of the bucket in which the share 0..1 of all values lies; 0: there are none. */
int64_t quantile_get(const struct quantile *q, double share);
