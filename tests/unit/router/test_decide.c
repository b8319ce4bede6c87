/* The decision: who decides, which experts in which order, and what comes of unknown names. */
#include <unistd.h>

#include "base/mem.h"
#include "router/decide.h"
#include "tests/support/routes_sample.h"
#include "tests/support/test.h"
#include "tests/support/weights_sample.h"

#define CONF                                                                                       \
    "experts:\n"                                                                                   \
    "  small: {url: 'http://127.0.0.1:9/v1', context: 4000, capabilities: [tools]}\n"              \
    "  med: {url: 'http://127.0.0.1:9/v1', price: {input: 100, output: 100}}\n"                    \
    "  eyes: {url: 'http://127.0.0.1:9/v1', context: 4000, capabilities: [vision, json]}\n"        \
    "aliases: {fast: [small, med], slow: [med, eyes, small]}\n"                                    \
    "router: {model: conf/models/domains.edm, threshold: 0.6}\n"                                   \
    "categories:\n"                                                                                \
    "  general: {experts: [{expert: small, score: 0.5}, {expert: eyes, score: 0.6}]}\n"            \
    "  medical: {experts: [{expert: small, score: 0.7}, {expert: med, score: 0.9}]}\n"             \
    "rules:\n"                                                                                     \
    "  - {name: secrets, when: {text: SECRET}, expert: small}\n"                                   \
    "  - {name: xray, when: {text: XRAY}, category: medical}\n"                                    \
    "  - {name: legacy, when: {model: gpt-4o}, category: general}\n"
#define MEDICAL_TEXT "What is the right dose of amoxicillin for a child with an ear infection?"
#define LAW_TEXT     "Does the statute of limitations for breach of contract start at the breach?"

struct fixture {
    struct routes_sample sample;
    struct decide_scratch scratch;
    struct arena *arena;
    struct prompt prompt;
    struct decision decision;
};

static void start(struct fixture *f, const char *yaml)
{
    if (routes_sample_load(&f->sample, yaml) != ST_OK) {
        fail_msg("%s", f->sample.messages);
    }
    assert_int_equal(decide_scratch_init(&f->scratch), ST_OK);
    f->arena = arena_create(4096, 1 << 20);
    assert_non_null(f->arena);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    start(&fixture, CONF);
    *state = &fixture;
    return 0;
}

static void stop(struct fixture *f)
{
    decide_scratch_fini(&f->scratch);
    arena_destroy(f->arena);
    routes_sample_fini(&f->sample);
}

static int tear_down(void **state)
{
    stop(*state);
    return 0;
}

static enum status ask(struct fixture *f, const char *model, const char *text)
{
    unsigned needs = f->prompt.needs;
    int64_t max_tokens = f->prompt.max_tokens;
    struct prompt_session session = f->prompt.session;
    double pressure = f->prompt.pressure;
    prompt_from_text(&f->prompt, str_from(model), str_from(text));
    f->prompt.needs = needs;
    f->prompt.max_tokens = max_tokens;
    f->prompt.session = session;
    f->prompt.pressure = pressure;
    struct rule_facts facts = {.prompt = &f->prompt};
    return decide(&f->sample.routes, &f->scratch, &facts, f->arena, &f->decision);
}

/* The plan as "a,b,c". */
static struct str plan_text(struct fixture *f)
{
    struct str text = STR("");
    for (size_t i = 0; i < f->decision.plan.count; i++) {
        text = arena_printf(f->arena, "%.*s%s%.*s", STR_ARG(text), i == 0 ? "" : ",",
                            STR_ARG(f->decision.plan.experts[i]->id.name));
    }
    return text;
}

