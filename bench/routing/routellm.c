/* See routellm.h. What the blend is fitted on is predicted by models that have not seen the row:
 * five folds of the tenth. */
#include "bench/routing/routellm.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "bench/routing/model.h"
#include "router/mapping.h"

enum {
    FIT_PERCENT = 10,
    FOLDS = 5,
    BUCKETS = 16384, /* of four features: a tenth of MMLU has about 40,000 */
    EXPERTS = 2,     /* weak, strong */
    OUTCOMES = 4,
};

enum input { /* of the blend */
    INPUT_ONE,
    INPUT_DOMAINS,
    INPUT_SUBJECTS,
    INPUT_LEARNER,
    INPUT_WEAK, /* the learner's probability that the weak model is wrong */
    INPUT_LENGTH,
    INPUT_DIGITS,
    INPUT_UNKNOWN,
    INPUT_ENTROPY,
    INPUTS,
};

static const double punishment =
    1500.0; /* rows that weights of 0 are worth: about as many as there are */

/* Who is right: index 2 * strong + weak. */
static const struct str outcome_names[] = {STR_INIT("neither"), STR_INIT("weak"),
                                           STR_INIT("strong"), STR_INIT("both")};

struct signals { /* of a question, from the shipped classifier; the same for all seeds */
    float p[CLASSIFIER_LABELS_MAX];
    size_t best;
    double inputs[INPUTS]; /* those that need no fit */
};

struct run {
    const struct data_pairs *pairs;
    struct signals *signals;
    struct diags *diags;
    size_t label_count;
    struct classifier_scratch *scratch;
    struct model_row *rows;             /* work space */
    double (*inputs)[MODEL_INPUTS_MAX]; /* per question */
    double *gains;                      /* work space */
    struct curve_row *curve;
    uint32_t *order;
    bool has_subjects;
};

/* Models and tables fitted on some questions. */
struct fitted {
    double domains[CLASSIFIER_LABELS_MAX]; /* gain per domain */
    struct classifier *subjects;           /* NULL: there are no subjects */
    double subject_gains[CLASSIFIER_LABELS_MAX];
    struct classifier *learner;
};

static int gain_of(const struct data_pair *pair)
{
    return (int)pair->strong - (int)pair->weak;
}

static void read_signals(const struct classifier *domains, struct run *run)
{
    for (size_t i = 0; i < run->pairs->count; i++) {
        struct str text = run->pairs->items[i].prompt;
        struct classifier_segment segment = {text, 1.0F};
        struct classifier_result result;
        struct signals *s = &run->signals[i];
        size_t digits = 0;
        for (size_t j = 0; j < text.len; j++) {
            digits += text.ptr[j] >= '0' && text.ptr[j] <= '9';
        }
        classifier_score(domains, run->scratch, &segment, 1, &result);
        memcpy(s->p, result.p, sizeof s->p);
        s->best = result.best;
        s->inputs[INPUT_ONE] = 1.0;
        s->inputs[INPUT_LENGTH] = log(1.0 + (double)text.len);
        s->inputs[INPUT_DIGITS] = (double)digits / (1.0 + (double)text.len);
        s->inputs[INPUT_UNKNOWN] = 1.0 - (double)result.known;
        s->inputs[INPUT_ENTROPY] = (double)result.entropy;
    }
    run->label_count = classifier_label_count(domains);
}

/* Counts -> gain of the strong model per category, shrunk. */
static enum status gains_of(const struct score_cell *cells, size_t categories, double *ret_gains)
{
    double scores[CLASSIFIER_LABELS_MAX * EXPERTS];
    struct mapping_grid grid = {cells, categories, EXPERTS};
    enum status st = mapping_scores(&grid, MAPPING_ADDITIVE, scores, NULL);
    for (size_t c = 0; st == ST_OK && c < categories; c++) {
        ret_gains[c] = scores[c * EXPERTS + 1] - scores[c * EXPERTS];
    }
    return st;
}

static void count(struct score_cell *cells, size_t category, const struct data_pair *pair,
                  double share)
{
    struct score_cell *cell = &cells[category * EXPERTS];
    cell[0].right += pair->weak ? share : 0.0;
    cell[0].count += share;
    cell[1].right += pair->strong ? share : 0.0;
    cell[1].count += share;
}

/* A question counts in its most probable domain. */
static enum status fit_domains(const struct run *run, const uint32_t *items, size_t n,
                               double *ret_gains)
{
    struct score_cell cells[CLASSIFIER_LABELS_MAX * EXPERTS] = {{0.0, 0.0}};
    for (size_t i = 0; i < n; i++) {
        count(cells, run->signals[items[i]].best, &run->pairs->items[items[i]], 1.0);
    }
    return gains_of(cells, run->label_count, ret_gains);
}

