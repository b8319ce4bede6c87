/* Scoring and explaining, over weights made by hand. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "router/classifier.h"
#include "tests/support/test.h"
#include "tests/support/weights_sample.h"

enum {
    LABELS = 14,
    CATS = 3,  /* the label that knows about cats */
    STARS = 9, /* and the one that knows about stars */
};

struct fixture {
    struct classifier *classifier;
    struct classifier_scratch *scratch;
};

static const struct str cats = {"the cat sat on the mat", 22};
static const struct str stars = {"a red giant shines brightly", 27};

static struct classifier *load(const struct weights *w)
{
    char path[64];
    struct classifier *c = NULL;
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    diags_init(&diags, arena);
    (void)snprintf(path, sizeof path, "/tmp/classifier-test-%d.edm", (int)getpid());
    assert_int_equal(weights_write(w, path), ST_OK);
    assert_int_equal(classifier_load(path, &diags, &c), ST_OK);
    (void)unlink(path);
    arena_destroy(arena);
    return c;
}

static int prepare(void **state)
{
    struct fixture *x = mem_zalloc(1, sizeof *x);
    struct weights_sample *sample = mem_zalloc(1, sizeof *sample);
    struct features *features = features_create();
    weights_sample_init(sample, LABELS);
    weights_sample_teach(sample, features, cats, CATS);
    weights_sample_teach(sample, features, stars, STARS);
    x->classifier = load(&sample->weights);
    x->scratch = classifier_scratch_create();
    features_destroy(features);
    mem_free(sample);
    *state = x;
    return 0;
}

static int clean(void **state)
{
    struct fixture *x = *state;
    classifier_unref(x->classifier);
    classifier_scratch_destroy(x->scratch);
    mem_free(x);
    return 0;
}

static struct classifier_result score(struct fixture *x, const struct classifier_segment *segments,
                                      size_t count)
{
    struct classifier_result r;
    memset(&r, 0, sizeof r);
    classifier_score(x->classifier, x->scratch, segments, count, &r);
    return r;
}

static struct classifier_result score_text(struct fixture *x, struct str text)
{
    struct classifier_segment segment = {text, 1.0F};
    return score(x, &segment, 1);
}

static void known_words_decide(void **state)
{
    assert_int_equal(score_text(*state, cats).best, CATS);
    assert_int_equal(score_text(*state, stars).best, STARS);
}

static void no_features_give_the_priors(void **state)
{
    struct fixture *x = *state;
    static const char *const texts[] = {"", "  \n", "?!"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct classifier_result r = score_text(x, str_from(texts[i]));
        for (size_t k = 0; k < LABELS; k++) {
            assert_true(fabsf(r.logit[k] - 0.1F * (float)k) < 1e-6F);
        }
    }
    assert_int_equal(score(x, NULL, 0).features, 0);
}

static void probabilities_add_up_to_one(void **state)
{
    struct classifier_result r = score_text(*state, STR("a cat under a red giant"));
    float sum = 0.0F;
    for (size_t i = 0; i < r.count; i++) {
        sum += r.p[i];
    }

    assert_int_equal(r.count, LABELS);
    assert_true(fabsf(sum - 1.0F) < 1e-5F);
    assert_true(r.entropy > 0.0F && r.entropy < 1.0F);
}

static void unknown_text_is_recognised(void **state)
{
    struct classifier_result noise = score_text(*state, STR("zxqv kkwq jjxz pfft"));
    struct classifier_result text = score_text(*state, cats);

    assert_true(noise.known < 0.05F);
    assert_true(text.known > 0.9F);
    assert_true(noise.entropy > text.entropy);
}

