/* Recent decisions: found by request id from any shard, bounded, the oldest goes first. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "gateway/recent.h"
#include "tests/support/test.h"

enum {
    ROOM_FOR_4 = 4 * (sizeof(struct recent_decision) + sizeof(uint64_t)),
};

static struct recent_decision decision(int number)
{
    struct recent_decision d = {.category = "medical", .expert = "doctor", .hash_count = 2};
    (void)snprintf(d.id, sizeof d.id, "req_%d", number);
    d.hashes[0] = (uint32_t)number;
    d.hashes[1] = UINT32_MAX;
    return d;
}

static void put(struct recent *r, size_t shard, int number)
{
    struct recent_decision d = decision(number);
    recent_put(r, shard, &d);
}

static void a_decision_is_found_in_whatever_shard_it_is(void **state)
{
    struct recent_decision got;
    struct recent *r = recent_create(3, 3 * ROOM_FOR_4);
    (void)state;
    for (int i = 0; i < 9; i++) {
        put(r, (size_t)i % 3, i);
    }

    assert_true(recent_find(r, STR("req_7"), &got));

    assert_string_equal(got.id, "req_7");
    assert_string_equal(got.category, "medical");
    assert_string_equal(got.expert, "doctor");
    assert_int_equal(got.hash_count, 2);
    assert_int_equal(got.hashes[0], 7);
    assert_int_equal(got.hashes[1], UINT32_MAX);
    recent_destroy(r);
}

static void the_oldest_are_forgotten_first(void **state)
{
    struct recent_decision got;
    struct recent *r = recent_create(1, ROOM_FOR_4);
    (void)state;
    for (int i = 0; i < 6; i++) {
        put(r, 0, i);
    }

    assert_false(recent_find(r, STR("req_0"), &got));
    assert_false(recent_find(r, STR("req_1"), &got));
    assert_true(recent_find(r, STR("req_2"), &got));
    assert_true(recent_find(r, STR("req_5"), &got));
    recent_destroy(r);
}

static void unknown_ids_are_not_found(void **state)
{
    static const char *const ids[] = {"", "req_1", "req_", "req_00",
                                      "req_0000000000000000000000000"};

    struct recent_decision got;
    struct recent *r = recent_create(1, ROOM_FOR_4);
    (void)state;
    put(r, 0, 0);

    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_false(recent_find(r, str_from(ids[i]), &got));
    }
    recent_destroy(r);
}

static void a_cursor_sees_each_once_and_skips_what_is_gone(void **state)
{
    struct recent_decision got;
    uint64_t cursor = 0;
    struct recent *r = recent_create(1, ROOM_FOR_4);
    (void)state;
    put(r, 0, 0);
    assert_true(recent_next(r, 0, &cursor, &got));
    assert_string_equal(got.id, "req_0");
    assert_false(recent_next(r, 0, &cursor, &got));
    for (int i = 1; i < 7; i++) {
        put(r, 0, i);
    }

    for (int i = 3; i < 7; i++) {
        char want[RECENT_ID_BYTES];
        (void)snprintf(want, sizeof want, "req_%d", i);
        assert_true(recent_next(r, 0, &cursor, &got));
        assert_string_equal(got.id, want);
    }
    assert_false(recent_next(r, 0, &cursor, &got));
    recent_destroy(r);
}

static void memory_runs_out_cleanly(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 6; n++) {
        mem_fail_at(n, 0);
        struct recent *r = recent_create(2, 2 * ROOM_FOR_4);
        mem_fail_at(0, 0);
        assert_null(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decision_is_found_in_whatever_shard_it_is),
        cmocka_unit_test(the_oldest_are_forgotten_first),
        cmocka_unit_test(unknown_ids_are_not_found),
        cmocka_unit_test(a_cursor_sees_each_once_and_skips_what_is_gone),
        cmocka_unit_test(memory_runs_out_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
