/* How good a classifier is on labelled prompts. Definitions (rows marked "ood" count in auroc_ood
 * only):
 *   n                         rows with a label
 *   accuracy                  the most probable label is the row's label
 *   accuracy_accept           ... or one of those it accepts
 *   macro_f1                  mean F1 over the labels that rows have; strict
 *   ece                       expected calibration error: 15 equal bins of the highest probability
 *                             against accuracy_accept
 *   coverage_at_precision_90  largest share of all n rows that can go to experts (any label but
 *                             `general`), surest first, with 90 % of them accepted
 *   auroc_ood                 chance that a row marked "ood" has the higher classifier_uncertainty
 *                             than one that is not; ties half
 *   us_per_prompt_p50, _p99   nearest rank, of the times that were passed in
 *   mean_confidence           mean of the highest probability: against accuracy_accept it tells
 *                             over-confidence from under-confidence
 *   accuracy_routed           accepted when labels below the threshold become `general`
 *   share_below_threshold     how many rows that concerns
 *   auroc_general             as auroc_ood, for the rows whose label is the general one against the rest
 *   ood_scores                both by each of enum eval_score; auroc_ood is the first of them
 * and what needs no model, to compare with:
 *   majority                  accuracy of always naming the most frequent label
 *   random, random_accept     accuracy to be expected of naming any label, all alike
 *   centroid, _accept, _f1    of the centroid baseline (centroid.h), where its answers were given
 * A row whose label the classifier does not have is always wrong. Pure: measures no time itself. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "router/classifier.h"
#include "router/prompts.h"

enum {
    EVAL_BINS = 15,
    EVAL_CURVE_MAX = 100,
};

/* What may tell that a prompt belongs to no expert; more means out of scope. */
enum eval_score {
    EVAL_UNCERTAINTY, /* classifier_uncertainty */
    EVAL_ENTROPY,     /* of all probabilities */
    EVAL_MAX_P,       /* 1 - the highest probability */
    EVAL_EXPERT_P,    /* 1 - the highest probability of an expert: any label but general */
    EVAL_UNKNOWN,     /* share of features that the weights do not know */
    EVAL_ENERGY,      /* - log sum exp of the logits */
};

enum {
    EVAL_SCORES = EVAL_ENERGY + 1,
};

struct eval;

struct eval_labels { /* texts are borrowed for the life of the evaluations */
    struct str names[CLASSIFIER_LABELS_MAX];
    size_t count;
};

struct eval_bin { /* sums over its rows */
    size_t n;
    double confidence;
    double accepted;
};

struct eval_point { /* of the coverage-precision curve */
    double coverage;
    double precision;
};

struct eval_label_figures {
    size_t n;
    double precision; /* 0 when no row was called so */
    double recall;
    double f1;
};

struct eval_report {
    size_t n;
    size_t n_ood;
    double accuracy;
    double accuracy_accept;
    double macro_f1;
    double ece;
    double coverage_at_precision_90;
    double auroc_ood; /* NaN: no row marked "ood", or no other */
    double us_per_prompt_p50;
    double us_per_prompt_p99;
    double mean_confidence;
    double accuracy_routed;
    double share_below_threshold;
    double majority;
    double random;
    double random_accept;
    double centroid; /* NaN: no row has an answer */
    double centroid_accept;
    double centroid_f1;
    double auroc_general; /* NaN: no row of that label, or no other */
    double ood_scores[EVAL_SCORES];
    double general_scores[EVAL_SCORES];
    struct eval_bin bins[EVAL_BINS];
};

/* As the JSON calls the score. */
const char *eval_score_name(enum eval_score score);

void eval_labels_of(const struct classifier *c, struct eval_labels *ret_labels);

/* general: the label that means no expert; need not be among `labels`, which are copied (not their
 * texts). NULL: no memory. */
struct eval *eval_create(const struct eval_labels *labels, double threshold, struct str general);
void eval_destroy(struct eval *e); /* NULL allowed */

/* Adds what the classifier said about a prompt and how long that took. ST_NO_MEMORY. */
MUST_CHECK enum status eval_add(struct eval *e, const struct prompts_row *prompt,
                                const struct classifier_result *result, double us);

/* What the centroid baseline said about the row added last. There must be one. */
void eval_add_centroid(struct eval *e, size_t answer);

/* Adds all that another evaluation with the same labels has seen. ST_NO_MEMORY. */
MUST_CHECK enum status eval_merge(struct eval *e, const struct eval *other);

/* All figures; those without rows are 0. Sorts inside, hence not const. ST_NO_MEMORY. */
MUST_CHECK enum status eval_finish(struct eval *e, struct eval_report *ret_report);

const struct eval_labels *eval_labels(const struct eval *e);
size_t eval_rows(const struct eval *e); /* with and without label */

/* Rows of `truth` that were called `answer`. */
size_t eval_confusion(const struct eval *e, size_t truth, size_t answer);

/* Of one label; strict. */
struct eval_label_figures eval_label_figures(const struct eval *e, size_t label);

/* Precision of what is sent to experts over the share that is sent, as the demanded confidence
 * falls; at most one point for each EVAL_CURVE_MAX-th part of the rows, and the last. Sorts inside.
 * Returns how many points there are. */
size_t eval_curve(struct eval *e, struct eval_point ret_points[EVAL_CURVE_MAX + 1]);
