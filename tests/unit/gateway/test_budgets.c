/* Accounts of budgets: all or nothing, exact when many reserve at once, anew in a new window. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "gateway/budgets.h"
#include "tests/support/test.h"

enum {
    HOUR = 3600,
    THREADS = 8,
    TRIES = 5000,
};

static const struct budget_who lawyer = {{"alice", 5}, {"", 0}, {"law", 3}, {"big", 3}, 0};

static struct budget some_budget(const char *name, int64_t nano_usd, enum budget_per per)
{
    return (struct budget){.name = str_from(name), .usd = nano_usd, .per = (int)per, .soft = 1.0};
}

static struct budgets *bind(struct key_array *list, struct budget *items, size_t count,
                            int64_t now_s)
{
    struct budgets *all = budgets_create();
    *list = (struct key_array){items, count};
    assert_int_equal(budgets_bind(all, list, NULL, now_s), ST_OK);
    return all;
}

static int64_t left_of(const struct key_array *list, int64_t now_s)
{
    struct policy_purse purse;
    budgets_purse(list, &lawyer, now_s, &purse);
    return purse.left_nano_usd;
}

static void what_one_budget_refuses_is_reserved_in_none(void **state)
{
    struct budget items[] = {some_budget("large", 1000, BUDGET_TOTAL),
                             some_budget("small", 100, BUDGET_DAY)};
    struct budget_hold holds[2];
    struct key_array list;
    struct policy_purse purse;
    size_t count = 0;
    (void)state;
    struct budgets *all = bind(&list, items, 2, 0);
    const struct budget *no = budgets_reserve(&list, &lawyer, 101, 0, holds, &count);
    assert_ptr_equal(no, &items[1]);
    budgets_purse(&list, &lawyer, 0, &purse);
    assert_true(str_eq(purse.budget, STR("small")));
    assert_int_equal(purse.left_nano_usd, 100);
    assert_int_equal(purse.resets_s, 24 * HOUR);
    assert_null(budgets_reserve(&list, &lawyer, 100, 0, holds, &count));
    assert_int_equal(count, 2);
    assert_int_equal(left_of(&list, 0), 0);
    budgets_settle(holds, count, 40);
    assert_int_equal(left_of(&list, 0), 60);
    budgets_destroy(all);
}

static void only_budgets_that_are_meant_are_asked(void **state)
{
    struct budget items[] = {
        some_budget("tenant", 0, BUDGET_TOTAL), some_budget("category", 0, BUDGET_TOTAL),
        some_budget("both", 0, BUDGET_TOTAL), some_budget("fits", 7, BUDGET_TOTAL)};
    struct budget_hold holds[4];
    struct key_array list;
    size_t count = 0;
    (void)state;
    items[0].scope.tenant = STR("bob");
    items[1].scope.category = STR("medical");
    items[2].scope.category = STR("law");
    items[2].scope.expert = STR("small");
    items[3].scope.tenant = STR("alice");
    struct budgets *all = bind(&list, items, 4, 0);
    assert_null(budgets_reserve(&list, &lawyer, 7, 0, holds, &count));
    assert_int_equal(count, 1);
    assert_ptr_equal(budgets_reserve(&list, &lawyer, 1, 0, holds, &count), &items[3]);
    budgets_destroy(all);
}

static void a_cost_that_is_not_known_fits_no_budget(void **state)
{
    struct budget items[] = {some_budget("team", 1000, BUDGET_TOTAL)};
    struct key_array none = {NULL, 0};
    struct budget_hold holds[1];
    struct key_array list;
    size_t count = 0;
    (void)state;
    struct budgets *all = bind(&list, items, 1, 0);
    assert_non_null(budgets_reserve(&list, &lawyer, EXPERT_COST_UNKNOWN, 0, holds, &count));
    assert_null(budgets_reserve(&none, &lawyer, EXPERT_COST_UNKNOWN, 0, holds, &count));
    assert_int_equal(left_of(&list, 0), 1000);
    budgets_destroy(all);
}

static void a_new_window_forgets_what_was_spent_and_keeps_what_is_reserved(void **state)
{
    struct budget items[] = {some_budget("hourly", 100, BUDGET_HOUR)};
    struct budget_hold first[1];
    struct budget_hold second[1];
    struct key_array list;
    size_t count = 0;
    (void)state;
    struct budgets *all = bind(&list, items, 1, 10);
    assert_null(budgets_reserve(&list, &lawyer, 60, 10, first, &count));
    budgets_settle(first, 1, 60);
    assert_null(budgets_reserve(&list, &lawyer, 30, HOUR - 1, second, &count));
    assert_int_equal(left_of(&list, HOUR - 1), 10);
    assert_int_equal(left_of(&list, HOUR), 70);
    budgets_settle(second, 1, 25);
    assert_int_equal(left_of(&list, HOUR), 75);
    assert_int_equal(left_of(&list, HOUR - 1), 75); /* a clock that went back a little */
    assert_int_equal(left_of(&list, 2 * HOUR), 100);
    budgets_destroy(all);
}