static enum status fit_subjects(const struct run *run, const uint32_t *items, size_t n,
                                const struct model_options *options, struct fitted *f)
{
    struct score_cell cells[CLASSIFIER_LABELS_MAX * EXPERTS] = {{0.0, 0.0}};
    for (size_t i = 0; i < n; i++) {
        const struct data_pair *pair = &run->pairs->items[items[i]];
        run->rows[i] = (struct model_row){pair->prompt, pair->subject};
    }
    enum status st = model_train(run->rows, n, options, run->diags, &f->subjects);
    if (st != ST_OK) {
        return st;
    }
    size_t labels = classifier_label_count(f->subjects);
    for (size_t i = 0; i < n; i++) {
        const struct data_pair *pair = &run->pairs->items[items[i]];
        for (size_t c = 0; c < labels; c++) {
            if (str_eq(classifier_label(f->subjects, c), pair->subject)) {
                count(cells, c, pair, 1.0);
            }
        }
    }
    return gains_of(cells, labels, f->subject_gains);
}

static void release(struct fitted *f)
{
    classifier_unref(f->subjects);
    classifier_unref(f->learner);
    *f = (struct fitted){0};
}

static enum status fit(const struct run *run, const uint32_t *items, size_t n, uint64_t seed,
                       struct fitted *ret_fitted)
{
    struct model_options options = {.seed = seed, .buckets = BUCKETS, .is_calibrated = true};
    struct fitted f = {0};
    enum status st = fit_domains(run, items, n, f.domains);
    if (st == ST_OK && run->has_subjects) {
        st = fit_subjects(run, items, n, &options, &f);
    }
    if (st == ST_OK) {
        for (size_t i = 0; i < n; i++) {
            const struct data_pair *pair = &run->pairs->items[items[i]];
            run->rows[i] =
                (struct model_row){pair->prompt, outcome_names[2 * pair->strong + pair->weak]};
        }
        st = model_train(run->rows, n, &options, run->diags, &f.learner);
    }
    if (st != ST_OK) {
        release(&f);
        return st;
    }
    *ret_fitted = f;
    return ST_OK;
}

/* Fills the inputs of a question from models that were not fitted on it. */
static void predict(const struct run *run, const struct fitted *f, uint32_t item)
{
    double *inputs = run->inputs[item];
    const struct signals *s = &run->signals[item];
    struct classifier_segment segment = {run->pairs->items[item].prompt, 1.0F};
    struct classifier_result result;
    memcpy(inputs, s->inputs, sizeof s->inputs);
    inputs[INPUT_DOMAINS] = 0.0;
    inputs[INPUT_SUBJECTS] = 0.0;
    for (size_t c = 0; c < run->label_count; c++) {
        inputs[INPUT_DOMAINS] += (double)s->p[c] * f->domains[c];
    }
    if (f->subjects != NULL) {
        classifier_score(f->subjects, run->scratch, &segment, 1, &result);
        for (size_t c = 0; c < result.count; c++) {
            inputs[INPUT_SUBJECTS] += (double)result.p[c] * f->subject_gains[c];
        }
    }
    classifier_score(f->learner, run->scratch, &segment, 1, &result);
    inputs[INPUT_LEARNER] = 0.0;
    inputs[INPUT_WEAK] = 1.0;
    for (size_t c = 0; c < result.count; c++) {
        struct str label = classifier_label(f->learner, c);
        for (size_t outcome = 0; outcome < OUTCOMES; outcome++) {
            if (str_eq(label, outcome_names[outcome])) {
                int strong = (int)outcome / 2;
                int weak = (int)outcome % 2;
                inputs[INPUT_LEARNER] += (strong - weak) * (double)result.p[c];
                inputs[INPUT_WEAK] -= weak * (double)result.p[c];
            }
        }
    }
}

/* The blend's weights, on predictions for each fold by models fitted on the other folds. */
static enum status fit_blend(const struct run *run, size_t n, uint64_t seed, double *ret_weights)
{
    uint32_t *others = mem_zalloc(n, sizeof *others);
    double(*x)[MODEL_INPUTS_MAX] = mem_zalloc(n, sizeof *x);
    enum status st = others != NULL && x != NULL ? ST_OK : ST_NO_MEMORY;
    for (size_t fold = 0; st == ST_OK && fold < FOLDS; fold++) {
        size_t kept = 0;
        struct fitted f;
        for (size_t i = 0; i < n; i++) {
            others[kept] = run->order[i];
            kept += i % FOLDS != fold;
        }
        st = fit(run, others, kept, seed, &f);
        if (st != ST_OK) {
            break;
        }
        for (size_t i = fold; i < n; i += FOLDS) {
            predict(run, &f, run->order[i]);
        }
        release(&f);
    }
    for (size_t i = 0; st == ST_OK && i < n; i++) {
        memcpy(x[i], run->inputs[run->order[i]], sizeof x[i]);
        run->gains[i] = gain_of(&run->pairs->items[run->order[i]]);
    }
    if (st == ST_OK) {
        model_ridge((const double(*)[MODEL_INPUTS_MAX])x, run->gains, n, INPUTS, punishment,
                    ret_weights);
    }
    mem_free(others);
    mem_free(x);
    return st;
}