/* The same on every machine and with every compiler: these bits were computed once. */
static void results_are_the_same_bits_everywhere(void **state)
{
    struct classifier_result r = score_text(*state, STR("the cat saw a red giant"));
    uint32_t logit = 0;
    uint32_t p = 0;
    uint32_t entropy = 0;
    memcpy(&logit, &r.logit[CATS], sizeof logit);
    memcpy(&p, &r.p[CATS], sizeof p);
    memcpy(&entropy, &r.entropy, sizeof entropy);

    assert_int_equal(logit, 0x3ff8b9b8);
    assert_int_equal(p, 0x3dcb7b8b);
    assert_int_equal(entropy, 0x3f2de48c);
}

static void scratch_leaves_no_trace(void **state)
{
    struct fixture *x = *state;
    struct classifier_result before = score_text(x, cats);
    (void)score_text(x, stars);

    struct classifier_result after = score_text(x, cats);

    assert_memory_equal(before.logit, after.logit, sizeof before.logit);
}

static void a_heavier_segment_wins(void **state)
{
    struct classifier_segment segments[] = {{cats, 1.0F}, {stars, 0.25F}};
    assert_int_equal(score(*state, segments, 2).best, CATS);
    segments[0].weight = 0.25F;
    segments[1].weight = 1.0F;
    assert_int_equal(score(*state, segments, 2).best, STARS);
}

static void a_segment_without_weight_is_not_there(void **state)
{
    static const float nothings[] = {0.0F, -1.0F, NAN};
    struct classifier_result alone = score_text(*state, cats);
    for (size_t i = 0; i < sizeof nothings / sizeof nothings[0]; i++) {
        struct classifier_segment segments[] = {{stars, nothings[i]}, {cats, 1.0F}};
        struct classifier_result r = score(*state, segments, 2);
        assert_memory_equal(alone.logit, r.logit, sizeof r.logit);
    }
}

static void saying_it_twice_changes_nothing(void **state)
{
    struct classifier_segment segments[] = {{cats, 0.5F}, {cats, 1.0F}};
    struct classifier_result alone = score_text(*state, cats);

    struct classifier_result twice = score(*state, segments, 2);

    assert_memory_equal(alone.logit, twice.logit, sizeof alone.logit);
}

static void the_order_of_different_weights_does_not_matter(void **state)
{
    struct classifier_segment one[] = {{cats, 1.0F}, {stars, 0.5F}, {STR("a mat"), 0.25F}};
    struct classifier_segment other[] = {one[2], one[0], one[1]};

    struct classifier_result left = score(*state, one, 3);
    struct classifier_result right = score(*state, other, 3);

    assert_memory_equal(left.logit, right.logit, sizeof left.logit);
}

static void many_segments_stay_within_the_ceiling(void **state)
{
    static struct classifier_segment segments[200];
    static char long_text[100000];
    memset(long_text, 'x', sizeof long_text);
    for (size_t i = 0; i < 200; i++) {
        segments[i] = (struct classifier_segment){{long_text, sizeof long_text}, 1e30F};
    }
    segments[199].text = cats;

    assert_int_equal(score(*state, segments, 200).best, CATS);
}

static void explanations_add_up_to_the_logit(void **state)
{
    struct fixture *x = *state;
    static struct classifier_evidence evidence[512];
    struct classifier_segment segments[] = {{cats, 1.0F}, {STR("red cat on a giant mat"), 0.5F}};
    struct classifier_result r = score(x, segments, 2);
    for (size_t label = 0; label < LABELS; label++) {
        size_t n = classifier_explain(x->classifier, x->scratch, segments, 2, label, evidence, 512);
        float sum = 0.0F;
        for (size_t i = 0; i < n; i++) {
            sum += evidence[i].weight;
        }
        if (fabsf(sum - r.logit[label]) > 1e-4F) {
            fail_msg("label %zu: %g, not %g", label, (double)sum, (double)r.logit[label]);
        }
    }
}

