/* See placement.h. */
#include "router/placement.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "router/optimize.h"

static const double odd_length = 10.0; /* times the median, or a part of it */
static const double odd_repeats = 0.5; /* of the answers */

enum {
    LEAST_OTHERS = 2, /* of two experts nobody can say which one is odd */
    SWEEP_FROM = -20, /* lambda = 2^(k/2) of the score that the whole span of costs would buy */
    SWEEP_TO = 6,
};

_Static_assert(SWEEP_TO - SWEEP_FROM + 2 <= PLACEMENT_POINTS_MAX, "all points fit");

static void take_expert(struct placement *p, size_t index)
{
    struct placement_expert *e = &p->expert[p->experts++];
    struct score_cell sum = {0.0, 0.0};
    for (size_t c = 0; c < p->categories; c++) {
        struct score_cell cell = score_table_cell(p->table, c, index);
        sum.right += cell.right;
        sum.count += cell.count;
    }
    *e = (struct placement_expert){.name = score_table_expert(p->table, index),
                                   .n = sum.count,
                                   .mean = sum.count > 0.0 ? sum.right / sum.count : 0.0,
                                   .answers = score_table_answers(p->table, index),
                                   .index = index};
    for (size_t i = 0; i < SCORE_TRAITS; i++) {
        e->traits[i] = score_table_trait(p->table, index, (enum score_trait)i);
    }
}

static void take_cells(struct placement *p)
{
    double all = 0.0;
    for (size_t c = 0; c < p->categories; c++) {
        for (size_t e = 0; e < p->experts; e++) {
            struct score_cell cell = score_table_cell(p->table, c, p->expert[e].index);
            p->cells[c * p->experts + e] = cell;
            p->shares[c] += cell.count;
            all += cell.count;
        }
    }
    for (size_t c = 0; c < p->categories; c++) {
        p->shares[c] = all > 0.0 ? p->shares[c] / all : 1.0 / (double)p->categories;
    }
}

struct placement *placement_create(const struct score_table *table, const bool *is_used)
{
    struct placement *p = mem_zalloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    size_t experts = score_table_experts(table);
    p->table = table;
    p->categories = score_table_categories(table);
    p->expert = mem_zalloc(experts + 1, sizeof *p->expert);
    p->shares = mem_zalloc(p->categories + 1, sizeof *p->shares);
    p->cells = mem_zalloc(p->categories * experts + 1, sizeof *p->cells);
    p->scores = mem_zalloc(p->categories * experts + 1, sizeof *p->scores);
    enum status st = ST_NO_MEMORY;
    if (p->expert != NULL && p->shares != NULL && p->cells != NULL && p->scores != NULL) {
        for (size_t i = 0; i < experts; i++) {
            if (is_used == NULL || is_used[i]) {
                take_expert(p, i);
            }
        }
        take_cells(p);
        struct mapping_grid grid = {p->cells, p->categories, p->experts};
        st = mapping_scores(&grid, MAPPING_EXPERT, p->scores, &p->fit);
    }
    if (st != ST_OK) {
        placement_destroy(p);
        return NULL;
    }
    p->budgets.experts = HUGE_VAL;
    for (size_t i = 0; i < SCORE_TRAITS; i++) {
        p->budgets.most[i] = HUGE_VAL;
    }
    return p;
}

void placement_destroy(struct placement *p)
{
    if (p == NULL) {
        return;
    }
    mem_free(p->expert);
    mem_free(p->shares);
    mem_free(p->cells);
    mem_free(p->scores);
    mem_free(p);
}

static bool lacks(const struct placement *p, size_t trait, size_t *ret_expert)
{
    for (size_t e = 0; e < p->experts; e++) {
        if (isnan(p->expert[e].traits[trait])) {
            *ret_expert = e;
            return true;
        }
    }
    return false;
}