static void names_decide_in_their_order(void **state)
{
    static const struct {
        const char *model;
        const char *text;
        enum decide_source source;
        const char *category;
        const char *plan;
    } cases[] = {
        {"small", MEDICAL_TEXT, DECIDE_EXPERT, "", "small"},
        {"fast", "hi", DECIDE_ALIAS, "", "small,med"},
        {"slow", "hi", DECIDE_ALIAS, "", "med,eyes,small"},
        {"category/medical", "hi", DECIDE_CATEGORY, "medical", "med,small"},
        {"category/general", MEDICAL_TEXT, DECIDE_CATEGORY, "general", "eyes,small"},
        {"auto", "the SECRET plan", DECIDE_RULE, "", "small"},
        {"auto", "an XRAY please", DECIDE_RULE, "medical", "med,small"},
        {"gpt-4o", MEDICAL_TEXT, DECIDE_RULE, "general", "eyes,small"},
        {"small", "the SECRET plan", DECIDE_EXPERT, "", "small"},
        {"auto", MEDICAL_TEXT, DECIDE_CLASSIFIER, "medical", "med,small"},
        {"auto", LAW_TEXT, DECIDE_GENERAL, "general", "eyes,small"}, /* no category law */
        {"auto", "asdf", DECIDE_CLASSIFIER, "general", "eyes,small"},
        {"auto", "two of them and the other", DECIDE_GENERAL, "general", "eyes,small"},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(ask(f, cases[i].model, cases[i].text), ST_OK);
        if (f->decision.source != cases[i].source ||
            !str_eq(f->decision.category_name, str_from(cases[i].category)) ||
            !str_eq(plan_text(f), str_from(cases[i].plan))) {
            fail_msg("%s, \"%s\": %s, \"%.*s\", %.*s", cases[i].model, cases[i].text,
                     decide_source_text(f->decision.source), STR_ARG(f->decision.category_name),
                     STR_ARG(plan_text(f)));
        }
    }
}

static void unknown_models_are_not_found(void **state)
{
    static const char *const models[] = {"gpt-5", "",      "category/", "category/law",
                                         "AUTO",  "Small", "category",  "small "};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        assert_int_equal(ask(f, models[i], "hi"), ST_NOT_FOUND);
    }
}

static void confidence_is_calibrated_or_one(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask(f, "category/medical", "hi"), ST_OK);
    assert_true(f->decision.confidence > 0.999F && !f->decision.is_classified);
    assert_int_equal(ask(f, "auto", MEDICAL_TEXT), ST_OK);
    assert_true(f->decision.confidence >= 0.6F && f->decision.confidence <= 1.0F);
    assert_true(f->decision.is_classified);
    assert_int_equal(ask(f, "auto", "two of them and the other"), ST_OK);
    assert_true(f->decision.confidence < 0.6F && f->decision.is_classified);
}

static void the_threshold_parts_category_and_general(void **state)
{
    struct fixture f = {0};
    (void)state;
    start(&f, CONF);

    assert_int_equal(ask(&f, "auto", MEDICAL_TEXT), ST_OK);
    float p = f.decision.confidence;
    float *threshold = &f.sample.routes.thresholds.of[f.decision.scores.best];
    *threshold = p;
    assert_int_equal(ask(&f, "auto", MEDICAL_TEXT), ST_OK);
    assert_int_equal(f.decision.source, DECIDE_CLASSIFIER);
    *threshold = p + 1e-6F;
    assert_int_equal(ask(&f, "auto", MEDICAL_TEXT), ST_OK);
    assert_int_equal(f.decision.source, DECIDE_GENERAL);

    stop(&f);
}

static void needs_drop_experts_and_say_why(void **state)
{
    struct fixture *f = *state;
    f->prompt.needs = POLICY_VISION;

    assert_int_equal(ask(f, "slow", "what is on this picture?"), ST_OK);

    const struct policy_candidate *last = &f->decision.candidates[2];
    test_assert_str(plan_text(f), STR("med,eyes"));
    test_assert_str(last->name, STR("small"));
    assert_string_equal(last->dropped_by, "capability");
    assert_string_equal(last->reason, "the prompt needs vision, which the expert does not have");
    assert_ptr_equal(f->decision.experts[2], routes_expert(&f->sample.routes, STR("small")));
}

static void no_expert_left_is_refused_with_all_reasons(void **state)
{
    struct fixture *f = *state;
    f->prompt.max_tokens = 5000;

    assert_int_equal(ask(f, "auto", "hm"), ST_INVALID);

    assert_int_equal(f->decision.plan.count, 0);
    assert_int_equal(f->decision.candidate_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(f->decision.candidates[i].dropped_by, "context");
        assert_string_equal(f->decision.candidates[i].reason,
                            "needs about 5001 tokens of context, the expert has 4000");
    }
}

static void pinned_experts_are_held_to_the_policies(void **state)
{
    struct fixture *f = *state;
    f->prompt.needs = POLICY_AUDIO;

    assert_int_equal(ask(f, "small", "listen"), ST_INVALID);

    assert_string_equal(f->decision.candidates[0].dropped_by, "capability");
}

