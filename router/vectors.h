/* Word vectors: what words mean, beside how they are spelt. A view over the array `vectors` of a
 * weights file; words are named by the same hashes as features (features.h). The vectors were
 * distilled from a sentence transformer, each scaled by how much its word says (tools/train).
 *
 *     0   u32 dims | u32 buckets | zeros up to 64
 *     64  buckets: 4 fingerprints (u16, 0: empty slot), 4 rows of dims int8, zeros up to a multiple
 *         of 64 bytes
 *
 * A hash names its bucket by its top bits and its slot by its low ones, as in the table of weights.
 * Lifetime: borrows the bytes. Thread-safe to read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "router/buckets.h"

enum {
    VECTORS_DIMS_MAX = 256,
    VECTORS_SLOTS = 4,
};

struct vectors {
    const uint8_t *table; /* NULL: no vectors */
    uint32_t dims;
    uint32_t bucket_count;
    uint32_t bucket_bytes;
};

/* A vector on its way into a blob. */
struct vectors_word {
    uint32_t hash;
    const float *at; /* dims numbers */
};

/* Bytes of a bucket for so many dimensions. */
uint32_t vectors_bucket_bytes(uint32_t dims);

/* Empty bytes give no vectors. ST_INVALID: anything that does not match exactly. At least 16 bytes
 * must be readable after the blob, as in weights files. */
MUST_CHECK enum status vectors_read(struct str bytes, struct vectors *ret_vectors);

/* The row of a word, or NULL. */
const int8_t *vectors_find(const struct vectors *v, uint32_t hash);

/* Brings the bucket of a word into the cache. */
static inline void vectors_prefetch(const struct vectors *v, uint32_t hash)
{
    size_t bucket = buckets_index(v->bucket_count, hash);
    __builtin_prefetch(v->table + bucket * v->bucket_bytes);
}

/* The vector of a text: x = sum / |sum|, or zeros where nothing is known. Sums of up to 2^40. */
void vectors_normalise(const int64_t *sum, uint32_t dims, float *ret_x);

/* Makes a blob; words come most important first, and a word that finds its bucket full, or a slot
 * with its fingerprint taken, is left out. One scale for all numbers: the largest becomes 127. The
 * caller frees ret_bytes->ptr with mem_free. Returns how many words stayed through ret_kept.
 * ST_NO_MEMORY; ST_INVALID: no dims, too many, or a number that is none. */
MUST_CHECK enum status vectors_encode(const struct vectors_word *words, size_t count, uint32_t dims,
                                      uint32_t buckets, struct str *ret_bytes, size_t *ret_kept);
