/* See custom.h. Does not read files and knows no categories: numbers of sources in, numbers out. */
#include "router/custom.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "router/features.h"
#include "router/logistic.h"
#include "router/softmax.h"
#include "router/whiten.h"

enum {
    FOLDS = 4,
    NEAREST = 20, /* background prompts whose labels are told as neighbours */
    NAME_BYTES_MAX = 128,
    ARENA_BLOCK_BYTES = 65536,
    ARENA_MAX_BYTES = 256 << 20,
    NO_COLUMN = -1,
};

static const float DENSE_SCALE = 14.0F;    /* of the vector, of length 1 */
static const double SPARSE_SCALE = 2.0;    /* of a feature that is in one of e prompts */
static const double LENGTH_BASE = 5.0;     /* features that a text is longer by than it is */
static const double MEDIAN_SURE = 0.9;     /* probability of the median example */
static const float ELSEWHERE_SURE = 0.7F;  /* of the classifier that a prompt is elsewhere, */
static const float ELSEWHERE_SHARE = 0.1F; /* where its examples are not */
static const double CLEARANCE = 0.0;       /* of the gap between background and examples */

struct column { /* a feature of the examples */
    uint32_t hash;
    struct str name;
    float idf; /* while fitting, at first: background prompts that have it */
};

struct source {
    float *weights; /* dense + columns + 1 */
    float threshold;
    float slope;
    size_t first; /* its rows */
    size_t count;
    float share[CLASSIFIER_LABELS_MAX]; /* mean probability of a label over its examples */
    struct custom_figures figures;
};

struct custom {
    struct arena *arena; /* everything but what is resized */
    size_t dims;         /* of the vectors */
    size_t dense;        /* dims, up to a multiple of 4 */
    float *centre;       /* dims: mean vector of the background */
    struct column *columns;
    size_t column_count;
    int32_t *slots; /* hash -> column, open addressing */
    size_t slot_count;
    struct source sources[CUSTOM_MAX];
    size_t source_count;
    struct logistic_rows rows; /* the examples come first, the background behind */
    int *lines;                /* of the examples */
};

struct row_data { /* what grows while texts are read */
    uint32_t *columns;
    float *values;
    size_t count;
    size_t cap;
};

struct fit {
    struct custom *c;
    const struct classifier *classifier;
    struct classifier_scratch *scratch;
    struct features *features;
    const struct custom_source *sources;
    struct str *texts;     /* of all rows */
    size_t examples;       /* rows of examples */
    struct whiten *whiten; /* of the vectors */
    float *x;
    size_t *start;
    struct row_data data;
    uint8_t *labels; /* the classifier's best label, by row */
    uint8_t *sides;
    float *held; /* scores of rows when their fold was out */
    float *weights;
};

/* ---------------------------------------------------------------- columns */

static size_t slot_of(const struct custom *c, uint32_t hash)
{
    size_t slot = (size_t)(hash * 2654435761U >> 7) & (c->slot_count - 1);
    while (c->slots[slot] != NO_COLUMN && c->columns[c->slots[slot]].hash != hash) {
        slot = (slot + 1) & (c->slot_count - 1);
    }
    return slot;
}

static int32_t column_of(const struct custom *c, uint32_t hash)
{
    return c->slots[slot_of(c, hash)];
}

/* Room for the features of all examples, twice over. */
static enum status make_columns(struct fit *f, size_t features)
{
    struct custom *c = f->c;
    c->slot_count = 1024;
    while (c->slot_count < 2 * features) {
        c->slot_count *= 2;
    }
    c->columns = arena_alloc(c->arena, features * sizeof *c->columns);
    c->slots = arena_alloc(c->arena, c->slot_count * sizeof *c->slots);
    if (c->columns == NULL || c->slots == NULL) {
        return ST_NO_MEMORY;
    }
    memset(c->slots, 0xff, c->slot_count * sizeof *c->slots);
    return ST_OK;
}

static enum status name_column(struct fit *f, const struct feature *feature)
{
    struct custom *c = f->c;
    char name[NAME_BYTES_MAX];
    size_t slot = slot_of(c, feature->hash);
    if (c->slots[slot] != NO_COLUMN) {
        return ST_OK;
    }
    struct str text = {name, features_name(f->features, feature, name, sizeof name)};
    struct column *column = &c->columns[c->column_count];
    column->hash = feature->hash;
    column->name = arena_copy(c->arena, text);
    if (column->name.ptr == NULL) {
        return ST_NO_MEMORY;
    }
    c->slots[slot] = (int32_t)c->column_count++;
    return ST_OK;
}