bool placement_lacks(const struct placement *p, enum score_trait *ret_trait, size_t *ret_expert)
{
    for (size_t i = 0; i < SCORE_TRAITS; i++) {
        bool is_cost = p->cost.is_known && p->cost.trait == (enum score_trait)i;
        if ((is_cost || p->budgets.most[i] < HUGE_VAL) && lacks(p, i, ret_expert)) {
            *ret_trait = (enum score_trait)i;
            return true;
        }
    }
    return false;
}

struct placement_cost placement_default_cost(const struct placement *p)
{
    size_t expert = 0;
    for (size_t i = 0; i < SCORE_TRAITS; i++) {
        if (!lacks(p, i, &expert)) {
            return (struct placement_cost){true, (enum score_trait)i, 0.0};
        }
    }
    return (struct placement_cost){false, SCORE_PRICE, 0.0};
}

/* ---------------------------------------------------------------- problems */

struct workspace { /* a problem and the columns that it borrows */
    struct optimize_problem problem;
    struct optimize_budget budgets[SCORE_TRAITS + 1];
    double *columns; /* a column of experts for each trait, then ones */
};

static void budget(struct workspace *w, const double *column, double most, enum optimize_kind kind)
{
    if (most < HUGE_VAL) {
        w->budgets[w->problem.budget_count++] = (struct optimize_budget){column, most, kind};
    }
}

/* After placement_lacks said no: what is needed is known. */
static enum status open(const struct placement *p, struct workspace *w)
{
    *w = (struct workspace){.columns = mem_zalloc((SCORE_TRAITS + 1) * p->experts, sizeof(double))};
    if (w->columns == NULL) {
        return ST_NO_MEMORY;
    }
    w->problem = (struct optimize_problem){.scores = p->scores,
                                           .weights = p->shares,
                                           .categories = p->categories,
                                           .experts = p->experts,
                                           .lambda = p->cost.lambda,
                                           .budgets = w->budgets};
    for (size_t i = 0; i < SCORE_TRAITS; i++) {
        double *column = w->columns + i * p->experts;
        for (size_t e = 0; e < p->experts; e++) {
            column[e] = p->expert[e].traits[i];
        }
        budget(w, column, p->budgets.most[i],
               i >= SCORE_PARAMS ? OPTIMIZE_HOSTED : OPTIMIZE_PER_REQUEST);
        if (p->cost.is_known && p->cost.trait == (enum score_trait)i) {
            w->problem.cost = column;
        }
    }
    double *ones = w->columns + SCORE_TRAITS * p->experts;
    for (size_t e = 0; e < p->experts; e++) {
        ones[e] = 1.0;
    }
    budget(w, ones, p->budgets.experts, OPTIMIZE_HOSTED);
    return ST_OK;
}

static bool is_first(const struct placement_point *point, size_t category)
{
    for (size_t before = 0; before < category; before++) {
        if (point->experts[before] == point->experts[category]) {
            return false;
        }
    }
    return true;
}

/* All but lambda and experts. */
static void measure(const struct placement *p, struct placement_point *point)
{
    point->quality = 0.0;
    point->hosted = 0;
    memset(point->traits, 0, sizeof point->traits);
    for (size_t c = 0; c < p->categories; c++) {
        size_t e = point->experts[c];
        bool is_new = is_first(point, c);
        point->quality += p->shares[c] * p->scores[c * p->experts + e];
        point->hosted += is_new ? 1 : 0;
        for (size_t i = 0; i < SCORE_TRAITS; i++) {
            double share = i >= SCORE_PARAMS ? (double)is_new : p->shares[c];
            point->traits[i] += share * p->expert[e].traits[i];
        }
    }
}

static enum status solve(const struct placement *p, const struct workspace *w,
                         struct placement_point *ret)
{
    double value = 0.0;
    enum status st = optimize_solve(&w->problem, ret->experts, &value);
    if (st == ST_OK) {
        ret->lambda = w->problem.lambda;
        measure(p, ret);
    }
    return st;
}

enum status placement_solve(const struct placement *p, struct placement_point *ret)
{
    struct workspace w;
    enum status st = open(p, &w);
    if (st == ST_OK) {
        st = solve(p, &w, ret);
    }
    mem_free(w.columns);
    return st;
}

