/* See fit.h. Rows of labels are handled sixteen numbers at a time, which compilers turn into vector
 * instructions without being told. */
#include "router/fit.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

enum {
    LANES = 16,
    LABELS_MAX = 64,
    SAMPLE_STEP = 37, /* every so many rows tell how large the models' logits are */
};

static const float accepted_share = 0.3F;  /* of a row's target, for its other acceptable labels */
static const float gradient_floor = 1e-3F; /* Adagrad: keeps the first steps short */
static const float bias_rate = 0.1F;       /* the bias moves with every row: slower */

struct work { /* of one fit_run */
    const struct fit_set *set;
    const struct fit_options *options;
    uint32_t stride;
    uint32_t *order;   /* item numbers, shuffled each epoch */
    uint32_t *counts;  /* rows that have the feature */
    float *regression; /* id_count rows */
    float *bayes;      /* id_count rows */
    float *gradients;  /* Adagrad: sum of squared gradients per feature */
    uint32_t *visited; /* features of the row at hand that are not dropped */
    float bias[LABELS_MAX];
    float bias_gradient;
    uint64_t random;
};

static uint32_t next_random(struct work *w)
{
    uint64_t x = w->random; /* xorshift64 */
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    w->random = x;
    return (uint32_t)(x >> 32);
}

static void add_row(float *restrict to, const float *restrict from, uint32_t stride)
{
    for (uint32_t i = 0; i < stride; i += LANES) {
        for (uint32_t j = 0; j < LANES; j++) {
            to[i + j] += from[i + j];
        }
    }
}

static void sum_rows(const struct work *w, const float *rows, const uint32_t *ids, uint32_t count,
                     float *ret_sum)
{
    memset(ret_sum, 0, w->stride * sizeof *ret_sum);
    for (uint32_t i = 0; i < count; i++) {
        add_row(ret_sum, rows + (size_t)ids[i] * w->stride, w->stride);
    }
}

static float norm_of(const struct fit_item *item)
{
    return item->features > 0 ? 1.0F / sqrtf((float)item->features) : 0.0F;
}

static float rarity(const struct work *w, uint32_t id)
{
    return logf(((float)w->set->item_count + 1.0F) / ((float)w->counts[id] + 1.0F));
}

/* Complement naive Bayes (Rennie et al. 2003): the weight of a feature for a label is minus the
 * logarithm of how common it is among all the other labels, here with row lengths divided out and
 * rare features counting more. */
static void fit_bayes(struct work *w)
{
    const struct fit_set *set = w->set;
    uint32_t labels = set->label_count;
    for (size_t i = 0; i < set->item_count; i++) {
        const struct fit_item *item = &set->items[i];
        float share = norm_of(item) * item->weight;
        for (uint32_t j = 0; j < item->count; j++) {
            uint32_t id = set->ids[item->at + j];
            w->bayes[(size_t)id * w->stride + item->label] += share;
            w->counts[id]++;
        }
    }
    double total[LABELS_MAX] = {0};
    double all = 0.0;
    for (uint32_t id = 0; id < set->id_count; id++) {
        float weight = rarity(w, id);
        for (uint32_t k = 0; k < labels; k++) {
            float *cell = &w->bayes[(size_t)id * w->stride + k];
            *cell *= weight;
            total[k] += (double)*cell;
            all += (double)*cell;
        }
    }
    double prior = w->options->prior;
    for (uint32_t id = 0; id < set->id_count; id++) {
        float *row = w->bayes + (size_t)id * w->stride;
        float sum = 0.0F;
        for (uint32_t k = 0; k < labels; k++) {
            sum += row[k];
        }
        float mean = 0.0F;
        for (uint32_t k = 0; k < labels; k++) {
            double others = (double)(sum - row[k]) + prior;
            double of_all = all - total[k] + prior * set->id_count;
            row[k] = (float)-log((others > 1e-9 ? others : 1e-9) / of_all);
            mean += row[k] / (float)labels;
        }
        for (uint32_t k = 0; k < labels; k++) {
            row[k] = (row[k] - mean) * rarity(w, id);
        }
    }
}