/* The features of the examples become the columns. */
static enum status find_columns(struct fit *f)
{
    size_t features = 0;
    for (size_t i = 0; i < f->examples; i++) {
        features_reset(f->features);
        features += features_add(f->features, f->texts[i]);
    }
    enum status st = make_columns(f, features + 1);
    for (size_t i = 0; st == ST_OK && i < f->examples; i++) {
        features_reset(f->features);
        (void)features_add(f->features, f->texts[i]);
        for (size_t k = 0; st == ST_OK && k < f->features->count; k++) {
            st = name_column(f, &f->features->items[k]);
        }
    }
    return st;
}

/* ------------------------------------------------------------------- rows */

static double length_of(size_t features)
{
    return sqrt((double)features + LENGTH_BASE);
}

static enum status put(struct row_data *data, uint32_t column, float value)
{
    if (data->count == data->cap) {
        size_t cap = data->cap > 0 ? 2 * data->cap : 16384;
        uint32_t *columns = mem_resize(data->columns, cap * sizeof *columns);
        if (columns == NULL) {
            return ST_NO_MEMORY;
        }
        data->columns = columns;
        float *values = mem_resize(data->values, cap * sizeof *values);
        if (values == NULL) {
            return ST_NO_MEMORY;
        }
        data->values = values;
        data->cap = cap;
    }
    data->columns[data->count] = column;
    data->values[data->count++] = value;
    return ST_OK;
}

/* Of an example: where the classifier sees it. */
static void note_shares(struct fit *f, size_t row, const struct classifier_result *r)
{
    for (size_t i = 0; i < f->c->source_count && row < f->examples; i++) {
        struct source *s = &f->c->sources[i];
        if (row < s->first || row >= s->first + s->count) {
            continue;
        }
        for (size_t k = 0; k < r->count; k++) {
            s->share[k] += r->p[k] / (float)s->count;
        }
    }
}

static enum status read_row(struct fit *f, size_t row)
{
    struct custom *c = f->c;
    struct classifier_segment segment = {f->texts[row], 1.0F};
    struct classifier_result r;
    classifier_score(f->classifier, f->scratch, &segment, 1, &r);
    f->labels[row] = (uint8_t)r.best;
    note_shares(f, row, &r);
    memcpy(f->x + row * c->dense, r.vector, c->dims * sizeof *f->x);
    features_reset(f->features);
    size_t count = features_add(f->features, f->texts[row]);
    enum status st = ST_OK;
    f->start[row] = f->data.count;
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        int32_t column = column_of(c, f->features->items[i].hash);
        if (column == NO_COLUMN) {
            continue;
        }
        c->columns[column].idf += row >= f->examples ? 1.0F : 0.0F;
        st = put(&f->data, (uint32_t)column, (float)(SPARSE_SCALE / length_of(count)));
    }
    f->start[row + 1] = f->data.count;
    return st;
}

/* Counts become weights, vectors are centred. */
static void scale_rows(struct fit *f)
{
    struct custom *c = f->c;
    size_t rows = c->rows.count;
    double background = (double)(rows - f->examples);
    for (size_t i = 0; i < c->column_count; i++) {
        c->columns[i].idf =
            (float)softmax_log((background + 1.0) / (1.0 + (double)c->columns[i].idf));
    }
    for (size_t i = 0; i < f->data.count; i++) {
        f->data.values[i] *= c->columns[f->data.columns[i]].idf;
    }
    for (size_t d = 0; d < c->dims; d++) {
        double sum = 0.0;
        for (size_t i = f->examples; i < rows; i++) {
            sum += (double)f->x[i * c->dense + d];
        }
        c->centre[d] = (float)(sum / background);
        for (size_t i = 0; i < rows; i++) {
            f->x[i * c->dense + d] = DENSE_SCALE * (f->x[i * c->dense + d] - c->centre[d]);
        }
    }
}

static void whiten_rows(struct fit *f)
{
    const struct custom *c = f->c;
    size_t rows = c->rows.count;
    whiten_init(f->whiten, f->x + f->examples * c->dense, rows - f->examples, c->dense, c->dims);
    for (size_t i = 0; i < rows; i++) {
        whiten_row(f->whiten, f->x + i * c->dense);
    }
}

