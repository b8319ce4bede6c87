/* The deadlines of a call, with a clock that the test moves. */
#include <string.h>

#include "backends/call_watch.h"
#include "backends/expert.h"
#include "base/container.h"
#include "base/mem.h"
#include "tests/support/fake_clock.h"
#include "tests/support/test.h"

struct fixture {
    struct fake_clock clock;
    struct loop *loop;
    struct expert expert;
    struct call call;
    struct call_watch watch;
    int late_count;
    enum call_outcome late;
};

static void on_late(struct call_watch *watch, enum call_outcome outcome)
{
    struct fixture *f = CONTAINER_OF(watch, struct fixture, watch);
    f->late_count++;
    f->late = outcome;
}

/* connect 100 ms, first token 1,000 ms, idle 50 ms, total 5,000 ms. */
static int set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    fake_clock_init(&f.clock);
    f.loop = loop_create(&f.clock.clock);
    f.expert.deadlines = (struct expert_deadlines){100, 1000, 50, 5000};
    f.call.request.expert = &f.expert;
    f.call.started_us = clock_now_us(&f.clock.clock);
    *state = &f;
    return f.loop == NULL || call_watch_start(&f.watch, f.loop, &f.call, on_late) != ST_OK;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    call_watch_stop(&f->watch);
    loop_destroy(f->loop);
    return 0;
}

static void pass(struct fixture *f, int64_t ms)
{
    fake_clock_advance_ms(&f->clock, ms);
    (void)loop_turn(f->loop, 0);
}

static void byte_comes(struct fixture *f)
{
    bool is_first = f->call.first_byte_us == 0;
    if (is_first) {
        f->call.first_byte_us = clock_now_us(&f->clock.clock);
    }
    call_watch_byte(&f->watch, is_first);
}

static void assert_late(const struct fixture *f, enum call_outcome outcome)
{
    assert_int_equal(f->late_count, 1);
    assert_string_equal(call_outcome_text(f->late), call_outcome_text(outcome));
}

static void the_first_byte_is_waited_for(void **state)
{
    struct fixture *f = *state;

    pass(f, 999);
    assert_int_equal(f->late_count, 0);
    pass(f, 1);

    assert_late(f, CALL_FIRST_TOKEN_TIMEOUT);
}

static void a_connection_is_waited_for_less_long(void **state)
{
    struct fixture *f = *state;
    call_watch_connecting(&f->watch);

    pass(f, 99);
    assert_int_equal(f->late_count, 0);
    pass(f, 1);

    assert_late(f, CALL_CONNECT_TIMEOUT);
}

static void a_connection_that_stands_in_time_is_not_late(void **state)
{
    struct fixture *f = *state;
    call_watch_connecting(&f->watch);

    pass(f, 50);
    f->watch.is_connecting = false;
    pass(f, 949);
    assert_int_equal(f->late_count, 0);
    pass(f, 1);

    assert_late(f, CALL_FIRST_TOKEN_TIMEOUT);
}

static void a_second_address_has_no_time_of_its_own(void **state)
{
    struct fixture *f = *state;
    call_watch_connecting(&f->watch);

    pass(f, 60);
    call_watch_connecting(&f->watch);
    pass(f, 40);

    assert_late(f, CALL_CONNECT_TIMEOUT);
}

static void a_later_connection_has_time_of_its_own(void **state)
{
    struct fixture *f = *state;

    pass(f, 500);
    call_watch_connecting(&f->watch);
    pass(f, 99);
    assert_int_equal(f->late_count, 0);
    pass(f, 1);

    assert_late(f, CALL_CONNECT_TIMEOUT);
}

static void silence_after_the_first_byte_is_idleness(void **state)
{
    struct fixture *f = *state;

    pass(f, 500);
    byte_comes(f);
    pass(f, 49);
    assert_int_equal(f->late_count, 0);
    pass(f, 1);

    assert_late(f, CALL_IDLE_TIMEOUT);
}

static void bytes_push_idleness_away_until_the_total(void **state)
{
    struct fixture *f = *state;
    int64_t passed = 0;
    while (f->late_count == 0 && passed < 10000) {
        byte_comes(f);
        pass(f, 40);
        passed += 40;
    }
    assert_late(f, CALL_TOTAL_TIMEOUT);
    assert_int_equal(passed, 5000);
}

static void a_paused_call_is_not_idle(void **state)
{
    struct fixture *f = *state;
    pass(f, 10);
    byte_comes(f);

    f->watch.is_paused = true;
    for (int i = 0; i < 20; i++) {
        pass(f, 45);
    }
    assert_int_equal(f->late_count, 0);
    f->watch.is_paused = false;
    f->watch.last_byte_ms = loop_now_ms(f->loop);
    pass(f, 49);
    assert_int_equal(f->late_count, 0);
    pass(f, 1);

    assert_late(f, CALL_IDLE_TIMEOUT);
}

static void a_paused_call_has_a_total_all_the_same(void **state)
{
    struct fixture *f = *state;
    byte_comes(f);
    f->watch.is_paused = true;

    pass(f, 4999);
    assert_int_equal(f->late_count, 0);
    pass(f, 1);

    assert_late(f, CALL_TOTAL_TIMEOUT);
}

static void a_stopped_watch_is_silent(void **state)
{
    struct fixture *f = *state;

    call_watch_stop(&f->watch);
    pass(f, 100000);

    assert_int_equal(f->late_count, 0);
}

static void starting_without_memory_is_reported(void **state)
{
    struct fixture *f = *state;
    struct call_watch watch;
    struct loop *loop = loop_create(&f->clock.clock);
    memset(&watch, 0, sizeof watch);

    mem_fail_at(1, 1);
    enum status st = call_watch_start(&watch, loop, &f->call, on_late);
    mem_fail_at(0, 0);

    assert_int_equal(st, ST_NO_MEMORY);
    loop_destroy(loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_byte_is_waited_for),
        TEST(a_connection_is_waited_for_less_long),
        TEST(a_connection_that_stands_in_time_is_not_late),
        TEST(a_second_address_has_no_time_of_its_own),
        TEST(a_later_connection_has_time_of_its_own),
        TEST(silence_after_the_first_byte_is_idleness),
        TEST(bytes_push_idleness_away_until_the_total),
        TEST(a_paused_call_is_not_idle),
        TEST(a_paused_call_has_a_total_all_the_same),
        TEST(a_stopped_watch_is_silent),
        TEST(starting_without_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
