/* Categories from twenty lines, on the shipped weights and background: floors well below the figures
 * of docs/classifier.md, which bench/categories_bench measures. */
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/mem.h"
#include "router/custom.h"
#include "tests/support/test.h"

#define TOPICS "tests/unit/router/data/categories/"

enum {
    EXAMPLES = 20,
    LINES = 50,
};

struct sample {
    struct arena *arena;
    struct diags diags;
    struct classifier *classifier;
    struct classifier_scratch *scratch;
    struct str background;
    struct str file;
    struct custom_line lines[LINES];
    size_t count;
    struct custom *custom;
    uint32_t *hashes; /* in arena */
    size_t hash_count;
    struct classifier_result result;
};

static void init(struct sample *s, const char *topic)
{
    struct str line;
    memset(s, 0, sizeof *s);
    s->arena = arena_create(4096, 1 << 20);
    diags_init(&s->diags, s->arena);
    s->hashes = arena_alloc(s->arena, CUSTOM_HASHES_MAX * sizeof *s->hashes);
    s->scratch = classifier_scratch_create();
    assert_int_equal(classifier_load("conf/models/domains.edm", &s->diags, &s->classifier), ST_OK);
    assert_int_equal(file_map("conf/models/background.txt", &s->diags, &s->background), ST_OK);
    assert_int_equal(file_map(topic, &s->diags, &s->file), ST_OK);
    for (struct str rest = s->file; s->count < LINES && str_split(rest, '\n', &line, &rest);) {
        s->lines[s->count].line = (int)s->count + 1;
        s->lines[s->count++].text = line;
    }
}

static void fini(struct sample *s)
{
    custom_destroy(s->custom);
    file_unmap(s->file);
    file_unmap(s->background);
    classifier_scratch_destroy(s->scratch);
    classifier_unref(s->classifier);
    arena_destroy(s->arena);
}

static enum status fit(struct sample *s)
{
    struct custom_source source = {s->lines, EXAMPLES, SIZE_MAX, SIZE_MAX};
    return custom_fit(s->classifier, s->background, &source, 1, &s->custom);
}

/* The probability that the text belongs to the one source. */
static float ask(struct sample *s, struct str text)
{
    struct classifier_segment segment = {text, 1.0F};
    float p[CUSTOM_MAX];
    classifier_score(s->classifier, s->scratch, &segment, 1, &s->result);
    s->hash_count = classifier_hashes(s->scratch, &segment, 1, s->hashes, CUSTOM_HASHES_MAX);
    assert_int_equal(custom_judge(s->custom, s->hashes, s->hash_count, &s->result, p), 0);
    return p[0];
}

static void twenty_lines_take_what_is_like_them(void **state)
{
    struct sample s;
    size_t taken = 0;
    (void)state;
    init(&s, TOPICS "radiology.txt");

    assert_int_equal(fit(&s), ST_OK);

    for (size_t i = EXAMPLES; i < s.count; i++) {
        taken += ask(&s, s.lines[i].text) >= CUSTOM_TAKES;
    }
    assert_true(taken * 10 >= (s.count - EXAMPLES) * 5);
    fini(&s);
}

static void background_prompts_stay(void **state)
{
    struct sample s;
    struct str line;
    size_t prompts = 0;
    size_t taken = 0;
    (void)state;
    init(&s, TOPICS "sailing.txt");

    assert_int_equal(fit(&s), ST_OK);

    for (struct str rest = s.background; str_split(rest, '\n', &line, &rest);) {
        prompts++;
        taken += ask(&s, line) >= CUSTOM_TAKES;
    }
    assert_true(prompts > 2000);
    assert_true(taken * 100 <= prompts);
    fini(&s);
}

