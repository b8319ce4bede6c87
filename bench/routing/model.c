/* See model.h. */
#include "bench/routing/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "router/train.h"

enum {
    THREADS = 2, /* the result does not depend on it */
    FOLDS = 9,   /* names of sources; training puts them into its three groups by their hash */
};

static enum status fill(struct trainer *trainer, const struct model_row *rows, size_t count,
                        bool is_calibrated)
{
    enum status st = ST_OK;
    char source[] = "fold-0";
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        source[5] = (char)('0' + (is_calibrated ? i % FOLDS : 0));
        struct train_row row = {.text = rows[i].text,
                                .label = rows[i].label,
                                .source = str_from(source),
                                .weight = 1.0};
        st = train_add(trainer, &row);
    }
    return st;
}

/* The way that a weights file takes into service, rounding to int8 included. */
static enum status through_file(const struct trainer *trainer, struct diags *diags,
                                struct classifier **ret_classifier)
{
    const char *folder = getenv("TMPDIR");
    char path[512];
    int length = snprintf(path, sizeof path, "%s/routing-XXXXXX", folder != NULL ? folder : "/tmp");
    if (length < 0 || (size_t)length >= sizeof path) {
        return ST_INVALID;
    }
    int fd = mkstemp(path);
    if (fd < 0) {
        return ST_IO;
    }
    (void)close(fd); /* only its name is wanted */
    enum status st = train_save(trainer, STR("{}"), path);
    if (st == ST_OK) {
        st = classifier_load(path, diags, ret_classifier);
    }
    (void)unlink(path); /* the mapping keeps the bytes */
    return st;
}

enum status model_train(const struct model_row *rows, size_t count,
                        const struct model_options *options, struct diags *diags,
                        struct classifier **ret_classifier)
{
    struct train_options to;
    train_options_default(&to);
    to.fit.seed = options->seed;
    to.buckets = options->buckets;
    to.threads = THREADS;
    struct trainer *trainer = train_create(&to);
    if (trainer == NULL) {
        return ST_NO_MEMORY;
    }
    struct train_report report;
    enum status st = fill(trainer, rows, count, options->is_calibrated);
    if (st == ST_OK) {
        st = train_run(trainer, &report);
    }
    if (st == ST_OK) {
        st = through_file(trainer, diags, ret_classifier);
    }
    train_destroy(trainer);
    return st;
}

/* Solves a w = b in place by elimination with pivots; a column without pivot gets 0. */
static void solve(double a[][MODEL_INPUTS_MAX + 1], size_t n, double *ret_w)
{
    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;
        for (size_t i = k + 1; i < n; i++) {
            pivot = fabs(a[i][k]) > fabs(a[pivot][k]) ? i : pivot;
        }
        for (size_t j = 0; j <= n; j++) {
            double swap = a[k][j];
            a[k][j] = a[pivot][j];
            a[pivot][j] = swap;
        }
        for (size_t i = 0; i < n && fabs(a[k][k]) > 1e-12; i++) {
            double factor = i != k ? a[i][k] / a[k][k] : 0.0;
            for (size_t j = k; j <= n; j++) {
                a[i][j] -= factor * a[k][j];
            }
        }
    }
    for (size_t k = 0; k < n; k++) {
        ret_w[k] = fabs(a[k][k]) > 1e-12 ? a[k][n] / a[k][k] : 0.0;
    }
}

void model_ridge(const double (*x)[MODEL_INPUTS_MAX], const double *y, size_t count, size_t inputs,
                 double punishment, double *ret_weights)
{
    double a[MODEL_INPUTS_MAX][MODEL_INPUTS_MAX + 1] = {{0}};
    double mean[MODEL_INPUTS_MAX] = {0};
    double square[MODEL_INPUTS_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < inputs; j++) {
            for (size_t k = 0; k < inputs; k++) {
                a[j][k] += x[i][j] * x[i][k];
            }
            a[j][inputs] += x[i][j] * y[i];
            mean[j] += x[i][j] / (double)count;
            square[j] += x[i][j] * x[i][j] / (double)count;
        }
    }
    for (size_t j = 1; j < inputs; j++) {
        a[j][j] += punishment * (square[j] - mean[j] * mean[j]);
    }
    solve(a, inputs, ret_weights);
}

uint32_t model_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (uint32_t)(x * 0x2545f4914f6cdd1dU >> 32);
}

void model_shuffle(uint32_t *order, size_t count, uint64_t *state)
{
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)i;
    }
    for (size_t i = count; i > 1; i--) {
        size_t j = model_random(state) % i;
        uint32_t swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}
