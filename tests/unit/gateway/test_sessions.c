/* Who answered a conversation last: found again, forgotten in time, bounded. */
#include "base/mem.h"
#include "gateway/sessions.h"
#include "tests/support/test.h"

static void what_was_put_is_found_until_it_is_too_old(void **state)
{
    static const struct {
        int64_t now_s;
        uint32_t want;
    } cases[] = {{1000, 7}, {1600, 7}, {1601, 0}};
    struct sessions *s = sessions_create(64);
    (void)state;
    sessions_put(s, 42, 7, 1000);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(sessions_get(s, 42, cases[i].now_s, 600), cases[i].want);
    }

    sessions_destroy(s);
}

static void conversations_do_not_see_each_other(void **state)
{
    struct sessions *s = sessions_create(1024);
    (void)state;
    for (uint64_t key = 1; key <= 64; key++) {
        sessions_put(s, key << 50, (uint32_t)key, 5);
    }

    for (uint64_t key = 1; key <= 64; key++) {
        uint32_t got = sessions_get(s, key << 50, 5, 10);
        assert_true(got == 0 || got == key);
        assert_int_equal(sessions_get(s, key, 5, 10), 0);
    }

    sessions_destroy(s);
}

static void the_last_expert_counts(void **state)
{
    struct sessions *s = sessions_create(64);
    (void)state;
    sessions_put(s, 42, 7, 1000);
    sessions_put(s, 42, 8, 1001);

    assert_int_equal(sessions_get(s, 42, 1001, 600), 8);

    sessions_destroy(s);
}

static void a_full_table_forgets_the_oldest(void **state)
{
    struct sessions *s = sessions_create(1); /* four neighbours */
    (void)state;
    for (uint32_t key = 1; key <= 5; key++) {
        sessions_put(s, key, key, 1000 + key);
    }

    assert_int_equal(sessions_get(s, 1, 1006, 600), 0);
    for (uint32_t key = 2; key <= 5; key++) {
        assert_int_equal(sessions_get(s, key, 1006, 600), key);
    }

    sessions_destroy(s);
}

static void a_key_of_zero_is_not_remembered(void **state)
{
    struct sessions *s = sessions_create(64);
    (void)state;
    sessions_put(s, 0, 7, 1000);

    assert_int_equal(sessions_get(s, 0, 1000, 600), 0);

    sessions_destroy(s);
}

static void names_are_never_zero_and_differ(void **state)
{
    (void)state;
    assert_int_not_equal(sessions_name(STR("")), 0);
    assert_int_not_equal(sessions_name(STR("a")), sessions_name(STR("b")));
    assert_int_equal(sessions_name(STR("a")), sessions_name(STR("a")));
}

static void without_memory_there_is_no_table(void **state)
{
    (void)state;
    mem_fail_at(1, 0);

    assert_null(sessions_create(64));

    mem_fail_at(0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found_until_it_is_too_old),
        cmocka_unit_test(conversations_do_not_see_each_other),
        cmocka_unit_test(the_last_expert_counts),
        cmocka_unit_test(a_full_table_forgets_the_oldest),
        cmocka_unit_test(a_key_of_zero_is_not_remembered),
        cmocka_unit_test(names_are_never_zero_and_differ),
        cmocka_unit_test(without_memory_there_is_no_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
