/* Accounts of budgets: all or nothing, exact when many reserve at once, anew in a new window. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "gateway/budgets.h"
#include "gateway/ledger.h"
#include "gateway/state.h"
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

/* ---------------------------------------------------------------- what a policy is told */

static void a_purse_is_tight_from_the_soft_mark_of_what_degrades(void **state)
{
    static const struct {
        int on_exceed;
        int64_t spent;
        bool is_tight;
    } cases[] = {
        {BUDGET_DEGRADE, 49, false}, {BUDGET_DEGRADE, 50, true},  {BUDGET_DEGRADE, 100, true},
        {BUDGET_REFUSE, 50, false},  {BUDGET_REFUSE, 100, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct budget items[] = {some_budget("bob", 1, BUDGET_REQUEST),
                                 some_budget("each", 100, BUDGET_REQUEST)};
        struct key_array list = {items, 2};
        struct budget_who who = lawyer;
        struct policy_purse purse;
        items[0].scope.tenant = STR("bob"); /* somebody else's says nothing here */
        items[1].soft = 0.5;
        items[1].on_exceed = cases[i].on_exceed;
        who.spent_nano_usd = cases[i].spent;

        budgets_purse(&list, &who, 0, &purse);

        assert_int_equal(purse.is_tight, cases[i].is_tight);
        assert_int_equal(purse.left_nano_usd, 100 - cases[i].spent);
        test_assert_str(purse.budget, STR("each"));
    }
}

static void nobody_is_warned_of_what_others_have_spent(void **state)
{
    struct budget items[] = {some_budget("each", 100, BUDGET_REQUEST)};
    struct key_array list = {items, 1};
    struct budget_who who = lawyer;
    int64_t left = -1;
    (void)state;
    items[0].soft = 0.5;
    who.spent_nano_usd = 100;
    assert_ptr_equal(budgets_warning(&list, &who, 0, &left), &items[0]);
    items[0].scope.tenant = STR("bob");
    left = -1;
    assert_null(budgets_warning(&list, &who, 0, &left));
    assert_int_equal(left, -1);
}

static void pressure_is_that_of_the_budget_with_this_name(void **state)
{
    struct budget items[] = {
        some_budget("team", 100, BUDGET_TOTAL), some_budget("bob", 100, BUDGET_TOTAL),
        some_budget("each", 100, BUDGET_REQUEST), some_budget("phone", 100, BUDGET_TOTAL)};

    static const struct {
        const char *name;
        bool is_there;   /* with a window */
        double at_least; /* of the pressure */
        double at_most;
    } cases[] = {
        {"team", true, 0.49, 0.51}, /* 75 of 100, and half of it was planned */
        {"bob", true, 0.0, 0.0},    /* another tenant's */
        {"phone", true, 0.0, 0.0},  /* another key's */
        {"each", false, 0.0, 0.0},  /* of each request by itself */
        {"gone", false, 0.0, 0.0},
    };
    struct budget_hold holds[4];
    struct key_array list;
    size_t count = 0;
    (void)state;
    items[1].scope.tenant = STR("bob");
    items[3].scope.key = STR("phone");
    struct budgets *all = bind(&list, items, 4, 0);
    assert_null(budgets_reserve(&list, &lawyer, 75, 0, holds, &count));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str name = str_from(cases[i].name);
        double pressure = budgets_pressure(&list, name, &lawyer, 0.5, 0);
        if (budgets_have(&list, name) != cases[i].is_there || pressure < cases[i].at_least ||
            pressure > cases[i].at_most) {
            fail_msg("%s: %d, %f", cases[i].name, budgets_have(&list, name), pressure);
        }
    }
    budgets_destroy(all);
}

/* ---------------------------------------------------------------- from the ledger */

struct state_file {
    char folder[64];
    char path[96];
    struct db *db;
};

static int set_up(void **state)
{
    static struct state_file f;
    char why[DB_WHY_BYTES];
    (void)snprintf(f.folder, sizeof f.folder, "/tmp/expertd-budgets-XXXXXX");
    assert_non_null(mkdtemp(f.folder));
    (void)snprintf(f.path, sizeof f.path, "%s/a.db", f.folder);
    assert_int_equal(state_open_file(f.path, DB_WRITE, &f.db, why), ST_OK);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct state_file *f = *state;
    db_close(f->db);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s%s", f->path, ends[i]);
        (void)unlink(name);
    }
    return rmdir(f->folder);
}

static void write_row(struct db *db, const char *request, const char *tenant, int64_t cost_nano_usd,
                      int64_t ended_s)
{
    struct ledger_row row = {.request_id = str_from(request),
                             .attempt = 1,
                             .tenant = str_from(tenant),
                             .expert = STR("big"),
                             .category = STR("law"),
                             .cost_nano_usd = cost_nano_usd,
                             .outcome = STR("ok"),
                             .started_ms = ended_s * 1000,
                             .ended_ms = ended_s * 1000};
    assert_int_equal(ledger_write(db, &row), ST_OK);
}

static void an_account_starts_with_what_the_ledger_says_of_its_window(void **state)
{
    struct state_file *f = *state;
    struct budget items[] = {some_budget("ever", 1000, BUDGET_TOTAL),
                             some_budget("hourly", 1000, BUDGET_HOUR)};
    struct key_array list = {items, 2};
    write_row(f->db, "req_1", "alice", 300, 10);
    write_row(f->db, "req_2", "alice", 40, HOUR + 10);
    write_row(f->db, "req_3", "bob", 2, HOUR + 10);
    items[0].scope.tenant = STR("alice");
    struct budgets *all = budgets_create();
    assert_int_equal(budgets_bind(all, &list, f->db, HOUR + 20), ST_OK);
    list.count = 1;
    assert_int_equal(left_of(&list, HOUR + 20), 1000 - 340);
    list = (struct key_array){&items[1], 1};
    assert_int_equal(left_of(&list, HOUR + 20), 1000 - 42);
    budgets_destroy(all);
}

static void a_ledger_that_cannot_be_read_makes_no_account(void **state)
{
    struct state_file *f = *state;
    struct budget items[] = {some_budget("ever", 1000, BUDGET_TOTAL)};
    struct key_array list = {items, 1};
    assert_int_equal(db_exec(f->db, "DROP TABLE ledger_hours"), ST_OK);
    struct budgets *all = budgets_create();
    assert_int_equal(budgets_bind(all, &list, f->db, 0), ST_INVALID);
    assert_null(items[0].account);
    assert_int_equal(budgets_bind(all, &list, NULL, 0), ST_OK);
    assert_int_equal(left_of(&list, 0), 1000);
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
        cmocka_unit_test(a_purse_is_tight_from_the_soft_mark_of_what_degrades),
        cmocka_unit_test(nobody_is_warned_of_what_others_have_spent),
        cmocka_unit_test(pressure_is_that_of_the_budget_with_this_name),
        cmocka_unit_test_setup_teardown(an_account_starts_with_what_the_ledger_says_of_its_window,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_ledger_that_cannot_be_read_makes_no_account, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
