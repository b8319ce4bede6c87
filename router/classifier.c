/* See classifier.h. Looks features up and adds their rows; knows nothing about how text becomes
 * features (features.c), how the file is laid out (weights.c) or how it was fitted (train.c). */
#include "router/classifier.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "router/features.h"
#include "router/heads.h"
#include "router/rows.h"
#include "router/softmax.h"
#include "router/weights.h"

enum {
    WEIGHT_ONE = 256,             /* segment weights are fixed-point numbers with 8 binary digits */
    WEIGHT_ROOT = 16,             /* its square root */
    WEIGHT_MAX = 64 * WEIGHT_ONE, /* 8 * 1200 bytes * 4 features * 127 * this fits int64 easily */
    NAMES_BYTES = 32768,
    NAME_BYTES_MAX = 512,
    PREFETCH_AHEAD = 12, /* features; measured: 8-16 are the same, 4 is slower */
};

_Static_assert((int)CLASSIFIER_LABELS_MAX == (int)WEIGHTS_LABELS_MAX, "one ceiling");

struct classifier {
    atomic_uint refs; /* every holder writes; default order */
    struct weights weights;
    struct heads heads;
    bool has_curves;
    struct curves curves;
};

struct part { /* the features of one segment, as they stand in features->items */
    size_t from;
    size_t to;
    int64_t weight; /* fixed point */
};

struct classifier_scratch {
    struct features *features;
    struct part parts[FEATURES_TEXTS_MAX];
    size_t part_count;
    int64_t total[CLASSIFIER_LABELS_MAX]; /* weighted sums of rows */
    int64_t norm;                         /* weighted number of features */
    size_t known;                         /* features that have a row */
    int64_t meaning[VECTORS_DIMS_MAX];    /* weighted sums of word vectors */
    float hidden[NETWORK_HIDDEN_MAX];
    const int8_t *rows[FEATURES_MAX];
    const int8_t *words[FEATURES_MAX];
    char names[NAMES_BYTES];
};

static int64_t fixed_weight(float weight)
{
    if (!(weight > 0.0F)) {
        return 0;
    }
    float scaled = weight * (float)WEIGHT_ONE;
    return scaled >= (float)WEIGHT_MAX ? WEIGHT_MAX : (int64_t)(scaled + 0.5F);
}

/* Heaviest first; of equals, the later first. A feature counts once, where it weighs most, and
 * when texts must be left out they are the lightest and oldest. */
static size_t order_segments(const struct classifier_segment *segments, size_t count,
                             size_t ret_order[FEATURES_TEXTS_MAX])
{
    size_t first = count > FEATURES_TEXTS_MAX ? count - FEATURES_TEXTS_MAX : 0;
    size_t n = 0;
    for (size_t i = count; i-- > first;) {
        size_t at = n++;
        int64_t weight = fixed_weight(segments[i].weight);
        while (at > 0 && fixed_weight(segments[ret_order[at - 1]].weight) < weight) {
            ret_order[at] = ret_order[at - 1];
            at--;
        }
        ret_order[at] = i;
    }
    return n;
}

/* Collects the rows of features from..to into s->rows; returns how many there are. */
static size_t find_rows(const struct weights *w, struct classifier_scratch *s, size_t from,
                        size_t to)
{
    const struct feature *items = s->features->items;
    size_t n = 0;
    for (size_t i = from; i < to; i++) {
        size_t ahead = i + PREFETCH_AHEAD < to ? i + PREFETCH_AHEAD : to - 1;
        __builtin_prefetch(w->table +
                           (size_t)weights_bucket(w, items[ahead].hash) * w->bucket_bytes);
        uint32_t slot = weights_find(w, items[i].hash);
        if (slot != WEIGHTS_NO_SLOT) {
            s->rows[n++] = weights_row(w, slot);
        }
    }
    return n;
}

