/* Tables of buckets that hashes of features lead to, in weights files: the bucket is told by the high bits
 * of a hash, the slot in it by a fingerprint of its low bits. */
#pragma once

#include <stdint.h>

static inline uint32_t buckets_index(uint32_t count, uint32_t hash)
{
    return (uint32_t)((uint64_t)hash * count >> 32);
}

/* 16 bits, never 0. */
static inline uint32_t buckets_fingerprint(uint32_t hash)
{
    uint32_t low = hash & 0xffff;
    return low == 0 ? 1 : low;
}
