/* Who may compute, and who waits. The limit holds for the process: all tests share one of 3. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "backends/kernel_turn.h"
#include "tests/support/test.h"

enum {
    MOST = 3,
    CROWD = 8,
    ROUNDS = 200,
};

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
    for (int i = 0; i < ROUNDS; i++) {
        kernel_turn_take(threads);
        compute(threads < MOST ? threads : MOST);
        kernel_turn_give(threads);
    }
    return NULL;
}

static void no_limit_holds_before_one_is_set(void **state)
{
    (void)state;
    assert_true(kernel_turn_most() == SIZE_MAX);
    assert_false(kernel_turn_exceeds(4, 64));
    kernel_turn_take(1000);
    kernel_turn_give(1000);
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
    kernel_turn_take(MOST); /* nothing was lost: all may be taken again */
    kernel_turn_give(MOST);
}

static void who_takes_no_time_never_waits(void **state)
{
    (void)state;
    kernel_turn_take(MOST);
    kernel_turn_take(0);
    kernel_turn_give(0);
    kernel_turn_give(MOST);
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
        cmocka_unit_test(more_than_may_be_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
