/* See mapping.h. */
#include "router/mapping.h"

#include <math.h>

#include "base/mem.h"

static const double least_variance = 1e-12; /* below it cells differ by chance alone */
static const double least_spread = 1e-3;    /* of t (1 - t): a target of 0 or 1 is never certain */

static double clamp(double x)
{
    return x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x;
}

/* Share of right answers per expert; 0.5 for one that nobody asked. */
static void expert_means(const struct mapping_grid *g, double *ret_means)
{
    for (size_t e = 0; e < g->experts; e++) {
        struct score_cell sum = {0.0, 0.0};
        for (size_t c = 0; c < g->categories; c++) {
            sum.right += g->cells[c * g->experts + e].right;
            sum.count += g->cells[c * g->experts + e].count;
        }
        ret_means[e] = sum.count > 0.0 ? sum.right / sum.count : 0.5;
    }
}

/* Mean of what is right beyond the experts' means in one category. */
static double ease_of(const struct mapping_grid *g, size_t category, const double *means)
{
    double more = 0.0;
    double count = 0.0;
    for (size_t e = 0; e < g->experts; e++) {
        struct score_cell cell = g->cells[category * g->experts + e];
        more += cell.right - cell.count * means[e];
        count += cell.count;
    }
    return count > 0.0 ? more / count : 0.0;
}

static double sampling_variance(double target, double count)
{
    double spread = target * (1.0 - target);
    return (spread > least_spread ? spread : least_spread) / count;
}

/* Variance of true scores around their targets: what is seen, scaled up for the parameters that the
 * targets took from the same cells, less what sampling alone would show. Cells count by samples. */
static double variance_between(const struct mapping_grid *g, enum mapping_target target,
                               const double *targets)
{
    double seen = 0.0;
    double chance = 0.0;
    double count = 0.0;
    for (size_t i = 0; i < g->categories * g->experts; i++) {
        double n = g->cells[i].count;
        if (n > 0.0) {
            double off = g->cells[i].right / n - targets[i];
            seen += n * off * off;
            chance += n * sampling_variance(targets[i], n);
            count += n;
        }
    }
    double free_cells = (double)(g->categories - 1) * (double)g->experts;
    if (target == MAPPING_ADDITIVE) {
        free_cells -= (double)(g->categories - 1);
    }
    if (count <= 0.0 || free_cells <= 0.0) {
        return 0.0;
    }
    double scale = (double)(g->categories * g->experts) / free_cells;
    double variance = (seen * scale - chance) / count;
    return variance > least_variance ? variance : 0.0;
}

enum status mapping_scores(const struct mapping_grid *grid, enum mapping_target target,
                           double *ret_scores, struct mapping_fit *ret_fit)
{
    size_t cells = grid->categories * grid->experts;
    double *means = mem_zalloc(grid->experts + 1, sizeof *means);
    double *targets = mem_zalloc(cells + 1, sizeof *targets);
    if (means == NULL || targets == NULL) {
        mem_free(means);
        mem_free(targets);
        return ST_NO_MEMORY;
    }
    expert_means(grid, means);
    double spread = 0.0;
    for (size_t c = 0; c < grid->categories; c++) {
        double ease = target == MAPPING_ADDITIVE ? ease_of(grid, c, means) : 0.0;
        for (size_t e = 0; e < grid->experts; e++) {
            double *at = &targets[c * grid->experts + e];
            *at = target == MAPPING_RAW ? 0.5 : clamp(means[e] + ease);
            spread += sampling_variance(*at, 1.0) / (double)cells;
        }
    }
    double variance =
        target != MAPPING_RAW && cells > 0 ? variance_between(grid, target, targets) : 0.0;
    for (size_t i = 0; i < cells; i++) {
        double n = grid->cells[i].count;
        double chance = n > 0.0 ? sampling_variance(targets[i], n) : 1.0;
        double share = target == MAPPING_RAW ? 1.0 : variance / (variance + chance);
        ret_scores[i] =
            n > 0.0 ? share * grid->cells[i].right / n + (1.0 - share) * targets[i] : targets[i];
    }
    if (ret_fit != NULL) {
        double samples = variance > 0.0 ? spread / variance : HUGE_VAL;
        *ret_fit = (struct mapping_fit){variance, target == MAPPING_RAW ? 0.0 : samples};
    }
    mem_free(means);
    mem_free(targets);
    return ST_OK;
}

size_t mapping_best(const double *scores, const double *cost, size_t experts, double lambda)
{
    size_t best = 0;
    double top = -HUGE_VAL;
    for (size_t e = 0; e < experts; e++) {
        double value = scores[e] - (cost != NULL ? lambda * cost[e] : 0.0);
        if (value > top) {
            top = value;
            best = e;
        }
    }
    return best;
}
