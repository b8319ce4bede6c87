/* See pool.h. */
#include "bench/routing/pool.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "bench/routing/model.h"
#include "router/mapping.h"

enum {
    CELLS_MAX = DATA_CATEGORIES_MAX * DATA_MODELS_MAX,
    CLASSES_MAX = DATA_CATEGORIES_MAX, /* as a question is seen: categories or domains */
    BUCKETS = 62000,
    SAMPLES = 20, /* per cell, in the test of shrinkage */
    DRAWS = 100,
};

/* Ways to know what a question is about. */
enum view {
    VIEW_ORACLE,  /* its category as the examiners say */
    VIEW_TRAINED, /* by a category router trained on the training split */
    VIEW_SHIPPED, /* by the shipped domains */
};

enum {
    VIEWS = VIEW_SHIPPED + 1
};

static const char *const view_sentences[VIEWS] = {
    "mapping, oracle category",
    "mapping, predicted category (trained router)",
    "mapping, predicted domain (shipped weights)",
};

struct seen { /* a question through the eyes of a classifier */
    uint8_t class;
    float p[CLASSES_MAX];
};

struct pool_bench {
    const struct data_pool *pool;
    struct seen *seen[VIEWS]; /* per question */
    size_t classes[VIEWS];
    uint8_t domain_of[DATA_CATEGORIES_MAX]; /* category -> shipped domain */
    bool is_pooled[CLASSES_MAX];            /* domains that categories map to */
};

struct subset { /* of the models */
    size_t count;
    size_t models[DATA_MODELS_MAX];
    double active_b[DATA_MODELS_MAX];
};

/* MMLU-Pro's categories in the words of the shipped taxonomy. */
static const struct {
    struct str category;
    struct str domain;
} domains_of[] = {
    {STR_INIT("health"), STR_INIT("medical")},
    {STR_INIT("engineering"), STR_INIT("physics")},
    {STR_INIT("business"), STR_INIT("finance")},
    {STR_INIT("economics"), STR_INIT("finance")},
    {STR_INIT("history"), STR_INIT("humanities")},
    {STR_INIT("philosophy"), STR_INIT("humanities")},
    {STR_INIT("psychology"), STR_INIT("social")},
    {STR_INIT("computer science"), STR_INIT("coding")},
    {STR_INIT("other"), STR_INIT("general")},
};

static size_t label_index(const struct classifier *c, struct str label)
{
    for (size_t i = 0; i < classifier_label_count(c); i++) {
        if (str_eq(classifier_label(c, i), label)) {
            return i;
        }
    }
    return 0; /* weights with other labels: the figures then say so */
}

static void map_categories(struct pool_bench *b, const struct classifier *domains)
{
    for (size_t c = 0; c < b->pool->category_count; c++) {
        struct str label = b->pool->categories[c];
        for (size_t i = 0; i < sizeof domains_of / sizeof domains_of[0]; i++) {
            if (str_eq(domains_of[i].category, b->pool->categories[c])) {
                label = domains_of[i].domain;
            }
        }
        b->domain_of[c] = (uint8_t)label_index(domains, label);
        b->is_pooled[b->domain_of[c]] = true;
    }
}

/* Predictions of a classifier; `to` renames its labels to classes. */
static void look(const struct pool_bench *b, const struct classifier *c, const size_t *to,
                 struct classifier_scratch *scratch, struct seen *ret_seen)
{
    for (size_t i = 0; i < b->pool->count; i++) {
        struct classifier_segment segment = {b->pool->items[i].text, 1.0F};
        struct classifier_result result;
        classifier_score(c, scratch, &segment, 1, &result);
        for (size_t k = 0; k < result.count; k++) {
            ret_seen[i].p[to[k]] = result.p[k];
        }
        ret_seen[i].class = (uint8_t)to[result.best];
    }
}

