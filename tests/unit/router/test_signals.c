/* Signals: what was decided from the texts is decided again without them. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "router/cold.h"
#include "router/decide.h"
#include "router/signals.h"
#include "tests/support/routes_sample.h"
#include "tests/support/test.h"
#include "tests/support/weights_sample.h"

#define EXPERTS                                                                                    \
    "experts:\n"                                                                                   \
    "  small: {url: 'http://127.0.0.1:9/v1', context: 4000, price: {input: 1, output: 1}}\n"       \
    "  med: {url: 'http://127.0.0.1:9/v2', price: {input: 100, output: 100}}\n"                    \
    "  eyes: {url: 'http://127.0.0.1:9/v3', capabilities: [vision]}\n"                             \
    "aliases: {fast: [small, med]}\n"                                                              \
    "router: {model: conf/models/domains.edm, threshold: 0.6}\n"
#define CATEGORIES                                                                                 \
    "categories:\n"                                                                                \
    "  general: {experts: [{expert: small, score: 0.5}, {expert: eyes, score: 0.4}]}\n"            \
    "  medical: {experts: [{expert: med, score: 0.9}, {expert: small, score: 0.6}]}\n"
#define RULES                                                                                      \
    "rules:\n"                                                                                     \
    "  - {name: xray, when: {text: XRAY}, category: medical}\n"                                    \
    "  - {name: old, when: {model: gpt-4o}, category: general}\n"
#define GUARANTEES                                                                                 \
    "guarantees: [{name: g, when: {category: [medical]}, only: {experts: [med, small]}, strict: false}]\n"
#define MEDICAL_TEXT "What is the right dose of amoxicillin for a child with an ear infection?"

struct fixture {
    struct routes_sample sample;
    struct decide_scratch scratch;
    struct arena *arena;
};

static void start(struct fixture *f, const char *yaml)
{
    memset(f, 0, sizeof *f);
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

static void purse(void *ctx, struct str expert, struct str category, struct policy_purse *ret)
{
    (void)category;
    if (str_eq(expert, STR("med"))) {
        *ret = (struct policy_purse){STR("lab"), *(int64_t *)ctx, INT64_MAX, false};
    }
}

static void through_bytes(struct fixture *f, struct signals *s)
{
    struct buf bytes;
    buf_init(&bytes, 1 << 20);
    assert_int_equal(signals_write(s, &bytes), ST_OK);
    memset(s, 0xff, sizeof *s);
    assert_int_equal(signals_read(buf_str(&bytes), f->arena, s), ST_OK);
    buf_fini(&bytes);
}

static void assert_gap(const struct decision *d, enum gap_kind kind, const char *name)
{
    for (size_t i = 0; i < d->gaps->count && i < GAPS_MAX; i++) {
        if (d->gaps->items[i].kind == kind) {
            test_assert_str(d->gaps->items[i].name, str_from(name));
            return;
        }
    }
    fail_msg("no gap: %s", gap_sentence(kind));
}

static void again(struct fixture *f, const struct signals *s, struct decision *ret)
{
    struct prompt prompt;
    struct rule_facts facts = {.prompt = &prompt};
    assert_int_equal(signals_prompt(s, &f->sample.routes, f->arena, &prompt), ST_OK);
    enum status st = decide(&f->sample.routes, &f->scratch, &facts, f->arena, ret);
    assert_true(st == ST_OK || st == ST_INVALID);
}

static void assert_same(const struct decision *a, const struct decision *b)
{
    assert_int_equal(a->source, b->source);
    assert_true(str_eq(a->category_name, b->category_name));
    assert_true(memcmp(&a->confidence, &b->confidence, sizeof a->confidence) == 0);
    assert_int_equal(a->candidate_count, b->candidate_count);
    for (size_t i = 0; i < a->candidate_count; i++) {
        const struct policy_candidate *x = &a->candidates[i];
        const struct policy_candidate *y = &b->candidates[i];
        assert_true(str_eq(x->name, y->name));
        assert_ptr_equal(x->dropped_by, y->dropped_by);
        assert_int_equal(x->cost_nano_usd, y->cost_nano_usd);
        assert_true(memcmp(&x->rank, &y->rank, sizeof x->rank) == 0);
    }
}

struct asked {
    const char *model;
    const char *text;
    unsigned needs;
    int64_t left;
};

static void decide_twice(struct fixture *f, const struct asked *asked)
{
    struct prompt prompt;
    struct decision first;
    struct decision second;
    struct signals signals;
    int64_t left = asked->left;
    prompt_from_text(&prompt, str_from(asked->model), str_from(asked->text));
    prompt.needs = asked->needs;
    prompt.more_answers = 4;
    struct rule_facts facts = {.prompt = &prompt, .ctx = &left, .purse = purse};
    enum status st = decide(&f->sample.routes, &f->scratch, &facts, f->arena, &first);
    assert_true(st == ST_OK || st == ST_INVALID);

    signals_take(&f->sample.routes, &prompt, &first, &signals);
    through_bytes(f, &signals);
    again(f, &signals, &second);

    assert_same(&first, &second);
    assert_int_equal(second.gaps->count, 0);
}

static void the_same_configuration_decides_the_same_again(void **state)
{
    static const struct asked cases[] = {
        {"auto", MEDICAL_TEXT, 0, INT64_MAX},
        {"auto", MEDICAL_TEXT, 0, 1},
        {"auto", "hello there", POLICY_VISION, INT64_MAX},
        {"auto", "XRAY of a poem about the sea", 0, INT64_MAX},
        {"auto", "qqqq zzzz xxxx", 0, INT64_MAX},
        {"auto", "", 0, INT64_MAX},
        {"gpt-4o", MEDICAL_TEXT, 0, INT64_MAX},
        {"category/medical", "anything", 0, INT64_MAX},
        {"fast", "anything", 0, INT64_MAX},
        {"small", MEDICAL_TEXT, 0, INT64_MAX},
    };

    static struct fixture f; /* large for a stack */
    (void)state;
    start(&f, EXPERTS CATEGORIES RULES GUARANTEES);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        decide_twice(&f, &cases[i]);
    }
    stop(&f);
}

