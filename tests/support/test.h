/* The one way to include cmocka: its header needs these four before it. */
#pragma once

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
/* clang-format on */

#include "base/str.h"

/* Fails the running test unless two strings hold the same bytes, and shows both. */
void test_assert_str(struct str got, struct str want);

/* The whole file as bytes, allocated with mem_alloc; fails the running test if it cannot be read.
 * The caller frees ret->ptr with mem_free. */
struct str test_read_file(const char *path);

/* The folder that holds the shared corpora and suites ($EXPERTD_SHARED, else ../shared next to the
 * project), or NULL where there is none: tests that need it skip, loudly. */
const char *test_shared_dir(void);
