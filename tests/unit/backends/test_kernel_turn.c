/* Who may compute, who waits, and who loses it. The limit holds for the process: all tests share one of 3. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "backends/kernel_turn.h"
#include "tests/support/test.h"

enum {
    MOST = 3,
    CROWD = 8,
    ROUNDS = 200,
    GRACE_MS = 100,
};

static _Atomic uint32_t stuck; /* of the kernel whose turns these are */

static struct kernel_turn turn_of(size_t threads)
{
    return (struct kernel_turn){.threads = threads, .grace_ms = GRACE_MS, .stuck = &stuck};
}

/* Nothing was lost, nothing was given twice: all may be taken, and no more. */
static void assert_all_is_free(void)
{
    struct kernel_turn all = turn_of(MOST);
    assert_true(kernel_turn_take(&all));
    assert_int_equal(all.held, MOST);
    kernel_turn_end(&all);
    assert_int_equal(stuck, 0);
}

static atomic_size_t computing;
static atomic_size_t seen_most;

/* Notes how many compute while this one does. */
static void compute(size_t threads)
{
    size_t now = atomic_fetch_add(&computing, threads) + threads;
    size_t most = atomic_load(&seen_most);
    while (now > most && !atomic_compare_exchange_weak(&seen_most, &most, now)) {
    }
    atomic_fetch_sub(&computing, threads);
}

static void *take_many(void *arg)
{
    size_t threads = *(const size_t *)arg;
    struct kernel_turn turn = turn_of(threads);
    bool is_taken = true;
    for (int i = 0; i < ROUNDS && is_taken; i++) {
        is_taken = kernel_turn_take(&turn);
        compute(threads < MOST ? threads : MOST);
        kernel_turn_give(&turn);
    }
    kernel_turn_end(&turn);
    return NULL;
}

static void no_limit_holds_before_one_is_set(void **state)
{
    (void)state;
    assert_true(kernel_turn_most() == SIZE_MAX);
    assert_false(kernel_turn_exceeds(4, 64));
    struct kernel_turn turn = turn_of(1000);
    assert_true(kernel_turn_take(&turn));
    kernel_turn_end(&turn);
}

static void the_first_limit_holds(void **state)
{
    (void)state;
    kernel_turn_limit(MOST);
    kernel_turn_limit(100);

    assert_int_equal(kernel_turn_most(), MOST);
}

static void a_crowd_never_computes_on_more_threads_than_there_may_be(void **state)
{
    (void)state;
    static size_t wants[CROWD] = {1, 2, 3, 1, 7, 1, 2, 1}; /* 7 counts as all */
    pthread_t threads[CROWD];
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &wants[i]), 0);
    }
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }

    assert_true(atomic_load(&seen_most) <= MOST);
    assert_all_is_free();
}

static void who_takes_no_time_never_waits(void **state)
{
    (void)state;
    struct kernel_turn all = turn_of(MOST);
    struct kernel_turn none = turn_of(0);
    assert_true(kernel_turn_take(&all));
    assert_true(kernel_turn_take(&none));
    kernel_turn_end(&none);
    kernel_turn_end(&all);
}

struct waiter {
    pthread_t thread;
    struct kernel_turn turn;
    bool is_taken;
};

static void *wait_once(void *arg)
{
    struct waiter *w = arg;
    w->is_taken = kernel_turn_take(&w->turn);
    kernel_turn_end(&w->turn);
    return NULL;
}

static void start(struct waiter *w, size_t threads)
{
    w->turn = turn_of(threads);
    assert_int_equal(pthread_create(&w->thread, NULL, wait_once, w), 0);
}

static void who_is_called_off_waits_no_longer_and_the_next_one_moves_up(void **state)
{
    (void)state;
    struct kernel_turn one = turn_of(1);
    struct waiter all;
    struct waiter behind;
    assert_true(kernel_turn_take(&one));

    start(&all, MOST);
    start(&behind, 1);
    kernel_turn_call_off(&all.turn, 0);
    assert_int_equal(pthread_join(all.thread, NULL), 0); /* while the turn it waited for is taken */
    assert_int_equal(pthread_join(behind.thread, NULL), 0);

    assert_false(all.is_taken);
    assert_true(behind.is_taken);
    kernel_turn_end(&one);
    assert_all_is_free();
}

