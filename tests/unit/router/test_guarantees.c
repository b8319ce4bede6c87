/* Guarantees at decisions: what they hold for, what they drop, where the prompt then goes; and for
 * random configurations and requests, that no plan ever leaves one. */
#include "base/buf.h"
#include "router/decide.h"
#include "router/guarantees.h"
#include "tests/support/routes_sample.h"
#include "tests/support/test.h"

#define EXPERTS                                                                                    \
    "experts:\n"                                                                                   \
    "  near: {url: 'http://127.0.0.1:9/v1', locality: local}\n"                                    \
    "  far: {url: 'https://far.example/v1'}\n"                                                     \
    "  cloud: {url: 'https://cloud.example/v1'}\n"                                                 \
    "aliases: {smart: [cloud, near], big: [cloud, far]}\n"
#define MODEL "router: {model: conf/models/domains.edm, languages: conf/models/languages.edl}\n"
#define TABLES                                                                                     \
    "categories:\n"                                                                                \
    "  general: {experts: [{expert: cloud}]}\n"                                                    \
    "  medical: {experts: [{expert: near}]}\n"                                                     \
    "  coding: {experts: [{expert: cloud}]}\n"                                                     \
    "rules:\n"                                                                                     \
    "  - {name: ticket, when: {text: TICKET}, expert: cloud}\n"                                    \
    "  - {name: bug, when: {text: BUG}, category: coding}\n"
#define PATIENTS                                                                                   \
    "guarantees:\n"                                                                                \
    "  - name: patients\n"                                                                         \
    "    when: {category: [medical]}\n"                                                            \
    "    only: {locality: local}\n"                                                                \
    "    strict: false\n"
#define CONF EXPERTS MODEL TABLES PATIENTS

#define MEDICAL "What is the right dose of amoxicillin for a child with an ear infection?"
#define CODE    "Write a Python function that reverses a linked list in place, with unit tests."

struct fixture {
    struct routes_sample sample;
    struct decide_scratch scratch;
    struct arena *arena;
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

static void stop(struct fixture *f)
{
    decide_scratch_fini(&f->scratch);
    arena_destroy(f->arena);
    routes_sample_fini(&f->sample);
}

static enum status ask_prompt(struct fixture *f, const struct prompt *prompt)
{
    struct rule_facts facts = {.prompt = prompt};
    return decide(&f->sample.routes, &f->scratch, &facts, f->arena, &f->decision);
}

static enum status ask(struct fixture *f, const char *model, const char *text)
{
    struct prompt prompt;
    prompt_from_text(&prompt, str_from(model), str_from(text));
    return ask_prompt(f, &prompt);
}

/* The plan's first expert, or why the first candidate was dropped. */
static struct str outcome(const struct fixture *f)
{
    const struct decision *d = &f->decision;
    return d->plan.count > 0 ? d->plan.experts[0]->id.name : str_from(d->candidates[0].reason);
}

static void prompts_of_the_kind_reach_permitted_experts_alone(void **state)
{
    static const char barred[] = "guarantee \"patients\" keeps such prompts from it";

    static const struct {
        const char *model;
        const char *text;
        const char *expert; /* or the reason */
    } cases[] = {
        {"auto", MEDICAL, "near"},
        {"auto", CODE, "cloud"},
        {"cloud", CODE, "cloud"},
        {"cloud", MEDICAL, barred},
        {"near", MEDICAL, "near"},
        {"smart", CODE, "cloud"},
        {"smart", MEDICAL, "near"},
        {"big", MEDICAL, barred},
        {"category/medical", CODE, "near"},
        {"category/coding", CODE, "cloud"},
        {"category/coding", MEDICAL, barred},
        {"auto", "TICKET 12: " CODE, "cloud"},
        {"auto", "TICKET 12: " MEDICAL, barred},
        {"auto", "BUG 12: " CODE, "cloud"},
        {"auto", "BUG 12: " MEDICAL, barred},
        {"auto", "asdfgh qwerty jkljkl zxcvb", "near"}, /* may be anything */
        {"cloud", "asdfgh qwerty jkljkl zxcvb", barred},
        {"cloud", "", barred},
    };

    struct fixture f;
    (void)state;
    start(&f, CONF);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum status st = ask(&f, cases[i].model, cases[i].text);
        enum status want = strcmp(cases[i].expert, barred) == 0 ? ST_INVALID : ST_OK;
        if (st != want || !str_eq(outcome(&f), str_from(cases[i].expert))) {
            fail_msg("%s, \"%s\": want \"%s\", got %s, \"%.*s\"", cases[i].model, cases[i].text,
                     cases[i].expert, status_text(st), STR_ARG(outcome(&f)));
        }
    }
    stop(&f);
}

