/* See eval.h. */
#include "router/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_write.h"
#include "base/mem.h"

enum {
    BINS = 15,
    NO_LABEL = CLASSIFIER_LABELS_MAX, /* a label that the classifier does not have */
};

static const double wanted_precision = 0.90;

struct verdict { /* of one row */
    uint8_t truth;
    uint8_t answer;
    bool is_ood;
    bool is_accepted;
    bool is_accepted_routed;
    bool is_below;
    float confidence;
    float uncertainty;
    double us;
};

struct eval {
    const struct classifier *classifier;
    double threshold;
    size_t general; /* NO_LABEL: none */
    struct verdict *verdicts;
    size_t count;
    size_t cap;
    size_t confusion[CLASSIFIER_LABELS_MAX + 1][CLASSIFIER_LABELS_MAX];
};

static size_t index_of(const struct classifier *c, struct str label)
{
    for (size_t i = 0; i < classifier_label_count(c); i++) {
        if (str_eq(classifier_label(c, i), label)) {
            return i;
        }
    }
    return NO_LABEL;
}

static bool is_right(const struct eval *e, const struct prompts_row *prompt, size_t answer)
{
    struct str label = classifier_label(e->classifier, answer);
    if (str_eq(label, prompt->label)) {
        return true;
    }
    for (size_t i = 0; i < prompt->accept_count; i++) {
        if (str_eq(label, prompt->accept[i])) {
            return true;
        }
    }
    return false;
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

static int by_uncertainty(const void *left, const void *right)
{
    const struct verdict *a = left;
    const struct verdict *b = right;
    return (a->uncertainty > b->uncertainty) - (a->uncertainty < b->uncertainty);
}

static void sort(struct eval *e, int (*order)(const void *, const void *))
{
    if (e->count > 0) {
        qsort(e->verdicts, e->count, sizeof *e->verdicts, order);
    }
}

static void count_right(const struct eval *e, struct eval_report *r)
{
    size_t labels[CLASSIFIER_LABELS_MAX + 1] = {0};
    double gap[BINS] = {0};
    double right = 0.0;
    double accepted = 0.0;
    double routed = 0.0;
    double below = 0.0;
    double confidence = 0.0;
    for (size_t i = 0; i < e->count; i++) {
        const struct verdict *v = &e->verdicts[i];
        r->n_ood += v->is_ood;
        if (v->is_ood) {
            continue;
        }
        r->n++;
        labels[v->truth]++;
        right += v->truth == v->answer;
        accepted += v->is_accepted;
        routed += v->is_accepted_routed;
        below += v->is_below;
        confidence += (double)v->confidence;
        int bin = (int)(v->confidence * (float)BINS);
        gap[bin < BINS ? bin : BINS - 1] += (double)v->confidence - (v->is_accepted ? 1.0 : 0.0);
    }
    double n = r->n > 0 ? (double)r->n : 1.0;
    for (int i = 0; i < BINS; i++) {
        r->ece += fabs(gap[i]) / n;
    }
    size_t most = 0;
    for (size_t i = 0; i <= CLASSIFIER_LABELS_MAX; i++) {
        most = labels[i] > most ? labels[i] : most;
    }
    r->accuracy = right / n;
    r->accuracy_accept = accepted / n;
    r->mean_confidence = confidence / n;
    r->accuracy_routed = routed / n;
    r->share_below_threshold = below / n;
    r->majority = (double)most / n;
}

static double f1_of(const struct eval *e, size_t label, size_t rows)
{
    size_t answers = 0;
    for (size_t truth = 0; truth <= CLASSIFIER_LABELS_MAX; truth++) {
        answers += e->confusion[truth][label];
    }
    return 2.0 * (double)e->confusion[label][label] / (double)(answers + rows);
}

static double macro_f1(const struct eval *e)
{
    size_t count = classifier_label_count(e->classifier);
    double sum = 0.0;
    size_t labels = 0;
    for (size_t label = 0; label < count; label++) {
        size_t rows = 0;
        for (size_t answer = 0; answer < count; answer++) {
            rows += e->confusion[label][answer];
        }
        if (rows > 0) {
            sum += f1_of(e, label, rows);
            labels++;
        }
    }
    return labels > 0 ? sum / (double)labels : 0.0;
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

/* Verdicts sorted by uncertainty: the rank sum of Mann and Whitney. */
static double auroc(const struct eval *e)
{
    double ood = 0.0;
    double rest = 0.0;
    double wins = 0.0;
    for (size_t i = 0; i < e->count;) {
        double tied_ood = 0.0;
        double tied_rest = 0.0;
        float uncertainty = e->verdicts[i].uncertainty;
        for (; i < e->count && !(e->verdicts[i].uncertainty > uncertainty); i++) {
            tied_ood += e->verdicts[i].is_ood;
            tied_rest += !e->verdicts[i].is_ood;
        }
        wins += tied_ood * (rest + tied_rest / 2.0);
        ood += tied_ood;
        rest += tied_rest;
    }
    return ood > 0.0 && rest > 0.0 ? wins / (ood * rest) : (double)NAN;
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

struct eval *eval_create(const struct classifier *c, double threshold, struct str general)
{
    struct eval *e = mem_zalloc(1, sizeof *e);
    if (e != NULL) {
        e->classifier = c;
        e->threshold = threshold;
        e->general = index_of(c, general);
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
    struct verdict v = {
        .truth = (uint8_t)index_of(e->classifier, prompt->label),
        .answer = (uint8_t)result->best,
        .is_ood = prompt->is_ood || prompt->label.len == 0,
        .is_accepted = is_right(e, prompt, result->best),
        .is_below = (double)result->p[result->best] < e->threshold,
        .confidence = result->p[result->best],
        .uncertainty = classifier_uncertainty(result, e->general),
        .us = us,
    };
    bool falls_back = v.is_below && e->general != NO_LABEL;
    v.is_accepted_routed = falls_back ? is_right(e, prompt, e->general) : v.is_accepted;
    if (!v.is_ood) {
        e->confusion[v.truth][v.answer]++;
    }
    e->verdicts[e->count++] = v;
    return ST_OK;
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

void eval_finish(struct eval *e, struct eval_report *ret_report)
{
    struct eval_report r = {0};
    count_right(e, &r);
    r.macro_f1 = macro_f1(e);
    sort(e, by_confidence);
    r.coverage_at_precision_90 = coverage(e, r.n);
    sort(e, by_uncertainty);
    r.auroc_ood = auroc(e);
    sort(e, by_time);
    r.us_per_prompt_p50 = percentile(e, 0.50);
    r.us_per_prompt_p99 = percentile(e, 0.99);
    *ret_report = r;
}

size_t eval_confusion(const struct eval *e, size_t truth, size_t answer)
{
    return e->confusion[truth][answer];
}

static enum status write_confusion(const struct eval *e, struct buf *out)
{
    size_t count = classifier_label_count(e->classifier);
    enum status st = buf_append(out, STR(",\"labels\":["));
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        st = i > 0 ? buf_append_char(out, ',') : ST_OK;
        if (st == ST_OK) {
            st = json_write_text(out, classifier_label(e->classifier, i));
        }
    }
    if (st == ST_OK) {
        st = buf_append(out, STR("],\"confusion\":["));
    }
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        st = buf_append(out, i > 0 ? STR(",[") : STR("["));
        for (size_t j = 0; st == ST_OK && j < count; j++) {
            st = buf_printf(out, j > 0 ? ",%zu" : "%zu", e->confusion[i][j]);
        }
        if (st == ST_OK) {
            st = buf_append_char(out, ']');
        }
    }
    return st == ST_OK ? buf_append(out, STR("]}")) : st;
}

enum status eval_write_json(const struct eval *e, const struct eval_report *report, struct str name,
                            struct buf *out)
{
    const struct {
        const char *key;
        double value;
    } figures[] = {
        {"accuracy", report->accuracy},
        {"accuracy_accept", report->accuracy_accept},
        {"macro_f1", report->macro_f1},
        {"ece", report->ece},
        {"coverage_at_precision_90", report->coverage_at_precision_90},
        {"auroc_ood", report->auroc_ood},
        {"us_per_prompt_p50", report->us_per_prompt_p50},
        {"us_per_prompt_p99", report->us_per_prompt_p99},
        {"mean_confidence", report->mean_confidence},
        {"accuracy_routed", report->accuracy_routed},
        {"share_below_threshold", report->share_below_threshold},
        {"majority", report->majority},
    };
    enum status st = buf_append(out, STR("{\"file\":"));
    if (st == ST_OK) {
        st = json_write_text(out, name);
    }
    if (st == ST_OK) {
        st = buf_printf(out, ",\"n\":%zu,\"n_ood\":%zu", report->n, report->n_ood);
    }
    for (size_t i = 0; st == ST_OK && i < sizeof figures / sizeof figures[0]; i++) {
        st = buf_printf(out, ",\"%s\":", figures[i].key);
        if (st == ST_OK) {
            st = json_write_real(out, figures[i].value); /* NaN becomes null */
        }
    }
    return st == ST_OK ? write_confusion(e, out) : st;
}
