/* See quantile.h. */
#include "policies/quantile.h"

#include <stddef.h>

enum {
    SUB_BITS = 3,
    SUBS = 1 << SUB_BITS,
};

/* Values below SUBS have a bucket each; above, the octave and the three bits after the leading one. */
static size_t bucket_of(int64_t us)
{
    uint64_t value = us < 0 ? 0 : (uint64_t)us;
    if (value < SUBS) {
        return (size_t)value;
    }
    unsigned octave = 63U - (unsigned)__builtin_clzll(value) - SUB_BITS;
    size_t bucket = (octave + 1) * SUBS + ((value >> octave) & (SUBS - 1));
    return bucket < QUANTILE_BUCKETS ? bucket : QUANTILE_BUCKETS - 1;
}

static int64_t top_of(size_t bucket)
{
    if (bucket < SUBS) {
        return (int64_t)bucket;
    }
    size_t octave = bucket / SUBS - 1;
    return ((int64_t)(SUBS + bucket % SUBS + 1) << octave) - 1;
}

static void halve(struct quantile *q)
{
    q->total = 0;
    q->fresh = 0;
    for (size_t i = 0; i < QUANTILE_BUCKETS; i++) {
        q->counts[i] /= 2;
        q->total += q->counts[i];
    }
}

void quantile_add(struct quantile *q, int64_t us)
{
    q->counts[bucket_of(us)]++;
    q->total++;
    q->fresh++;
    if (q->fresh == QUANTILE_HALF_LIFE) {
        halve(q);
    }
}

int64_t quantile_get(const struct quantile *q, double share)
{
    double wanted = share * (double)q->total;
    uint64_t seen = 0;
    size_t last = 0;
    for (size_t i = 0; i < QUANTILE_BUCKETS && q->total > 0; i++) {
        seen += q->counts[i];
        last = q->counts[i] > 0 ? i : last;
        if (q->counts[i] > 0 && (double)seen >= wanted) {
            return top_of(i);
        }
    }
    return q->total == 0 ? 0 : top_of(last);
}
