/* Table 1 as text, JSON and picture. The published figures are quoted, not measured here. */
#include <math.h>
#include <stdio.h>

#include "bench/routing/routellm.h"

static const struct {
    const char *key;
    const char *sentence;
} routers[ROUTELLM_ROUTERS] = {
    [ROUTELLM_RANDOM] = {"random", "random order"},
    [ROUTELLM_DOMAINS] = {"domains", "shipped domains -> table of gains"},
    [ROUTELLM_SUBJECTS] = {"subjects", "subject router on the tenth -> table of gains"},
    [ROUTELLM_LEARNER] = {"learner", "shipped learner on who is right"},
    [ROUTELLM_BLEND] = {"blend", "two-step router: all of these, blended"},
    [ROUTELLM_ORACLE] = {"oracle", "oracle (knows who is right)"},
};

struct figure {
    double mean;
    double spread; /* standard deviation over the seeds */
};

enum figure_kind {
    FIGURE_APGR,
    FIGURE_CPT50,
    FIGURE_CPT80,
};

static const char *const figure_names[] = {"apgr", "cpt50", "cpt80"};

static struct figure figure_of(const struct curve *curves, enum figure_kind kind)
{
    struct figure f = {0.0, 0.0};
    double square = 0.0;
    for (size_t i = 0; i < ROUTELLM_SEEDS; i++) {
        double x = kind == FIGURE_APGR    ? curves[i].apgr
                   : kind == FIGURE_CPT50 ? curves[i].cpt50
                                          : curves[i].cpt80;
        f.mean += x / ROUTELLM_SEEDS;
        square += x * x;
    }
    double variance = (square - ROUTELLM_SEEDS * f.mean * f.mean) / (ROUTELLM_SEEDS - 1);
    f.spread = variance > 0.0 ? sqrt(variance) : 0.0;
    return f;
}

void routellm_print(const struct routellm_result *r, bool is_mmlu, FILE *out)
{
    (void)fprintf(out,
                  "%zu questions (%zu contaminated ones dropped); routers fitted on %zu, judged on "
                  "the rest; %d seeds\n"
                  "weak alone %.2f %%, strong alone (best single) %.2f %%: APGR 0 and 1\n\n"
                  "%-48s %-15s %-15s %-15s\n",
                  r->questions, r->dropped, r->fitted, ROUTELLM_SEEDS, 100.0 * r->weak,
                  100.0 * r->strong, "", "APGR", "CPT50 %", "CPT80 %");
    for (size_t i = 0; i < ROUTELLM_ROUTERS; i++) {
        if (i == ROUTELLM_SUBJECTS && !r->has_subjects) {
            continue;
        }
        struct figure a = figure_of(r->curves[i], FIGURE_APGR);
        struct figure b = figure_of(r->curves[i], FIGURE_CPT50);
        struct figure c = figure_of(r->curves[i], FIGURE_CPT80);
        (void)fprintf(out, "%-48s %5.3f +- %5.3f  %5.1f +- %4.1f   %5.1f +- %4.1f\n",
                      routers[i].sentence, a.mean, a.spread, 100.0 * b.mean, 100.0 * b.spread,
                      100.0 * c.mean, 100.0 * c.spread);
    }
    if (is_mmlu) {
        struct figure a = figure_of(r->curves[ROUTELLM_BLEND], FIGURE_APGR);
        struct figure b = figure_of(r->curves[ROUTELLM_BLEND], FIGURE_CPT50);
        struct figure c = figure_of(r->curves[ROUTELLM_BLEND], FIGURE_CPT80);
        static const double published[] = {0.603, 0.354, 0.703};
        static const double before[] = {0.644, 0.300, 0.622};
        (void)fprintf(
            out,
            "quoted: RouteLLM, best of each column           %5.3f           %5.1f       "
            "    %5.1f\n"
            "  ours less theirs                              %+6.3f          %+6.1f       "
            "   %+6.1f\n"
            "quoted: an earlier prototype of this router     %5.3f           %5.1f       "
            "    %5.1f\n"
            "  ours less that                                %+6.3f          %+6.1f       "
            "   %+6.1f\n",
            published[0], 100.0 * published[1], 100.0 * published[2], a.mean - published[0],
            100.0 * (b.mean - published[1]), 100.0 * (c.mean - published[2]), before[0],
            100.0 * before[1], 100.0 * before[2], a.mean - before[0], 100.0 * (b.mean - before[1]),
            100.0 * (c.mean - before[2]));
    }
    (void)fprintf(out, "\n");
}

