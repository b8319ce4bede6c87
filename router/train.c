/* See train.h. What happens here: labels, groups of sources, threads, calibration. The table is
 * made in train_table.c, the models in fit.c, the file in weights.c. */
#include "router/train.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "router/curves.h"
#include "router/features.h"
#include "router/prompts.h"
#include "router/softmax.h"
#include "router/train_network.h"
#include "router/train_table.h"
#include "router/uncertainty.h"
#include "router/weights.h"

enum {
    BINS = 15, /* of the calibration error */
    NO_GROUP = TRAIN_GROUPS,
    CALIBRATION_STEP = 3, /* every third row is plenty for three numbers */
};

/* Of the network, where there are no groups left out that could tell. */
static const float lone_share = 0.4F;

static const char *const group_names[TRAIN_GROUPS] = {"textbooks", "templates", "others-1",
                                                      "others-2", "others-3"};

struct names {
    char text[WEIGHTS_LABELS_MAX][WEIGHTS_LABEL_BYTES_MAX];
    size_t length[WEIGHTS_LABELS_MAX];
    size_t rows[WEIGHTS_LABELS_MAX];
    size_t count;
};

struct trainer {
    struct train_options options;
    struct names names;
    struct features *features;
    struct train_rows rows;
    size_t sample_cap;
    size_t id_cap;
    float *logits; /* per sample: label_count, from the model that had not seen its group */
    struct train_table final;
    char *curves; /* what final.weights.curves points to; NULL: no group was left out */
    struct train_network network;
    struct str final_network;
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
    for (size_t i = 0; i < t->rows.sample_count; i++) {
        struct train_sample *sample = &t->rows.samples[i];
        uint64_t accept = 0;
        for (uint64_t rest = sample->accept; rest != 0; rest &= rest - 1) {
            size_t index = new_index[__builtin_ctzll(rest)];
            accept |= index < WEIGHTS_LABELS_MAX ? (uint64_t)1 << index : 0;
        }
        sample->accept = accept;
        sample->label = (uint8_t)new_index[sample->label];
    }
}

static void report_progress(struct trainer *t, const char *what)
{
    if (t->options.on_progress != NULL) {
        t->options.on_progress(t->options.ctx, what, t->done, t->plan_count);
    }
}

static void start_table(const struct trainer *t, struct weights *ret_weights)
{
    ret_weights->label_count = t->names.count;
    for (size_t k = 0; k < t->names.count; k++) {
        ret_weights->labels[k] = (struct str){t->names.text[k], t->names.length[k]};
    }
    ret_weights->calibration.temperature = 1.0F;
    ret_weights->bucket_count = t->options.buckets;
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
        struct train_table table = {0};
        start_table(t, &table.weights);
        enum status st = train_table_fit(&t->rows, group, &t->options.fit, &table);
        if (st == ST_OK && group != NO_GROUP) {
            train_table_score(&t->rows, group, &table, t->logits);
        }
        struct str network = {NULL, 0};
        if (st == ST_OK && t->network.x != NULL) {
            st = train_network_fit(&t->network, &t->rows, group, t->names.count,
                                   &t->options.network, &network);
        }
        (void)pthread_mutex_lock(&t->lock); /* fails only for misuse */
        t->done++;
        t->failure = t->failure != ST_OK ? t->failure : st;
        if (st == ST_OK && group == NO_GROUP) {
            t->final = table;
            t->final_network = network;
            table.bytes = NULL;
            network.ptr = NULL;
        }
        report_progress(t, group == NO_GROUP ? "nothing" : group_names[group]);
        (void)pthread_mutex_unlock(&t->lock);
        mem_free(table.bytes);
        mem_free((void *)(uintptr_t)network.ptr);
    }
}

