/* Kept answers: found in their time, bounded, of their key alone; who leads and who is told. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "gateway/cache.h"
#include "tests/support/fake_clock.h"
#include "tests/support/test.h"

enum {
    ROOM = 1 << 20
};

struct place {
    struct fake_clock clock;
    struct loop *loop;
    struct cache *cache;
    size_t seats;
    int wakes;
};

static void on_wake(void *owner)
{
    ((struct place *)owner)->wakes++;
}

static void set_up(struct place *p, uint64_t max_bytes)
{
    memset(p, 0, sizeof *p);
    fake_clock_init(&p->clock);
    p->loop = loop_create(&p->clock.clock);
    p->cache = cache_create();
    assert_non_null(p->cache);
    cache_limit(p->cache, max_bytes);
}

static void tear_down(struct place *p)
{
    (void)loop_turn(p->loop, 0);
    assert_int_equal(p->seats, 0);
    cache_destroy(p->cache);
    loop_destroy(p->loop);
}

/* All in one part: their first byte is the same. */
static struct digest key_of(unsigned char n)
{
    struct digest key = {{0}};
    key.bytes[5] = n;
    return key;
}

static struct cache_reply ask(struct place *p, unsigned char n, bool is_fresh_wanted)
{
    struct digest key = key_of(n);
    struct cache_asker asker = {
        p->loop, on_wake, p, &p->seats, clock_now_ms(&p->clock.clock), is_fresh_wanted};
    struct cache_reply reply = {0};
    assert_int_equal(cache_ask(p->cache, &key, &asker, &reply), ST_OK);
    return reply;
}

static void put(struct place *p, unsigned char n, struct str body, int64_t ttl_ms)
{
    struct cache_reply reply = ask(p, n, true);
    assert_int_equal(reply.found, CACHE_LEADS);
    cache_end(reply.seat, CACHE_KEPT, body, clock_now_ms(&p->clock.clock) + ttl_ms);
    cache_leave(reply.seat);
}

static bool has(struct place *p, unsigned char n)
{
    struct cache_reply reply = ask(p, n, false);
    cache_entry_unref(reply.entry);
    cache_leave(reply.seat);
    return reply.found == CACHE_HIT;
}

static void an_answer_is_found_until_its_time_is_over(void **state)
{
    struct place p;
    (void)state;
    set_up(&p, ROOM);
    put(&p, 1, STR("hello"), 1000);

    assert_true(has(&p, 1));
    assert_false(has(&p, 2));
    fake_clock_advance_ms(&p.clock, 999);
    assert_true(has(&p, 1));
    fake_clock_advance_ms(&p.clock, 1);
    assert_false(has(&p, 1));

    tear_down(&p);
}

static void the_one_used_longest_ago_leaves_for_want_of_room(void **state)
{
    struct place p;
    struct cache_figures now;
    static char body[1000];
    (void)state;
    set_up(&p, (uint64_t)CACHE_PARTS * 3400); /* a part has room for three */
    for (unsigned char i = 1; i <= 3; i++) {
        put(&p, i, (struct str){body, sizeof body}, 1000);
    }
    assert_true(has(&p, 1));

    put(&p, 4, (struct str){body, sizeof body}, 1000);

    assert_true(has(&p, 1));
    assert_false(has(&p, 2));
    assert_true(has(&p, 3));
    assert_true(has(&p, 4));
    cache_read(p.cache, &now);
    assert_int_equal(now.entries, 3);
    assert_int_equal(now.evicted, 1);
    assert_true(now.bytes <= 3400);
    tear_down(&p);
}

static void an_answer_larger_than_a_part_is_not_kept(void **state)
{
    struct place p;
    static char body[2000];
    (void)state;
    set_up(&p, (uint64_t)CACHE_PARTS * 1000);
    put(&p, 1, STR("small"), 1000);

    put(&p, 2, (struct str){body, sizeof body}, 1000);

    assert_false(has(&p, 2));
    assert_true(has(&p, 1));
    tear_down(&p);
}

static void less_room_takes_effect_at_once(void **state)
{
    struct place p;
    (void)state;
    set_up(&p, ROOM);
    put(&p, 1, STR("hello"), 1000);

    cache_limit(p.cache, 0);

    assert_false(has(&p, 1));
    tear_down(&p);
}

static void what_is_in_hand_outlives_its_place(void **state)
{
    struct place p;
    (void)state;
    set_up(&p, ROOM);
    put(&p, 1, STR("hello"), 1000);
    struct cache_reply reply = ask(&p, 1, false);

    cache_limit(p.cache, 0);

    assert_true(str_eq(cache_entry_body(reply.entry), STR("hello")));
    cache_entry_unref(reply.entry);
    tear_down(&p);
}

