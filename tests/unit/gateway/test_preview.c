/* Previews: two configurations decide the same requests, and what differs is counted. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "gateway/preview.h"
#include "tests/support/test.h"

#define EXPERTS                                                                                    \
    "experts:\n"                                                                                   \
    "  a: {url: 'http://127.0.0.1:9/v1', price: {input: 1, output: 1}}\n"                          \
    "  b: {url: 'http://127.0.0.1:9/v2', price: {input: 9, output: 9}}\n"
#define OLD                                                                                        \
    EXPERTS                                                                                        \
    "categories:\n"                                                                                \
    "  general: {experts: [{expert: a, score: 0.5}]}\n"                                            \
    "  hard: {experts: [{expert: b, score: 0.5}]}\n"
#define STATE "state: {path: /not/opened.db}\n"
#define NEW                                                                                        \
    EXPERTS                                                                                        \
    "categories:\n"                                                                                \
    "  general: {experts: [{expert: b, score: 0.5}]}\n"                                            \
    "rules: [{when: {text: x}, expert: a}]\n"

static struct snapshot *load(const char *yaml)
{
    struct snapshot *s = NULL;
    FILE *out = fopen("/dev/null", "w");
    assert_non_null(out);
    assert_int_equal(snapshot_try(str_from(yaml), STR("t"), NULL, out, &s), ST_OK);
    (void)fclose(out);
    return s;
}

enum {
    REQUESTS_MAX = 8
};

/* Requests that asked for these models, a second apart, the last one at `now`. */
static struct preview_source source_of(const char *const *models, struct preview_request *room)
{
    struct preview_source source = {.requests = room, .now_s = 1000000};
    while (source.count < REQUESTS_MAX && models[source.count] != NULL) {
        struct preview_request *r = &room[source.count];
        memset(r, 0, sizeof *r);
        r->signals.turns = 1;
        r->signals.text_bytes = 400;
        r->signals.max_tokens = 100;
        (void)snprintf(r->signals.model, sizeof r->signals.model, "%s", models[source.count++]);
    }
    for (size_t i = 0; i < source.count; i++) {
        room[i].made_ms = (source.now_s - (int64_t)(source.count - 1 - i)) * 1000;
    }
    return source;
}

static void what_differs_is_counted(void **state)
{
    static const char *const models[] = {"auto", "category/hard", "b", "auto", NULL};
    static struct preview_request room[REQUESTS_MAX];
    struct preview_source requests = source_of(models, room);
    struct preview p;
    struct buf text;
    struct snapshot *old = load(OLD);
    struct snapshot *new = load(NEW);
    struct arena *arena = arena_create(4096, 1 << 20);
    (void)state;
    buf_init(&text, 65536);

    assert_int_equal(preview_run(old, new, &requests, arena, &p), ST_OK);

    assert_int_equal(p.requests, 4);
    assert_int_equal(p.new_categories, 1); /* category/hard is gone */
    assert_int_equal(p.new_experts, 3);
    assert_int_equal(p.move_count, 1);
    assert_true(str_eq(p.moves[0].from, STR("hard")));
    assert_int_equal(p.rule_count, 1);
    assert_true(str_eq(p.rules[0], STR("line 6")));
    assert_int_equal(preview_write_text(&p, &text), ST_OK);
    assert_int_equal(buf_append_char(&text, '\0'), ST_OK);
    const char *said = buf_str(&text).ptr;
    assert_non_null(strstr(said, "refused 0 before, 1 after"));
    assert_non_null(strstr(said, "(named expert)"));
    assert_non_null(strstr(said, "no longer chosen"));
    buf_fini(&text);
    arena_destroy(arena);
    snapshot_unref(old);
    snapshot_unref(new);
}

static const struct preview_spending *spending(const struct preview *p, size_t which,
                                               const char *name)
{
    for (size_t i = 0; i < p->budget_count; i++) {
        if (str_eq(p->budgets[i].name, str_from(name))) {
            return &p->budgets[i].sides[which];
        }
    }
    fail_msg("no budget %s", name);
    return NULL;
}

/* Each request costs a 200,000 nano-USD: 100 tokens there and 100 back for 1 USD a million. The third
 * does not fit any more, nor the fourth. */
static void a_budget_is_spent_request_by_request(void **state)
{
    static const char *const models[] = {"auto", "auto", "auto", "auto", NULL};
    static struct preview_request room[REQUESTS_MAX];
    struct preview_source requests = source_of(models, room);
    struct preview p;
    struct snapshot *old = load(OLD);
    struct snapshot *new = load(OLD STATE "budgets: [{name: team, usd: 0.0005, per: total}]\n");
    struct arena *arena = arena_create(4096, 1 << 20);
    (void)state;

    assert_int_equal(preview_run(old, new, &requests, arena, &p), ST_OK);

    assert_int_equal(p.budget_count, 1);
    assert_false(spending(&p, 0, "team")->is_there);
    const struct preview_spending *after = spending(&p, 1, "team");
    assert_int_equal(after->limit_nano_usd, 500000);
    assert_int_equal(after->nano_usd, 400000);
    assert_int_equal(after->hits, 2);
    assert_int_equal(after->refused, 2);
    assert_int_equal(after->already_nano_usd, 0);
    assert_int_equal(p.new_experts, 2);
    assert_int_equal(p.guesses, 0);
    arena_destroy(arena);
    snapshot_unref(old);
    snapshot_unref(new);
}

