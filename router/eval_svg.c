/* See eval_write.h. Four panels in one SVG of 960 x 815: no script, no font file, no link. Colours are
 * classes of one style sheet that knows both grounds. */
#include "router/eval_put.h"
#include "router/eval_write.h"

enum {
    WIDTH = 960,
    HEIGHT = 815,
    SIDE = 300, /* of the square panels */
};

struct panel { /* where its plot begins, in pixels */
    int x;
    int y;
};

static const struct panel reliability = {80, 80};
static const struct panel curve = {560, 80};
static const struct panel bars = {150, 490};
static const struct panel matrix = {630, 490};

static const char style[] =
    "<style>svg{font:12px system-ui,sans-serif;background:#fff}"
    "text{fill:#222}.axis{stroke:#888;fill:none}.grid{stroke:#ddd}.main{stroke:#0b66c3;fill:none;"
    "stroke-width:2}.bar{fill:#0b66c3}.second{fill:#c2570c}.ideal{stroke:#888;stroke-dasharray:4 4}"
    ".cell{fill:#0b66c3}.head{font-size:14px;font-weight:600}.end{text-anchor:end}"
    ".mid{text-anchor:middle}"
    "@media(prefers-color-scheme:dark){svg{background:#14171c}text{fill:#e6e6e6}.grid{stroke:#333}"
    ".main{stroke:#62a8ff}.bar,.cell{fill:#62a8ff}.second{fill:#ffa657}}</style>\n";

/* Text from outside, with what XML minds replaced. */
static void put_xml(struct put *p, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '<' || c == '>' || c == '&' || c == '"') {
            put(p, "&#%u;", c);
        } else if (c >= ' ' && c < 127) {
            put(p, "%c", c);
        } else {
            put(p, "?");
        }
    }
}

static double across(struct panel at, double share)
{
    return (double)at.x + share * SIDE;
}

static double down(struct panel at, double share) /* 0 is at the bottom */
{
    return (double)at.y + (1.0 - share) * SIDE;
}

static void put_axes(struct put *p, struct panel at, const char *title, const char *across_name,
                     const char *down_name)
{
    put(p, "<text class=\"head\" x=\"%d\" y=\"%d\">%s</text>\n", at.x, at.y - 14, title);
    for (int i = 0; i <= 4; i++) {
        double share = (double)i / 4.0;
        put(p,
            "<path class=\"grid\" d=\"M%d %.1fH%dM%.1f %dV%d\"/><text class=\"end\" x=\"%d\" "
            "y=\"%.1f\">%.2f</text><text class=\"mid\" x=\"%.1f\" y=\"%d\">%.2f</text>\n",
            at.x, down(at, share), at.x + SIDE, across(at, share), at.y, at.y + SIDE, at.x - 6,
            down(at, share) + 4.0, share, across(at, share), at.y + SIDE + 16, share);
    }
    put(p, "<path class=\"axis\" d=\"M%d %dv%dh%d\"/>\n", at.x, at.y, SIDE, SIDE);
    put(p, "<text class=\"mid\" x=\"%d\" y=\"%d\">%s</text>\n", at.x + SIDE / 2, at.y + SIDE + 34,
        across_name);
    put(p, "<text class=\"mid\" transform=\"translate(%d %d) rotate(-90)\">%s</text>\n", at.x - 44,
        at.y + SIDE / 2, down_name);
}

static void put_reliability(struct put *p, const struct eval_report *r)
{
    put_axes(p, reliability, "Reliability", "confidence", "accepted");
    put(p, "<path class=\"ideal\" d=\"M%d %dL%d %d\"/>\n", reliability.x, reliability.y + SIDE,
        reliability.x + SIDE, reliability.y);
    double n = r->n > 0 ? (double)r->n : 1.0;
    for (int i = 0; i < EVAL_BINS; i++) {
        const struct eval_bin *bin = &r->bins[i];
        if (bin->n == 0) {
            continue;
        }
        double accepted = bin->accepted / (double)bin->n;
        double share = (double)bin->n / n;
        put(p,
            "<rect class=\"bar\" opacity=\".25\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
            "height=\"%.1f\"><title>%zu rows</title></rect>"
            "<circle class=\"bar\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>confidence %.3f, "
            "accepted %.3f, %zu rows</title></circle>\n",
            across(reliability, (double)i / EVAL_BINS) + 1.0, down(reliability, share),
            (double)SIDE / EVAL_BINS - 2.0, share * SIDE, bin->n,
            across(reliability, bin->confidence / (double)bin->n), down(reliability, accepted),
            bin->confidence / (double)bin->n, accepted, bin->n);
    }
}