static bool is_same(const struct placement *p, const struct placement_point *a,
                    const struct placement_point *b)
{
    return memcmp(a->experts, b->experts, p->categories * sizeof a->experts[0]) == 0;
}

static double span_of(const struct placement *p, const double *cost)
{
    double least = HUGE_VAL;
    double most = 0.0;
    for (size_t e = 0; e < p->experts; e++) {
        least = cost[e] < least ? cost[e] : least;
        most = cost[e] > most ? cost[e] : most;
    }
    return most - least;
}

enum status placement_sweep(const struct placement *p, struct placement_frontier *ret)
{
    struct workspace w;
    enum status st = open(p, &w);
    double span = st == ST_OK && w.problem.cost != NULL ? span_of(p, w.problem.cost) : 0.0;
    ret->count = 0;
    for (int k = SWEEP_FROM - 1; st == ST_OK && k <= SWEEP_TO; k++) {
        struct placement_point *point = &ret->items[ret->count];
        w.problem.lambda = k < SWEEP_FROM ? 0.0 : exp2((double)k / 2.0) / span;
        st = solve(p, &w, point);
        if (st == ST_OK && (ret->count == 0 || !is_same(p, point, point - 1))) {
            ret->count++;
        }
        if (!(span > 0.0)) {
            break;
        }
    }
    mem_free(w.columns);
    return st;
}

bool placement_single(const struct placement *p, size_t expert, struct placement_point *ret)
{
    ret->lambda = 0.0;
    for (size_t c = 0; c < p->categories; c++) {
        ret->experts[c] = expert;
    }
    measure(p, ret);
    bool fits = p->budgets.experts >= 1.0;
    for (size_t i = 0; i < SCORE_TRAITS; i++) {
        double most = p->budgets.most[i];
        fits = fits && !(most < HUGE_VAL && !(ret->traits[i] <= most));
    }
    return fits;
}

/* ---------------------------------------------------------------- canary */

static int compare_reals(const void *a, const void *b)
{
    double x;
    double y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* `values` gets sorted. */
static double median(double *values, size_t count)
{
    if (count == 0) {
        return 0.0;
    }
    qsort(values, count, sizeof *values, compare_reals);
    return (values[(count - 1) / 2] + values[count / 2]) / 2.0;
}

static double repeats(const struct score_answers *a)
{
    return a->texts > 0 ? (double)a->same / (double)a->texts : 0.0;
}

enum placement_suspicion placement_suspect(const struct placement *p, size_t expert)
{
    const struct placement_expert *e = &p->expert[expert];
    double same[SCORE_TABLE_EXPERTS_MAX];
    double chars[SCORE_TABLE_EXPERTS_MAX];
    double means[SCORE_TABLE_EXPERTS_MAX];
    size_t texts = 0;
    size_t lengths = 0;
    for (size_t i = 0; i < p->experts; i++) {
        const struct placement_expert *other = &p->expert[i];
        if (i != expert && other->answers.texts >= PLACEMENT_LEAST_ANSWERS) {
            same[texts++] = repeats(&other->answers);
        }
        if (i != expert && other->answers.lengths >= PLACEMENT_LEAST_ANSWERS) {
            chars[lengths] = other->answers.chars;
            means[lengths++] = other->mean;
        }
    }
    if (e->answers.texts >= PLACEMENT_LEAST_ANSWERS && repeats(&e->answers) >= odd_repeats &&
        repeats(&e->answers) >= 2.0 * median(same, texts)) {
        return PLACEMENT_SAME;
    }
    if (e->answers.lengths < PLACEMENT_LEAST_ANSWERS || lengths < LEAST_OTHERS ||
        e->mean < median(means, lengths)) {
        return PLACEMENT_SOUND;
    }
    double middle = median(chars, lengths);
    if (e->answers.chars * odd_length <= middle) {
        return PLACEMENT_SHORT;
    }
    return e->answers.chars >= middle * odd_length ? PLACEMENT_LONG : PLACEMENT_SOUND;
}