static enum status read_rows(struct fit *f)
{
    struct custom *c = f->c;
    enum status st = find_columns(f);
    for (size_t i = 0; st == ST_OK && i < c->rows.count; i++) {
        st = read_row(f, i);
    }
    if (st == ST_OK) {
        scale_rows(f);
        whiten_rows(f);
        c->rows.dense = c->dense;
        c->rows.sparse = c->column_count;
        c->rows.x = f->x;
        c->rows.start = f->start;
        c->rows.columns = f->data.columns;
        c->rows.values = f->data.values;
    }
    return st;
}

/* ---------------------------------------------------------------- sources */

static bool is_kin(const struct fit *f, size_t a, size_t b)
{
    return f->sources[a].parent == b || f->sources[b].parent == a;
}

/* Which rows speak for the source, against it, or not at all. */
static void take_sides(const struct fit *f, size_t source)
{
    const struct custom *c = f->c;
    for (size_t i = 0; i < c->source_count; i++) {
        const struct source *s = &c->sources[i];
        enum logistic_side side = is_kin(f, i, source) ? LOGISTIC_OUT : LOGISTIC_NO;
        side = i == source ? LOGISTIC_YES : side;
        memset(f->sides + s->first, (int)side, s->count);
    }
    for (size_t i = f->examples; i < c->rows.count; i++) {
        f->sides[i] = f->labels[i] == f->sources[source].label ? LOGISTIC_OUT : LOGISTIC_NO;
    }
}

/* Scores each row by a fit that has not seen it. The source's weights are the mean of these fits: their
 * scores are what the threshold was chosen for. */
static enum status hold_out(const struct fit *f, struct source *s)
{
    const struct custom *c = f->c;
    uint8_t *kept = f->sides + c->rows.count;
    enum status st = ST_OK;
    for (size_t fold = 0; st == ST_OK && fold < FOLDS; fold++) {
        memcpy(kept, f->sides, c->rows.count);
        for (size_t i = fold; i < c->rows.count; i += FOLDS) {
            kept[i] = LOGISTIC_OUT;
        }
        st = logistic_fit(&c->rows, kept, f->weights);
        for (size_t i = fold; st == ST_OK && i < c->rows.count; i += FOLDS) {
            f->held[i] = logistic_score(&c->rows, i, f->weights);
        }
        for (size_t i = 0; st == ST_OK && i <= c->dense + c->column_count; i++) {
            s->weights[i] += f->weights[i] / (float)FOLDS;
        }
    }
    return st;
}

static int falling(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x < y) - (x > y);
}

/* Collects the held-out scores of the rows on a side from `first` on, highest first. */
static size_t sorted_scores(const struct fit *f, enum logistic_side side, size_t first, float *ret)
{
    size_t n = 0;
    for (size_t i = first; i < f->c->rows.count; i++) {
        if (f->sides[i] == side) {
            ret[n++] = f->held[i];
        }
    }
    qsort(ret, n, sizeof *ret, falling);
    return n;
}

static double log_odds(double p)
{
    return softmax_log(p / (1.0 - p));
}

/* The threshold: above all but CUSTOM_MOVED of the background, and where the examples leave room a
 * part of the way towards them. The slope: so that the median example has MEDIAN_SURE. */
static void choose(const struct fit *f, struct source *s, float *sorted)
{
    size_t others = sorted_scores(f, LOGISTIC_NO, f->examples, sorted);
    float background = sorted[(size_t)((double)others * CUSTOM_MOVED)];
    size_t own = sorted_scores(f, LOGISTIC_YES, 0, sorted);
    float low = sorted[own - 1 - own / 5];
    float median = sorted[own / 2];
    s->threshold = background;
    if (low > background) {
        s->threshold += (float)CLEARANCE * (low - background);
    }
    float gap = median - s->threshold > 0.25F ? median - s->threshold : 0.25F;
    s->slope = (float)(log_odds(MEDIAN_SURE) - log_odds((double)CUSTOM_TAKES)) / gap;
}

