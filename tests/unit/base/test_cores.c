/* Threads that keep to some cores, and yield. What is done is done to a thread of its own: the test's
 * own thread could not go back. */
#include <pthread.h>
#include <sys/resource.h>

#include "base/cores.h"
#include "tests/support/test.h"

struct seen {
    size_t keep;
    int nice;
    bool did;
    size_t cores;
    int priority;
};

static void *look(void *arg)
{
    struct seen *s = arg;
    s->did = s->nice > 0 ? cores_yield(s->nice) : cores_keep_to(s->keep);
    s->cores = cores_allowed();
    s->priority = getpriority(PRIO_PROCESS, 0);
    return NULL;
}

static struct seen run(size_t keep, int nice)
{
    pthread_t thread;
    struct seen s = {.keep = keep, .nice = nice};
    assert_int_equal(pthread_create(&thread, NULL, look, &s), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(s.did);
    return s;
}

static void a_thread_keeps_to_the_first_cores_alone(void **state)
{
    (void)state;
    size_t all = cores_allowed();

    assert_int_equal(run(1, 0).cores, 1);
    assert_int_equal(cores_allowed(), all);
}

static void more_cores_than_there_are_are_all(void **state)
{
    (void)state;
    assert_int_equal(run(100000, 0).cores, cores_allowed());
}

static void a_thread_yields_alone(void **state)
{
    (void)state;
    int own = getpriority(PRIO_PROCESS, 0);
    int most = own + 2 > 19 ? 19 : own + 2;

    assert_int_equal(run(0, 2).priority, most);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_keeps_to_the_first_cores_alone),
        cmocka_unit_test(more_cores_than_there_are_are_all),
        cmocka_unit_test(a_thread_yields_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