static enum status train_router(const struct pool_bench *b, struct diags *diags,
                                struct classifier **ret_classifier)
{
    struct model_row *rows = mem_zalloc(b->pool->count, sizeof *rows);
    size_t n = 0;
    for (size_t i = 0; rows != NULL && i < b->pool->count; i++) {
        const struct data_question *q = &b->pool->items[i];
        rows[n] = (struct model_row){q->text, b->pool->categories[q->category]};
        n += !q->is_test;
    }
    struct model_options options = {.seed = 1, .buckets = BUCKETS, .is_calibrated = true};
    enum status st =
        rows != NULL ? model_train(rows, n, &options, diags, ret_classifier) : ST_NO_MEMORY;
    mem_free(rows);
    return st;
}

static enum status look_all(struct pool_bench *b, const struct classifier *domains,
                            struct diags *diags)
{
    size_t to[CLASSES_MAX];
    struct classifier *trained = NULL;
    struct classifier_scratch *scratch = classifier_scratch_create();
    enum status st = scratch != NULL ? train_router(b, diags, &trained) : ST_NO_MEMORY;
    if (st == ST_OK) {
        for (size_t i = 0; i < b->pool->count; i++) {
            b->seen[VIEW_ORACLE][i].class = b->pool->items[i].category;
            b->seen[VIEW_ORACLE][i].p[b->pool->items[i].category] = 1.0F;
        }
        for (size_t k = 0; k < classifier_label_count(trained); k++) {
            to[k] = 0;
            for (size_t c = 0; c < b->pool->category_count; c++) {
                bool is_it = str_eq(b->pool->categories[c], classifier_label(trained, k));
                to[k] = is_it ? c : to[k];
            }
        }
        look(b, trained, to, scratch, b->seen[VIEW_TRAINED]);
        for (size_t k = 0; k < CLASSES_MAX; k++) {
            to[k] = k;
        }
        look(b, domains, to, scratch, b->seen[VIEW_SHIPPED]);
    }
    classifier_scratch_destroy(scratch);
    classifier_unref(trained);
    return st;
}

enum status pool_create(const struct data_pool *pool, const struct classifier *domains,
                        struct diags *diags, struct pool_bench **ret_bench)
{
    struct pool_bench *b = mem_zalloc(1, sizeof *b);
    if (b == NULL) {
        return ST_NO_MEMORY;
    }
    b->pool = pool;
    enum status st = classifier_label_count(domains) <= CLASSES_MAX ? ST_OK : ST_TOO_BIG;
    for (size_t v = 0; v < VIEWS; v++) {
        b->seen[v] = mem_zalloc(pool->count, sizeof *b->seen[v]);
        b->classes[v] = v == VIEW_SHIPPED ? classifier_label_count(domains) : pool->category_count;
        st = st == ST_OK && b->seen[v] == NULL ? ST_NO_MEMORY : st;
    }
    map_categories(b, domains);
    st = st == ST_OK ? look_all(b, domains, diags) : st;
    if (st != ST_OK) {
        pool_destroy(b);
        return st;
    }
    *ret_bench = b;
    return ST_OK;
}

void pool_destroy(struct pool_bench *b)
{
    if (b == NULL) {
        return;
    }
    for (size_t v = 0; v < VIEWS; v++) {
        mem_free(b->seen[v]);
    }
    mem_free(b);
}

/* A pool: which models an operator could host. */
static const struct pool_case {
    const char *key;
    const char *sentence;
    double active_max_b;
    double total_max_b;
    size_t missing_max;   /* answers that may lack in a model's record */
    double quoted_single; /* 0: none */
    double quoted_mapped;
} cases[] = {
    {"pool_13b", "at most 13 B in memory", 1e4, 13.0, 100, 0.4577, 0.4744},
    {"pool_36b", "at most 36 B in memory", 1e4, 36.0, 100, 0.0, 0.489},
    {"pool_all", "all of known size", 1e4, 1e4, 100, 0.637, 0.0},
    {"pool_36b_active", "at most 36 B active, DeepSeek-Coder-V2 too (14 % of its answers missing)",
     36.0, 1e4, 2000, 0.0, 0.0},
};

enum {
    CASES = sizeof cases / sizeof cases[0],
    CASE_ALL = 2,
};