static void an_unsure_prompt_of_the_kind_goes_home(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, EXPERTS "router: {model: conf/models/domains.edm, threshold: 1}\n" TABLES PATIENTS);

    assert_int_equal(ask(&f, "auto", MEDICAL), ST_OK);

    assert_int_equal(f.decision.source, DECIDE_GUARANTEE);
    test_assert_str(f.decision.category_name, STR("medical"));
    test_assert_str(outcome(&f), STR("near"));
    stop(&f);
}

static void without_a_classifier_anything_may_be_of_the_kind(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, EXPERTS TABLES PATIENTS);

    assert_int_equal(ask(&f, "auto", CODE), ST_OK);
    test_assert_str(outcome(&f), STR("near"));
    assert_int_equal(ask(&f, "cloud", CODE), ST_INVALID);
    assert_int_equal(ask(&f, "category/coding", CODE), ST_OK); /* the client's word */
    test_assert_str(outcome(&f), STR("cloud"));
    stop(&f);
}

static void an_earlier_turn_of_the_kind_counts(void **state)
{
    struct fixture f;
    struct prompt prompt;
    (void)state;
    start(&f, CONF);
    prompt_from_text(&prompt, STR("auto"), STR(MEDICAL));
    prompt.talk.turns[0].reply = STR("Ask your doctor.");
    prompt.talk.turns[1] = (struct conversation_turn){STR("Another topic: " CODE), STR("")};
    prompt.talk.count = 2;

    assert_int_equal(ask_prompt(&f, &prompt), ST_OK);

    test_assert_str(outcome(&f), STR("near"));
    stop(&f);
}

static void a_system_prompt_of_the_kind_counts(void **state)
{
    struct fixture f;
    struct prompt prompt;
    (void)state;
    start(&f, CONF);
    prompt_from_text(&prompt, STR("cloud"), STR(CODE));
    prompt.talk.system = STR("Patient, 54, hypertension, metformin 500 mg twice daily, chest pain, "
                             "ECG normal, blood pressure 150/95.");

    assert_int_equal(ask_prompt(&f, &prompt), ST_INVALID);
    stop(&f);
}

static void an_open_tool_call_brings_nobody_in(void **state)
{
    struct fixture f;
    struct prompt prompt;
    (void)state;
    start(&f, CONF);
    prompt_from_text(&prompt, STR("auto"), STR(MEDICAL));
    prompt.session = (struct prompt_session){1, STR("cloud"), true};

    assert_int_equal(ask_prompt(&f, &prompt), ST_OK);

    assert_int_equal(f.decision.plan.count, 1);
    test_assert_str(outcome(&f), STR("near"));
    stop(&f);
}

static void several_guarantees_hold_at_once(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, CONF "  - {name: tickets, when: {rule: ticket}, only: {experts: [cloud]}}\n");

    assert_int_equal(ask(&f, "auto", "TICKET 1: " CODE), ST_OK);
    assert_int_equal(ask(&f, "auto", "TICKET 1: " MEDICAL), ST_INVALID);
    stop(&f);
}

