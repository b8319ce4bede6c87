/* Whole files as bytes. */
#include <stdio.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/support/test.h"

/* ret_said: the first message, "" without one. */
static enum status map(const char *path, struct str *ret_bytes, char ret_said[128])
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    diags_init(&diags, arena);
    enum status st = file_map(path, &diags, ret_bytes);
    struct str said = diags.count > 0 ? diags.items[0].message : STR("");
    (void)snprintf(ret_said, 128, "%.*s", STR_ARG(said));
    arena_destroy(arena);
    return st;
}

static void a_file_is_mapped_whole(void **state)
{
    struct str want = test_read_file("LICENSE");
    struct str got = {NULL, 0};
    char said[128];
    (void)state;

    assert_int_equal(map("LICENSE", &got, said), ST_OK);

    test_assert_str(got, want);
    assert_string_equal(said, "");
    file_unmap(got);
    mem_free((void *)(uintptr_t)want.ptr);
}

static void an_empty_file_is_the_empty_string(void **state)
{
    struct str got = {"x", 1};
    char said[128];
    (void)state;

    assert_int_equal(map("/proc/self/status", &got, said), ST_OK); /* says size 0 */

    assert_int_equal(got.len, 0);
    file_unmap(got);
}

static void what_is_no_readable_file_is_reported_with_the_reason(void **state)
{
    static const struct {
        const char *path;
        const char *said;
    } cases[] = {
        {"no/such/file", "cannot be read: No such file or directory"},
        {"base", "cannot be read: it is no regular file"},
        {"/dev/null", "cannot be read: it is no regular file"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str got = {NULL, 0};
        char said[128];
        assert_int_equal(map(cases[i].path, &got, said), ST_IO);
        assert_string_equal(said, cases[i].said);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_mapped_whole),
        cmocka_unit_test(an_empty_file_is_the_empty_string),
        cmocka_unit_test(what_is_no_readable_file_is_reported_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