static struct subset subset_of(const struct data_pool *pool, const struct pool_case *wanted)
{
    struct subset s = {0};
    for (size_t m = 0; m < pool->model_count; m++) {
        if (pool->active_b[m] > 0.0 && pool->active_b[m] <= wanted->active_max_b &&
            pool->total_b[m] <= wanted->total_max_b && pool->missing[m] <= wanted->missing_max) {
            s.active_b[s.count] = pool->active_b[m];
            s.models[s.count++] = m;
        }
    }
    return s;
}

static bool is_right(const struct data_question *q, const struct subset *s, size_t expert)
{
    return (q->right >> s->models[expert] & 1) != 0;
}

/* Counts of the training split by class, and the scores that a mapping is made from. The row after
 * the last class holds the scores over all questions. */
static enum status fit_scores(const struct pool_bench *b, enum view view, const struct subset *s,
                              double *ret_scores)
{
    struct score_cell cells[CELLS_MAX] = {{0.0, 0.0}};
    struct score_cell all[DATA_MODELS_MAX] = {{0.0, 0.0}};
    size_t classes = b->classes[view];
    for (size_t i = 0; i < b->pool->count; i++) {
        const struct data_question *q = &b->pool->items[i];
        for (size_t e = 0; !q->is_test && e < s->count; e++) {
            struct score_cell *cell = &cells[b->seen[view][i].class * s->count + e];
            cell->right += is_right(q, s, e);
            cell->count += 1.0;
            all[e].right += is_right(q, s, e);
            all[e].count += 1.0;
        }
    }
    struct mapping_grid grid = {cells, classes, s->count};
    for (size_t e = 0; e < s->count; e++) {
        ret_scores[classes * s->count + e] = all[e].right / all[e].count;
    }
    return mapping_scores(&grid, MAPPING_EXPERT, ret_scores, NULL);
}

struct outcome { /* on the test split */
    double right;
    double active_b;
    double chars; /* of the answers: what they cost */
    size_t questions;
};

static void count(struct outcome *o, const struct data_question *q, const struct subset *s,
                  size_t expert)
{
    o->right += is_right(q, s, expert);
    o->active_b += s->active_b[expert];
    o->chars += q->chars[s->models[expert]];
    o->questions++;
}

static struct outcome mean_of(struct outcome o)
{
    double n = o.questions > 0 ? (double)o.questions : 1.0;
    return (struct outcome){o.right / n, o.active_b / n, o.chars / n, o.questions};
}

/* The test split through a mapping. Uncertain questions (entropy over `entropy_max`, in nats) go to
 * the best expert of all. ret_share: how many those are; NULL allowed. */
static struct outcome replay(const struct pool_bench *b, enum view view, const struct subset *s,
                             const double *scores, const double limits[2], double *ret_share)
{
    struct outcome o = {0};
    size_t classes = b->classes[view];
    size_t uncertain = 0;
    for (size_t i = 0; i < b->pool->count; i++) {
        const struct data_question *q = &b->pool->items[i];
        const struct seen *seen = &b->seen[view][i];
        if (!q->is_test) {
            continue;
        }
        double entropy = 0.0;
        for (size_t c = 0; c < classes; c++) {
            double p = (double)seen->p[c];
            entropy -= p > 0.0 ? p * log(p) : 0.0;
        }
        bool is_uncertain = entropy > limits[1];
        size_t row = is_uncertain ? classes : seen->class;
        uncertain += is_uncertain;
        count(&o, q, s, mapping_best(scores + row * s->count, s->active_b, s->count, limits[0]));
    }
    if (ret_share != NULL) {
        *ret_share = (double)uncertain / (double)(o.questions > 0 ? o.questions : 1);
    }
    return mean_of(o);
}

static const double no_limits[2] = {0.0, HUGE_VAL}; /* lambda, entropy */

/* The expert with the best expected score under all classes at once. */
static struct outcome replay_weighted(const struct pool_bench *b, enum view view,
                                      const struct subset *s, const double *scores)
{
    struct outcome o = {0};
    for (size_t i = 0; i < b->pool->count; i++) {
        const struct data_question *q = &b->pool->items[i];
        double expected[DATA_MODELS_MAX] = {0};
        for (size_t k = 0; q->is_test && k < b->classes[view] * s->count; k++) {
            expected[k % s->count] += (double)b->seen[view][i].p[k / s->count] * scores[k];
        }
        if (q->is_test) {
            count(&o, q, s, mapping_best(expected, NULL, s->count, 0.0));
        }
    }
    return mean_of(o);
}

