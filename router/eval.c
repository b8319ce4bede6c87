/* See eval.h. */
#include "router/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "router/softmax.h"

enum {
    NO_LABEL = CLASSIFIER_LABELS_MAX, /* a label that the classifier does not have */
};

static const double wanted_precision = 0.90;

static const char *const score_names[EVAL_SCORES] = {
    [EVAL_UNCERTAINTY] = "uncertainty", [EVAL_ENTROPY] = "entropy",
    [EVAL_MAX_P] = "max_probability",   [EVAL_EXPERT_P] = "expert_probability",
    [EVAL_UNKNOWN] = "unknown",         [EVAL_ENERGY] = "energy",
};

struct verdict { /* of one row */
    uint8_t truth;
    uint8_t answer;
    uint8_t centroid; /* NO_LABEL + 1: no answer */
    uint8_t right;    /* how many labels would be accepted */
    bool is_ood;
    bool is_accepted;
    bool is_centroid_accepted;
    bool is_accepted_routed;
    bool is_below;
    float confidence;
    float scores[EVAL_SCORES];
    uint64_t accepted;
    double us;
};

struct eval {
    struct eval_labels labels;
    double threshold;
    size_t general; /* NO_LABEL: none */
    struct verdict *verdicts;
    size_t count;
    size_t cap;
    size_t confusion[CLASSIFIER_LABELS_MAX + 1][CLASSIFIER_LABELS_MAX];
};

static size_t index_of(const struct eval_labels *labels, struct str label)
{
    for (size_t i = 0; i < labels->count; i++) {
        if (str_eq(labels->names[i], label)) {
            return i;
        }
    }
    return NO_LABEL;
}

/* The labels that a row accepts, its own among them. */
static uint64_t accepted_of(const struct eval *e, const struct prompts_row *prompt)
{
    uint64_t accepted = 0;
    for (size_t i = 0; i <= prompt->accept_count; i++) {
        struct str label = i < prompt->accept_count ? prompt->accept[i] : prompt->label;
        size_t index = index_of(&e->labels, label);
        accepted |= index < NO_LABEL ? (uint64_t)1 << index : 0;
    }
    return accepted;
}

static enum status reserve(struct eval *e, size_t more)
{
    if (e->count + more <= e->cap) {
        return ST_OK;
    }
    size_t cap = e->cap * 2 > e->count + more ? e->cap * 2 : e->count + more + 1024;
    struct verdict *moved = mem_resize(e->verdicts, cap * sizeof *moved);
    if (moved == NULL) {
        return ST_NO_MEMORY;
    }
    e->verdicts = moved;
    e->cap = cap;
    return ST_OK;
}

static int by_time(const void *left, const void *right)
{
    const struct verdict *a = left;
    const struct verdict *b = right;
    return (a->us > b->us) - (a->us < b->us);
}

static int by_confidence(const void *left, const void *right) /* surest first */
{
    const struct verdict *a = left;
    const struct verdict *b = right;
    return (a->confidence < b->confidence) - (a->confidence > b->confidence);
}

static void sort(struct eval *e, int (*order)(const void *, const void *))
{
    if (e->count > 0) {
        qsort(e->verdicts, e->count, sizeof *e->verdicts, order);
    }
}

static void count_right(const struct eval *e, struct eval_report *r)
{
    for (size_t i = 0; i < e->count; i++) {
        const struct verdict *v = &e->verdicts[i];
        r->n_ood += v->is_ood;
        if (v->is_ood) {
            continue;
        }
        r->n++;
        r->accuracy += v->truth == v->answer;
        r->accuracy_accept += v->is_accepted;
        r->accuracy_routed += v->is_accepted_routed;
        r->share_below_threshold += v->is_below;
        r->mean_confidence += (double)v->confidence;
        int bin = (int)(v->confidence * (float)EVAL_BINS);
        struct eval_bin *at = &r->bins[bin < EVAL_BINS ? bin : EVAL_BINS - 1];
        at->n++;
        at->confidence += (double)v->confidence;
        at->accepted += v->is_accepted;
    }
    double n = r->n > 0 ? (double)r->n : 1.0;
    for (int i = 0; i < EVAL_BINS; i++) {
        r->ece += fabs(r->bins[i].confidence - r->bins[i].accepted) / n;
    }
    r->accuracy /= n;
    r->accuracy_accept /= n;
    r->accuracy_routed /= n;
    r->share_below_threshold /= n;
    r->mean_confidence /= n;
}

