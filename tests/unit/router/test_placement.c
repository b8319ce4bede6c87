/* From a table to a mapping, its frontier, and experts that answer oddly. */
#include <math.h>

#include "base/arena.h"
#include "base/mem.h"
#include "router/optimize.h"
#include "router/placement_write.h"
#include "tests/support/test.h"

#define HEAD "category\texpert\tright\tcount\tprice_usd_per_1k\tparams_b\n"

static const struct str scores = STR_INIT(HEAD "law\tbig\t80\t100\t2\t70\n"
                                               "law\tsmall\t50\t100\t1\t8\n"
                                               "math\tbig\t150\t300\t2\t70\n"
                                               "math\tsmall\t240\t300\t1\t8\n");

static struct score_table *table_of(struct str text)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct score_table *t = score_table_create();
    struct diags diags;
    diags_init(&diags, arena);
    assert_int_equal(score_table_scan(t, text, STR("scores"), &diags), ST_OK);
    arena_destroy(arena);
    return t;
}

static void skip_without_solver(void)
{
    if (optimize_missing() != NULL) {
        print_message("SKIPPED: %s\n", optimize_missing());
        skip();
    }
}

static void traffic_is_what_the_table_counts(void **state)
{
    (void)state;
    struct score_table *t = table_of(scores);
    struct placement *p = placement_create(t, NULL);

    assert_float_equal(p->shares[0], 0.25, 1e-6);
    assert_float_equal(p->shares[1], 0.75, 1e-6);
    assert_float_equal(p->expert[0].mean, 0.575, 1e-6);
    placement_destroy(p);
    score_table_destroy(t);
}

static void a_budget_changes_the_choice(void **state)
{
    (void)state;
    skip_without_solver();
    struct score_table *t = table_of(scores);
    struct placement *p = placement_create(t, NULL);
    struct placement_point point;

    assert_int_equal(placement_solve(p, &point), ST_OK);
    assert_int_equal(point.experts[0], 0);
    assert_int_equal(point.experts[1], 1);
    assert_int_equal(point.hosted, 2);
    assert_float_equal(point.traits[SCORE_PRICE], 1.25, 1e-6);
    assert_float_equal(point.traits[SCORE_PARAMS], 78.0, 1e-6);
    assert_true(isnan(point.traits[SCORE_MEMORY]));

    p->budgets.most[SCORE_PARAMS] = 60.0;
    assert_int_equal(placement_solve(p, &point), ST_OK);
    assert_int_equal(point.experts[0], 1);
    p->budgets.most[SCORE_PARAMS] = 7.0;
    assert_int_equal(placement_solve(p, &point), ST_NOT_FOUND);
    placement_destroy(p);
    score_table_destroy(t);
}

static void the_frontier_falls_in_cost_and_in_score(void **state)
{
    static struct placement_frontier frontier;
    (void)state;
    skip_without_solver();
    struct score_table *t = table_of(scores);
    struct placement *p = placement_create(t, NULL);
    p->cost = placement_default_cost(p);

    assert_int_equal(placement_sweep(p, &frontier), ST_OK);

    assert_int_equal(frontier.count, 2);
    assert_true(frontier.items[1].quality < frontier.items[0].quality);
    assert_float_equal(frontier.items[1].traits[SCORE_PRICE], 1.0, 1e-6);
    placement_destroy(p);
    score_table_destroy(t);
}

static void what_a_budget_needs_must_be_known(void **state)
{
    (void)state;
    struct score_table *t = table_of(scores);
    struct placement *p = placement_create(t, NULL);
    enum score_trait trait = SCORE_PRICE;
    size_t expert = 7;

    assert_false(placement_lacks(p, &trait, &expert));
    p->budgets.most[SCORE_MEMORY] = 9.0;
    assert_true(placement_lacks(p, &trait, &expert));

    assert_int_equal(trait, SCORE_MEMORY);
    assert_int_equal(expert, 0);
    placement_destroy(p);
    score_table_destroy(t);
}

static void experts_can_be_left_out(void **state)
{
    static const bool is_used[] = {false, true};
    struct placement_point point;
    (void)state;
    struct score_table *t = table_of(scores);
    struct placement *p = placement_create(t, is_used);

    assert_int_equal(p->experts, 1);
    test_assert_str(p->expert[0].name, STR("small"));
    assert_true(placement_single(p, 0, &point));
    p->budgets.most[SCORE_PRICE] = 0.9;
    assert_false(placement_single(p, 0, &point));
    placement_destroy(p);
    score_table_destroy(t);
}

