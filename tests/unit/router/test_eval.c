/* The figures of an evaluation against values computed by hand. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "router/eval.h"
#include "tests/support/test.h"

enum {
    LABELS = 3, /* l00, l01 and l02, which stands for "general" */
};

static const struct eval_labels labels = {{STR_INIT("l00"), STR_INIT("l01"), STR_INIT("l02")},
                                          LABELS};

struct fixture {
    struct eval *eval;
};

static int prepare(void **state)
{
    struct fixture *x = mem_zalloc(1, sizeof *x);
    x->eval = eval_create(&labels, 0.5, STR("l02"));
    *state = x;
    return x->eval == NULL;
}

static int clean(void **state)
{
    struct fixture *x = *state;
    eval_destroy(x->eval);
    mem_free(x);
    return 0;
}

struct row {
    const char *label;  /* NULL: a row marked "ood" */
    const char *accept; /* NULL: none */
    float p[LABELS];
    double us;
};

static void add(struct eval *e, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct prompts_row prompt = {
            .text = STR("x"), .label = str_from(rows[i].label), .is_ood = rows[i].label == NULL};
        if (rows[i].accept != NULL) {
            prompt.accept[prompt.accept_count++] = str_from(rows[i].accept);
        }
        struct classifier_result r = {.count = LABELS};
        memcpy(r.p, rows[i].p, sizeof rows[i].p);
        for (size_t k = 1; k < LABELS; k++) {
            r.best = r.p[k] > r.p[r.best] ? k : r.best;
        }
        assert_int_equal(eval_add(e, &prompt, &r, rows[i].us), ST_OK);
    }
}

static void assert_near(double got, double want)
{
    if (!(fabs(got - want) < 1e-6)) {
        fail_msg("got %.9g, want %.9g", got, want);
    }
}

/* Four rows: right; wrong but accepted; wrong; right. */
static const struct row four[] = {
    {"l00", NULL, {0.90F, 0.05F, 0.05F}, 10.0},
    {"l00", "l01", {0.30F, 0.60F, 0.10F}, 20.0},
    {"l01", NULL, {0.80F, 0.10F, 0.10F}, 30.0},
    {"l02", NULL, {0.30F, 0.30F, 0.40F}, 40.0},
};

static struct eval_report report_of(struct fixture *x, const struct row *rows, size_t count)
{
    struct eval_report r;
    add(x->eval, rows, count);
    assert_int_equal(eval_finish(x->eval, &r), ST_OK);
    return r;
}

static void accuracies_count_labels_and_accepted_labels(void **state)
{
    struct eval_report r = report_of(*state, four, 4);

    assert_int_equal(r.n, 4);
    assert_int_equal(r.n_ood, 0);
    assert_near(r.accuracy, 0.5);
    assert_near(r.accuracy_accept, 0.75);
    assert_near(r.majority, 0.5);
    assert_near(r.mean_confidence, (0.9 + 0.6 + 0.8 + 0.4) / 4.0);
}

/* l00: 1 of 2 answers, 1 of 2 rows: F1 1/2. l01: 0. l02: 1. */
static void macro_f1_is_the_mean_over_labels(void **state)
{
    struct eval_report r = report_of(*state, four, 4);

    assert_near(r.macro_f1, (0.5 + 0.0 + 1.0) / 3.0);
}

/* Every row has a bin of its own: the mean of |confidence - accepted|. */
static void calibration_error_is_the_gap_per_bin(void **state)
{
    struct eval_report r = report_of(*state, four, 4);

    assert_near(r.ece, (0.1 + 0.4 + 0.8 + 0.6) / 4.0);
}

/* In one bin errors of both directions cancel: confidences .71 and .72, one of two right. */
static void calibration_error_is_taken_per_bin_not_per_row(void **state)
{
    static const struct row rows[] = {
        {"l00", NULL, {0.71F, 0.20F, 0.09F}, 1.0},
        {"l01", NULL, {0.72F, 0.20F, 0.08F}, 1.0},
    };

    struct eval_report r = report_of(*state, rows, 2);

    assert_near(r.ece, 0.715 - 0.5);
}

/* Surest first: .9 right, .8 wrong, .6 accepted; the fourth is general and never sent. */
static void coverage_stops_where_precision_falls(void **state)
{
    struct eval_report r = report_of(*state, four, 4);

    assert_near(r.coverage_at_precision_90, 0.25);
}

static void coverage_takes_ties_whole(void **state)
{
    static const struct row rows[] = {
        {"l00", NULL, {0.9F, 0.05F, 0.05F}, 1.0},
        {"l01", NULL, {0.9F, 0.05F, 0.05F}, 1.0},
    };

    struct eval_report r = report_of(*state, rows, 2);

    assert_near(r.coverage_at_precision_90, 0.0);
}