static void cost_weighs_against_quality(void **state)
{
    struct fixture *f = *state;

    f->sample.routes.policies.cost_weight = 0.01; /* 512 tokens of 100 USD a million: 5 cents */
    assert_int_equal(ask(f, "category/medical", "hi"), ST_OK);
    test_assert_str(plan_text(f), STR("med,small"));
    f->sample.routes.policies.cost_weight = 0.1;
    assert_int_equal(ask(f, "category/medical", "hi"), ST_OK);
    test_assert_str(plan_text(f), STR("small,med"));
    f->sample.routes.policies.cost_weight = 0.0;
}

static void below_the_floor_nobody_answers_however_cheap(void **state)
{
    struct fixture *f = *state;
    f->sample.routes.policies.cost_weight = 0.1;
    f->sample.routes.policies.min_score = 0.8;

    assert_int_equal(ask(f, "category/medical", "hi"), ST_OK);
    test_assert_str(plan_text(f), STR("med"));
    assert_string_equal(f->decision.candidates[1].reason, "scores 0.7, the floor is 0.8");
    assert_int_equal(ask(f, "small", "hi"), ST_OK); /* by its name */
}

static void a_budget_under_pressure_raises_the_weight_of_cost(void **state)
{
    static const struct {
        double pressure;
        const char *plan;
    } cases[] = {{0.0, "med,small"}, {0.3, "med,small"}, {0.5, "small,med"}, {1.0, "small,med"}};
    struct fixture *f = *state;
    f->sample.routes.policies.degrade.weight =
        0.1; /* med costs 5.12 cents more, and is 0.2 better */

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f->prompt.pressure = cases[i].pressure;
        assert_int_equal(ask(f, "category/medical", "hi"), ST_OK);
        test_assert_str(plan_text(f), str_from(cases[i].plan));
        assert_int_equal((int)(f->decision.cost_weight * 1e6 + 0.5),
                         (int)(cases[i].pressure * 1e5 + 0.5));
    }
}

/* The share of 10,000 conversations that `new` comes first for, in hundredths of a percent. */
static int drawn(struct fixture *f, const char *tenant)
{
    int count = 0;
    for (uint64_t i = 1; i <= 10000; i++) {
        f->prompt.session.key = i * 7919;
        prompt_from_text(&f->prompt, STR("category/general"), STR("hi"));
        f->prompt.session.key = i * 7919;
        f->prompt.tenant = str_from(tenant);
        struct rule_facts facts = {.prompt = &f->prompt};
        arena_reset(f->arena);
        assert_int_equal(decide(&f->sample.routes, &f->scratch, &facts, f->arena, &f->decision),
                         ST_OK);
        count += str_eq(f->decision.plan.experts[0]->id.name, STR("new"));
    }
    return count;
}

static void a_split_draws_its_share_and_always_the_same(void **state)
{
    struct fixture f = {0};
    (void)state;
    start(&f, "experts:\n"
              "  old: {url: 'http://127.0.0.1:9/v1'}\n"
              "  new: {url: 'http://127.0.0.1:9/v1'}\n"
              "categories: {general: {experts: [{expert: old, score: 0.9}, {expert: new, score: "
              "0.1}], split: [{expert: new, percent: 5}]}}\n");

    int ann = drawn(&f, "ann");
    int bob = drawn(&f, "bob");

    assert_true(ann > 400 && ann < 600);
    assert_true(bob > 400 && bob < 600);
    assert_int_equal(drawn(&f, "ann"), ann);
    stop(&f);
}

static void who_is_drawn_says_so(void **state)
{
    struct fixture f = {0};
    (void)state;
    start(&f, "experts:\n"
              "  old: {url: 'http://127.0.0.1:9/v1'}\n"
              "  new: {url: 'http://127.0.0.1:9/v1'}\n"
              "categories: {general: {experts: [{expert: old, score: 0.9}, {expert: new, score: "
              "0.1}], split: [{expert: new, percent: 100}]}}\n");

    assert_int_equal(ask(&f, "category/general", "hi"), ST_OK);

    test_assert_str(plan_text(&f), STR("new,old"));
    assert_string_equal(f.decision.candidates[0].reason,
                        "drawn: it comes first for 100 % of this category");
    stop(&f);
}