/* The gradient of the cross-entropy by the logits; returns its squared length. */
static float gradient_of(const struct work *w, const struct fit_item *item, const float *logit,
                         float *ret_gradient)
{
    uint32_t labels = w->set->label_count;
    float top = logit[0];
    for (uint32_t k = 1; k < labels; k++) {
        top = logit[k] > top ? logit[k] : top;
    }
    float p[LABELS_MAX];
    float sum = 0.0F;
    for (uint32_t k = 0; k < labels; k++) {
        p[k] = expf(logit[k] - top);
        sum += p[k];
    }
    int accepted = __builtin_popcountll(item->accept);
    float smoothing = (float)w->options->smoothing;
    float sharp = 1.0F - smoothing;
    float length = 0.0F;
    for (uint32_t k = 0; k < labels; k++) {
        float target = smoothing / (float)labels;
        if (k == item->label) {
            target += accepted > 1 ? sharp * (1.0F - accepted_share) : sharp;
        } else if ((item->accept >> k & 1) != 0) {
            target += sharp * accepted_share / (float)(accepted - 1);
        }
        float gradient = (p[k] / sum - target) * item->weight;
        ret_gradient[k] = gradient;
        length += gradient * gradient;
    }
    return length;
}

/* The features of a row that this visit sees. */
static uint32_t visit(struct work *w, const struct fit_item *item)
{
    uint32_t limit = (uint32_t)(w->options->dropping * 4294967295.0);
    uint32_t n = 0;
    for (uint32_t i = 0; i < item->count; i++) {
        w->visited[n] = w->set->ids[item->at + i];
        n += limit == 0 || next_random(w) > limit;
    }
    return n;
}

static void step(struct work *w, const struct fit_item *item)
{
    uint32_t count = visit(w, item);
    if (count == 0) {
        return;
    }
    float rate = (float)w->options->rate;
    float norm = norm_of(item) / sqrtf((float)(1.0 - w->options->dropping));
    float logit[LABELS_MAX];
    float gradient[LABELS_MAX] = {0};
    sum_rows(w, w->regression, w->visited, count, logit);
    for (uint32_t k = 0; k < w->set->label_count; k++) {
        logit[k] = logit[k] * norm + w->bias[k];
    }
    float length = gradient_of(w, item, logit, gradient);
    w->bias_gradient += length;
    for (uint32_t k = 0; k < w->set->label_count; k++) {
        w->bias[k] -= bias_rate * rate * gradient[k] / sqrtf(w->bias_gradient);
        gradient[k] *= norm;
    }
    length *= norm * norm;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = w->visited[i];
        w->gradients[id] += length;
        float size = rate / sqrtf(w->gradients[id]);
        float keep = 1.0F - size * (float)w->options->decay * norm;
        float *restrict row = w->regression + (size_t)id * w->stride;
        for (uint32_t k = 0; k < w->stride; k += LANES) {
            for (uint32_t j = 0; j < LANES; j++) {
                row[k + j] = row[k + j] * keep - size * gradient[k + j];
            }
        }
    }
}

static void fit_regression(struct work *w)
{
    size_t count = w->set->item_count;
    for (size_t i = 0; i < count; i++) {
        w->order[i] = (uint32_t)i;
    }
    for (uint32_t id = 0; id < w->set->id_count; id++) {
        w->gradients[id] = gradient_floor;
    }
    w->bias_gradient = gradient_floor;
    for (int epoch = 0; epoch < w->options->epochs; epoch++) {
        for (size_t i = count; i > 1; i--) {
            size_t j = next_random(w) % i;
            uint32_t swap = w->order[i - 1];
            w->order[i - 1] = w->order[j];
            w->order[j] = swap;
        }
        for (size_t i = 0; i < count; i++) {
            step(w, &w->set->items[w->order[i]]);
        }
    }
}

