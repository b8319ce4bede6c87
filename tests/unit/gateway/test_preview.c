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

struct requests {
    const char *models[4];
    size_t at;
};

static bool next(void *ctx, struct signals *ret)
{
    struct requests *r = ctx;
    if (r->at == 4 || r->models[r->at] == NULL) {
        return false;
    }
    memset(ret, 0, sizeof *ret);
    ret->turns = 1;
    ret->text_bytes = 400;
    ret->max_tokens = 100;
    (void)snprintf(ret->model, sizeof ret->model, "%s", r->models[r->at++]);
    return true;
}

static void what_differs_is_counted(void **state)
{
    struct requests requests = {{"auto", "category/hard", "b", "auto"}, 0};
    struct preview p;
    struct buf text;
    struct snapshot *old = load(OLD);
    struct snapshot *new = load(NEW);
    struct arena *arena = arena_create(4096, 1 << 20);
    (void)state;
    buf_init(&text, 65536);

    assert_int_equal(preview_run(old, new, next, &requests, arena, &p), ST_OK);

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

static void memory_runs_out_cleanly(void **state)
{
    struct snapshot *old = load(OLD);
    struct snapshot *new = load(NEW);
    enum status st = ST_NO_MEMORY;
    (void)state;
    for (uint64_t n = 1; st == ST_NO_MEMORY && n < 100; n++) {
        struct requests requests = {{"auto", "b"}, 0};
        struct preview p;
        struct arena *arena = arena_create(64, 1 << 20);
        assert_non_null(arena);
        mem_fail_at(n, 0);
        st = preview_run(old, new, next, &requests, arena, &p);
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
    struct requests requests = {{"auto", "category/hard", "b", "auto"}, 0};
    struct preview p;
    struct snapshot *old = load(OLD);
    struct snapshot *new = load(NEW);
    struct arena *arena = arena_create(4096, 1 << 20);
    (void)state;
    assert_int_equal(preview_run(old, new, next, &requests, arena, &p), ST_OK);
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
        cmocka_unit_test(memory_runs_out_cleanly),
        cmocka_unit_test(a_trial_without_memory_ends_cleanly),
        cmocka_unit_test(results_without_memory_are_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
