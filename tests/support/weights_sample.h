/* Small weights made by hand, for tests: rows are put for texts, not trained. */
#pragma once

#include <stdint.h>
#include <string.h>

#include "router/features.h"
#include "router/weights.h"

enum {
    WEIGHTS_SAMPLE_BUCKETS = 64,
    WEIGHTS_SAMPLE_BYTES = WEIGHTS_SAMPLE_BUCKETS * 320 + 64,
};

struct weights_sample {
    struct weights weights;
    char names[WEIGHTS_LABELS_MAX][4];
    uint8_t table[WEIGHTS_SAMPLE_BYTES]; /* with the padding that rows_sum may read */
};

/* Labels "l0", "l1", ...; scales 0.01, biases 0.1 * i, temperature 1, an empty table. */
static inline void weights_sample_init(struct weights_sample *s, size_t labels)
{
    *s = (struct weights_sample){0};
    struct weights *w = &s->weights;
    w->label_count = labels;
    for (size_t i = 0; i < labels; i++) {
        s->names[i][0] = 'l';
        s->names[i][1] = (char)('0' + i / 10);
        s->names[i][2] = (char)('0' + i % 10);
        w->labels[i] = (struct str){s->names[i], 3};
        w->scale[i] = 0.01F;
        w->bias[i] = 0.1F * (float)i;
    }
    w->calibration.temperature = 1.0F;
    w->card = STR("{\"model\":\"sample\"}");
    w->table = s->table;
    w->bucket_count = WEIGHTS_SAMPLE_BUCKETS;
    w->bucket_bytes = weights_bucket_bytes(labels);
}

/* Gives the feature a slot and `value` in its row at `label`. Does nothing where a bucket is full. */
static inline void weights_sample_put(struct weights_sample *s, uint32_t hash, size_t label,
                                      int value)
{
    struct weights *w = &s->weights;
    uint8_t *bucket = s->table + (size_t)weights_bucket(w, hash) * w->bucket_bytes;
    size_t slot = 0;
    uint32_t wanted = buckets_fingerprint(hash);
    for (; slot < WEIGHTS_SLOTS; slot++) {
        uint32_t there = bucket[2 * slot] | (uint32_t)bucket[2 * slot + 1] << 8;
        if (there == 0 || there == wanted) {
            break;
        }
    }
    if (slot == WEIGHTS_SLOTS) {
        return;
    }
    bucket[2 * slot] = (uint8_t)wanted;
    bucket[2 * slot + 1] = (uint8_t)(wanted >> 8);
    bucket[2 * WEIGHTS_SLOTS + slot * w->label_count + label] = (uint8_t)(int8_t)value;
}

/* The same for all features of a text. */
static inline void weights_sample_teach(struct weights_sample *s, struct features *f,
                                        struct str text, size_t label)
{
    features_reset(f);
    (void)features_add(f, text); /* how many does not matter */
    for (size_t i = 0; i < f->count; i++) {
        weights_sample_put(s, f->items[i].hash, label, 100);
    }
}
