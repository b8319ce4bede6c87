/* Routing tables: what holds between blocks, and every mistake with its place. */
#include "router/routes.h"
#include "tests/support/routes_sample.h"
#include "tests/support/test.h"

#define EXPERTS                                                                                    \
    "experts:\n"                                                                                   \
    "  small-8b: {url: 'http://127.0.0.1:9/v1'}\n"                                                 \
    "  med-70b: {url: 'http://127.0.0.1:9/v1'}\n"
#define GENERAL "categories: {general: {experts: [{expert: small-8b}]}}\n"
#define MEDICAL                                                                                    \
    "categories:\n"                                                                                \
    "  general: {experts: [{expert: small-8b}]}\n"                                                 \
    "  medical: {experts: [{expert: med-70b, score: 0.9}, {expert: small-8b}]}\n"
#define MODEL "router: {model: conf/models/domains.edm}\n"

static void load_ok(struct routes_sample *s, const char *yaml)
{
    enum status st = routes_sample_load(s, yaml);
    if (st != ST_OK) {
        fail_msg("%s: %s", status_text(st), s->messages);
    }
}

struct mistake {
    const char *yaml;
    const char *message; /* from the position on */
};

static void check_mistakes(const struct mistake *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct routes_sample s;
        enum status st = routes_sample_load(&s, cases[i].yaml);
        if (st != ST_INVALID || strstr(s.messages, cases[i].message) == NULL) {
            fail_msg("want \"%s\", got %s:\n%s", cases[i].message, status_text(st), s.messages);
        }
        routes_sample_fini(&s);
    }
}

#define CHECK(cases) check_mistakes(cases, sizeof(cases) / sizeof(cases)[0])

static void names_lead_to_experts_categories_and_aliases(void **state)
{
    struct routes_sample s;
    (void)state;

    load_ok(&s, EXPERTS "aliases: {fast: [small-8b, med-70b]}\n" MEDICAL);

    const struct category *medical = routes_category(&s.routes, STR("medical"));
    const struct category_expert *first = medical->experts.items;
    const struct alias *fast = routes_alias(&s.routes, STR("fast"));
    assert_ptr_equal(first->expert, routes_expert(&s.routes, STR("med-70b")));
    assert_ptr_equal(fast->experts[1], routes_expert(&s.routes, STR("med-70b")));
    assert_ptr_equal(s.routes.general, routes_category(&s.routes, STR("general")));
    assert_null(routes_expert(&s.routes, STR("fast")));
    assert_null(routes_category(&s.routes, STR("small-8b")));
    routes_sample_fini(&s);
}

static void experts_alone_are_enough(void **state)
{
    struct routes_sample s;
    (void)state;

    load_ok(&s, EXPERTS);

    assert_null(s.routes.general);
    assert_int_equal(s.routes.policies.plan.attempts, 3);
    routes_sample_fini(&s);
}

static void unknown_experts_are_reported_with_the_nearest_name(void **state)
{
    static const struct mistake cases[] = {
        {EXPERTS "aliases: {fast: [smal-8b]}\n",
         "4:11: unknown expert \"smal-8b\", did you mean \"small-8b\"?"},
        {EXPERTS "aliases: {fast: [small-8b, zebra]}\n", "4:11: unknown expert \"zebra\"\n"},
        {EXPERTS "categories: {general: {experts: [{expert: med-7b}]}}\n",
         "4:34: unknown expert \"med-7b\", did you mean \"med-70b\"?"},
        {EXPERTS GENERAL "rules: [{when: {text: x}, expert: med-70}]\n",
         "5:9: unknown expert \"med-70\", did you mean \"med-70b\"?"},
    };
    (void)state;
    CHECK(cases);
}

static void unknown_categories_are_reported(void **state)
{
    static const struct mistake cases[] = {
        {EXPERTS MEDICAL "rules: [{when: {text: x}, category: medicl}]\n",
         "7:9: unknown category \"medicl\", did you mean \"medical\"?"},
        {EXPERTS "categories: {medical: {experts: [{expert: med-70b}]}}\n",
         "4:14: there is no category \"general\" (router.general)"},
        {EXPERTS "router: {general: misc}\n" MEDICAL,
         "6:3: there is no category \"misc\" (router.general)"},
        {EXPERTS "categories: {general: {experts: []}}\n",
         "4:14: category \"general\" has no experts"},
        {EXPERTS "categories: {general: {experts: [{expert: small-8b}], split: [{expert: med-70b, "
                 "percent: 5}]}}\n",
         "\"med-70b\" is no expert of category \"general\": a split draws among those"},
        {EXPERTS "categories: {general: {experts: [{expert: small-8b}], split: [{expert: small-8b, "
                 "percent: 60}, {expert: small-8b, percent: 41}]}}\n",
         "the split of category \"general\" adds up to 101 percent"},
        {EXPERTS "categories: {general: {}}\n", "category \"general\" has no experts"},
    };
    (void)state;
    CHECK(cases);
}

