/* Whole files as bytes. */
#include "base/arena.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/support/test.h"

static enum status map(const char *path, struct str *ret_bytes, size_t *ret_errors)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    diags_init(&diags, arena);
    enum status st = file_map(path, &diags, ret_bytes);
    *ret_errors = diags.errors;
    arena_destroy(arena);
    return st;
}

static void a_file_is_mapped_whole(void **state)
{
    struct str want = test_read_file("LICENSE");
    struct str got = {NULL, 0};
    size_t errors = 0;
    (void)state;

    assert_int_equal(map("LICENSE", &got, &errors), ST_OK);

    test_assert_str(got, want);
    assert_int_equal(errors, 0);
    file_unmap(got);
    mem_free((void *)(uintptr_t)want.ptr);
}

static void an_empty_file_is_the_empty_string(void **state)
{
    struct str got = {"x", 1};
    size_t errors = 0;
    (void)state;

    assert_int_equal(map("/proc/self/status", &got, &errors), ST_OK); /* says size 0 */

    assert_int_equal(got.len, 0);
    file_unmap(got);
}

static void what_is_no_readable_file_is_reported(void **state)
{
    static const char *const paths[] = {"no/such/file", "base", "/dev/null"};
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct str got = {NULL, 0};
        size_t errors = 0;
        assert_int_equal(map(paths[i], &got, &errors), ST_IO);
        assert_int_equal(errors, 1);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_mapped_whole),
        cmocka_unit_test(an_empty_file_is_the_empty_string),
        cmocka_unit_test(what_is_no_readable_file_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