/* The labels of the background prompts that come nearest. */
static void find_confused(const struct fit *f, struct custom_figures *ret, float *sorted)
{
    size_t counts[CLASSIFIER_LABELS_MAX] = {0};
    size_t others = sorted_scores(f, LOGISTIC_NO, f->examples, sorted);
    float least = sorted[others < NEAREST ? others - 1 : NEAREST - 1];
    for (size_t i = f->examples; i < f->c->rows.count; i++) {
        counts[f->labels[i]] += f->sides[i] == LOGISTIC_NO && f->held[i] >= least;
    }
    for (size_t n = 0; n < CUSTOM_CONFUSED_MAX; n++) {
        size_t best = 0;
        for (size_t i = 1; i < CLASSIFIER_LABELS_MAX; i++) {
            best = counts[i] > counts[best] ? i : best;
        }
        if (counts[best] == 0) {
            break;
        }
        ret->confused[ret->confused_count++] = (struct custom_confused){best, counts[best]};
        counts[best] = 0;
    }
}

static void count_figures(const struct fit *f, struct source *s)
{
    size_t taken[LOGISTIC_YES + 1] = {0};
    size_t all[LOGISTIC_YES + 1] = {0};
    for (size_t i = 0; i < f->c->rows.count; i++) {
        bool is_other_example = i < f->examples && f->sides[i] == LOGISTIC_NO;
        all[f->sides[i]] += !is_other_example;
        taken[f->sides[i]] += !is_other_example && f->held[i] >= s->threshold;
    }
    struct custom_figures *figures = &s->figures;
    figures->lines = s->count;
    figures->recall = (double)taken[LOGISTIC_YES] / (double)all[LOGISTIC_YES];
    figures->moved = (double)taken[LOGISTIC_NO] / (double)all[LOGISTIC_NO];
    double right = 0.1 * figures->recall;
    double sum = right + 0.9 * figures->moved;
    figures->precision = sum > 0.0 ? right / sum : 0.0;
}

static enum status fit_source(struct fit *f, size_t source)
{
    struct custom *c = f->c;
    struct source *s = &c->sources[source];
    float *sorted = f->held + c->rows.count;
    s->weights = arena_alloc(c->arena, (c->dense + c->column_count + 1) * sizeof *s->weights);
    if (s->weights == NULL) {
        return ST_NO_MEMORY;
    }
    take_sides(f, source);
    enum status st = hold_out(f, s);
    if (st == ST_OK) {
        whiten_weights(f->whiten, s->weights);
        choose(f, s, sorted);
        count_figures(f, s);
        find_confused(f, &s->figures, sorted);
    }
    return st;
}

/* -------------------------------------------------------------------- fit */

/* The next prompt of the background, or false at its end. */
static bool next_prompt(struct str *rest, struct str *ret)
{
    struct str line;
    while (str_split(*rest, '\n', &line, rest)) {
        *ret = str_trim(line);
        if (ret->len > 0 && ret->ptr[0] != '#') {
            return true;
        }
    }
    return false;
}

/* Lists the texts of all rows, and where each source's begin. */
static enum status list_texts(struct fit *f, struct str background)
{
    struct custom *c = f->c;
    struct str text;
    size_t prompts = 0;
    for (struct str rest = background; next_prompt(&rest, &text);) {
        prompts++;
    }
    if (prompts < CUSTOM_BACKGROUND_MIN) {
        return ST_INVALID;
    }
    for (size_t i = 0; i < c->source_count; i++) {
        c->sources[i].first = f->examples;
        c->sources[i].count = f->sources[i].count;
        f->examples += f->sources[i].count;
    }
    c->rows.count = f->examples + prompts;
    f->texts = arena_alloc(c->arena, c->rows.count * sizeof *f->texts);
    c->lines = arena_alloc(c->arena, f->examples * sizeof *c->lines);
    if (f->texts == NULL || c->lines == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < c->source_count; i++) {
        for (size_t k = 0; k < f->sources[i].count; k++) {
            f->texts[c->sources[i].first + k] = f->sources[i].lines[k].text;
            c->lines[c->sources[i].first + k] = f->sources[i].lines[k].line;
        }
    }
    size_t n = f->examples;
    while (next_prompt(&background, &text)) {
        f->texts[n++] = text;
    }
    return ST_OK;
}