static void a_guarantee_for_a_tenant_is_for_nobody_else(void **state)
{
    struct fixture f;
    struct prompt prompt;
    (void)state;
    start(&f, EXPERTS MODEL TABLES
          "guarantees:\n"
          "  - {name: g, when: {tenant: [clinic]}, only: {locality: local}, strict: false}\n");
    prompt_from_text(&prompt, STR("smart"), STR(CODE));

    prompt.tenant = STR("clinic");
    assert_int_equal(ask_prompt(&f, &prompt), ST_OK);
    test_assert_str(outcome(&f), STR("near"));
    prompt.tenant = STR("bakery");
    assert_int_equal(ask_prompt(&f, &prompt), ST_OK);
    test_assert_str(outcome(&f), STR("cloud"));
    stop(&f);
}

/* -------------------------------------------------------------- property */

static const char *const category_names[] = {"general", "medical", "coding", "law", "own"};
static const char *const expert_names[] = {"e0", "e1", "e2", "e3", "e4"};

static const char *const texts[] = {
    MEDICAL,
    CODE,
    "Does the statute of limitations for breach of contract start at the breach?",
    "hm",
    "",
    "asdfgh qwerty jkljkl zxcvb",
    "Welche Nebenwirkungen hat Ibuprofen, wenn man es lange nimmt?",
    "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\nKeyError: 'x'",
    "my contract says the clinic may share my diagnosis, is that legal?",
    "write a haiku about rain",
    "alpha: rash and fever since yesterday, what now",
    "beta: sort this list",
};

enum {
    CATEGORIES = sizeof category_names / sizeof category_names[0],
    EXPERTS_MAX = sizeof expert_names / sizeof expert_names[0],
    TEXTS = sizeof texts / sizeof texts[0],
    RUNS = 250,
    REQUESTS = 24,
};

static uint64_t seed;

static size_t pick(size_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)((seed >> 11) % n);
}

static void list_of_experts(struct buf *b)
{
    size_t count = 1 + pick(3);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(buf_printf(b, "%s%s", i == 0 ? "" : ", ", expert_names[pick(EXPERTS_MAX)]),
                         ST_OK);
    }
}

static void add(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct buf *b, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_int_equal(buf_append(b, str_from(text)), ST_OK);
}

static void add_guarantees(struct buf *b, bool is_strict)
{
    static const char *const onlys[] = {"locality: local", "locality: local", "locality: remote",
                                        "experts: [e0, e1]", "experts: [e0, e2, e4]"};
    static const char *const whens[] = {
        "category: [medical]", "category: [medical, law]",          "category: [own]",
        "rule: [alpha]",       "rule: [beta], category: [medical]", "category: [general]"};
    add(b, "guarantees:\n");
    size_t count = 1 + pick(2);
    for (size_t i = 0; i < count; i++) {
        add(b, "  - {name: g%zu, when: {%s}, only: {%s}, strict: %s}\n", i, whens[pick(6)],
            onlys[pick(5)], is_strict ? "true" : "false");
    }
}