/* Weights with vectors for some words and a network over them. */
static struct classifier *load_meaning(void)
{
    static const float numbers[3][2] = {{1.0F, 0.2F}, {-0.5F, 1.0F}, {0.3F, -0.8F}};
    static const char *const texts[3] = {"cat", "giant", "mat"};
    static float net[16 + 2 * 4 + 4 + 4 * LABELS + LABELS];
    static const uint32_t shape[3] = {2, 4, LABELS};
    struct vectors_word words[3];
    size_t kept = 0;
    struct weights_sample *sample = mem_zalloc(1, sizeof *sample);
    struct features *features = features_create();
    weights_sample_init(sample, LABELS);
    weights_sample_teach(sample, features, cats, CATS);
    for (size_t i = 0; i < 3; i++) {
        features_reset(features);
        (void)features_add(features, str_from(texts[i])); /* the first is the word */
        words[i] = (struct vectors_word){features->items[0].hash, numbers[i]};
    }
    assert_int_equal(vectors_encode(words, 3, 2, 4, &sample->weights.vectors, &kept), ST_OK);
    memcpy(net, shape, sizeof shape);
    for (size_t i = 16; i < sizeof net / sizeof net[0]; i++) {
        net[i] = (float)((int)(i * 7 % 11) - 5) / 4.0F;
    }
    sample->weights.network = (struct str){(const char *)net, sizeof net};
    struct classifier *c = load(&sample->weights);
    mem_free((void *)(uintptr_t)sample->weights.vectors.ptr);
    features_destroy(features);
    mem_free(sample);
    return c;
}

static void meaning_joins_spelling_and_both_are_explained(void **state)
{
    struct fixture *x = *state;
    struct classifier *c = load_meaning();
    struct classifier_evidence evidence[512];
    struct classifier_segment segments[2] = {{cats, 1.0F}, {stars, 0.5F}};
    struct classifier_result with;
    struct classifier_result without = score(x, segments, 2);
    classifier_score(c, x->scratch, segments, 2, &with);
    assert_int_equal(without.vector_size, 0);
    assert_int_equal(with.vector_size, 2);
    assert_true(fabsf(with.vector[0] * with.vector[0] + with.vector[1] * with.vector[1] - 1.0F) <
                1e-5F);
    assert_true(fabsf(with.logit[CATS] - without.logit[CATS]) > 0.1F);
    for (size_t label = 0; label < LABELS; label++) {
        size_t n = classifier_explain(c, x->scratch, segments, 2, label, evidence, 512);
        double sum = 0.0;
        for (size_t i = 0; i < n; i++) {
            sum += (double)evidence[i].weight;
        }
        assert_true(fabs(sum - (double)with.logit[label]) < 1e-4);
    }
    classifier_unref(c);
}

static void explanations_name_the_heaviest_first(void **state)
{
    struct fixture *x = *state;
    struct classifier_segment segment = {STR("zzzz cat"), 1.0F};
    struct classifier_evidence evidence[3];

    size_t n = classifier_explain(x->classifier, x->scratch, &segment, 1, CATS, evidence, 3);

    assert_int_equal(n, 3);
    bool has_word = false;
    for (size_t i = 0; i < n; i++) {
        has_word = has_word || str_eq(evidence[i].feature, STR("word \"cat\""));
        assert_true(i == 0 || evidence[i - 1].weight >= evidence[i].weight);
    }
    assert_true(has_word || str_eq(evidence[0].feature, STR("prior")));
    assert_int_equal(classifier_explain(x->classifier, x->scratch, &segment, 1, CATS, evidence, 0),
                     0);
}

static void uncertainty_treats_general_as_not_knowing(void **state)
{
    struct classifier_result r = {.count = 3, .p = {0.0F, 0.0F, 1.0F}, .entropy = 0.0F};
    (void)state;

    assert_true(classifier_uncertainty(&r, 2) > 0.999F);
    assert_true(classifier_uncertainty(&r, 0) < 0.001F);
    assert_true(classifier_uncertainty(&r, 99) < 0.001F);
}