/* Ten answers of each expert: what `odd` says, and two others that say something new each time. */
static enum placement_suspicion suspect(const char *const *answers, size_t count, double chars)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    assert_int_equal(buf_append(&text, STR("category\texpert\tright\tanswer\tchars\n")), ST_OK);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(buf_printf(&text, "c\todd\t0.9\t%s\t%.0f\n", answers[i % count], chars),
                         ST_OK);
        assert_int_equal(buf_printf(&text, "c\tx\t0.5\tx%zu\t100\nc\ty\t0.5\ty%zu\t120\n", i, i),
                         ST_OK);
    }
    struct score_table *t = table_of(buf_str(&text));
    struct placement *p = placement_create(t, NULL);
    enum placement_suspicion ret = placement_suspect(p, 0);
    assert_int_equal(placement_suspect(p, 1), PLACEMENT_SOUND);
    placement_destroy(p);
    score_table_destroy(t);
    buf_fini(&text);
    return ret;
}

static void odd_answers_are_suspected(void **state)
{
    static const char *const same[] = {"The best answer."};
    static const char *const half[] = {"a", "b", "a", "c", "a", "d", "a", "e", "a", "f"};
    static const char *const varied[] = {"a", "b", "c", "d", "a", "e", "f", "g", "a", "h"};
    (void)state;

    assert_int_equal(suspect(same, 1, 100.0), PLACEMENT_SAME);
    assert_int_equal(suspect(half, 10, 100.0), PLACEMENT_SAME);
    assert_int_equal(suspect(varied, 10, 100.0), PLACEMENT_SOUND);
    assert_int_equal(suspect(varied, 10, 10.0), PLACEMENT_SHORT);
    assert_int_equal(suspect(varied, 10, 1200.0), PLACEMENT_LONG);
}

static void running_out_of_memory_is_clean(void **state)
{
    (void)state;
    struct score_table *t = table_of(scores);
    struct placement *p = NULL;
    uint64_t nth = 1;
    for (; p == NULL && nth < 100; nth++) {
        mem_fail_at(nth, 0);
        p = placement_create(t, NULL);
        mem_fail_at(0, 0);
    }
    assert_true(nth > 5);
    placement_destroy(p);
    score_table_destroy(t);
}

/* Whatever ceiling the buffer has: it fits or says that it does not. */
static void writing_says_when_there_is_no_room(void **state)
{
    struct placement_point point;
    (void)state;
    struct score_table *t = table_of(scores);
    struct placement *p = placement_create(t, NULL);
    (void)placement_single(p, 0, &point); /* there are no budgets */
    for (size_t max = 1; max < 300; max++) {
        struct buf out;
        buf_init(&out, max);
        assert_int_equal(placement_write_yaml(p, &point, NULL, &out), ST_TOO_BIG);
        buf_fini(&out);
    }
    placement_destroy(p);
    score_table_destroy(t);
}

static void a_fallback_never_stands_above_the_chosen_expert(void **state)
{
    static const struct str want = STR_INIT("      - {expert: \"small\", score: 0.513}\n"
                                            "      - {expert: \"big\", score: 0.513} # capped");
    struct placement_point point;
    struct buf out;
    (void)state;
    struct score_table *t = table_of(scores);
    struct placement *p = placement_create(t, NULL);
    buf_init(&out, 1 << 16);
    (void)placement_single(p, 1, &point); /* there are no budgets */
    point.experts[1] = 0;                 /* both are hosted, each where the other is better */

    assert_int_equal(placement_write_yaml(p, &point, NULL, &out), ST_OK);

    assert_true(p->scores[0] > p->scores[1]);
    if (str_find(buf_str(&out), want) == out.len) {
        print_message("%.*s", STR_ARG(buf_str(&out)));
        fail();
    }
    buf_fini(&out);
    placement_destroy(p);
    score_table_destroy(t);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(traffic_is_what_the_table_counts),
        cmocka_unit_test(a_budget_changes_the_choice),
        cmocka_unit_test(the_frontier_falls_in_cost_and_in_score),
        cmocka_unit_test(what_a_budget_needs_must_be_known),
        cmocka_unit_test(experts_can_be_left_out),
        cmocka_unit_test(odd_answers_are_suspected),
        cmocka_unit_test(running_out_of_memory_is_clean),
        cmocka_unit_test(writing_says_when_there_is_no_room),
        cmocka_unit_test(a_fallback_never_stands_above_the_chosen_expert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