/* Random expert (the mean of all), best single (chosen on the training split), per-question oracle. */
static enum status find_bounds(const struct pool_bench *b, const struct subset *s,
                               struct outcome ret[3])
{
    double scores[CELLS_MAX + DATA_MODELS_MAX];
    enum status st = fit_scores(b, VIEW_ORACLE, s, scores);
    if (st != ST_OK) {
        return st;
    }
    size_t best = mapping_best(scores + b->classes[VIEW_ORACLE] * s->count, NULL, s->count, 0.0);
    struct outcome random = {0};
    struct outcome single = {0};
    struct outcome oracle = {0};
    for (size_t i = 0; i < b->pool->count; i++) {
        const struct data_question *q = &b->pool->items[i];
        size_t cheapest = best;
        bool is_any = false;
        for (size_t e = 0; q->is_test && e < s->count; e++) {
            count(&random, q, s, e);
            bool is_better =
                is_right(q, s, e) && (!is_any || s->active_b[e] < s->active_b[cheapest]);
            cheapest = is_better ? e : cheapest;
            is_any = is_any || is_right(q, s, e);
        }
        if (q->is_test) {
            count(&single, q, s, best);
            count(&oracle, q, s, cheapest);
        }
    }
    ret[0] = mean_of(random);
    ret[1] = mean_of(single);
    ret[2] = mean_of(oracle);
    return ST_OK;
}

static enum status print_row(const char *sentence, const char *key, struct outcome o, FILE *out,
                             struct buf *json)
{
    (void)fprintf(out, "  %-46s %6.2f %%  %5.1f B  %5.0f\n", sentence, 100.0 * o.right, o.active_b,
                  o.chars);
    return buf_printf(json,
                      "\"%s\": {\"right\": %.5f, \"active_b\": %.3f, \"answer_chars\": %.1f}, ",
                      key, o.right, o.active_b, o.chars);
}

static enum status run_case(const struct pool_bench *b, const struct pool_case *wanted, FILE *out,
                            struct buf *json)
{
    const struct subset pool = subset_of(b->pool, wanted);
    const struct subset *s = &pool;
    static const char *const keys[VIEWS] = {"oracle_category", "predicted_category",
                                            "predicted_domain"};
    static const char *const weighted[VIEWS] = {"", "predicted_category_weighted",
                                                "predicted_domain_weighted"};
    static const char *const bounds[] = {"random", "best_single", "oracle"};
    static const char *const sentences[] = {"random expert", "best single expert",
                                            "oracle per question (cheapest right one)"};
    struct outcome o[3];
    double scores[CELLS_MAX + DATA_MODELS_MAX];
    enum status st = find_bounds(b, s, o);
    if (st == ST_OK) {
        (void)fprintf(out, "  pool: %zu models, %s\n", s->count, wanted->sentence);
        st = buf_printf(json, "\"%s\": {\"models\": %zu, ", wanted->key, s->count);
    }
    for (size_t i = 0; st == ST_OK && i < 2; i++) {
        st = print_row(sentences[i], bounds[i], o[i], out, json);
    }
    for (size_t view = 0; st == ST_OK && view < VIEWS; view++) {
        st = fit_scores(b, (enum view)view, s, scores);
        if (st == ST_OK) {
            struct outcome mapped = replay(b, (enum view)view, s, scores, no_limits, NULL);
            st = print_row(view_sentences[view], keys[view], mapped, out, json);
        }
        if (st == ST_OK && view != VIEW_ORACLE) {
            struct outcome mapped = replay_weighted(b, (enum view)view, s, scores);
            st =
                print_row("  ... weighted by all probabilities", weighted[view], mapped, out, json);
        }
    }
    st = st == ST_OK ? print_row(sentences[2], bounds[2], o[2], out, json) : st;
    buf_truncate(json, json->len - (st == ST_OK ? 2 : 0)); /* the last comma */
    return st == ST_OK ? buf_append(json, STR("},\n")) : st;
}

