/* See train.h. What happens here: numbering of features, groups, the choice of the features that
 * stay, int8, temperature. The models themselves are in fit.c, the file format in weights.c. */
#include "router/train.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "router/features.h"
#include "router/softmax.h"
#include "router/weights.h"

enum {
    ROWS_MIN = 2, /* a feature of a single row tells nothing about other rows */
    BINS = 15,    /* of the calibration error */
    NO_GROUP = TRAIN_GROUPS,
    INT8_TOP = 127,
    CALIBRATION_STEP = 3, /* every third row is plenty for three numbers */
};

static const uint32_t no_id = UINT32_MAX;

static const char *const group_names[TRAIN_GROUPS] = {"textbooks", "templates", "others-1",
                                                      "others-2", "others-3"};

struct sample { /* a row */
    size_t at;  /* in trainer.ids: hashes at first, feature numbers after number_features */
    uint32_t count;
    uint32_t features;
    uint32_t known; /* of its features, to the model that had not seen its group */
    float weight;
    uint8_t group;
    uint8_t label;
    uint64_t accept;
};

struct names {
    char text[WEIGHTS_LABELS_MAX][WEIGHTS_LABEL_BYTES_MAX];
    size_t length[WEIGHTS_LABELS_MAX];
    size_t rows[WEIGHTS_LABELS_MAX];
    size_t count;
};

struct counter { /* open addressing; count 0 is a free place */
    uint32_t hash;
    uint32_t count;
};

struct model { /* of one plan */
    struct weights weights;
    uint8_t *table;
};

struct trainer {
    struct train_options options;
    struct names names;
    struct features *features;
    struct sample *samples;
    size_t sample_count;
    size_t sample_cap;
    uint32_t *ids;
    size_t id_count;
    size_t id_cap;
    uint32_t *hashes; /* of each feature number */
    uint32_t feature_count;
    float *logits; /* per sample: label_count, from the model that had not seen its group */
    struct model final;
    size_t kept;
    /* train_run's threads: next_plan is taken by all, lock guards the rest. */
    size_t plans[TRAIN_GROUPS + 1];
    size_t plan_count;
    atomic_size_t next_plan;
    pthread_mutex_t lock;
    size_t done;
    enum status failure;
};

static enum status reserve(void **block, size_t *cap, size_t wanted, size_t size)
{
    if (wanted <= *cap) {
        return ST_OK;
    }
    size_t next = *cap < 1024 ? 1024 : *cap;
    while (next < wanted) {
        next *= 2;
    }
    void *moved = mem_resize(*block, next * size);
    if (moved == NULL) {
        return ST_NO_MEMORY;
    }
    *block = moved;
    *cap = next;
    return ST_OK;
}

static enum status intern(struct names *names, struct str name, size_t *ret_index)
{
    if (name.len == 0 || name.len > WEIGHTS_LABEL_BYTES_MAX) {
        return ST_INVALID;
    }
    for (size_t i = 0; i < names->count; i++) {
        if (str_eq((struct str){names->text[i], names->length[i]}, name)) {
            *ret_index = i;
            return ST_OK;
        }
    }
    if (names->count == WEIGHTS_LABELS_MAX) {
        return ST_TOO_BIG;
    }
    memcpy(names->text[names->count], name.ptr, name.len);
    names->length[names->count] = name.len;
    *ret_index = names->count++;
    return ST_OK;
}

/* Labels with rows in alphabetical order; sets what each old index becomes. */
static void sort_names(struct names *names, size_t *ret_new_index)
{
    struct names sorted = {0};
    bool is_taken[WEIGHTS_LABELS_MAX] = {false};
    for (size_t i = 0; i < names->count; i++) {
        ret_new_index[i] = WEIGHTS_LABELS_MAX;
        is_taken[i] = names->rows[i] == 0;
    }
    for (;;) {
        size_t first = WEIGHTS_LABELS_MAX;
        for (size_t i = 0; i < names->count; i++) {
            struct str name = {names->text[i], names->length[i]};
            if (!is_taken[i] &&
                (first == WEIGHTS_LABELS_MAX ||
                 str_cmp(name, (struct str){names->text[first], names->length[first]}) < 0)) {
                first = i;
            }
        }
        if (first == WEIGHTS_LABELS_MAX) {
            break;
        }
        is_taken[first] = true;
        memcpy(sorted.text[sorted.count], names->text[first], sizeof sorted.text[0]);
        sorted.length[sorted.count] = names->length[first];
        sorted.rows[sorted.count] = names->rows[first];
        ret_new_index[first] = sorted.count++;
    }
    *names = sorted;
}