static void take(struct fixture *f, const char *text, struct signals *ret)
{
    struct prompt prompt;
    struct decision d;
    struct rule_facts facts = {.prompt = &prompt};
    prompt_from_text(&prompt, STR("auto"), str_from(text));
    assert_int_equal(decide(&f->sample.routes, &f->scratch, &facts, f->arena, &d), ST_OK);
    signals_take(&f->sample.routes, &prompt, &d, ret);
}

static void another_configuration_decides_as_it_says(void **state)
{
    static struct fixture old; /* large for a stack */
    static struct fixture new; /* large for a stack */
    struct signals signals;
    struct decision d;
    (void)state;
    start(&old, EXPERTS CATEGORIES);
    start(&new, EXPERTS "categories:\n"
                        "  general: {experts: [{expert: eyes, score: 0.5}]}\n"
                        "  medical: {experts: [{expert: small, score: 0.9}]}\n");
    take(&old, MEDICAL_TEXT, &signals);

    again(&new, &signals, &d);

    assert_true(str_eq(d.category_name, STR("medical")));
    assert_true(str_eq(d.plan.experts[0]->id.name, STR("small")));
    assert_int_equal(d.gaps->count, 0);
    stop(&old);
    stop(&new);
}

static void a_split_draws_the_same_again(void **state)
{
    struct fixture f;
    (void)state;
    start(&f,
          EXPERTS "categories:\n"
                  "  general: {experts: [{expert: small, score: 0.5}, {expert: eyes, score: "
                  "0.4}], split: [{expert: small, percent: 50}, {expert: eyes, percent: 50}]}\n");
    for (char c = 'a'; c <= 'p'; c++) {
        char text[] = {c, ' ', 'x', '\0'};
        struct asked asked = {"category/general", text, 0, INT64_MAX};
        decide_twice(&f, &asked);
    }
    stop(&f);
}

static void a_rule_fires_again_in_another_place(void **state)
{
    static struct fixture old; /* large for a stack */
    static struct fixture new; /* large for a stack */
    struct signals signals;
    struct decision d;
    (void)state;
    start(&old, EXPERTS CATEGORIES RULES);
    start(&new, EXPERTS CATEGORIES "rules:\n"
                                   "  - {when: {text: POEM}, expert: eyes}\n"
                                   "  - {name: moved, when: {text: XRAY}, expert: small}\n");
    take(&old, "XRAY of a poem", &signals);

    again(&new, &signals, &d);

    assert_int_equal(d.source, DECIDE_RULE);
    assert_true(str_eq(d.rule->name, STR("moved")));
    stop(&old);
    stop(&new);
}

