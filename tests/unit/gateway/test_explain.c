/* Explanations: lawful JSON that says what was decided. */
#include <math.h>

#include "gateway/explain.h"
#include "tests/support/json_doc.h"
#include "tests/support/routes_sample.h"
#include "tests/support/test.h"

#define CONF                                                                                       \
    "experts:\n"                                                                                   \
    "  small: {url: 'http://127.0.0.1:9/v1', context: 4000, capabilities: [tools]}\n"              \
    "  med: {url: 'http://127.0.0.1:9/v1', price: {input: 1, output: 1}}\n"                        \
    "router:\n"                                                                                    \
    "  model: conf/models/domains.edm\n"                                                           \
    "  threshold: 0.6\n"                                                                           \
    "  languages: conf/models/languages.edl\n"                                                     \
    "categories:\n"                                                                                \
    "  general: {experts: [{expert: small}]}\n"                                                    \
    "  medical: {experts: [{expert: small, score: 0.7}, {expert: med, score: 0.9}]}\n"             \
    "rules: [{name: 'x \"ray\"', when: {text: XRAY}, category: medical}]\n"
#define MEDICAL_TEXT "What is the right dose of amoxicillin for a child with an ear infection?"

enum {
    TEXT_MAX = 1 << 20
};

struct fixture {
    struct routes_sample sample;
    struct decide_scratch scratch;
    struct arena *arena;
    struct prompt prompt;
    struct decision decision;
    json_t *doc;
};

/* Decides and explains; the document is in f->doc. */
static void explain(struct fixture *f, const char *model, const char *text, unsigned needs)
{
    struct buf out;
    struct rule_facts facts = {.prompt = &f->prompt};
    if (routes_sample_load(&f->sample, CONF) != ST_OK) {
        fail_msg("%s", f->sample.messages);
    }
    assert_int_equal(decide_scratch_init(&f->scratch), ST_OK);
    f->arena = arena_create(4096, TEXT_MAX);
    prompt_from_text(&f->prompt, str_from(model), str_from(text));
    f->prompt.needs = needs;
    enum status st = decide(&f->sample.routes, &f->scratch, &facts, f->arena, &f->decision);
    assert_true(st == ST_OK || st == ST_INVALID);
    buf_init(&out, TEXT_MAX);
    assert_int_equal(explain_write(&out, &f->sample.routes, &f->scratch, &f->prompt, &f->decision),
                     ST_OK);
    f->doc = json_doc_load(buf_str(&out));
    buf_fini(&out);
}

static void stop(struct fixture *f)
{
    json_decref(f->doc);
    decide_scratch_fini(&f->scratch);
    arena_destroy(f->arena);
    routes_sample_fini(&f->sample);
}

static const char *text_at(const struct fixture *f, const char *key)
{
    return json_string_value(json_object_get(f->doc, key));
}

static void kind_and_language_are_explained(void **state)
{
    struct fixture f;
    (void)state;

    explain(&f, "auto", "d41d8cd98f00b204e9800998ecf8427e", 0);
    assert_string_equal(text_at(&f, "source"), "guard");
    assert_string_equal(text_at(&f, "kind"), "noise");
    assert_string_equal(text_at(&f, "kind_reason"), "data such as hex, base64 or identifiers");
    assert_true(json_number_value(json_object_get(f.doc, "kind_score")) > 0.99);
    stop(&f);

    explain(&f, "auto", MEDICAL_TEXT, 0);
    assert_string_equal(text_at(&f, "kind"), "prose");
    assert_null(json_object_get(f.doc, "kind_reason"));
    assert_string_equal(text_at(&f, "language"), "en");
    assert_true(json_number_value(json_object_get(f.doc, "language_confidence")) > 0.9);
    assert_true(json_number_value(json_object_get(f.doc, "is_english")) > 0.9);
    stop(&f);
}

static void a_classified_prompt_is_explained_in_full(void **state)
{
    struct fixture f;
    (void)state;

    explain(&f, "auto", MEDICAL_TEXT, 0);

    assert_string_equal(text_at(&f, "category"), "medical");
    assert_string_equal(text_at(&f, "expert"), "med");
    assert_string_equal(text_at(&f, "source"), "classifier");
    assert_string_equal(text_at(&f, "label"), "medical");
    assert_null(json_object_get(f.doc, "rule"));
    assert_true(json_number_value(json_object_get(f.doc, "confidence")) >= 0.6);
    assert_true(json_number_value(json_object_get(f.doc, "threshold")) > 0.599);
    assert_string_equal(text_at(&f, "uncertainty"), "probability");
    assert_true(json_number_value(json_object_get(f.doc, "certainty")) >= 0.6);
    assert_null(json_object_get(f.doc, "set"));
    assert_true(json_is_number(json_object_get(f.doc, "entropy")));
    assert_int_equal(json_integer_value(json_object_get(f.doc, "prompt_tokens_estimate")),
                     (sizeof MEDICAL_TEXT - 1 + 3) / 4);
    stop(&f);
}

