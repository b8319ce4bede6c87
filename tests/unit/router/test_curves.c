/* What confidence is worth: fitting, the array, thresholds for targets, sets. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "router/curves.h"
#include "tests/support/test.h"

enum {
    ROWS = 4000,
};

static struct curves_row rows[ROWS];
static struct curves curves;

/* Label 0 is right as often as its confidence says, label 1 half as often, label 2 never occurs. */
static void make_rows(void)
{
    uint32_t x = 5;
    for (size_t i = 0; i < ROWS; i++) {
        float confidence = ((float)(i / 2) + 0.5F) / (float)(ROWS / 2);
        x = x * 1664525U + 1013904223U;
        float drawn = (float)(x >> 8) / (float)(1 << 24);
        size_t best = i % 2;
        rows[i] = (struct curves_row){
            .best = best,
            .is_right = drawn < confidence / (float)(best + 1),
            .confidence = {confidence, 1.0F - confidence},
            .right_p = (float)i / (float)ROWS,
            .weight = 2.0F,
        };
    }
}

static int prepare(void **state)
{
    (void)state;
    make_rows();
    return curves_fit(rows, ROWS, 3, &curves) == ST_OK ? 0 : -1;
}

static bool is_near(float got, float wanted, float within)
{
    return fabsf(got - wanted) <= within;
}

static void precision_and_share_are_what_was_seen(void **state)
{
    float precision = 0.0F;
    float share = 0.0F;
    (void)state;

    curves_expect(&curves, CURVES_PROBABILITY, 0, 0.5F, &precision, &share);

    assert_true(is_near(precision, 0.75F, 0.04F));
    assert_true(is_near(share, 0.25F, 0.001F));
}

static void shares_never_fall_with_confidence(void **state)
{
    (void)state;
    for (size_t label = 0; label < 3; label++) {
        for (size_t i = 1; i < CURVES_STEPS; i++) {
            const struct curves_label *curve = &curves.of[CURVES_ENTROPY][label];
            assert_true(curve->right[i] >= curve->right[i - 1]);
        }
    }
}

static void a_precision_is_met_with_the_thresholds_it_needs(void **state)
{
    struct curves_cut cut;
    (void)state;

    assert_true(curves_choose(&curves, CURVES_PROBABILITY, 7, CURVES_PRECISION, 0.75, &cut));

    assert_true(is_near(cut.precision, 0.75F, 0.001F));
    assert_true(is_near(cut.threshold[0], 0.5F, 0.05F)); /* all of label 1 is worse than the end */
    assert_true(cut.threshold[1] > 0.9F);
    assert_true(cut.threshold[2] > 1.0F);
}

static void a_coverage_takes_the_surest_of_all_labels(void **state)
{
    struct curves_cut cut;
    (void)state;

    assert_true(curves_choose(&curves, CURVES_PROBABILITY, 3, CURVES_COVERAGE, 0.5, &cut));

    assert_true(is_near(cut.share, 0.5F, 0.001F));
    assert_true(is_near(cut.threshold[0], 0.33F, 0.08F));
    assert_true(is_near(cut.threshold[1], 0.67F, 0.08F));
}

static void an_impossible_target_names_what_can_be_reached(void **state)
{
    struct curves_cut cut;
    (void)state;

    assert_false(curves_choose(&curves, CURVES_PROBABILITY, 2, CURVES_PRECISION, 0.9, &cut));
    assert_true(is_near(cut.precision, 0.5F, 0.1F));

    assert_false(curves_choose(&curves, CURVES_PROBABILITY, 2, CURVES_COVERAGE, 0.9, &cut));
    assert_true(is_near(cut.share, 0.5F, 0.001F));
}

static void a_set_misses_as_often_as_alpha_says(void **state)
{
    static const double alphas[] = {0.05, 0.1, 0.5};
    (void)state;
    for (size_t i = 0; i < sizeof alphas / sizeof alphas[0]; i++) {
        float least = curves_set_threshold(&curves, alphas[i]);

        size_t missed = 0;
        for (size_t row = 0; row < ROWS; row++) {
            missed += rows[row].right_p < least;
        }
        float share = (float)missed / (float)ROWS;
        if (!(share <= (float)alphas[i] + 0.001F && share > (float)alphas[i] - 0.01F)) {
            fail_msg("%g: %g missed below %g", alphas[i], (double)share, (double)least);
        }
    }
}

static void what_is_written_can_be_read(void **state)
{
    static struct curves again;
    size_t size = curves_bytes(3);
    char *bytes = mem_alloc(size);
    (void)state;

    curves_encode(&curves, bytes);
    const char *why = curves_read((struct str){bytes, size}, 3, &again);
    mem_free(bytes);

    assert_null(why);
    assert_memory_equal(&curves.of[CURVES_ENTROPY][1], &again.of[CURVES_ENTROPY][1],
                        sizeof(struct curves_label));
    assert_memory_equal(curves.quantile, again.quantile, sizeof curves.quantile);
}

static void broken_arrays_are_refused(void **state)
{
    static const struct {
        size_t at; /* of the float that becomes `value` */
        float value;
        const char *why;
    } cases[] = {
        {0, NAN, "what is no share"},    {0, -0.1F, "what is no share"},
        {0, 0.9F, "do not add up"},      {CURVES_STEPS, 2.0F, "what is no share"},
        {CURVES_STEPS, 0.999F, "falls"}, {2 * 3 * 2 * CURVES_STEPS, 1.0F, "do not rise"},
    };
    static struct curves again;
    size_t size = curves_bytes(3);
    char *bytes = mem_alloc(size);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        curves_encode(&curves, bytes);
        memcpy(bytes + 4 * cases[i].at, &cases[i].value, 4); /* tests run little-endian */
        const char *why = curves_read((struct str){bytes, size}, 3, &again);
        if (why == NULL || strstr(why, cases[i].why) == NULL) {
            mem_free(bytes);
            fail_msg("case %zu: %s", i, why == NULL ? "accepted" : why);
        }
    }
    assert_non_null(curves_read((struct str){bytes, size - 4}, 3, &again));
    assert_non_null(curves_read((struct str){bytes, size}, 4, &again));
    mem_free(bytes);
}

static void fitting_fails_cleanly(void **state)
{
    static struct curves none;
    (void)state;

    mem_fail_at(1, 0);
    enum status st = curves_fit(rows, ROWS, 3, &none);
    mem_fail_at(0, 0);

    assert_int_equal(st, ST_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(precision_and_share_are_what_was_seen, prepare),
        cmocka_unit_test_setup(shares_never_fall_with_confidence, prepare),
        cmocka_unit_test_setup(a_precision_is_met_with_the_thresholds_it_needs, prepare),
        cmocka_unit_test_setup(a_coverage_takes_the_surest_of_all_labels, prepare),
        cmocka_unit_test_setup(an_impossible_target_names_what_can_be_reached, prepare),
        cmocka_unit_test_setup(a_set_misses_as_often_as_alpha_says, prepare),
        cmocka_unit_test_setup(what_is_written_can_be_read, prepare),
        cmocka_unit_test_setup(broken_arrays_are_refused, prepare),
        cmocka_unit_test_setup(fitting_fails_cleanly, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