static void references_keep_it_alive(void **state)
{
    struct fixture *x = *state;

    struct classifier *second = classifier_ref(x->classifier);
    classifier_unref(x->classifier);
    x->classifier = second;

    assert_int_equal(classifier_label_count(second), LABELS);
    test_assert_str(classifier_label(second, 3), STR("l03"));
    test_assert_str(classifier_card(second), STR("{\"model\":\"sample\"}"));
    assert_true(classifier_checksum(second) != 0);
    classifier_unref(NULL);
}

static void missing_files_and_memory_are_reported(void **state)
{
    struct classifier *c = NULL;
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    (void)state;
    diags_init(&diags, arena);

    assert_int_equal(classifier_load("/nowhere/at/all", &diags, &c), ST_IO);
    for (uint64_t i = 1; i <= 2; i++) {
        mem_fail_at(i, 0);
        assert_null(classifier_scratch_create());
    }
    mem_fail_at(1, 0);
    assert_int_equal(classifier_load("/nowhere/at/all", &diags, &c), ST_NO_MEMORY);
    mem_fail_at(0, 0);

    classifier_scratch_destroy(NULL);
    arena_destroy(arena);
}

/* The weights that are shipped. */
static void the_shipped_weights_know_their_domains(void **state)
{
    static const struct {
        const char *text;
        const char *label;
    } cases[] = {
        {"What dose of amoxicillin for otitis media in a child?", "medical"},
        {"my code segfaults when I free the linked list, in C", "coding"},
        {"Find the derivative of x^2 sin(x)", "math"},
        {"Write a short story about a dragon who lost her fire", "creative_writing"},
        {"Can my landlord evict me without notice?", "law"},
        {"How do I translate \"good morning\" into Polish?", "translation"},
    };
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    struct fixture x = {.scratch = classifier_scratch_create()};
    (void)state;
    diags_init(&diags, arena);
    assert_int_equal(classifier_load("conf/models/domains.edm", &diags, &x.classifier), ST_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct classifier_result r = score_text(&x, str_from(cases[i].text));
        test_assert_str(classifier_label(x.classifier, r.best), str_from(cases[i].label));
    }
    classifier_unref(x.classifier);
    classifier_scratch_destroy(x.scratch);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(known_words_decide, prepare, clean),
        cmocka_unit_test_setup_teardown(no_features_give_the_priors, prepare, clean),
        cmocka_unit_test_setup_teardown(probabilities_add_up_to_one, prepare, clean),
        cmocka_unit_test_setup_teardown(unknown_text_is_recognised, prepare, clean),
        cmocka_unit_test_setup_teardown(results_are_the_same_bits_everywhere, prepare, clean),
        cmocka_unit_test_setup_teardown(scratch_leaves_no_trace, prepare, clean),
        cmocka_unit_test_setup_teardown(a_heavier_segment_wins, prepare, clean),
        cmocka_unit_test_setup_teardown(a_segment_without_weight_is_not_there, prepare, clean),
        cmocka_unit_test_setup_teardown(saying_it_twice_changes_nothing, prepare, clean),
        cmocka_unit_test_setup_teardown(the_order_of_different_weights_does_not_matter, prepare,
                                        clean),
        cmocka_unit_test_setup_teardown(many_segments_stay_within_the_ceiling, prepare, clean),
        cmocka_unit_test_setup_teardown(explanations_add_up_to_the_logit, prepare, clean),
        cmocka_unit_test_setup_teardown(meaning_joins_spelling_and_both_are_explained, prepare,
                                        clean),
        cmocka_unit_test_setup_teardown(explanations_name_the_heaviest_first, prepare, clean),
        cmocka_unit_test(uncertainty_treats_general_as_not_knowing),
        cmocka_unit_test_setup_teardown(references_keep_it_alive, prepare, clean),
        cmocka_unit_test(missing_files_and_memory_are_reported),
        cmocka_unit_test(the_shipped_weights_know_their_domains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
