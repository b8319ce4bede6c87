/* The two linear models on sets small enough to see through. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "router/fit.h"
#include "tests/support/test.h"

enum {
    ITEMS = 60,
    LABELS = 3,
    FEATURES = 7, /* 0-1, 2-3, 4-5 belong to a label each; 6 stands everywhere */
};

static struct fit_item items[ITEMS];
static uint32_t ids[ITEMS * 2];

static const struct fit_options usual = {
    .seed = 1,
    .epochs = 10,
    .rate = 0.5,
    .smoothing = 0.05,
    .dropping = 0.3,
    .decay = 0.01,
    .prior = 0.1,
    .bayes = 0.5,
};

static struct fit_set make_set(void)
{
    for (uint32_t i = 0; i < ITEMS; i++) {
        uint32_t label = i % LABELS;
        items[i] = (struct fit_item){
            .at = (size_t)2 * i, .count = 2, .features = 2, .weight = 1.0F, .label = label};
        items[i].accept = (uint64_t)1 << label;
        ids[2 * i] = 2 * label + i / LABELS % 2;
        ids[2 * i + 1] = 6;
    }
    return (struct fit_set){items, ITEMS, ids, FEATURES, LABELS};
}

static void features_speak_for_their_label(void **state)
{
    static const double shares[] = {0.0, 0.5, 1.0}; /* of naive Bayes */
    struct fit_set set = make_set();
    (void)state;
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        struct fit_options options = usual;
        struct fit fit;
        options.bayes = shares[i];
        assert_int_equal(fit_run(&set, &options, &fit), ST_OK);
        for (size_t id = 0; id < 6; id++) {
            for (size_t k = 0; k < LABELS; k++) {
                float weight = fit.rows[id * fit_stride(LABELS) + k];
                assert_true(k == id / 2 ? weight > 0.0F : weight < 0.0F);
            }
        }
        fit_fini(&fit);
    }
}

static void rows_have_mean_zero(void **state)
{
    struct fit_set set = make_set();
    struct fit fit;
    (void)state;
    assert_int_equal(fit_run(&set, &usual, &fit), ST_OK);
    for (size_t id = 0; id < FEATURES; id++) {
        float sum = 0.0F;
        for (size_t k = 0; k < LABELS; k++) {
            sum += fit.rows[id * fit_stride(LABELS) + k];
        }
        assert_true(fabsf(sum) < 1e-4F);
    }
    fit_fini(&fit);
}

static void a_feature_of_all_labels_matters_least(void **state)
{
    struct fit_set set = make_set();
    struct fit fit;
    (void)state;
    assert_int_equal(fit_run(&set, &usual, &fit), ST_OK);
    for (size_t id = 0; id < 6; id++) {
        assert_true(fit.spread[id] > fit.spread[6]);
    }
    fit_fini(&fit);
}

static void the_seed_decides_all(void **state)
{
    struct fit_set set = make_set();
    struct fit one;
    struct fit two;
    struct fit other;
    struct fit_options options = usual;
    size_t bytes = (size_t)FEATURES * fit_stride(LABELS) * sizeof(float);
    (void)state;
    options.seed = 2;
    assert_int_equal(fit_run(&set, &usual, &one), ST_OK);
    assert_int_equal(fit_run(&set, &usual, &two), ST_OK);
    assert_int_equal(fit_run(&set, &options, &other), ST_OK);

    assert_memory_equal(one.rows, two.rows, bytes);
    assert_memory_not_equal(one.rows, other.rows, bytes);

    fit_fini(&one);
    fit_fini(&two);
    fit_fini(&other);
}

static void accepted_labels_are_not_pushed_away(void **state)
{
    struct fit_set set = make_set();
    struct fit strict;
    struct fit lenient;
    struct fit_options options = usual;
    (void)state;
    options.bayes = 0.0;
    assert_int_equal(fit_run(&set, &options, &strict), ST_OK);
    for (size_t i = 0; i < ITEMS; i += LABELS) {
        items[i].accept |= 2; /* rows of label 0 accept label 1 */
    }
    assert_int_equal(fit_run(&set, &options, &lenient), ST_OK);

    assert_true(lenient.rows[1] > strict.rows[1]);

    fit_fini(&strict);
    fit_fini(&lenient);
}

static void an_empty_set_is_fitted(void **state)
{
    struct fit_set set = {.label_count = LABELS};
    struct fit fit;
    (void)state;

    assert_int_equal(fit_run(&set, &usual, &fit), ST_OK);

    fit_fini(&fit);
}

static void every_missing_allocation_is_reported(void **state)
{
    struct fit_set set = make_set();
    (void)state;
    for (uint64_t i = 1; i <= 7; i++) {
        struct fit fit;
        mem_fail_at(i, 0);
        enum status st = fit_run(&set, &usual, &fit);
        mem_fail_at(0, 0);
        assert_int_equal(st, ST_NO_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_speak_for_their_label),
        cmocka_unit_test(rows_have_mean_zero),
        cmocka_unit_test(a_feature_of_all_labels_matters_least),
        cmocka_unit_test(the_seed_decides_all),
        cmocka_unit_test(accepted_labels_are_not_pushed_away),
        cmocka_unit_test(an_empty_set_is_fitted),
        cmocka_unit_test(every_missing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