enum status routellm_write_json(const struct routellm_result *r, struct buf *out)
{
    enum status st =
        buf_printf(out,
                   "{\"questions\": %zu, \"dropped\": %zu, \"fitted\": %zu, "
                   "\"seeds\": %d, \"weak\": %.5f, \"strong\": %.5f",
                   r->questions, r->dropped, r->fitted, ROUTELLM_SEEDS, r->weak, r->strong);
    for (size_t i = 0; st == ST_OK && i < ROUTELLM_ROUTERS; i++) {
        if (i == ROUTELLM_SUBJECTS && !r->has_subjects) {
            continue;
        }
        st = buf_printf(out, ",\n  \"%s\": {", routers[i].key);
        for (size_t k = 0; st == ST_OK && k < 3; k++) {
            struct figure f = figure_of(r->curves[i], (enum figure_kind)k);
            st = buf_printf(out, "%s\"%s\": %.4f, \"%s_sd\": %.4f", k > 0 ? ", " : "",
                            figure_names[k], f.mean, figure_names[k], f.spread);
        }
        st = st == ST_OK ? buf_append(out, STR("}")) : st;
    }
    return st == ST_OK ? buf_append(out, STR("}")) : st;
}

enum { /* of the picture, in its units */
    SIDE = 440,
    LEFT = 60,
    TOP = 30,
    LEGEND = 330,
};

static const double most = 1.5; /* the PGR at the upper edge: the oracle goes over 1 */

static double x_of(size_t point)
{
    return LEFT + SIDE * (double)point / (CURVE_POINTS - 1);
}

static double y_of(double pgr)
{
    double shown = pgr > most ? most : pgr < 0.0 ? 0.0 : pgr;
    return TOP + SIDE * (1.0 - shown / most);
}

static const char *const colours[ROUTELLM_ROUTERS] = {"#888888", "#1f77b4", "#9467bd",
                                                      "#2ca02c", "#d62728", "#111111"};

static enum status write_line(const struct routellm_result *r, size_t router, struct buf *out)
{
    const struct curve *c = &r->curves[router][0];
    enum status st = buf_printf(out,
                                "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" "
                                "points=\"",
                                colours[router], router == ROUTELLM_BLEND ? "3" : "1.5");
    for (size_t i = 0; st == ST_OK && i < CURVE_POINTS; i++) {
        st = buf_printf(out, "%.1f,%.1f ", x_of(i), y_of(c->pgr[i]));
    }
    struct figure a = figure_of(r->curves[router], FIGURE_APGR);
    double y = TOP + 20.0 + 22.0 * (double)router;
    if (st == ST_OK) {
        st = buf_printf(out, "\"/>\n<text x=\"%d\" y=\"%.0f\" fill=\"%s\">%s: %.3f</text>\n",
                        LEFT + SIDE + 20, y, colours[router], routers[router].sentence, a.mean);
    }
    return st;
}

enum status routellm_write_svg(const struct routellm_result *r, struct buf *out)
{
    enum status st = buf_printf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
        "font-family=\"sans-serif\" font-size=\"13\">\n"
        "<title>Performance gap recovered over the share of strong calls</title>\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
        "<text x=\"%d\" y=\"18\">MMLU, Mixtral-8x7B and GPT-4: performance gap recovered (APGR on "
        "the right)</text>\n"
        "<text x=\"%d\" y=\"%d\">share of questions sent to the strong model</text>\n",
        LEFT + SIDE + 20 + LEGEND, TOP + SIDE + 50, LEFT, LEFT + 90, TOP + SIDE + 40);
    for (size_t i = 0; st == ST_OK && i < CURVE_POINTS; i += 2) {
        st = buf_printf(out,
                        "<text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">%zu %%</text>\n"
                        "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#dddddd\"/>\n",
                        x_of(i), TOP + SIDE + 18, i * 10, x_of(i), TOP, x_of(i), TOP + SIDE);
    }
    for (size_t i = 0; st == ST_OK && i <= 6; i++) {
        double level = 0.25 * (double)i;
        st = buf_printf(out,
                        "<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%.2f</text>\n"
                        "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#dddddd\"/>\n",
                        LEFT - 6, y_of(level) + 4.0, level, LEFT, y_of(level), LEFT + SIDE,
                        y_of(level));
    }
    for (size_t i = 0; st == ST_OK && i < ROUTELLM_ROUTERS; i++) {
        st = write_line(r, i, out);
    }
    return st == ST_OK ? buf_append(out, STR("</svg>\n")) : st;
}
