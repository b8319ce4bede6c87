/* Evaluations by name. */
#include "router/eval_table.h"
#include "tests/support/test.h"

static const struct eval_labels labels = {{STR_INIT("a"), STR_INIT("b")}, 2};

static void add(struct eval_table *t, struct str name)
{
    struct prompts_row prompt = {.text = STR("x"), .label = STR("a")};
    struct classifier_result result = {.count = 2, .p = {0.9F, 0.1F}};
    assert_int_equal(eval_add(eval_table_find(t, name), &prompt, &result, 1.0), ST_OK);
}

static void names_are_sorted_by_rows(void **state)
{
    (void)state;
    struct eval_table *t = eval_table_create(&labels, 0.5, STR("b"));
    add(t, STR("few"));
    add(t, STR("many"));
    add(t, STR("many"));
    add(t, STR(""));

    eval_table_sort(t);

    assert_int_equal(eval_table_count(t), 3);
    assert_true(str_eq(eval_table_name(t, 0), STR("many")));
    assert_true(str_eq(eval_table_name(t, 1), STR("(none)")));
    assert_true(str_eq(eval_table_name(t, 2), STR("few")));
    assert_int_equal(eval_rows(eval_table_at(t, 0)), 2);
    eval_table_destroy(t);
}

static void names_beyond_the_ceiling_share_one_place(void **state)
{
    (void)state;
    struct eval_table *t = eval_table_create(&labels, 0.5, STR("b"));
    for (int i = 0; i < EVAL_TABLE_MAX + 10; i++) {
        char name[] = {(char)('0' + i / 26), (char)('a' + i % 26)};
        add(t, (struct str){name, sizeof name});
    }
    add(t, STR("0a")); /* still its own */

    eval_table_sort(t);

    assert_int_equal(eval_table_count(t), EVAL_TABLE_MAX);
    assert_true(str_eq(eval_table_name(t, 0), STR("(others)")));
    assert_int_equal(eval_rows(eval_table_at(t, 0)), 11);
    assert_int_equal(eval_rows(eval_table_at(t, 1)), 2);
    eval_table_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_sorted_by_rows),
        cmocka_unit_test(names_beyond_the_ceiling_share_one_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
