/* See curves.h. */
#include "router/curves.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum {
    FLOAT_BYTES = 4,
    SCORE_BINS = 1000, /* of 1 - p while quantiles are sought */
    CURVES = CURVES_ENTROPY + 1,
};

struct fitting {
    double mass[CURVES][CURVES_LABELS_MAX][CURVES_STEPS];
    double right[CURVES][CURVES_LABELS_MAX][CURVES_STEPS];
    double score[SCORE_BINS];
    double sum;
};

static size_t step_of(float confidence)
{
    float at = confidence * (float)CURVES_STEPS;
    return at >= (float)CURVES_STEPS ? CURVES_STEPS - 1 : at > 0.0F ? (size_t)at : 0;
}

static void count_rows(const struct curves_row *rows, size_t count, struct fitting *f)
{
    for (size_t i = 0; i < count; i++) {
        const struct curves_row *row = &rows[i];
        double weight = (double)row->weight;
        for (size_t of = 0; of < CURVES; of++) {
            size_t step = step_of(row->confidence[of]);
            f->mass[of][row->best][step] += weight;
            f->right[of][row->best][step] += row->is_right ? weight : 0.0;
        }
        double bin = (1.0 - (double)row->right_p) * SCORE_BINS;
        f->score[bin >= SCORE_BINS ? SCORE_BINS - 1 : bin > 0.0 ? (size_t)bin : 0] += weight;
        f->sum += weight;
    }
}

/* Pools neighbours until the share never falls; steps without rows belong to the block below. */
static void pool(const double *mass, const double *right, double sum,
                 struct curves_label *ret_curve)
{
    double block_mass[CURVES_STEPS];
    double block_right[CURVES_STEPS];
    size_t from[CURVES_STEPS + 1];
    size_t blocks = 0;
    for (size_t i = 0; i < CURVES_STEPS; i++) {
        ret_curve->mass[i] = (float)(mass[i] / sum);
        if (!(mass[i] > 0.0)) {
            continue;
        }
        from[blocks] = blocks == 0 ? 0 : i;
        block_mass[blocks] = mass[i];
        block_right[blocks++] = right[i];
        while (blocks > 1 && block_right[blocks - 2] * block_mass[blocks - 1] >=
                                 block_right[blocks - 1] * block_mass[blocks - 2]) {
            blocks--;
            block_mass[blocks - 1] += block_mass[blocks];
            block_right[blocks - 1] += block_right[blocks];
        }
    }
    from[blocks] = CURVES_STEPS;
    for (size_t b = 0; b < blocks; b++) {
        for (size_t i = from[b]; i < from[b + 1]; i++) {
            ret_curve->right[i] = fminf((float)(block_right[b] / block_mass[b]), 1.0F);
        }
    }
}

/* Upper ends of bins: a set is rather too large than too small. */
static void find_quantiles(const struct fitting *f, float *ret_quantile)
{
    double below = 0.0;
    size_t bin = 0;
    for (size_t i = 0; i < CURVES_QUANTILES; i++) {
        double wanted = f->sum * (double)i / (double)(CURVES_QUANTILES - 1);
        while (bin + 1 < SCORE_BINS && below + f->score[bin] < wanted) {
            below += f->score[bin++];
        }
        ret_quantile[i] = (float)(bin + 1) / (float)SCORE_BINS;
    }
    ret_quantile[CURVES_QUANTILES - 1] = 1.0F;
}

enum status curves_fit(const struct curves_row *rows, size_t count, size_t labels,
                       struct curves *ret_curves)
{
    struct fitting *f = mem_zalloc(1, sizeof *f);
    if (f == NULL) {
        return ST_NO_MEMORY;
    }
    memset(ret_curves, 0, sizeof *ret_curves);
    ret_curves->label_count = labels;
    count_rows(rows, count, f);
    for (size_t of = 0; f->sum > 0.0 && of < CURVES; of++) {
        for (size_t label = 0; label < labels; label++) {
            pool(f->mass[of][label], f->right[of][label], f->sum, &ret_curves->of[of][label]);
        }
    }
    if (f->sum > 0.0) {
        find_quantiles(f, ret_curves->quantile);
    }
    mem_free(f);
    return ST_OK;
}

size_t curves_bytes(size_t labels)
{
    return (CURVES * labels * 2 * CURVES_STEPS + CURVES_QUANTILES) * FLOAT_BYTES;
}

static char *put(const float *from, size_t count, char *at)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = 0;
        memcpy(&bits, &from[i], sizeof bits);
        for (int byte = 0; byte < FLOAT_BYTES; byte++) {
            *at++ = (char)(unsigned char)(bits >> (8 * byte));
        }
    }
    return at;
}

void curves_encode(const struct curves *c, char *ret_bytes)
{
    char *at = ret_bytes;
    for (size_t of = 0; of < CURVES; of++) {
        for (size_t label = 0; label < c->label_count; label++) {
            at = put(c->of[of][label].mass, CURVES_STEPS, at);
            at = put(c->of[of][label].right, CURVES_STEPS, at);
        }
    }
    (void)put(c->quantile, CURVES_QUANTILES, at); /* the last */
}

