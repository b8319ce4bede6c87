/* See centroid.h. Words come from features.c; a word counts once per text. With N rows and n of them
 * having word w: idf(w) = log(N / n). */
#include "router/centroid.h"

#include <math.h>

#include "base/assert.h"
#include "base/mem.h"
#include "router/features.h"
#include "router/softmax.h"

enum {
    BITS = 17, /* 131,072 words; 100,000 distinct ones share some places, which costs little */
    PLACES = 1 << BITS,
};

struct row {
    size_t at; /* in words */
    size_t count;
    size_t label;
};

struct centroid {
    size_t labels;
    struct features *features;
    struct row *rows;
    size_t row_count;
    size_t row_cap;
    uint32_t *words;
    size_t word_count;
    size_t word_cap;
    size_t most; /* the most frequent label */
    float idf[PLACES];
    float *sums; /* labels numbers per place; after _fit */
};

/* Appends the places of the text's words to c->words. Returns how many, SIZE_MAX: no memory. */
static size_t take_words(struct centroid *c, struct str text)
{
    features_reset(c->features);
    size_t all = features_add(c->features, text);
    if (c->word_count + all > c->word_cap) {
        size_t cap = 2 * (c->word_count + all);
        uint32_t *moved = mem_resize(c->words, cap * sizeof *moved);
        if (moved == NULL) {
            return SIZE_MAX;
        }
        c->words = moved;
        c->word_cap = cap;
    }
    size_t count = 0;
    for (size_t i = 0; i < all; i++) {
        if (c->features->items[i].kind == FEATURE_WORD) {
            c->words[c->word_count + count++] = c->features->items[i].hash >> (32 - BITS);
        }
    }
    return count;
}

struct centroid *centroid_create(size_t label_count)
{
    struct centroid *c = mem_zalloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    ASSERT(label_count > 0 && label_count <= CENTROID_LABELS_MAX);
    c->labels = label_count;
    c->features = features_create();
    if (c->features == NULL) {
        mem_free(c);
        return NULL;
    }
    return c;
}

void centroid_destroy(struct centroid *c)
{
    if (c == NULL) {
        return;
    }
    features_destroy(c->features);
    mem_free(c->rows);
    mem_free(c->words);
    mem_free(c->sums);
    mem_free(c);
}

enum status centroid_add(struct centroid *c, struct str text, size_t label)
{
    ASSERT(label < c->labels && c->sums == NULL);
    if (c->row_count == c->row_cap) {
        size_t cap = c->row_cap > 0 ? 2 * c->row_cap : 1024;
        struct row *moved = mem_resize(c->rows, cap * sizeof *moved);
        if (moved == NULL) {
            return ST_NO_MEMORY;
        }
        c->rows = moved;
        c->row_cap = cap;
    }
    size_t count = take_words(c, text);
    if (count == SIZE_MAX) {
        return ST_NO_MEMORY;
    }
    c->rows[c->row_count++] = (struct row){c->word_count, count, label};
    for (size_t i = 0; i < count; i++) {
        c->idf[c->words[c->word_count + i]] += 1.0F; /* how many rows, until _fit */
    }
    c->word_count += count;
    return ST_OK;
}

/* Adds a row's vector, scaled to length 1, to the sum of its label. */
static void add_row(struct centroid *c, const struct row *row)
{
    const uint32_t *words = c->words + row->at;
    double square = 0.0;
    for (size_t i = 0; i < row->count; i++) {
        square += (double)c->idf[words[i]] * (double)c->idf[words[i]];
    }
    float scale = square > 0.0 ? (float)(1.0 / sqrt(square)) : 0.0F;
    for (size_t i = 0; i < row->count; i++) {
        c->sums[(size_t)words[i] * c->labels + row->label] += scale * c->idf[words[i]];
    }
}

/* Scales the sums to length 1 and folds the idf of the text to come into them. */
static void scale_sums(struct centroid *c)
{
    for (size_t label = 0; label < c->labels; label++) {
        double square = 0.0;
        for (size_t w = 0; w < PLACES; w++) {
            double value = (double)c->sums[w * c->labels + label];
            square += value * value;
        }
        float scale = square > 0.0 ? (float)(1.0 / sqrt(square)) : 0.0F;
        for (size_t w = 0; w < PLACES; w++) {
            c->sums[w * c->labels + label] *= scale * c->idf[w];
        }
    }
}

enum status centroid_fit(struct centroid *c)
{
    size_t rows[CENTROID_LABELS_MAX] = {0};
    c->sums = mem_zalloc((size_t)PLACES * c->labels, sizeof *c->sums);
    if (c->sums == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t w = 0; w < PLACES; w++) {
        double n = (double)c->idf[w];
        c->idf[w] = n > 0.0 ? (float)softmax_log((double)c->row_count / n) : 0.0F;
    }
    for (size_t i = 0; i < c->row_count; i++) {
        add_row(c, &c->rows[i]);
        rows[c->rows[i].label]++;
    }
    for (size_t label = 1; label < c->labels; label++) {
        c->most = rows[label] > rows[c->most] ? label : c->most;
    }
    scale_sums(c);
    return ST_OK;
}

size_t centroid_best(struct centroid *c, struct str text)
{
    double cosine[CENTROID_LABELS_MAX] = {0};
    size_t best = c->most;
    features_reset(c->features);
    size_t count = features_add(c->features, text);
    for (size_t i = 0; i < count; i++) {
        if (c->features->items[i].kind != FEATURE_WORD) {
            continue;
        }
        const float *at = c->sums + (size_t)(c->features->items[i].hash >> (32 - BITS)) * c->labels;
        for (size_t label = 0; label < c->labels; label++) {
            cosine[label] += (double)at[label];
        }
    }
    for (size_t label = 0; label < c->labels; label++) {
        best = cosine[label] > cosine[best] ? label : best;
    }
    return best;
}