static void rename_labels(struct trainer *t)
{
    size_t new_index[WEIGHTS_LABELS_MAX];
    sort_names(&t->names, new_index);
    for (size_t i = 0; i < t->sample_count; i++) {
        struct sample *sample = &t->samples[i];
        uint64_t accept = 0;
        for (uint64_t rest = sample->accept; rest != 0; rest &= rest - 1) {
            size_t index = new_index[__builtin_ctzll(rest)];
            accept |= index < WEIGHTS_LABELS_MAX ? (uint64_t)1 << index : 0;
        }
        sample->accept = accept;
        sample->label = (uint8_t)new_index[sample->label];
    }
}

static size_t place_of(const struct counter *counters, size_t mask, uint32_t hash)
{
    size_t i = hash & mask; /* hashes are well mixed */
    while (counters[i].count != 0 && counters[i].hash != hash) {
        i = (i + 1) & mask;
    }
    return i;
}

/* Replaces hashes by numbers of features that at least ROWS_MIN rows have. */
static enum status number_features(struct trainer *t)
{
    size_t size = 1024;
    while (size < t->id_count / 4) { /* text repeats itself: far fewer are distinct */
        size *= 2;
    }
    struct counter *counters = mem_zalloc(size, sizeof *counters);
    size_t distinct = 0;
    for (size_t i = 0; counters != NULL && i < t->id_count; i++) {
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
        struct counter *counter = &counters[place_of(counters, size - 1, t->ids[i])];
        distinct += counter->count == 0;
        counter->hash = t->ids[i];
        counter->count++;
    }
    t->hashes = mem_zalloc(distinct + 1, sizeof *t->hashes);
    if (counters == NULL || t->hashes == NULL) {
        mem_free(counters);
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < size; i++) {
        if (counters[i].count >= ROWS_MIN) {
            t->hashes[t->feature_count] = counters[i].hash;
            counters[i].count = t->feature_count++ + 1;
        } else if (counters[i].count != 0) {
            counters[i].count = no_id;
        }
    }
    for (size_t i = 0; i < t->sample_count; i++) {
        struct sample *sample = &t->samples[i];
        uint32_t n = 0;
        for (uint32_t j = 0; j < sample->count; j++) {
            uint32_t hash = t->ids[sample->at + j];
            uint32_t number = counters[place_of(counters, size - 1, hash)].count;
            t->ids[sample->at + n] = number - 1;
            n += number != no_id;
        }
        sample->count = n;
    }
    mem_free(counters);
    return ST_OK;
}

/* The rows outside `group`, with features renumbered by `map` (no_id: dropped). The caller frees
 * items and ids. */
