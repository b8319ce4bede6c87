/* See eval_write.h. Text and JSON; the picture is in eval_svg.c. */
#include "router/eval_write.h"

#include <math.h>

#include "router/eval_put.h"

static void put_figures(struct put *p, const struct eval_report *r)
{
    const struct {
        const char *key;
        double value;
    } figures[] = {
        {"accuracy", r->accuracy},
        {"accuracy_accept", r->accuracy_accept},
        {"macro_f1", r->macro_f1},
        {"ece", r->ece},
        {"coverage_at_precision_90", r->coverage_at_precision_90},
        {"auroc_ood", r->auroc_ood},
        {"us_per_prompt_p50", r->us_per_prompt_p50},
        {"us_per_prompt_p99", r->us_per_prompt_p99},
        {"mean_confidence", r->mean_confidence},
        {"accuracy_routed", r->accuracy_routed},
        {"share_below_threshold", r->share_below_threshold},
        {"auroc_general", r->auroc_general},
        {"majority", r->majority},
        {"random", r->random},
        {"random_accept", r->random_accept},
        {"centroid", r->centroid},
        {"centroid_accept", r->centroid_accept},
        {"centroid_f1", r->centroid_f1},
    };

    put(p, ",\"n\":%zu,\"n_ood\":%zu", r->n, r->n_ood);
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        put(p, ",\"%s\":", figures[i].key);
        put_real(p, figures[i].value);
    }
}

static void put_scores(struct put *p, const char *key, const double *scores)
{
    put(p, ",\"%s\":{", key);
    for (unsigned i = 0; i < EVAL_SCORES; i++) {
        put(p, "%s\"%s\":", i > 0 ? "," : "", eval_score_name((enum eval_score)i));
        put_real(p, scores[i]);
    }
    put(p, "}");
}

static void put_bins(struct put *p, const struct eval_report *r)
{
    put(p, ",\"reliability\":[");
    for (int i = 0; i < EVAL_BINS; i++) {
        const struct eval_bin *bin = &r->bins[i];
        double n = bin->n > 0 ? (double)bin->n : (double)NAN;
        put(p, "%s{\"n\":%zu,\"confidence\":", i > 0 ? "," : "", bin->n);
        put_real(p, bin->confidence / n);
        put(p, ",\"accepted\":");
        put_real(p, bin->accepted / n);
        put(p, "}");
    }
    put(p, "]");
}

static void put_curve(struct put *p, struct eval *e)
{
    struct eval_point points[EVAL_CURVE_MAX + 1];
    size_t count = eval_curve(e, points);
    put(p, ",\"curve\":[");
    for (size_t i = 0; i < count; i++) {
        put(p, "%s[%.4f,%.4f]", i > 0 ? "," : "", points[i].coverage, points[i].precision);
    }
    put(p, "]");
}

static void put_labels(struct put *p, const struct eval *e)
{
    const struct eval_labels *labels = eval_labels(e);
    put(p, ",\"per_label\":[");
    for (size_t i = 0; i < labels->count; i++) {
        struct eval_label_figures f = eval_label_figures(e, i);
        put(p, "%s{\"label\":", i > 0 ? "," : "");
        put_text(p, labels->names[i]);
        put(p, ",\"n\":%zu,\"precision\":%.4f,\"recall\":%.4f,\"f1\":%.4f}", f.n, f.precision,
            f.recall, f.f1);
    }
    put(p, "],\"labels\":[");
    for (size_t i = 0; i < labels->count; i++) {
        put(p, i > 0 ? "," : "");
        put_text(p, labels->names[i]);
    }
    put(p, "],\"confusion\":[");
    for (size_t i = 0; i < labels->count; i++) {
        put(p, i > 0 ? ",[" : "[");
        for (size_t j = 0; j < labels->count; j++) {
            put(p, j > 0 ? ",%zu" : "%zu", eval_confusion(e, i, j));
        }
        put(p, "]");
    }
    put(p, "]");
}

enum status eval_write_figures(const struct eval_report *report, struct str name, struct buf *out)
{
    struct put p = {out, ST_OK};
    put(&p, "{\"file\":");
    put_text(&p, name);
    put_figures(&p, report);
    return p.st;
}

enum status eval_write_json(struct eval *e, const struct eval_report *report, struct str name,
                            struct buf *out)
{
    struct put p = {out, eval_write_figures(report, name, out)};
    put_scores(&p, "ood_scores", report->ood_scores);
    put_scores(&p, "general_scores", report->general_scores);
    put_bins(&p, report);
    put_curve(&p, e);
    put_labels(&p, e);
    put(&p, "}");
    return p.st;
}

enum status eval_write_table_json(struct eval_table *table, struct buf *out)
{
    struct put p = {out, ST_OK};
    eval_table_sort(table);
    put(&p, "[");
    for (size_t i = 0; p.st == ST_OK && i < eval_table_count(table); i++) {
        struct eval_report report;
        p.st = eval_finish(eval_table_at(table, i), &report);
        put(&p, "%s{\"name\":", i > 0 ? "," : "");
        put_text(&p, eval_table_name(table, i));
        put_figures(&p, &report);
        put(&p, "}");
    }
    put(&p, "]");
    return p.st;
}

/* ".123", or "-" where there is no figure. */
static void put_share(struct put *p, const char *before, double value)
{
    if (isnan(value)) {
        put(p, "%s-", before);
    } else {
        put(p, "%s%.4f", before, value);
    }
}