/* The same for the vectors of words, into s->words. */
static size_t find_words(const struct weights *w, struct classifier_scratch *s, size_t from,
                         size_t to)
{
    const struct feature *items = s->features->items;
    size_t n = 0;
    for (size_t i = from; i < to; i++) {
        if (items[i].kind == FEATURE_WORD) {
            vectors_prefetch(&w->words, items[i].hash);
        }
    }
    for (size_t i = from; i < to; i++) {
        if (items[i].kind != FEATURE_WORD) {
            continue;
        }
        const int8_t *row = vectors_find(&w->words, items[i].hash);
        if (row != NULL) {
            s->words[n++] = row;
        }
    }
    return n;
}

static void gather_words(const struct weights *w, struct classifier_scratch *s,
                         const struct part *part)
{
    size_t found = find_words(w, s, part->from, part->to);
    int32_t sum[VECTORS_DIMS_MAX + 16];
    rows_sum(s->words, found, w->words.dims, sum);
    for (size_t d = 0; d < w->words.dims; d++) {
        s->meaning[d] += part->weight * sum[d];
    }
}

/* The integer part of the work: everything that floating point sees afterwards. */
static void gather(const struct weights *w, struct classifier_scratch *s,
                   const struct classifier_segment *segments, size_t count)
{
    size_t order[FEATURES_TEXTS_MAX];
    size_t n = order_segments(segments, count, order);
    features_reset(s->features);
    s->part_count = 0;
    s->norm = 0;
    s->known = 0;
    memset(s->total, 0, sizeof s->total);
    memset(s->meaning, 0, sizeof s->meaning);
    for (size_t i = 0; i < n; i++) {
        const struct classifier_segment *segment = &segments[order[i]];
        struct part part = {.from = s->features->count, .weight = fixed_weight(segment->weight)};
        if (part.weight == 0) {
            continue;
        }
        part.to = part.from + features_add(s->features, segment->text);
        size_t known = find_rows(w, s, part.from, part.to);
        int32_t sum[CLASSIFIER_LABELS_MAX];
        rows_sum(s->rows, known, w->label_count, sum);
        for (size_t label = 0; label < w->label_count; label++) {
            s->total[label] += part.weight * sum[label];
        }
        if (w->words.table != NULL) {
            gather_words(w, s, &part);
        }
        s->norm += part.weight * (int64_t)(part.to - part.from);
        s->known += known;
        s->parts[s->part_count++] = part;
    }
}

/* What one unit of a row, times its segment's fixed-point weight, adds to a logit of scale 1. */
static double unit_of(const struct classifier_scratch *s)
{
    return s->norm > 0 ? 1.0 / (WEIGHT_ROOT * sqrt((double)s->norm)) : 0.0;
}

