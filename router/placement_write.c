/* See placement_write.h. Names come from outside: in YAML and its comments they are JSON texts, which
 * YAML reads as they are. */
#include "router/placement_write.h"

#include <math.h>

#include "router/eval_put.h"

enum {
    FALLBACKS_MAX = 2,  /* hosted experts behind the chosen one */
    RUNNERS_UP_MAX = 3, /* named in the comment */
    WIDTH = 720,
    HEIGHT = 460,
    LEFT = 80,
    TOP = 60,
    PLOT_WIDTH = 600,
    PLOT_HEIGHT = 330,
};

static const struct str trait_names[] = {
    [SCORE_PRICE] = STR_INIT("price_usd_per_1k"),
    [SCORE_LATENCY] = STR_INIT("latency_ms"),
    [SCORE_PARAMS] = STR_INIT("params_b"),
    [SCORE_MEMORY] = STR_INIT("memory_gb"),
};

struct str placement_trait_name(enum score_trait trait)
{
    return trait_names[trait];
}

static void put_number(struct put *p, double x, int width)
{
    if (isnan(x)) {
        put(p, " %*s", width, "-");
    } else {
        put(p, " %*.4g", width, x);
    }
}

static void put_traits(struct put *out, const double *traits)
{
    for (size_t i = 0; i < SCORE_TRAITS; i++) {
        put_number(out, traits[i], (int)trait_names[i].len);
    }
}

static void put_trait_names(struct put *out)
{
    for (size_t i = 0; i < SCORE_TRAITS; i++) {
        put(out, " %.*s", STR_ARG(trait_names[i]));
    }
    put(out, "\n");
}

static double raw(struct score_cell cell)
{
    return cell.count > 0.0 ? cell.right / cell.count : (double)NAN;
}

static void put_cells(const struct placement *p, const struct placement_point *point,
                      struct put *out)
{
    if (p->fit.samples < HUGE_VAL) {
        put(out, "\nscores: a cell of %.0f answers stands halfway to its expert's mean\n",
            p->fit.samples);
    } else {
        put(out, "\nscores: categories differ by no more than chance: each cell gets its expert's "
                 "mean\n");
    }
    put(out, "%-22s %7s  %-22s %7s %7s %7s\n", "category", "traffic", "expert", "n", "raw",
        "shrunk");
    for (size_t c = 0; c < p->categories; c++) {
        for (size_t e = 0; e < p->experts; e++) {
            struct score_cell cell = p->cells[c * p->experts + e];
            put(out, "%-22.*s %5.1f %%  %-22.*s %7.0f", STR_ARG(score_table_category(p->table, c)),
                100.0 * p->shares[c], STR_ARG(p->expert[e].name), cell.count);
            put_number(out, raw(cell), 7);
            put(out, " %7.3f%s\n", p->scores[c * p->experts + e],
                point->experts[c] == e ? " <- chosen" : "");
        }
    }
}

static void put_point(struct put *out, const struct placement_point *point)
{
    put(out, "%10.4g %8.4f %7zu", point->lambda, point->quality, point->hosted);
    put_traits(out, point->traits);
    put(out, "\n");
}

static void put_singles(const struct placement *p, struct put *out)
{
    struct placement_point best = {.quality = -1.0};
    struct placement_point single;
    for (size_t e = 0; e < p->experts; e++) {
        if (placement_single(p, e, &single) && single.quality > best.quality) {
            best = single;
        }
    }
    if (best.quality >= 0.0) {
        put(out, "best single expert within the budgets: \"%.*s\", expected score %.4f\n",
            STR_ARG(p->expert[best.experts[0]].name), best.quality);
    } else {
        put(out, "no single expert fits the budgets\n");
    }
}