static void names_that_clients_could_not_reach_are_refused(void **state)
{
    static const struct mistake cases[] = {
        {EXPERTS "aliases: {small-8b: [med-70b]}\n",
         "4:11: alias \"small-8b\" has the name of something else"},
        {EXPERTS "aliases: {auto: [med-70b]}\n",
         "4:11: alias \"auto\" has the name of something else"},
        {EXPERTS "aliases: {category/law: [med-70b]}\n",
         "4:11: alias \"category/law\" has the name of something else"},
        {"experts: {auto: {url: 'http://h/v1'}}\n", "1:11: an expert cannot be called \"auto\""},
        {"experts: {category/x: {url: 'http://h/v1'}}\n",
         "1:11: an expert cannot be called \"category/x\""},
    };
    (void)state;
    CHECK(cases);
}

static void malformed_blocks_are_refused(void **state)
{
    static const struct mistake cases[] = {
        {GENERAL, "lacks the required key \"experts\""},
        {EXPERTS "aliases: [small-8b]\n", "4:10: \"aliases\" must be a mapping"},
        {EXPERTS "aliases: {fast: small-8b}\n", "4:17: alias \"fast\" must be a list of experts"},
        {EXPERTS "aliases: {fast: []}\n", "4:17: alias \"fast\" must be a list of experts"},
        {EXPERTS "aliases: {fast: [[small-8b]]}\n", "unknown expert \"\""},
        {EXPERTS "router: {treshold: 0.5}\n", "did you mean \"threshold\"?"},
        {EXPERTS "router: {threshold: 1.5}\n", "4:21: "},
        {EXPERTS "policies: {attempts: 0}\n", "4:22: "},
        {EXPERTS "categories: {general: {experts: [{expert: small-8b, score: 2}]}}\n", "4:60: "},
        {EXPERTS "router: {model: conf/models/none.edm}\n" GENERAL, "none.edm"},
        {EXPERTS "router: {model: CMakeLists.txt}\n" GENERAL, "CMakeLists.txt"},
    };
    (void)state;
    CHECK(cases);
}

static void bad_rules_are_refused(void **state)
{
    static const struct mistake cases[] = {
        {EXPERTS "rules: [{expert: med-70b}]\n", "4:9: this rule has nothing under \"when\""},
        {EXPERTS "rules: [{when: {}, expert: med-70b}]\n",
         "4:9: this rule has nothing under \"when\""},
        {EXPERTS "rules: [{when: {text: x}}]\n",
         "4:9: a rule needs either a category or an expert"},
        {EXPERTS GENERAL "rules: [{when: {text: x}, expert: med-70b, category: general}]\n",
         "5:9: a rule needs either a category or an expert"},
        {EXPERTS "rules: [{when: {text: '(a'}, expert: med-70b}]\n",
         "4:9: the pattern of this rule does not compile, at character 3: missing"},
        {EXPERTS "rules: [{when: {text: 'a\\Cb'}, expert: med-70b}]\n", "does not compile"},
        {EXPERTS "rules: [{when: {header: x}, expert: med-70b}]\n",
         "4:25: \"header\" must be a mapping of header names"},
        {EXPERTS "rules: [{when: {header: {}}, expert: med-70b}]\n",
         "4:25: \"header\" must be a mapping of header names"},
        {EXPERTS "rules: [{when: {header: {x-a: [b]}}, expert: med-70b}]\n",
         "4:31: the value of header \"x-a\" must be a text"},
    };
    (void)state;
    CHECK(cases);
}

static void what_tells_no_language_is_refused(void **state)
{
    static const struct mistake cases[] = {
        {EXPERTS GENERAL "router: {multilingual: general}\n",
         "router.multilingual needs router.languages"},
        {EXPERTS GENERAL "router: {languages: conf/models/languages.edl, multilingual: many}\n",
         "there is no category \"many\" (router.multilingual)"},
        {EXPERTS GENERAL "router: {code: kode}\n", "there is no category \"kode\" (router.code)"},
        {EXPERTS GENERAL "router: {languages: conf/models/domains.edm}\n",
         "is no file of language tables"},
        {EXPERTS GENERAL "router: {languages: no/such.edl}\n", "no/such.edl"},
        {"experts: {a: {url: 'http://127.0.0.1:9/v1', languages: [en]}}\n",
         "expert \"a\" has languages, which needs router.languages"},
        {"experts: {a: {url: 'http://127.0.0.1:9/v1', languages: [en, english]}}\n"
         "router: {languages: conf/models/languages.edl}\n",
         "expert \"a\" has the language \"english\""},
    };

    (void)state;
    CHECK(cases);
}

