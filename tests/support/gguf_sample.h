/* Writes GGUF files into a buffer, right or wrong on purpose: a head, keys, tensors, data. Everything is
 * asserted: tests have the memory. */
#pragma once

#include "backends/kernels/tinylm/gguf.h"
#include "base/buf.h"
#include "base/little.h"
#include "tests/support/test.h"

enum {
    GGUF_SAMPLE_MAX = 1 << 20
};

static inline void gguf_sample_bytes(struct buf *out, struct str bytes)
{
    assert_int_equal(buf_append(out, bytes), ST_OK);
}

static inline void gguf_sample_u32(struct buf *out, uint32_t value)
{
    char bytes[4];
    little_put_u32(bytes, value);
    gguf_sample_bytes(out, (struct str){bytes, sizeof bytes});
}

static inline void gguf_sample_u64(struct buf *out, uint64_t value)
{
    char bytes[8];
    little_put_u64(bytes, value);
    gguf_sample_bytes(out, (struct str){bytes, sizeof bytes});
}

static inline void gguf_sample_string(struct buf *out, struct str text)
{
    gguf_sample_u64(out, text.len);
    gguf_sample_bytes(out, text);
}

static inline void gguf_sample_head(struct buf *out, uint64_t tensors, uint64_t keys)
{
    buf_init(out, GGUF_SAMPLE_MAX);
    gguf_sample_bytes(out, STR("GGUF"));
    gguf_sample_u32(out, 3);
    gguf_sample_u64(out, tensors);
    gguf_sample_u64(out, keys);
}

static inline void gguf_sample_key(struct buf *out, const char *key, enum gguf_type type)
{
    gguf_sample_string(out, str_from(key));
    gguf_sample_u32(out, (uint32_t)type);
}

static inline void gguf_sample_int(struct buf *out, const char *key, uint32_t value)
{
    gguf_sample_key(out, key, GGUF_U32);
    gguf_sample_u32(out, value);
}

static inline void gguf_sample_text(struct buf *out, const char *key, const char *value)
{
    gguf_sample_key(out, key, GGUF_STRING);
    gguf_sample_string(out, str_from(value));
}

static inline void gguf_sample_array(struct buf *out, const char *key, enum gguf_type item,
                                     uint64_t count)
{
    gguf_sample_key(out, key, GGUF_ARRAY);
    gguf_sample_u32(out, (uint32_t)item);
    gguf_sample_u64(out, count);
}

static inline void gguf_sample_tensor(struct buf *out, const char *name, uint64_t columns,
                                      uint64_t rows, uint32_t type)
{
    gguf_sample_string(out, str_from(name));
    gguf_sample_u32(out, 2);
    gguf_sample_u64(out, columns);
    gguf_sample_u64(out, rows);
    gguf_sample_u32(out, type);
}

/* Padding and `bytes` of zeroes. */
static inline void gguf_sample_data(struct buf *out, size_t bytes)
{
    size_t padding = (32 - out->len % 32) % 32;
    for (size_t i = 0; i < padding + bytes; i++) {
        assert_int_equal(buf_append_char(out, '\0'), ST_OK);
    }
}
