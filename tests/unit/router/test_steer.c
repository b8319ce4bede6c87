/* A verdict without support in the second half is doubted. */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "router/steer.h"
#include "tests/support/test.h"
#include "tests/support/weights_sample.h"

struct fixture {
    struct classifier *classifier;
    struct classifier_scratch *scratch;
};

static int prepare(void **state)
{
    static struct fixture x;
    struct weights_sample *sample = mem_zalloc(1, sizeof *sample);
    struct features *features = features_create();
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    char path[64];
    diags_init(&diags, arena);
    weights_sample_init(sample, 3);
    sample->weights.scale[0] = 0.05F;
    sample->weights.scale[1] = 0.05F;
    weights_sample_teach(sample, features, STR("lawyer"), 0);
    weights_sample_teach(sample, features, STR("fever"), 1);
    (void)snprintf(path, sizeof path, "/tmp/steer-test-%d.edm", (int)getpid());
    bool is_ready = weights_write(&sample->weights, path) == ST_OK &&
                    classifier_load(path, &diags, &x.classifier) == ST_OK;
    (void)unlink(path);
    x.scratch = classifier_scratch_create();
    features_destroy(features);
    arena_destroy(arena);
    mem_free(sample);
    *state = &x;
    return !is_ready || x.scratch == NULL;
}

static int clean(void **state)
{
    struct fixture *x = *state;
    classifier_scratch_destroy(x->scratch);
    classifier_unref(x->classifier);
    return 0;
}

static void verdicts_are_doubted_by_their_second_half(void **state)
{
    static const struct {
        const char *text;
        size_t best;
        bool is_doubtful;
    } cases[] = {
        {"lawyer lawyer a b fever fever fever", 0, true}, /* the end says something else */
        {"fever fever fever fever lawyer lawyer lawyer lawyer lawyer", 0, false},
        {"lawyer a b c d lawyer", 0, false},
        {"lawyer lawyer fever fever fever", 0, false}, /* five words */
    };
    struct fixture *x = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct classifier_segment segment = {str_from(cases[i].text), 1.0F};
        struct classifier_result r;
        classifier_score(x->classifier, x->scratch, &segment, 1, &r);
        r.best = cases[i].best; /* the verdict in question */
        bool got = steer_is_doubtful(x->classifier, x->scratch, segment.text, &r, 0.2F);
        if (got != cases[i].is_doubtful) {
            fail_msg("\"%s\": %d", cases[i].text, got);
        }
    }
}

static void with_a_floor_of_zero_nothing_is_doubted(void **state)
{
    struct fixture *x = *state;
    struct classifier_result r = {.count = 3};
    struct str text = STR("lawyer lawyer a b fever fever fever");

    assert_true(steer_is_doubtful(x->classifier, x->scratch, text, &r, 0.2F));
    assert_false(steer_is_doubtful(x->classifier, x->scratch, text, &r, 0.0F));
}

static void doubt_gives_more_than_half_to_general(void **state)
{
    struct classifier_result r = {.count = 3, .p = {0.8F, 0.1F, 0.1F}};
    (void)state;

    steer_doubt(&r, 3); /* no such label */
    assert_int_equal(r.best, 0);
    steer_doubt(&r, 2);

    assert_int_equal(r.best, 2);
    assert_true(fabsf(r.p[0] - 0.36F) < 1e-6F);
    assert_true(fabsf(r.p[2] - 0.595F) < 1e-6F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_are_doubted_by_their_second_half),
        cmocka_unit_test(doubt_gives_more_than_half_to_general),
        cmocka_unit_test(with_a_floor_of_zero_nothing_is_doubted),
    };
    return cmocka_run_group_tests(tests, prepare, clean);
}
