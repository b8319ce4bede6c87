/* See vectors_text.h. */
#include "router/vectors_text.h"

#include "base/mem.h"
#include "router/features.h"
#include "router/vectors.h"

enum {
    WORDS_MAX = 2000000,
};

struct reading {
    struct str file;
    struct diags *diags;
    struct features *features;
    struct vectors_word *words;
    float *numbers;
    size_t count; /* of words taken */
    size_t count_max;
    uint32_t dims;
    uint32_t line;
};

static enum status refuse(const struct reading *r, const char *what)
{
    diags_add(r->diags, DIAG_ERROR, r->file, (struct pos){(int)r->line, 1}, "%s", what);
    return ST_INVALID;
}

static enum status read_shape(struct reading *r, struct str line)
{
    struct str count;
    struct str dims;
    int64_t words = 0;
    int64_t width = 0;
    if (!str_split(line, ' ', &count, &dims) || str_to_int(count, &words) != ST_OK ||
        str_to_int(str_trim(dims), &width) != ST_OK || words < 1 || words > WORDS_MAX ||
        width < 1 || width > VECTORS_DIMS_MAX) {
        return refuse(r, "the first line is not COUNT DIMS with 1-2000000 words of 1-256 numbers");
    }
    r->count_max = (size_t)words;
    r->dims = (uint32_t)width;
    r->words = mem_alloc(r->count_max * sizeof *r->words);
    r->numbers = mem_alloc(r->count_max * r->dims * sizeof *r->numbers);
    return r->words != NULL && r->numbers != NULL ? ST_OK : ST_NO_MEMORY;
}

/* The hash of a text that is one word; false: it is something else. */
static bool hash_of(struct features *f, struct str word, uint32_t *ret_hash)
{
    size_t words = 0;
    features_reset(f);
    (void)features_add(f, word); /* how many does not matter */
    for (size_t i = 0; i < f->count; i++) {
        if (f->items[i].kind == FEATURE_WORD) {
            *ret_hash = f->items[i].hash;
            words++;
        }
    }
    return words == 1;
}

static enum status read_word(struct reading *r, struct str line)
{
    struct str word;
    struct str rest;
    if (!str_split(line, ' ', &word, &rest) || word.len == 0) {
        return refuse(r, "no word at the start of the line");
    }
    if (r->count == r->count_max) {
        return refuse(r, "more words than the first line says");
    }
    float *at = r->numbers + r->count * r->dims;
    for (uint32_t d = 0; d < r->dims; d++) {
        struct str number;
        double value = 0.0;
        if (!str_split(rest, ' ', &number, &rest) || str_to_real(number, &value) != ST_OK) {
            return refuse(r, "not as many numbers as the first line says");
        }
        at[d] = (float)value;
    }
    if (rest.len > 0) {
        return refuse(r, "more numbers than the first line says");
    }
    struct vectors_word *item = &r->words[r->count];
    item->at = at;
    r->count += hash_of(r->features, word, &item->hash);
    return ST_OK;
}

enum status vectors_text_read(struct str text, struct str file, struct diags *diags,
                              struct str *ret_bytes, size_t *ret_kept)
{
    struct reading r = {.file = file, .diags = diags, .features = features_create()};
    struct str line;
    struct str rest = text;
    enum status st = r.features != NULL ? ST_OK : ST_NO_MEMORY;
    while (st == ST_OK && rest.len > 0 && str_split(rest, '\n', &line, &rest)) {
        r.line++;
        line = str_trim(line);
        st = r.line == 1 ? read_shape(&r, line) : read_word(&r, line);
    }
    if (st == ST_OK && r.count == 0) {
        st = refuse(&r, "holds no words");
    }
    if (st == ST_OK) {
        uint32_t buckets = (uint32_t)(r.count / VECTORS_SLOTS + 1);
        st = vectors_encode(r.words, r.count, r.dims, buckets, ret_bytes, ret_kept);
    }
    features_destroy(r.features);
    mem_free(r.words);
    mem_free(r.numbers);
    return st;
}
