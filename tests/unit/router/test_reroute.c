/* The rerouting attack, on a scorer made by hand and on the weights that ship. */
#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "router/prompts.h"
#include "router/reroute.h"
#include "router/steer.h"
#include "tests/support/test.h"

enum {
    LABELS = 2,
    TARGET = 1,
};

/* Label 1 has probability .1 and .3 more for each different "magic" word before the '|' of a text. */
static void score_by_magic(void *ctx, struct str text, struct classifier_result *ret_result)
{
    static const char *const magic[] = {"abra", "cadabra"};
    (void)ctx;
    struct str gadget = str_slice(text, 0, str_find_char(text, '|'));
    float p = 0.1F;
    for (size_t i = 0; i < 2; i++) {
        p += str_find(gadget, str_from(magic[i])) < gadget.len ? 0.3F : 0.0F;
    }
    *ret_result = (struct classifier_result){.count = LABELS, .p = {1.0F - p, p}};
    ret_result->best = p > 0.5F ? 1 : 0;
}

static struct reroute *small_attack(double threshold)
{
    struct reroute_options options = {.words = 4,
                                      .rounds = 3,
                                      .candidates = 20,
                                      .seed = 1,
                                      .threshold = threshold,
                                      .score = score_by_magic};
    struct reroute *r = reroute_create(&options);
    assert_non_null(r);
    assert_int_equal(reroute_add_words(r, STR("one two three four five simsala"), 0), ST_OK);
    assert_int_equal(reroute_add_words(r, STR("bim cadabra, (x) abra."), TARGET), ST_OK);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(reroute_add_prompt(r, STR("|a prompt")), ST_OK);
    }
    return r;
}

static void the_climb_finds_the_words_that_count(void **state)
{
    struct reroute *r = small_attack(0.55);
    struct reroute_result result;
    struct buf gadget;
    (void)state;
    buf_init(&gadget, 1000);

    assert_int_equal(reroute_run(r, TARGET, &gadget, &result), ST_OK);

    assert_true(str_find(buf_str(&gadget), STR("abra")) < gadget.len);
    assert_true(str_find(buf_str(&gadget), STR("cadabra")) < gadget.len);
    assert_int_equal(result.prompts, 3); /* half of six */
    assert_int_equal(result.moved, 3);
    buf_fini(&gadget);
    reroute_destroy(r);
}

/* .7 at best: the label flips, but a threshold of .8 holds. */
static void below_the_threshold_nothing_is_moved(void **state)
{
    struct reroute *r = small_attack(0.8);
    struct reroute_result result;
    struct buf gadget;
    (void)state;
    buf_init(&gadget, 1000);

    assert_int_equal(reroute_run(r, TARGET, &gadget, &result), ST_OK);

    assert_int_equal(result.moved, 0);
    assert_int_equal(result.flipped, 3);
    buf_fini(&gadget);
    reroute_destroy(r);
}

static void without_words_or_prompts_there_is_no_attack(void **state)
{
    struct reroute_options options = {
        .words = 2, .rounds = 1, .candidates = 1, .score = score_by_magic};
    struct reroute *r = reroute_create(&options);
    struct reroute_result result;
    struct buf gadget;
    (void)state;
    buf_init(&gadget, 100);

    assert_int_equal(reroute_run(r, TARGET, &gadget, &result), ST_INVALID);
    assert_int_equal(reroute_add_words(r, STR("some words"), 0), ST_OK);
    assert_int_equal(reroute_run(r, TARGET, &gadget, &result), ST_INVALID);

    buf_fini(&gadget);
    reroute_destroy(r);
}

struct shipped {
    struct classifier *classifier;
    struct classifier_scratch *scratch;
    struct reroute *reroute;
    float least;
    size_t general;
    size_t prompts;
};

static size_t index_of(const struct classifier *c, struct str label)
{
    size_t i = 0;
    while (i < classifier_label_count(c) && !str_eq(classifier_label(c, i), label)) {
        i++;
    }
    return i;
}

static void score_shipped(void *ctx, struct str text, struct classifier_result *ret_result)
{
    struct shipped *x = ctx;
    struct classifier_segment segment = {text, 1.0F};
    classifier_score(x->classifier, x->scratch, &segment, 1, ret_result);
    if (steer_is_doubtful(x->classifier, x->scratch, text, ret_result, x->least)) {
        steer_doubt(ret_result, x->general);
    }
}

static enum status on_prompt(void *ctx, const struct prompts_row *prompt)
{
    struct shipped *x = ctx;
    if (!str_eq(prompt->lang, STR("en"))) {
        return ST_OK;
    }
    size_t label = index_of(x->classifier, prompt->label);
    enum status st = reroute_add_words(x->reroute, prompt->text, label);
    return st == ST_OK && x->prompts++ < 60 ? reroute_add_prompt(x->reroute, prompt->text) : st;
}

/* Share of prompts that gadgets for three categories move. */
static double moved_share(struct shipped *x, const char *path, struct diags *diags)
{
    static const char *const targets[] = {"medical", "law", "coding"};
    struct reroute_options options = {.words = 10,
                                      .rounds = 1,
                                      .candidates = 8,
                                      .seed = 1,
                                      .threshold = 0.55,
                                      .score = score_shipped,
                                      .ctx = x};
    double share = 0.0;
    x->reroute = reroute_create(&options);
    x->prompts = 0;
    assert_non_null(x->reroute);
    assert_int_equal(prompts_read(path, diags, on_prompt, x), ST_OK);
    for (size_t i = 0; i < 3; i++) {
        struct buf gadget;
        struct reroute_result r;
        buf_init(&gadget, 1000);
        size_t target = index_of(x->classifier, str_from(targets[i]));
        assert_int_equal(reroute_run(x->reroute, target, &gadget, &r), ST_OK);
        assert_true(r.prompts > 20);
        share += (double)r.moved / (double)r.prompts / 3.0;
        buf_fini(&gadget);
    }
    reroute_destroy(x->reroute);
    return share;
}

/* The attacker knows of the second look and climbs on what it lets through. */
static void a_second_look_holds_more_than_a_third_of_what_would_be_moved(void **state)
{
    char path[512];
    struct shipped x = {0};
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    const char *shared = test_shared_dir();
    (void)state;
    diags_init(&diags, arena);
    (void)snprintf(path, sizeof path, "%s/data/corpus/authored_dev.jsonl",
                   shared != NULL ? shared : "");
    if (shared == NULL || access(path, R_OK) != 0) {
        (void)fprintf(stderr, "SKIPPED: no corpus\n");
        arena_destroy(arena);
        skip();
    }
    assert_int_equal(classifier_load("conf/models/domains.edm", &diags, &x.classifier), ST_OK);
    x.scratch = classifier_scratch_create();
    x.general = index_of(x.classifier, STR("general"));

    double open = moved_share(&x, path, &diags);
    x.least = 0.035F;
    double defended = moved_share(&x, path, &diags);

    if (!(defended < open * 0.65)) {
        fail_msg("moved %.3f, with a second look %.3f", open, defended);
    }
    classifier_scratch_destroy(x.scratch);
    classifier_unref(x.classifier);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_climb_finds_the_words_that_count),
        cmocka_unit_test(below_the_threshold_nothing_is_moved),
        cmocka_unit_test(without_words_or_prompts_there_is_no_attack),
        cmocka_unit_test(a_second_look_holds_more_than_a_third_of_what_would_be_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
