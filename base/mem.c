/* See mem.h. The system's allocator plus one counter; no pools, no statistics. */
#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The test hook. Mutable globals because the heap itself is one. Written by mem_fail_at and, while
 * the hook is on, by every allocation; atomic and relaxed only so that threads which allocate while
 * it is off are no data race. */
static _Atomic uint64_t countdown; /* allocations until one fails, that one included; 0: off */
static _Atomic bool is_sticky;

static bool must_fail(void)
{
    uint64_t left = atomic_load_explicit(&countdown, memory_order_relaxed);
    if (left == 0) {
        return false;
    }
    if (left > 1) {
        atomic_store_explicit(&countdown, left - 1, memory_order_relaxed);
        return false;
    }
    if (!atomic_load_explicit(&is_sticky, memory_order_relaxed)) {
        atomic_store_explicit(&countdown, 0, memory_order_relaxed);
    }
    return true;
}

void *mem_alloc(size_t size)
{
    return must_fail() ? NULL : malloc(size > 0 ? size : 1);
}

void *mem_zalloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || must_fail()) {
        return NULL;
    }
    return calloc(1, bytes > 0 ? bytes : 1);
}

void *mem_resize(void *ptr, size_t size)
{
    return must_fail() ? NULL : realloc(ptr, size > 0 ? size : 1);
}

void mem_free(void *ptr)
{
    free(ptr);
}

void mem_free_wiped(void *ptr)
{
    if (ptr != NULL) {
        explicit_bzero(ptr, malloc_usable_size(ptr));
    }
    free(ptr);
}

void mem_fail_at(uint64_t nth, int sticky)
{
    atomic_store_explicit(&is_sticky, sticky != 0, memory_order_relaxed);
    atomic_store_explicit(&countdown, nth, memory_order_relaxed);
}
