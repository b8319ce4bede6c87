/* Thresholds: what each setting makes of them, and what is refused. */
#include <math.h>

#include "router/curves.h"
#include "router/thresholds.h"
#include "tests/support/routes_sample.h"
#include "tests/support/test.h"

#define EXPERTS "experts: {a: {url: 'http://127.0.0.1:9/v1'}}\n"
#define ROUTER  EXPERTS "router: {model: conf/models/domains.edm, "
#define MATH    "categories: {general: {experts: [{expert: a}]}, math: {experts: [{expert: a}]}}\n"
#define CATEGORIES                                                                                 \
    "categories:\n"                                                                                \
    "  general: {experts: [{expert: a}]}\n"                                                        \
    "  math: {experts: [{expert: a}]}\n"                                                           \
    "  law: {experts: [{expert: a}], threshold: 0.123}\n"

static void load(struct routes_sample *s, const char *yaml)
{
    if (routes_sample_load(s, yaml) != ST_OK) {
        fail_msg("%s", s->messages);
    }
}

static size_t label_of(const struct routes_sample *s, const char *name)
{
    size_t i = 0;
    while (!str_eq(classifier_label(s->routes.classifier, i), str_from(name))) {
        i++;
    }
    return i;
}

static float threshold_of(const struct routes_sample *s, const char *name)
{
    return s->routes.thresholds.of[label_of(s, name)];
}

static void a_plain_threshold_holds_for_all_but_those_that_have_their_own(void **state)
{
    struct routes_sample s;
    (void)state;

    load(&s, ROUTER "threshold: 0.4}\n" CATEGORIES);

    assert_true(fabsf(threshold_of(&s, "math") - 0.4F) < 1e-6F);
    assert_true(fabsf(threshold_of(&s, "law") - 0.123F) < 1e-6F);
    routes_sample_fini(&s);
}

static void a_precision_is_expected_of_what_it_chooses(void **state)
{
    struct routes_sample s;
    float precision = 0.0F;
    float share = 0.0F;
    (void)state;

    load(&s, ROUTER "target: {precision: 0.85}, threshold: 0.4}\n" MATH);

    assert_true(thresholds_expect(&s.routes, label_of(&s, "math"), &precision, &share));
    assert_true(precision > 0.848F); /* above, when all of math is surer than that */
    assert_true(share > 0.0F);
    assert_true(fabsf(threshold_of(&s, "general") - 0.4F) < 1e-6F);
    assert_false(thresholds_expect(&s.routes, label_of(&s, "general"), &precision, &share));
    routes_sample_fini(&s);
}

static void a_higher_precision_needs_higher_thresholds(void **state)
{
    static const char *const confs[] = {
        ROUTER "target: {precision: 0.5}}\n" CATEGORIES,
        ROUTER "target: {precision: 0.8}}\n" CATEGORIES,
        ROUTER "target: {precision: 0.9}}\n" CATEGORIES,
    };
    float before = -1.0F;
    float first = -1.0F;
    (void)state;
    for (size_t i = 0; i < sizeof confs / sizeof confs[0]; i++) {
        struct routes_sample s;
        load(&s, confs[i]);
        float threshold = threshold_of(&s, "math");
        float own = threshold_of(&s, "law");
        routes_sample_fini(&s);

        assert_true(threshold >= before);
        assert_true(fabsf(own - 0.123F) < 1e-6F);
        before = threshold;
        first = i == 0 ? threshold : first;
    }
    assert_true(before > first);
}

static void what_cannot_be_followed_is_refused(void **state)
{
    static const struct {
        const char *yaml;
        const char *why;
    } cases[] = {
        {ROUTER "target: {precision: 0.9, coverage: 0.1}}\n" CATEGORIES, "both a precision and"},
        {ROUTER "target: {precision: 1.0}}\n" CATEGORIES,
         "a precision of 1.000 is out of reach, 0."},
        {ROUTER "target: {coverage: 0.9}}\n" CATEGORIES, "a coverage of 0.900 is out of reach, 0."},
        {ROUTER "target: {coverage: 0.1}, uncertainty: {method: conformal}}\n" CATEGORIES,
         "alpha takes the place of a target"},
        {EXPERTS "router: {target: {coverage: 0.1}}\n" CATEGORIES, "need router.model"},
        {EXPERTS "router: {uncertainty: {method: conformal}}\n" CATEGORIES, "need router.model"},
        {ROUTER "uncertainty: {method: guess}}\n" CATEGORIES, "method"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct routes_sample s;
        enum status st = routes_sample_load(&s, cases[i].yaml);
        bool is_said = strstr(s.messages, cases[i].why) != NULL;
        if (st != ST_INVALID || !is_said) {
            fail_msg("case %zu: %s", i, s.messages);
        }
        routes_sample_fini(&s);
    }
}

static void methods_judge_by_their_own_measure(void **state)
{
    static const struct classifier_result r = {.count = 3, .p = {0.6F, 0.3F, 0.1F}, .best = 0};

    static const struct {
        struct thresholds thresholds;
        bool is_sure;
        unsigned set;
    } cases[] = {
        {{UNCERTAINTY_PROBABILITY, {0.6F}, 3, 0.0F, 1}, true, 0},
        {{UNCERTAINTY_PROBABILITY, {0.61F}, 3, 0.0F, 1}, false, 0},
        {{UNCERTAINTY_ENTROPY, {0.6F}, 2, 0.0F, 1}, false, 0},
        {{UNCERTAINTY_ENTROPY, {0.01F}, 2, 0.0F, 1}, true, 0},
        {{UNCERTAINTY_CONFORMAL, {0.9F}, 3, 0.5F, 1}, true, 1},
        {{UNCERTAINTY_CONFORMAL, {0.0F}, 3, 0.2F, 1}, false, 3},
        {{UNCERTAINTY_CONFORMAL, {0.0F}, 3, 0.2F, 2}, true, 3},
        {{UNCERTAINTY_CONFORMAL, {0.0F}, 3, 0.7F, 2}, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float certainty = 0.0F;
        uint64_t set = 0;
        bool is_sure = thresholds_judge(&cases[i].thresholds, &r, &certainty, &set);
        if (is_sure != cases[i].is_sure || set != cases[i].set) {
            fail_msg("case %zu: %d, set %u", i, is_sure, (unsigned)set);
        }
    }
}

static void a_smaller_alpha_makes_larger_sets(void **state)
{
    struct routes_sample small;
    struct routes_sample large;
    (void)state;

    load(&small, ROUTER "uncertainty: {method: conformal, alpha: 0.4}}\n" CATEGORIES);
    load(&large, ROUTER "uncertainty: {method: conformal, alpha: 0.1}}\n" CATEGORIES);

    assert_true(large.routes.thresholds.set_least < small.routes.thresholds.set_least);
    assert_true(large.routes.thresholds.set_least > 0.0F);
    routes_sample_fini(&small);
    routes_sample_fini(&large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_threshold_holds_for_all_but_those_that_have_their_own),
        cmocka_unit_test(a_precision_is_expected_of_what_it_chooses),
        cmocka_unit_test(a_higher_precision_needs_higher_thresholds),
        cmocka_unit_test(what_cannot_be_followed_is_refused),
        cmocka_unit_test(methods_judge_by_their_own_measure),
        cmocka_unit_test(a_smaller_alpha_makes_larger_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
