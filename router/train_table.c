/* See train_table.h. */
#include "router/train_table.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    ROWS_MIN = 2, /* a feature of a single row tells nothing about other rows */
    INT8_TOP = 127,
};

static const uint32_t no_id = UINT32_MAX;

struct counter { /* open addressing; count 0 is a free place */
    uint32_t hash;
    uint32_t count;
};

static size_t place_of(const struct counter *counters, size_t mask, uint32_t hash)
{
    size_t i = hash & mask; /* hashes are well mixed */
    while (counters[i].count != 0 && counters[i].hash != hash) {
        i = (i + 1) & mask;
    }
    return i;
}

/* Replaces hashes by numbers of features that at least ROWS_MIN rows have. */
enum status train_table_number(struct train_rows *rows)
{
    size_t size = 1024;
    while (size < rows->id_count / 4) { /* text repeats itself: far fewer are distinct */
        size *= 2;
    }
    struct counter *counters = mem_zalloc(size, sizeof *counters);
    size_t distinct = 0;
    for (size_t i = 0; counters != NULL && i < rows->id_count; i++) {
        if (distinct > size / 2) {
            struct counter *wider = mem_zalloc(size * 2, sizeof *wider);
            for (size_t j = 0; wider != NULL && j < size; j++) {
                if (counters[j].count != 0) {
                    wider[place_of(wider, size * 2 - 1, counters[j].hash)] = counters[j];
                }
            }
            mem_free(counters);
            counters = wider;
            size *= 2;
            if (counters == NULL) {
                break;
            }
        }
        struct counter *counter = &counters[place_of(counters, size - 1, rows->ids[i])];
        distinct += counter->count == 0;
        counter->hash = rows->ids[i];
        counter->count++;
    }
    rows->hashes = mem_zalloc(distinct + 1, sizeof *rows->hashes);
    if (counters == NULL || rows->hashes == NULL) {
        mem_free(counters);
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < size; i++) {
        if (counters[i].count >= ROWS_MIN) {
            rows->hashes[rows->feature_count] = counters[i].hash;
            counters[i].count = rows->feature_count++ + 1;
        } else if (counters[i].count != 0) {
            counters[i].count = no_id;
        }
    }
    for (size_t i = 0; i < rows->sample_count; i++) {
        struct train_sample *sample = &rows->samples[i];
        uint32_t n = 0;
        for (uint32_t j = 0; j < sample->count; j++) {
            uint32_t hash = rows->ids[sample->at + j];
            uint32_t number = counters[place_of(counters, size - 1, hash)].count;
            rows->ids[sample->at + n] = number - 1;
            n += number != no_id;
        }
        sample->count = n;
    }
    mem_free(counters);
    return ST_OK;
}

/* The rows outside `group`, with features renumbered by `map` (no_id: dropped). The caller frees
 * items and ids. */
static enum status select_rows(const struct train_rows *rows, size_t group, const uint32_t *map,
                               struct fit_set *ret_set)
{
    size_t items = 0;
    size_t ids = 0;
    for (size_t i = 0; i < rows->sample_count; i++) {
        items += rows->samples[i].group != group;
        ids += rows->samples[i].group != group ? rows->samples[i].count : 0;
    }
    struct fit_set set = {.id_count = ret_set->id_count,
                          .label_count = ret_set->label_count,
                          .items = mem_alloc((items + 1) * sizeof *set.items),
                          .ids = mem_alloc((ids + 1) * sizeof *set.ids)};
    *ret_set = set;
    if (set.items == NULL || set.ids == NULL) {
        return ST_NO_MEMORY;
    }
    size_t at = 0;
    for (size_t i = 0; i < rows->sample_count; i++) {
        const struct train_sample *s = &rows->samples[i];
        if (s->group == group) {
            continue;
        }
        struct fit_item item = {.at = at,
                                .features = s->features,
                                .weight = s->weight,
                                .label = s->label,
                                .accept = s->accept};
        for (uint32_t j = 0; j < s->count; j++) {
            set.ids[at] = map[rows->ids[s->at + j]];
            at += set.ids[at] != no_id;
        }
        item.count = (uint32_t)(at - item.at);
        set.items[ret_set->item_count++] = item;
    }
    return ST_OK;
}