static void the_same_lines_give_the_same_bits(void **state)
{
    struct sample a;
    struct sample b;
    (void)state;
    init(&a, TOPICS "wine.txt");
    init(&b, TOPICS "wine.txt");

    assert_int_equal(fit(&a), ST_OK);
    assert_int_equal(fit(&b), ST_OK);

    for (size_t i = 0; i < a.count; i++) {
        float x = ask(&a, a.lines[i].text);
        float y = ask(&b, b.lines[i].text);
        assert_memory_equal(&x, &y, sizeof x);
    }
    fini(&a);
    fini(&b);
}

static void the_nearest_example_of_an_example_is_itself(void **state)
{
    struct sample s;
    (void)state;
    init(&s, TOPICS "aviation.txt");

    assert_int_equal(fit(&s), ST_OK);

    for (size_t i = 0; i < EXAMPLES; i++) {
        (void)ask(&s, s.lines[i].text);
        assert_int_equal(custom_nearest(s.custom, 0, s.hashes, s.hash_count, s.result.vector),
                         s.lines[i].line);
    }
    fini(&s);
}

static void the_evidence_is_sorted_and_names_features(void **state)
{
    struct sample s;
    struct classifier_evidence evidence[5];
    bool has_word = false;
    (void)state;
    init(&s, TOPICS "radiology.txt");

    assert_int_equal(fit(&s), ST_OK);
    (void)ask(&s, s.lines[0].text);
    size_t n = custom_explain(s.custom, 0, s.hashes, s.hash_count, s.result.vector, evidence, 5);

    assert_int_equal(n, 5);
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || evidence[i - 1].weight >= evidence[i].weight);
        has_word = has_word || str_starts_with(evidence[i].feature, STR("letters")) ||
                   str_starts_with(evidence[i].feature, STR("word")) ||
                   str_starts_with(evidence[i].feature, STR("pair"));
    }
    assert_true(has_word);
    fini(&s);
}

static void figures_come_from_lines_not_seen(void **state)
{
    struct sample s;
    (void)state;
    init(&s, TOPICS "radiology.txt");

    assert_int_equal(fit(&s), ST_OK);

    const struct custom_figures *f = custom_figures_of(s.custom, 0);
    assert_int_equal(f->lines, EXAMPLES);
    assert_true(f->recall > 0.1 && f->recall < 1.0);
    assert_true(f->moved < 2.0 * CUSTOM_MOVED);
    assert_true(f->precision > 0.5 && f->precision < 1.0);
    assert_int_equal(f->confused_count, CUSTOM_CONFUSED_MAX);
    assert_true(f->confused[0].count >= f->confused[1].count);
    assert_true(f->confused[0].label < classifier_label_count(s.classifier));
    fini(&s);
}

static void too_small_a_background_is_refused(void **state)
{
    struct sample s;
    (void)state;
    init(&s, TOPICS "wine.txt");
    struct custom_source source = {s.lines, EXAMPLES, SIZE_MAX, SIZE_MAX};

    enum status st = custom_fit(s.classifier, STR("# few\none\ntwo\n"), &source, 1, &s.custom);

    assert_int_equal(st, ST_INVALID);
    fini(&s);
}

static void no_memory_leaves_nothing_behind(void **state)
{
    struct sample s;
    (void)state;
    init(&s, TOPICS "wine.txt");
    struct str all = s.background;
    s.background = str_slice(all, 0, 40000);

    enum status st = ST_NO_MEMORY;
    for (uint64_t n = 1; st != ST_OK; n++) {
        mem_fail_at(n, 1);
        st = fit(&s);
        mem_fail_at(0, 0);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
    }
    s.background = all;
    fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twenty_lines_take_what_is_like_them),
        cmocka_unit_test(background_prompts_stay),
        cmocka_unit_test(the_same_lines_give_the_same_bits),
        cmocka_unit_test(the_nearest_example_of_an_example_is_itself),
        cmocka_unit_test(the_evidence_is_sorted_and_names_features),
        cmocka_unit_test(figures_come_from_lines_not_seen),
        cmocka_unit_test(too_small_a_background_is_refused),
        cmocka_unit_test(no_memory_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
