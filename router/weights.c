/* See weights.h. One table says which arrays there are and in which order; the reader and the
 * writer both walk it. */
#include "router/weights.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_scan.h"
#include "base/little.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "router/features.h"

enum {
    ALIGNMENT = 64,
    HEADER_BYTES = 64,
    ENTRY_BYTES = 32,
    NAME_BYTES = 16,
    PADDING_BYTES = 64, /* after the table */
    CALIBRATION_BYTES = 12,
    AT_VERSION = 8,
    AT_SCHEME = 12,
    AT_FILE_BYTES = 16,
    AT_CHECKSUM = 24,
    AT_LABELS = 32,
    AT_ARRAYS = 36,
    FILE_BYTES_MAX = 1 << 30,
};

enum array {
    ARRAY_LABELS,
    ARRAY_SCALE,
    ARRAY_BIAS,
    ARRAY_CALIBRATION,
    ARRAY_CARD,
    ARRAY_VECTORS,
    ARRAY_NETWORK,
    ARRAY_CURVES,
    ARRAY_HEADS,
    ARRAY_TABLE,
};

enum {
    ARRAYS = ARRAY_TABLE + 1
};

static const char magic[8] = {'E', 'X', 'P', 'E', 'R', 'T', 'D', 'W'};

static const char *const array_names[ARRAYS] = {
    [ARRAY_LABELS] = "labels",   [ARRAY_SCALE] = "scale",
    [ARRAY_BIAS] = "bias",       [ARRAY_CALIBRATION] = "calibration",
    [ARRAY_CARD] = "card",       [ARRAY_VECTORS] = "vectors",
    [ARRAY_NETWORK] = "network", [ARRAY_CURVES] = "curves",
    [ARRAY_HEADS] = "heads",     [ARRAY_TABLE] = "table",
};

struct reading { /* of one file */
    struct str bytes;
    struct str file;
    struct diags *diags;
    struct str arrays[ARRAYS];
};