/* Two requests in the window of today; before them 300,000 nano-USD were spent in it. */
static void what_was_spent_before_them_counts(void **state)
{
    static const char *const models[] = {"auto", "auto", NULL};
    static struct preview_request room[REQUESTS_MAX];
    struct preview_source requests = source_of(models, room);
    struct preview p;
    struct snapshot *old = load(OLD STATE "budgets: [{name: team, usd: 1, per: day}]\n");
    struct snapshot *new = load(OLD STATE "budgets: [{name: renamed, usd: 0.0006, per: day}]\n");
    struct budgets *live = budgets_create();
    struct arena *arena = arena_create(4096, 1 << 20);
    (void)state;
    assert_int_equal(budgets_bind(live, &old->conf.budgets, NULL, requests.now_s), ST_OK);
    budgets_spend(old->conf.budgets.items, 700000, requests.now_s);

    assert_int_equal(preview_run(old, new, &requests, arena, &p), ST_OK);

    const struct preview_spending *before = spending(&p, 0, "team");
    assert_int_equal(before->already_nano_usd, 300000);
    assert_int_equal(before->nano_usd, 400000);
    assert_int_equal(before->hits, 0);
    const struct preview_spending *after = spending(&p, 1, "renamed");
    assert_int_equal(after->already_nano_usd, 300000);
    assert_int_equal(after->nano_usd, 200000);
    assert_int_equal(after->refused, 1);
    assert_int_equal(budgets_spent(old->conf.budgets.items, requests.now_s), 700000);
    arena_destroy(arena);
    snapshot_unref(old);
    snapshot_unref(new);
    budgets_destroy(live);
}

/* Windows before the one that is open begin empty. */
static void an_older_window_begins_anew(void **state)
{
    static const char *const models[] = {"auto", "auto", NULL};
    static struct preview_request room[REQUESTS_MAX];
    struct preview_source requests = source_of(models, room);
    struct preview p;
    struct snapshot *old = load(OLD);
    struct snapshot *new = load(OLD STATE "budgets: [{name: team, usd: 0.0003, per: hour}]\n");
    struct arena *arena = arena_create(4096, 1 << 20);
    (void)state;
    room[0].made_ms -= 3600 * 1000;

    assert_int_equal(preview_run(old, new, &requests, arena, &p), ST_OK);

    assert_int_equal(spending(&p, 1, "team")->hits, 0);
    assert_int_equal(spending(&p, 1, "team")->nano_usd, 400000);
    arena_destroy(arena);
    snapshot_unref(old);
    snapshot_unref(new);
}

#define KEY                                                                                        \
    "tenants: [{name: alice, keys: [{name: k, sha256: "                                            \
    "'sha256:d810d1fc478099218de71105d21fccea994cc6c75f40eb6955e5e1549e25af8b'}]}]\n"

/* Whose request it was is known by the hashes of names: alice's; somebody's who is gone; alice's with a
 * key that receipts of old did not note. */
static void budgets_of_tenants_and_keys_are_found(void **state)
{
    static const char *const models[] = {"auto", "auto", "auto", NULL};
    static struct preview_request room[REQUESTS_MAX];
    struct preview_source requests = source_of(models, room);
    struct preview p;
    struct snapshot *old = load(OLD STATE KEY);
    struct snapshot *new =
        load(OLD STATE KEY "budgets:\n"
                           "  - {name: hers, usd: 1, for: {tenant: alice}}\n"
                           "  - {name: keyed, usd: 1, for: {key: k}}\n"
                           "policies: {degrade: {budget: hers, cost_weight: 1}}\n");
    struct arena *arena = arena_create(4096, 1 << 20);
    (void)state;
    room[0].signals.tenant = signals_name(STR("alice"));
    room[0].signals.key = signals_name(STR("k"));
    room[1].signals.tenant = signals_name(STR("bob"));
    room[2].signals.tenant = signals_name(STR("alice"));

    assert_int_equal(preview_run(old, new, &requests, arena, &p), ST_OK);

    assert_int_equal(spending(&p, 1, "hers")->nano_usd, 400000);
    assert_int_equal(spending(&p, 1, "keyed")->nano_usd, 200000);
    assert_int_equal(p.guesses, 2);
    assert_int_equal(p.gaps[GAP_TENANT], 1);
    assert_int_equal(p.gaps[GAP_KEY], 1);
    assert_int_equal(p.gaps[GAP_PRESSURE], 0);
    arena_destroy(arena);
    snapshot_unref(old);
    snapshot_unref(new);
}

