/* See buf.h. One block; live bytes wander to the right as they are consumed and are moved back when
 * room is needed. The block may be one byte larger than the ceiling: vsnprintf and buf_take write a
 * terminating NUL. */
#include "base/buf.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum {
    BUF_CAP_MIN = 64 /* bytes; the smallest block worth a trip to the heap */
};

static char *tail(const struct buf *b)
{
    return b->data + b->head + b->len;
}

static size_t room(const struct buf *b)
{
    return b->cap - b->head - b->len;
}

static void compact(struct buf *b)
{
    if (b->head > 0) {
        memmove(b->data, b->data + b->head, b->len);
        b->head = 0;
    }
}

/* Makes room for n bytes after the live ones, the ceiling apart. ST_NO_MEMORY. */
static enum status make_room(struct buf *b, size_t n)
{
    if (b->data != NULL && n <= room(b)) {
        return ST_OK;
    }
    size_t need = b->len + n;
    /* Moving costs len bytes; it is paid for when at least as many were consumed before. */
    if (b->data != NULL && need <= b->cap && b->head >= b->len) {
        compact(b);
        return ST_OK;
    }
    size_t block_max = b->max < SIZE_MAX ? b->max + 1 : SIZE_MAX;
    size_t cap = b->cap < BUF_CAP_MIN / 2 ? BUF_CAP_MIN : b->cap * 2;
    if (cap < need) {
        cap = need;
    }
    if (cap > block_max) {
        cap = block_max;
    }
    if (b->data != NULL && cap <= b->cap) { /* as large as it may become */
        compact(b);
        return ST_OK;
    }
    /* When there is no memory nothing has moved either. */
    char *data = b->head == 0 ? mem_resize(b->data, cap) : mem_alloc(cap);
    if (data == NULL) {
        return ST_NO_MEMORY;
    }
    if (b->head > 0) {
        memcpy(data, b->data + b->head, b->len);
        mem_free(b->data);
        b->head = 0;
    }
    b->data = data;
    b->cap = cap;
    return ST_OK;
}

static bool is_over(const struct buf *b, size_t n)
{
    return n > b->max - b->len;
}

void buf_init(struct buf *b, size_t max)
{
    ASSERT(max > 0);
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->head = 0;
    b->len = 0;
}

struct str buf_str(const struct buf *b)
{
    return (struct str){b->data != NULL ? b->data + b->head : NULL, b->len};
}

void buf_consume(struct buf *b, size_t n)
{
    ASSERT(n <= b->len);
    b->len -= n;
    b->head = b->len > 0 ? b->head + n : 0;
}

void buf_truncate(struct buf *b, size_t n)
{
    ASSERT(n <= b->len);
    b->len = n;
}

enum status buf_append(struct buf *b, struct str s)
{
    if (s.len == 0) {
        return ST_OK;
    }
    if (is_over(b, s.len)) {
        return ST_TOO_BIG;
    }
    enum status st = make_room(b, s.len);
    if (st != ST_OK) {
        return st;
    }
    memcpy(tail(b), s.ptr, s.len);
    b->len += s.len;
    return ST_OK;
}

enum status buf_append_all(struct buf *b, const struct str *parts, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        n += parts[i].len;
    }
    if (is_over(b, n)) {
        return ST_TOO_BIG;
    }
    enum status st = make_room(b, n);
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        if (parts[i].len > 0) {
            memcpy(tail(b), parts[i].ptr, parts[i].len);
            b->len += parts[i].len;
        }
    }
    return st;
}

enum status buf_append_char(struct buf *b, char c)
{
    return buf_append(b, (struct str){&c, 1});
}

enum status buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum status st = buf_vprintf(b, format, args);
    va_end(args);
    return st;
}

enum status buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t free_bytes = b->data != NULL ? room(b) : 0;
    int n = vsnprintf(free_bytes > 0 ? tail(b) : NULL, free_bytes, format, args);
    enum status st = n < 0 || is_over(b, (size_t)n) ? ST_TOO_BIG : ST_OK;
    if (st == ST_OK && (size_t)n >= free_bytes) {
        st = make_room(b, (size_t)n + 1);
        if (st == ST_OK) {
            (void)vsnprintf(tail(b), (size_t)n + 1, format, again);
        }
    }
    va_end(again);
    if (st == ST_OK) {
        b->len += (size_t)n;
    }
    return st;
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (is_over(b, n) || make_room(b, n) != ST_OK) {
        return NULL;
    }
    return tail(b);
}

void buf_commit(struct buf *b, size_t n)
{
    ASSERT(n <= room(b) && !is_over(b, n));
    b->len += n;
}

enum status buf_take(struct buf *b, char **ret, size_t *ret_len)
{
    enum status st = make_room(b, 1);
    if (st != ST_OK) {
        return st;
    }
    compact(b);
    b->data[b->len] = '\0';
    *ret = b->data;
    *ret_len = b->len;
    *b = (struct buf){.max = b->max};
    return ST_OK;
}
