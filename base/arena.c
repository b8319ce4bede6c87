/* See arena.h. A list of blocks, one of them open for small objects; objects larger than a quarter of
 * a block get one of their own when the open one is full. Frees nothing but everything. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#ifdef __has_feature
#    if __has_feature(address_sanitizer)
#        define ARENA_HAS_ASAN 1
#    endif
#endif
#ifdef __SANITIZE_ADDRESS__
#    define ARENA_HAS_ASAN 1
#endif

#ifdef ARENA_HAS_ASAN
#    include <sanitizer/asan_interface.h>
#endif

enum {
    ALIGN = alignof(max_align_t),
    BLOCK_SIZE_MIN = 256, /* bytes; below this the headers outweigh the objects */
#ifdef ARENA_HAS_ASAN
    REDZONE = 16, /* poisoned bytes after each object: a write past its end is caught */
#else
    REDZONE = 0,
#endif
};

struct block {
    struct block *next;
    size_t cap;  /* bytes in data */
    size_t used; /* bytes of data handed out, padding included */
    alignas(max_align_t) char data[];
};

struct arena {
    struct block *first;
    struct block *open; /* where objects go as long as they fit */
    size_t block_size;
    size_t max;
    size_t reserved; /* bytes of all blocks */
    size_t used;     /* bytes asked for */
};

static void poison(const char *ptr, size_t size)
{
#ifdef ARENA_HAS_ASAN
    ASAN_POISON_MEMORY_REGION(ptr, size);
#else
    (void)ptr;
    (void)size;
#endif
}

static void unpoison(const char *ptr, size_t size)
{
#ifdef ARENA_HAS_ASAN
    ASAN_UNPOISON_MEMORY_REGION(ptr, size);
#else
    (void)ptr;
    (void)size;
#endif
}

static void free_blocks(struct block *b)
{
    while (b != NULL) {
        struct block *next = b->next;
        unpoison(b->data, b->cap);
        mem_free(b);
        b = next;
    }
}

/* A block with room for `cap` bytes, linked nowhere. NULL: no memory or over the ceiling. */
static struct block *create_block(struct arena *a, size_t cap)
{
    size_t size = sizeof(struct block) + cap;
    if (size > a->max - a->reserved) {
        return NULL;
    }
    struct block *b = mem_alloc(size);
    if (b == NULL) {
        return NULL;
    }
    *b = (struct block){.cap = cap};
    poison(b->data, cap);
    a->reserved += size;
    return b;
}

/* The block that takes an object of `room` bytes. */
static struct block *find_block(struct arena *a, size_t room)
{
    if (a->open != NULL && room <= a->open->cap - a->open->used) {
        return a->open;
    }
    size_t cap = a->block_size - sizeof(struct block);
    bool is_large = room > cap / 4;
    struct block *b = create_block(a, is_large ? room : cap);
    if (b == NULL) {
        return NULL;
    }
    if (a->first == NULL) {
        a->first = b;
        a->open = b;
        return b;
    }
    b->next = a->first->next;
    a->first->next = b;
    if (!is_large) {
        a->open = b;
    }
    return b;
}

struct arena *arena_create(size_t block_size, size_t max)
{
    struct arena *a = mem_alloc(sizeof *a);
    if (a != NULL) {
        size_t size = block_size < BLOCK_SIZE_MIN ? BLOCK_SIZE_MIN : block_size;
        *a = (struct arena){.block_size = size / ALIGN * ALIGN, .max = max};
    }
    return a;
}

void arena_destroy(struct arena *a)
{
    if (a != NULL) {
        free_blocks(a->first);
        mem_free(a);
    }
}

void arena_wipe(struct arena *a)
{
    for (struct block *b = a->first; b != NULL; b = b->next) {
        unpoison(b->data, b->cap);
        explicit_bzero(b->data, b->used);
    }
}

void arena_reset(struct arena *a)
{
    a->used = 0;
    if (a->first == NULL) {
        return;
    }
    free_blocks(a->first->next);
    a->first->next = NULL;
    a->first->used = 0;
    a->open = a->first;
    a->reserved = sizeof(struct block) + a->first->cap;
    poison(a->first->data, a->first->cap);
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > a->max || size > SIZE_MAX - ALIGN - REDZONE - sizeof(struct block)) {
        return NULL;
    }
    size_t wanted = size > 0 ? size : 1;
    size_t room = (wanted + (ALIGN - 1)) / ALIGN * ALIGN + REDZONE;
    struct block *b = find_block(a, room);
    if (b == NULL) {
        return NULL;
    }
    char *ptr = b->data + b->used;
    b->used += room;
    a->used += size;
    unpoison(ptr, wanted);
    memset(ptr, 0, wanted);
    return ptr;
}

struct str arena_copy(struct arena *a, struct str s)
{
    char *ptr = arena_copy_z(a, s);
    return (struct str){ptr, ptr != NULL ? s.len : 0};
}

char *arena_copy_z(struct arena *a, struct str s)
{
    char *ptr = s.len < SIZE_MAX ? arena_alloc(a, s.len + 1) : NULL;
    if (ptr != NULL && s.len > 0) {
        memcpy(ptr, s.ptr, s.len);
    }
    return ptr;
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct str s = arena_vprintf(a, format, args);
    va_end(args);
    return s;
}

struct str arena_vprintf(struct arena *a, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    struct str s = {NULL, 0};
    int len = vsnprintf(NULL, 0, format, args);
    char *ptr = len >= 0 ? arena_alloc(a, (size_t)len + 1) : NULL;
    if (ptr != NULL) {
        (void)vsnprintf(ptr, (size_t)len + 1, format, again);
        s = (struct str){ptr, (size_t)len};
    }
    va_end(again);
    return s;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}