/* The old one never asked the classifier: the rule took the prompt. */
static void what_was_never_asked_is_a_guess(void **state)
{
    static struct fixture old; /* large for a stack */
    static struct fixture new; /* large for a stack */
    struct signals signals;
    struct decision d;
    (void)state;
    start(&old, EXPERTS CATEGORIES RULES);
    start(&new, EXPERTS CATEGORIES);
    take(&old, "XRAY of a poem", &signals);

    again(&new, &signals, &d);

    assert_gap(&d, GAP_SCORES, "");
    assert_true(str_eq(d.category_name, STR("general")));
    stop(&old);
    stop(&new);
}

static void a_new_guarantee_is_held_as_far_as_can_be_told(void **state)
{
    static struct fixture old; /* large for a stack */
    static struct fixture new; /* large for a stack */
    struct signals signals;
    struct decision d;
    (void)state;
    start(&old, EXPERTS CATEGORIES);
    start(&new, EXPERTS CATEGORIES GUARANTEES);
    take(&old, MEDICAL_TEXT, &signals);

    again(&new, &signals, &d);

    assert_gap(&d, GAP_KINDS, "");
    assert_int_equal(d.kinds.labels == 0, 0);
    assert_true(str_eq(d.plan.experts[0]->id.name, STR("med")));
    stop(&old);
    stop(&new);
}

static void other_weights_are_no_basis(void **state)
{
    static struct fixture f; /* large for a stack */
    struct signals signals;
    struct decision d;
    (void)state;
    start(&f, EXPERTS CATEGORIES);
    take(&f, MEDICAL_TEXT, &signals);
    signals.weights++;

    again(&f, &signals, &d);

    assert_gap(&d, GAP_WEIGHTS, "");
    assert_int_equal(d.source, DECIDE_GENERAL);
    stop(&f);
}

static void bytes_that_are_cut_or_odd_are_refused(void **state)
{
    static struct fixture f; /* large for a stack */
    struct signals signals;
    struct signals got;
    struct buf bytes;
    (void)state;
    start(&f, EXPERTS CATEGORIES);
    buf_init(&bytes, 65536);
    take(&f, MEDICAL_TEXT, &signals);
    assert_int_equal(signals_write(&signals, &bytes), ST_OK);
    struct str all = buf_str(&bytes);

    for (size_t i = 0; i < all.len; i++) {
        assert_int_equal(signals_read(str_slice(all, 0, i), f.arena, &got), ST_INVALID);
    }
    bytes.data[bytes.head] = 77;
    assert_int_equal(signals_read(all, f.arena, &got), ST_INVALID);
    buf_fini(&bytes);
    stop(&f);
}

struct well { /* how experts are: small, med */
    struct policy_health health[2];
    int64_t wait_ms[2];
    double pressure;
    const char *model;
    const char *first;  /* who comes first; NULL: nobody may */
    const char *second; /* NULL: nobody */
};

static void health(void *ctx, const struct expert *expert, struct policy_health *ret)
{
    const struct well *w = ctx;
    *ret = w->health[str_eq(expert->id.name, STR("small")) ? 0 : 1];
}

/* Each takes a time of its own. */
static void slow(void *ctx, const struct expert *expert, struct policy_health *ret)
{
    (void)ctx;
    ret->wait_us = (int64_t)(str_hash(expert->id.name) % 5000000);
}

/* As the gateway decides, with processes; then again from bytes. */
static void decide_with_states(struct fixture *f, struct well *w)
{
    struct prompt prompt;
    struct decision first;
    struct decision second;
    struct signals signals;
    prompt_from_text(&prompt, str_from(w->model), STR("anything"));
    prompt.pressure = w->pressure;
    struct rule_facts facts = {.prompt = &prompt, .ctx = w, .health = health};
    enum status st = decide(&f->sample.routes, &f->scratch, &facts, f->arena, &first);
    for (size_t i = 0; i < first.plan.count; i++) {
        first.candidates[i].wait_ms =
            w->wait_ms[str_eq(first.candidates[i].name, STR("small")) ? 0 : 1];
    }
    (void)cold_apply(&first);
    signals_take(&f->sample.routes, &prompt, &first, &signals);
    through_bytes(f, &signals);

    again(f, &signals, &second);
    (void)cold_apply(&second);

    assert_int_equal(st, w->first == NULL ? ST_INVALID : ST_OK);
    assert_same(&first, &second);
    assert_int_equal(second.gaps->count, 0);
    const char *const want[] = {w->first, w->second};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(second.plan.count > i, want[i] != NULL);
        if (want[i] != NULL) {
            test_assert_str(second.plan.experts[i]->id.name, str_from(want[i]));
        }
    }
}