static void the_operators_texts_need_room_too(void **state)
{
    struct fixture f = {0};
    (void)state;
    start(&f, "experts:\n"
              "  e: {url: 'http://127.0.0.1:9/v1', context: 520, prompt: {text: 'Answer briefly, "
              "and say where you know it from.'}}\n"
              "  f: {url: 'http://127.0.0.1:9/v1', context: 520}\n"
              "categories: {general: {experts: [{expert: e, score: 0.9}, {expert: f}]}}\n");

    assert_int_equal(ask(&f, "category/general", "hi"), ST_OK); /* 1 + 512 for the answer + 12 */

    test_assert_str(plan_text(&f), STR("f"));
    assert_string_equal(f.decision.candidates[1].dropped_by, "context");
    stop(&f);
}

static void without_a_classifier_auto_means_general(void **state)
{
    struct fixture f = {0};
    (void)state;
    start(&f, "experts: {e: {url: 'http://127.0.0.1:9/v1'}}\n"
              "categories: {general: {experts: [{expert: e}]}}\n");

    assert_int_equal(ask(&f, "auto", MEDICAL_TEXT), ST_OK);

    assert_int_equal(f.decision.source, DECIDE_GENERAL);
    assert_false(f.decision.is_classified);
    stop(&f);
}

static void without_categories_auto_is_not_found(void **state)
{
    struct fixture f = {0};
    (void)state;
    start(&f, "experts: {e: {url: 'http://127.0.0.1:9/v1'}}\n");

    assert_int_equal(ask(&f, "auto", "hi"), ST_NOT_FOUND);
    assert_int_equal(ask(&f, "e", "hi"), ST_OK);

    stop(&f);
}

static void the_plan_tries_as_many_as_the_policies_say(void **state)
{
    struct fixture *f = *state;
    f->sample.routes.policies.plan.attempts = 2;

    assert_int_equal(ask(f, "slow", "hi"), ST_OK);

    static const struct plan_outcome refused = {CALL_CONNECT_FAILED, 0, REPLY_ERROR_OTHER, false,
                                                -1};
    static const struct plan_facts facts = {.deadline_ms = 1000, .may_repeat = true};
    assert_int_equal(plan_first(&f->decision.plan, &facts).verb, PLAN_TRY);
    assert_int_equal(plan_next(&f->decision.plan, &refused, &facts).verb, PLAN_TRY);
    assert_int_equal(plan_next(&f->decision.plan, &refused, &facts).verb, PLAN_STOP);
    f->sample.routes.policies.plan.attempts = 3;
}

static void the_same_prompt_gives_the_same_decision(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask(f, "auto", MEDICAL_TEXT), ST_OK);
    struct classifier_result first = f->decision.scores;
    assert_int_equal(ask(f, "auto", LAW_TEXT), ST_OK);
    assert_int_equal(ask(f, "auto", MEDICAL_TEXT), ST_OK);

    assert_memory_equal(f->decision.scores.p, first.p, first.count * sizeof first.p[0]);
}

static void sessions_prefer_the_expert_that_answered(void **state)
{
    static const struct {
        const char *expert;
        bool is_tool_open;
        const char *model;
        enum decide_session session;
        const char *plan;
    } cases[] = {
        {"", false, "category/general", DECIDE_SESSION_NEW, "eyes,small"},
        {"gone", true, "category/general", DECIDE_SESSION_NEW, "eyes,small"},
        {"eyes", false, "category/general", DECIDE_SESSION_KEPT, "eyes,small"},
        {"med", false, "category/general", DECIDE_SESSION_SWITCHED, "eyes,small"},
        {"med", true, "category/general", DECIDE_SESSION_KEPT, "med,eyes,small"},
        {"small", false, "category/medical", DECIDE_SESSION_SWITCHED, "med,small"},
        {"small", true, "category/medical", DECIDE_SESSION_KEPT, "small,med"},
        {"small", true, "med", DECIDE_SESSION_NONE, "med"},
        {"small", true, "slow", DECIDE_SESSION_NONE, "med,eyes,small"},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f->prompt.session.expert = str_from(cases[i].expert);
        f->prompt.session.is_tool_open = cases[i].is_tool_open;
        assert_int_equal(ask(f, cases[i].model, "hi"), ST_OK);
        if (f->decision.session != cases[i].session ||
            !str_eq(plan_text(f), str_from(cases[i].plan))) {
            fail_msg("case %zu: \"%s\", %.*s", i, decide_session_text(f->decision.session),
                     STR_ARG(plan_text(f)));
        }
    }
}

