/* A bump allocator: many small objects with one life, freed together. Holds a request's data, or a
 * configuration. Not thread-safe. Under AddressSanitizer freed and unused bytes are poisoned. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "base/str.h"

struct arena;

/* block_size: bytes taken from the heap at a time; max: ceiling on the sum of all blocks.
 * NULL: no memory. */
struct arena *arena_create(size_t block_size, size_t max);
void arena_destroy(struct arena *a); /* NULL allowed */

/* Overwrites all objects, before arena_destroy: there are keys among them. */
void arena_wipe(struct arena *a);

/* Forgets all objects, keeps the first block. */
void arena_reset(struct arena *a);

/* Zeroed memory, aligned for any object. NULL: no memory or ceiling reached. */
void *arena_alloc(struct arena *a, size_t size);

/* Copies, terminated by a NUL (not counted). ret.ptr is NULL only for no memory. */
struct str arena_copy(struct arena *a, struct str s);
char *arena_copy_z(struct arena *a, struct str s); /* the same as a C string */
struct str arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct str arena_vprintf(struct arena *a, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

size_t arena_used(const struct arena *a); /* bytes handed out since create or reset */