static void how_experts_were_is_held_again(void **state)
{
    static struct well cases[] = {
        {.model = "category/plain", .first = "med", .second = "small"},
        {.health = {[1] = {"its breaker is open", 500, 0}},
         .model = "category/plain",
         .first = "small"},
        {.health = {{"its breaker is open", 900, 0}, {"its breaker is open", 500, 0}},
         .model = "category/plain",
         .first = "med"},
        {.health = {{"its breaker is open", 500, 0}, {"it fails its health checks", -1, 0}},
         .model = "category/plain",
         .first = "small"},
        {.health = {[1] = {NULL, 0, 9000000}},
         .model = "category/plain",
         .first = "small",
         .second = "med"},
        {.wait_ms = {0, 4000}, .model = "category/plain", .first = "med", .second = "small"},
        {.wait_ms = {0, 4000}, .model = "category/cold", .first = "small", .second = "med"},
        {.wait_ms = {4000, 4000}, .model = "category/cold", .first = "med", .second = "small"},
        {.pressure = 0.123456789, .model = "category/plain", .first = "small", .second = "med"},
    };

    static struct fixture f; /* large for a stack */
    (void)state;
    start(&f,
          EXPERTS "policies: {latency_weight: 0.1, when_all_open: try, degrade: {budget: b, "
                  "cost_weight: 1000}}\n"
                  "categories:\n"
                  "  plain: {experts: [{expert: med, score: 0.9}, {expert: small, score: 0.8}]}\n"
                  "  cold: {cold: runner_up, experts: [{expert: med, score: 0.9}, {expert: "
                  "small, score: 0.85}]}\n"
                  "  general: {experts: [{expert: small}]}\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        decide_with_states(&f, &cases[i]);
    }
    stop(&f);
}

/* Each asks what the old configuration had no reason to note. */
static void times_and_pressure_that_were_not_noted_make_a_guess(void **state)
{
    static const struct {
        const char *yaml;
        enum gap_kind kind;
        const char *name;
    } blocks[] = {
        {EXPERTS CATEGORIES "policies: {latency_weight: 1}\n", GAP_WAIT, "med"},
        {EXPERTS CATEGORIES "policies: {degrade: {budget: b, cost_weight: 1}}\n", GAP_PRESSURE, ""},
    };

    static struct fixture old; /* large for a stack */
    static struct fixture new; /* large for a stack */
    struct signals signals;
    struct decision d;
    (void)state;
    start(&old, EXPERTS CATEGORIES);
    take(&old, MEDICAL_TEXT, &signals);
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        start(&new, blocks[i].yaml);
        again(&new, &signals, &d);
        assert_gap(&d, blocks[i].kind, blocks[i].name);
        stop(&new);
    }
    stop(&old);
}

static void more_than_is_noted_makes_a_guess(void **state)
{
    static struct fixture f; /* large for a stack */
    struct signals signals;
    struct decision d;
    (void)state;
    start(&f, EXPERTS CATEGORIES);
    take(&f, MEDICAL_TEXT, &signals);
    signals.flags |= SIGNALS_CUT;

    again(&f, &signals, &d);

    assert_gap(&d, GAP_EXPERTS, "");
    stop(&f);
}

