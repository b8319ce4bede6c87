/* The drift monitor: quiet while traffic stays, loud when it changes, starts over with new weights. */
#include <math.h>

#include "base/mem.h"
#include "router/drift.h"
#include "tests/support/test.h"

enum {
    WEIGHTS = 7,
    LABELS = 4,
};

/* A small generator with a fixed seed: tests repeat exactly. */
static uint32_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(*state >> 40);
}

static struct classifier_result answer(size_t label, float confidence, float known)
{
    struct classifier_result r = {.count = LABELS, .best = label, .known = known};
    r.p[label] = confidence;
    return r;
}

/* Sends n answers over two shards; labels are even, confidence is spread around `confidence`. */
static enum drift_news send(struct drift *d, uint64_t *state, int n, float confidence,
                            size_t labels)
{
    enum drift_news last = DRIFT_SAME;
    for (int i = 0; i < n; i++) {
        float noise = ((float)(draw(state) % 1000) - 500.0F) / 2500.0F;
        struct classifier_result r = answer(draw(state) % labels, confidence + noise, 0.9F);
        enum drift_news news = drift_count(d, (size_t)i % 2, WEIGHTS, &r);
        last = news == DRIFT_SAME ? last : news;
    }
    return last;
}

static void the_index_is_what_its_formula_says(void **state)
{
    static const uint64_t then[] = {500, 500, 0};
    static const uint64_t now[] = {900, 100, 0};

    (void)state;

    assert_true(drift_psi(then, then, 3) < 1e-12);
    double want = (0.9 - 0.5) * log(0.9 / 0.5) + (0.1 - 0.5) * log(0.1 / 0.5);
    assert_true(fabs(drift_psi(then, now, 3) - want) < 0.005);
}

static void a_bin_that_becomes_empty_is_no_infinity(void **state)
{
    static const uint64_t then[] = {1000, 0};
    static const uint64_t now[] = {0, 1000};

    (void)state;
    double psi = drift_psi(then, now, 2);

    assert_true(psi > 5.0 && psi < 100.0);
}

static void the_same_traffic_raises_no_alarm(void **state)
{
    uint64_t seed = 1;
    struct drift *d = drift_create(2);
    (void)state;
    assert_int_equal(send(d, &seed, 2500, 0.7F, LABELS), DRIFT_SAME);
    assert_true(drift_look(d, WEIGHTS).has_reference);

    for (int i = 0; i < 50; i++) {
        assert_int_equal(send(d, &seed, 600, 0.7F, LABELS), DRIFT_SAME);
        struct drift_figures f = drift_look(d, WEIGHTS);
        for (size_t k = 0; k < DRIFT_WHATS; k++) {
            assert_int_equal(f.news[k], DRIFT_SAME);
            assert_true(f.psi[k] < 0.1);
        }
        assert_false(f.is_falling);
    }
    drift_destroy(d);
}

static void other_labels_raise_the_alarm_and_their_end_ends_it(void **state)
{
    uint64_t seed = 2;
    struct drift *d = drift_create(2);
    (void)state;
    (void)send(d, &seed, 2500, 0.7F, LABELS);
    (void)drift_look(d, WEIGHTS);

    (void)send(d, &seed, 600, 0.7F, 1); /* only the first label */
    struct drift_figures f = drift_look(d, WEIGHTS);

    assert_int_equal(f.news[DRIFT_LABEL], DRIFT_ALARM);
    assert_int_equal(f.news[DRIFT_CONFIDENCE], DRIFT_SAME);
    assert_true(f.psi[DRIFT_LABEL] > DRIFT_PSI_ALARM);
    (void)send(d, &seed, 600, 0.7F, LABELS);
    assert_int_equal(drift_look(d, WEIGHTS).news[DRIFT_LABEL], DRIFT_ALL_OK);
    drift_destroy(d);
}

static void falling_confidence_is_noticed_within_some_hundred_requests(void **state)
{
    uint64_t seed = 3;
    struct drift *d = drift_create(2);
    (void)state;
    assert_int_equal(send(d, &seed, 2500, 0.7F, LABELS), DRIFT_SAME);

    assert_int_equal(send(d, &seed, 2 * 700, 0.6F, LABELS), DRIFT_ALARM);

    assert_true(drift_look(d, WEIGHTS).is_falling);
    assert_int_equal(send(d, &seed, 2 * 2000, 0.75F, LABELS), DRIFT_ALL_OK);
    assert_false(drift_look(d, WEIGHTS).is_falling);
    drift_destroy(d);
}

static void nothing_is_compared_before_a_window_is_full(void **state)
{
    uint64_t seed = 4;
    struct drift *d = drift_create(2);
    (void)state;
    (void)send(d, &seed, DRIFT_REFERENCE - 1, 0.7F, LABELS);
    assert_false(drift_look(d, WEIGHTS).has_reference);
    (void)send(d, &seed, 1, 0.7F, LABELS);
    assert_true(drift_look(d, WEIGHTS).has_reference);

    (void)send(d, &seed, DRIFT_WINDOW - 1, 0.7F, 1);

    struct drift_figures f = drift_look(d, WEIGHTS);
    assert_true(f.psi[DRIFT_LABEL] <= 0.0);
    drift_destroy(d);
}

static void new_weights_start_over(void **state)
{
    struct drift *d = drift_create(1);
    struct classifier_result r = answer(0, 0.7F, 0.9F);
    (void)state;
    for (int i = 0; i < DRIFT_REFERENCE; i++) {
        (void)drift_count(d, 0, WEIGHTS, &r);
    }
    assert_true(drift_look(d, WEIGHTS).has_reference);

    r = answer(1, 0.2F, 0.9F);
    (void)drift_count(d, 0, WEIGHTS + 1, &r);

    struct drift_figures f = drift_look(d, WEIGHTS + 1);
    assert_false(f.has_reference);
    assert_false(f.is_falling);
    drift_destroy(d);
}

static void values_at_the_edges_have_a_bin(void **state)
{
    static const float edges[] = {0.0F, -0.1F, 1.0F, 1.1F, NAN};

    struct drift *d = drift_create(1);
    (void)state;
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        struct classifier_result r = answer(0, edges[i], edges[i]);
        (void)drift_count(d, 0, WEIGHTS, &r);
    }
    assert_false(drift_look(d, WEIGHTS).has_reference);
    drift_destroy(d);
}

static void memory_runs_out_cleanly(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_at(n, 0);
        struct drift *d = drift_create(3);
        mem_fail_at(0, 0);
        assert_null(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_is_what_its_formula_says),
        cmocka_unit_test(a_bin_that_becomes_empty_is_no_infinity),
        cmocka_unit_test(the_same_traffic_raises_no_alarm),
        cmocka_unit_test(other_labels_raise_the_alarm_and_their_end_ends_it),
        cmocka_unit_test(falling_confidence_is_noticed_within_some_hundred_requests),
        cmocka_unit_test(nothing_is_compared_before_a_window_is_full),
        cmocka_unit_test(new_weights_start_over),
        cmocka_unit_test(values_at_the_edges_have_a_bin),
        cmocka_unit_test(memory_runs_out_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