static void put_coverage(struct put *p, struct eval *e)
{
    struct eval_point points[EVAL_CURVE_MAX + 1];
    size_t count = eval_curve(e, points);
    put_axes(p, curve, "Precision of what goes to experts", "coverage", "precision");
    put(p, "<path class=\"ideal\" d=\"M%d %.1fh%d\"/>\n", curve.x, down(curve, 0.9), SIDE);
    put(p, "<path class=\"main\" d=\"");
    for (size_t i = 0; i < count; i++) {
        put(p, "%c%.1f %.1f", i == 0 ? 'M' : 'L', across(curve, points[i].coverage),
            down(curve, points[i].precision));
    }
    put(p, "\"/>\n");
}

static void put_bars(struct put *p, const struct eval *e)
{
    const struct eval_labels *labels = eval_labels(e);
    double step = (double)SIDE / (double)labels->count;
    put(p,
        "<text class=\"head\" x=\"%d\" y=\"%d\">Precision and recall by label</text>"
        "<rect class=\"bar\" x=\"%d\" y=\"%d\" width=\"10\" height=\"10\"/><text x=\"%d\" "
        "y=\"%d\">precision</text><rect class=\"second\" x=\"%d\" y=\"%d\" width=\"10\" "
        "height=\"10\"/><text x=\"%d\" y=\"%d\">recall</text>\n",
        bars.x, bars.y - 34, bars.x, bars.y - 20, bars.x + 16, bars.y - 11, bars.x + 90,
        bars.y - 20, bars.x + 106, bars.y - 11);
    for (size_t i = 0; i < labels->count; i++) {
        struct eval_label_figures f = eval_label_figures(e, i);
        double y = (double)bars.y + step * (double)i;
        put(p, "<text class=\"end\" x=\"%d\" y=\"%.1f\">", bars.x - 6, y + step / 2.0 + 4.0);
        put_xml(p, labels->names[i]);
        put(p,
            "</text><rect class=\"bar\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>"
            "<rect class=\"second\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>"
            "<text x=\"%d\" y=\"%.1f\">%.2f / %.2f</text>\n",
            bars.x, y + step * 0.1, f.precision * SIDE * 0.75, step * 0.36, bars.x, y + step * 0.5,
            f.recall * SIDE * 0.75, step * 0.36, bars.x + SIDE * 3 / 4 + 8, y + step / 2.0 + 4.0,
            f.precision, f.recall);
    }
}

/* A cell is as strong as its share of the row. */
static void put_matrix(struct put *p, const struct eval *e)
{
    const struct eval_labels *labels = eval_labels(e);
    double step = (double)SIDE / (double)labels->count;
    put(p,
        "<text class=\"head\" x=\"%d\" y=\"%d\">Confusion (row: truth, column: answer)</text>\n"
        "<rect class=\"axis\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
        matrix.x, matrix.y - 34, matrix.x, matrix.y, SIDE, SIDE);
    for (size_t i = 0; i < labels->count; i++) {
        double n = (double)eval_label_figures(e, i).n;
        double y = (double)matrix.y + step * (double)i;
        put(p, "<text class=\"end\" x=\"%d\" y=\"%.1f\">", matrix.x - 6, y + step / 2.0 + 4.0);
        put_xml(p, labels->names[i]);
        put(p, "</text><text class=\"mid\" x=\"%.1f\" y=\"%d\">",
            (double)matrix.x + step * ((double)i + 0.5), matrix.y - 6);
        put_xml(p, str_slice(labels->names[i], 0, 2));
        put(p, "</text>\n");
        for (size_t j = 0; j < labels->count; j++) {
            size_t rows = eval_confusion(e, i, j);
            if (rows > 0) {
                put(p,
                    "<rect class=\"cell\" opacity=\"%.2f\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                    "height=\"%.1f\"><title>%zu</title></rect>\n",
                    0.08 + 0.92 * (double)rows / n, (double)matrix.x + step * (double)j, y, step,
                    step, rows);
            }
        }
    }
}

enum status eval_write_svg(struct eval *e, const struct eval_report *report, struct str name,
                           struct buf *out)
{
    struct put p = {out, ST_OK};
    put(&p,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
        "height=\"%d\">\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT);
    put(&p, "%s<text class=\"head\" x=\"36\" y=\"28\">", style);
    put_xml(&p, name);
    put(&p,
        "</text><text x=\"36\" y=\"46\">%zu rows, accuracy %.3f, accepted %.3f, macro F1 %.3f, ECE "
        "%.3f, coverage at .90 precision %.3f</text>\n",
        report->n, report->accuracy, report->accuracy_accept, report->macro_f1, report->ece,
        report->coverage_at_precision_90);
    put_reliability(&p, report);
    put_coverage(&p, e);
    put_bars(&p, e);
    put_matrix(&p, e);
    put(&p, "</svg>\n");
    return p.st;
}