/* F1 per label, summed over those with rows. */
struct f1 {
    size_t rows[CLASSIFIER_LABELS_MAX + 1];
    size_t answers[CLASSIFIER_LABELS_MAX + 2];
    size_t right[CLASSIFIER_LABELS_MAX + 1];
};

static double macro_f1(const struct f1 *f, size_t count)
{
    double sum = 0.0;
    size_t labels = 0;
    for (size_t i = 0; i < count; i++) {
        if (f->rows[i] > 0) {
            sum += 2.0 * (double)f->right[i] / (double)(f->answers[i] + f->rows[i]);
            labels++;
        }
    }
    return labels > 0 ? sum / (double)labels : 0.0;
}

static void count_baselines(const struct eval *e, struct eval_report *r)
{
    struct f1 ours = {0};
    struct f1 centroid = {0};
    size_t told = 0;
    double centroid_accepted = 0.0;
    double centroid_right = 0.0;
    for (size_t i = 0; i < e->count; i++) {
        const struct verdict *v = &e->verdicts[i];
        if (v->is_ood) {
            continue;
        }
        ours.rows[v->truth]++;
        ours.answers[v->answer]++;
        ours.right[v->truth] += v->truth == v->answer;
        r->random += v->truth < NO_LABEL;
        r->random_accept += v->right;
        if (v->centroid > NO_LABEL) {
            continue;
        }
        told++;
        centroid.rows[v->truth]++;
        centroid.answers[v->centroid]++;
        centroid.right[v->truth] += v->truth == v->centroid;
        centroid_right += v->truth == v->centroid;
        centroid_accepted += v->is_centroid_accepted;
    }
    size_t most = 0;
    for (size_t i = 0; i <= CLASSIFIER_LABELS_MAX; i++) {
        most = ours.rows[i] > most ? ours.rows[i] : most;
    }
    double n = r->n > 0 ? (double)r->n : 1.0;
    double labels = e->labels.count > 0 ? (double)e->labels.count : 1.0;
    r->majority = (double)most / n;
    r->random /= n * labels;
    r->random_accept /= n * labels;
    r->macro_f1 = macro_f1(&ours, e->labels.count);
    r->centroid = told > 0 ? centroid_right / (double)told : (double)NAN;
    r->centroid_accept = told > 0 ? centroid_accepted / (double)told : (double)NAN;
    r->centroid_f1 = told > 0 ? macro_f1(&centroid, e->labels.count) : (double)NAN;
}

/* Verdicts sorted surest first. Equal confidences go together or not at all. */
static double coverage(const struct eval *e, size_t n)
{
    size_t sent = 0;
    size_t accepted = 0;
    size_t best = 0;
    for (size_t i = 0; i < e->count; i++) {
        const struct verdict *v = &e->verdicts[i];
        if (!v->is_ood && v->answer != e->general) {
            sent++;
            accepted += v->is_accepted;
        }
        bool ends_tie = i + 1 == e->count || e->verdicts[i + 1].confidence < v->confidence;
        if (ends_tie && (double)accepted >= wanted_precision * (double)sent) {
            best = sent;
        }
    }
    return n > 0 ? (double)best / (double)n : 0.0;
}

struct scored {
    float score;
    bool is_sought;
};

static int by_score(const void *left, const void *right)
{
    const struct scored *a = left;
    const struct scored *b = right;
    return (a->score > b->score) - (a->score < b->score);
}

/* The rank sum of Mann and Whitney. */
static double auroc(struct scored *rows, size_t count)
{
    double sought = 0.0;
    double rest = 0.0;
    double wins = 0.0;
    if (count > 0) {
        qsort(rows, count, sizeof *rows, by_score);
    }
    for (size_t i = 0; i < count;) {
        double tied_sought = 0.0;
        double tied_rest = 0.0;
        float score = rows[i].score;
        for (; i < count && !(rows[i].score > score); i++) {
            tied_sought += rows[i].is_sought;
            tied_rest += !rows[i].is_sought;
        }
        wins += tied_sought * (rest + tied_rest / 2.0);
        sought += tied_sought;
        rest += tied_rest;
    }
    return sought > 0.0 && rest > 0.0 ? wins / (sought * rest) : (double)NAN;
}

