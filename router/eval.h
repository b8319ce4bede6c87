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
 *   majority                  accuracy of always naming the most frequent label
 * A row whose label the classifier does not have is always wrong. Pure: measures no time itself. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "router/classifier.h"
#include "router/prompts.h"

struct eval;

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
};

/* general: the label that means no expert; need not be among the classifier's. The classifier is
 * borrowed until eval_destroy. NULL: no memory. */
struct eval *eval_create(const struct classifier *c, double threshold, struct str general);
void eval_destroy(struct eval *e); /* NULL allowed */

/* Adds what the classifier said about a prompt and how long that took. ST_NO_MEMORY. */
MUST_CHECK enum status eval_add(struct eval *e, const struct prompts_row *prompt,
                                const struct classifier_result *result, double us);

/* Adds all that another evaluation of the same classifier has seen. ST_NO_MEMORY. */
MUST_CHECK enum status eval_merge(struct eval *e, const struct eval *other);

/* All figures; those without rows are 0. Sorts inside, hence not const. */
void eval_finish(struct eval *e, struct eval_report *ret_report);

/* Rows of `truth` that were called `answer`. */
size_t eval_confusion(const struct eval *e, size_t truth, size_t answer);

/* Appends a JSON object with the keys above, after "file": name, and the confusion matrix.
 * ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status eval_write_json(const struct eval *e, const struct eval_report *report,
                                       struct str name, struct buf *out);
