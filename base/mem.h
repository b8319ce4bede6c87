/* The heap. The only place that calls malloc and its family, so that tests can make the Nth
 * allocation fail and a reader can find every owner. All functions return NULL for no memory. */
#pragma once

#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t size);                /* uninitialised; size 0 is treated as 1 */
void *mem_zalloc(size_t count, size_t size); /* zeroed; overflow of count * size gives NULL */
void *mem_resize(void *ptr, size_t size);    /* ptr may be NULL; on NULL the old block stays */
void mem_free(void *ptr);                    /* NULL allowed */

/* Overwrites a block of any size that malloc or its family gave, ours or a library's, then frees it.
 * NULL allowed. */
void mem_free_wiped(void *ptr);

/* Test hook: the nth allocation from now on (1 = the next) and, if `sticky`, all after it fail.
 * 0 switches it off. Not thread-safe: set it while one thread runs. */
void mem_fail_at(uint64_t nth, int sticky);
