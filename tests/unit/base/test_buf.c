#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tests/support/test.h"

static int stop_failing(void **state)
{
    (void)state;
    mem_fail_at(0, 0);
    return 0;
}

static void new_buffer_is_empty_and_owns_nothing(void **state)
{
    (void)state;
    struct buf b;

    buf_init(&b, 10);

    assert_null(b.data);
    assert_int_equal(buf_str(&b).len, 0);
    assert_int_equal(buf_append(&b, STR("")), ST_OK);
    assert_null(b.data);
    buf_fini(&b);
}

static void appends_add_up(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);

    assert_int_equal(buf_append(&b, STR("a\0b")), ST_OK);
    assert_int_equal(buf_append_char(&b, 'c'), ST_OK);
    assert_int_equal(buf_printf(&b, "%d-%s", 42, "x"), ST_OK);

    test_assert_str(buf_str(&b), STR("a\0bc42-x"));
    buf_fini(&b);
}

static void ceiling_is_exact_for_every_way_to_append(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    assert_int_equal(buf_append(&b, STR("abc")), ST_OK);

    assert_int_equal(buf_append(&b, STR("de")), ST_TOO_BIG);
    assert_int_equal(buf_printf(&b, "%d", 12), ST_TOO_BIG);
    assert_null(buf_reserve(&b, 2));
    test_assert_str(buf_str(&b), STR("abc"));

    assert_int_equal(buf_printf(&b, "%d", 1), ST_OK);
    assert_int_equal(buf_append_char(&b, 'x'), ST_TOO_BIG);
    test_assert_str(buf_str(&b), STR("abc1"));
    buf_fini(&b);
}

static void huge_reserve_is_refused(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    assert_int_equal(buf_append(&b, STR("abc")), ST_OK);

    assert_null(buf_reserve(&b, SIZE_MAX));

    test_assert_str(buf_str(&b), STR("abc"));
    buf_fini(&b);
}

static void reserve_and_commit_write_in_place(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(buf_append(&b, STR("ab")), ST_OK);

    char *place = buf_reserve(&b, 500);
    assert_non_null(place);
    memset(place, 'x', 500);
    buf_commit(&b, 3);

    test_assert_str(buf_str(&b), STR("abxxx"));
    buf_fini(&b);
}

static void consume_drops_from_the_front(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(buf_append(&b, STR("abcdef")), ST_OK);

    buf_consume(&b, 2);
    buf_truncate(&b, 3);

    test_assert_str(buf_str(&b), STR("cde"));
    buf_consume(&b, 3);
    assert_int_equal(buf_str(&b).len, 0);
    assert_int_equal(b.head, 0);
    buf_fini(&b);
}

/* Bytes that pass through do not make the buffer grow: the room of consumed ones is used again. */
static void stream_through_keeps_the_block_small(void **state)
{
    (void)state;
    struct buf b;
    unsigned char next_in = 0;
    unsigned char next_out = 0;
    buf_init(&b, 100);
    for (int round = 0; round < 5000; round++) {
        size_t room = b.max - b.len;
        for (size_t n = (size_t)round * 7 % (room + 1); n > 0; n--) {
            assert_int_equal(buf_append_char(&b, (char)next_in++), ST_OK);
        }
        size_t drop = (size_t)round * 13 % (b.len + 1);
        for (size_t i = 0; i < drop; i++) {
            assert_int_equal((unsigned char)buf_str(&b).ptr[i], next_out++);
        }
        buf_consume(&b, drop);
    }

    assert_true(b.cap <= 101);
    buf_fini(&b);
}

static void room_of_consumed_bytes_is_used_before_growing(void **state)
{
    (void)state;
    char bytes[60] = {0};
    struct buf b;
    buf_init(&b, 10000);
    assert_int_equal(buf_append(&b, (struct str){bytes, 60}), ST_OK);
    size_t cap = b.cap;
    buf_consume(&b, 50);

    assert_int_equal(buf_append(&b, (struct str){bytes, cap - 10}), ST_OK);

    assert_int_equal(b.cap, cap);
    buf_fini(&b);
}

static void reset_keeps_memory_and_ceiling(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    assert_int_equal(buf_append(&b, STR("abcd")), ST_OK);
    const char *block = b.data;

    buf_reset(&b);

    assert_ptr_equal(b.data, block);
    assert_int_equal(buf_append(&b, STR("abcde")), ST_TOO_BIG);
    assert_int_equal(buf_append(&b, STR("wxyz")), ST_OK);
    buf_fini(&b);
}

static void take_hands_out_a_terminated_block(void **state)
{
    (void)state;
    struct buf b;
    char *text;
    size_t len;
    buf_init(&b, 5);
    assert_int_equal(buf_append(&b, STR("xabcd")), ST_OK);
    buf_consume(&b, 1);

    assert_int_equal(buf_take(&b, &text, &len), ST_OK);

    assert_int_equal(len, 4);
    assert_string_equal(text, "abcd");
    assert_null(b.data);
    assert_int_equal(buf_append(&b, STR("again")), ST_OK);
    mem_free(text);
    buf_fini(&b);
}

