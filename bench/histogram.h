/* Counts of durations in constant memory: 64 buckets per power of two, so that a percentile is off
 * by at most 1.6 %, however long the run. Embedded; zero-initialised is empty. */
#pragma once

#include <stdint.h>

enum {
    HISTOGRAM_FINE_BITS = 6,
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_FINE_BITS + 1) << HISTOGRAM_FINE_BITS,
};

struct histogram {
    uint64_t total; /* values added */
    uint64_t counts[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);

/* The value below which the share q (0..1) of all values lies: the middle of its bucket. 0 when
 * empty. */
uint64_t histogram_percentile(const struct histogram *h, double q);