static void followers_are_told_what_the_leader_got(void **state)
{
    struct place p;
    (void)state;
    set_up(&p, ROOM);
    struct cache_reply leader = ask(&p, 1, false);
    struct cache_reply follower = ask(&p, 1, false);
    assert_int_equal(follower.found, CACHE_WAITS);
    assert_true(cache_has_followers(leader.seat));

    cache_end(leader.seat, CACHE_KEPT, STR("hello"), 1000);
    assert_int_equal(p.wakes, 0);
    (void)loop_turn(p.loop, 0);

    assert_int_equal(p.wakes, 1);
    assert_int_equal(cache_seat_state(follower.seat), CACHE_TOLD);
    assert_true(str_eq(cache_entry_body(cache_seat_entry(follower.seat)), STR("hello")));
    cache_leave(leader.seat);
    cache_leave(follower.seat);
    tear_down(&p);
}

static void after_a_failure_the_first_follower_leads(void **state)
{
    struct place p;
    (void)state;
    set_up(&p, ROOM);
    struct cache_reply leader = ask(&p, 1, false);
    struct cache_reply first = ask(&p, 1, false);
    struct cache_reply second = ask(&p, 1, false);

    cache_leave(leader.seat);
    (void)loop_turn(p.loop, 0);

    assert_int_equal(cache_seat_state(first.seat), CACHE_LEADS);
    assert_int_equal(cache_seat_state(second.seat), CACHE_WAITS);
    assert_int_equal(p.wakes, 1);
    cache_leave(first.seat);
    assert_int_equal(cache_seat_state(second.seat), CACHE_LEADS);
    cache_leave(second.seat);
    tear_down(&p);
}

static void an_unfit_answer_sends_everybody_to_the_expert(void **state)
{
    struct place p;
    (void)state;
    set_up(&p, ROOM);
    struct cache_reply leader = ask(&p, 1, false);
    struct cache_reply follower = ask(&p, 1, false);

    cache_end(leader.seat, CACHE_UNFIT, STR(""), 0);

    assert_int_equal(cache_seat_state(follower.seat), CACHE_ALONE);
    cache_leave(leader.seat);
    cache_leave(follower.seat);
    tear_down(&p);
}

static void a_follower_that_left_is_not_woken(void **state)
{
    struct place p;
    (void)state;
    set_up(&p, ROOM);
    struct cache_reply leader = ask(&p, 1, false);
    struct cache_reply follower = ask(&p, 1, false);

    cache_end(leader.seat, CACHE_KEPT, STR("hello"), 1000);
    cache_leave(follower.seat); /* between the news and the turn that brings them */
    cache_leave(leader.seat);
    (void)loop_turn(p.loop, 0);

    assert_int_equal(p.wakes, 0);
    tear_down(&p);
}

static void the_leader_learns_that_nobody_waits_any_more(void **state)
{
    struct place p;
    (void)state;
    set_up(&p, ROOM);
    struct cache_reply leader = ask(&p, 1, false);
    struct cache_reply follower = ask(&p, 1, false);

    cache_leave(follower.seat);
    (void)loop_turn(p.loop, 0);

    assert_int_equal(p.wakes, 1);
    assert_false(cache_has_followers(leader.seat));
    cache_leave(leader.seat);
    tear_down(&p);
}

static void a_wish_for_a_fresh_answer_passes_by_the_kept_one(void **state)
{
    struct place p;
    (void)state;
    set_up(&p, ROOM);
    put(&p, 1, STR("old"), 1000);

    put(&p, 1, STR("new"), 1000);

    struct cache_reply reply = ask(&p, 1, false);
    assert_true(str_eq(cache_entry_body(reply.entry), STR("new")));
    cache_entry_unref(reply.entry);
    tear_down(&p);
}

static void short_of_memory_nothing_is_lost(void **state)
{
    struct place p;
    struct cache_reply reply;
    struct digest key = key_of(1);
    (void)state;
    set_up(&p, ROOM);
    struct cache_asker asker = {p.loop, on_wake, &p, &p.seats, 0, false};

    for (size_t i = 1; i <= 2; i++) {
        mem_fail_at(i, 1);
        assert_int_equal(cache_ask(p.cache, &key, &asker, &reply), ST_NO_MEMORY);
        mem_fail_at(0, 0);
        assert_int_equal(p.seats, 0);
    }

    put(&p, 1, STR("hello"), 1000);
    assert_true(has(&p, 1));
    tear_down(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_found_until_its_time_is_over),
        cmocka_unit_test(the_one_used_longest_ago_leaves_for_want_of_room),
        cmocka_unit_test(an_answer_larger_than_a_part_is_not_kept),
        cmocka_unit_test(less_room_takes_effect_at_once),
        cmocka_unit_test(what_is_in_hand_outlives_its_place),
        cmocka_unit_test(followers_are_told_what_the_leader_got),
        cmocka_unit_test(after_a_failure_the_first_follower_leads),
        cmocka_unit_test(an_unfit_answer_sends_everybody_to_the_expert),
        cmocka_unit_test(a_follower_that_left_is_not_woken),
        cmocka_unit_test(the_leader_learns_that_nobody_waits_any_more),
        cmocka_unit_test(a_wish_for_a_fresh_answer_passes_by_the_kept_one),
        cmocka_unit_test(short_of_memory_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