static double accuracy_of(const struct pool_bench *b, enum view view)
{
    size_t right = 0;
    size_t count_all = 0;
    for (size_t i = 0; i < b->pool->count; i++) {
        const struct data_question *q = &b->pool->items[i];
        size_t truth = view == VIEW_SHIPPED ? b->domain_of[q->category] : q->category;
        right += q->is_test && b->seen[view][i].class == truth;
        count_all += q->is_test;
    }
    return (double)right / (double)count_all;
}

enum status pool_run_maps(const struct pool_bench *b, FILE *out, struct buf *json)
{
    double trained = accuracy_of(b, VIEW_TRAINED);
    double shipped = accuracy_of(b, VIEW_SHIPPED);
    (void)fprintf(
        out,
        "2. MMLU-Pro: %zu questions, %zu models; mappings fitted on 80 %%, judged on the "
        "fixed 20 %%\n"
        "  category router trained on the 80 %%: %.1f %% right of %zu categories; shipped "
        "domains: %.1f %%\n"
        "  (right, mean active parameters (from memory), mean characters of the answer)\n",
        b->pool->count, b->pool->model_count, 100.0 * trained, b->pool->category_count,
        100.0 * shipped);
    enum status st =
        buf_printf(json, "\"mmlu_pro\": {\"router_trained\": %.4f, \"router_shipped\": %.4f,\n",
                   trained, shipped);
    for (size_t i = 0; st == ST_OK && i < CASES; i++) {
        st = run_case(b, &cases[i], out, json);
        const double quoted[2] = {cases[i].quoted_single, cases[i].quoted_mapped};
        for (size_t k = 0; k < 2; k++) {
            if (quoted[k] > 0.0) {
                (void)fprintf(out, "  quoted: %s %.2f %%\n", k == 0 ? "best single" : "mapping",
                              100.0 * quoted[k]);
            }
        }
        (void)fprintf(out, "\n");
    }
    return st;
}

enum status pool_run_fallback(const struct pool_bench *b, FILE *out, struct buf *json)
{
    static const double limits[] = {0.0, 0.25, 0.5, 1.0, 1.5, 2.0, HUGE_VAL};
    enum status st = buf_append(json, STR("\"entropy_fallback\": ["));
    (void)fprintf(out,
                  "  entropy fallback: above tau nats the best single expert answers\n"
                  "  %-15s %-6s %22s   %22s\n",
                  "pool", "tau", "trained router", "shipped domains");
    for (size_t i = 0; st == ST_OK && i < CASES; i++) {
        struct subset s = subset_of(b->pool, &cases[i]);
        for (size_t k = 0; st == ST_OK && k < sizeof limits / sizeof limits[0]; k++) {
            const double setting[2] = {0.0, limits[k]};
            double share[2];
            struct outcome o[2];
            for (size_t v = 0; st == ST_OK && v < 2; v++) {
                double scores[CELLS_MAX + DATA_MODELS_MAX];
                enum view view = v == 0 ? VIEW_TRAINED : VIEW_SHIPPED;
                st = fit_scores(b, view, &s, scores);
                if (st == ST_OK) {
                    o[v] = replay(b, view, &s, scores, setting, &share[v]);
                }
            }
            if (st != ST_OK) {
                break;
            }
            (void)fprintf(out,
                          "  %-15s %-6.3g %6.2f %% (%5.1f %% fall)   %6.2f %% (%5.1f %% fall)\n",
                          cases[i].key, limits[k], 100.0 * o[0].right, 100.0 * share[0],
                          100.0 * o[1].right, 100.0 * share[1]);
            st =
                buf_printf(json,
                           "%s{\"pool\": \"%s\", \"tau\": %.2f, \"trained\": %.5f, "
                           "\"trained_share\": %.4f, \"shipped\": %.5f, \"shipped_share\": %.4f}",
                           i + k > 0 ? ", " : "", cases[i].key, isinf(limits[k]) ? 99.0 : limits[k],
                           o[0].right, share[0], o[1].right, share[1]);
        }
    }
    (void)fprintf(out, "  quoted: share above 0.5 / 1.0 / 1.5 / 2.0 nats: 47 / 28 / 14 / 4 %%\n\n");
    return st == ST_OK ? buf_append(json, STR("],\n")) : st;
}

