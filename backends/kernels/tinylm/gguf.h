/* Reads GGUF files, versions 2 and 3: typed keys and a table of tensors over bytes that somebody else
 * maps. Strict: what it accepts lies inside the bytes, every string, array and tensor; anything else
 * is refused with the offset and what was meant. Knows nothing of models. Immutable after
 * gguf_read; any thread.
 *
 * The format is the one that ggml documents (docs/gguf.md there): little-endian,
 *   "GGUF" u32 version u64 tensors u64 keys  { string key, u32 type, value }*
 *   { string name, u32 dimensions, u64 length*, u32 type, u64 offset }*  padding  data */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"
#include "base/table.h"

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
};

enum {
    GGUF_DIMENSIONS_MAX = 4,
    GGUF_KEYS_MAX = 65536,
    GGUF_TENSORS_MAX = 65536,
};

struct gguf_value {
    struct str key;
    enum gguf_type type;
    enum gguf_type item; /* of an array: the type of its items, else type again */
    uint64_t count;      /* of an array: its items, else 1 */
    struct str bytes;    /* the content as it lies in the file; of a string without its length */
};

struct gguf_tensor {
    struct str name;
    uint32_t dimensions;
    uint64_t shape[GGUF_DIMENSIONS_MAX]; /* innermost first; 1 beyond `dimensions` */
    uint32_t type;                       /* as numbered by ggml; gguf_type_name */
    struct str data;
};

struct gguf {
    uint32_t version;
    uint32_t alignment;
    struct gguf_value *values;
    size_t value_count;
    struct gguf_tensor *tensors;
    size_t tensor_count;
    struct table *value_table; /* private */
    struct table *tensor_table;
    struct arena *arena;
};

/* Borrows `bytes` (aligned for any object) for as long as ret_gguf lives. Mistakes go to diags with
 * `name` as the file: ST_INVALID. ST_NO_MEMORY. ret_gguf is filled in every case and wants
 * gguf_fini. */
MUST_CHECK enum status gguf_read(struct str bytes, struct str name, struct diags *diags,
                                 struct gguf *ret_gguf);
void gguf_fini(struct gguf *g);

/* NULL: not there. */
const struct gguf_value *gguf_find(const struct gguf *g, struct str key);
const struct gguf_tensor *gguf_tensor(const struct gguf *g, struct str name);

/* The value of any integer type, or of any real or integer type, or of a boolean or string. False:
 * it is of another type (integers: or negative, or beyond INT64_MAX); *ret_value is as it was. */
bool gguf_to_int(const struct gguf_value *value, int64_t *ret_value);
bool gguf_to_real(const struct gguf_value *value, double *ret_value);
bool gguf_to_bool(const struct gguf_value *value, bool *ret_value);
bool gguf_to_text(const struct gguf_value *value, struct str *ret_value);

/* Item i of an array of f32, i32 or u32. Precondition: i < count, and the item type. */
float gguf_item_f32(const struct gguf_value *array, uint64_t i);
int32_t gguf_item_i32(const struct gguf_value *array, uint64_t i);

/* Walks over an array of strings: *at starts with 0. Precondition: fewer than `count` calls before. */
struct str gguf_next_text(const struct gguf_value *array, size_t *at);

/* "Q4_0", or "?" for a type that gguf_read refuses. */
const char *gguf_type_name(uint32_t type);