static void a_reload_keeps_the_account_of_the_same_budget(void **state)
{
    struct budget before[] = {some_budget("a", 100, BUDGET_DAY)};
    struct budget after[] = {some_budget("a", 200, BUDGET_DAY), some_budget("b", 100, BUDGET_DAY)};
    struct key_array list;
    struct key_array fresh = {after, 2};
    struct budget_hold holds[1];
    size_t count = 0;
    (void)state;
    struct budgets *all = bind(&list, before, 1, 0);
    assert_null(budgets_reserve(&list, &lawyer, 30, 0, holds, &count));
    budgets_settle(holds, 1, 30);
    assert_int_equal(budgets_bind(all, &fresh, NULL, 0), ST_OK);
    assert_ptr_equal(after[0].account, before[0].account);
    assert_ptr_not_equal(after[1].account, before[0].account);
    fresh.count = 1;
    assert_int_equal(left_of(&fresh, 0), 170);
    budgets_destroy(all);
}

static void two_budgets_of_the_same_attempts_count_each_for_itself(void **state)
{
    struct budget items[] = {some_budget("a", 100, BUDGET_DAY), some_budget("b", 100, BUDGET_DAY)};
    struct budget_hold holds[2];
    struct key_array list;
    size_t count = 0;
    (void)state;
    struct budgets *all = bind(&list, items, 2, 0);
    assert_null(budgets_reserve(&list, &lawyer, 60, 0, holds, &count));
    assert_int_equal(left_of(&list, 0), 40);
    budgets_destroy(all);
}

static void a_request_counts_its_own_attempts(void **state)
{
    struct budget items[] = {some_budget("each", 100, BUDGET_REQUEST)};
    struct budget_who again = lawyer;
    struct budget_hold holds[1];
    struct key_array list;
    size_t count = 7;
    (void)state;
    struct budgets *all = bind(&list, items, 1, 0);
    again.spent_nano_usd = 60;
    assert_null(budgets_reserve(&list, &lawyer, 100, 0, holds, &count));
    assert_int_equal(count, 0);
    assert_null(budgets_reserve(&list, &again, 40, 0, holds, &count));
    assert_non_null(budgets_reserve(&list, &again, 41, 0, holds, &count));
    budgets_destroy(all);
}

static void warnings_name_the_budget_that_has_least_left(void **state)
{
    struct budget items[] = {some_budget("wide", 1000, BUDGET_TOTAL),
                             some_budget("near", 100, BUDGET_TOTAL)};
    struct budget_hold holds[2];
    struct key_array list;
    int64_t left = -1;
    size_t count = 0;
    (void)state;
    items[0].soft = 0.05;
    items[1].soft = 0.5;
    struct budgets *all = bind(&list, items, 2, 0);
    assert_null(budgets_warning(&list, &lawyer, 0, &left));
    assert_null(budgets_reserve(&list, &lawyer, 49, 0, holds, &count));
    assert_null(budgets_warning(&list, &lawyer, 0, &left));
    assert_null(budgets_reserve(&list, &lawyer, 1, 0, holds, &count));
    assert_ptr_equal(budgets_warning(&list, &lawyer, 0, &left), &items[1]);
    assert_int_equal(left, 50);
    budgets_destroy(all);
}

