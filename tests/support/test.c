/* See test.h. */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

void test_assert_str(struct str got, struct str want)
{
    if (got.len != want.len || (got.len > 0 && memcmp(got.ptr, want.ptr, got.len) != 0)) {
        fail_msg("got \"%.*s\", want \"%.*s\"", (int)got.len, got.ptr, (int)want.len, want.ptr);
    }
}

struct str test_read_file(const char *path)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        fail_msg("cannot open \"%s\"", path);
        return (struct str){NULL, 0};
    }
    size_t cap = 65536;
    size_t len = 0;
    char *ptr = mem_alloc(cap);
    assert_non_null(ptr);
    for (;;) {
        size_t got = fread(ptr + len, 1, cap - len, file);
        len += got;
        if (got == 0) {
            break;
        }
        if (len == cap) {
            cap *= 2;
            ptr = mem_resize(ptr, cap);
            assert_non_null(ptr);
        }
    }
    (void)fclose(file);
    return (struct str){ptr, len};
}

const char *test_shared_dir(void)
{
    const char *dir = getenv("EXPERTD_SHARED");
    if (dir == NULL) {
        dir = "../shared";
    }
    return access(dir, R_OK) == 0 ? dir : NULL;
}
