/* Choosing tokens: greedy, temperature, top-k, top-p, seeds, and logits that are no numbers. */
#include <math.h>
#include <string.h>

#include "backends/kernels/tinylm/sampler.h"
#include "base/mem.h"
#include "tests/support/test.h"

enum {
    TOKENS = 6,
    DRAWS = 20000,
};

/* Probabilities 0.5, 0.25, 0.125, … of tokens 3, 1, 4, 0, 5, 2 (the last two the same). */
static const float logits[TOKENS] = {-2.0794415F, -0.6931472F, -2.7725887F,
                                     0.0F,        -1.3862944F, -2.7725887F};

static void draw(const struct sampling *sampling, size_t counts[TOKENS])
{
    struct sampler s;
    assert_int_equal(sampler_init(&s, sampling, TOKENS), ST_OK);
    memset(counts, 0, TOKENS * sizeof counts[0]);
    for (int i = 0; i < DRAWS; i++) {
        int32_t id = sampler_pick(&s, logits);
        assert_in_range(id, 0, TOKENS - 1);
        counts[id]++;
    }
    sampler_fini(&s);
}

static void check_shares(const struct sampling *sampling, const double want[TOKENS])
{
    size_t counts[TOKENS];
    draw(sampling, counts);
    for (size_t i = 0; i < TOKENS; i++) {
        double got = (double)counts[i] / DRAWS;
        if (fabs(got - want[i]) > (want[i] > 0 ? 0.015 : 0)) {
            fail_msg("token %zu came in %f, not %f", i, got, want[i]);
        }
    }
}

static void tokens_come_as_often_as_the_sampling_says(void **state)
{
    (void)state;

    static const struct {
        struct sampling sampling;
        double want[TOKENS];
    } cases[] = {
        {{0, 1, 0, 1}, {0, 0, 0, 1, 0, 0}},
        {{1, 1, 0, 2}, {0.0625, 0.25, 0.03125, 0.5, 0.125, 0.03125}},
        {{1, 1, 2, 3}, {0, 1.0 / 3, 0, 2.0 / 3, 0, 0}},
        {{1, 1, 1, 4}, {0, 0, 0, 1, 0, 0}},
        {{1, 1, 100, 5}, {0.0625, 0.25, 0.03125, 0.5, 0.125, 0.03125}},
        {{1, 0.7, 0, 6}, {0, 1.0 / 3, 0, 2.0 / 3, 0, 0}},
        {{1, 0, 0, 7}, {0, 0, 0, 1, 0, 0}},
        {{1, 0.8, 3, 8}, {0, 1.0 / 3, 0, 2.0 / 3, 0, 0}},
        {{0.5, 1, 2, 9}, {0, 0.2, 0, 0.8, 0, 0}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_shares(&cases[i].sampling, cases[i].want);
    }
}

static void same_seed_draws_the_same_tokens(void **state)
{
    (void)state;
    static const struct sampling sampling = {1, 1, 0, 42};
    static const struct sampling other = {1, 1, 0, 43};
    struct sampler s[3];
    int differing = 0;
    assert_int_equal(sampler_init(&s[0], &sampling, TOKENS), ST_OK);
    assert_int_equal(sampler_init(&s[1], &sampling, TOKENS), ST_OK);
    assert_int_equal(sampler_init(&s[2], &other, TOKENS), ST_OK);
    for (int i = 0; i < 100; i++) {
        int32_t id = sampler_pick(&s[0], logits);
        assert_int_equal(sampler_pick(&s[1], logits), id);
        differing += sampler_pick(&s[2], logits) != id ? 1 : 0;
    }
    assert_true(differing > 10);
    for (size_t i = 0; i < 3; i++) {
        sampler_fini(&s[i]);
    }
}

static void logits_that_are_no_numbers_are_not_chosen(void **state)
{
    (void)state;

    static const struct {
        float logits[3];
        int32_t want;
    } cases[] = {
        {{NAN, NAN, NAN}, -1}, {{NAN, -5, NAN}, 1}, {{NAN, -INFINITY, NAN}, 1},
        {{1, INFINITY, 2}, 1}, {{7, 7, 7}, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int greedy = 0; greedy < 2; greedy++) {
            const struct sampling sampling = {greedy == 1 ? 0 : 0.01, 0.5, 1, 1};
            struct sampler s;
            assert_int_equal(sampler_init(&s, &sampling, 3), ST_OK);
            assert_int_equal(sampler_pick(&s, cases[i].logits), cases[i].want);
            sampler_fini(&s);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_come_as_often_as_the_sampling_says),
        cmocka_unit_test(same_seed_draws_the_same_tokens),
        cmocka_unit_test(logits_that_are_no_numbers_are_not_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
