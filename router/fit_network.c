/* See fit_network.h. Gradients of a batch are added up in one array that has the network's layout;
 * one pass over it is one step of Adam. */
#include "router/fit_network.h"

#include <math.h>
#include <string.h>

#include "base/little.h"
#include "base/mem.h"
#include "router/network.h"
#include "router/softmax.h"

enum {
    BATCH = 256,
    HEADER_BYTES = 64,
    LABELS_MAX = 64,
};

static const float accepted_share = 0.3F; /* of a row's target, for its other acceptable labels */
static const double first_moment = 0.9;
static const double second_moment = 0.999;
static const double warm_up = 0.3;     /* share of the steps in which the rate rises */
static const double rate_start = 0.04; /* of the highest rate */
static const float tiny = 1e-8F;

struct work {
    const struct fit_network_options *options;
    char *bytes;        /* of the network */
    struct network net; /* a view over bytes */
    float *numbers;     /* the same, for writing */
    float *gradient;
    float *first; /* Adam's moments */
    float *second;
    size_t count; /* of numbers */
    uint32_t *order;
    size_t row_count;
    size_t step;
    size_t steps;
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

static float next_uniform(struct work *w) /* -1..1 */
{
    uint32_t random = next_random(w);
    return (float)random / 2147483648.0F - 1.0F;
}

static enum status start(struct work *w, uint32_t inputs, uint32_t labels)
{
    uint32_t hidden = w->options->hidden;
    size_t size = network_bytes(inputs, hidden, labels);
    char *at = mem_zalloc(1, size);
    w->count = (size - HEADER_BYTES) / sizeof(float);
    w->gradient = mem_zalloc(w->count, sizeof(float));
    w->first = mem_zalloc(w->count, sizeof(float));
    w->second = mem_zalloc(w->count, sizeof(float));
    w->order = mem_alloc((w->row_count + 1) * sizeof *w->order);
    w->bytes = at;
    if (at == NULL || w->gradient == NULL || w->first == NULL || w->second == NULL ||
        w->order == NULL) {
        return ST_NO_MEMORY;
    }
    little_put_u32(at, inputs);
    little_put_u32(at + 4, hidden);
    little_put_u32(at + 8, labels);
    enum status st = network_read((struct str){at, size}, inputs, labels, &w->net);
    if (st != ST_OK) {
        return st;
    }
    w->numbers = (float *)(void *)(at + HEADER_BYTES);
    float in_spread = 1.0F / sqrtf((float)inputs);
    float out_spread = 1.0F / sqrtf((float)hidden);
    size_t in_count = (size_t)inputs * hidden;
    for (size_t i = 0; i < in_count; i++) {
        w->numbers[i] = in_spread * next_uniform(w);
    }
    for (size_t i = 0; i < (size_t)hidden * labels; i++) {
        w->numbers[in_count + hidden + i] = out_spread * next_uniform(w);
    }
    for (size_t i = 0; i < w->row_count; i++) {
        w->order[i] = (uint32_t)i;
    }
    return ST_OK;
}

static void shuffle(struct work *w)
{
    for (size_t i = w->row_count; i > 1; i--) {
        size_t j = (size_t)((uint64_t)next_random(w) * i >> 32);
        uint32_t kept = w->order[i - 1];
        w->order[i - 1] = w->order[j];
        w->order[j] = kept;
    }
}

/* p - target, times the row's weight. */
static void error_of(const struct work *w, const struct fit_network_row *row, const float *logit,
                     float *ret_error)
{
    uint32_t labels = w->net.labels;
    float smoothing = (float)w->options->smoothing;
    uint64_t others = row->accept & ~((uint64_t)1 << row->label);
    int other_count = __builtin_popcountll(others);
    (void)softmax(logit, labels, 1.0F, ret_error); /* entropy is not needed */
    for (uint32_t k = 0; k < labels; k++) {
        float target = 0.0F;
        if (k == row->label) {
            target = other_count > 0 ? 1.0F - accepted_share : 1.0F;
        } else if ((others >> k & 1) != 0) {
            target = accepted_share / (float)other_count;
        }
        target = target * (1.0F - smoothing) + smoothing / (float)labels;
        ret_error[k] = (ret_error[k] - target) * row->weight;
    }
}

/* Adds the row's gradient. */
static void visit(struct work *w, const struct fit_network_row *row)
{
    const struct network *n = &w->net;
    float x[NETWORK_INPUTS_MAX];
    float hidden[NETWORK_HIDDEN_MAX];
    float slope[NETWORK_HIDDEN_MAX] = {0};
    float logit[LABELS_MAX];
    float error[LABELS_MAX];
    uint32_t keep = (uint32_t)((1.0 - w->options->dropping) * 65536.0);
    float raise = 65536.0F / (float)keep;
    for (uint32_t i = 0; i < n->inputs; i++) {
        x[i] = row->x[i] * (float)w->options->input_scale;
    }
    network_hidden(n, x, hidden);
    for (uint32_t h = 0; h < n->hidden; h++) {
        hidden[h] = (next_random(w) & 0xffff) < keep ? hidden[h] * raise : 0.0F;
    }
    network_output(n, hidden, logit);
    error_of(w, row, logit, error);
    float *in = w->gradient;
    float *in_bias = in + (size_t)n->inputs * n->hidden;
    float *out = in_bias + n->hidden;
    float *out_bias = out + (size_t)n->hidden * n->labels;
    for (uint32_t h = 0; h < n->hidden; h++) {
        if (!(hidden[h] > 0.0F)) {
            continue;
        }
        for (uint32_t k = 0; k < n->labels; k++) {
            size_t at = (size_t)h * n->labels + k;
            slope[h] += error[k] * n->out[at] * raise;
            out[at] += error[k] * hidden[h];
        }
    }
    for (uint32_t k = 0; k < n->labels; k++) {
        out_bias[k] += error[k];
    }
    network_axpy(in_bias, 1.0F, slope, n->hidden);
    for (uint32_t i = 0; i < n->inputs; i++) {
        network_axpy(in + (size_t)i * n->hidden, x[i], slope, n->hidden);
    }
}

/* One cycle: up to the highest rate and down to nothing. */
static double rate_of(const struct work *w)
{
    double at = (double)w->step / (double)w->steps;
    double share = at < warm_up ? rate_start + (1.0 - rate_start) * at / warm_up
                                : (1.0 - at) / (1.0 - warm_up);
    return w->options->rate * share;
}

static void take_step(struct work *w, float weight)
{
    w->step++;
    if (!(weight > 0.0F)) { /* all rows of the batch count nothing */
        return;
    }
    double rate = rate_of(w);
    double first_left = 1.0 - pow(first_moment, (double)w->step);
    double second_left = 1.0 - pow(second_moment, (double)w->step);
    float move = (float)(rate / first_left);
    float unit = 1.0F / weight;
    float root = (float)(1.0 / sqrt(second_left));
    float keep = (float)(1.0 - rate * w->options->decay);
    const float a = (float)first_moment;
    const float b = (float)second_moment;
    for (size_t i = 0; i < w->count; i++) {
        float g = w->gradient[i] * unit;
        w->first[i] = a * w->first[i] + (1.0F - a) * g;
        w->second[i] = b * w->second[i] + (1.0F - b) * g * g;
        w->numbers[i] =
            w->numbers[i] * keep - move * w->first[i] / (sqrtf(w->second[i]) * root + tiny);
    }
    memset(w->gradient, 0, w->count * sizeof *w->gradient);
}

static void run_epoch(struct work *w, const struct fit_network_row *rows)
{
    shuffle(w);
    for (size_t from = 0; from < w->row_count; from += BATCH) {
        size_t end = w->row_count - from > BATCH ? from + BATCH : w->row_count;
        float weight = 0.0F;
        for (size_t i = from; i < end; i++) {
            const struct fit_network_row *row = &rows[w->order[i]];
            visit(w, row);
            weight += row->weight;
        }
        take_step(w, weight);
    }
}

void fit_network_options_default(struct fit_network_options *ret_options)
{
    *ret_options = (struct fit_network_options){
        .seed = 1,
        .hidden = 256,
        .epochs = 8,
        .rate = 3e-3,
        .decay = 1e-2,
        .smoothing = 0.05,
        .dropping = 0.2,
        .input_scale = 10.0,
    };
}

enum status fit_network(const struct fit_network_row *rows, size_t count, uint32_t inputs,
                        uint32_t labels, const struct fit_network_options *options,
                        struct str *ret_bytes)
{
    struct work w = {.options = options, .row_count = count, .random = options->seed * 2 + 1};
    if (count == 0 || count > UINT32_MAX || inputs > NETWORK_INPUTS_MAX || labels > LABELS_MAX ||
        options->hidden > NETWORK_HIDDEN_MAX) {
        return ST_INVALID;
    }
    w.steps = (count + BATCH - 1) / BATCH * (size_t)options->epochs + 1;
    enum status st = start(&w, inputs, labels);
    for (int epoch = 0; st == ST_OK && epoch < options->epochs; epoch++) {
        run_epoch(&w, rows);
    }
    for (size_t i = 0; st == ST_OK && i < (size_t)inputs * options->hidden; i++) {
        w.numbers[i] *= (float)options->input_scale;
    }
    mem_free(w.gradient);
    mem_free(w.first);
    mem_free(w.second);
    mem_free(w.order);
    if (st != ST_OK) {
        mem_free(w.bytes);
        return st;
    }
    *ret_bytes = (struct str){w.bytes, network_bytes(inputs, options->hidden, labels)};
    return ST_OK;
}