static void without_affinity_nobody_is_kept(void **state)
{
    struct fixture *f = *state;
    f->sample.routes.router.session.affinity = false;
    f->prompt.session = (struct prompt_session){1, STR("small"), true};

    assert_int_equal(ask(f, "category/medical", "hi"), ST_OK);

    test_assert_str(plan_text(f), STR("med,small"));
    assert_int_equal(f->decision.session, DECIDE_SESSION_NONE);
}

static void a_kept_expert_must_still_be_able(void **state)
{
    struct fixture *f = *state;
    f->prompt.needs = POLICY_VISION;
    f->prompt.session = (struct prompt_session){1, STR("small"), true};

    assert_int_equal(ask(f, "category/general", "hi"), ST_OK);

    test_assert_str(plan_text(f), STR("eyes"));
    assert_int_equal(f->decision.session, DECIDE_SESSION_SWITCHED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ------------------------------------------------------ guards and languages */

#define GUARDED                                                                                    \
    "experts:\n"                                                                                   \
    "  small: {url: 'http://127.0.0.1:9/v1'}\n"                                                    \
    "  poly: {url: 'http://127.0.0.1:9/v1'}\n"                                                     \
    "  english: {url: 'http://127.0.0.1:9/v1', languages: [en]}\n"                                 \
    "aliases: {pair: [english, poly]}\n"                                                           \
    "router:\n"                                                                                    \
    "  model: conf/models/domains.edm\n"                                                           \
    "  threshold: %s\n"                                                                            \
    "  languages: conf/models/languages.edl\n"                                                     \
    "  multilingual: poly\n"                                                                       \
    "  code: coding\n"                                                                             \
    "categories:\n"                                                                                \
    "  general: {experts: [{expert: small}]}\n"                                                    \
    "  poly: {experts: [{expert: poly}]}\n"                                                        \
    "  medical: {experts: [{expert: english, score: 0.9}, {expert: poly, score: 0.8}]}\n"          \
    "  coding: {experts: [{expert: small}]}\n"
#define TRACE                                                                                      \
    "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    f(x)\n"         \
    "ValueError: bad value"
#define GERMAN_MEDICAL                                                                             \
    "Welche Dosis Amoxicillin ist bei einem Kind mit einer Mittelohrentzündung richtig?"

static void start_guarded(struct fixture *f, const char *threshold)
{
    char yaml[2048];
    memset(f, 0, sizeof *f);
    (void)snprintf(yaml, sizeof yaml, GUARDED, threshold);
    start(f, yaml);
}

/* A threshold of 1: the classifier is never sure. */
static void guards_and_languages_decide_where_the_classifier_is_not_sure(void **state)
{
    static const struct {
        const char *text;
        enum decide_source source;
        const char *category;
    } cases[] = {
        {"sdkfjh skdjfh ksjdhf kjshdf", DECIDE_GUARD, "general"},
        {"d41d8cd98f00b204e9800998ecf8427e", DECIDE_GUARD, "general"},
        {"???", DECIDE_GUARD, "general"},
        {"", DECIDE_GUARD, "general"},
        {TRACE, DECIDE_GUARD, "coding"},
        {GERMAN_MEDICAL, DECIDE_LANGUAGE, "poly"},
        {"今日の天気はどうですか", DECIDE_LANGUAGE, "poly"},
        {MEDICAL_TEXT, DECIDE_GENERAL, "general"},
        {"2+2*7", DECIDE_GENERAL, "general"},
    };

    struct fixture f;
    (void)state;
    start_guarded(&f, "1");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(ask(&f, "auto", cases[i].text), ST_OK);
        if (f.decision.source != cases[i].source ||
            !str_eq(f.decision.category_name, str_from(cases[i].category))) {
            fail_msg("\"%s\": %s, \"%.*s\"", cases[i].text, decide_source_text(f.decision.source),
                     STR_ARG(f.decision.category_name));
        }
    }
    stop(&f);
}

static void a_classifier_that_is_sure_decides_against_guards(void **state)
{
    struct fixture f;
    (void)state;
    start_guarded(&f, "0.3");

    assert_int_equal(
        ask(&f, "auto",
            "My child has an ear infection and a high fever, the doctor prescribed "
            "amoxicillin. Which dose is right for a toddler with a rash, and may I give "
            "ibuprofen for the pain? The pharmacy's page only says:\n" TRACE),
        ST_OK);

    assert_int_equal(f.decision.source, DECIDE_CLASSIFIER);
    test_assert_str(f.decision.category_name, STR("medical"));
    stop(&f);
}

static void experts_of_other_languages_are_dropped(void **state)
{
    struct fixture f;
    (void)state;
    start_guarded(&f, "0.3");

    assert_int_equal(ask(&f, "category/medical", MEDICAL_TEXT), ST_OK);
    test_assert_str(plan_text(&f), STR("english,poly"));
    assert_int_equal(ask(&f, "category/medical", GERMAN_MEDICAL), ST_OK);
    test_assert_str(plan_text(&f), STR("poly"));
    assert_int_equal(ask(&f, "pair", GERMAN_MEDICAL), ST_OK);
    test_assert_str(plan_text(&f), STR("poly"));
    assert_int_equal(ask(&f, "english", GERMAN_MEDICAL), ST_OK); /* who names an expert gets it */
    test_assert_str(plan_text(&f), STR("english"));
    stop(&f);
}

static void the_kind_of_a_text_is_found_when_it_is_asked_for(void **state)
{
    struct fixture f;
    (void)state;
    start_guarded(&f, "0.3");

    assert_int_equal(ask(&f, "english", "%%%"), ST_OK);
    bool is_judged = f.decision.is_judged; /* who names an expert needs no judgement */
    struct guard guard = decide_guard(&f.sample.routes, &f.prompt, &f.decision);

    assert_false(is_judged);
    assert_int_equal(guard.kind, GUARD_EMPTY);
    assert_int_equal(ask(&f, "auto", "%%%"), ST_OK);
    assert_true(f.decision.is_judged);
    stop(&f);
}

static void a_turn_without_words_has_the_language_of_the_opening(void **state)
{
    struct fixture f;
    (void)state;
    start_guarded(&f, "0.3");
    prompt_from_text(&f.prompt, STR("auto"), str_from(GERMAN_MEDICAL));
    f.prompt.talk.turns[1].user = STR("👍");
    f.prompt.talk.count = 2;
    struct rule_facts facts = {.prompt = &f.prompt};

    assert_int_equal(decide(&f.sample.routes, &f.scratch, &facts, f.arena, &f.decision), ST_OK);

    test_assert_str(f.decision.language.code, STR("de"));
    assert_int_equal(f.decision.guard.kind, GUARD_EMPTY);
    assert_int_not_equal(f.decision.source, DECIDE_GUARD); /* the conversation explains it */
    stop(&f);
}

/* Weights whose one head says that numbers are hard. */
static void write_weights_with_a_head(const char *path)
{
    static struct weights_sample sample;
    float weights[HEADS_INPUTS_MAX] = {[HEADS_SHAPE_DIGITS] = 20.0F};
    struct heads heads = {{{{"hard", 4}, HEAD_PROBABILITY, -5.0F, weights}}, 1, 3, 0};
    char *owned = NULL;
    weights_sample_init(&sample, 3);
    assert_int_equal(heads_encode(&heads, &sample.weights.heads), ST_OK);
    assert_int_equal(weights_write(&sample.weights, path), ST_OK);
    memcpy(&owned, &sample.weights.heads.ptr, sizeof owned);
    mem_free(owned);
}

static void rules_may_wait_for_heads(void **state)
{
    static const struct {
        const char *model;
        const char *text;
        const char *rule; /* "": none */
        size_t heads;
    } cases[] = {
        {"auto", "what are 123 and 4567 and 89012", "difficult", 1},
        {"auto", "what are apples and pears", "", 1},
        {"auto", "an easy EXIT", "exit", 0}, /* decided before anybody asks */
        {"small", "what are 123 and 4567 and 89012", "", 0},
    };

    char path[64];
    char yaml[1024];
    struct fixture f;

    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/decide-heads-%ld.edm", (long)getpid());
    write_weights_with_a_head(path);
    (void)snprintf(yaml, sizeof yaml,
                   "experts: {small: {url: 'http://127.0.0.1:9/v1'}}\n"
                   "router: {model: %s}\n"
                   "categories: {general: {experts: [{expert: small, score: 1}]}}\n"
                   "rules:\n"
                   "  - {name: exit, when: {text: EXIT}, expert: small}\n"
                   "  - {name: difficult, when: {heads: {hard: {min: 0.7}}}, expert: small}\n",
                   path);
    memset(&f, 0, sizeof f);
    start(&f, yaml);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(ask(&f, cases[i].model, cases[i].text), ST_OK);
        test_assert_str(f.decision.rule == NULL ? STR("") : f.decision.rule->name,
                        str_from(cases[i].rule));
        assert_int_equal(f.decision.head_count, cases[i].heads);
    }
    stop(&f);
    assert_int_equal(unlink(path), 0);
}

