/* See fit_head.h. The unknowns are the standardised weights and, behind them, an offset per group:
 * sources differ in how high their values are for reasons that no input shows (four choices or ten),
 * and weights that had to explain it would be worse. What is kept is the offsets' mean. One step of
 * Newton solves H d = g with H = X' S X + ridge, by Cholesky. Ridge regression is one such step. */
#include "router/fit_head.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "router/softmax.h"

enum {
    STEPS_MAX = 25,
    NOBODY = -1, /* no group is left out */
};

static const double small_step = 1e-7;
static const double offset_ridge = 1e-3; /* for the group that is left out */
static const double spread_min = 1e-6;   /* an input that varies less says nothing */

struct fitting {
    const struct fit_head_task *task;
    size_t n;       /* unknowns: inputs and groups */
    double *mean;   /* inputs */
    double *scale;  /* inputs: 1 / standard deviation, or 0 */
    double *x;      /* of one row, standardised, with a 1 for its group */
    double *beta;   /* unknowns */
    double *slope;  /* gradient, then step */
    double *second; /* n * n, lower triangle */
};

struct ranked {
    double logit;
    double value;
};

static double logistic(double logit)
{
    return 1.0 / (1.0 + softmax_exp(-logit));
}

static double value_of(const struct fit_head_task *task, double logit)
{
    return task->kind == HEAD_PROBABILITY ? logistic(logit) : logit;
}

static void fini(struct fitting *f)
{
    mem_free(f->mean);
    mem_free(f->scale);
    mem_free(f->x);
    mem_free(f->beta);
    mem_free(f->slope);
    mem_free(f->second);
}

static void standardise(struct fitting *f)
{
    const struct fit_head_task *task = f->task;
    for (size_t r = 0; r < task->count; r++) {
        for (size_t i = 0; i < task->inputs; i++) {
            f->mean[i] += (double)task->rows[r].x[i] / (double)task->count;
        }
    }
    for (size_t r = 0; r < task->count; r++) {
        for (size_t i = 0; i < task->inputs; i++) {
            double off = (double)task->rows[r].x[i] - f->mean[i];
            f->scale[i] += off * off / (double)task->count;
        }
    }
    for (size_t i = 0; i < task->inputs; i++) {
        double spread = sqrt(f->scale[i]);
        f->scale[i] = spread > spread_min ? 1.0 / spread : 0.0;
    }
}

static enum status init(struct fitting *f, const struct fit_head_task *task, size_t groups)
{
    *f = (struct fitting){.task = task, .n = task->inputs + groups};
    f->mean = mem_zalloc(f->n, sizeof(double));
    f->scale = mem_zalloc(f->n, sizeof(double));
    f->x = mem_zalloc(f->n, sizeof(double));
    f->beta = mem_zalloc(f->n, sizeof(double));
    f->slope = mem_zalloc(f->n, sizeof(double));
    f->second = mem_zalloc(f->n * f->n, sizeof(double));
    if (f->mean == NULL || f->scale == NULL || f->x == NULL || f->beta == NULL ||
        f->slope == NULL || f->second == NULL) {
        return ST_NO_MEMORY;
    }
    standardise(f);
    return ST_OK;
}

static void set_x(struct fitting *f, const struct fit_head_row *row)
{
    for (size_t i = 0; i < f->task->inputs; i++) {
        f->x[i] = ((double)row->x[i] - f->mean[i]) * f->scale[i];
    }
    for (size_t i = f->task->inputs; i < f->n; i++) {
        f->x[i] = row->group == i - f->task->inputs ? 1.0 : 0.0;
    }
}

static double logit_of(const struct fitting *f)
{
    double logit = 0.0;
    for (size_t i = 0; i < f->n; i++) {
        logit += f->beta[i] * f->x[i];
    }
    return logit;
}

static void add_row(struct fitting *f, const struct fit_head_row *row)
{
    set_x(f, row);
    double value = value_of(f->task, logit_of(f));
    double error = (double)row->value - value;
    double weight = f->task->kind == HEAD_PROBABILITY ? value * (1.0 - value) + 1e-9 : 1.0;
    for (size_t i = 0; i < f->n; i++) {
        double factor = weight * f->x[i];
        double *line = f->second + i * f->n;
        f->slope[i] += error * f->x[i];
        for (size_t j = 0; j <= i; j++) {
            line[j] += factor * f->x[j];
        }
    }
}

