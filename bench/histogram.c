/* See histogram.h. A value's bucket is its highest bit and the six bits after it. */
#include "bench/histogram.h"

#include <stddef.h>

static const uint64_t FINE = 1U << HISTOGRAM_FINE_BITS;

static size_t bucket_of(uint64_t value)
{
    if (value < FINE) {
        return (size_t)value;
    }
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_FINE_BITS;
    return (size_t)((shift << HISTOGRAM_FINE_BITS) + (value >> shift));
}

static uint64_t middle_of(size_t bucket)
{
    if (bucket < FINE) {
        return bucket;
    }
    size_t shift = (bucket >> HISTOGRAM_FINE_BITS) - 1;
    uint64_t low = (FINE + (bucket & (FINE - 1))) << shift;
    return low + ((uint64_t)1 << shift) / 2;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->counts[bucket_of(value)]++;
    h->total++;
}

uint64_t histogram_percentile(const struct histogram *h, double q)
{
    if (h->total == 0) {
        return 0;
    }
    uint64_t rank = (uint64_t)(q * (double)(h->total - 1));
    uint64_t seen = 0;
    size_t bucket = 0;
    for (; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += h->counts[bucket];
        if (seen > rank) {
            break;
        }
    }
    return middle_of(bucket);
}