/* ---------------------------------------------------------------- many at once */

struct crowd {
    struct key_array list;
    int paid;
};

static void *spend(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < TRIES; i++) {
        struct budget_hold holds[2];
        size_t count = 0;
        if (budgets_reserve(&c->list, &lawyer, 20, 0, holds, &count) == NULL) {
            budgets_settle(holds, count, i % 2 == 0 ? 10 : 0); /* every other one fails */
            c->paid += i % 2 == 0;
        }
    }
    return NULL;
}

static void many_at_once_overdraw_nothing(void **state)
{
    struct budget items[] = {some_budget("team", 100000, BUDGET_TOTAL),
                             some_budget("day", 150000, BUDGET_DAY)};
    struct crowd crowds[THREADS];
    pthread_t threads[THREADS];
    struct key_array list;
    int paid = 0;
    (void)state;
    struct budgets *all = bind(&list, items, 2, 0);
    for (size_t i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){list, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, spend, &crowds[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        paid += crowds[i].paid;
    }
    assert_int_equal(left_of(&list, 0), 100000 - 10 * paid);
    assert_in_range(paid, 9900, 9999); /* the last 20 cannot be reserved by whoever needs 20 */
    budgets_destroy(all);
}

static void no_memory_leaves_nothing_behind(void **state)
{
    struct budget items[] = {some_budget("a", 1, BUDGET_DAY), some_budget("b", 1, BUDGET_HOUR)};
    struct key_array list = {items, 2};
    (void)state;
    struct budgets *all = budgets_create();
    mem_fail_at(2, 0);
    assert_int_equal(budgets_bind(all, &list, NULL, 0), ST_NO_MEMORY);
    mem_fail_at(0, 0);
    assert_int_equal(budgets_bind(all, &list, NULL, 0), ST_OK);
    budgets_destroy(all);
    budgets_destroy(NULL);
}

static void pages_have_the_three_gauges(void **state)
{
    struct budget items[] = {some_budget("te\"am", 2000000000, BUDGET_TOTAL)};
    struct budget_hold holds[1];
    struct key_array list;
    struct buf page;
    size_t count = 0;
    (void)state;
    struct budgets *all = bind(&list, items, 1, 0);
    buf_init(&page, 4096);
    assert_null(budgets_reserve(&list, &lawyer, 500000000, 0, holds, &count));
    assert_int_equal(budgets_write_metrics(&list, 0, &page), ST_OK);
    struct str text = buf_str(&page);
    assert_true(str_find(text, STR("expertd_budget_limit_usd{budget=\"te\\\"am\"} 2.000000000\n")) <
                text.len);
    assert_true(str_find(text, STR("expertd_budget_remaining_usd{budget=\"te\\\"am\"} 1.5000")) <
                text.len);
    assert_true(str_find(text, STR("expertd_budget_reserved_usd{budget=\"te\\\"am\"} 0.5000")) <
                text.len);
    buf_fini(&page);
    budgets_destroy(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_budget_refuses_is_reserved_in_none),
        cmocka_unit_test(only_budgets_that_are_meant_are_asked),
        cmocka_unit_test(a_cost_that_is_not_known_fits_no_budget),
        cmocka_unit_test(a_new_window_forgets_what_was_spent_and_keeps_what_is_reserved),
        cmocka_unit_test(a_reload_keeps_the_account_of_the_same_budget),
        cmocka_unit_test(two_budgets_of_the_same_attempts_count_each_for_itself),
        cmocka_unit_test(a_request_counts_its_own_attempts),
        cmocka_unit_test(warnings_name_the_budget_that_has_least_left),
        cmocka_unit_test(many_at_once_overdraw_nothing),
        cmocka_unit_test(no_memory_leaves_nothing_behind),
        cmocka_unit_test(pages_have_the_three_gauges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