static void add_random_conf(struct buf *b, bool is_strict)
{
    static const char *const settings[] = {"",
                                           ", threshold: 0.9",
                                           ", threshold: 0",
                                           ", multilingual: own",
                                           ", code: coding",
                                           ", uncertainty: {method: conformal, set_max: 3}"};
    add(b, "experts:\n");
    for (size_t i = 0; i < EXPERTS_MAX; i++) {
        add(b, "  e%zu: {url: 'http://127.0.0.1:9/v1', locality: %s}\n", i,
            pick(3) == 0 ? "remote" : "local");
    }
    add(b, "aliases: {a: [");
    list_of_experts(b);
    add(b, "], b: [");
    list_of_experts(b);
    add(b, "]}\n");
    if (pick(6) > 0) {
        add(b, "router: {model: conf/models/domains.edm, languages: conf/models/languages.edl%s}\n",
            settings[pick(6)]);
    }
    add(b, "categories:\n");
    for (size_t i = 0; i < CATEGORIES; i++) {
        add(b, "  %s: {experts: [", category_names[i]);
        size_t count = 1 + pick(3);
        for (size_t k = 0; k < count; k++) {
            add(b, "%s{expert: e%zu, score: 0.%zu}", k == 0 ? "" : ", ", pick(EXPERTS_MAX),
                pick(10));
        }
        add(b, "]}\n");
    }
    add(b,
        "rules:\n"
        "  - {name: alpha, when: {text: alpha}, expert: e%zu}\n"
        "  - {name: beta, when: {text: beta}, category: %s}\n",
        pick(EXPERTS_MAX), category_names[pick(CATEGORIES)]);
    add_guarantees(b, is_strict);
}

struct request {
    struct prompt prompt;
    bool is_plain; /* auto or an alias, one turn, no session: a path that the file writes down */
};

static void random_request(struct request *r)
{
    static const char *const models[] = {"auto",
                                         "auto",
                                         "auto",
                                         "a",
                                         "b",
                                         "e0",
                                         "e3",
                                         "category/coding",
                                         "category/own",
                                         "category/medical"};
    size_t model = pick(sizeof models / sizeof models[0]);
    prompt_from_text(&r->prompt, str_from(models[model]), str_from(texts[pick(TEXTS)]));
    r->is_plain = model < 5;
    if (pick(4) == 0) {
        r->is_plain = false;
        r->prompt.talk.turns[1] = (struct conversation_turn){str_from(texts[pick(TEXTS)]), STR("")};
        r->prompt.talk.count = 2;
    }
    if (pick(4) == 0) {
        r->is_plain = false;
        r->prompt.session =
            (struct prompt_session){1, str_from(expert_names[pick(EXPERTS_MAX)]), pick(2) == 0};
    }
}

static bool lists(const struct key_texts *list, struct str name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (str_eq(list->items[i], name)) {
            return true;
        }
    }
    return false;
}

/* Told once more, from names alone and the classifier's word about each turn: is it of the kind? */
static bool is_of_kind(struct fixture *f, const struct guarantee *g, const struct prompt *prompt)
{
    const struct decision *d = &f->decision;
    const struct classifier *c = f->sample.routes.classifier;
    bool is_category = lists(&g->when.category, d->category_name);
    for (size_t i = 0; c != NULL && i < prompt->talk.count; i++) {
        struct classifier_segment segment = {prompt->talk.turns[i].user, 1.0F};
        struct classifier_result r;
        classifier_score(c, f->scratch.classifier, &segment, 1, &r);
        bool is_text = segment.text.len > 0 && r.features > 0;
        is_category =
            is_category || (is_text && lists(&g->when.category, classifier_label(c, r.best)));
    }
    bool is_rule = d->rule != NULL && lists(&g->when.rule, d->rule->name);
    return (g->when.category.count == 0 || is_category) && (g->when.rule.count == 0 || is_rule);
}

static bool is_permitted(const struct guarantee *g, const struct expert *e)
{
    bool is_there = g->only.locality == GUARANTEE_ANYWHERE ||
                    (g->only.locality == GUARANTEE_LOCAL) == (e->locality == EXPERT_LOCAL);
    return is_there && (g->only.experts.count == 0 || lists(&g->only.experts, e->id.name));
}

