/* See gguf.h. One cursor that never leaves the bytes; errors are sticky, the first one is reported. */
#include "backends/kernels/tinylm/gguf.h"

#include <inttypes.h>
#include <stdarg.h>

#include "base/little.h"
#include "base/utf8.h"

enum {
    ARENA_BLOCK_BYTES = 64 * 1024,
    ARENA_MAX_BYTES = 64 * 1024 * 1024, /* both tables at their ceilings take 12 MiB */
    KEY_MAX_BYTES = 65535,              /* the format's own limit */
    NAME_MAX_BYTES = 255,               /* of a tensor; the format says 64 */
    ALIGNMENT_MAX = 65536,
    ALIGNMENT_DEFAULT = 32,
    SHOWN_BYTES = 60, /* of a name in a message */
};

static const uint64_t ITEMS_MAX = 1U << 28; /* of an array; vocabularies have under 2^20 */

/* Sizes in the file; 0: has its own length. */
static const uint8_t value_bytes[] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2,  [GGUF_I16] = 2,    [GGUF_U32] = 4,
    [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_STRING] = 0, [GGUF_ARRAY] = 0,
    [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

static const struct tensor_type {
    uint32_t type;
    const char *name;
    uint32_t block; /* weights that are stored together */
    uint32_t bytes; /* of a block */
} tensor_types[] = {
    {0, "F32", 1, 4},       {1, "F16", 1, 2},       {2, "Q4_0", 32, 18},    {3, "Q4_1", 32, 20},
    {6, "Q5_0", 32, 22},    {7, "Q5_1", 32, 24},    {8, "Q8_0", 32, 34},    {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110}, {12, "Q4_K", 256, 144}, {13, "Q5_K", 256, 176}, {14, "Q6_K", 256, 210},
    {30, "BF16", 1, 2},
};

struct reading {
    struct str bytes;
    size_t at;
    struct str name;
    struct diags *diags;
    struct gguf *g;
    enum status st;
};

__attribute__((format(printf, 3, 4))) static void fail(struct reading *r, size_t at,
                                                       const char *format, ...)
{
    if (r->st != ST_OK) {
        return;
    }
    r->st = ST_INVALID;
    va_list args;
    va_start(args, format);
    struct str why = arena_vprintf(r->diags->arena, format, args);
    va_end(args);
    diags_add(r->diags, DIAG_ERROR, r->name, (struct pos){0, 0}, "at byte %zu: %.*s", at,
              STR_ARG(why));
}

/* A part of a name that is safe to show. */
static struct str shown(struct str name)
{
    struct str head = str_slice(name, 0, SHOWN_BYTES);
    head.len = utf8_valid_prefix(head);
    for (size_t i = 0; i < head.len; i++) {
        if ((unsigned char)head.ptr[i] < ' ' || head.ptr[i] == 0x7f) {
            return str_slice(head, 0, i);
        }
    }
    return head;
}

/* The next n bytes, or the empty string after a failure. */
static struct str take(struct reading *r, uint64_t n, const char *what)
{
    if (r->st != ST_OK) {
        return STR("");
    }
    if (n > r->bytes.len - r->at) {
        fail(r, r->at, "the file ends inside %s (%" PRIu64 " bytes are needed, %zu are there)",
             what, n, r->bytes.len - r->at);
        return STR("");
    }
    struct str part = {r->bytes.ptr + r->at, (size_t)n};
    r->at += (size_t)n;
    return part;
}

static uint32_t take_u32(struct reading *r, const char *what)
{
    struct str part = take(r, 4, what);
    return part.len == 4 ? little_u32(part.ptr) : 0;
}

static uint64_t take_u64(struct reading *r, const char *what)
{
    struct str part = take(r, 8, what);
    return part.len == 8 ? little_u64(part.ptr) : 0;
}

static struct str take_string(struct reading *r, uint64_t max, const char *what)
{
    size_t start = r->at;
    uint64_t len = take_u64(r, what);
    if (len > max) {
        fail(r, start, "the length of %s is %" PRIu64 ", more than %" PRIu64, what, len, max);
    }
    return take(r, len, what);
}

static bool is_type(uint32_t type)
{
    return type < sizeof value_bytes / sizeof value_bytes[0];
}

static void read_array(struct reading *r, struct gguf_value *value)
{
    size_t start = r->at;
    uint32_t item = take_u32(r, "the type of an array's items");
    value->count = take_u64(r, "the length of an array");
    if (r->st == ST_OK && item == GGUF_ARRAY) {
        fail(r, start, "\"%.*s\" is an array of arrays, which nothing here reads",
             STR_ARG(shown(value->key)));
    } else if (r->st == ST_OK && !is_type(item)) {
        fail(r, start, "the items of \"%.*s\" have the unknown type %u", STR_ARG(shown(value->key)),
             (unsigned)item);
    } else if (value->count > ITEMS_MAX) {
        fail(r, start + 4, "the array \"%.*s\" has %" PRIu64 " items, more than %" PRIu64,
             STR_ARG(shown(value->key)), value->count, ITEMS_MAX);
    }
    if (r->st != ST_OK) {
        return;
    }
    value->item = (enum gguf_type)item;
    if (item != GGUF_STRING) {
        value->bytes = take(r, value->count * value_bytes[item], "an array");
        return;
    }
    size_t first = r->at;
    for (uint64_t i = 0; i < value->count && r->st == ST_OK; i++) {
        (void)take_string(r, UINT32_MAX, "a string of an array");
    }
    value->bytes = str_slice(r->bytes, first, r->at - first);
}

static bool holds_booleans(const struct gguf_value *value)
{
    for (size_t i = 0; i < value->bytes.len; i++) {
        if ((unsigned char)value->bytes.ptr[i] > 1) {
            return false;
        }
    }
    return true;
}

static void add_value(struct reading *r, size_t start, struct gguf_value *value)
{
    if (table_get(r->g->value_table, value->key) != NULL) {
        fail(r, start, "the key \"%.*s\" is there twice", STR_ARG(shown(value->key)));
        return;
    }
    if (table_put(r->g->value_table, value->key, value, NULL) != ST_OK) {
        r->st = ST_NO_MEMORY;
    }
}

static void read_value(struct reading *r, struct gguf_value *value)
{
    size_t start = r->at;
    value->key = take_string(r, KEY_MAX_BYTES, "the name of a key");
    size_t type_at = r->at;
    uint32_t type = take_u32(r, "the type of a key");
    if (r->st == ST_OK && value->key.len == 0) {
        fail(r, start, "a key has no name");
    } else if (r->st == ST_OK && !is_type(type)) {
        fail(r, type_at, "the key \"%.*s\" has the unknown type %u", STR_ARG(shown(value->key)),
             (unsigned)type);
    }
    if (r->st != ST_OK) {
        return;
    }
    value->type = (enum gguf_type)type;
    value->item = value->type;
    value->count = 1;
    if (type == GGUF_ARRAY) {
        read_array(r, value);
    } else if (type == GGUF_STRING) {
        value->bytes = take_string(r, UINT32_MAX, "a string");
    } else {
        value->bytes = take(r, value_bytes[type], "a value");
    }
    if (r->st == ST_OK && value->item == GGUF_BOOL && !holds_booleans(value)) {
        fail(r, type_at, "the boolean \"%.*s\" is neither 0 nor 1", STR_ARG(shown(value->key)));
    }
    if (r->st == ST_OK) {
        add_value(r, start, value);
    }
}

static const struct tensor_type *find_type(uint32_t type)
{
    for (size_t i = 0; i < sizeof tensor_types / sizeof tensor_types[0]; i++) {
        if (tensor_types[i].type == type) {
            return &tensor_types[i];
        }
    }
    return NULL;
}

/* Bytes of the tensor's data; 0 after a failure. */
static uint64_t tensor_bytes(struct reading *r, size_t at, const struct gguf_tensor *t)
{
    const struct tensor_type *type = find_type(t->type);
    if (type == NULL) {
        fail(r, at, "the tensor \"%.*s\" has the type %u, which is not read here",
             STR_ARG(shown(t->name)), (unsigned)t->type);
        return 0;
    }
    uint64_t weights = 1;
    for (uint32_t d = 0; d < t->dimensions; d++) {
        if (t->shape[d] == 0 || __builtin_mul_overflow(weights, t->shape[d], &weights) ||
            weights > r->bytes.len * 8UL) {
            fail(r, at, "the shape of the tensor \"%.*s\" has more weights than the file, or none",
                 STR_ARG(shown(t->name)));
            return 0;
        }
    }
    if (t->shape[0] % type->block != 0) {
        fail(r, at, "rows of %" PRIu64 " in the tensor \"%.*s\" are not whole blocks of %s (%u)",
             t->shape[0], STR_ARG(shown(t->name)), type->name, (unsigned)type->block);
        return 0;
    }
    return weights / type->block * type->bytes; /* under 32 times the file's length */
}

/* Leaves the offset in data.len's place until the data's start is known. */
static void read_tensor(struct reading *r, struct gguf_tensor *t, uint64_t *ret_offset)
{
    size_t start = r->at;
    t->name = take_string(r, NAME_MAX_BYTES, "the name of a tensor");
    t->dimensions = take_u32(r, "a tensor's number of dimensions");
    if (r->st == ST_OK && (t->dimensions < 1 || t->dimensions > GGUF_DIMENSIONS_MAX)) {
        fail(r, start, "the tensor \"%.*s\" has %u dimensions, not 1 to %d",
             STR_ARG(shown(t->name)), (unsigned)t->dimensions, GGUF_DIMENSIONS_MAX);
    }
    if (r->st != ST_OK) {
        return;
    }
    for (uint32_t d = 0; d < GGUF_DIMENSIONS_MAX; d++) {
        t->shape[d] = d < t->dimensions ? take_u64(r, "a tensor's shape") : 1;
    }
    t->type = take_u32(r, "a tensor's type");
    size_t offset_at = r->at;
    *ret_offset = take_u64(r, "a tensor's offset");
    if (r->st != ST_OK) {
        return;
    }
    t->data.len = (size_t)tensor_bytes(r, start, t);
    if (r->st == ST_OK && *ret_offset % r->g->alignment != 0) {
        fail(r, offset_at, "the offset of the tensor \"%.*s\" is no multiple of %u",
             STR_ARG(shown(t->name)), (unsigned)r->g->alignment);
    }
    if (r->st == ST_OK && table_get(r->g->tensor_table, t->name) != NULL) {
        fail(r, start, "the tensor \"%.*s\" is there twice", STR_ARG(shown(t->name)));
    }
    if (r->st == ST_OK && table_put(r->g->tensor_table, t->name, t, NULL) != ST_OK) {
        r->st = ST_NO_MEMORY;
    }
}

static void place_tensors(struct reading *r, const uint64_t *offsets)
{
    size_t padding = (r->g->alignment - r->at % r->g->alignment) % r->g->alignment;
    size_t room = r->bytes.len - r->at;
    size_t start = r->at + (padding < room ? padding : room);
    for (size_t i = 0; i < r->g->tensor_count; i++) {
        struct gguf_tensor *t = &r->g->tensors[i];
        size_t left = r->bytes.len - start;
        if (offsets[i] > left || t->data.len > left - offsets[i]) {
            fail(r, start,
                 "the data of the tensor \"%.*s\" (%zu bytes, %" PRIu64
                 " after the start of the data) lie outside of the file",
                 STR_ARG(shown(t->name)), t->data.len, offsets[i]);
            return;
        }
        t->data.ptr = r->bytes.ptr + start + offsets[i];
    }
}

static void read_alignment(struct reading *r)
{
    const struct gguf_value *value = gguf_find(r->g, STR("general.alignment"));
    int64_t alignment = ALIGNMENT_DEFAULT;
    if (value != NULL && (!gguf_to_int(value, &alignment) || alignment < 8 ||
                          alignment > ALIGNMENT_MAX || (alignment & (alignment - 1)) != 0)) {
        fail(r, (size_t)(value->bytes.ptr - r->bytes.ptr),
             "general.alignment must be a power of two from 8 to %d", ALIGNMENT_MAX);
        return;
    }
    r->g->alignment = (uint32_t)alignment;
}

/* Version and both counts. */
static void read_head(struct reading *r)
{
    struct str magic = take(r, 4, "the word GGUF");
    if (r->st == ST_OK && !str_eq(magic, STR("GGUF"))) {
        fail(r, 0, "this is no GGUF file: it does not start with the word GGUF");
    }
    r->g->version = take_u32(r, "the version");
    if (r->st == ST_OK && (r->g->version < 2 || r->g->version > 3)) {
        fail(r, 4, "version %u of GGUF is not read here, only 2 and 3 (little-endian)",
             (unsigned)r->g->version);
    }
    uint64_t tensors = take_u64(r, "the number of tensors");
    uint64_t keys = take_u64(r, "the number of keys");
    if (tensors > GGUF_TENSORS_MAX) {
        fail(r, 8, "the number of tensors is %" PRIu64 ", more than %d", tensors, GGUF_TENSORS_MAX);
    } else if (keys > GGUF_KEYS_MAX) {
        fail(r, 16, "the number of keys is %" PRIu64 ", more than %d", keys, GGUF_KEYS_MAX);
    }
    if (r->st == ST_OK) {
        r->g->tensor_count = (size_t)tensors;
        r->g->value_count = (size_t)keys;
    }
}

static void read_all(struct reading *r)
{
    struct gguf *g = r->g;
    read_head(r);
    if (r->st != ST_OK) {
        return;
    }
    g->values = arena_alloc(g->arena, (g->value_count + 1) * sizeof *g->values);
    g->tensors = arena_alloc(g->arena, (g->tensor_count + 1) * sizeof *g->tensors);
    uint64_t *offsets = arena_alloc(g->arena, (g->tensor_count + 1) * sizeof *offsets);
    if (g->values == NULL || g->tensors == NULL || offsets == NULL) {
        r->st = ST_NO_MEMORY;
        return;
    }
    for (size_t i = 0; i < g->value_count && r->st == ST_OK; i++) {
        read_value(r, &g->values[i]);
    }
    if (r->st == ST_OK) {
        read_alignment(r);
    }
    for (size_t i = 0; i < g->tensor_count && r->st == ST_OK; i++) {
        read_tensor(r, &g->tensors[i], &offsets[i]);
    }
    if (r->st == ST_OK) {
        place_tensors(r, offsets);
    }
}

enum status gguf_read(struct str bytes, struct str name, struct diags *diags, struct gguf *ret_gguf)
{
    *ret_gguf = (struct gguf){.alignment = ALIGNMENT_DEFAULT};
    ret_gguf->arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    ret_gguf->value_table = table_create();
    ret_gguf->tensor_table = table_create();
    if (ret_gguf->arena == NULL || ret_gguf->value_table == NULL ||
        ret_gguf->tensor_table == NULL) {
        return ST_NO_MEMORY;
    }
    struct reading r = {bytes, 0, name, diags, ret_gguf, ST_OK};
    read_all(&r);
    return r.st;
}

void gguf_fini(struct gguf *g)
{
    table_destroy(g->value_table);
    table_destroy(g->tensor_table);
    arena_destroy(g->arena);
}

const struct gguf_value *gguf_find(const struct gguf *g, struct str key)
{
    return table_get(g->value_table, key);
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, struct str name)
{
    return table_get(g->tensor_table, name);
}

bool gguf_to_int(const struct gguf_value *value, int64_t *ret_value)
{
    const unsigned char *p = (const unsigned char *)value->bytes.ptr;
    int64_t number = -1;
    switch (value->type) {
    case GGUF_U8:
        number = p[0];
        break;
    case GGUF_I8:
        number = (int8_t)p[0];
        break;
    case GGUF_U16:
        number = p[0] | p[1] << 8;
        break;
    case GGUF_I16:
        number = (int16_t)(p[0] | p[1] << 8);
        break;
    case GGUF_U32:
        number = little_u32(p);
        break;
    case GGUF_I32:
        number = (int32_t)little_u32(p);
        break;
    case GGUF_U64:
    case GGUF_I64:
        number = (int64_t)little_u64(p); /* beyond INT64_MAX: negative */
        break;
    case GGUF_F32:
    case GGUF_F64:
    case GGUF_BOOL:
    case GGUF_STRING:
    case GGUF_ARRAY:
        break;
    }
    if (number < 0) {
        return false;
    }
    *ret_value = number;
    return true;
}

bool gguf_to_real(const struct gguf_value *value, double *ret_value)
{
    int64_t number = 0;
    if (value->type == GGUF_F32) {
        *ret_value = (double)little_f32(value->bytes.ptr);
    } else if (value->type == GGUF_F64) {
        uint64_t bits = little_u64(value->bytes.ptr);
        memcpy(ret_value, &bits, sizeof bits);
    } else if (gguf_to_int(value, &number)) {
        *ret_value = (double)number;
    } else {
        return false;
    }
    return true;
}

bool gguf_to_bool(const struct gguf_value *value, bool *ret_value)
{
    if (value->type != GGUF_BOOL) {
        return false;
    }
    *ret_value = value->bytes.ptr[0] != 0;
    return true;
}

bool gguf_to_text(const struct gguf_value *value, struct str *ret_value)
{
    if (value->type != GGUF_STRING) {
        return false;
    }
    *ret_value = value->bytes;
    return true;
}

float gguf_item_f32(const struct gguf_value *array, uint64_t i)
{
    return little_f32(array->bytes.ptr + i * sizeof(float));
}

int32_t gguf_item_i32(const struct gguf_value *array, uint64_t i)
{
    return (int32_t)little_u32(array->bytes.ptr + i * sizeof(int32_t));
}

struct str gguf_next_text(const struct gguf_value *array, size_t *at)
{
    struct str text = {array->bytes.ptr + *at + 8, (size_t)little_u64(array->bytes.ptr + *at)};
    *at += 8 + text.len;
    return text;
}

const char *gguf_type_name(uint32_t type)
{
    const struct tensor_type *found = find_type(type);
    return found == NULL ? "?" : found->name;
}