enum status classifier_load(const char *path, struct diags *diags,
                            struct classifier **ret_classifier)
{
    struct classifier *c = mem_zalloc(1, sizeof *c);
    if (c == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = weights_open(path, diags, &c->weights);
    if (st != ST_OK) {
        mem_free(c);
        return st;
    }
    const char *why = c->weights.curves.len > 0
                          ? curves_read(c->weights.curves, c->weights.label_count, &c->curves)
                          : NULL;
    if (heads_read(c->weights.heads, (uint32_t)c->weights.label_count, c->weights.words.dims,
                   &c->heads) != ST_OK) {
        why = "the heads do not fit these weights: train them again";
    }
    if (why != NULL) {
        diags_add(diags, DIAG_ERROR, str_from(path), (struct pos){0, 0}, "%s", why);
        weights_close(&c->weights);
        mem_free(c);
        return ST_INVALID;
    }
    c->has_curves = c->weights.curves.len > 0;
    atomic_init(&c->refs, 1);
    *ret_classifier = c;
    return ST_OK;
}

struct classifier *classifier_ref(struct classifier *c)
{
    (void)atomic_fetch_add(&c->refs, 1); /* only the last unref looks at the value */
    return c;
}

void classifier_unref(struct classifier *c)
{
    if (c == NULL || atomic_fetch_sub(&c->refs, 1) > 1) {
        return;
    }
    weights_close(&c->weights);
    mem_free(c);
}

size_t classifier_label_count(const struct classifier *c)
{
    return c->weights.label_count;
}

struct str classifier_label(const struct classifier *c, size_t index)
{
    ASSERT(index < c->weights.label_count);
    return c->weights.labels[index];
}

struct str classifier_card(const struct classifier *c)
{
    return c->weights.card;
}

uint64_t classifier_checksum(const struct classifier *c)
{
    return c->weights.checksum;
}

const struct heads *classifier_heads(const struct classifier *c)
{
    return &c->heads;
}

const struct curves *classifier_curves(const struct classifier *c)
{
    return c->has_curves ? &c->curves : NULL;
}

struct classifier_scratch *classifier_scratch_create(void)
{
    struct classifier_scratch *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->features = features_create();
    if (s->features == NULL) {
        mem_free(s);
        return NULL;
    }
    return s;
}

void classifier_scratch_destroy(struct classifier_scratch *s)
{
    if (s == NULL) {
        return;
    }
    features_destroy(s->features);
    mem_free(s);
}

/* Adds the evidence of the words' meaning to the logits. */
static void add_meaning(const struct weights *w, struct classifier_scratch *s,
                        struct classifier_result *r)
{
    r->vector_size = w->words.dims;
    if (w->words.table == NULL) {
        return;
    }
    vectors_normalise(s->meaning, w->words.dims, r->vector);
    if (w->net.inputs == 0) {
        return;
    }
    float logit[CLASSIFIER_LABELS_MAX];
    network_run(&w->net, r->vector, s->hidden, logit);
    for (size_t i = 0; i < w->label_count; i++) {
        r->logit[i] += logit[i];
    }
}

void classifier_score(const struct classifier *c, struct classifier_scratch *s,
                      const struct classifier_segment *segments, size_t count,
                      struct classifier_result *ret_result)
{
    const struct weights *w = &c->weights;
    struct classifier_result *r = ret_result;
    gather(w, s, segments, count);
    double unit = unit_of(s);
    r->count = w->label_count;
    r->best = 0;
    for (size_t i = 0; i < w->label_count; i++) {
        double sum = (double)s->total[i] * unit;
        r->logit[i] = (float)((double)w->bias[i] + (double)w->scale[i] * sum);
    }
    add_meaning(w, s, r);
    double features = (double)s->norm / WEIGHT_ONE;
    double known =
        s->features->count > 0 ? features * (double)s->known / (double)s->features->count : 0.0;
    float temperature = calibrate_temperature(&w->calibration, r->logit, r->count, features, known);
    r->entropy = softmax(r->logit, r->count, temperature, r->p);
    for (size_t i = 1; i < r->count; i++) {
        r->best = r->p[i] > r->p[r->best] ? i : r->best;
    }
    r->features = (uint32_t)s->features->count;
    r->known = s->features->count > 0 ? (float)s->known / (float)s->features->count : 0.0F;
}

size_t classifier_hashes(struct classifier_scratch *s, const struct classifier_segment *segments,
                         size_t count, uint32_t *ret_hashes, size_t max)
{
    features_reset(s->features);
    for (size_t i = 0; i < count; i++) {
        (void)features_add(s->features, segments[i].text);
    }
    size_t found = s->features->count;
    size_t kept = found < max ? found : max;
    for (size_t i = 0; i < kept; i++) {
        ret_hashes[i] = s->features->items[i * found / kept].hash;
    }
    return kept;
}

float classifier_uncertainty(const struct classifier_result *r, size_t general)
{
    if (general >= r->count) {
        return r->entropy;
    }
    float p[CLASSIFIER_LABELS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (i != general) {
            p[n++] = r->p[i] + r->p[general] / (float)(r->count - 1);
        }
    }
    return n > 1 ? softmax_entropy(p, n) : r->entropy;
}

/* Inserts into the `count` entries sorted by weight, heaviest first, which are never more than max.
 * The feature is noted as an index in feature.len. Returns the new count. */
static size_t insert(struct classifier_evidence *evidence, size_t count, size_t max, size_t index,
                     float weight)
{
    if (count == max) {
        if (max == 0 || evidence[count - 1].weight >= weight) {
            return count;
        }
        count--;
    }
    size_t at = count++;
    while (at > 0 && evidence[at - 1].weight < weight) {
        evidence[at] = evidence[at - 1];
        at--;
    }
    evidence[at] = (struct classifier_evidence){{NULL, index}, weight};
    return count;
}

/* Replaces indices by names in s->names. Returns how many found room. */
static size_t name_evidence(struct classifier_scratch *s, struct classifier_evidence *evidence,
                            size_t count, size_t prior)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        size_t index = evidence[i].feature.len;
        if (index == prior) {
            evidence[i].feature = STR("prior");
            continue;
        }
        if (NAMES_BYTES - used < NAME_BYTES_MAX) {
            return i;
        }
        char *at = s->names + used;
        size_t length = features_name(s->features, &s->features->items[index], at, NAME_BYTES_MAX);
        evidence[i].feature = (struct str){at, length};
        used += length;
    }
    return count;
}