/* The point of a fine sweep of lambda whose mean active parameters are nearest to the wanted. */
static struct outcome nearest(const struct pool_bench *b, const struct subset *s,
                              const double *scores, double wanted_b, double *ret_lambda)
{
    struct outcome best = {0};
    double off = HUGE_VAL;
    for (int step = 0; step <= 400; step++) {
        const double setting[2] = {step * 5e-5, HUGE_VAL};
        struct outcome o = replay(b, VIEW_TRAINED, s, scores, setting, NULL);
        if (fabs(o.active_b - wanted_b) < off) {
            off = fabs(o.active_b - wanted_b);
            best = o;
            *ret_lambda = setting[0];
        }
    }
    return best;
}

enum status pool_run_lambda(const struct pool_bench *b, FILE *out, struct buf *json)
{
    static const double lambdas[] = {0.0, 0.001, 0.002, 0.003, 0.004, 0.006, 0.01, 0.02};

    static const struct {
        double active_b;
        double right;
    } quoted[] = {{70.6, 0.637}, {40.0, 0.567}, {23.3, 0.519}, {6.3, 0.474}};

    double scores[CELLS_MAX + DATA_MODELS_MAX];
    struct subset s = subset_of(b->pool, &cases[CASE_ALL]);
    enum status st = fit_scores(b, VIEW_TRAINED, &s, scores);
    (void)fprintf(out, "  lambda (score a billion active parameters must buy), all models, "
                       "predicted category\n");
    st = st == ST_OK ? buf_append(json, STR("\"lambda\": [")) : st;
    for (size_t i = 0; st == ST_OK && i < sizeof lambdas / sizeof lambdas[0]; i++) {
        const double setting[2] = {lambdas[i], HUGE_VAL};
        struct outcome o = replay(b, VIEW_TRAINED, &s, scores, setting, NULL);
        (void)fprintf(out, "  %6.3f  %5.1f B  %6.2f %%\n", lambdas[i], o.active_b, 100.0 * o.right);
        st = buf_printf(json, "%s{\"lambda\": %.4f, \"active_b\": %.3f, \"right\": %.5f}",
                        i > 0 ? ", " : "", lambdas[i], o.active_b, o.right);
    }
    for (size_t i = 0; st == ST_OK && i < sizeof quoted / sizeof quoted[0]; i++) {
        double lambda = 0.0;
        struct outcome o = nearest(b, &s, scores, quoted[i].active_b, &lambda);
        (void)fprintf(out,
                      "  quoted: %5.1f B  %5.1f %%; ours nearest to it: %5.1f B  %6.2f %% (lambda "
                      "%.5f; %+.2f)\n",
                      quoted[i].active_b, 100.0 * quoted[i].right, o.active_b, 100.0 * o.right,
                      lambda, 100.0 * (o.right - quoted[i].right));
    }
    (void)fprintf(out, "\n");
    return st == ST_OK ? buf_append(json, STR("],\n")) : st;
}

/* Categories in order of probability until they add up to p. */
static size_t take_until(const struct seen *seen, size_t classes, double p, size_t truth,
                         bool *ret_hit)
{
    bool is_taken[CLASSES_MAX] = {false};
    double sum = 0.0;
    size_t taken = 0;
    *ret_hit = false;
    while (sum < p && taken < classes) {
        size_t best = classes;
        for (size_t c = 0; c < classes; c++) {
            if (!is_taken[c] && (best == classes || seen->p[c] > seen->p[best])) {
                best = c;
            }
        }
        is_taken[best] = true;
        *ret_hit = *ret_hit || best == truth;
        sum += (double)seen->p[best];
        taken++;
    }
    return taken;
}

