/* See heads.h. Knows nothing about how heads are fitted (fit_head.c). */
#include "router/heads.h"

#include <math.h>
#include <string.h>

#include "base/little.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "router/features.h"
#include "router/softmax.h"

enum {
    HEADER_BYTES = 64,
    ENTRY_BYTES = 64,
    ALIGNMENT = 64,
    NAME_BYTES = HEADS_NAME_MAX + 1,
    AT_KIND = NAME_BYTES,
    AT_BIAS = NAME_BYTES + 4,
    QUESTIONS_TOP = 4,
    LINES_TOP = 16,
};

static const double length_top = 11.1; /* the logarithm of 64 KiB */

static const struct str shape_names[HEADS_SHAPE_COUNT] = {
    [HEADS_SHAPE_LENGTH] = {"length", 6},         [HEADS_SHAPE_DIGITS] = {"digits", 6},
    [HEADS_SHAPE_CODE] = {"code marks", 10},      [HEADS_SHAPE_CAPITALS] = {"capitals", 8},
    [HEADS_SHAPE_FOREIGN] = {"beyond ascii", 12}, [HEADS_SHAPE_QUESTIONS] = {"question marks", 14},
    [HEADS_SHAPE_LINES] = {"lines", 5},           [HEADS_SHAPE_KNOWN] = {"known", 5},
};

static bool is_zero(const char *from, const char *to)
{
    for (; from < to; from++) {
        if (*from != 0) {
            return false;
        }
    }
    return true;
}

static bool is_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && c != '_' && c != '-') {
            return false;
        }
    }
    return name.len > 0 && name.len <= HEADS_NAME_MAX;
}

static bool are_numbers(const float *at, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!(fabsf(at[i]) < 1e6F)) {
            return false;
        }
    }
    return true;
}

static size_t inputs_count(uint32_t labels, uint32_t dims)
{
    return HEADS_SHAPE_COUNT + (size_t)labels + dims;
}