static enum status make_room(struct fit *f)
{
    struct custom *c = f->c;
    size_t rows = c->rows.count;
    struct classifier_result r;
    f->scratch = classifier_scratch_create();
    f->features = features_create();
    if (f->scratch == NULL || f->features == NULL) {
        return ST_NO_MEMORY;
    }
    classifier_score(f->classifier, f->scratch, NULL, 0, &r);
    c->dims = r.vector_size;
    c->dense = (c->dims + 3) / 4 * 4;
    c->centre = arena_alloc(c->arena, (c->dense + 1) * sizeof *c->centre);
    f->whiten = mem_zalloc(1, sizeof *f->whiten);
    f->x = mem_zalloc(rows * c->dense + 1, sizeof *f->x);
    f->start = mem_zalloc(rows + 1, sizeof *f->start);
    f->labels = mem_zalloc(rows, 1);
    f->sides = mem_zalloc(2 * rows, 1);
    f->held = mem_zalloc(2 * rows, sizeof *f->held);
    bool is_short = c->centre == NULL || f->whiten == NULL || f->x == NULL || f->start == NULL ||
                    f->labels == NULL || f->sides == NULL || f->held == NULL;
    return is_short ? ST_NO_MEMORY : ST_OK;
}

static enum status fit_all(struct fit *f, struct str background)
{
    struct custom *c = f->c;
    enum status st = list_texts(f, background);
    st = st == ST_OK ? make_room(f) : st;
    st = st == ST_OK ? read_rows(f) : st;
    if (st == ST_OK) {
        f->weights = mem_zalloc(c->dense + c->column_count + 1, sizeof *f->weights);
        st = f->weights == NULL ? ST_NO_MEMORY : ST_OK;
    }
    for (size_t i = 0; st == ST_OK && i < c->source_count; i++) {
        st = fit_source(f, i);
    }
    return st;
}

/* Keeps of the rows what custom_nearest looks at: the examples, as weights for a prompt's vector. */
static enum status keep_examples(struct fit *f)
{
    struct custom *c = f->c;
    size_t entries = f->start[f->examples];
    float *x = arena_alloc(c->arena, (f->examples * c->dense + 1) * sizeof *x);
    size_t *start = arena_alloc(c->arena, (f->examples + 1) * sizeof *start);
    uint32_t *columns = arena_alloc(c->arena, (entries + 1) * sizeof *columns);
    float *values = arena_alloc(c->arena, (entries + 1) * sizeof *values);
    if (x == NULL || start == NULL || columns == NULL || values == NULL) {
        return ST_NO_MEMORY;
    }
    memcpy(x, f->x, f->examples * c->dense * sizeof *x);
    for (size_t i = 0; i < f->examples; i++) {
        whiten_weights(f->whiten, x + i * c->dense);
    }
    memcpy(start, f->start, (f->examples + 1) * sizeof *start);
    memcpy(columns, f->data.columns, entries * sizeof *columns);
    memcpy(values, f->data.values, entries * sizeof *values);
    c->rows =
        (struct logistic_rows){f->examples, c->dense, c->column_count, x, start, columns, values};
    return ST_OK;
}

static void fit_fini(struct fit *f)
{
    classifier_scratch_destroy(f->scratch);
    features_destroy(f->features);
    mem_free(f->whiten);
    mem_free(f->x);
    mem_free(f->start);
    mem_free(f->data.columns);
    mem_free(f->data.values);
    mem_free(f->labels);
    mem_free(f->sides);
    mem_free(f->held);
    mem_free(f->weights);
}

enum status custom_fit(const struct classifier *classifier, struct str background,
                       const struct custom_source *sources, size_t count,
                       struct custom **ret_custom)
{
    ASSERT(count > 0 && count <= CUSTOM_MAX);
    struct custom *c = mem_zalloc(1, sizeof *c);
    if (c == NULL) {
        return ST_NO_MEMORY;
    }
    struct fit f = {.c = c, .classifier = classifier, .sources = sources};
    c->source_count = count;
    c->arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    enum status st = c->arena == NULL ? ST_NO_MEMORY : fit_all(&f, background);
    st = st == ST_OK ? keep_examples(&f) : st;
    fit_fini(&f);
    if (st != ST_OK) {
        custom_destroy(c);
        return st;
    }
    *ret_custom = c;
    return ST_OK;
}

void custom_destroy(struct custom *c)
{
    if (c != NULL) {
        arena_destroy(c->arena);
        mem_free(c);
    }
}

const struct custom_figures *custom_figures_of(const struct custom *c, size_t source)
{
    ASSERT(source < c->source_count);
    return &c->sources[source].figures;
}

/* ------------------------------------------------------------------- judge */