static void all_mistakes_of_a_file_are_reported_at_once(void **state)
{
    struct routes_sample s;
    (void)state;

    assert_int_equal(routes_sample_load(&s, EXPERTS
                                        "aliases: {fast: [small]}\n"
                                        "categories: {medical: {experts: [{expert: nobody}]}}\n"
                                        "rules: [{when: {text: '('}, category: law}]\n"),
                     ST_INVALID);

    assert_int_equal(s.diags.errors, 5);
    routes_sample_fini(&s);
}

static void categories_that_nothing_leads_to_are_warned_of(void **state)
{
    struct routes_sample s;
    (void)state;

    load_ok(&s, EXPERTS MODEL "categories:\n"
                              "  general: {experts: [{expert: small-8b}]}\n"
                              "  medical: {experts: [{expert: small-8b}]}\n"
                              "  radiology: {experts: [{expert: small-8b}]}\n"
                              "  cardiology: {experts: [{expert: med-70b}]}\n"
                              "rules: [{when: {text: x-ray}, category: radiology}]\n");

    assert_string_equal(
        s.messages,
        "c.yaml:9:3: warning: category \"cardiology\" is no label of the classifier, has no examples, "
        "and no rule names it: only clients that ask for category/cardiology get "
        "there\n");
    routes_sample_fini(&s);
}

#define GENERAL_ROW "  general: {experts: [{expert: small-8b}]}\n"
#define MEDICAL_ROW "  medical: {experts: [{expert: med-70b}], threshold: 0.7}\n"
#define RADIOLOGY   "conf/examples/radiology.txt"

static void labels_rename_and_merge_categories(void **state)
{
    struct routes_sample s;
    (void)state;

    load_ok(&s, EXPERTS MODEL "categories:\n" GENERAL_ROW
                              "  life: {labels: [medical, biology], experts: [{expert: med-70b}]}\n"
                              "  biology: {labels: chemistry, experts: [{expert: small-8b}]}\n"
                              "tests:\n"
                              "  - {prompt: which antibiotic helps against pneumonia, expect: "
                              "{category: life}}\n");

    for (size_t i = 0; i < classifier_label_count(s.routes.classifier); i++) {
        struct str label = classifier_label(s.routes.classifier, i);
        const struct category *category = s.routes.label_categories[i];
        if (str_eq(label, STR("medical")) || str_eq(label, STR("biology"))) {
            assert_ptr_equal(category, routes_category(&s.routes, STR("life")));
        }
        if (str_eq(label, STR("law"))) {
            assert_null(category);
        }
    }
    routes_sample_fini(&s);
}

static void a_part_of_a_category_inherits(void **state)
{
    struct routes_sample s;
    (void)state;

    load_ok(&s, EXPERTS MODEL "categories:\n" GENERAL_ROW MEDICAL_ROW
                              "  radiology: {parent: medical, examples: " RADIOLOGY "}\n"
                              "tests:\n"
                              "  - {prompt: What does ground-glass opacity mean on a chest CT "
                              "report?, expect: {category: radiology, expert: med-70b}}\n"
                              "  - {prompt: write a limerick about a lazy cat, expect: {expert: "
                              "small-8b}}\n");

    const struct category *radiology = routes_category(&s.routes, STR("radiology"));
    assert_ptr_equal(radiology->parent, routes_category(&s.routes, STR("medical")));
    assert_true(radiology->threshold > 0.69 && radiology->threshold < 0.71);
    assert_int_equal(radiology->experts.count, 1);
    routes_sample_fini(&s);
}

static void parts_of_a_category_have_its_edits_unless_they_say_their_own(void **state)
{
    struct routes_sample s;
    (void)state;
    assert_int_equal(routes_sample_load(&s, EXPERTS MODEL
                                        "categories:\n" GENERAL_ROW
                                        "  medical: {experts: [{expert: small-8b}], prompt: "
                                        "{text: careful}, cache: {ttl_s: 9}, params: "
                                        "{caps: {max_tokens: 7}}}\n"
                                        "  radiology: {parent: medical, examples: " RADIOLOGY
                                        ", prompt: {text: brief}}\n"),
                     ST_OK);

    const struct category *part = routes_category(&s.routes, STR("radiology"));

    test_assert_str(part->edits.prompt.text, STR("brief"));
    assert_int_equal((int)part->edits.params.caps[EDITS_MAX_TOKENS].value, 7);
    assert_int_equal(part->caching.ttl_s, 9);
    routes_sample_fini(&s);
}