enum status placement_write_text(const struct placement *p, const struct placement_point *point,
                                 const struct placement_frontier *frontier, struct buf *out)
{
    struct put to = {out, ST_OK};
    put(&to, "%-22s %7s %7s", "expert", "n", "mean");
    put_trait_names(&to);
    for (size_t e = 0; e < p->experts; e++) {
        const struct placement_expert *expert = &p->expert[e];
        put(&to, "%-22.*s %7.0f %7.3f", STR_ARG(expert->name), expert->n, expert->mean);
        put_traits(&to, expert->traits);
        put(&to, "\n");
    }
    put_cells(p, point, &to);
    put(&to, "\nfrontier: lambda is the score that one unit of %s must buy\n%10s %8s %7s",
        p->cost.is_known ? trait_names[p->cost.trait].ptr : "cost (none is known)", "lambda",
        "score", "experts");
    put_trait_names(&to);
    for (size_t i = 0; i < frontier->count; i++) {
        put_point(&to, &frontier->items[i]);
    }
    put(&to, "chosen:\n");
    put_point(&to, point);
    put_singles(p, &to);
    return to.st;
}

static const char *const suspicions[] = {
    [PLACEMENT_SOUND] = "",
    [PLACEMENT_SAME] = "gives one and the same answer again and again",
    [PLACEMENT_SHORT] = "gives far shorter answers than others of its score",
    [PLACEMENT_LONG] = "gives far longer answers than others of its score",
};

enum status placement_write_warnings(const struct placement *p, struct str prefix, struct buf *out)
{
    struct put to = {out, ST_OK};
    for (size_t e = 0; e < p->experts; e++) {
        enum placement_suspicion suspicion = placement_suspect(p, e);
        const struct score_answers *a = &p->expert[e].answers;
        if (suspicion == PLACEMENT_SOUND) {
            continue;
        }
        put(&to, "%.*s", STR_ARG(prefix));
        put_text(&to, p->expert[e].name);
        put(&to, " %s (", suspicions[suspicion]);
        if (suspicion == PLACEMENT_SAME) {
            put(&to, "%zu of %zu", a->same, a->texts);
        } else {
            put(&to, "%.0f bytes on average", a->chars);
        }
        put(&to,
            "): it may game its judge; look at its answers before you trust its score of "
            "%.3f\n",
            p->expert[e].mean);
    }
    return to.st;
}

/* ---------------------------------------------------------------- YAML */

static void put_source(const struct placement *p, size_t category, size_t expert, struct put *out)
{
    struct score_cell cell = p->cells[category * p->experts + expert];
    put_text(out, p->expert[expert].name);
    if (cell.count > 0.0) {
        put(out, " %.3f (raw %.3f, n %.0f)", p->scores[category * p->experts + expert], raw(cell),
            cell.count);
    } else {
        put(out, " %.3f (its mean, n 0)", p->scores[category * p->experts + expert]);
    }
}

/* The best that is not taken yet; p->experts: none. Hosted: has a category of its own. */
static size_t next_best(const struct placement *p, const struct placement_point *point,
                        size_t category, bool is_hosted, const bool *is_taken)
{
    size_t best = p->experts;
    for (size_t e = 0; e < p->experts; e++) {
        bool may = !is_hosted;
        for (size_t c = 0; c < p->categories; c++) {
            may = may || point->experts[c] == e;
        }
        const double *row = p->scores + category * p->experts;
        if (may && !is_taken[e] && (best == p->experts || row[e] > row[best])) {
            best = e;
        }
    }
    return best;
}

static void put_runners_up(const struct placement *p, const struct placement_point *point,
                           size_t category, struct put *out)
{
    bool is_taken[SCORE_TABLE_EXPERTS_MAX] = {false};
    is_taken[point->experts[category]] = true;
    put(out, "    # chosen: ");
    put_source(p, category, point->experts[category], out);
    for (size_t i = 0; i < RUNNERS_UP_MAX; i++) {
        size_t e = next_best(p, point, category, false, is_taken);
        if (e == p->experts) {
            break;
        }
        is_taken[e] = true;
        put(out, i == 0 ? "\n    # others: " : ", ");
        put_source(p, category, e, out);
    }
    put(out, "\n");
}

/* The chosen one first; others that are hosted anyway stand behind it, never above: a higher score
 * was given up for the budgets. */