/* ---------------------------------------------------------------- embeddings */

#define EMBED_CONF                                                                                 \
    "experts:\n"                                                                                   \
    "  chats: {url: 'http://127.0.0.1:9/v1'}\n"                                                    \
    "  dear:\n"                                                                                    \
    "    url: http://127.0.0.1:9/v1\n"                                                             \
    "    capabilities: [embed]\n"                                                                  \
    "    space: e\n"                                                                               \
    "    price: {input: 100, output: 100}\n"                                                       \
    "    context: 10\n"                                                                            \
    "    prompt: {text: an instruction that is much longer than the context}\n"                    \
    "  cheap: {url: 'http://127.0.0.1:9/v1', capabilities: [embed], space: o}\n"                   \
    "  twin: {url: 'http://127.0.0.1:9/v1', capabilities: [embed], space: e}\n"                    \
    "  lone: {url: 'http://127.0.0.1:9/v1', capabilities: [embed]}\n"                              \
    "aliases: {vectors: [chats, dear, cheap, twin], lonely: [lone, lone, twin], talk: [chats]}\n"  \
    "router: {embeddings: vectors}\n"                                                              \
    "policies: {cost_weight: 1000}\n"                                                              \
    "categories: {general: {experts: [{expert: chats, score: 0.5}]}}\n"                            \
    "rules: [{name: all, when: {text: a}, expert: chats}]\n"