static void plan_groups(struct trainer *t)
{
    size_t rows[TRAIN_GROUPS] = {0};
    size_t groups = 0;
    for (size_t i = 0; i < t->rows.sample_count; i++) {
        rows[t->rows.samples[i].group]++;
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
static void weigh_groups(const struct trainer *t, double ret_weight[TRAIN_GROUPS])
{
    memset(ret_weight, 0, TRAIN_GROUPS * sizeof *ret_weight);
    for (size_t i = 0; i < t->rows.sample_count; i++) {
        ret_weight[t->rows.samples[i].group] += (double)t->rows.samples[i].weight;
    }
}

/* Lets the networks' evidence join that of the tables. */
static enum status mix_network(struct trainer *t, float *ret_share)
{
    double group_weight[TRAIN_GROUPS];
    float *weight = mem_alloc((t->rows.sample_count + 1) * sizeof *weight);
    if (weight == NULL) {
        return ST_NO_MEMORY;
    }
    weigh_groups(t, group_weight);
    for (size_t i = 0; i < t->rows.sample_count; i++) {
        const struct train_sample *s = &t->rows.samples[i];
        weight[i] = s->weight / (float)group_weight[s->group];
    }
    *ret_share = lone_share;
    if (t->plan_count > 1) {
        *ret_share = train_network_mix(&t->network, &t->rows, weight, t->names.count, t->logits);
    }
    train_network_scale(t->final_network, t->names.count, *ret_share);
    mem_free(weight);
    return ST_OK;
}

static enum status fit_calibration(const struct trainer *t, struct calibration *ret_calibration)
{
    double group_weight[TRAIN_GROUPS];
    weigh_groups(t, group_weight);
    struct calibrate_row *rows =
        mem_alloc((t->rows.sample_count / CALIBRATION_STEP + 1) * sizeof *rows);
    if (rows == NULL) {
        return ST_NO_MEMORY;
    }
    size_t count = 0;
    for (size_t i = 0; i + CALIBRATION_STEP <= t->rows.sample_count; i += CALIBRATION_STEP) {
        const struct train_sample *s = &t->rows.samples[i];
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

static struct curves_row curves_row_of(const struct classifier_result *r, uint64_t accept,
                                       size_t general, double weight)
{
    struct curves_row row = {
        .best = r->best,
        .is_right = (accept >> r->best & 1) != 0,
        .confidence = {uncertainty_confidence(UNCERTAINTY_PROBABILITY, r, general),
                       uncertainty_confidence(UNCERTAINTY_ENTROPY, r, general)},
        .weight = (float)weight,
    };
    for (size_t k = 0; k < r->count; k++) {
        bool is_more = (accept >> k & 1) != 0 && r->p[k] > row.right_p;
        row.right_p = is_more ? r->p[k] : row.right_p;
    }
    return row;
}

static enum status encode_curves(struct trainer *t, const struct curves *curves)
{
    size_t bytes = curves_bytes(curves->label_count);
    t->curves = mem_alloc(bytes);
    if (t->curves == NULL) {
        return ST_NO_MEMORY;
    }
    curves_encode(curves, t->curves);
    t->final.weights.curves = (struct str){t->curves, bytes};
    return ST_OK;
}

/* After the calibration. */
static enum status fit_curves(struct trainer *t)
{
    double group_weight[TRAIN_GROUPS];
    weigh_groups(t, group_weight);
    size_t general = 0;
    while (general < t->names.count && !str_eq(train_label(t, general), STR("general"))) {
        general++;
    }
    struct curves *curves = mem_alloc(sizeof *curves);
    struct curves_row *rows = mem_alloc(t->rows.sample_count * sizeof *rows);
    enum status st = curves != NULL && rows != NULL ? ST_OK : ST_NO_MEMORY;
    for (size_t i = 0; st == ST_OK && i < t->rows.sample_count; i++) {
        struct classifier_result r;
        const struct train_sample *s = &t->rows.samples[i];
        double weight = (double)s->weight / group_weight[train_left_out(t, i, &r)];
        rows[i] = curves_row_of(&r, s->accept, general, weight);
    }
    if (st == ST_OK) {
        st = curves_fit(rows, t->rows.sample_count, t->names.count, curves);
    }
    if (st == ST_OK) {
        st = encode_curves(t, curves);
    }
    mem_free(rows);
    mem_free(curves);
    return st;
}

static void report_group(const struct trainer *t, size_t group, const struct calibration *c,
                         struct train_group *ret_group)
{
    size_t labels = t->names.count;
    double right = 0.0;
    double accepted = 0.0;
    double gap[BINS] = {0};
    for (size_t i = 0; i < t->rows.sample_count; i++) {
        const struct train_sample *s = &t->rows.samples[i];
        if (s->group != group) {
            continue;
        }
        float p[WEIGHTS_LABELS_MAX];
        float temperature =
            calibrate_temperature(c, t->logits + i * labels, labels, s->features, s->known);
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
    fit_network_options_default(&ret_options->network);
}

size_t train_group_of(struct str source, struct str text)
{
    if (str_starts_with(source, STR("openstax/"))) {
        return 0;
    }
    if (str_starts_with(source, STR("synthetic"))) {
        return 1;
    }
    if (str_eq(source, STR("authored")) || str_eq(source, STR("own"))) {
        return 2 + (size_t)(str_hash(text) % (TRAIN_GROUPS - 2));
    }
    return 2 + (size_t)(str_hash(prompts_family(source)) % (TRAIN_GROUPS - 2));
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
    mem_free(t->rows.samples);
    mem_free(t->rows.ids);
    mem_free(t->rows.hashes);
    mem_free(t->logits);
    mem_free(t->curves);
    mem_free(t->final.bytes);
    train_network_fini(&t->network);
    mem_free((void *)(uintptr_t)t->final_network.ptr);
    mem_free(t);
}

bool train_has_label(const struct trainer *t, struct str label)
{
    for (size_t i = 0; i < t->names.count; i++) {
        if (str_eq((struct str){t->names.text[i], t->names.length[i]}, label)) {
            return true;
        }
    }
    return false;
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
    struct train_sample sample = {.label = (uint8_t)label, .accept = (uint64_t)1 << label};
    for (size_t i = 0; i < row->accept_count; i++) {
        size_t other = 0;
        if (intern(&t->names, row->accept[i], &other) == ST_OK) {
            sample.accept |= (uint64_t)1 << other;
        }
    }
    size_t count = row->hash_count;
    if (row->hashes == NULL) {
        features_reset(t->features);
        count = features_add(t->features, row->text);
    }
    st = reserve((void **)&t->rows.ids, &t->id_cap, t->rows.id_count + count, sizeof *t->rows.ids);
    if (st == ST_OK) {
        st = reserve((void **)&t->rows.samples, &t->sample_cap, t->rows.sample_count + 1,
                     sizeof *t->rows.samples);
    }
    if (st != ST_OK) {
        return st;
    }
    sample.at = t->rows.id_count;
    sample.count = (uint32_t)count;
    sample.features = (uint32_t)count;
    sample.weight = (float)row->weight;
    sample.group =
        (uint8_t)train_group_of(row->source, row->original.len > 0 ? row->original : row->text);
    for (size_t i = 0; i < count; i++) {
        t->rows.ids[t->rows.id_count++] =
            row->hashes == NULL ? t->features->items[i].hash : row->hashes[i];
    }
    t->names.rows[label]++;
    t->rows.samples[t->rows.sample_count++] = sample;
    return ST_OK;
}

enum status train_run(struct trainer *t, struct train_report *ret_report)
{
    rename_labels(t);
    if (t->names.count < 2) {
        return ST_INVALID;
    }
    t->logits = mem_zalloc(t->rows.sample_count, t->names.count * sizeof *t->logits);
    enum status st = t->logits != NULL ? ST_OK : ST_NO_MEMORY;
    if (st == ST_OK && vectors_read(t->options.vectors, &t->network.vectors) != ST_OK) {
        st = ST_INVALID;
    }
    if (st == ST_OK) {
        st = train_network_start(&t->network, &t->rows, t->names.count);
    }
    if (st == ST_OK) {
        st = train_table_number(&t->rows);
    }
    if (st != ST_OK) {
        return st;
    }
    plan_groups(t);
    st = run_threads(t);
    if (st != ST_OK) {
        return st;
    }
    struct train_report report = {.rows = t->rows.sample_count,
                                  .features = t->rows.feature_count,
                                  .kept = t->final.kept,
                                  .calibration = {.temperature = 1.0F}};
    if (t->network.x != NULL) {
        st = mix_network(t, &report.network_share);
    }
    if (st == ST_OK && t->plan_count > 1) {
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
    return t->plan_count > 1 ? fit_curves(t) : ST_OK;
}

size_t train_label_count(const struct trainer *t)
{
    return t->names.count;
}

struct str train_label(const struct trainer *t, size_t index)
{
    return (struct str){t->names.text[index], t->names.length[index]};
}

size_t train_left_out(const struct trainer *t, size_t row, struct classifier_result *ret_result)
{
    ASSERT(row < t->rows.sample_count);
    if (t->plan_count < 2) {
        return TRAIN_GROUPS;
    }
    const struct train_sample *s = &t->rows.samples[row];
    struct classifier_result r = {.count = t->names.count, .features = s->features};
    r.known = s->features > 0 ? (float)s->known / (float)s->features : 0.0F;
    memcpy(r.logit, t->logits + row * r.count, r.count * sizeof r.logit[0]);
    float temperature = calibrate_temperature(&t->final.weights.calibration, r.logit, r.count,
                                              s->features, s->known);
    r.entropy = softmax(r.logit, r.count, temperature, r.p);
    for (size_t i = 1; i < r.count; i++) {
        r.best = r.p[i] > r.p[r.best] ? i : r.best;
    }
    *ret_result = r;
    return s->group;
}

const char *train_group_name(size_t group)
{
    ASSERT(group < TRAIN_GROUPS);
    return group_names[group];
}

enum status train_save(const struct trainer *t, struct str card, const char *path)
{
    struct weights w = t->final.weights;
    w.card = card;
    w.vectors = t->options.vectors;
    w.network = t->final_network;
    return weights_write(&w, path);
}
