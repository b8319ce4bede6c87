#include <stdalign.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "tests/support/test.h"

#ifdef __has_feature
#    if __has_feature(address_sanitizer)
#        define TEST_HAS_ASAN 1
#    endif
#endif
#ifdef __SANITIZE_ADDRESS__
#    define TEST_HAS_ASAN 1
#endif
#ifdef TEST_HAS_ASAN
#    include <sanitizer/asan_interface.h>
#endif

static int stop_failing(void **state)
{
    (void)state;
    mem_fail_at(0, 0);
    return 0;
}

/* Sizes around the block size, and those that get blocks of their own. */
static size_t size_of(size_t i)
{
    static const size_t sizes[] = {0, 1, 7, 16, 100, 33, 250, 5, 900, 1100, 2, 5000, 64};
    return sizes[i % (sizeof sizes / sizeof sizes[0])];
}

static void objects_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;

    enum {
        OBJECTS = 300
    };

    unsigned char *objects[OBJECTS];
    struct arena *a = arena_create(1024, SIZE_MAX);

    for (int round = 0; round < 2; round++) { /* the second in used memory */
        for (size_t i = 0; i < OBJECTS; i++) {
            objects[i] = arena_alloc(a, size_of(i));
            assert_non_null(objects[i]);
            assert_int_equal((uintptr_t)objects[i] % alignof(max_align_t), 0);
            for (size_t j = 0; j < size_of(i); j++) {
                assert_int_equal(objects[i][j], 0);
            }
            memset(objects[i], (int)(i % 255 + 1), size_of(i));
        }
        for (size_t i = 0; i < OBJECTS; i++) {
            for (size_t j = 0; j < size_of(i); j++) {
                assert_int_equal(objects[i][j], i % 255 + 1);
            }
        }
        arena_reset(a);
    }
    arena_destroy(a);
}

static void used_counts_what_was_asked_for(void **state)
{
    (void)state;
    struct arena *a = arena_create(1024, SIZE_MAX);

    (void)arena_alloc(a, 100);
    (void)arena_alloc(a, 3);
    assert_int_equal(arena_used(a), 103);
    arena_reset(a);

    assert_int_equal(arena_used(a), 0);
    arena_destroy(a);
}

static void ceiling_holds_for_small_and_large_objects(void **state)
{
    (void)state;

    enum {
        MAX = 8192
    };
    struct arena *a = arena_create(1024, MAX);

    assert_null(arena_alloc(a, MAX));
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_alloc(a, SIZE_MAX - 40));
    size_t got = 0;
    while (arena_alloc(a, 50) != NULL) {
        got += 50;
    }

    assert_true(got > MAX / 2 && got < MAX);
    assert_int_equal(arena_used(a), got);
    arena_reset(a);
    assert_non_null(arena_alloc(a, 5000));
    assert_null(arena_alloc(a, 5000));
    arena_destroy(a);
}

static void reset_keeps_the_first_block(void **state)
{
    (void)state;
    struct arena *a = arena_create(1024, SIZE_MAX);
    void *first = arena_alloc(a, 10);
    (void)arena_alloc(a, 5000);

    arena_reset(a);
    mem_fail_at(1, 1);
    void *again = arena_alloc(a, 10);
    mem_fail_at(0, 0);

    assert_ptr_equal(again, first);
    arena_destroy(a);
}

static void copies_are_terminated(void **state)
{
    (void)state;
    struct arena *a = arena_create(1024, SIZE_MAX);

    struct str copy = arena_copy(a, STR("a\0b"));
    struct str empty = arena_copy(a, (struct str){NULL, 0});

    test_assert_str(copy, STR("a\0b"));
    assert_int_equal(copy.ptr[3], '\0');
    assert_non_null(empty.ptr);
    assert_int_equal(empty.len, 0);
    assert_string_equal(arena_copy_z(a, STR("text")), "text");
    test_assert_str(arena_printf(a, "%s=%d", "n", 7), STR("n=7"));
    arena_destroy(a);
}

static void each_failing_allocation_is_reported(void **state)
{
    (void)state;
    bool has_failed = true;
    for (uint64_t nth = 1; has_failed; nth++) {
        mem_fail_at(nth, 0);
        struct arena *a = arena_create(256, SIZE_MAX);
        has_failed = a == NULL;
        for (size_t i = 0; i < 60 && a != NULL; i++) {
            struct str text = arena_printf(a, "%0*d", (int)size_of(i), 1);
            char *copy = arena_copy_z(a, STR("abc"));
            has_failed = has_failed || text.ptr == NULL || copy == NULL;
            assert_true(text.ptr != NULL || text.len == 0);
        }
        mem_fail_at(0, 0);
        assert_true(a == NULL || arena_alloc(a, 10) != NULL);
        arena_destroy(a);
    }
}

static void sanitizer_sees_bytes_that_are_not_handed_out(void **state)
{
    (void)state;
#ifdef TEST_HAS_ASAN
    struct arena *a = arena_create(1024, SIZE_MAX);
    char *ptr = arena_alloc(a, 13);

    assert_false(__asan_address_is_poisoned(ptr + 12));
    assert_true(__asan_address_is_poisoned(ptr + 13));
    arena_reset(a);
    assert_true(__asan_address_is_poisoned(ptr));
    arena_destroy(a);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_zeroed_aligned_and_apart),
        cmocka_unit_test(used_counts_what_was_asked_for),
        cmocka_unit_test(ceiling_holds_for_small_and_large_objects),
        cmocka_unit_test_teardown(reset_keeps_the_first_block, stop_failing),
        cmocka_unit_test(copies_are_terminated),
        cmocka_unit_test_teardown(each_failing_allocation_is_reported, stop_failing),
        cmocka_unit_test(sanitizer_sees_bytes_that_are_not_handed_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