/* Of a head: its entry, its weights, padding. */
static size_t head_bytes(size_t inputs)
{
    return ENTRY_BYTES + (inputs * sizeof(float) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static enum status read_head(const char *at, size_t inputs, struct heads *h)
{
    struct head head = {.name = {at, strnlen(at, NAME_BYTES)}};
    const char *weights = at + ENTRY_BYTES;
    uint32_t kind = little_u32(at + AT_KIND);
    if (!is_name(head.name) || heads_find(h, head.name) != SIZE_MAX || kind > HEAD_SCORE ||
        !is_zero(at + head.name.len, at + NAME_BYTES) ||
        !is_zero(at + AT_BIAS + 4, at + ENTRY_BYTES) ||
        !is_zero(weights + inputs * sizeof(float), at + head_bytes(inputs))) {
        return ST_INVALID;
    }
    head.kind = (enum head_kind)kind;
    memcpy(&head.bias, at + AT_BIAS, sizeof head.bias);
    head.weights = (const float *)(const void *)weights;
    if (!are_numbers(&head.bias, 1) || !are_numbers(head.weights, inputs)) {
        return ST_INVALID;
    }
    h->items[h->count++] = head;
    return ST_OK;
}

enum status heads_read(struct str bytes, uint32_t labels, uint32_t dims, struct heads *ret_heads)
{
    struct heads h = {.labels = labels, .dims = dims};
    *ret_heads = h;
    if (bytes.len == 0) {
        return ST_OK;
    }
    if (bytes.len < HEADER_BYTES || labels > CLASSIFIER_LABELS_MAX || dims > VECTORS_DIMS_MAX ||
        little_u32(bytes.ptr + 4) != labels || little_u32(bytes.ptr + 8) != dims ||
        little_u32(bytes.ptr + 12) != HEADS_SHAPE_COUNT ||
        !is_zero(bytes.ptr + 16, bytes.ptr + HEADER_BYTES)) {
        return ST_INVALID;
    }
    uint32_t count = little_u32(bytes.ptr);
    size_t inputs = inputs_count(labels, dims);
    if (count < 1 || count > HEADS_MAX || bytes.len != HEADER_BYTES + count * head_bytes(inputs)) {
        return ST_INVALID;
    }
    for (uint32_t i = 0; i < count; i++) {
        enum status st = read_head(bytes.ptr + HEADER_BYTES + i * head_bytes(inputs), inputs, &h);
        if (st != ST_OK) {
            return st;
        }
    }
    *ret_heads = h;
    return ST_OK;
}

enum status heads_encode(const struct heads *heads, struct str *ret_bytes)
{
    if (heads->count == 0) {
        *ret_bytes = STR("");
        return ST_OK;
    }
    size_t inputs = inputs_count(heads->labels, heads->dims);
    if (heads->count > HEADS_MAX || inputs > HEADS_INPUTS_MAX) {
        return ST_INVALID;
    }
    size_t size = HEADER_BYTES + heads->count * head_bytes(inputs);
    char *at = mem_zalloc(1, size);
    if (at == NULL) {
        return ST_NO_MEMORY;
    }
    little_put_u32(at, (uint32_t)heads->count);
    little_put_u32(at + 4, heads->labels);
    little_put_u32(at + 8, heads->dims);
    little_put_u32(at + 12, HEADS_SHAPE_COUNT);
    for (size_t i = 0; i < heads->count; i++) {
        const struct head *head = &heads->items[i];
        char *entry = at + HEADER_BYTES + i * head_bytes(inputs);
        memcpy(entry, head->name.ptr, head->name.len < NAME_BYTES ? head->name.len : NAME_BYTES);
        little_put_u32(entry + AT_KIND, (uint32_t)head->kind);
        memcpy(entry + AT_BIAS, &head->bias, sizeof head->bias);
        memcpy(entry + ENTRY_BYTES, head->weights, inputs * sizeof *head->weights);
    }
    struct heads again;
    enum status st = heads_read((struct str){at, size}, heads->labels, heads->dims, &again);
    if (st != ST_OK) {
        mem_free(at);
        return st;
    }
    *ret_bytes = (struct str){at, size};
    return ST_OK;
}

size_t heads_inputs_count(const struct heads *heads)
{
    return inputs_count(heads->labels, heads->dims);
}

/* Classes of bytes that are counted; a byte has at most one. */
enum byte_class {
    BYTE_OTHER,
    BYTE_DIGIT,
    BYTE_CODE,
    BYTE_CAPITAL,
    BYTE_FOREIGN,
    BYTE_QUESTION,
    BYTE_LINE,
};

enum {
    BYTE_CLASSES = BYTE_LINE + 1
};

/* Marks that code is full of, and what else stands alone. */
static const uint8_t byte_classes[256] = {
    ['?'] = BYTE_QUESTION, ['\n'] = BYTE_LINE, ['{'] = BYTE_CODE,  ['}'] = BYTE_CODE,
    ['['] = BYTE_CODE,     [']'] = BYTE_CODE,  ['('] = BYTE_CODE,  [')'] = BYTE_CODE,
    ['<'] = BYTE_CODE,     ['>'] = BYTE_CODE,  ['='] = BYTE_CODE,  [';'] = BYTE_CODE,
    ['_'] = BYTE_CODE,     ['`'] = BYTE_CODE,  ['\\'] = BYTE_CODE, ['/'] = BYTE_CODE,
    ['*'] = BYTE_CODE,     ['+'] = BYTE_CODE,  ['^'] = BYTE_CODE,  ['|'] = BYTE_CODE,
    ['$'] = BYTE_CODE,     ['#'] = BYTE_CODE,
};

static enum byte_class class_of(unsigned char byte)
{
    if (byte >= 0x80) {
        return BYTE_FOREIGN;
    }
    if (byte >= '0' && byte <= '9') {
        return BYTE_DIGIT;
    }
    return byte >= 'A' && byte <= 'Z' ? BYTE_CAPITAL : (enum byte_class)byte_classes[byte];
}

static void count_bytes(struct str text, uint32_t count[BYTE_CLASSES])
{
    for (size_t i = 0; i < text.len; i++) {
        count[class_of((unsigned char)text.ptr[i])]++;
    }
}

static float share_of(uint32_t count, size_t of)
{
    return of > 0 ? (float)count / (float)of : 0.0F;
}

static float part_of(uint32_t count, uint32_t top)
{
    return (float)(count < top ? count : top) / (float)top;
}

static void look_at(struct str text, float *ret_x)
{
    uint32_t count[BYTE_CLASSES] = {0};
    struct str head;
    struct str tail;
    utf8_window(text, FEATURES_HEAD_BYTES, FEATURES_TAIL_BYTES, &head, &tail);
    count_bytes(head, count);
    count_bytes(tail, count);
    size_t bytes = head.len + tail.len;
    ret_x[HEADS_SHAPE_LENGTH] = (float)(softmax_log(1.0 + (double)text.len) / length_top);
    ret_x[HEADS_SHAPE_DIGITS] = share_of(count[BYTE_DIGIT], bytes);
    ret_x[HEADS_SHAPE_CODE] = share_of(count[BYTE_CODE], bytes);
    ret_x[HEADS_SHAPE_CAPITALS] = share_of(count[BYTE_CAPITAL], bytes);
    ret_x[HEADS_SHAPE_FOREIGN] = share_of(count[BYTE_FOREIGN], bytes);
    ret_x[HEADS_SHAPE_QUESTIONS] = part_of(count[BYTE_QUESTION], QUESTIONS_TOP);
    ret_x[HEADS_SHAPE_LINES] = part_of(count[BYTE_LINE], LINES_TOP);
}

void heads_inputs(const struct heads *heads, const struct classifier_result *result,
                  struct str text, float *ret_x)
{
    look_at(text, ret_x);
    ret_x[HEADS_SHAPE_KNOWN] = result->known;
    float *p = ret_x + HEADS_SHAPE_COUNT;
    memcpy(p, result->p, heads->labels * sizeof *p);
    float *vector = p + heads->labels;
    if (result->vector_size == heads->dims) {
        memcpy(vector, result->vector, heads->dims * sizeof *vector);
    } else {
        memset(vector, 0, heads->dims * sizeof *vector);
    }
}

static float sum_of(const float *weights, const float *x, size_t count)
{
    float sum = 0.0F;
    for (size_t i = 0; i < count; i++) {
        sum += weights[i] * x[i];
    }
    return sum;
}

void heads_run(const struct heads *heads, const float *x, float *ret_values)
{
    size_t inputs = heads_inputs_count(heads);
    for (size_t i = 0; i < heads->count; i++) {
        const struct head *head = &heads->items[i];
        float value = head->bias + sum_of(head->weights, x, inputs);
        ret_values[i] =
            head->kind == HEAD_SCORE ? value : (float)(1.0 / (1.0 + softmax_exp(-(double)value)));
    }
}

size_t heads_explain(const struct heads *heads, size_t head, const float *x,
                     const struct classifier *c, struct heads_share *ret_shares)
{
    const float *weights = heads->items[head].weights;
    size_t n = 0;
    ret_shares[n++] = (struct heads_share){STR("prior"), heads->items[head].bias};
    size_t named = HEADS_SHAPE_COUNT + heads->labels;
    for (size_t i = 0; i < named; i++) {
        struct str name =
            i < HEADS_SHAPE_COUNT ? shape_names[i] : classifier_label(c, i - HEADS_SHAPE_COUNT);
        ret_shares[n++] = (struct heads_share){name, weights[i] * x[i]};
    }
    float words = sum_of(weights + named, x + named, heads->dims);
    ret_shares[n++] = (struct heads_share){STR("words"), words};
    return n;
}

size_t heads_find(const struct heads *heads, struct str name)
{
    for (size_t i = 0; i < heads->count; i++) {
        if (str_eq(heads->items[i].name, name)) {
            return i;
        }
    }
    return SIZE_MAX;
}