static void put_experts(const struct placement *p, const struct placement_point *point,
                        size_t category, struct put *out)
{
    bool is_taken[SCORE_TABLE_EXPERTS_MAX] = {false};
    const double *row = p->scores + category * p->experts;
    size_t e = point->experts[category];
    double ceiling = row[e];
    put(out, "    experts:\n");
    for (size_t i = 0; i <= FALLBACKS_MAX && e < p->experts; i++) {
        bool is_capped = row[e] > ceiling;
        put(out, "      - {expert: ");
        put_text(out, p->expert[e].name);
        put(out, ", score: %.3f}%s\n", is_capped ? ceiling : row[e],
            is_capped ? " # capped at the chosen one's" : "");
        is_taken[e] = true;
        e = next_best(p, point, category, true, is_taken);
    }
}

static void put_settings(const struct category *category, struct put *out)
{
    if (category != NULL && category->title.len > 0) {
        put(out, "    title: ");
        put_text(out, category->title);
        put(out, "\n");
    }
    if (category != NULL && category->threshold > 0.0) {
        put(out, "    threshold: %.6g\n", category->threshold);
    }
}

static bool has_category(const struct placement *p, struct str name)
{
    bool ret = false;
    for (size_t c = 0; c < p->categories; c++) {
        ret = ret || str_eq(score_table_category(p->table, c), name);
    }
    return ret;
}

static void put_kept(const struct category *category, struct put *out)
{
    const struct category_expert *experts = category->experts.items;
    put(out, "  # the table has no such category: as it was configured\n  ");
    put_text(out, category->id.name);
    put(out, ":\n");
    put_settings(category, out);
    put(out, "    experts:\n");
    for (size_t i = 0; i < category->experts.count; i++) {
        put(out, "      - {expert: ");
        put_text(out, experts[i].name);
        put(out, ", score: %.6g}\n", experts[i].score);
    }
}

enum status placement_write_yaml(const struct placement *p, const struct placement_point *point,
                                 const struct routes *routes, struct buf *out)
{
    struct put to = {out, ST_OK};
    put(&to, "# made by expertd optimize: expected score %.4f with %zu experts\n", point->quality,
        point->hosted);
    to.st = to.st == ST_OK ? placement_write_warnings(p, STR("# WARNING: "), out) : to.st;
    put(&to, "categories:\n");
    for (size_t c = 0; c < p->categories; c++) {
        struct str name = score_table_category(p->table, c);
        put(&to, "  ");
        put_text(&to, name);
        put(&to, ": # %.1f %% of the traffic\n", 100.0 * p->shares[c]);
        put_runners_up(p, point, c, &to);
        put_settings(routes != NULL ? routes_category(routes, name) : NULL, &to);
        put_experts(p, point, c, &to);
    }
    const struct category *kept = routes != NULL ? routes->categories.items : NULL;
    for (size_t i = 0; kept != NULL && i < routes->categories.count; i++) {
        if (!has_category(p, kept[i].id.name)) {
            put_kept(&kept[i], &to);
        }
    }
    return to.st;
}

/* ---------------------------------------------------------------- SVG */

struct axes {
    double cost_max;
    double score_min;
    double score_max;
};

static double across(const struct axes *a, double cost)
{
    return LEFT + (a->cost_max > 0.0 ? cost / a->cost_max : 0.5) * PLOT_WIDTH;
}

static double down(const struct axes *a, double score)
{
    double span = a->score_max - a->score_min;
    return TOP + PLOT_HEIGHT * (1.0 - (span > 0.0 ? (score - a->score_min) / span : 0.5));
}

static double cost_of(const struct placement *p, const struct placement_point *point)
{
    return p->cost.is_known ? point->traits[p->cost.trait] : 0.0;
}

static void widen(struct axes *a, double cost, double score)
{
    a->cost_max = cost > a->cost_max ? cost : a->cost_max;
    a->score_max = score > a->score_max ? score : a->score_max;
    a->score_min = score < a->score_min ? score : a->score_min;
}