enum status pool_run_top_p(const struct pool_bench *b, FILE *out, struct buf *json)
{
    static const struct {
        double p;
        double experts;
        double hit;
    } quoted[] = {{0.7, 1.53, 0.903}, {0.8, 1.83, 0.924}, {0.9, 2.48, 0.951}};
    enum status st = buf_append(json, STR("\"top_p\": ["));
    (void)fprintf(out,
                  "  dispatch.top_p: categories until their probability adds up to p\n"
                  "  %-5s %20s %20s %20s\n",
                  "p", "trained: mean k, hit", "shipped: mean k, hit", "quoted: mean k, hit");
    for (size_t i = 0; st == ST_OK && i < sizeof quoted / sizeof quoted[0]; i++) {
        double k[2] = {0.0, 0.0};
        double hit[2] = {0.0, 0.0};
        double n = 0.0;
        for (size_t j = 0; j < b->pool->count; j++) {
            const struct data_question *q = &b->pool->items[j];
            for (size_t v = 0; q->is_test && v < 2; v++) {
                enum view view = v == 0 ? VIEW_TRAINED : VIEW_SHIPPED;
                size_t truth = v == 0 ? q->category : b->domain_of[q->category];
                bool is_hit = false;
                size_t taken =
                    take_until(&b->seen[view][j], b->classes[view], quoted[i].p, truth, &is_hit);
                k[v] += (double)taken;
                hit[v] += is_hit;
            }
            n += q->is_test;
        }
        (void)fprintf(out, "  %-5.1f %12.2f %5.1f %% %12.2f %5.1f %% %12.2f %5.1f %%\n",
                      quoted[i].p, k[0] / n, 100.0 * hit[0] / n, k[1] / n, 100.0 * hit[1] / n,
                      quoted[i].experts, 100.0 * quoted[i].hit);
        st = buf_printf(json,
                        "%s{\"p\": %.1f, \"trained_k\": %.3f, \"trained_hit\": %.4f, "
                        "\"shipped_k\": %.3f, \"shipped_hit\": %.4f}",
                        i > 0 ? ", " : "", quoted[i].p, k[0] / n, hit[0] / n, k[1] / n, hit[1] / n);
    }
    (void)fprintf(out, "\n");
    return st == ST_OK ? buf_append(json, STR("]},\n")) : st;
}

/* True scores of the cells, by the test split. */
static void test_shares(const struct pool_bench *b, const struct subset *s, double *ret_shares)
{
    double count_of[DATA_CATEGORIES_MAX] = {0};
    memset(ret_shares, 0, CELLS_MAX * sizeof *ret_shares);
    for (size_t i = 0; i < b->pool->count; i++) {
        const struct data_question *q = &b->pool->items[i];
        for (size_t e = 0; q->is_test && e < s->count; e++) {
            ret_shares[q->category * s->count + e] += is_right(q, s, e);
        }
        count_of[q->category] += q->is_test;
    }
    for (size_t k = 0; k < b->pool->category_count * s->count; k++) {
        ret_shares[k] /= count_of[k / s->count];
    }
}

/* SAMPLES questions of each category from the training split. */
static void draw_cells(const struct pool_bench *b, const struct subset *s, uint32_t *order,
                       uint64_t *random, struct score_cell *ret_cells)
{
    size_t drawn[DATA_CATEGORIES_MAX] = {0};
    memset(ret_cells, 0, CELLS_MAX * sizeof *ret_cells);
    model_shuffle(order, b->pool->count, random);
    for (size_t i = 0; i < b->pool->count; i++) {
        const struct data_question *q = &b->pool->items[order[i]];
        if (q->is_test || drawn[q->category] == SAMPLES) {
            continue;
        }
        drawn[q->category]++;
        for (size_t e = 0; e < s->count; e++) {
            ret_cells[q->category * s->count + e].right += is_right(q, s, e);
            ret_cells[q->category * s->count + e].count += 1.0;
        }
    }
}

struct shrink_work { /* of one draw */
    struct score_cell cells[CELLS_MAX];
    double truth[CELLS_MAX];
    double scores[CELLS_MAX + DATA_MODELS_MAX];
};

struct shrunk {      /* sums over the draws */
    double error[3]; /* mean squared, of the cells */
    double right[3]; /* of the mapping, on the test split with the oracle's category */
    double single;   /* of the expert that is best on the same samples */
};