/* rows: room for all verdicts. */
static void rank_scores(const struct eval *e, struct scored *rows, struct eval_report *r)
{
    for (size_t k = 0; k < EVAL_SCORES; k++) {
        size_t count = 0;
        for (size_t i = 0; i < e->count; i++) {
            rows[i] = (struct scored){e->verdicts[i].scores[k], e->verdicts[i].is_ood};
        }
        r->ood_scores[k] = auroc(rows, e->count);
        for (size_t i = 0; i < e->count; i++) {
            const struct verdict *v = &e->verdicts[i];
            rows[count] = (struct scored){v->scores[k], v->truth == e->general};
            count += !v->is_ood;
        }
        r->general_scores[k] = e->general < NO_LABEL ? auroc(rows, count) : (double)NAN;
    }
    r->auroc_ood = r->ood_scores[EVAL_UNCERTAINTY];
    r->auroc_general = r->general_scores[EVAL_UNCERTAINTY];
}

/* Verdicts sorted by time. */
static double percentile(const struct eval *e, double share)
{
    if (e->count == 0) {
        return 0.0;
    }
    double exact = ceil(share * (double)e->count);
    size_t rank = (size_t)exact;
    return e->verdicts[rank > 0 ? rank - 1 : 0].us;
}

static float energy(const struct classifier_result *r)
{
    double top = (double)r->logit[0];
    double sum = 0.0;
    for (size_t i = 1; i < r->count; i++) {
        top = (double)r->logit[i] > top ? (double)r->logit[i] : top;
    }
    for (size_t i = 0; i < r->count; i++) {
        sum += softmax_exp((double)r->logit[i] - top);
    }
    return (float)-(top + softmax_log(sum));
}

static void score(const struct classifier_result *r, size_t general, float *ret_scores)
{
    float expert = 0.0F;
    for (size_t i = 0; i < r->count; i++) {
        expert = i != general && r->p[i] > expert ? r->p[i] : expert;
    }
    ret_scores[EVAL_UNCERTAINTY] = classifier_uncertainty(r, general);
    ret_scores[EVAL_ENTROPY] = r->entropy;
    ret_scores[EVAL_MAX_P] = 1.0F - r->p[r->best];
    ret_scores[EVAL_EXPERT_P] = 1.0F - expert;
    ret_scores[EVAL_UNKNOWN] = 1.0F - r->known;
    ret_scores[EVAL_ENERGY] = energy(r);
}

const char *eval_score_name(enum eval_score score)
{
    return score_names[score];
}

void eval_labels_of(const struct classifier *c, struct eval_labels *ret_labels)
{
    *ret_labels = (struct eval_labels){.count = classifier_label_count(c)};
    for (size_t i = 0; i < ret_labels->count; i++) {
        ret_labels->names[i] = classifier_label(c, i);
    }
}

struct eval *eval_create(const struct eval_labels *labels, double threshold, struct str general)
{
    struct eval *e = mem_zalloc(1, sizeof *e);
    if (e != NULL) {
        e->labels = *labels;
        e->threshold = threshold;
        e->general = index_of(labels, general);
    }
    return e;
}

void eval_destroy(struct eval *e)
{
    if (e != NULL) {
        mem_free(e->verdicts);
        mem_free(e);
    }
}

enum status eval_add(struct eval *e, const struct prompts_row *prompt,
                     const struct classifier_result *result, double us)
{
    if (reserve(e, 1) != ST_OK) {
        return ST_NO_MEMORY;
    }
    uint64_t accepted = accepted_of(e, prompt);
    struct verdict v = {
        .truth = (uint8_t)index_of(&e->labels, prompt->label),
        .answer = (uint8_t)result->best,
        .centroid = NO_LABEL + 1,
        .right = (uint8_t)__builtin_popcountll(accepted),
        .is_ood = prompt->is_ood || prompt->label.len == 0,
        .is_accepted = (accepted >> result->best & 1) != 0,
        .is_below = (double)result->p[result->best] < e->threshold,
        .confidence = result->p[result->best],
        .accepted = accepted,
        .us = us,
    };
    bool falls_back = v.is_below && e->general != NO_LABEL;
    v.is_accepted_routed = falls_back ? (accepted >> e->general & 1) != 0 : v.is_accepted;
    score(result, e->general, v.scores);
    if (!v.is_ood) {
        e->confusion[v.truth][v.answer]++;
    }
    e->verdicts[e->count++] = v;
    return ST_OK;
}