static void free_set(struct fit_set *set)
{
    mem_free(set->items);
    mem_free(set->ids);
    *set = (struct fit_set){0};
}

/* Numbers those features that ROWS_MIN rows outside the group have. Returns how many. */
static uint32_t map_known(const struct train_rows *rows, size_t group, uint32_t *map)
{
    memset(map, 0, rows->feature_count * sizeof *map);
    for (size_t i = 0; i < rows->sample_count; i++) {
        const struct train_sample *s = &rows->samples[i];
        for (uint32_t j = 0; s->group != group && j < s->count; j++) {
            map[rows->ids[s->at + j]]++;
        }
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < rows->feature_count; i++) {
        map[i] = map[i] >= ROWS_MIN ? n++ : no_id;
    }
    return n;
}

struct choice { /* a candidate for a place in the table */
    uint32_t bucket;
    uint32_t feature;
    float spread;
};

static int by_bucket(const void *left, const void *right)
{
    const struct choice *a = left;
    const struct choice *b = right;
    if (a->bucket != b->bucket) {
        return a->bucket < b->bucket ? -1 : 1;
    }
    if (a->spread > b->spread || a->spread < b->spread) {
        return a->spread > b->spread ? -1 : 1;
    }
    return a->feature < b->feature ? -1 : a->feature > b->feature;
}

/* Keeps the WEIGHTS_SLOTS features of each bucket whose rows weigh most; renumbers the map so that
 * they stand in the order of the table. Writes their fingerprints. Returns how many stay. */
static uint32_t keep_best(const struct train_rows *rows, struct train_table *table,
                          const float *spread, uint32_t *map, struct choice *choices)
{
    const struct weights *w = &table->weights;
    size_t count = 0;
    for (uint32_t i = 0; i < rows->feature_count; i++) {
        if (map[i] != no_id) {
            choices[count++] =
                (struct choice){weights_bucket(w, rows->hashes[i]), i, spread[map[i]]};
            map[i] = no_id;
        }
    }
    qsort(choices, count, sizeof *choices, by_bucket);
    uint32_t kept = 0;
    uint32_t bucket = UINT32_MAX;
    uint32_t used = 0;
    for (size_t i = 0; i < count; i++) {
        used = choices[i].bucket == bucket ? used : 0;
        bucket = choices[i].bucket;
        uint32_t hash = rows->hashes[choices[i].feature];
        if (used == WEIGHTS_SLOTS || weights_find(w, hash) != WEIGHTS_NO_SLOT) {
            continue; /* full, or a stronger feature has the same fingerprint */
        }
        uint8_t *at = table->bytes + (size_t)bucket * w->bucket_bytes + 2 * (size_t)used;
        at[0] = (uint8_t)buckets_fingerprint(hash);
        at[1] = (uint8_t)(buckets_fingerprint(hash) >> 8);
        map[choices[i].feature] = kept++;
        used++;
    }
    return kept;
}