static void the_conversation_is_explained(void **state)
{
    struct fixture f;
    (void)state;

    explain(&f, "auto", MEDICAL_TEXT, 0);

    const json_t *talk = json_object_get(f.doc, "conversation");
    assert_int_equal(json_integer_value(json_object_get(talk, "turns")), 1);
    assert_true(json_is_false(json_object_get(talk, "changed")));
    assert_string_equal(json_string_value(json_object_get(talk, "why")),
                        "the conversation starts here");
    assert_string_equal(json_string_value(json_object_get(talk, "alone")), "medical");
    assert_true(json_number_value(json_object_get(talk, "alone_probability")) >= 0.6);
    stop(&f);
}

static void scores_name_all_labels_and_sum_to_one(void **state)
{
    struct fixture f;
    double sum = 0;
    size_t i;
    json_t *item;
    (void)state;

    explain(&f, "auto", MEDICAL_TEXT, 0);

    json_t *scores = json_object_get(f.doc, "scores");
    assert_int_equal(json_array_size(scores), classifier_label_count(f.sample.routes.classifier));
    json_array_foreach (scores, i, item) {
        assert_true(json_string_length(json_object_get(item, "label")) > 0);
        sum += json_number_value(json_object_get(item, "probability"));
    }
    assert_true(fabs(sum - 1.0) < 0.002); /* each is rounded to four places */
    stop(&f);
}

static void evidence_names_features_heaviest_first(void **state)
{
    struct fixture f;
    double last = HUGE_VAL;
    bool has_word = false;
    size_t i;
    json_t *item;
    (void)state;

    explain(&f, "auto", MEDICAL_TEXT, 0);

    json_t *evidence = json_object_get(f.doc, "evidence");
    assert_true(json_array_size(evidence) > 0 && json_array_size(evidence) <= EXPLAIN_EVIDENCE);
    json_array_foreach (evidence, i, item) {
        const char *feature = json_string_value(json_object_get(item, "feature"));
        double weight = json_number_value(json_object_get(item, "weight"));
        assert_true(weight <= last);
        last = weight;
        has_word = has_word || strstr(feature, "amoxicillin") != NULL;
    }
    assert_true(has_word);
    stop(&f);
}

static void candidates_carry_verdicts_and_the_plan_only_who_is_in(void **state)
{
    struct fixture f;
    (void)state;

    explain(&f, "category/medical", "what is on this picture?", POLICY_VISION);

    json_t *candidates = json_object_get(f.doc, "candidates");
    json_t *in = json_array_get(candidates, 0);
    json_t *out = json_array_get(candidates, 1);
    assert_string_equal(json_string_value(json_object_get(in, "verdict")), "keep");
    assert_null(json_object_get(in, "policy"));
    assert_true(json_number_value(json_object_get(in, "cost_usd")) > 0);
    assert_string_equal(json_string_value(json_object_get(out, "expert")), "small");
    assert_string_equal(json_string_value(json_object_get(out, "verdict")), "drop");
    assert_string_equal(json_string_value(json_object_get(out, "policy")), "capability");
    assert_non_null(strstr(json_string_value(json_object_get(out, "reason")), "vision"));
    json_t *plan = json_object_get(f.doc, "plan");
    assert_int_equal(json_array_size(plan), 1);
    assert_string_equal(json_string_value(json_array_get(plan, 0)), "med");
    assert_int_equal(json_array_size(json_object_get(f.doc, "scores")), 0);
    stop(&f);
}

static void a_rule_is_named(void **state)
{
    struct fixture f;
    (void)state;

    explain(&f, "auto", "XRAY", 0);

    assert_string_equal(text_at(&f, "source"), "rule");
    assert_string_equal(text_at(&f, "rule"), "x \"ray\"");
    assert_null(json_object_get(f.doc, "label"));
    stop(&f);
}

static void a_refusal_is_explained_as_well(void **state)
{
    struct fixture f;
    (void)state;

    explain(&f, "small", "listen", POLICY_AUDIO);

    assert_string_equal(text_at(&f, "expert"), "");
    assert_string_equal(text_at(&f, "category"), "");
    assert_int_equal(json_array_size(json_object_get(f.doc, "plan")), 0);
    assert_int_equal(json_array_size(json_object_get(f.doc, "candidates")), 1);
    stop(&f);
}

static void a_full_buffer_is_reported(void **state)
{
    struct fixture f;
    struct buf out;
    (void)state;
    explain(&f, "auto", MEDICAL_TEXT, 0);
    for (size_t max = 1; max < 900; max += 13) {
        buf_init(&out, max);
        enum status st = explain_write(&out, &f.sample.routes, &f.scratch, &f.prompt, &f.decision);
        assert_int_equal(st, ST_TOO_BIG);
        buf_fini(&out);
    }
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kind_and_language_are_explained),
        cmocka_unit_test(a_classified_prompt_is_explained_in_full),
        cmocka_unit_test(the_conversation_is_explained),
        cmocka_unit_test(scores_name_all_labels_and_sum_to_one),
        cmocka_unit_test(evidence_names_features_heaviest_first),
        cmocka_unit_test(candidates_carry_verdicts_and_the_plan_only_who_is_in),
        cmocka_unit_test(a_rule_is_named),
        cmocka_unit_test(a_refusal_is_explained_as_well),
        cmocka_unit_test(a_full_buffer_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