/* Reads shares; false when one is none, or falls where it must not. */
static bool get(const char **at, size_t count, bool may_fall, float *ret)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = 0;
        for (int byte = 0; byte < FLOAT_BYTES; byte++) {
            bits |= (uint32_t)(unsigned char)*(*at)++ << (8 * byte);
        }
        memcpy(&ret[i], &bits, sizeof bits);
        bool is_share = ret[i] >= 0.0F && ret[i] <= 1.0F;
        if (!is_share || (!may_fall && i > 0 && ret[i] < ret[i - 1])) {
            return false;
        }
    }
    return true;
}

const char *curves_read(struct str bytes, size_t labels, struct curves *ret_curves)
{
    if (labels > CURVES_LABELS_MAX || bytes.len != curves_bytes(labels)) {
        return "the curves have not the size that the labels ask for";
    }
    const char *at = bytes.ptr;
    ret_curves->label_count = labels;
    for (size_t of = 0; of < CURVES; of++) {
        double sum = 0.0;
        for (size_t label = 0; label < labels; label++) {
            struct curves_label *curve = &ret_curves->of[of][label];
            if (!get(&at, CURVES_STEPS, true, curve->mass) ||
                !get(&at, CURVES_STEPS, false, curve->right)) {
                return "the curves hold what is no share, or one that falls";
            }
            for (size_t i = 0; i < CURVES_STEPS; i++) {
                sum += (double)curve->mass[i];
            }
        }
        if (!(fabs(sum - 1.0) < 0.001)) {
            return "the shares of the curves do not add up to 1";
        }
    }
    return get(&at, CURVES_QUANTILES, false, ret_curves->quantile)
               ? NULL
               : "the quantiles of the curves do not rise";
}

/* The label whose next step downwards is the surest; label_count: none is left. */
static size_t surest(const struct curves *c, enum curves_of of, uint64_t wanted,
                     const size_t *steps)
{
    size_t best = c->label_count;
    float right = -1.0F;
    for (size_t label = 0; label < c->label_count; label++) {
        bool is_left = (wanted >> label & 1) != 0 && steps[label] > 0;
        if (is_left && c->of[of][label].right[steps[label] - 1] > right) {
            right = c->of[of][label].right[steps[label] - 1];
            best = label;
        }
    }
    return best;
}

/* How much of a step may be let through, 0..1, until the target is reached or lost. */
static double room(enum curves_target target, double value, const double *sums, double mass,
                   double right)
{
    if (!(mass > 0.0)) {
        return 1.0;
    }
    if (target == CURVES_COVERAGE) {
        return fmin((value - sums[0]) / mass, 1.0);
    }
    if (right >= value) {
        return 1.0;
    }
    return fmin(fmax(sums[1] - value * sums[0], 0.0) / (mass * (value - right)), 1.0);
}

bool curves_choose(const struct curves *c, enum curves_of of, uint64_t wanted,
                   enum curves_target target, double value, struct curves_cut *ret_cut)
{
    size_t steps[CURVES_LABELS_MAX];
    double sums[2] = {0.0, 0.0}; /* mass, mass that is right */
    double part = 1.0;
    double first = 0.0; /* precision of the surest step */
    for (size_t label = 0; label < c->label_count; label++) {
        steps[label] = CURVES_STEPS;
        ret_cut->threshold[label] = 2.0F;
    }
    for (;;) {
        size_t label = surest(c, of, wanted, steps);
        if (label == c->label_count) {
            break;
        }
        size_t step = --steps[label];
        double mass = (double)c->of[of][label].mass[step];
        double right = (double)c->of[of][label].right[step];
        first = sums[0] > 0.0 || !(mass > 0.0) ? first : right;
        part = room(target, value, sums, mass, right);
        if (!(part > 0.0)) {
            break;
        }
        sums[0] += part * mass;
        sums[1] += part * mass * right;
        ret_cut->threshold[label] = (float)(((double)step + 1.0 - part) / CURVES_STEPS);
        if (part < 1.0) {
            break;
        }
    }
    ret_cut->share = (float)sums[0];
    ret_cut->precision = (float)(sums[0] > 0.0 ? sums[1] / sums[0] : first);
    return target == CURVES_COVERAGE ? sums[0] >= value - 1e-6 : sums[0] > 0.0;
}

void curves_expect(const struct curves *c, enum curves_of of, size_t label, float threshold,
                   float *ret_precision, float *ret_share)
{
    const struct curves_label *curve = &c->of[of][label];
    double mass = 0.0;
    double right = 0.0;
    for (size_t i = 0; i < CURVES_STEPS; i++) {
        double above = (double)(i + 1) - (double)threshold * CURVES_STEPS;
        double part = (double)curve->mass[i] * fmin(fmax(above, 0.0), 1.0);
        mass += part;
        right += part * (double)curve->right[i];
    }
    *ret_precision = (float)(mass > 0.0 ? right / mass : 0.0);
    *ret_share = (float)mass;
}

float curves_set_threshold(const struct curves *c, double alpha)
{
    double at = (1.0 - alpha) * (double)(CURVES_QUANTILES - 1);
    double clamped = fmin(fmax(at, 0.0), (double)(CURVES_QUANTILES - 1));
    double index = ceil(clamped - 1e-9);
    return 1.0F - c->quantile[(size_t)index];
}