/* Right answers of the one expert that the samples speak for. */
static double single_of(const struct pool_bench *b, const struct subset *s,
                        const struct score_cell *cells)
{
    double sums[DATA_MODELS_MAX] = {0};
    struct outcome o = {0};
    for (size_t k = 0; k < b->pool->category_count * s->count; k++) {
        sums[k % s->count] += cells[k].right;
    }
    size_t best = mapping_best(sums, NULL, s->count, 0.0);
    for (size_t i = 0; i < b->pool->count; i++) {
        if (b->pool->items[i].is_test) {
            count(&o, &b->pool->items[i], s, best);
        }
    }
    return mean_of(o).right;
}

static enum status shrink_subset(const struct pool_bench *b, const struct subset *s,
                                 struct shrunk *ret)
{
    struct shrink_work *w = mem_zalloc(1, sizeof *w);
    uint64_t random = 0x9e3779b97f4a7c15U;
    uint32_t *order = mem_zalloc(b->pool->count, sizeof *order);
    enum status st = order != NULL && w != NULL ? ST_OK : ST_NO_MEMORY;
    size_t n = b->pool->category_count * s->count;
    if (st == ST_OK) {
        test_shares(b, s, w->truth);
    }
    for (size_t draw = 0; st == ST_OK && draw < DRAWS; draw++) {
        draw_cells(b, s, order, &random, w->cells);
        ret->single += single_of(b, s, w->cells) / DRAWS;
        struct mapping_grid grid = {w->cells, b->pool->category_count, s->count};
        for (size_t target = 0; st == ST_OK && target < 3; target++) {
            st = mapping_scores(&grid, (enum mapping_target)target, w->scores, NULL);
            for (size_t k = 0; st == ST_OK && k < n; k++) {
                double off = w->scores[k] - w->truth[k];
                ret->error[target] += off * off / (double)n / DRAWS;
            }
            if (st == ST_OK) {
                struct outcome o = replay(b, VIEW_ORACLE, s, w->scores, no_limits, NULL);
                ret->right[target] += o.right / DRAWS;
            }
        }
    }
    mem_free(order);
    mem_free(w);
    return st;
}

enum status pool_run_shrinkage(const struct pool_bench *b, FILE *out, struct buf *json)
{
    enum status st = buf_append(json, STR("\"shrinkage_20_samples\": {"));
    (void)fprintf(out,
                  "3. Shrinkage with %d samples per category and expert, mean of %d draws\n"
                  "  (root mean squared error of the cells against the test split | right answers "
                  "of the mapping)\n"
                  "  %-15s %20s %24s %28s %s\n",
                  SAMPLES, DRAWS, "pool", "raw means", "to the expert's mean",
                  "to expert + category", "  best single of the samples");
    for (size_t i = 0; st == ST_OK && i < CASES; i++) {
        struct subset s = subset_of(b->pool, &cases[i]);
        struct shrunk r = {{0}, {0}, 0.0};
        st = shrink_subset(b, &s, &r);
        if (st != ST_OK) {
            break;
        }
        (void)fprintf(out,
                      "  %-15s %10.4f | %6.2f %% %14.4f | %6.2f %% %18.4f | %6.2f %%  %10.2f %%\n",
                      cases[i].key, sqrt(r.error[0]), 100.0 * r.right[0], sqrt(r.error[1]),
                      100.0 * r.right[1], sqrt(r.error[2]), 100.0 * r.right[2], 100.0 * r.single);
        st = buf_printf(json,
                        "%s\"%s\": {\"rmse_raw\": %.5f, \"rmse_expert\": %.5f, "
                        "\"rmse_additive\": %.5f, \"right_raw\": %.5f, \"right_expert\": %.5f, "
                        "\"right_additive\": %.5f, \"right_single\": %.5f}",
                        i > 0 ? ",\n" : "", cases[i].key, sqrt(r.error[0]), sqrt(r.error[1]),
                        sqrt(r.error[2]), r.right[0], r.right[1], r.right[2], r.single);
    }
    return st == ST_OK ? buf_append(json, STR("}\n")) : st;
}