/* cold: 503 refuses while the process of the best expert is being loaded. */
static void a_cold_refusal_is_no_answer(void **state)
{
    static const char *const models[] = {"auto", NULL};
    static struct preview_request room[REQUESTS_MAX];
    struct preview_source requests = source_of(models, room);
    struct preview p;
    struct snapshot *old = load(EXPERTS "categories:\n  general: {experts: [{expert: a}]}\n");
    struct snapshot *new =
        load(EXPERTS "categories:\n  general: {cold: 503, experts: [{expert: a}]}\n");
    struct arena *arena = arena_create(4096, 1 << 20);
    (void)state;
    room[0].signals.facts[0] =
        (struct signals_fact){.name = signals_name(STR("a")), .wait_ms = 900};
    room[0].signals.fact_count = 1;

    assert_int_equal(preview_run(old, new, &requests, arena, &p), ST_OK);

    assert_int_equal(p.new_experts, 1);
    for (size_t i = 0; i < p.experts.count; i++) {
        const struct preview_name *n = &p.experts.items[i];
        assert_int_equal(n->after, n->name.len == 0 ? 1 : 0);
    }
    arena_destroy(arena);
    snapshot_unref(old);
    snapshot_unref(new);
}

static void memory_runs_out_cleanly(void **state)
{
    struct snapshot *old = load(OLD);
    struct snapshot *new = load(NEW);
    enum status st = ST_NO_MEMORY;
    (void)state;
    for (uint64_t n = 1; st == ST_NO_MEMORY && n < 100; n++) {
        static const char *const models[] = {"auto", "b", NULL};
        static struct preview_request room[REQUESTS_MAX];
        struct preview_source requests = source_of(models, room);
        struct preview p;
        struct arena *arena = arena_create(64, 1 << 20);
        assert_non_null(arena);
        mem_fail_at(n, 0);
        st = preview_run(old, new, &requests, arena, &p);
        mem_fail_at(0, 0);
        arena_destroy(arena);
    }
    assert_int_equal(st, ST_OK);
    snapshot_unref(old);
    snapshot_unref(new);
}

static void a_trial_without_memory_ends_cleanly(void **state)
{
    static const char yaml[] = NEW "aliases: {x: [a, b]}\n"
                                   "tests: [{prompt: hello, expect: {category: general}}]\n"
                                   "server: {access_log: 'off'}\n";
    enum status st = ST_NO_MEMORY;
    uint64_t failures = 0;
    (void)state;
    snapshot_unref(load(OLD)); /* the tables of keys are made once */
    FILE *out = fopen("/dev/null", "w");
    assert_non_null(out);
    for (uint64_t n = 1; st != ST_OK && n < 1000; n++) {
        struct snapshot *s = NULL;
        mem_fail_at(n, 0);
        st = snapshot_try(str_from(yaml), STR("t"), NULL, out, &s);
        mem_fail_at(0, 0);
        failures += st == ST_NO_MEMORY;
        if (st != ST_OK && st != ST_NO_MEMORY) {
            fail_msg("allocation %llu: %s", (unsigned long long)n, status_text(st));
        }
        assert_true((s != NULL) == (st == ST_OK));
        snapshot_unref(s);
    }
    assert_int_equal(st, ST_OK);
    assert_true(failures > 3);
    (void)fclose(out);
}

static void results_without_memory_are_not_written(void **state)
{
    enum status (*const writers[])(const struct preview *, struct buf *) = {preview_write,
                                                                            preview_write_text};

    static const char *const models[] = {"auto", "category/hard", "b", "auto", NULL};
    static struct preview_request room[REQUESTS_MAX];
    struct preview_source requests = source_of(models, room);
    struct preview p;
    struct snapshot *old = load(OLD);
    struct snapshot *new = load(NEW);
    struct arena *arena = arena_create(4096, 1 << 20);
    (void)state;
    assert_int_equal(preview_run(old, new, &requests, arena, &p), ST_OK);
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
        enum status st = ST_NO_MEMORY;
        uint64_t n = 1;
        for (; st == ST_NO_MEMORY && n < 100; n++) {
            struct buf text;
            buf_init(&text, 65536);
            mem_fail_at(n, 0);
            st = writers[i](&p, &text);
            mem_fail_at(0, 0);
            buf_fini(&text);
        }
        assert_int_equal(st, ST_OK);
        assert_true(n > 2);
    }
    arena_destroy(arena);
    snapshot_unref(old);
    snapshot_unref(new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_differs_is_counted),
        cmocka_unit_test(a_budget_is_spent_request_by_request),
        cmocka_unit_test(what_was_spent_before_them_counts),
        cmocka_unit_test(an_older_window_begins_anew),
        cmocka_unit_test(budgets_of_tenants_and_keys_are_found),
        cmocka_unit_test(a_cold_refusal_is_no_answer),
        cmocka_unit_test(memory_runs_out_cleanly),
        cmocka_unit_test(a_trial_without_memory_ends_cleanly),
        cmocka_unit_test(results_without_memory_are_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