static void who_does_not_return_loses_its_turn_when_its_time_is_over(void **state)
{
    (void)state;
    struct kernel_turn late = turn_of(MOST);
    struct kernel_turn next = turn_of(MOST);
    assert_true(kernel_turn_take(&late));

    kernel_turn_call_off(&late, 1000);
    kernel_turn_call_off(&late, 5000); /* has happened already */
    kernel_turn_check(1000 + GRACE_MS - 1);
    assert_int_equal(late.held, MOST);
    assert_int_equal(stuck, 0);
    kernel_turn_check(1000 + GRACE_MS);
    kernel_turn_check(1000 + GRACE_MS);
    assert_int_equal(stuck, 1);

    assert_true(kernel_turn_take(&next));
    kernel_turn_end(&late); /* it returns, and has nothing to give */
    assert_int_equal(stuck, 0);
    assert_int_equal(next.held, MOST);
    kernel_turn_end(&next);
    assert_all_is_free();
}

static void who_returns_in_time_was_never_stuck(void **state)
{
    (void)state;
    struct kernel_turn turn = turn_of(MOST);
    assert_true(kernel_turn_take(&turn));

    kernel_turn_call_off(&turn, 1000);
    kernel_turn_end(&turn);
    kernel_turn_check(INT64_MAX);
    kernel_turn_call_off(&turn, 1000); /* too late */
    kernel_turn_check(INT64_MAX);

    assert_all_is_free();
}

static void who_is_called_off_gets_no_further_turn(void **state)
{
    (void)state;
    for (int is_stuck = 0; is_stuck < 2; is_stuck++) {
        struct kernel_turn turn = turn_of(1);
        assert_true(kernel_turn_take(&turn));
        kernel_turn_give(&turn); /* for a client */
        kernel_turn_call_off(&turn, 0);
        kernel_turn_check(is_stuck ? GRACE_MS : 0);

        assert_int_equal(stuck, is_stuck);
        assert_false(kernel_turn_take(&turn));
        kernel_turn_give(&turn);

        kernel_turn_end(&turn);
        assert_all_is_free();
    }
}

static void who_takes_no_turn_may_be_stuck_too(void **state)
{
    (void)state;
    struct kernel_turn turn = turn_of(0);
    assert_true(kernel_turn_take(&turn));

    kernel_turn_call_off(&turn, 0);
    kernel_turn_check(GRACE_MS);

    assert_int_equal(stuck, 1);
    kernel_turn_end(&turn);
    assert_all_is_free();
}

static void of_many_that_are_late_each_has_its_own_time(void **state)
{
    (void)state;
    struct kernel_turn t[MOST] = {turn_of(1), turn_of(1), turn_of(1)};
    for (size_t i = 0; i < MOST; i++) {
        assert_true(kernel_turn_take(&t[i]));
        kernel_turn_call_off(&t[i], (int64_t)(i * 10));
    }

    kernel_turn_end(&t[1]);
    kernel_turn_check(GRACE_MS);
    assert_int_equal(stuck, 1);
    kernel_turn_check(GRACE_MS + 20);
    assert_int_equal(stuck, 2);

    kernel_turn_end(&t[0]);
    kernel_turn_end(&t[2]);
    assert_all_is_free();
}

static void more_than_may_be_is_noticed(void **state)
{
    (void)state;

    static const struct {
        size_t threads;
        int64_t answers;
        bool exceeds;
    } cases[] = {{1, 3, false}, {1, 4, true}, {2, 1, false},
                 {2, 2, true},  {4, 1, true}, {0, 64, false}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(kernel_turn_exceeds(cases[i].threads, cases[i].answers), cases[i].exceeds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limit_holds_before_one_is_set),
        cmocka_unit_test(the_first_limit_holds),
        cmocka_unit_test(a_crowd_never_computes_on_more_threads_than_there_may_be),
        cmocka_unit_test(who_takes_no_time_never_waits),
        cmocka_unit_test(who_is_called_off_waits_no_longer_and_the_next_one_moves_up),
        cmocka_unit_test(who_does_not_return_loses_its_turn_when_its_time_is_over),
        cmocka_unit_test(who_returns_in_time_was_never_stuck),
        cmocka_unit_test(who_is_called_off_gets_no_further_turn),
        cmocka_unit_test(who_takes_no_turn_may_be_stuck_too),
        cmocka_unit_test(of_many_that_are_late_each_has_its_own_time),
        cmocka_unit_test(more_than_may_be_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