/* What the versions before wrote for: eyes banned; med with a tight budget, and shut; small waiting. */
static void bytes_of_old_versions_are_still_read(void **state)
{
    enum {
        BARE_BYTES = 154 /* of version 1: without pressure and states */
    };

    static const unsigned char second[] = {
        0x02, 0x00, 0x00, 0x00, 0xa0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xa0, 0x0f, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x64, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x4d, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x61,
        0x75, 0x74, 0x6f, 0x02, 0x00, 0x00, 0x00, 0x65, 0x6e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x29, 0x8c, 0xc2, 0x53, 0x01,
        0x00, 0x00, 0x00, 0x42, 0x93, 0xe4, 0x8f, 0x01, 0x00, 0x00, 0x00, 0x15, 0xcd, 0x5b, 0x07,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xd0, 0x3f, 0x02, 0x00, 0x00,
        0x00, 0x42, 0x93, 0xe4, 0x8f, 0x01, 0x00, 0x00, 0x00, 0xf4, 0x01, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x40, 0x54, 0x89, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0xd5, 0x04, 0x04, 0x83, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x90, 0xd0, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0xa0, 0x0f, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00,
    };
    static struct fixture f; /* large for a stack */
    char bytes[sizeof second];
    struct signals got;
    (void)state;
    start(&f, EXPERTS CATEGORIES);
    memcpy(bytes, second, sizeof bytes);

    assert_int_equal(signals_read((struct str){bytes, sizeof bytes}, f.arena, &got), ST_OK);
    assert_string_equal(got.model, "auto");
    assert_int_equal(got.fact_count, 3);
    const struct signals_fact *med = signals_fact(&got, STR("med"), false);
    assert_non_null(med);
    assert_int_equal(med->flags, SIGNALS_FACT_PURSE | SIGNALS_FACT_TIGHT | SIGNALS_FACT_SHUT);
    assert_int_equal(med->left_nano_usd, 123456789);
    assert_int_equal(med->wait_us, 9000000);
    const struct signals_fact *small = signals_fact(&got, STR("small"), false);
    assert_non_null(small);
    assert_int_equal(small->wait_ms, 4000);
    assert_null(signals_fact(&got, STR("eyes"), false));
    assert_true((got.flags & SIGNALS_SEED) != 0);
    assert_true(got.pressure > 0.24 && got.pressure < 0.26);

    bytes[0] = 1;
    assert_int_equal(signals_read((struct str){bytes, BARE_BYTES}, f.arena, &got), ST_OK);
    assert_int_equal(got.fact_count, 2);
    assert_int_equal(signals_fact(&got, STR("med"), false)->opens_ms, 0);
    stop(&f);
}

/* Forty candidates, all with something to note, and bans. */
static void any_number_of_candidates_is_decided_the_same_again(void **state)
{
    static struct fixture f; /* large for a stack */
    static struct str bans[20];
    static struct signals signals;
    static struct decision first;
    static struct decision second;
    struct signals_fact *room = NULL;
    struct prompt prompt;
    struct buf yaml;
    (void)state;
    buf_init(&yaml, 65536);
    assert_int_equal(buf_append(&yaml, STR("policies: {latency_weight: 0.5}\nexperts:\n")), ST_OK);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(buf_printf(&yaml, "  e%d: {url: 'http://127.0.0.1:9/v%d'}\n", i, i),
                         ST_OK);
    }
    assert_int_equal(buf_append(&yaml, STR("categories:\n  general: {experts: [")), ST_OK);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(buf_printf(&yaml, "%s{expert: e%d}", i == 0 ? "" : ", ", i), ST_OK);
    }
    assert_int_equal(buf_append(&yaml, (struct str){"]}\n", 4}), ST_OK);
    start(&f, buf_str(&yaml).ptr);
    const struct expert *experts = f.sample.routes.experts.items;
    for (size_t i = 0; i < 20; i++) {
        bans[i] = experts[2 * i].id.name;
    }
    prompt_from_text(&prompt, STR("category/general"), STR("x"));
    prompt.permit.bans = bans;
    prompt.permit.ban_count = 20;
    struct rule_facts facts = {.prompt = &prompt, .health = slow};
    assert_int_equal(decide(&f.sample.routes, &f.scratch, &facts, f.arena, &first), ST_OK);

    signals_take(&f.sample.routes, &prompt, &first, &signals);
    assert_int_equal(signals.fact_count, 60);
    assert_true(signals_is_cut(&signals));
    again(&f, &signals, &second);
    assert_gap(&second, GAP_EXPERTS, "");

    room = mem_alloc(signals.fact_count * sizeof *room);
    assert_non_null(room);
    signals_take_all(&prompt, &first, &signals, room);
    through_bytes(&f, &signals);
    again(&f, &signals, &second);
    assert_same(&first, &second);
    assert_int_equal(second.gaps->count, 0);
    mem_free(room);
    buf_fini(&yaml);
    stop(&f);
}

static void purse_by_category(void *ctx, struct str expert, struct str category,
                              struct policy_purse *ret)
{
    (void)ctx;
    if (str_eq(expert, STR("med"))) {
        *ret = (struct policy_purse){STR("lab"), str_eq(category, STR("general")) ? 0 : INT64_MAX,
                                     INT64_MAX, false};
    }
}

