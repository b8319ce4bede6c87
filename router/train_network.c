/* See train_network.h. */
#include "router/train_network.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "router/network.h"
#include "router/softmax.h"

enum {
    LABELS_MAX = 64,
    MIX_STEP = 3, /* every third row is plenty for one number */
    SHARES = 13,
};

static const float share_step = 0.125F;
/* Temperatures tried for each share: the table's logits alone ask for about 0.8. */
static const float temperatures[] = {0.4F, 0.55F, 0.7F, 0.85F, 1.0F, 1.2F, 1.5F};

static void vector_of(const struct vectors *v, const uint32_t *hashes, size_t count, float *ret_x)
{
    int64_t sum[VECTORS_DIMS_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        const int8_t *row = vectors_find(v, hashes[i]);
        for (uint32_t d = 0; row != NULL && d < v->dims; d++) {
            sum[d] += row[d];
        }
    }
    vectors_normalise(sum, v->dims, ret_x);
}

enum status train_network_start(struct train_network *t, const struct train_rows *rows,
                                size_t labels)
{
    if (t->vectors.table == NULL) {
        return ST_OK;
    }
    size_t dims = t->vectors.dims;
    t->x = mem_alloc(rows->sample_count * dims * sizeof *t->x);
    t->logit = mem_zalloc(rows->sample_count, labels * sizeof *t->logit);
    if (t->x == NULL || t->logit == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < rows->sample_count; i++) {
        const struct train_sample *s = &rows->samples[i];
        vector_of(&t->vectors, rows->ids + s->at, s->count, t->x + i * dims);
    }
    return ST_OK;
}

void train_network_fini(struct train_network *t)
{
    mem_free(t->x);
    mem_free(t->logit);
    *t = (struct train_network){0};
}

static void score_group(struct train_network *t, const struct train_rows *rows, size_t group,
                        const struct network *n)
{
    float hidden[NETWORK_HIDDEN_MAX];
    for (size_t i = 0; i < rows->sample_count; i++) {
        if (rows->samples[i].group == group) {
            network_run(n, t->x + i * t->vectors.dims, hidden, t->logit + i * n->labels);
        }
    }
}

enum status train_network_fit(struct train_network *t, const struct train_rows *rows, size_t group,
                              size_t labels, const struct fit_network_options *options,
                              struct str *ret_bytes)
{
    struct network n;
    size_t count = 0;
    struct fit_network_row *items = mem_alloc((rows->sample_count + 1) * sizeof *items);
    if (items == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < rows->sample_count; i++) {
        const struct train_sample *s = &rows->samples[i];
        if (s->group != group) {
            items[count++] = (struct fit_network_row){
                .x = t->x + i * t->vectors.dims,
                .weight = s->weight,
                .label = s->label,
                .accept = s->accept,
            };
        }
    }
    enum status st =
        fit_network(items, count, t->vectors.dims, (uint32_t)labels, options, ret_bytes);
    mem_free(items);
    if (st == ST_OK) {
        st = network_read(*ret_bytes, t->vectors.dims, (uint32_t)labels, &n);
    }
    if (st == ST_OK) {
        score_group(t, rows, group, &n);
    }
    return st;
}

/* Minus the logarithm of what the accepted labels get. */
static double loss_of(const float *table, const float *network, size_t labels, uint64_t accept,
                      const float mix[2])
{
    float logit[LABELS_MAX] = {0};
    float p[LABELS_MAX];
    double right = 1e-9;
    for (size_t k = 0; k < labels; k++) {
        logit[k] = table[k] + mix[0] * network[k];
    }
    (void)softmax(logit, labels, mix[1], p); /* entropy is not needed */
    for (size_t k = 0; k < labels; k++) {
        right += (accept >> k & 1) != 0 ? (double)p[k] : 0.0;
    }
    return -softmax_log(right);
}

float train_network_mix(const struct train_network *t, const struct train_rows *rows,
                        const float *row_weight, size_t labels, float *logits)
{
    double least = (double)INFINITY;
    float share = 0.0F;
    for (int i = 0; i < SHARES; i++) {
        for (size_t j = 0; j < sizeof temperatures / sizeof temperatures[0]; j++) {
            float mix[2] = {share_step * (float)i, temperatures[j]};
            double loss = 0.0;
            for (size_t r = 0; r < rows->sample_count; r += MIX_STEP) {
                loss += (double)row_weight[r] * loss_of(logits + r * labels, t->logit + r * labels,
                                                        labels, rows->samples[r].accept, mix);
            }
            if (loss < least) {
                least = loss;
                share = mix[0];
            }
        }
    }
    for (size_t i = 0; i < rows->sample_count * labels; i++) {
        logits[i] += share * t->logit[i];
    }
    return share;
}

void train_network_scale(struct str network, size_t labels, float share)
{
    enum {
        HEADER_BYTES = 64
    };

    uint32_t shape[3];
    memcpy(shape, network.ptr, sizeof shape);
    size_t out = (size_t)shape[0] * shape[1] + shape[1];
    size_t count = (size_t)shape[1] * labels + labels;
    char *at = (char *)(uintptr_t)network.ptr + HEADER_BYTES + out * sizeof(float);
    for (size_t i = 0; i < count; i++) {
        float value = 0;
        memcpy(&value, at + i * sizeof value, sizeof value);
        value *= share;
        memcpy(at + i * sizeof value, &value, sizeof value);
    }
}