static double score_of(const struct run *run, enum routellm_router router, uint32_t item,
                       const double *weights, uint64_t *random)
{
    const double *inputs = run->inputs[item];
    double sum = 0.0;
    switch (router) {
    case ROUTELLM_RANDOM:
        return model_random(random);
    case ROUTELLM_DOMAINS:
        return inputs[INPUT_DOMAINS];
    case ROUTELLM_SUBJECTS:
        return inputs[INPUT_SUBJECTS];
    case ROUTELLM_LEARNER:
        return inputs[INPUT_LEARNER];
    case ROUTELLM_BLEND:
        for (size_t i = 0; i < INPUTS; i++) {
            sum += weights[i] * inputs[i];
        }
        return sum;
    case ROUTELLM_ORACLE:
        return gain_of(&run->pairs->items[item]);
    }
    return 0.0;
}

static enum status run_seed(const struct run *run, size_t seed, struct routellm_result *r)
{
    double weights[MODEL_INPUTS_MAX] = {0};
    uint64_t random = (seed + 1) * 0x9e3779b97f4a7c15U;
    size_t n = r->fitted;
    model_shuffle(run->order, run->pairs->count, &random);
    enum status st = fit_blend(run, n, seed + 1, weights);
    struct fitted f = {0};
    if (st == ST_OK) {
        st = fit(run, run->order, n, seed + 1, &f);
    }
    if (st != ST_OK) {
        return st;
    }
    size_t rest = run->pairs->count - n;
    for (size_t i = 0; i < rest; i++) {
        predict(run, &f, run->order[n + i]);
    }
    release(&f);
    for (size_t router = 0; router < ROUTELLM_ROUTERS; router++) {
        for (size_t i = 0; i < rest; i++) {
            uint32_t item = run->order[n + i];
            double score = score_of(run, (enum routellm_router)router, item, weights, &random);
            run->curve[i] = (struct curve_row){score, 0, gain_of(&run->pairs->items[item])};
        }
        curve_make(run->curve, rest, &r->curves[router][seed]);
    }
    return ST_OK;
}

enum status routellm_run(const struct data_pairs *pairs, const struct classifier *domains,
                         struct diags *diags, struct routellm_result *ret_result)
{
    size_t n = pairs->count;
    struct routellm_result *r = ret_result;
    struct run run = {.pairs = pairs,
                      .diags = diags,
                      .signals = mem_zalloc(n, sizeof *run.signals),
                      .scratch = classifier_scratch_create(),
                      .rows = mem_zalloc(n, sizeof *run.rows),
                      .inputs = mem_zalloc(n, sizeof *run.inputs),
                      .gains = mem_zalloc(n, sizeof *run.gains),
                      .curve = mem_zalloc(n, sizeof *run.curve),
                      .order = mem_zalloc(n, sizeof *run.order),
                      .has_subjects = n > 0 && pairs->items[0].subject.len > 0};
    *r = (struct routellm_result){.questions = n,
                                  .dropped = pairs->dropped,
                                  .fitted = n * FIT_PERCENT / 100,
                                  .has_subjects = run.has_subjects};
    for (size_t i = 0; i < n; i++) {
        r->weak += pairs->items[i].weak ? 1.0 / (double)n : 0.0;
        r->strong += pairs->items[i].strong ? 1.0 / (double)n : 0.0;
    }
    enum status st = ST_NO_MEMORY;
    if (run.signals != NULL && run.scratch != NULL && run.rows != NULL && run.inputs != NULL &&
        run.gains != NULL && run.curve != NULL && run.order != NULL) {
        read_signals(domains, &run);
        st = ST_OK;
    }
    for (size_t seed = 0; st == ST_OK && seed < ROUTELLM_SEEDS; seed++) {
        st = run_seed(&run, seed, r);
    }
    mem_free(run.signals);
    classifier_scratch_destroy(run.scratch);
    mem_free(run.rows);
    mem_free(run.inputs);
    mem_free(run.gains);
    mem_free(run.curve);
    mem_free(run.order);
    return st;
}
