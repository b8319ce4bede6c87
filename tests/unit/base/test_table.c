#include <stdio.h>

#include "base/mem.h"
#include "base/table.h"
#include "tests/support/test.h"

enum {
    KEYS = 1000
};

static char names[KEYS][16];

static int make_names(void **state)
{
    (void)state;
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(names[i], sizeof names[i], "key%d", i);
    }
    return 0;
}

static int stop_failing(void **state)
{
    (void)state;
    mem_fail_at(0, 0);
    return 0;
}

static void empty_table_has_nothing(void **state)
{
    (void)state;
    struct table *t = table_create();

    assert_int_equal(table_count(t), 0);
    assert_null(table_get(t, STR("a")));
    assert_int_equal(table_nearest(t, STR("a")).len, 0);

    table_destroy(t);
    table_destroy(NULL);
}

static void what_was_put_is_found(void **state)
{
    (void)state;
    struct table *t = table_create();
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(table_put(t, str_from(names[i]), names[i], NULL), ST_OK);
    }

    assert_int_equal(table_count(t), KEYS);
    for (int i = 0; i < KEYS; i++) {
        assert_ptr_equal(table_get(t, str_from(names[i])), names[i]);
    }
    assert_null(table_get(t, STR("key1000")));
    assert_null(table_get(t, STR("")));
    table_destroy(t);
}

static void put_replaces_and_gives_the_old_value(void **state)
{
    (void)state;
    int one = 1;
    int two = 2;
    void *old = &two;
    struct table *t = table_create();

    assert_int_equal(table_put(t, STR("a"), &one, &old), ST_OK);
    assert_null(old);
    assert_int_equal(table_put(t, STR("a"), &two, &old), ST_OK);

    assert_ptr_equal(old, &one);
    assert_ptr_equal(table_get(t, STR("a")), &two);
    assert_int_equal(table_count(t), 1);
    table_destroy(t);
}

static void empty_text_is_a_key(void **state)
{
    (void)state;
    int one = 1;
    struct table *t = table_create();

    assert_int_equal(table_put(t, (struct str){NULL, 0}, &one, NULL), ST_OK);

    assert_ptr_equal(table_get(t, STR("")), &one);
    assert_int_equal(table_count(t), 1);
    table_destroy(t);
}

static void nearest_is_within_a_third(void **state)
{
    (void)state;

    static const struct {
        struct str wanted;
        struct str nearest;
    } cases[] = {
        {STR_INIT("treshold"), STR_INIT("threshold")},
        {STR_INIT("threshold"), STR_INIT("threshold")},
        {STR_INIT("ab"), STR_INIT("a")},
        {STR_INIT("conect_timeout"), STR_INIT("connect_timeout")},
        {STR_INIT("kinnect_tiemout"), STR_INIT("connect_timeout")},
        {STR_INIT("something_else"), STR_INIT("")},
        {STR_INIT("shreshhold_x"), STR_INIT("threshold")},
        {STR_INIT("thrsh"), STR_INIT("")},
    };

    int value = 1;
    struct table *t = table_create();
    assert_int_equal(table_put(t, STR("a"), &value, NULL), ST_OK);
    assert_int_equal(table_put(t, STR("threshold"), &value, NULL), ST_OK);
    assert_int_equal(table_put(t, STR("connect_timeout"), &value, NULL), ST_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_assert_str(table_nearest(t, cases[i].wanted), cases[i].nearest);
    }
    table_destroy(t);
}

static void tie_goes_to_the_first_by_name(void **state)
{
    (void)state;
    struct table *t = table_create();
    for (int i = 9; i >= 0; i--) {
        assert_int_equal(table_put(t, str_from(names[i]), names[i], NULL), ST_OK);
    }

    test_assert_str(table_nearest(t, STR("keyx")), STR("key0"));

    table_destroy(t);
}

static void failed_put_changes_nothing(void **state)
{
    (void)state;
    struct table *t = table_create();
    size_t failures = 0;
    for (int i = 0; i < KEYS; i++) {
        mem_fail_at(1, 1);
        enum status st = table_put(t, str_from(names[i]), names[i], NULL);
        mem_fail_at(0, 0);
        if (st == ST_NO_MEMORY) {
            failures++;
            assert_int_equal(table_count(t), i);
            assert_null(table_get(t, str_from(names[i])));
            assert_true(i == 0 || table_get(t, str_from(names[i - 1])) == names[i - 1]);
            st = table_put(t, str_from(names[i]), names[i], NULL);
        }
        assert_int_equal(st, ST_OK);
    }

    assert_true(failures > 3);
    mem_fail_at(1, 0);
    assert_null(table_create());
    table_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_table_has_nothing),
        cmocka_unit_test(what_was_put_is_found),
        cmocka_unit_test(put_replaces_and_gives_the_old_value),
        cmocka_unit_test(empty_text_is_a_key),
        cmocka_unit_test(nearest_is_within_a_third),
        cmocka_unit_test(tie_goes_to_the_first_by_name),
        cmocka_unit_test_teardown(failed_put_changes_nothing, stop_failing),
    };
    return cmocka_run_group_tests(tests, make_names, NULL);
}