/* The classifier is not sure, a guarantee takes it for medical: eyes is barred in the general category,
 * where med has no money. */
static void a_guarantees_detour_is_taken_again(void **state)
{
    static struct fixture f; /* large for a stack */
    static struct decision first;
    static struct decision second;
    static struct signals signals;
    struct prompt prompt;
    (void)state;
    start(&f,
          EXPERTS "categories:\n"
                  "  general: {experts: [{expert: eyes, score: 0.9}, {expert: med, score: 0.6}],\n"
                  "    split: [{expert: eyes, percent: 50}, {expert: med, percent: 50}]}\n"
                  "  medical: {threshold: 1.0, experts: [{expert: med, score: 0.5}]}\n"
                  "guarantees: [{name: g, when: {category: [medical]}, only: {experts: [med]}, "
                  "strict: false}]\n");
    prompt_from_text(&prompt, STR("auto"), STR(MEDICAL_TEXT));
    struct rule_facts facts = {.prompt = &prompt, .purse = purse_by_category};
    assert_int_equal(decide(&f.sample.routes, &f.scratch, &facts, f.arena, &first), ST_OK);
    assert_int_equal(first.source, DECIDE_GUARANTEE);
    assert_int_equal(first.left.count, 2);

    signals_take(&f.sample.routes, &prompt, &first, &signals);
    through_bytes(&f, &signals);
    again(&f, &signals, &second);

    assert_same(&first, &second);
    assert_int_equal(second.gaps->count, 0);
    assert_ptr_equal(second.left.category, first.left.category);
    for (size_t i = 0; i < 2; i++) {
        const struct policy_candidate *x = &first.left.candidates[i];
        const struct policy_candidate *y = &second.left.candidates[i];
        assert_true(str_eq(x->name, y->name));
        assert_ptr_equal(x->dropped_by, y->dropped_by);
        assert_true(memcmp(&x->rank, &y->rank, sizeof x->rank) == 0);
    }
    stop(&f);
}

/* The tenant may not use the category of the rule: the general one takes the prompt. */
static void a_rule_that_gave_way_gives_way_again(void **state)
{
    static const struct str allow[] = {STR_INIT("auto"), STR_INIT("category/general")};
    static struct fixture f; /* large for a stack */
    static struct decision first;
    static struct decision second;
    static struct signals signals;
    struct prompt prompt;
    (void)state;
    start(&f, EXPERTS CATEGORIES RULES);
    prompt_from_text(&prompt, STR("auto"), STR("an XRAY of a knee"));
    prompt.permit.allow = allow;
    prompt.permit.allow_count = 2;
    struct rule_facts facts = {.prompt = &prompt};
    assert_int_equal(decide(&f.sample.routes, &f.scratch, &facts, f.arena, &first), ST_OK);
    assert_int_equal(first.source, DECIDE_GENERAL);
    signals_take(&f.sample.routes, &prompt, &first, &signals);

    assert_int_equal(signals_prompt(&signals, &f.sample.routes, f.arena, &prompt), ST_OK);
    prompt.permit.allow = allow;
    prompt.permit.allow_count = 2;
    assert_int_equal(decide(&f.sample.routes, &f.scratch, &facts, f.arena, &second), ST_OK);

    assert_same(&first, &second);
    assert_int_equal(second.gaps->count, 0);
    stop(&f);
}

/* Rules that looked at the prompt in vain do so again; of others nobody knows. */
static void a_rule_that_was_not_tried_is_named(void **state)
{
    static const struct {
        const char *rules;
        size_t gaps;
    } cases[] = {
        {"rules: [{name: new, when: {text: XRAY}, category: medical}]\n", 0},
        {"rules: [{name: new, when: {text: BONE}, category: medical}]\n", 1},
        {"rules: [{name: new, when: {text: XRAY, header: {x-a: b}}, category: medical}]\n", 1},
        {"rules: [{name: new, when: {model: gpt-4o, text: BONE}, category: medical}]\n", 0},
    };

    static struct fixture old; /* large for a stack */
    static struct fixture new; /* large for a stack */
    struct signals signals;
    struct decision d;
    (void)state;
    start(&old, EXPERTS CATEGORIES RULES);
    take(&old, MEDICAL_TEXT, &signals);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[4096];
        (void)snprintf(yaml, sizeof yaml, "%s%s", EXPERTS CATEGORIES, cases[i].rules);
        start(&new, yaml);
        again(&new, &signals, &d);
        assert_int_equal(d.gaps->count, cases[i].gaps);
        if (cases[i].gaps > 0) {
            assert_gap(&d, GAP_RULE, "new");
        }
        stop(&new);
    }
    stop(&old);
}

