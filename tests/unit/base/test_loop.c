#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/container.h"
#include "base/loop.h"
#include "tests/support/fake_clock.h"
#include "tests/support/test.h"

struct counter {
    struct loop_io io;
    struct loop_timer timer;
    struct loop_task task;
    struct loop *loop;
    struct counter *other;
    int count;
};

static void on_timer(struct loop_timer *timer)
{
    CONTAINER_OF(timer, struct counter, timer)->count++;
}

static void on_task(struct loop_task *task)
{
    CONTAINER_OF(task, struct counter, task)->count++;
}

static void on_readable_remove_other(struct loop_io *io, uint32_t events)
{
    struct counter *c = CONTAINER_OF(io, struct counter, io);
    assert_true((events & EPOLLIN) != 0);
    c->count++;
    loop_remove(c->loop, &c->other->io);
}

static void timer_fires_once_and_not_before_it_is_due(void **state)
{
    (void)state;
    struct fake_clock fake;
    fake_clock_init(&fake);
    struct loop *loop = loop_create(&fake.clock);
    struct counter c = {.timer.on_due = on_timer};
    assert_int_equal(loop_timer_set(loop, &c.timer, clock_now_ms(&fake.clock) + 10), ST_OK);

    (void)loop_turn(loop, 0);
    assert_int_equal(c.count, 0);
    fake_clock_advance_ms(&fake, 10);
    (void)loop_turn(loop, 0);
    (void)loop_turn(loop, 0);

    assert_int_equal(c.count, 1);
    loop_destroy(loop);
}

static void cancelled_timer_never_fires(void **state)
{
    (void)state;
    struct fake_clock fake;
    fake_clock_init(&fake);
    struct loop *loop = loop_create(&fake.clock);
    struct counter c = {.timer.on_due = on_timer};
    assert_int_equal(loop_timer_set(loop, &c.timer, 0), ST_OK);

    loop_timer_cancel(loop, &c.timer);
    (void)loop_turn(loop, 0);

    assert_int_equal(c.count, 0);
    loop_destroy(loop);
}

static void removed_descriptor_gets_no_event_of_the_same_batch(void **state)
{
    (void)state;
    struct loop *loop = loop_create(clock_system());
    int a[2];
    int b[2];
    assert_int_equal(pipe(a), 0);
    assert_int_equal(pipe(b), 0);
    struct counter x = {.io = {a[0], on_readable_remove_other}, .loop = loop};
    struct counter y = {.io = {b[0], on_readable_remove_other}, .loop = loop, .other = &x};
    x.other = &y;
    assert_int_equal(loop_add(loop, &x.io, EPOLLIN), ST_OK);
    assert_int_equal(loop_add(loop, &y.io, EPOLLIN), ST_OK);
    assert_int_equal(write(a[1], "1", 1), 1);
    assert_int_equal(write(b[1], "1", 1), 1);

    (void)loop_turn(loop, 0);

    assert_int_equal(x.count + y.count, 1);
    for (int i = 0; i < 2; i++) {
        (void)close(a[i]);
        (void)close(b[i]);
    }
    loop_destroy(loop);
}

static void deferred_task_runs_at_the_end_of_the_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_create(clock_system());
    struct counter c = {.task.run = on_task};

    loop_defer(loop, &c.task);
    (void)loop_turn(loop, -1);

    assert_int_equal(c.count, 1);
    loop_destroy(loop);
}

enum {
    POSTERS = 4,
    POSTS = 1000
};

struct poster {
    struct loop *loop;
    struct counter tasks[POSTS];
};

static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (int i = 0; i < POSTS; i++) {
        loop_post(p->loop, &p->tasks[i].task);
    }
    return NULL;
}

static void tasks_posted_from_many_threads_all_run_once(void **state)
{
    (void)state;
    static struct poster posters[POSTERS];
    struct loop *loop = loop_create(clock_system());
    pthread_t threads[POSTERS];
    for (int t = 0; t < POSTERS; t++) {
        posters[t].loop = loop;
        for (int i = 0; i < POSTS; i++) {
            posters[t].tasks[i] = (struct counter){.task.run = on_task};
        }
        assert_int_equal(pthread_create(&threads[t], NULL, post_all, &posters[t]), 0);
    }

    int ran = 0;
    while (ran < POSTERS * POSTS) {
        ran += loop_turn(loop, -1);
    }

    for (int t = 0; t < POSTERS; t++) {
        (void)pthread_join(threads[t], NULL);
        for (int i = 0; i < POSTS; i++) {
            assert_int_equal(posters[t].tasks[i].count, 1);
        }
    }
    loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timer_fires_once_and_not_before_it_is_due),
        cmocka_unit_test(cancelled_timer_never_fires),
        cmocka_unit_test(removed_descriptor_gets_no_event_of_the_same_batch),
        cmocka_unit_test(deferred_task_runs_at_the_end_of_the_turn),
        cmocka_unit_test(tasks_posted_from_many_threads_all_run_once),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