/* Threshold 0.5: the fourth row falls to general, which is right; the others stay. */
static void rows_below_the_threshold_become_general(void **state)
{
    static const struct row rows[] = {
        {"l02", NULL, {0.45F, 0.30F, 0.25F}, 1.0},
        {"l00", NULL, {0.45F, 0.30F, 0.25F}, 1.0},
        {"l00", NULL, {0.60F, 0.30F, 0.10F}, 1.0},
    };

    struct eval_report r = report_of(*state, rows, 3);

    assert_near(r.share_below_threshold, 2.0 / 3.0);
    assert_near(r.accuracy, 2.0 / 3.0);
    assert_near(r.accuracy_routed, 2.0 / 3.0);
}

/* Uncertainty by rank: of 2 x 2 pairs the ood rows win 1, lose 1, win 1, win 1. */
static void ood_rows_are_ranked_by_uncertainty(void **state)
{
    static const struct row rows[] = {
        {"l00", NULL, {0.98F, 0.01F, 0.01F}, 1.0},
        {"l00", NULL, {0.70F, 0.20F, 0.10F}, 1.0},
        {NULL, NULL, {0.90F, 0.05F, 0.05F}, 1.0},
        {NULL, NULL, {0.10F, 0.10F, 0.80F}, 1.0},
    };

    struct eval_report r = report_of(*state, rows, 4);

    assert_int_equal(r.n, 2);
    assert_int_equal(r.n_ood, 2);
    assert_near(r.auroc_ood, 0.75);
    assert_near(r.accuracy, 1.0);
}

static void ties_in_uncertainty_count_half(void **state)
{
    static const struct row rows[] = {
        {"l00", NULL, {0.9F, 0.05F, 0.05F}, 1.0},
        {NULL, NULL, {0.9F, 0.05F, 0.05F}, 1.0},
    };

    assert_near(report_of(*state, rows, 2).auroc_ood, 0.5);
}

static void without_ood_rows_there_is_no_auroc(void **state)
{
    assert_true(isnan(report_of(*state, four, 4).auroc_ood));
}

static void times_are_nearest_rank_percentiles(void **state)
{
    struct eval_report r = report_of(*state, four, 4);

    assert_near(r.us_per_prompt_p50, 20.0);
    assert_near(r.us_per_prompt_p99, 40.0);
}

/* Labels: l00 twice, l01, l02; accepted: 1 + 2 + 1 + 1 of 4 rows times 3 labels. */
static void a_random_answer_is_expected_to_be_right_once_in_three(void **state)
{
    struct eval_report r = report_of(*state, four, 4);

    assert_near(r.random, 1.0 / 3.0);
    assert_near(r.random_accept, 5.0 / 12.0);
}

/* Always "l01": wrong, accepted, right, wrong. F1: l01 2 * 1 / (4 + 1), the others 0. */
static void the_centroid_is_judged_on_the_same_rows(void **state)
{
    struct fixture *x = *state;
    for (size_t i = 0; i < 4; i++) {
        add(x->eval, four + i, 1);
        eval_add_centroid(x->eval, 1);
    }

    struct eval_report r = report_of(x, four, 0);

    assert_near(r.centroid, 0.25);
    assert_near(r.centroid_accept, 0.5);
    assert_near(r.centroid_f1, 0.4 / 3.0);
}

static void without_answers_there_is_no_centroid(void **state)
{
    assert_true(isnan(report_of(*state, four, 4).centroid_accept));
}

/* General rows: the fourth. Its highest expert probability (.3) is below those of the others. By the
 * highest probability of all (.4) too; as to known features all are alike. */
static void general_rows_are_ranked_by_every_score(void **state)
{
    struct eval_report r = report_of(*state, four, 4);

    assert_near(r.general_scores[EVAL_EXPERT_P], 1.0);
    assert_near(r.general_scores[EVAL_MAX_P], 1.0);
    assert_near(r.general_scores[EVAL_UNKNOWN], 0.5);
    assert_near(r.auroc_general, r.general_scores[EVAL_UNCERTAINTY]);
}

/* Scores of the ood row against the other: log sum exp of {0, 0, 0} is log 3 = 1.10, of {1, 1, 0} it
 * is log(2e + 1) = 1.86; unknown .8 against .1; entropy .9 against .2. */
static void scores_come_from_logits_known_share_and_entropy(void **state)
{
    struct fixture *x = *state;
    struct prompts_row ood = {.text = STR("x"), .is_ood = true};
    struct prompts_row known = {.text = STR("x"), .label = STR("l00")};
    struct classifier_result clueless = {
        .count = LABELS, .p = {0.5F, 0.3F, 0.2F}, .entropy = 0.9F, .known = 0.2F};
    struct classifier_result sure = {.count = LABELS,
                                     .p = {0.5F, 0.3F, 0.2F},
                                     .logit = {1.0F, 1.0F, 0.0F},
                                     .entropy = 0.2F,
                                     .known = 0.9F};
    assert_int_equal(eval_add(x->eval, &ood, &clueless, 1.0), ST_OK);
    assert_int_equal(eval_add(x->eval, &known, &sure, 1.0), ST_OK);

    struct eval_report r = report_of(x, four, 0);

    assert_near(r.ood_scores[EVAL_ENERGY], 1.0);
    assert_near(r.ood_scores[EVAL_UNKNOWN], 1.0);
    assert_near(r.ood_scores[EVAL_ENTROPY], 1.0);
    assert_near(r.ood_scores[EVAL_MAX_P], 0.5);
}