static void mistakes_with_examples_labels_and_parents_are_reported(void **state)
{
    static const struct mistake cases[] = {
        {EXPERTS "categories:\n" GENERAL_ROW
                 "  radiology: {experts: [{expert: med-70b}], examples: " RADIOLOGY "}\n",
         "which need router.model"},
        {EXPERTS MODEL "categories:\n" GENERAL_ROW
                       "  x: {experts: [{expert: med-70b}], examples: [a, b, c]}\n",
         "c.yaml:7:3: a category needs 5 examples at least"},
        {EXPERTS MODEL "categories:\n" GENERAL_ROW
                       "  x: {experts: [{expert: med-70b}], examples: nowhere.txt}\n",
         "nowhere.txt: cannot be read"},
        {EXPERTS MODEL "categories:\n" GENERAL_ROW
                       "  x: {experts: [{expert: med-70b}], labels: [surgery]}\n",
         "no label \"surgery\""},
        {EXPERTS MODEL "categories:\n" GENERAL_ROW
                       "  x: {experts: [{expert: med-70b}], labels: [law]}\n"
                       "  y: {experts: [{expert: med-70b}], labels: [law]}\n",
         "label \"law\" feeds both category \"x\" and category \"y\""},
        {EXPERTS MODEL "categories:\n" GENERAL_ROW "  x: {parent: medicl, examples: " RADIOLOGY
                       "}\n",
         "unknown category \"medicl\""},
        {EXPERTS MODEL "categories:\n" GENERAL_ROW MEDICAL_ROW "  x: {parent: medical}\n",
         "no examples that tell it from the parent"},
        {EXPERTS "router: {model: conf/models/domains.edm, background: " RADIOLOGY "}\n"
                 "categories:\n" GENERAL_ROW
                 "  x: {experts: [{expert: med-70b}], examples: " RADIOLOGY "}\n",
         "fewer than 200 prompts"},
    };
    (void)state;

    CHECK(cases);
}

static void a_test_that_fails_refuses_the_file(void **state)
{
    static const struct mistake cases[] = {
        {EXPERTS MODEL MEDICAL
         "tests: [{prompt: 'What is the right dose of amoxicillin for a child with an ear "
         "infection?', expect: {category: general}}]\n",
         "8:9: this test fails: the prompt goes to category \"medical\""},
        {EXPERTS MODEL MEDICAL
         "tests: [{prompt: 'What is the right dose of amoxicillin for a child with an ear "
         "infection?', expect: {category: medical, expert: small-8b}}]\n",
         "expert \"med-70b\", expected category \"medical\", expert \"small-8b\""},
        {EXPERTS "tests: [{prompt: hi, expect: {expert: small-8b}}]\n",
         "4:9: tests need categories to route to"},
        {"experts: {tiny: {url: 'http://h/v1', context: 16}}\n"
         "categories: {general: {experts: [{expert: tiny}]}}\n"
         "tests: [{prompt: hi, expect: {expert: tiny}}]\n",
         "3:9: this test fails"},
        {EXPERTS "categories: {general: {experts: [{expert: small-8b}]}}\n"
                 "tests: [{prompt: hi}]\n",
         "5:9: this test expects nothing"},
    };
    (void)state;
    CHECK(cases);
}

static void tests_that_hold_let_the_file_pass(void **state)
{
    struct routes_sample s;
    (void)state;

    load_ok(&s, EXPERTS MODEL MEDICAL
            "tests:\n"
            "  - prompt: What is the right dose of amoxicillin for a child with an ear infection?\n"
            "    expect: {category: medical, expert: med-70b}\n"
            "  - {prompt: asdf, expect: {category: general}}\n");

    routes_sample_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_to_experts_categories_and_aliases),
        cmocka_unit_test(experts_alone_are_enough),
        cmocka_unit_test(unknown_experts_are_reported_with_the_nearest_name),
        cmocka_unit_test(unknown_categories_are_reported),
        cmocka_unit_test(names_that_clients_could_not_reach_are_refused),
        cmocka_unit_test(malformed_blocks_are_refused),
        cmocka_unit_test(bad_rules_are_refused),
        cmocka_unit_test(what_tells_no_language_is_refused),
        cmocka_unit_test(all_mistakes_of_a_file_are_reported_at_once),
        cmocka_unit_test(categories_that_nothing_leads_to_are_warned_of),
        cmocka_unit_test(labels_rename_and_merge_categories),
        cmocka_unit_test(a_part_of_a_category_inherits),
        cmocka_unit_test(parts_of_a_category_have_its_edits_unless_they_say_their_own),
        cmocka_unit_test(mistakes_with_examples_labels_and_parents_are_reported),
        cmocka_unit_test(a_test_that_fails_refuses_the_file),
        cmocka_unit_test(tests_that_hold_let_the_file_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
