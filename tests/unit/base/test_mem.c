#include <string.h>

#include "base/mem.h"
#include "tests/support/test.h"

static int stop_failing(void **state)
{
    (void)state;
    mem_fail_at(0, 0);
    return 0;
}

static void zero_bytes_are_a_block(void **state)
{
    (void)state;
    void *a = mem_alloc(0);
    void *b = mem_zalloc(0, 8);
    void *c = mem_resize(NULL, 0);

    assert_true(a != NULL && b != NULL && c != NULL);

    mem_free(a);
    mem_free(b);
    mem_free(c);
}

static void zalloc_zeroes_and_refuses_overflow(void **state)
{
    (void)state;
    static const char zeroes[96];
    char *ptr = mem_zalloc(12, 8);

    assert_memory_equal(ptr, zeroes, sizeof zeroes);
    assert_null(mem_zalloc(SIZE_MAX / 2, 4));

    mem_free(ptr);
}

static void resize_keeps_the_bytes(void **state)
{
    (void)state;
    char *ptr = mem_resize(NULL, 4);
    memcpy(ptr, "abc", 4);

    ptr = mem_resize(ptr, 4000);

    assert_string_equal(ptr, "abc");
    mem_free(ptr);
}

static void nth_allocation_fails_once(void **state)
{
    (void)state;
    void *ptrs[4];

    mem_fail_at(3, 0);
    ptrs[0] = mem_alloc(1);
    ptrs[1] = mem_zalloc(1, 1);
    ptrs[2] = mem_alloc(1);
    ptrs[3] = mem_alloc(1);

    assert_true(ptrs[0] != NULL && ptrs[1] != NULL && ptrs[2] == NULL && ptrs[3] != NULL);
    for (int i = 0; i < 4; i++) {
        mem_free(ptrs[i]);
    }
}

static void sticky_failure_lasts_until_switched_off(void **state)
{
    (void)state;
    char *block = mem_alloc(4);
    memcpy(block, "abc", 4);

    mem_fail_at(1, 1);
    void *a = mem_alloc(1);
    void *b = mem_zalloc(1, 1);
    void *c = mem_resize(block, 100);
    mem_fail_at(0, 0);
    void *d = mem_alloc(1);

    assert_true(a == NULL && b == NULL && c == NULL && d != NULL);
    assert_string_equal(block, "abc");
    mem_free(block);
    mem_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_bytes_are_a_block),
        cmocka_unit_test(zalloc_zeroes_and_refuses_overflow),
        cmocka_unit_test(resize_keeps_the_bytes),
        cmocka_unit_test_teardown(nth_allocation_fails_once, stop_failing),
        cmocka_unit_test_teardown(sticky_failure_lasts_until_switched_off, stop_failing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