static size_t align(size_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Over all but the checksum itself. Each step is a bijection of the state for a given word and of
 * the word for a given state, so that no change of a single word goes unnoticed. */
static uint64_t checksum(struct str bytes)
{
    uint64_t hash = 0x6a09e667f3bcc909U ^ bytes.len;
    for (size_t i = 0; i < bytes.len; i += 8) {
        uint64_t word = 0;
        if (i + 8 <= bytes.len) {
            word = little_u64(bytes.ptr + i);
        } else {
            for (size_t j = i; j < bytes.len; j++) {
                word |= (uint64_t)(unsigned char)bytes.ptr[j] << (8 * (j - i));
            }
        }
        if (i == AT_CHECKSUM) {
            word = 0;
        }
        hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
        hash ^= hash >> 32;
    }
    return hash;
}

__attribute__((format(printf, 2, 3))) static enum status refuse(const struct reading *r,
                                                                const char *format, ...)
{
    char message[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args); /* cut is fine */
    va_end(args);
    diags_add(r->diags, DIAG_ERROR, r->file, (struct pos){0, 0}, "%s", message);
    return ST_INVALID;
}

static enum status read_header(const struct reading *r)
{
    struct str b = r->bytes;
    if (b.len < HEADER_BYTES || memcmp(b.ptr, magic, sizeof magic) != 0) {
        return refuse(r, "is no weights file");
    }
    if (little_u32(b.ptr + AT_VERSION) != WEIGHTS_VERSION) {
        return refuse(r, "weights file version %u, this program reads version %d: train again",
                      little_u32(b.ptr + AT_VERSION), WEIGHTS_VERSION);
    }
    if (little_u64(b.ptr + AT_FILE_BYTES) != b.len) {
        return refuse(r, "weights file has %zu bytes, its header says %llu", b.len,
                      (unsigned long long)little_u64(b.ptr + AT_FILE_BYTES));
    }
    if (little_u64(b.ptr + AT_CHECKSUM) != checksum(b)) {
        return refuse(r, "weights file is damaged: its checksum does not match");
    }
    if (b.len < HEADER_BYTES + ARRAYS * ENTRY_BYTES) {
        return refuse(r, "weights file ends before its arrays");
    }
    return ST_OK;
}

/* Arrays stand in the table's order, packed to multiples of 64. */
static enum status read_directory(struct reading *r, uint32_t scheme)
{
    struct str b = r->bytes;
    if (little_u32(b.ptr + AT_SCHEME) != scheme) {
        return refuse(r, "weights made for feature scheme %u, this program computes scheme %u",
                      little_u32(b.ptr + AT_SCHEME), scheme);
    }
    if (little_u32(b.ptr + AT_ARRAYS) != ARRAYS) {
        return refuse(r, "weights file has %u arrays instead of %d", little_u32(b.ptr + AT_ARRAYS),
                      (int)ARRAYS);
    }
    size_t at = HEADER_BYTES + ARRAYS * ENTRY_BYTES;
    for (size_t i = 0; i < ARRAYS; i++) {
        const char *entry = b.ptr + HEADER_BYTES + i * ENTRY_BYTES;
        char name[NAME_BYTES] = {0};
        memcpy(name, array_names[i], strlen(array_names[i]));
        at = align(at);
        uint64_t bytes = little_u64(entry + NAME_BYTES + 8);
        if (memcmp(entry, name, NAME_BYTES) != 0 || little_u64(entry + NAME_BYTES) != at ||
            bytes > b.len - at) {
            return refuse(r, "array \"%s\" is not where it belongs", array_names[i]);
        }
        r->arrays[i] = (struct str){b.ptr + at, (size_t)bytes};
        at += (size_t)bytes;
        if (at > b.len) {
            return refuse(r, "array \"%s\" reaches beyond the end", array_names[i]);
        }
    }
    if (b.len != align(at) + PADDING_BYTES) {
        return refuse(r, "weights file does not end after its table");
    }
    return ST_OK;
}

/* NULL, or what is wrong. */
static const char *check_label(const struct weights *w, struct str label)
{
    if (label.len == 0 || label.len > WEIGHTS_LABEL_BYTES_MAX) {
        return "a label is empty or too long";
    }
    if (utf8_valid_prefix(label) != label.len) {
        return "a label is not UTF-8";
    }
    for (size_t i = 0; i < w->label_count; i++) {
        if (str_eq(w->labels[i], label)) {
            return "a label stands twice";
        }
    }
    return NULL;
}

static enum status read_labels(const struct reading *r, struct weights *w)
{
    uint32_t count = little_u32(r->bytes.ptr + AT_LABELS);
    if (count < 2 || count > WEIGHTS_LABELS_MAX) {
        return refuse(r, "%u labels: not between 2 and %d", count, WEIGHTS_LABELS_MAX);
    }
    struct str rest = r->arrays[ARRAY_LABELS];
    if (rest.len == 0 || rest.ptr[rest.len - 1] != '\n') {
        return refuse(r, "the list of labels does not end");
    }
    struct str label;
    while (w->label_count < count && str_split(rest, '\n', &label, &rest)) {
        const char *why = check_label(w, label);
        if (why != NULL) {
            return refuse(r, "%s", why);
        }
        w->labels[w->label_count++] = label;
    }
    if (w->label_count != count || rest.len > 0) {
        return refuse(r, "the list of labels has not the %u labels of the header", count);
    }
    return ST_OK;
}

static enum status read_numbers(const struct reading *r, struct weights *w)
{
    size_t bytes = w->label_count * 4;
    if (r->arrays[ARRAY_SCALE].len != bytes || r->arrays[ARRAY_BIAS].len != bytes ||
        r->arrays[ARRAY_CALIBRATION].len != CALIBRATION_BYTES) {
        return refuse(r, "scale, bias or calibration has not one number per label");
    }
    for (size_t i = 0; i < w->label_count; i++) {
        w->scale[i] = little_f32(r->arrays[ARRAY_SCALE].ptr + 4 * i);
        w->bias[i] = little_f32(r->arrays[ARRAY_BIAS].ptr + 4 * i);
        if (!(w->scale[i] > 0) || !(w->scale[i] < 1e6F) || !(fabsf(w->bias[i]) < 1e6F)) {
            return refuse(r, "scale or bias of \"%.*s\" is no usable number",
                          STR_ARG(w->labels[i]));
        }
    }
    const char *calibration = r->arrays[ARRAY_CALIBRATION].ptr;
    w->calibration = (struct calibration){little_f32(calibration), little_f32(calibration + 4),
                                          little_f32(calibration + 8)};
    if (!(w->calibration.temperature >= 0.01F) || !(w->calibration.temperature <= 100.0F)) {
        return refuse(r, "the temperature is not between 0.01 and 100");
    }
    if (!(fabsf(w->calibration.by_spread) <= 10.0F) ||
        !(fabsf(w->calibration.by_unknown) <= 10.0F)) {
        return refuse(r, "the calibration is not within -10 and 10");
    }
    return ST_OK;
}

static enum status read_table(const struct reading *r, struct weights *w)
{
    w->vectors = r->arrays[ARRAY_VECTORS];
    w->network = r->arrays[ARRAY_NETWORK];
    w->curves = r->arrays[ARRAY_CURVES];
    w->heads = r->arrays[ARRAY_HEADS];
    w->card = r->arrays[ARRAY_CARD];
    if (w->card.len > WEIGHTS_CARD_MAX || json_validate(w->card, NULL, NULL) != ST_OK) {
        return refuse(r, "the training card is no JSON or too long");
    }
    struct str table = r->arrays[ARRAY_TABLE];
    w->bucket_bytes = weights_bucket_bytes(w->label_count);
    size_t count = table.len / w->bucket_bytes;
    if (count < 1 || count > WEIGHTS_BUCKETS_MAX || count * w->bucket_bytes != table.len) {
        return refuse(r, "the table of %zu bytes is no whole number of buckets", table.len);
    }
    w->bucket_count = (uint32_t)count;
    w->table = (const uint8_t *)table.ptr;
    return ST_OK;
}

/* NULL, or what weights_read would refuse in a struct that is to be written. */
static bool is_writable(const struct weights *w)
{
    if (w->label_count < 2 || w->label_count > WEIGHTS_LABELS_MAX || w->bucket_count < 1 ||
        w->bucket_count > WEIGHTS_BUCKETS_MAX ||
        w->bucket_bytes != weights_bucket_bytes(w->label_count)) {
        return false;
    }
    return w->card.len <= WEIGHTS_CARD_MAX;
}

static size_t array_bytes(const struct weights *w, size_t array)
{
    size_t labels = 0;
    for (size_t i = 0; i < w->label_count; i++) {
        labels += w->labels[i].len + 1;
    }
    const size_t sizes[ARRAYS] = {
        [ARRAY_LABELS] = labels,
        [ARRAY_SCALE] = w->label_count * 4,
        [ARRAY_BIAS] = w->label_count * 4,
        [ARRAY_CALIBRATION] = CALIBRATION_BYTES,
        [ARRAY_CARD] = w->card.len,
        [ARRAY_VECTORS] = w->vectors.len,
        [ARRAY_NETWORK] = w->network.len,
        [ARRAY_CURVES] = w->curves.len,
        [ARRAY_HEADS] = w->heads.len,
        [ARRAY_TABLE] = (size_t)w->bucket_count * w->bucket_bytes,
    };
    return sizes[array];
}

static void put_bytes(struct str bytes, char *at)
{
    if (bytes.len > 0) {
        memcpy(at, bytes.ptr, bytes.len);
    }
}

static void put_array(const struct weights *w, size_t array, char *at)
{
    switch ((enum array)array) {
    case ARRAY_LABELS:
        for (size_t i = 0; i < w->label_count; i++) {
            memcpy(at, w->labels[i].ptr, w->labels[i].len);
            at += w->labels[i].len;
            *at++ = '\n';
        }
        break;
    case ARRAY_SCALE:
    case ARRAY_BIAS:
        for (size_t i = 0; i < w->label_count; i++) {
            little_put_f32(at + 4 * i, array == ARRAY_SCALE ? w->scale[i] : w->bias[i]);
        }
        break;
    case ARRAY_CALIBRATION:
        little_put_f32(at, w->calibration.temperature);
        little_put_f32(at + 4, w->calibration.by_spread);
        little_put_f32(at + 8, w->calibration.by_unknown);
        break;
    case ARRAY_CARD:
        put_bytes(w->card, at);
        break;
    case ARRAY_VECTORS:
        put_bytes(w->vectors, at);
        break;
    case ARRAY_NETWORK:
        put_bytes(w->network, at);
        break;
    case ARRAY_CURVES:
        put_bytes(w->curves, at);
        break;
    case ARRAY_HEADS:
        put_bytes(w->heads, at);
        break;
    case ARRAY_TABLE:
        memcpy(at, w->table, (size_t)w->bucket_count * w->bucket_bytes);
        break;
    }
}

static enum status read_meaning(const struct reading *r, struct weights *w)
{
    if (vectors_read(w->vectors, &w->words) != ST_OK) {
        return refuse(r, "the word vectors do not fit their header");
    }
    if (network_read(w->network, w->words.dims, (uint32_t)w->label_count, &w->net) != ST_OK) {
        return refuse(r, "the network does not fit the vectors and labels, or has a number that is "
                         "none");
    }
    return ST_OK;
}

uint32_t weights_bucket_bytes(size_t label_count)
{
    return (uint32_t)align(WEIGHTS_SLOTS * (2 + label_count));
}

enum status weights_read(struct str bytes, struct str file, struct diags *diags,
                         struct weights *ret)
{
    struct reading r = {.bytes = bytes, .file = file, .diags = diags};
    struct weights w = {0};
    enum status st = read_header(&r);
    if (st == ST_OK) {
        st = read_directory(&r, FEATURES_SCHEME);
    }
    if (st == ST_OK) {
        st = read_labels(&r, &w);
    }
    if (st == ST_OK) {
        st = read_numbers(&r, &w);
    }
    if (st == ST_OK) {
        st = read_table(&r, &w);
    }
    if (st == ST_OK) {
        st = read_meaning(&r, &w);
    }
    if (st == ST_OK) {
        w.checksum = little_u64(bytes.ptr + AT_CHECKSUM);
        *ret = w;
    }
    return st;
}

enum status weights_open(const char *path, struct diags *diags, struct weights *ret)
{
    struct str file = str_from(path);
    struct stat info;
    void *map = MAP_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not waited for */
    if (fd < 0 || fstat(fd, &info) != 0) {
        char text[64] = "";
        diags_add(diags, DIAG_ERROR, file, (struct pos){0, 0}, "cannot be read: %s",
                  strerror_r(errno, text, sizeof text));
        if (fd >= 0) {
            (void)close(fd); /* nothing was written */
        }
        return ST_IO;
    }
    bool has_size = S_ISREG(info.st_mode) && info.st_size > 0 && info.st_size <= FILE_BYTES_MAX;
    if (has_size) {
        map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    (void)close(fd); /* nothing was written */
    if (map == MAP_FAILED) {
        diags_add(diags, DIAG_ERROR, file, (struct pos){0, 0}, "is no weights file");
        return ST_INVALID;
    }
    enum status st = weights_read((struct str){map, (size_t)info.st_size}, file, diags, ret);
    if (st != ST_OK) {
        (void)munmap(map, (size_t)info.st_size); /* was mapped above */
        return st;
    }
    ret->map = map;
    ret->map_bytes = (size_t)info.st_size;
    return ST_OK;
}

void weights_close(struct weights *w)
{
    if (w->map != NULL) {
        (void)munmap(w->map, w->map_bytes); /* was mapped by weights_open */
    }
    *w = (struct weights){0};
}

enum status weights_encode(const struct weights *w, struct str *ret)
{
    if (!is_writable(w)) {
        return ST_INVALID;
    }
    size_t size = HEADER_BYTES + ARRAYS * ENTRY_BYTES;
    for (size_t i = 0; i < ARRAYS; i++) {
        size = align(size) + array_bytes(w, i);
    }
    size = align(size) + PADDING_BYTES;
    char *out = mem_zalloc(1, size);
    if (out == NULL) {
        return ST_NO_MEMORY;
    }
    memcpy(out, magic, sizeof magic);
    little_put_u32(out + AT_VERSION, WEIGHTS_VERSION);
    little_put_u32(out + AT_SCHEME, FEATURES_SCHEME);
    little_put_u64(out + AT_FILE_BYTES, size);
    little_put_u32(out + AT_LABELS, (uint32_t)w->label_count);
    little_put_u32(out + AT_ARRAYS, ARRAYS);
    size_t at = HEADER_BYTES + ARRAYS * ENTRY_BYTES;
    for (size_t i = 0; i < ARRAYS; i++) {
        at = align(at);
        char *entry = out + HEADER_BYTES + i * ENTRY_BYTES;
        memcpy(entry, array_names[i], strlen(array_names[i]));
        little_put_u64(entry + NAME_BYTES, at);
        little_put_u64(entry + NAME_BYTES + 8, array_bytes(w, i));
        put_array(w, i, out + at);
        at += array_bytes(w, i);
    }
    little_put_u64(out + AT_CHECKSUM, checksum((struct str){out, size}));
    *ret = (struct str){out, size};
    return ST_OK;
}

enum status weights_write(const struct weights *w, const char *path)
{
    char beside[4096];
    int length = snprintf(beside, sizeof beside, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof beside) {
        return ST_INVALID;
    }
    struct str bytes = {NULL, 0};
    enum status st = weights_encode(w, &bytes);
    if (st != ST_OK) {
        return st;
    }
    FILE *out = fopen(beside, "wbe");
    bool is_written = out != NULL && fwrite(bytes.ptr, 1, bytes.len, out) == bytes.len;
    if (out != NULL && fclose(out) != 0) {
        is_written = false;
    }
    mem_free((void *)(uintptr_t)bytes.ptr); /* ours: only the view is const */
    if (!is_written || rename(beside, path) != 0) {
        (void)unlink(beside); /* a leftover at worst */
        return ST_IO;
    }
    return ST_OK;
}