/* .9 falls into the bin from 13/15, .8 into that from 12/15 (.8 as a float is just above). */
static void bins_hold_sums_of_confidence_and_acceptance(void **state)
{
    struct eval_report r = report_of(*state, four, 4);

    assert_int_equal(r.bins[13].n, 1);
    assert_near(r.bins[13].confidence, 0.9);
    assert_near(r.bins[13].accepted, 1.0);
    assert_int_equal(r.bins[12].n, 1);
    assert_near(r.bins[12].accepted, 0.0);
    assert_int_equal(r.bins[0].n, 0);
}

/* Surest first: .9 right, .8 wrong, .6 accepted; general is never sent. */
static void the_curve_follows_falling_confidence(void **state)
{
    struct fixture *x = *state;
    struct eval_point points[EVAL_CURVE_MAX + 1];
    add(x->eval, four, 4);

    assert_int_equal(eval_curve(x->eval, points), 3);

    assert_near(points[0].coverage, 0.25);
    assert_near(points[0].precision, 1.0);
    assert_near(points[1].precision, 0.5);
    assert_near(points[2].coverage, 0.75);
    assert_near(points[2].precision, 2.0 / 3.0);
}

/* l00: 2 rows, called twice, once rightly. l01: called once, for l00; its own row is missed. */
static void label_figures_come_from_the_confusion(void **state)
{
    struct fixture *x = *state;
    add(x->eval, four, 4);

    struct eval_label_figures first = eval_label_figures(x->eval, 0);
    struct eval_label_figures second = eval_label_figures(x->eval, 1);

    assert_int_equal(first.n, 2);
    assert_near(first.precision, 0.5);
    assert_near(first.recall, 0.5);
    assert_near(first.f1, 0.5);
    assert_int_equal(second.n, 1);
    assert_near(second.precision + second.recall + second.f1, 0.0);
}

static void a_label_the_classifier_lacks_is_wrong(void **state)
{
    static const struct row rows[] = {{"astrology", NULL, {0.9F, 0.05F, 0.05F}, 1.0}};

    struct eval_report r = report_of(*state, rows, 1);

    assert_int_equal(r.n, 1);
    assert_near(r.accuracy_accept, 0.0);
}

static void no_rows_give_zeros(void **state)
{
    struct eval_report r = report_of(*state, four, 0);

    assert_int_equal(r.n, 0);
    assert_near(r.accuracy + r.ece + r.macro_f1 + r.coverage_at_precision_90, 0.0);
}

static void merging_is_like_adding(void **state)
{
    struct fixture *x = *state;
    struct eval *other = eval_create(&labels, 0.5, STR("l02"));
    add(x->eval, four, 2);
    add(other, four + 2, 2);
    assert_int_equal(eval_merge(x->eval, other), ST_OK);
    eval_destroy(other);

    struct eval_report r = report_of(x, four, 0);

    assert_int_equal(r.n, 4);
    assert_near(r.macro_f1, 0.5);
    assert_int_equal(eval_confusion(x->eval, 1, 0), 1);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, prepare, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(accuracies_count_labels_and_accepted_labels),
        WITH_FIXTURE(macro_f1_is_the_mean_over_labels),
        WITH_FIXTURE(calibration_error_is_the_gap_per_bin),
        WITH_FIXTURE(calibration_error_is_taken_per_bin_not_per_row),
        WITH_FIXTURE(coverage_stops_where_precision_falls),
        WITH_FIXTURE(coverage_takes_ties_whole),
        WITH_FIXTURE(rows_below_the_threshold_become_general),
        WITH_FIXTURE(ood_rows_are_ranked_by_uncertainty),
        WITH_FIXTURE(ties_in_uncertainty_count_half),
        WITH_FIXTURE(without_ood_rows_there_is_no_auroc),
        WITH_FIXTURE(times_are_nearest_rank_percentiles),
        WITH_FIXTURE(a_random_answer_is_expected_to_be_right_once_in_three),
        WITH_FIXTURE(the_centroid_is_judged_on_the_same_rows),
        WITH_FIXTURE(without_answers_there_is_no_centroid),
        WITH_FIXTURE(general_rows_are_ranked_by_every_score),
        WITH_FIXTURE(scores_come_from_logits_known_share_and_entropy),
        WITH_FIXTURE(bins_hold_sums_of_confidence_and_acceptance),
        WITH_FIXTURE(the_curve_follows_falling_confidence),
        WITH_FIXTURE(label_figures_come_from_the_confusion),
        WITH_FIXTURE(a_label_the_classifier_lacks_is_wrong),
        WITH_FIXTURE(no_rows_give_zeros),
        WITH_FIXTURE(merging_is_like_adding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