/* No expert of the plan is outside a guarantee that holds. Returns how many guarantees held. */
static size_t check_plan(struct fixture *f, const struct prompt *prompt, const char *yaml)
{
    const struct guarantee *list = f->sample.routes.guarantees.items;
    const struct plan *plan = &f->decision.plan;
    size_t held = 0;
    for (size_t i = 0; i < f->sample.routes.guarantees.count; i++) {
        if (!is_of_kind(f, &list[i], prompt)) {
            continue;
        }
        held++;
        for (size_t k = 0; k < plan->count; k++) {
            if (!is_permitted(&list[i], plan->experts[k])) {
                fail_msg("%.*s, \"%.*s\" reaches %.*s:\n%s", STR_ARG(prompt->model),
                         STR_ARG(prompt_last_text(prompt)), STR_ARG(plan->experts[k]->id.name),
                         yaml);
            }
        }
    }
    return held;
}

/* What was proven needs no dropping. */
static void check_proof(const struct fixture *f, const struct request *r, const char *yaml)
{
    const struct decision *d = &f->decision;
    for (size_t i = 0; r->is_plain && i < d->candidate_count; i++) {
        if (d->candidates[i].barred_by.len > 0) {
            fail_msg("%.*s, \"%.*s\" may reach %.*s, which the proof missed:\n%s",
                     STR_ARG(r->prompt.model), STR_ARG(prompt_last_text(&r->prompt)),
                     STR_ARG(d->candidates[i].name), yaml);
        }
    }
}

/* One configuration and its requests. Returns how often a guarantee held for a plan. */
static size_t try_conf(bool is_strict)
{
    struct buf yaml;
    struct fixture f = {0};
    size_t held = 0;
    buf_init(&yaml, 1 << 16);
    add_random_conf(&yaml, is_strict);
    assert_int_equal(buf_append_char(&yaml, '\0'), ST_OK);
    if (routes_sample_load(&f.sample, yaml.data) == ST_OK) {
        assert_int_equal(decide_scratch_init(&f.scratch), ST_OK);
        f.arena = arena_create(4096, 1 << 20);
        assert_non_null(f.arena);
        for (size_t i = 0; i < REQUESTS; i++) {
            struct request r;
            random_request(&r);
            arena_reset(f.arena);
            enum status st = ask_prompt(&f, &r.prompt);
            assert_true(st == ST_OK || st == ST_INVALID);
            held += check_plan(&f, &r.prompt, yaml.data);
            if (is_strict) {
                check_proof(&f, &r, yaml.data);
            }
        }
        decide_scratch_fini(&f.scratch);
        arena_destroy(f.arena);
    } else if (strstr(f.sample.messages, "guarantee \"g") == NULL) {
        fail_msg("%s%s", f.sample.messages, yaml.data);
    }
    routes_sample_fini(&f.sample);
    buf_fini(&yaml);
    return held;
}

static void no_plan_of_a_random_configuration_leaves_a_guarantee(void **state)
{
    size_t held = 0;
    (void)state;
    seed = 0x9E3779B97F4A7C15;
    for (size_t i = 0; i < RUNS; i++) {
        held += try_conf(false);
    }
    assert_true(held > RUNS); /* else nothing was tried */
}

static void what_is_proven_strictly_needs_no_dropping(void **state)
{
    size_t held = 0;
    (void)state;
    seed = 0xD1B54A32D192ED03;
    for (size_t i = 0; i < 4 * RUNS; i++) {
        held += try_conf(true);
    }
    assert_true(held > RUNS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_of_the_kind_reach_permitted_experts_alone),
        cmocka_unit_test(an_unsure_prompt_of_the_kind_goes_home),
        cmocka_unit_test(without_a_classifier_anything_may_be_of_the_kind),
        cmocka_unit_test(an_earlier_turn_of_the_kind_counts),
        cmocka_unit_test(a_system_prompt_of_the_kind_counts),
        cmocka_unit_test(an_open_tool_call_brings_nobody_in),
        cmocka_unit_test(several_guarantees_hold_at_once),
        cmocka_unit_test(a_guarantee_for_a_tenant_is_for_nobody_else),
        cmocka_unit_test(no_plan_of_a_random_configuration_leaves_a_guarantee),
        cmocka_unit_test(what_is_proven_strictly_needs_no_dropping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