/* The NUL does not count against the ceiling; AddressSanitizer sees whether it has a place. */
static void take_of_a_full_buffer_is_terminated(void **state)
{
    (void)state;
    struct buf b;
    char *text;
    size_t len;
    buf_init(&b, 3);
    assert_int_equal(buf_append(&b, STR("abc")), ST_OK);

    assert_int_equal(buf_take(&b, &text, &len), ST_OK);

    assert_int_equal(len, 3);
    assert_string_equal(text, "abc");
    mem_free(text);
    buf_fini(&b);
}

static void take_of_nothing_is_the_empty_text(void **state)
{
    (void)state;
    struct buf b;
    char *text;
    size_t len = 1;
    buf_init(&b, 5);

    assert_int_equal(buf_take(&b, &text, &len), ST_OK);

    assert_int_equal(len, 0);
    assert_string_equal(text, "");
    mem_free(text);
    buf_fini(&b);
}

/* The operations of a buffer's life; the first status that is not ST_OK. */
static enum status live(struct buf *b, char **ret_text)
{
    char *place = NULL;
    size_t len;
    enum status st = buf_printf(b, "%0100d", 1);
    if (st == ST_OK) {
        buf_consume(b, 10);
        st = buf_append(b, STR("0123456789012345678901234567890123456789"
                               "0123456789012345678901234567890123456789"));
    }
    if (st == ST_OK) {
        place = buf_reserve(b, 1000);
        st = place != NULL ? ST_OK : ST_NO_MEMORY;
    }
    return st == ST_OK ? buf_take(b, ret_text, &len) : st;
}

static void each_failing_allocation_leaves_the_buffer_whole(void **state)
{
    (void)state;
    enum status st = ST_NO_MEMORY;
    uint64_t nth = 0;
    while (st != ST_OK) {
        struct buf b;
        char *text = NULL;
        buf_init(&b, 10000);
        mem_fail_at(++nth, 0);
        st = live(&b, &text);
        mem_fail_at(0, 0);

        assert_true(st == ST_OK || st == ST_NO_MEMORY);
        size_t before = b.len;
        assert_true(before == 0 || before == 90 || before == 170);
        assert_int_equal(buf_append(&b, STR("still works")), ST_OK);
        test_assert_str(str_slice(buf_str(&b), before, 100), STR("still works"));
        mem_free(text);
        buf_fini(&b);
    }
    assert_int_equal(nth, 4); /* three allocations, each failed once, then none left to fail */
}

static void failed_append_moves_nothing(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10000);
    assert_int_equal(buf_append(&b, STR("some text")), ST_OK);
    buf_consume(&b, 2);
    struct str before = buf_str(&b);

    mem_fail_at(1, 1);
    char *place = buf_reserve(&b, 5000);
    mem_fail_at(0, 0);

    assert_null(place);
    assert_ptr_equal(buf_str(&b).ptr, before.ptr);
    test_assert_str(buf_str(&b), STR("me text"));
    buf_fini(&b);
}

static void parts_are_appended_all_or_not_at_all(void **state)
{
    const struct str parts[] = {STR("ab"), STR(""), {NULL, 0}, STR("cde")};
    struct buf b;
    (void)state;
    buf_init(&b, 8);

    assert_int_equal(buf_append_all(&b, parts, 4), ST_OK);
    assert_int_equal(buf_append_all(&b, parts, 4), ST_TOO_BIG);
    mem_fail_at(1, 1);
    struct buf empty;
    buf_init(&empty, 8);
    enum status st = buf_append_all(&empty, parts, 4);
    mem_fail_at(0, 0);

    assert_int_equal(st, ST_NO_MEMORY);
    assert_true(str_eq(buf_str(&b), STR("abcde")));
    assert_int_equal(empty.len, 0);
    buf_fini(&b);
    buf_fini(&empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_buffer_is_empty_and_owns_nothing),
        cmocka_unit_test(appends_add_up),
        cmocka_unit_test(ceiling_is_exact_for_every_way_to_append),
        cmocka_unit_test(huge_reserve_is_refused),
        cmocka_unit_test(reserve_and_commit_write_in_place),
        cmocka_unit_test(consume_drops_from_the_front),
        cmocka_unit_test(stream_through_keeps_the_block_small),
        cmocka_unit_test(room_of_consumed_bytes_is_used_before_growing),
        cmocka_unit_test(reset_keeps_memory_and_ceiling),
        cmocka_unit_test(take_hands_out_a_terminated_block),
        cmocka_unit_test(take_of_a_full_buffer_is_terminated),
        cmocka_unit_test(take_of_nothing_is_the_empty_text),
        cmocka_unit_test(parts_are_appended_all_or_not_at_all),
        cmocka_unit_test_teardown(each_failing_allocation_leaves_the_buffer_whole, stop_failing),
        cmocka_unit_test_teardown(failed_append_moves_nothing, stop_failing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