enum status eval_write_text(const struct eval_report *r, struct str name, struct buf *out)
{
    struct put p = {out, ST_OK};
    put(&p, "%.*s\n", STR_ARG(name));
    put(&p, "  n %zu   ood rows %zu\n", r->n, r->n_ood);
    put(&p, "  accuracy %.4f   accuracy_accept %.4f   macro_f1 %.4f   ece %.4f\n", r->accuracy,
        r->accuracy_accept, r->macro_f1, r->ece);
    put_share(&p, "  baselines: majority ", r->majority);
    put_share(&p, "   random ", r->random);
    put_share(&p, "   random_accept ", r->random_accept);
    put_share(&p, "   centroid ", r->centroid);
    put_share(&p, "   centroid_accept ", r->centroid_accept);
    put_share(&p, "   centroid_f1 ", r->centroid_f1);
    put_share(&p, "\n  coverage_at_precision_90 ", r->coverage_at_precision_90);
    put_share(&p, "   auroc_ood ", r->auroc_ood);
    put_share(&p, "   auroc_general ", r->auroc_general);
    put(&p, "\n  mean_confidence %.4f   below the threshold %.4f   accuracy_routed %.4f\n",
        r->mean_confidence, r->share_below_threshold, r->accuracy_routed);
    put(&p, "  us_per_prompt_p50 %.1f   us_per_prompt_p99 %.1f\n", r->us_per_prompt_p50,
        r->us_per_prompt_p99);
    return p.st;
}

enum status eval_write_table_text(struct eval_table *table, struct str heading, struct buf *out)
{
    struct put p = {out, ST_OK};
    eval_table_sort(table);
    put(&p, "\n%-44.*s %6s %8s %8s %8s %8s %8s %8s %8s\n", STR_ARG(heading), "n", "accuracy",
        "accept", "macro_f1", "ece", "cover90", "majority", "centroid");
    for (size_t i = 0; p.st == ST_OK && i < eval_table_count(table); i++) {
        struct eval_report r;
        struct str name = str_slice(eval_table_name(table, i), 0, 44);
        p.st = eval_finish(eval_table_at(table, i), &r);
        put(&p, "%-44.*s %6zu %8.4f %8.4f %8.4f %8.4f %8.4f %8.4f", STR_ARG(name), r.n, r.accuracy,
            r.accuracy_accept, r.macro_f1, r.ece, r.coverage_at_precision_90, r.majority);
        if (isnan(r.centroid_accept)) {
            put(&p, " %8s\n", "-");
        } else {
            put(&p, " %8.4f\n", r.centroid_accept);
        }
    }
    return p.st;
}

static void put_score_table(struct put *p, const struct eval_report *r)
{
    put(p, "\n%-20s %10s %14s\n", "out of scope, AUROC", "ood rows", "label general");
    for (unsigned i = 0; i < EVAL_SCORES; i++) {
        put(p, "%-20s ", eval_score_name((enum eval_score)i));
        put_share(p, "     ", r->ood_scores[i]);
        put_share(p, "         ", r->general_scores[i]);
        put(p, "\n");
    }
}

static void put_bin_table(struct put *p, const struct eval_report *r)
{
    put(p, "\n%-14s %6s %10s %9s\n", "reliability", "n", "confidence", "accepted");
    for (int i = 0; i < EVAL_BINS; i++) {
        const struct eval_bin *bin = &r->bins[i];
        if (bin->n > 0) {
            put(p, "%.3f..%.3f   %6zu %10.4f %9.4f\n", (double)i / EVAL_BINS,
                (double)(i + 1) / EVAL_BINS, bin->n, bin->confidence / (double)bin->n,
                bin->accepted / (double)bin->n);
        }
    }
}

static void put_curve_table(struct put *p, struct eval *e)
{
    enum {
        STEPS = 20 /* lines */
    };

    struct eval_point points[EVAL_CURVE_MAX + 1];
    size_t count = eval_curve(e, points);
    double next = 0.0;
    put(p, "\n%-9s %9s\n", "coverage", "precision");
    for (size_t i = 0; i < count; i++) {
        if (points[i].coverage >= next || i + 1 == count) {
            put(p, "%-9.4f %9.4f\n", points[i].coverage, points[i].precision);
            next = points[i].coverage + 1.0 / STEPS;
        }
    }
}

static void put_label_table(struct put *p, const struct eval *e)
{
    const struct eval_labels *labels = eval_labels(e);
    put(p, "\n%-18s %6s %9s %7s %7s\n", "label", "n", "precision", "recall", "f1");
    for (size_t i = 0; i < labels->count; i++) {
        struct eval_label_figures f = eval_label_figures(e, i);
        put(p, "%-18.*s %6zu %9.4f %7.4f %7.4f\n", STR_ARG(labels->names[i]), f.n, f.precision,
            f.recall, f.f1);
    }
    put(p, "\n%-18s", "row: truth");
    for (size_t i = 0; i < labels->count; i++) {
        struct str label = str_slice(labels->names[i], 0, 6);
        put(p, " %6.*s", STR_ARG(label));
    }
    for (size_t i = 0; i < labels->count; i++) {
        put(p, "\n%-18.*s", STR_ARG(labels->names[i]));
        for (size_t j = 0; j < labels->count; j++) {
            put(p, " %6zu", eval_confusion(e, i, j));
        }
    }
    put(p, "\n");
}

enum status eval_write_details(struct eval *e, const struct eval_report *report, struct buf *out)
{
    struct put p = {out, ST_OK};
    put_score_table(&p, report);
    put_bin_table(&p, report);
    put_curve_table(&p, e);
    put_label_table(&p, e);
    return p.st;
}
