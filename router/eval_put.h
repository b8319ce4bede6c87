/* Appending to a buffer many times and looking at the status once. */
#pragma once

#include "base/buf.h"
#include "base/json_write.h"
#include "base/status.h"

struct put {
    struct buf *buf;
    enum status st; /* the first failure; after it nothing is appended */
};

static inline __attribute__((format(printf, 2, 3))) void put(struct put *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (p->st == ST_OK) {
        p->st = buf_vprintf(p->buf, format, args);
    }
    va_end(args);
}

static inline void put_text(struct put *p, struct str text) /* as JSON */
{
    if (p->st == ST_OK) {
        p->st = json_write_text(p->buf, text);
    }
}

static inline void put_real(struct put *p, double value) /* as JSON: NaN becomes null */
{
    if (p->st == ST_OK) {
        p->st = json_write_real(p->buf, value);
    }
}