/* Asks for embeddings of texts of 4 and of `longest` bytes. */
static enum status ask_vectors(struct fixture *f, const char *model, int64_t longest)
{
    static struct str texts[] = {STR_INIT("a b"), STR_INIT("c d")};
    f->prompt = (struct prompt){
        .model = str_from(model),
        .inputs = {texts, 2, false, longest},
        .needs = POLICY_EMBED,
        .text_bytes = 4 + longest,
    };
    struct rule_facts facts = {.prompt = &f->prompt};
    return decide(&f->sample.routes, &f->scratch, &facts, f->arena, &f->decision);
}

static void embeddings_go_to_experts_of_one_space_alone(void **state)
{
    static const struct {
        const char *model;
        int64_t longest;
        enum status st;
        enum decide_source source;
        const char *plan;
    } cases[] = {
        {"vectors", 4, ST_OK, DECIDE_ALIAS, "twin,dear"}, /* the cheaper one of the space */
        {"auto", 4, ST_OK, DECIDE_ALIAS, "twin,dear"},    /* no rule, no category */
        {"vectors", 44, ST_OK, DECIDE_ALIAS, "twin"},     /* the longest has to fit, not the sum */
        {"vectors", 36, ST_OK, DECIDE_ALIAS, "twin,dear"},
        {"dear", 36, ST_OK, DECIDE_EXPERT, "dear"},
        {"dear", 44, ST_INVALID, DECIDE_EXPERT, ""},
        {"cheap", 4, ST_OK, DECIDE_EXPERT, "cheap"},
        {"lonely", 4, ST_OK, DECIDE_ALIAS, "lone,lone"}, /* nobody is known to be like it */
        {"chats", 4, ST_INVALID, DECIDE_EXPERT, ""},
        {"talk", 4, ST_INVALID, DECIDE_ALIAS, ""},
        {"category/general", 4, ST_NOT_FOUND, DECIDE_EXPERT, ""},
        {"nobody", 4, ST_NOT_FOUND, DECIDE_EXPERT, ""},
    };
    struct fixture f;
    (void)state;
    memset(&f, 0, sizeof f);
    start(&f, EMBED_CONF);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum status st = ask_vectors(&f, cases[i].model, cases[i].longest);
        if (st != cases[i].st || f.decision.source != cases[i].source ||
            f.decision.category != NULL || f.decision.is_classified ||
            !str_eq(plan_text(&f), str_from(cases[i].plan))) {
            fail_msg("%s, %d: %s, %s, %.*s", cases[i].model, (int)cases[i].longest, status_text(st),
                     decide_source_text(f.decision.source), STR_ARG(plan_text(&f)));
        }
    }
    stop(&f);
}

