/* See vectors.h. */
#include "router/vectors.h"

#include <math.h>
#include <string.h>

#include "base/little.h"
#include "base/mem.h"

enum {
    HEADER_BYTES = 64,
    ALIGNMENT = 64,
    BUCKETS_MAX = 1 << 20,
    INT8_TOP = 127,
};

static const float smallest_top = 1e-30F; /* below, all numbers are zero */

uint32_t vectors_bucket_bytes(uint32_t dims)
{
    return (VECTORS_SLOTS * (2 + dims) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

enum status vectors_read(struct str bytes, struct vectors *ret_vectors)
{
    *ret_vectors = (struct vectors){0};
    if (bytes.len == 0) {
        return ST_OK;
    }
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    if (bytes.len < HEADER_BYTES) {
        return ST_INVALID;
    }
    uint32_t dims = little_u32(at);
    uint32_t buckets = little_u32(at + 4);
    if (dims < 1 || dims > VECTORS_DIMS_MAX || buckets < 1 || buckets > BUCKETS_MAX ||
        bytes.len != HEADER_BYTES + (size_t)buckets * vectors_bucket_bytes(dims)) {
        return ST_INVALID;
    }
    for (size_t i = 8; i < HEADER_BYTES; i++) {
        if (at[i] != 0) {
            return ST_INVALID;
        }
    }
    *ret_vectors = (struct vectors){at + HEADER_BYTES, dims, buckets, vectors_bucket_bytes(dims)};
    return ST_OK;
}

const int8_t *vectors_find(const struct vectors *v, uint32_t hash)
{
    size_t bucket = buckets_index(v->bucket_count, hash);
    const uint8_t *at = v->table + bucket * v->bucket_bytes;
    uint32_t wanted = buckets_fingerprint(hash);
    for (uint32_t i = 0; i < VECTORS_SLOTS; i++) {
        if ((at[2 * i] | (uint32_t)at[2 * i + 1] << 8) == wanted) {
            return (const int8_t *)at + 2 * VECTORS_SLOTS + i * v->dims;
        }
    }
    return NULL;
}

void vectors_normalise(const int64_t *sum, uint32_t dims, float *ret_x)
{
    double square = 0.0;
    for (uint32_t i = 0; i < dims; i++) {
        square += (double)sum[i] * (double)sum[i];
    }
    double unit = square > 0.0 ? 1.0 / sqrt(square) : 0.0;
    for (uint32_t i = 0; i < dims; i++) {
        ret_x[i] = (float)((double)sum[i] * unit);
    }
}

/* The largest number, or NaN. */
static float largest(const struct vectors_word *words, size_t count, uint32_t dims)
{
    float top = 0.0F;
    for (size_t i = 0; i < count; i++) {
        for (uint32_t d = 0; d < dims; d++) {
            float size = fabsf(words[i].at[d]);
            if (!(size < 1e6F)) {
                return NAN;
            }
            top = size > top ? size : top;
        }
    }
    return top;
}

static bool put_word(uint8_t *bucket, const struct vectors_word *word, uint32_t dims, float scale)
{
    uint32_t fingerprint = buckets_fingerprint(word->hash);
    for (uint32_t i = 0; i < VECTORS_SLOTS; i++) {
        uint32_t found = bucket[2 * i] | (uint32_t)bucket[2 * i + 1] << 8;
        if (found == fingerprint) {
            return false;
        }
        if (found != 0) {
            continue;
        }
        bucket[2 * i] = (uint8_t)fingerprint;
        bucket[2 * i + 1] = (uint8_t)(fingerprint >> 8);
        uint8_t *row = bucket + 2 * VECTORS_SLOTS + (size_t)i * dims;
        for (uint32_t d = 0; d < dims; d++) {
            row[d] = (uint8_t)(int8_t)lrintf(word->at[d] * scale);
        }
        return true;
    }
    return false;
}

enum status vectors_encode(const struct vectors_word *words, size_t count, uint32_t dims,
                           uint32_t buckets, struct str *ret_bytes, size_t *ret_kept)
{
    if (dims < 1 || dims > VECTORS_DIMS_MAX || buckets < 1 || buckets > BUCKETS_MAX) {
        return ST_INVALID;
    }
    float top = largest(words, count, dims);
    if (!(top >= 0.0F)) {
        return ST_INVALID;
    }
    size_t bucket_bytes = vectors_bucket_bytes(dims);
    uint8_t *at = mem_zalloc(1, HEADER_BYTES + buckets * bucket_bytes);
    if (at == NULL) {
        return ST_NO_MEMORY;
    }
    little_put_u32(at, dims);
    little_put_u32(at + 4, buckets);
    float scale = top > smallest_top ? (float)INT8_TOP / top : 1.0F;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bucket = buckets_index(buckets, words[i].hash);
        kept += put_word(at + HEADER_BYTES + bucket * bucket_bytes, &words[i], dims, scale);
    }
    *ret_bytes = (struct str){(char *)at, HEADER_BYTES + buckets * bucket_bytes};
    *ret_kept = kept;
    return ST_OK;
}