void eval_add_centroid(struct eval *e, size_t answer)
{
    ASSERT(e->count > 0 && answer < e->labels.count);
    struct verdict *v = &e->verdicts[e->count - 1];
    v->centroid = (uint8_t)answer;
    v->is_centroid_accepted = (v->accepted >> answer & 1) != 0;
}

enum status eval_merge(struct eval *e, const struct eval *other)
{
    if (other->count == 0) {
        return ST_OK;
    }
    if (reserve(e, other->count) != ST_OK) {
        return ST_NO_MEMORY;
    }
    memcpy(e->verdicts + e->count, other->verdicts, other->count * sizeof *e->verdicts);
    e->count += other->count;
    for (size_t i = 0; i <= CLASSIFIER_LABELS_MAX; i++) {
        for (size_t j = 0; j < CLASSIFIER_LABELS_MAX; j++) {
            e->confusion[i][j] += other->confusion[i][j];
        }
    }
    return ST_OK;
}

enum status eval_finish(struct eval *e, struct eval_report *ret_report)
{
    struct eval_report r = {0};
    struct scored *rows = mem_alloc((e->count + 1) * sizeof *rows);
    if (rows == NULL) {
        return ST_NO_MEMORY;
    }
    count_right(e, &r);
    count_baselines(e, &r);
    rank_scores(e, rows, &r);
    mem_free(rows);
    sort(e, by_confidence);
    r.coverage_at_precision_90 = coverage(e, r.n);
    sort(e, by_time);
    r.us_per_prompt_p50 = percentile(e, 0.50);
    r.us_per_prompt_p99 = percentile(e, 0.99);
    *ret_report = r;
    return ST_OK;
}

const struct eval_labels *eval_labels(const struct eval *e)
{
    return &e->labels;
}

size_t eval_rows(const struct eval *e)
{
    return e->count;
}

size_t eval_confusion(const struct eval *e, size_t truth, size_t answer)
{
    return e->confusion[truth][answer];
}

struct eval_label_figures eval_label_figures(const struct eval *e, size_t label)
{
    size_t answers = 0;
    size_t rows = 0;
    for (size_t truth = 0; truth <= CLASSIFIER_LABELS_MAX; truth++) {
        answers += e->confusion[truth][label];
    }
    for (size_t answer = 0; answer < e->labels.count; answer++) {
        rows += e->confusion[label][answer];
    }
    double right = (double)e->confusion[label][label];
    struct eval_label_figures f = {.n = rows};
    f.precision = answers > 0 ? right / (double)answers : 0.0;
    f.recall = rows > 0 ? right / (double)rows : 0.0;
    f.f1 = answers + rows > 0 ? 2.0 * right / (double)(answers + rows) : 0.0;
    return f;
}

size_t eval_curve(struct eval *e, struct eval_point ret_points[EVAL_CURVE_MAX + 1])
{
    size_t n = 0;
    size_t sent = 0;
    size_t accepted = 0;
    size_t count = 0;
    struct eval_point last = {0};
    sort(e, by_confidence);
    for (size_t i = 0; i < e->count; i++) {
        n += !e->verdicts[i].is_ood;
    }
    size_t next = 1; /* rows sent before the next point */
    for (size_t i = 0; i < e->count; i++) {
        const struct verdict *v = &e->verdicts[i];
        if (!v->is_ood && v->answer != e->general) {
            sent++;
            accepted += v->is_accepted;
        }
        bool ends_tie = i + 1 == e->count || e->verdicts[i + 1].confidence < v->confidence;
        if (!ends_tie || sent == 0) {
            continue;
        }
        last = (struct eval_point){(double)sent / (double)n, (double)accepted / (double)sent};
        if (sent >= next) {
            ret_points[count++] = last;
            next = sent + (n + EVAL_CURVE_MAX - 1) / EVAL_CURVE_MAX;
        }
    }
    if (count > 0 && ret_points[count - 1].coverage < last.coverage) {
        ret_points[count++] = last;
    }
    return count;
}