/* Rows as int8, each label by its largest weight: clipping costs accuracy (measured). */
static void quantise(const struct train_rows *rows, struct train_table *table,
                     const struct fit *fit, const uint32_t *map)
{
    struct weights *w = &table->weights;
    uint32_t stride = fit_stride((uint32_t)w->label_count);
    float top[WEIGHTS_LABELS_MAX] = {0};
    for (uint32_t i = 0; i < rows->feature_count; i++) {
        for (size_t k = 0; map[i] != no_id && k < w->label_count; k++) {
            float size = fabsf(fit->rows[(size_t)map[i] * stride + k]);
            top[k] = size > top[k] ? size : top[k];
        }
    }
    for (size_t k = 0; k < w->label_count; k++) {
        w->scale[k] = top[k] > 0.0F ? top[k] / (float)INT8_TOP : 1.0F;
        w->bias[k] = fit->bias[k];
    }
    for (uint32_t i = 0; i < rows->feature_count; i++) {
        if (map[i] == no_id) {
            continue;
        }
        uint32_t slot = weights_find(w, rows->hashes[i]);
        uint8_t *at = table->bytes + (size_t)(slot / WEIGHTS_SLOTS) * w->bucket_bytes;
        at += 2 * WEIGHTS_SLOTS + slot % WEIGHTS_SLOTS * w->label_count;
        for (size_t k = 0; k < w->label_count; k++) {
            float x = fit->rows[(size_t)map[i] * stride + k] / w->scale[k];
            at[k] = (uint8_t)(int8_t)lrintf(x);
        }
    }
}

static enum status start_table(struct train_table *table)
{
    struct weights *w = &table->weights;
    w->bucket_bytes = weights_bucket_bytes(w->label_count);
    table->bytes = mem_zalloc(w->bucket_count, w->bucket_bytes);
    w->table = table->bytes;
    return table->bytes != NULL ? ST_OK : ST_NO_MEMORY;
}

enum status train_table_fit(const struct train_rows *rows, size_t group,
                            const struct fit_options *options, struct train_table *ret_table)
{
    struct train_table *table = ret_table;
    struct fit_set set = {0};
    struct fit fit = {0};
    struct choice *choices = NULL;
    uint32_t kept = 0;
    uint32_t *map = mem_alloc(((size_t)rows->feature_count + 1) * sizeof *map);
    enum status st = start_table(table);
    if (map == NULL || st != ST_OK) {
        st = ST_NO_MEMORY;
        goto out;
    }
    set.label_count = (uint32_t)table->weights.label_count;
    set.id_count = map_known(rows, group, map);
    st = select_rows(rows, group, map, &set);
    if (st != ST_OK) {
        goto out;
    }
    st = fit_run(&set, options, &fit);
    if (st != ST_OK) {
        goto out;
    }
    choices = mem_alloc(((size_t)set.id_count + 1) * sizeof *choices);
    if (choices == NULL) {
        st = ST_NO_MEMORY;
        goto out;
    }
    kept = keep_best(rows, table, fit.spread, map, choices);
    fit_fini(&fit);
    free_set(&set);
    set.label_count = (uint32_t)table->weights.label_count;
    set.id_count = kept;
    st = select_rows(rows, group, map, &set);
    if (st == ST_OK) {
        st = fit_run(&set, options, &fit);
    }
    if (st == ST_OK) {
        quantise(rows, table, &fit, map);
        table->kept = kept;
    }
out:
    mem_free(map);
    mem_free(choices);
    free_set(&set);
    fit_fini(&fit);
    return st;
}

void train_table_score(struct train_rows *rows, size_t group, const struct train_table *table,
                       float *ret_logits)
{
    const struct weights *w = &table->weights;
    for (size_t i = 0; i < rows->sample_count; i++) {
        struct train_sample *s = &rows->samples[i];
        if (s->group != group) {
            continue;
        }
        int32_t sum[WEIGHTS_LABELS_MAX] = {0};
        for (uint32_t j = 0; j < s->count; j++) {
            uint32_t slot = weights_find(w, rows->hashes[rows->ids[s->at + j]]);
            s->known += slot != WEIGHTS_NO_SLOT;
            for (size_t k = 0; slot != WEIGHTS_NO_SLOT && k < w->label_count; k++) {
                sum[k] += weights_row(w, slot)[k];
            }
        }
        float unit = s->features > 0 ? 1.0F / sqrtf((float)s->features) : 0.0F;
        for (size_t k = 0; k < w->label_count; k++) {
            ret_logits[i * w->label_count + k] = w->bias[k] + w->scale[k] * (float)sum[k] * unit;
        }
    }
}
