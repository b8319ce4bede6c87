/* See bits.h. */
#include "bench/experts/bits.h"

#include "base/assert.h"

size_t bits_model(const struct bits *b, struct str name)
{
    for (size_t i = 0; i < b->count; i++) {
        if (str_eq(b->names[i], name)) {
            return i;
        }
    }
    return b->generalist;
}

static void add(struct bits_sum *sum, size_t bytes, const double *bits, size_t count)
{
    sum->rows++;
    sum->bytes += (double)bytes;
    for (size_t i = 0; i < count; i++) {
        sum->bits[i] += bits[i];
    }
}

void bits_add(struct bits *b, size_t right, size_t routed, size_t bytes, const double *bits)
{
    ASSERT(right < b->count && routed < b->count);
    add(&b->by_label[right], bytes, bits, b->count);
    add(&b->all, bytes, bits, b->count);
    b->routed_bits += bits[routed];
    b->right_bits += bits[right];
    b->agreed += right == routed ? 1 : 0;
}

struct bits_pool bits_pool(const struct bits *b)
{
    ASSERT(b->all.rows > 0 && b->count >= 2);
    double bytes = b->all.bytes;
    size_t best = b->generalist == 0 ? 1 : 0;
    double total = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (i != b->generalist) {
            best = b->all.bits[i] < b->all.bits[best] ? i : best;
            total += b->all.bits[i];
        }
    }
    return (struct bits_pool){
        .right = b->right_bits / bytes,
        .routed = b->routed_bits / bytes,
        .best = b->all.bits[best] / bytes,
        .generalist = b->all.bits[b->generalist] / bytes,
        .average = total / (double)(b->count - 1) / bytes,
        .best_model = best,
        .agreed = (double)b->agreed / (double)b->all.rows,
    };
}