static void auto_embeds_only_where_the_configuration_says_who(void **state)
{
    struct fixture f;
    (void)state;
    memset(&f, 0, sizeof f);
    start(&f, "experts: {e: {url: 'http://127.0.0.1:9/v1', capabilities: [embed]}}\n"
              "categories: {general: {experts: [{expert: e, score: 0.5}]}}\n");

    assert_int_equal(ask_vectors(&f, "auto", 4), ST_NOT_FOUND);

    stop(&f);
}

static void whom_auto_leads_to_must_be_allowed_too(void **state)
{
    static const struct str allow[] = {STR_INIT("auto"), STR_INIT("talk")};
    struct fixture f;
    (void)state;
    memset(&f, 0, sizeof f);
    start(&f, EMBED_CONF);
    f.prompt = (struct prompt){
        .model = STR("auto"), .permit = {.allow = allow, .allow_count = 2}, .needs = POLICY_EMBED};
    struct rule_facts facts = {.prompt = &f.prompt};

    assert_int_equal(decide(&f.sample.routes, &f.scratch, &facts, f.arena, &f.decision),
                     ST_INVALID);

    assert_string_equal(f.decision.candidates[0].dropped_by, policy_allow.name);
    stop(&f);
}

static void router_embeddings_must_name_who_embeds(void **state)
{
    static const struct {
        const char *yaml;
        const char *message;
    } cases[] = {
        {"experts: {e: {url: 'http://127.0.0.1:9/v1'}}\nrouter: {embeddings: e}\n",
         "router.embeddings leads to \"e\", which does not embed"},
        {"experts: {e: {url: 'http://127.0.0.1:9/v1'}}\naliases: {a: [e]}\n"
         "router: {embeddings: a}\n",
         "router.embeddings leads to \"a\", which does not embed"},
        {"experts: {e: {url: 'http://127.0.0.1:9/v1'}}\nrouter: {embeddings: f}\n",
         "there is no alias or expert \"f\" (router.embeddings)"},
        {"experts: {e: {kernel: {calc: {}}, capabilities: [embed]}}\n",
         "expert \"e\" has the capability embed, but its kernel does not embed"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct routes_sample sample;
        enum status st = routes_sample_load(&sample, cases[i].yaml);
        if (st != ST_INVALID || strstr(sample.messages, cases[i].message) == NULL) {
            fail_msg("%s: %s: %s", cases[i].yaml, status_text(st), sample.messages);
        }
        routes_sample_fini(&sample);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guards_and_languages_decide_where_the_classifier_is_not_sure),
        cmocka_unit_test(a_classifier_that_is_sure_decides_against_guards),
        cmocka_unit_test(experts_of_other_languages_are_dropped),
        cmocka_unit_test(the_kind_of_a_text_is_found_when_it_is_asked_for),
        cmocka_unit_test(a_turn_without_words_has_the_language_of_the_opening),
        TEST(names_decide_in_their_order),
        TEST(unknown_models_are_not_found),
        TEST(confidence_is_calibrated_or_one),
        cmocka_unit_test(the_threshold_parts_category_and_general),
        TEST(needs_drop_experts_and_say_why),
        TEST(no_expert_left_is_refused_with_all_reasons),
        TEST(pinned_experts_are_held_to_the_policies),
        TEST(cost_weighs_against_quality),
        TEST(below_the_floor_nobody_answers_however_cheap),
        TEST(a_budget_under_pressure_raises_the_weight_of_cost),
        cmocka_unit_test(a_split_draws_its_share_and_always_the_same),
        cmocka_unit_test(who_is_drawn_says_so),
        cmocka_unit_test(the_operators_texts_need_room_too),
        cmocka_unit_test(without_a_classifier_auto_means_general),
        cmocka_unit_test(without_categories_auto_is_not_found),
        TEST(the_plan_tries_as_many_as_the_policies_say),
        TEST(the_same_prompt_gives_the_same_decision),
        TEST(sessions_prefer_the_expert_that_answered),
        TEST(without_affinity_nobody_is_kept),
        TEST(a_kept_expert_must_still_be_able),
        cmocka_unit_test(rules_may_wait_for_heads),
        cmocka_unit_test(embeddings_go_to_experts_of_one_space_alone),
        cmocka_unit_test(auto_embeds_only_where_the_configuration_says_who),
        cmocka_unit_test(whom_auto_leads_to_must_be_allowed_too),
        cmocka_unit_test(router_embeddings_must_name_who_embeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