static enum status select_rows(const struct trainer *t, size_t group, const uint32_t *map,
                               struct fit_set *ret_set)
{
    size_t items = 0;
    size_t ids = 0;
    for (size_t i = 0; i < t->sample_count; i++) {
        items += t->samples[i].group != group;
        ids += t->samples[i].group != group ? t->samples[i].count : 0;
    }
    struct fit_set set = {.id_count = ret_set->id_count,
                          .label_count = (uint32_t)t->names.count,
                          .items = mem_alloc((items + 1) * sizeof *set.items),
                          .ids = mem_alloc((ids + 1) * sizeof *set.ids)};
    *ret_set = set;
    if (set.items == NULL || set.ids == NULL) {
        return ST_NO_MEMORY;
    }
    size_t at = 0;
    for (size_t i = 0; i < t->sample_count; i++) {
        const struct sample *s = &t->samples[i];
        if (s->group == group) {
            continue;
        }
        struct fit_item item = {.at = at,
                                .features = s->features,
                                .weight = s->weight,
                                .label = s->label,
                                .accept = s->accept};
        for (uint32_t j = 0; j < s->count; j++) {
            set.ids[at] = map[t->ids[s->at + j]];
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
static uint32_t map_known(const struct trainer *t, size_t group, uint32_t *map)
{
    memset(map, 0, t->feature_count * sizeof *map);
    for (size_t i = 0; i < t->sample_count; i++) {
        const struct sample *s = &t->samples[i];
        for (uint32_t j = 0; s->group != group && j < s->count; j++) {
            map[t->ids[s->at + j]]++;
        }
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->feature_count; i++) {
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
static uint32_t keep_best(const struct trainer *t, struct model *model, const float *spread,
                          uint32_t *map, struct choice *choices)
{
    const struct weights *w = &model->weights;
    size_t count = 0;
    for (uint32_t i = 0; i < t->feature_count; i++) {
        if (map[i] != no_id) {
            choices[count++] = (struct choice){weights_bucket(w, t->hashes[i]), i, spread[map[i]]};
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
        uint32_t hash = t->hashes[choices[i].feature];
        if (used == WEIGHTS_SLOTS || weights_find(w, hash) != WEIGHTS_NO_SLOT) {
            continue; /* full, or a stronger feature has the same fingerprint */
        }
        uint8_t *at = model->table + (size_t)bucket * w->bucket_bytes + 2 * (size_t)used;
        at[0] = (uint8_t)weights_fingerprint(hash);
        at[1] = (uint8_t)(weights_fingerprint(hash) >> 8);
        map[choices[i].feature] = kept++;
        used++;
    }
    return kept;
}

/* Rows as int8, each label by its largest weight: clipping costs accuracy (measured). */
static void quantise(const struct trainer *t, struct model *model, const struct fit *fit,
                     const uint32_t *map)
{
    struct weights *w = &model->weights;
    uint32_t stride = fit_stride((uint32_t)w->label_count);
    float top[WEIGHTS_LABELS_MAX] = {0};
    for (uint32_t i = 0; i < t->feature_count; i++) {
        for (size_t k = 0; map[i] != no_id && k < w->label_count; k++) {
            float size = fabsf(fit->rows[(size_t)map[i] * stride + k]);
            top[k] = size > top[k] ? size : top[k];
        }
    }
    for (size_t k = 0; k < w->label_count; k++) {
        w->scale[k] = top[k] > 0.0F ? top[k] / (float)INT8_TOP : 1.0F;
        w->bias[k] = fit->bias[k];
    }
    for (uint32_t i = 0; i < t->feature_count; i++) {
        if (map[i] == no_id) {
            continue;
        }
        uint32_t slot = weights_find(w, t->hashes[i]);
        uint8_t *at = model->table + (size_t)(slot / WEIGHTS_SLOTS) * w->bucket_bytes;
        at += 2 * WEIGHTS_SLOTS + slot % WEIGHTS_SLOTS * w->label_count;
        for (size_t k = 0; k < w->label_count; k++) {
            float x = fit->rows[(size_t)map[i] * stride + k] / w->scale[k];
            at[k] = (uint8_t)(int8_t)lrintf(x);
        }
    }
}

static enum status start_model(const struct trainer *t, struct model *model)
{
    struct weights *w = &model->weights;
    w->label_count = t->names.count;
    for (size_t k = 0; k < w->label_count; k++) {
        w->labels[k] = (struct str){t->names.text[k], t->names.length[k]};
    }
    w->calibration.temperature = 1.0F;
    w->bucket_bytes = weights_bucket_bytes(w->label_count);
    w->bucket_count = t->options.buckets;
    size_t bytes = (size_t)w->bucket_count * w->bucket_bytes;
    model->table = mem_zalloc(bytes, 1);
    w->table = model->table;
    return model->table != NULL ? ST_OK : ST_NO_MEMORY;
}

/* One whole model from the rows outside `group`. The caller frees model->table. */
static enum status fit_model(const struct trainer *t, size_t group, struct model *model,
                             size_t *ret_kept)
{
    struct fit_set set = {0};
    struct fit fit = {0};
    struct choice *choices = NULL;
    uint32_t kept = 0;
    uint32_t *map = mem_alloc(((size_t)t->feature_count + 1) * sizeof *map);
    enum status st = start_model(t, model);
    if (map == NULL || st != ST_OK) {
        st = ST_NO_MEMORY;
        goto out;
    }
    set.id_count = map_known(t, group, map);
    st = select_rows(t, group, map, &set);
    if (st != ST_OK) {
        goto out;
    }
    st = fit_run(&set, &t->options.fit, &fit);
    if (st != ST_OK) {
        goto out;
    }
    choices = mem_alloc(((size_t)set.id_count + 1) * sizeof *choices);
    if (choices == NULL) {
        st = ST_NO_MEMORY;
        goto out;
    }
    kept = keep_best(t, model, fit.spread, map, choices);
    fit_fini(&fit);
    free_set(&set);
    set.id_count = kept;
    st = select_rows(t, group, map, &set);
    if (st == ST_OK) {
        st = fit_run(&set, &t->options.fit, &fit);
    }
    if (st == ST_OK) {
        quantise(t, model, &fit, map);
        *ret_kept = kept;
    }
out:
    mem_free(map);
    mem_free(choices);
    free_set(&set);
    fit_fini(&fit);
    return st;
}

/* What the model says about the rows of the group that it has not seen. */
static void score_group(struct trainer *t, size_t group, const struct model *model)
{
    const struct weights *w = &model->weights;
    for (size_t i = 0; i < t->sample_count; i++) {
        struct sample *s = &t->samples[i];
        if (s->group != group) {
            continue;
        }
        int32_t sum[WEIGHTS_LABELS_MAX] = {0};
        for (uint32_t j = 0; j < s->count; j++) {
            uint32_t slot = weights_find(w, t->hashes[t->ids[s->at + j]]);
            s->known += slot != WEIGHTS_NO_SLOT;
            for (size_t k = 0; slot != WEIGHTS_NO_SLOT && k < w->label_count; k++) {
                sum[k] += weights_row(w, slot)[k];
            }
        }
        float unit = s->features > 0 ? 1.0F / sqrtf((float)s->features) : 0.0F;
        for (size_t k = 0; k < w->label_count; k++) {
            t->logits[i * w->label_count + k] = w->bias[k] + w->scale[k] * (float)sum[k] * unit;
        }
    }
}

static void report_progress(struct trainer *t, const char *what)
{
    if (t->options.on_progress != NULL) {
        t->options.on_progress(t->options.ctx, what, t->done, t->plan_count);
    }
}

static void *run_plans(void *ctx)
{
    struct trainer *t = ctx;
    for (;;) {
        size_t plan = atomic_fetch_add(&t->next_plan, 1);
        if (plan >= t->plan_count) {
            return NULL;
        }
        size_t group = t->plans[plan];
        struct model model = {0};
        size_t kept = 0;
        enum status st = fit_model(t, group, &model, &kept);
        if (st == ST_OK && group != NO_GROUP) {
            score_group(t, group, &model);
        }
        (void)pthread_mutex_lock(&t->lock); /* fails only for misuse */
        t->done++;
        t->failure = t->failure != ST_OK ? t->failure : st;
        if (st == ST_OK && group == NO_GROUP) {
            t->final = model;
            t->kept = kept;
            model.table = NULL;
        }
        report_progress(t, group == NO_GROUP ? "nothing" : group_names[group]);
        (void)pthread_mutex_unlock(&t->lock);
        mem_free(model.table);
    }
}

static void plan_groups(struct trainer *t)
{
    size_t rows[TRAIN_GROUPS] = {0};
    size_t groups = 0;
    for (size_t i = 0; i < t->sample_count; i++) {
        rows[t->samples[i].group]++;
    }
    for (size_t g = 0; g < TRAIN_GROUPS; g++) {
        groups += rows[g] > 0;
    }
    t->plans[t->plan_count++] = NO_GROUP;
    for (size_t g = 0; g < TRAIN_GROUPS; g++) {
        if (rows[g] > 0 && groups > 1) {
            t->plans[t->plan_count++] = g;
        }
    }
}

static enum status run_threads(struct trainer *t)
{
    enum {
        THREADS_MAX = 16
    };

    pthread_t threads[THREADS_MAX];
    int started = 0;
    int wanted = t->options.threads < THREADS_MAX ? t->options.threads : THREADS_MAX;
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, run_plans, t) == 0) {
        started++;
    }
    (void)run_plans(t);
    for (int i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL); /* fails only for misuse */
    }
    return t->failure;
}

/* Every group counts the same, whatever its size; within a group rows count by their weight. */
static enum status fit_calibration(const struct trainer *t, struct calibration *ret_calibration)
{
    double group_weight[TRAIN_GROUPS] = {0};
    for (size_t i = 0; i < t->sample_count; i++) {
        group_weight[t->samples[i].group] += (double)t->samples[i].weight;
    }
    struct calibrate_row *rows = mem_alloc((t->sample_count / CALIBRATION_STEP + 1) * sizeof *rows);
    if (rows == NULL) {
        return ST_NO_MEMORY;
    }
    size_t count = 0;
    for (size_t i = 0; i + CALIBRATION_STEP <= t->sample_count; i += CALIBRATION_STEP) {
        const struct sample *s = &t->samples[i];
        rows[count++] = (struct calibrate_row){
            .logit = t->logits + i * t->names.count,
            .accept = s->accept,
            .features = s->features,
            .known = s->known,
            .weight = s->weight / (float)group_weight[s->group],
        };
    }
    *ret_calibration = calibrate_fit(rows, count, t->names.count);
    mem_free(rows);
    return ST_OK;
}

static void report_group(const struct trainer *t, size_t group, const struct calibration *c,
                         struct train_group *ret_group)
{
    size_t labels = t->names.count;
    double right = 0.0;
    double accepted = 0.0;
    double gap[BINS] = {0};
    for (size_t i = 0; i < t->sample_count; i++) {
        const struct sample *s = &t->samples[i];
        if (s->group != group) {
            continue;
        }
        float p[WEIGHTS_LABELS_MAX];
        float temperature = calibrate_temperature(c, s->features, s->known);
        (void)softmax(t->logits + i * labels, labels, temperature, p); /* entropy is not needed */
        size_t best = 0;
        for (size_t k = 1; k < labels; k++) {
            best = p[k] > p[best] ? k : best;
        }
        bool is_accepted = (s->accept >> best & 1) != 0;
        right += best == s->label ? 1.0 : 0.0;
        accepted += is_accepted ? 1.0 : 0.0;
        int bin = (int)(p[best] * (float)BINS);
        gap[bin < BINS ? bin : BINS - 1] += (double)p[best] - (is_accepted ? 1.0 : 0.0);
        ret_group->rows++;
    }
    for (int i = 0; i < BINS; i++) {
        ret_group->ece += fabs(gap[i]) / (double)ret_group->rows;
    }
    ret_group->name = group_names[group];
    ret_group->accuracy = right / (double)ret_group->rows;
    ret_group->accuracy_accept = accepted / (double)ret_group->rows;
}

void train_options_default(struct train_options *ret_options)
{
    *ret_options = (struct train_options){
        .fit =
            {
                .seed = 1,
                .epochs = 4,
                .rate = 0.5,
                .smoothing = 0.05,
                .dropping = 0.45,
                .decay = 0.01,
                .prior = 0.1,
                .bayes = 0.5,
            },
        .buckets = 62000, /* of 64 bytes: just below four million bytes */
        .threads = 1,
    };
}

size_t train_group_of(struct str source, struct str text)
{
    if (str_starts_with(source, STR("openstax/"))) {
        return 0;
    }
    if (str_starts_with(source, STR("synthetic"))) {
        return 1;
    }
    if (str_eq(source, STR("authored"))) {
        return 2 + (size_t)(str_hash(text) % (TRAIN_GROUPS - 2));
    }
    size_t end = 0;
    while (end < source.len && source.ptr[end] != ':' && source.ptr[end] != '@' &&
           source.ptr[end] != '#') {
        end++;
    }
    return 2 + (size_t)(str_hash(str_slice(source, 0, end)) % (TRAIN_GROUPS - 2));
}

struct trainer *train_create(const struct train_options *options)
{
    struct trainer *t = mem_zalloc(1, sizeof *t);
    struct features *features = features_create();
    if (t == NULL || features == NULL) {
        mem_free(t);
        features_destroy(features);
        return NULL;
    }
    t->options = *options;
    t->features = features;
    (void)pthread_mutex_init(&t->lock, NULL); /* cannot fail for a plain mutex */
    return t;
}

void train_destroy(struct trainer *t)
{
    if (t == NULL) {
        return;
    }
    (void)pthread_mutex_destroy(&t->lock); /* nobody holds it */
    features_destroy(t->features);
    mem_free(t->samples);
    mem_free(t->ids);
    mem_free(t->hashes);
    mem_free(t->logits);
    mem_free(t->final.table);
    mem_free(t);
}

enum status train_add(struct trainer *t, const struct train_row *row)
{
    size_t label = 0;
    if (!(row->weight > 0.0)) {
        return ST_INVALID;
    }
    enum status st = intern(&t->names, row->label, &label);
    if (st != ST_OK) {
        return st;
    }
    struct sample sample = {.label = (uint8_t)label, .accept = (uint64_t)1 << label};
    for (size_t i = 0; i < row->accept_count; i++) {
        size_t other = 0;
        if (intern(&t->names, row->accept[i], &other) == ST_OK) {
            sample.accept |= (uint64_t)1 << other;
        }
    }
    features_reset(t->features);
    size_t count = features_add(t->features, row->text);
    st = reserve((void **)&t->ids, &t->id_cap, t->id_count + count, sizeof *t->ids);
    if (st == ST_OK) {
        st = reserve((void **)&t->samples, &t->sample_cap, t->sample_count + 1, sizeof *t->samples);
    }
    if (st != ST_OK) {
        return st;
    }
    sample.at = t->id_count;
    sample.count = (uint32_t)count;
    sample.features = (uint32_t)count;
    sample.weight = (float)row->weight;
    sample.group = (uint8_t)train_group_of(row->source, row->text);
    for (size_t i = 0; i < count; i++) {
        t->ids[t->id_count++] = t->features->items[i].hash;
    }
    t->names.rows[label]++;
    t->samples[t->sample_count++] = sample;
    return ST_OK;
}

enum status train_run(struct trainer *t, struct train_report *ret_report)
{
    rename_labels(t);
    if (t->names.count < 2) {
        return ST_INVALID;
    }
    t->logits = mem_zalloc(t->sample_count, t->names.count * sizeof *t->logits);
    enum status st = t->logits != NULL ? number_features(t) : ST_NO_MEMORY;
    if (st != ST_OK) {
        return st;
    }
    plan_groups(t);
    st = run_threads(t);
    if (st != ST_OK) {
        return st;
    }
    struct train_report report = {.rows = t->sample_count,
                                  .features = t->feature_count,
                                  .kept = t->kept,
                                  .calibration = {.temperature = 1.0F}};
    if (t->plan_count > 1) {
        st = fit_calibration(t, &report.calibration);
    }
    if (st != ST_OK) {
        return st;
    }
    for (size_t i = 1; i < t->plan_count; i++) {
        report_group(t, t->plans[i], &report.calibration, &report.groups[report.group_count++]);
    }
    t->final.weights.calibration = report.calibration;
    *ret_report = report;
    return ST_OK;
}

enum status train_save(const struct trainer *t, struct str card, const char *path)
{
    struct weights w = t->final.weights;
    w.card = card;
    return weights_write(&w, path);
}