/* What the vector says. */
static double dense_score(const struct custom *c, const struct source *s, const float *vector)
{
    double sum = 0.0;
    for (size_t d = 0; d < c->dims; d++) {
        sum += (double)s->weights[d] * (double)(DENSE_SCALE * (vector[d] - c->centre[d]));
    }
    return sum;
}

static double value_of(const struct custom *c, int32_t column, size_t features)
{
    return SPARSE_SCALE * (double)c->columns[column].idf / length_of(features);
}

/* The classifier is sure of a label that the examples have little to do with. */
static bool is_elsewhere(const struct source *s, const struct classifier_result *r)
{
    return r->p[r->best] >= ELSEWHERE_SURE && s->share[r->best] < ELSEWHERE_SHARE;
}

size_t custom_judge(const struct custom *c, const uint32_t *hashes, size_t count,
                    const struct classifier_result *r, float ret_p[CUSTOM_MAX])
{
    double sums[CUSTOM_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        int32_t column = column_of(c, hashes[i]);
        for (size_t k = 0; column != NO_COLUMN && k < c->source_count; k++) {
            sums[k] += (double)c->columns[column].idf *
                       (double)c->sources[k].weights[c->dense + (size_t)column];
        }
    }
    size_t best = 0;
    for (size_t k = 0; k < c->source_count; k++) {
        const struct source *s = &c->sources[k];
        double score = SPARSE_SCALE / length_of(count) * sums[k] + dense_score(c, s, r->vector) +
                       (double)s->weights[c->dense + c->column_count];
        double odds =
            (double)s->slope * (score - (double)s->threshold) + log_odds((double)CUSTOM_TAKES);
        ret_p[k] = (float)(1.0 / (1.0 + softmax_exp(-odds)));
        ret_p[k] *= is_elsewhere(s, r) ? 1.0F - r->p[r->best] : 1.0F;
        best = ret_p[k] > ret_p[best] ? k : best;
    }
    return best;
}

static size_t insert(struct classifier_evidence *list, size_t count, size_t max,
                     struct classifier_evidence item)
{
    size_t at = count < max ? count++ : max;
    while (at > 0 && list[at - 1].weight < item.weight) {
        if (at < max) {
            list[at] = list[at - 1];
        }
        at--;
    }
    if (at < max) {
        list[at] = item;
    }
    return count;
}

size_t custom_explain(const struct custom *c, size_t source, const uint32_t *hashes, size_t count,
                      const float *vector, struct classifier_evidence *ret_evidence, size_t max)
{
    ASSERT(source < c->source_count);
    const struct source *s = &c->sources[source];
    float prior = s->weights[c->dense + c->column_count];
    float meaning = (float)dense_score(c, s, vector);
    size_t n = insert(ret_evidence, 0, max, (struct classifier_evidence){STR("prior"), prior});
    n = insert(ret_evidence, n, max, (struct classifier_evidence){STR("meaning"), meaning});
    for (size_t i = 0; i < count; i++) {
        int32_t column = column_of(c, hashes[i]);
        if (column == NO_COLUMN) {
            continue;
        }
        double weight = value_of(c, column, count) * (double)s->weights[c->dense + (size_t)column];
        n = insert(ret_evidence, n, max,
                   (struct classifier_evidence){c->columns[column].name, (float)weight});
    }
    return n;
}

/* The product of the prompt's features with those of an example. */
static double overlap(const struct custom *c, size_t row, const uint32_t *hashes, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        int32_t column = column_of(c, hashes[i]);
        for (size_t k = c->rows.start[row]; column != NO_COLUMN && k < c->rows.start[row + 1];
             k++) {
            sum += c->rows.columns[k] == (uint32_t)column
                       ? value_of(c, column, count) * (double)c->rows.values[k]
                       : 0.0;
        }
    }
    return sum;
}

int custom_nearest(const struct custom *c, size_t source, const uint32_t *hashes, size_t count,
                   const float *vector)
{
    ASSERT(source < c->source_count);
    const struct source *s = &c->sources[source];
    size_t best = s->first;
    double top = 0.0;
    for (size_t row = s->first; row < s->first + s->count; row++) {
        double sum = overlap(c, row, hashes, count);
        for (size_t d = 0; d < c->dims; d++) {
            double x = (double)(DENSE_SCALE * (vector[d] - c->centre[d]));
            sum += x * (double)c->rows.x[row * c->dense + d];
        }
        best = row == s->first || sum > top ? row : best;
        top = row == s->first || sum > top ? sum : top;
    }
    return c->lines[best];
}
