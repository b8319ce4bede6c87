/* Evaluation tables: both forms, and every way to get one wrong. */
#include <math.h>

#include "base/arena.h"
#include "base/mem.h"
#include "router/score_table.h"
#include "tests/support/test.h"

static enum status scan(struct score_table *t, struct str text, int *ret_line)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    diags_init(&diags, arena);
    enum status st = score_table_scan(t, text, STR("scores"), &diags);
    *ret_line = diags.count > 0 ? diags.items[0].pos.line : 0;
    arena_destroy(arena);
    return st;
}

static void assert_two_by_two(const struct score_table *t)
{
    static const double want[] = {41.0, 60.0, 0.5, 1.0, 0.0, 0.0, 2.0, 3.0};
    assert_int_equal(score_table_categories(t), 2);
    assert_int_equal(score_table_experts(t), 2);
    test_assert_str(score_table_category(t, 1), STR("math"));
    test_assert_str(score_table_expert(t, 1), STR("small"));
    struct score_cell cells[4];
    score_table_cells(t, cells);
    for (size_t i = 0; i < 4; i++) {
        assert_float_equal(cells[i].right, want[2 * i], 1e-12);
        assert_float_equal(cells[i].count, want[2 * i + 1], 1e-12);
    }
}

static void both_forms_give_the_same_table(void **state)
{
    static const struct str texts[] = {
        STR_INIT("{\"category\":\"law\",\"expert\":\"big\",\"right\":41,\"count\":60}\n"
                 "{\"expert\":\"small\",\"id\":[7],\"category\":\"l\\u0061w\",\"right\":0.5}\r\n\n"
                 "{\"category\":\"math\",\"expert\":\"small\",\"right\":true}\n"
                 "{\"category\":\"math\",\"expert\":\"small\",\"right\":false}\n"
                 "{\"category\":\"math\",\"expert\":\"small\",\"right\":1}"),
        STR_INIT("right\tnote\tcount\texpert\tcategory\n41\t\t60\tbig\tlaw\r\n\n"
                 "0.5\tx\t1\tsmall\tlaw\n2\ty\t3\tsmall\tmath"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct score_table *t = score_table_create();
        int line = 0;
        assert_int_equal(scan(t, texts[i], &line), ST_OK);
        assert_two_by_two(t);
        score_table_destroy(t);
    }
}

#define JSON_ROW "{\"category\":\"law\",\"expert\":\"big\",\"right\":1}\n"
#define COLUMNS  "category\texpert\tright\tcount\n"

static void wrong_rows_are_refused_with_their_line(void **state)
{
    static const struct {
        struct str text;
        int line;
    } cases[] = {
        {STR_INIT(JSON_ROW "{\"category\":\"law\",\"expert\":\"big\"}"), 2},
        {STR_INIT(JSON_ROW "{\"category\":\"law\",\"right\":1}"), 2},
        {STR_INIT("\n{\"expert\":\"big\",\"right\":1}"), 2},
        {STR_INIT("{\"category\":\"\",\"expert\":\"big\",\"right\":1}"), 1},
        {STR_INIT("{\"category\":7,\"expert\":\"big\",\"right\":1}"), 1},
        {STR_INIT("{\"category\":\"law\",\"expert\":\"big\",\"right\":2}"), 1},
        {STR_INIT("{\"category\":\"law\",\"expert\":\"big\",\"right\":-1}"), 1},
        {STR_INIT("{\"category\":\"law\",\"expert\":\"big\",\"right\":\"1\"}"), 1},
        {STR_INIT("{\"category\":\"law\",\"expert\":\"big\",\"right\":1,\"right\":1}"), 1},
        {STR_INIT("{\"category\":\"law\",\"expert\":\"big\",\"right\":0,\"count\":0}"), 1},
        {STR_INIT("{\"category\":\"law\",\"expert\":\"big\",\"right\":1"), 1},
        {STR_INIT(JSON_ROW "law\tbig\t1"), 2},
        {STR_INIT("category\texpert\n"), 1},
        {STR_INIT("category\texpert\tright\tright\n"), 1},
        {STR_INIT(COLUMNS "law\tbig\t1\t1\nlaw\tbig\t1\n"), 3},
        {STR_INIT(COLUMNS "law\tbig\t1\t1\t1\n"), 2},
        {STR_INIT(COLUMNS "law\tbig\tone\t1\n"), 2},
        {STR_INIT(COLUMNS "law\tbig\t1\tnan\n"), 2},
        {STR_INIT("category\texpert\tright\tparams_b\nlaw\tbig\t1\t-7\n"), 2},
        {STR_INIT("{\"category\":\"law\",\"expert\":\"big\",\"right\":1,\"latency_ms\":\"7\"}"), 1},
        {STR_INIT("{\"category\":\"law\",\"expert\":\"big\",\"right\":1,\"answer\":7}"), 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct score_table *t = score_table_create();
        int line = 0;
        assert_int_equal(scan(t, cases[i].text, &line), ST_INVALID);
        assert_int_equal(line, cases[i].line);
        score_table_destroy(t);
    }
}

static void rows_say_what_an_expert_takes(void **state)
{
    static const struct str text =
        STR_INIT("category\texpert\tright\tcount\tprice_usd_per_1k\tparams_b\n"
                 "law\tbig\t1\t1\t2\t70\nmath\tbig\t1\t3\t6\t72\nlaw\tsmall\t1\t1\t\t\n");
    (void)state;
    struct score_table *t = score_table_create();
    int line = 0;

    assert_int_equal(scan(t, text, &line), ST_OK);

    assert_float_equal(score_table_trait(t, 0, SCORE_PRICE), 5.0, 1e-12); /* the mean request */
    assert_float_equal(score_table_trait(t, 0, SCORE_PARAMS), 72.0, 1e-12);
    assert_true(isnan(score_table_trait(t, 0, SCORE_MEMORY)));
    assert_true(isnan(score_table_trait(t, 1, SCORE_PRICE)));
    score_table_destroy(t);
}

#define ANSWER(text) "{\"category\":\"law\",\"expert\":\"e\",\"right\":1,\"answer\":\"" text "\"}\n"

static void equal_answers_are_counted(void **state)
{
    static const struct str text = STR_INIT(
        ANSWER("yes") ANSWER("no") ANSWER("y\\u0065s ") ANSWER("maybe")
            ANSWER("yes") "{\"category\":\"law\",\"expert\":\"e\",\"right\":1,\"chars\":19}\n");
    (void)state;
    struct score_table *t = score_table_create();
    int line = 0;

    assert_int_equal(scan(t, text, &line), ST_OK);

    struct score_answers answers = score_table_answers(t, 0);
    assert_int_equal(answers.texts, 5);
    assert_int_equal(answers.same, 3);
    assert_int_equal(answers.lengths, 6);
    assert_float_equal(answers.chars, 6.0, 1e-6);
    score_table_destroy(t);
}

static void names_have_a_ceiling(void **state)
{
    struct score_table *t = score_table_create();
    char name[] = "c000";
    (void)state;

    enum status st = ST_OK;
    int added = 0;
    for (; st == ST_OK && added < 1000; added++) {
        name[1] = (char)('0' + added / 100);
        name[2] = (char)('0' + added / 10 % 10);
        name[3] = (char)('0' + added % 10);
        st = score_table_add(t, str_from(name), STR("e"), (struct score_cell){1.0, 1.0});
    }

    assert_int_equal(st, ST_TOO_BIG);
    assert_int_equal(score_table_categories(t), SCORE_TABLE_CATEGORIES_MAX);
    score_table_destroy(t);
}

static void running_out_of_memory_is_clean(void **state)
{
    (void)state;
    enum status st = ST_NO_MEMORY;
    uint64_t nth = 1;
    for (; st == ST_NO_MEMORY && nth < 100; nth++) {
        struct arena *arena = arena_create(4096, 1 << 20);
        struct diags diags;
        diags_init(&diags, arena);
        mem_fail_at(nth, 0);
        struct score_table *t = score_table_create();
        st = t != NULL ? score_table_scan(t, STR(JSON_ROW), STR("scores"), &diags) : ST_NO_MEMORY;
        mem_fail_at(0, 0);
        score_table_destroy(t);
        arena_destroy(arena);
    }
    assert_int_equal(st, ST_OK);
    assert_true(nth > 5);
}

static void a_file_that_cannot_be_read_is_reported(void **state)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct score_table *t = score_table_create();
    struct diags diags;
    (void)state;
    diags_init(&diags, arena);

    assert_int_equal(score_table_read(t, "no/such/file", &diags), ST_IO);

    assert_int_equal(diags.errors, 1);
    score_table_destroy(t);
    arena_destroy(arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_give_the_same_table),
        cmocka_unit_test(wrong_rows_are_refused_with_their_line),
        cmocka_unit_test(rows_say_what_an_expert_takes),
        cmocka_unit_test(equal_answers_are_counted),
        cmocka_unit_test(names_have_a_ceiling),
        cmocka_unit_test(running_out_of_memory_is_clean),
        cmocka_unit_test(a_file_that_cannot_be_read_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
