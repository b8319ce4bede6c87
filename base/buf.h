/* A growable byte buffer with a ceiling. When an append fails nothing has changed and nothing needs
 * cleaning up. Pointers into the buffer are valid until the next append, consume, reset or fini.
 * Embedded by value; one owner; not thread-safe. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "base/str.h"

struct buf {     /* all members read-only to callers */
    char *data;  /* allocated block, NULL until the first append */
    size_t head; /* consumed bytes at the front */
    size_t len;  /* live bytes, from data + head */
    size_t cap;
    size_t max; /* ceiling on len, set at init */
};

/* max is the ceiling in bytes, at least 1. Allocates nothing. */
void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);  /* frees; the buffer may be initialised again */
void buf_reset(struct buf *b); /* empties, keeps the memory and the ceiling */

/* The live bytes. Borrowed, see above. */
struct str buf_str(const struct buf *b);

/* Drops n bytes (at most len) from the front. */
void buf_consume(struct buf *b, size_t n);

/* Shortens to n live bytes (at most len). */
void buf_truncate(struct buf *b, size_t n);

/* Appends: ST_NO_MEMORY, ST_TOO_BIG. What is appended must not lie in the buffer itself. */
MUST_CHECK enum status buf_append(struct buf *b, struct str s);
/* All of them, one behind the other, or nothing: as buf_append. */
MUST_CHECK enum status buf_append_all(struct buf *b, const struct str *parts, size_t count);
MUST_CHECK enum status buf_append_char(struct buf *b, char c);
MUST_CHECK enum status buf_printf(struct buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
MUST_CHECK enum status buf_vprintf(struct buf *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Makes room for n more bytes and returns where they go; the caller writes up to n bytes there and
 * says how many with buf_commit. NULL: ST_NO_MEMORY or over the ceiling. */
char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

/* Moves the memory out: the caller owns ret and frees it with mem_free; the buffer is empty after.
 * The block starts at the first live byte and is terminated by a NUL that *ret_len does not count.
 * ST_NO_MEMORY. */
MUST_CHECK enum status buf_take(struct buf *b, char **ret, size_t *ret_len);