/* What each dimension of the summed word vectors adds to the logit of a label. Returns what is there
 * without any word. */
static float slope_of_words(const struct weights *w, struct classifier_scratch *s, size_t label,
                            double *ret_slope)
{
    float x[VECTORS_DIMS_MAX];
    float logit[CLASSIFIER_LABELS_MAX];
    float slope[VECTORS_DIMS_MAX];
    float constant = 0.0F;
    double square = 0.0;
    vectors_normalise(s->meaning, w->words.dims, x);
    network_run(&w->net, x, s->hidden, logit);
    network_slope(&w->net, s->hidden, label, slope, &constant);
    for (size_t d = 0; d < w->words.dims; d++) {
        square += (double)s->meaning[d] * (double)s->meaning[d];
    }
    for (size_t d = 0; d < w->words.dims; d++) {
        ret_slope[d] = square > 0.0 ? (double)slope[d] / sqrt(square) : 0.0;
    }
    return constant;
}

/* The share of a feature in a logit of its label: of its row, and for words of their meaning. */
static bool share_of(const struct weights *w, const struct feature *feature, size_t label,
                     const double *slope, double unit, double *ret_share)
{
    uint32_t slot = weights_find(w, feature->hash);
    const int8_t *word = NULL;
    *ret_share = slot != WEIGHTS_NO_SLOT ? unit * (double)weights_row(w, slot)[label] : 0.0;
    if (w->net.inputs > 0 && feature->kind == FEATURE_WORD) {
        word = vectors_find(&w->words, feature->hash);
    }
    for (size_t d = 0; word != NULL && d < w->words.dims; d++) {
        *ret_share += slope[d] * (double)word[d];
    }
    return slot != WEIGHTS_NO_SLOT || word != NULL;
}

size_t classifier_explain(const struct classifier *c, struct classifier_scratch *s,
                          const struct classifier_segment *segments, size_t count, size_t label,
                          struct classifier_evidence *ret_evidence, size_t max)
{
    const struct weights *w = &c->weights;
    double slope[VECTORS_DIMS_MAX];
    float constant = 0.0F;
    ASSERT(label < w->label_count);
    gather(w, s, segments, count);
    if (w->net.inputs > 0) {
        constant = slope_of_words(w, s, label, slope);
    }
    double unit = unit_of(s) * (double)w->scale[label];
    size_t prior = s->features->count;
    size_t n = insert(ret_evidence, 0, max, prior, w->bias[label] + constant);
    for (size_t i = 0; i < s->part_count; i++) {
        const struct part *part = &s->parts[i];
        for (size_t j = part->from; j < part->to; j++) {
            double share = 0.0;
            if (share_of(w, &s->features->items[j], label, slope, unit, &share)) {
                n = insert(ret_evidence, n, max, j, (float)((double)part->weight * share));
            }
        }
    }
    return name_evidence(s, ret_evidence, n, prior);
}