static void a_split_that_nobody_drew_is_named(void **state)
{
    static struct fixture old; /* large for a stack */
    static struct fixture new; /* large for a stack */
    struct signals signals;
    struct decision d;
    (void)state;
    start(&old, EXPERTS CATEGORIES);
    start(
        &new, EXPERTS
        "categories:\n"
        "  general: {experts: [{expert: small}]}\n"
        "  medical: {experts: [{expert: med}, {expert: small}], split: [{expert: small, percent: 50}]}\n");
    take(&old, MEDICAL_TEXT, &signals);

    again(&new, &signals, &d);

    assert_gap(&d, GAP_DRAW, "medical");
    stop(&old);
    stop(&new);
}

static void more_gaps_than_are_told_apart_are_counted(void **state)
{
    static const struct str names[] = {STR_INIT("a"), STR_INIT("b")};
    struct gaps gaps = {.count = 0};
    (void)state;
    for (int kind = 0; kind < GAP_KINDS_COUNT; kind++) {
        gaps_add(&gaps, (enum gap_kind)kind, names[0]);
        gaps_add(&gaps, (enum gap_kind)kind, names[0]);
        gaps_add(&gaps, (enum gap_kind)kind, names[1]);
        assert_true(gap_word((enum gap_kind)kind)[0] != '\0');
    }
    assert_true(gaps.count > GAPS_MAX);
    assert_int_equal(gaps.items[GAPS_MAX - 1].kind, (GAPS_MAX - 1) / 2);
}

static void names_and_bans_are_found_again(void **state)
{
    static const struct str bans[] = {STR_INIT("med"), STR_INIT("small")};
    static struct fixture f; /* large for a stack */
    struct prompt prompt;
    struct signals signals;
    struct decision d;
    (void)state;
    start(&f, EXPERTS CATEGORIES);
    prompt_from_text(&prompt, STR("category/medical"), STR("x"));
    prompt.permit.bans = bans;
    prompt.permit.ban_count = 1;
    prompt.session.expert = STR("eyes");
    struct rule_facts facts = {.prompt = &prompt};
    assert_int_equal(decide(&f.sample.routes, &f.scratch, &facts, f.arena, &d), ST_OK);
    signals_take(&f.sample.routes, &prompt, &d, &signals);

    assert_int_equal(signals_prompt(&signals, &f.sample.routes, f.arena, &prompt), ST_OK);

    assert_int_equal(prompt.permit.ban_count, 1);
    assert_true(str_eq(prompt.permit.bans[0], STR("med")));
    assert_true(str_eq(prompt.session.expert, STR("eyes")));
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_configuration_decides_the_same_again),
        cmocka_unit_test(another_configuration_decides_as_it_says),
        cmocka_unit_test(a_split_draws_the_same_again),
        cmocka_unit_test(a_rule_fires_again_in_another_place),
        cmocka_unit_test(what_was_never_asked_is_a_guess),
        cmocka_unit_test(a_new_guarantee_is_held_as_far_as_can_be_told),
        cmocka_unit_test(other_weights_are_no_basis),
        cmocka_unit_test(bytes_that_are_cut_or_odd_are_refused),
        cmocka_unit_test(more_gaps_than_are_told_apart_are_counted),
        cmocka_unit_test(names_and_bans_are_found_again),
        cmocka_unit_test(how_experts_were_is_held_again),
        cmocka_unit_test(times_and_pressure_that_were_not_noted_make_a_guess),
        cmocka_unit_test(more_than_is_noted_makes_a_guess),
        cmocka_unit_test(bytes_of_old_versions_are_still_read),
        cmocka_unit_test(any_number_of_candidates_is_decided_the_same_again),
        cmocka_unit_test(a_guarantees_detour_is_taken_again),
        cmocka_unit_test(a_rule_that_gave_way_gives_way_again),
        cmocka_unit_test(a_rule_that_was_not_tried_is_named),
        cmocka_unit_test(a_split_that_nobody_drew_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