static void put_dot(struct put *out, const struct axes *a, const char *class_name,
                    const double at[2], struct str title)
{
    put(out, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"><title>", class_name,
        across(a, at[0]), down(a, at[1]));
    for (size_t i = 0; i < title.len; i++) {
        unsigned char c = (unsigned char)title.ptr[i];
        bool is_plain = c >= ' ' && c < 127 && c != '<' && c != '>' && c != '&';
        put(out, "%c", is_plain ? c : '?');
    }
    put(out, " score %.4f, cost %.4g</title></circle>\n", at[1], at[0]);
}

static void put_grid(struct put *out, const struct axes *a, const char *cost_name)
{
    for (int i = 0; i <= 4; i++) {
        double share = (double)i / 4.0;
        double cost = share * a->cost_max;
        double score = a->score_min + share * (a->score_max - a->score_min);
        put(out,
            "<path class=\"grid\" d=\"M%d %.1fh%d\"/><text class=\"end\" x=\"%d\" y=\"%.1f\">"
            "%.3f</text><text class=\"mid\" x=\"%.1f\" y=\"%d\">%.3g</text>\n",
            LEFT, TOP + PLOT_HEIGHT * (1.0 - share), PLOT_WIDTH, LEFT - 8,
            TOP + PLOT_HEIGHT * (1.0 - share) + 4.0, score, LEFT + share * PLOT_WIDTH,
            TOP + PLOT_HEIGHT + 20, cost);
    }
    put(out,
        "<path class=\"axis\" d=\"M%d %dv%dh%d\"/><text class=\"mid\" x=\"%d\" y=\"%d\">%s</text>\n",
        LEFT, TOP, PLOT_HEIGHT, PLOT_WIDTH, LEFT + PLOT_WIDTH / 2, TOP + PLOT_HEIGHT + 44,
        cost_name);
}

enum status placement_write_svg(const struct placement *p, const struct placement_point *point,
                                const struct placement_frontier *frontier, struct buf *out)
{
    struct put to = {out, ST_OK};
    struct axes a = {cost_of(p, point), point->quality, point->quality};
    struct placement_point single;
    for (size_t e = 0; e < p->experts; e++) {
        (void)placement_single(p, e, &single); /* those over the budgets are drawn too */
        widen(&a, cost_of(p, &single), single.quality);
    }
    for (size_t i = 0; i < frontier->count; i++) {
        widen(&a, cost_of(p, &frontier->items[i]), frontier->items[i].quality);
    }
    put(&to,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
        "height=\"%d\">\n<style>svg{font:12px system-ui,sans-serif;background:#fff}text{fill:#222}"
        ".axis{stroke:#888;fill:none}.grid{stroke:#ddd}.main{stroke:#0b66c3;fill:none;"
        "stroke-width:2}.point{fill:#0b66c3}.single{fill:#999}.chosen{fill:none;stroke:#c2570c;"
        "stroke-width:3}.end{text-anchor:end}.mid{text-anchor:middle}"
        "@media(prefers-color-scheme:dark){svg{background:#14171c}text{fill:#e6e6e6}"
        ".grid{stroke:#333}}</style>\n<text x=\"36\" y=\"30\">Expected score over cost: blue the "
        "frontier, grey single experts, ring the choice</text>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_grid(&to, &a, p->cost.is_known ? trait_names[p->cost.trait].ptr : "no cost is known");
    for (size_t e = 0; e < p->experts; e++) {
        (void)placement_single(p, e, &single); /* as above */
        put_dot(&to, &a, "single", (double[]){cost_of(p, &single), single.quality},
                p->expert[e].name);
    }
    put(&to, "<path class=\"main\" d=\"");
    for (size_t i = 0; i < frontier->count; i++) {
        put(&to, "%c%.1f %.1f", i == 0 ? 'M' : 'L', across(&a, cost_of(p, &frontier->items[i])),
            down(&a, frontier->items[i].quality));
    }
    put(&to, "\"/>\n");
    for (size_t i = 0; i < frontier->count; i++) {
        const struct placement_point *at = &frontier->items[i];
        put_dot(&to, &a, "point", (double[]){cost_of(p, at), at->quality}, STR("mapping:"));
    }
    put_dot(&to, &a, "chosen", (double[]){cost_of(p, point), point->quality}, STR("chosen:"));
    put(&to, "</svg>\n");
    return to.st;
}