/* second := L with L L' = second, then slope := second^-1 slope. Ridge keeps it positive. */
static void solve(struct fitting *f)
{
    size_t n = f->n;
    double *l = f->second;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = l[i * n + j];
            for (size_t k = 0; k < j; k++) {
                sum -= l[i * n + k] * l[j * n + k];
            }
            l[i * n + j] = i == j ? sqrt(sum > 1e-12 ? sum : 1e-12) : sum / l[j * n + j];
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            f->slope[i] -= l[i * n + k] * f->slope[k];
        }
        f->slope[i] /= l[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++) {
            f->slope[i] -= l[k * n + i] * f->slope[k];
        }
        f->slope[i] /= l[i * n + i];
    }
}

/* Fits beta to all rows but those of a group. */
static void run(struct fitting *f, int64_t left_out)
{
    const struct fit_head_task *task = f->task;
    memset(f->beta, 0, f->n * sizeof *f->beta);
    for (int step = 0; step < STEPS_MAX; step++) {
        memset(f->slope, 0, f->n * sizeof *f->slope);
        memset(f->second, 0, f->n * f->n * sizeof *f->second);
        for (size_t r = 0; r < task->count; r++) {
            if (task->rows[r].group != left_out) {
                add_row(f, &task->rows[r]);
            }
        }
        for (size_t i = 0; i < f->n; i++) {
            double ridge = i < task->inputs ? task->ridge : offset_ridge;
            f->slope[i] -= ridge * f->beta[i];
            f->second[i * f->n + i] += ridge;
        }
        solve(f);
        double largest = 0.0;
        for (size_t i = 0; i < f->n; i++) {
            f->beta[i] += f->slope[i];
            largest = fabs(f->slope[i]) > largest ? fabs(f->slope[i]) : largest;
        }
        if (largest < small_step || task->kind == HEAD_SCORE) {
            return;
        }
    }
}

/* The mean offset of the rows that run() saw. */
static double offset_of(const struct fitting *f, int64_t left_out)
{
    double sum = 0.0;
    size_t count = 0;
    for (size_t r = 0; r < f->task->count; r++) {
        uint32_t group = f->task->rows[r].group;
        if (group != left_out) {
            sum += f->beta[f->task->inputs + group];
            count++;
        }
    }
    return count > 0 ? sum / (double)count : 0.0;
}

/* ret_logit: of each row, by a fit without its group. */
static void leave_out(struct fitting *f, size_t groups, float *ret_logit)
{
    for (size_t group = 0; group < groups; group++) {
        run(f, (int64_t)group);
        f->beta[f->task->inputs + group] = offset_of(f, (int64_t)group);
        for (size_t r = 0; r < f->task->count; r++) {
            if (f->task->rows[r].group == group) {
                set_x(f, &f->task->rows[r]);
                ret_logit[r] = (float)logit_of(f);
            }
        }
    }
}

/* Platt: the logistic regression of the values on the logits. ret_calibration: slope, offset. */
static enum status calibrate(const struct fit_head_task *task, size_t groups, const float *logit,
                             double ret_calibration[2])
{
    struct fit_head_row *rows = mem_alloc(task->count * sizeof *rows);
    struct fit_head_task again = {rows, task->count, 1, HEAD_PROBABILITY, 1.0};
    struct fitting f = {0};
    enum status st = rows != NULL ? ST_OK : ST_NO_MEMORY;
    for (size_t r = 0; st == ST_OK && r < task->count; r++) {
        rows[r] = task->rows[r];
        rows[r].x = &logit[r];
    }
    if (st == ST_OK) {
        st = init(&f, &again, groups);
    }
    if (st == ST_OK) {
        run(&f, NOBODY);
        ret_calibration[0] = f.beta[0] * f.scale[0];
        ret_calibration[1] = offset_of(&f, NOBODY) - ret_calibration[0] * f.mean[0];
    }
    fini(&f);
    mem_free(rows);
    return st;
}

static int by_logit(const void *left, const void *right)
{
    const struct ranked *a = left;
    const struct ranked *b = right;
    return (a->logit > b->logit) - (a->logit < b->logit);
}

/* A row of value v is v of a row that should come late and 1 - v of one that should come early. */
static double auc_of(struct ranked *ranked, size_t count)
{
    double late = 0.0;
    double early = 0.0;
    double good = 0.0;
    qsort(ranked, count, sizeof *ranked, by_logit);
    for (size_t i = 0; i < count;) {
        double late_here = 0.0;
        double early_here = 0.0;
        size_t end = i;
        for (; end < count && !(ranked[end].logit > ranked[i].logit); end++) {
            late_here += ranked[end].value;
            early_here += 1.0 - ranked[end].value;
        }
        good += late_here * (early + early_here / 2.0);
        late += late_here;
        early += early_here;
        i = end;
    }
    return late > 0.0 && early > 0.0 ? good / (late * early) : 0.0;
}