/* Standard deviation of a model's logits over a sample of the rows. */
static double spread_of(const struct work *w, const float *rows)
{
    double sum = 0.0;
    size_t n = 0;
    for (size_t i = 0; i < w->set->item_count; i += SAMPLE_STEP) {
        const struct fit_item *item = &w->set->items[i];
        float logit[LABELS_MAX];
        sum_rows(w, rows, w->set->ids + item->at, item->count, logit);
        for (uint32_t k = 0; k < w->set->label_count; k++) {
            double x = (double)(logit[k] * norm_of(item));
            sum += x * x; /* rows have mean 0, or nearly */
        }
        n += w->set->label_count;
    }
    return n > 0 ? sqrt(sum / (double)n) : 0.0;
}

/* Adds the models into w->regression, each with the same spread of logits before its share. */
static void mix(struct work *w, float *ret_spread)
{
    double regression = spread_of(w, w->regression);
    double bayes = spread_of(w, w->bayes);
    double share = w->options->bayes;
    float by_regression = (float)(1.0 - share);
    float by_bayes = 0.0F;
    if (bayes > 0.0) {
        by_bayes = (float)(share * (regression > 0.0 ? regression : 1.0) / bayes);
    }
    uint32_t labels = w->set->label_count;
    for (uint32_t id = 0; id < w->set->id_count; id++) {
        float *row = w->regression + (size_t)id * w->stride;
        const float *other = w->bayes + (size_t)id * w->stride;
        float mean = 0.0F;
        for (uint32_t k = 0; k < labels; k++) {
            row[k] = row[k] * by_regression + other[k] * by_bayes;
            mean += row[k] / (float)labels;
        }
        float length = 0.0F;
        for (uint32_t k = 0; k < labels; k++) {
            row[k] -= mean;
            length += row[k] * row[k];
        }
        ret_spread[id] = sqrtf(length * (float)w->counts[id]);
    }
    for (uint32_t k = 0; k < labels; k++) {
        w->bias[k] *= by_regression;
    }
}

static enum status allocate(struct work *w)
{
    size_t ids = w->set->id_count > 0 ? w->set->id_count : 1;
    uint32_t longest = 1;
    for (size_t i = 0; i < w->set->item_count; i++) {
        longest = w->set->items[i].count > longest ? w->set->items[i].count : longest;
    }
    w->order = mem_zalloc(w->set->item_count + 1, sizeof *w->order);
    w->visited = mem_zalloc(longest + 1, sizeof *w->visited);
    w->counts = mem_zalloc(ids, sizeof *w->counts);
    w->gradients = mem_zalloc(ids, sizeof *w->gradients);
    w->regression = mem_zalloc(ids, w->stride * sizeof(float));
    w->bayes = mem_zalloc(ids, w->stride * sizeof(float));
    bool has_all = w->order != NULL && w->visited != NULL && w->counts != NULL &&
                   w->gradients != NULL && w->regression != NULL && w->bayes != NULL;
    return has_all ? ST_OK : ST_NO_MEMORY;
}

static void release(struct work *w)
{
    mem_free(w->order);
    mem_free(w->visited);
    mem_free(w->counts);
    mem_free(w->gradients);
    mem_free(w->regression);
    mem_free(w->bayes);
}

uint32_t fit_stride(uint32_t label_count)
{
    return (label_count + LANES - 1) / LANES * LANES;
}

enum status fit_run(const struct fit_set *set, const struct fit_options *options,
                    struct fit *ret_fit)
{
    struct work w = {.set = set, .options = options, .stride = fit_stride(set->label_count)};
    w.random = options->seed * 0x9e3779b97f4a7c15U | 1;
    enum status st = allocate(&w);
    float *spread = mem_zalloc((size_t)set->id_count + 1, sizeof *spread);
    if (st != ST_OK || spread == NULL) {
        mem_free(spread);
        release(&w);
        return ST_NO_MEMORY;
    }
    fit_bayes(&w);
    fit_regression(&w);
    mix(&w, spread);
    ret_fit->rows = w.regression;
    ret_fit->spread = spread;
    memcpy(ret_fit->bias, w.bias, sizeof w.bias);
    w.regression = NULL;
    release(&w);
    return ST_OK;
}

void fit_fini(struct fit *fit)
{
    mem_free(fit->rows);
    mem_free(fit->spread);
    *fit = (struct fit){0};
}
