/* The weights file of the domain classifier: a view over its bytes, and the writer that training
 * uses. Little-endian on every machine. Reading is strict: whatever does not match exactly is
 * refused, so that nothing after weights_open has to check again.
 *
 *     0   magic "EXPERTDW" | u32 version | u32 feature scheme | u64 file bytes | u64 checksum
 *     32  u32 labels | u32 arrays | zeros up to 64
 *     64  directory: per array {name, 16 bytes, NUL-padded | u64 offset | u64 bytes}
 *     ..  arrays, each at the next multiple of 64, in this order:
 *           labels       UTF-8 names, a line feed after each
 *           scale        f32 per label      logit = bias + scale * sum / sqrt(features)
 *           bias         f32 per label
 *           calibration  f32 x 3: temperature, by_spread, by_unknown (calibrate.h)
 *           card         JSON: data, options and figures of the training
 *           vectors      empty, or word vectors (vectors.h)
 *           network      empty, or a network over them (network.h)
 *           curves, heads
 *                        may each be empty; curves: curves.h; not looked into here
 *           table        buckets of 4 slots
 *     ..  64 zeros or more up to the end: rows may be read 16 bytes at a time
 *
 * A bucket is 4 fingerprints (u16, 0: empty slot) and 4 rows of one int8 per label, padded to a
 * multiple of 64 bytes: 14 labels fill one cache line. A feature's hash names its bucket by its top
 * bits and its slot by the fingerprint from its low bits: a slot belongs to one feature, and text
 * that training never saw finds nothing, instead of somebody else's row.
 *
 * Lifetime: the view borrows from the mapping until weights_close. Thread-safe to read. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"
#include "router/buckets.h"
#include "router/calibrate.h"
#include "router/network.h"
#include "router/vectors.h"

enum {
    WEIGHTS_VERSION = 2,
    WEIGHTS_LABELS_MAX = 64,
    WEIGHTS_SLOTS = 4, /* per bucket */
    WEIGHTS_BUCKETS_MAX = 1 << 20,
    WEIGHTS_CARD_MAX = 65536,
    WEIGHTS_LABEL_BYTES_MAX = 64,
};

struct weights {
    struct str labels[WEIGHTS_LABELS_MAX];
    size_t label_count;
    float scale[WEIGHTS_LABELS_MAX];
    float bias[WEIGHTS_LABELS_MAX];
    struct calibration calibration;
    struct str card;
    struct str vectors; /* these four: bytes that begin at a multiple of 64, or empty */
    struct str network;
    struct str curves;
    struct str heads;
    struct vectors words; /* views over vectors and network; set by weights_read */
    struct network net;   /* its inputs are the dims of words */
    const uint8_t *table; /* 64-byte aligned when it comes from weights_open */
    uint32_t bucket_count;
    uint32_t bucket_bytes;
    uint64_t checksum;
    void *map; /* NULL for a view over lent bytes */
    size_t map_bytes;
};

static const uint32_t WEIGHTS_NO_SLOT = UINT32_MAX;

/* Bytes of a bucket for so many labels. */
uint32_t weights_bucket_bytes(size_t label_count);

/* Maps a file. ST_INVALID (with a diagnostic), ST_IO (with a diagnostic). */
MUST_CHECK enum status weights_open(const char *path, struct diags *diags, struct weights *ret);

/* The same over bytes in memory, which must outlive the view; `file` is for the messages.
 * ST_INVALID with a diagnostic. */
MUST_CHECK enum status weights_read(struct str bytes, struct str file, struct diags *diags,
                                    struct weights *ret);
void weights_close(struct weights *w); /* zeroed struct allowed */

/* Writes a file that weights_open accepts: the members of w up to bucket_bytes. Replaces an
 * existing file as a whole (writes beside it, then renames). ST_IO, ST_NO_MEMORY, ST_INVALID (w
 * itself breaks a rule of the format). */
MUST_CHECK enum status weights_write(const struct weights *w, const char *path);

/* The same into memory; the caller frees ret->ptr with mem_free. ST_NO_MEMORY, ST_INVALID. */
MUST_CHECK enum status weights_encode(const struct weights *w, struct str *ret);

static inline uint32_t weights_bucket(const struct weights *w, uint32_t hash)
{
    return buckets_index(w->bucket_count, hash);
}

/* The slot (bucket * WEIGHTS_SLOTS + index) that belongs to the feature, or WEIGHTS_NO_SLOT. */
static inline uint32_t weights_find(const struct weights *w, uint32_t hash)
{
    uint32_t bucket = weights_bucket(w, hash);
    const uint8_t *at = w->table + (size_t)bucket * w->bucket_bytes;
    uint32_t wanted = buckets_fingerprint(hash);
    uint32_t slot = WEIGHTS_NO_SLOT;
    for (uint32_t i = 0; i < WEIGHTS_SLOTS; i++) { /* no early exit: this unrolls to moves */
        uint32_t fingerprint = at[2 * i] | (uint32_t)at[2 * i + 1] << 8;
        slot = fingerprint == wanted ? bucket * WEIGHTS_SLOTS + i : slot;
    }
    return slot;
}

/* The row of a slot: one int8 per label. */
static inline const int8_t *weights_row(const struct weights *w, uint32_t slot)
{
    const uint8_t *at = w->table + (size_t)(slot / WEIGHTS_SLOTS) * w->bucket_bytes;
    at += 2 * WEIGHTS_SLOTS + slot % WEIGHTS_SLOTS * w->label_count;
    return (const int8_t *)at;
}