/* Of the rows of a group, or of all. ranked: room for all rows. */
static struct fit_head_figures judge(const struct fit_head_task *task, const float *predicted,
                                     int64_t group, struct ranked *ranked)
{
    struct fit_head_figures figures = {0};
    size_t n = 0;
    for (size_t r = 0; r < task->count; r++) {
        if (group == NOBODY || task->rows[r].group == group) {
            double value = (double)task->rows[r].value;
            double error = (double)predicted[r] - value;
            ranked[n++] = (struct ranked){(double)predicted[r], value};
            figures.mean += value;
            figures.predicted += (double)predicted[r];
            figures.error += error * error;
        }
    }
    figures.rows = n;
    double share = n > 0 ? 1.0 / (double)n : 0.0;
    figures.mean *= share;
    figures.predicted *= share;
    figures.error = sqrt(figures.error * share);
    for (size_t i = 0; i < n; i++) {
        double off = ranked[i].value - figures.mean;
        figures.mean_error += off * off * share;
    }
    figures.mean_error = sqrt(figures.mean_error);
    figures.auc = task->kind == HEAD_PROBABILITY ? auc_of(ranked, n) : 0.0;
    return figures;
}

/* How many groups, 0 for rows that cannot be fitted. */
static size_t check(const struct fit_head_task *task)
{
    size_t groups = 0;
    bool is_same = true;
    for (size_t r = 0; r < task->count; r++) {
        float value = task->rows[r].value;
        bool is_good =
            task->kind == HEAD_PROBABILITY ? value >= 0.0F && value <= 1.0F : fabsf(value) < 1e6F;
        if (!is_good || task->rows[r].group >= FIT_HEAD_GROUPS_MAX) {
            return 0;
        }
        is_same = is_same && !(value > task->rows[0].value) && !(value < task->rows[0].value);
        groups = task->rows[r].group >= groups ? task->rows[r].group + 1 : groups;
    }
    return is_same || groups < 2 ? 0 : groups;
}

/* Calibrates and judges what the fits without a group said. */
static enum status compare(const struct fit_head_task *task, size_t groups, float *left_out,
                           double calibration[2], struct fit_head_report *report)
{
    struct ranked *ranked = mem_alloc(task->count * sizeof *ranked);
    enum status st = ranked != NULL ? ST_OK : ST_NO_MEMORY;
    if (st == ST_OK && task->kind == HEAD_PROBABILITY) {
        st = calibrate(task, groups, left_out, calibration);
    }
    for (size_t r = 0; st == ST_OK && r < task->count; r++) {
        double logit = (double)left_out[r] * calibration[0] + calibration[1];
        left_out[r] = (float)value_of(task, logit);
    }
    if (st == ST_OK) {
        report->all = judge(task, left_out, NOBODY, ranked);
        report->group_count = groups;
        for (size_t g = 0; g < groups; g++) {
            report->groups[g] = judge(task, left_out, (int64_t)g, ranked);
        }
    }
    mem_free(ranked);
    return st;
}

enum status fit_head(const struct fit_head_task *task, float *ret_weights, float *ret_bias,
                     float *ret_left_out, struct fit_head_report *ret_report)
{
    size_t groups = check(task);
    if (groups == 0) {
        return ST_INVALID;
    }
    struct fitting f = {0};
    double calibration[2] = {1.0, 0.0};
    float *left_out = mem_alloc(task->count * sizeof *left_out);
    enum status st = left_out != NULL ? init(&f, task, groups) : ST_NO_MEMORY;
    if (st == ST_OK) {
        leave_out(&f, groups, left_out);
        st = compare(task, groups, left_out, calibration, ret_report);
    }
    if (st == ST_OK) {
        run(&f, NOBODY);
        double bias = offset_of(&f, NOBODY);
        for (size_t i = 0; i < task->inputs; i++) {
            double weight = f.beta[i] * f.scale[i];
            bias -= weight * f.mean[i];
            ret_weights[i] = (float)(weight * calibration[0]);
        }
        *ret_bias = (float)(bias * calibration[0] + calibration[1]);
        if (ret_left_out != NULL) {
            memcpy(ret_left_out, left_out, task->count * sizeof *left_out);
        }
    }
    fini(&f);
    mem_free(left_out);
    return st;
}
