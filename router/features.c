/* See features.h. Three steps: the window is folded to code points with a class each; words and
 * pairs are cut at class borders; runs of letters slide over the folded text and stop at blanks.
 * Does not know about weights. */
#include "router/features.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

enum point_class {
    CLASS_BLANK,
    CLASS_LETTER,
    CLASS_DIGIT,
    CLASS_MARK,
    CLASS_IDEOGRAPH,
};

enum {
    CLASS_SHIFT = 24,
    POINT_MASK = 0xffffff,
    LETTERS_MIN = 4,
    LETTERS_MAX = 5,
    WORD_POINTS_MAX = 40, /* longer runs are data, not words */
    BAD_POINT = 0xfffd,
};

struct range { /* code points from..to belong to the class */
    uint32_t from;
    uint32_t to;
    enum point_class class;
};

/* Ascending; what stands in no range is a letter. */
static const struct range ranges[] = {
    {0x0080, 0x009f, CLASS_MARK},        {0x00a0, 0x00a0, CLASS_BLANK},
    {0x00a1, 0x00a9, CLASS_MARK},        {0x00ab, 0x00b4, CLASS_MARK},
    {0x00b6, 0x00b9, CLASS_MARK},        {0x00bb, 0x00bf, CLASS_MARK},
    {0x00d7, 0x00d7, CLASS_MARK},        {0x00f7, 0x00f7, CLASS_MARK},
    {0x2000, 0x200b, CLASS_BLANK},       {0x2010, 0x2027, CLASS_MARK},
    {0x2028, 0x2029, CLASS_BLANK},       {0x202a, 0x202e, CLASS_MARK},
    {0x202f, 0x202f, CLASS_BLANK},       {0x2030, 0x2bff, CLASS_MARK},
    {0x3000, 0x3000, CLASS_BLANK},       {0x3001, 0x303f, CLASS_MARK},
    {0x3040, 0x30ff, CLASS_IDEOGRAPH},   {0x3400, 0x9fff, CLASS_IDEOGRAPH},
    {0xf900, 0xfaff, CLASS_IDEOGRAPH},   {0xfeff, 0xfeff, CLASS_BLANK},
    {0xfffd, 0xfffd, CLASS_MARK},        {0x1f000, 0x1ffff, CLASS_MARK},
    {0x20000, 0x3ffff, CLASS_IDEOGRAPH},
};

/* Odd 64-bit constants, a term of a polynomial hash each; from the fractions of square roots of
 * primes with the low bit set. */
static const uint64_t letter_factors[LETTERS_MAX] = {
    0x9e3779b97f4a7c15U, 0xbb67ae8584caa73bU, 0x3c6ef372fe94f82bU,
    0xa54ff53a5f1d36f1U, 0x510e527fade682d1U,
};
static const uint64_t word_seed = 0x1f83d9abfb41bd6bU;
static const uint64_t word_factor = 0x5be0cd19137e2179U;
static const uint64_t pair_factor = 0xcbbb9d5dc1059ed9U;
static const uint64_t final_factor = 0x629a292a367cd507U;

static enum point_class classify(uint32_t point)
{
    if (point < 0x80) {
        if (point <= ' ' || point == 0x7f) {
            return CLASS_BLANK;
        }
        if (point >= 'a' && point <= 'z') {
            return CLASS_LETTER;
        }
        return point >= '0' && point <= '9' ? CLASS_DIGIT : CLASS_MARK;
    }
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && point >= ranges[i].from; i++) {
        if (point <= ranges[i].to) {
            return ranges[i].class;
        }
    }
    return CLASS_LETTER;
}

/* Lower case, and the spellings that keyboards mix up: typographic apostrophe, full-width forms. */
static uint32_t fold_case(uint32_t point)
{
    if (point >= 0xff01 && point <= 0xff5e) {
        point -= 0xfee0;
    }
    if (point < 0x80) {
        return point >= 'A' && point <= 'Z' ? point + 32 : point;
    }
    if (point < 0x180) {
        if (point >= 0xc0 && point <= 0xde && point != 0xd7) {
            return point + 32;
        }
        if ((point >= 0x100 && point <= 0x137) || (point >= 0x14a && point <= 0x177)) {
            return point | 1;
        }
        return point >= 0x139 && point <= 0x148 ? point + (point & 1) : point;
    }
    if ((point >= 0x391 && point <= 0x3a9) || (point >= 0x410 && point <= 0x42f)) {
        return point + 32;
    }
    if (point >= 0x400 && point <= 0x40f) {
        return point + 80;
    }
    return point == 0x2019 ? '\'' : point;
}

static enum point_class class_of(uint32_t entry)
{
    return (enum point_class)(entry >> CLASS_SHIFT);
}

static void push_blank(struct features *f)
{
    if (f->points[f->point_count - 1] != ' ') {
        f->points[f->point_count++] = ' ';
    }
}

/* Appends the folded text; runs of blanks become one. There is always a point before. */
static void fold(struct features *f, struct str text)
{
    for (size_t i = 0; i < text.len;) {
        uint32_t point = (unsigned char)text.ptr[i];
        size_t length = 1;
        if (point >= 0x80) {
            length = utf8_decode((struct str){text.ptr + i, text.len - i}, &point);
            if (length == 0) {
                length = 1;
                point = BAD_POINT;
            }
        }
        i += length;
        point = fold_case(point);
        enum point_class class = classify(point);
        if (class == CLASS_BLANK) {
            push_blank(f);
            continue;
        }
        if (class == CLASS_DIGIT) {
            point = '0';
        }
        f->points[f->point_count++] = point | (uint32_t) class << CLASS_SHIFT;
    }
    push_blank(f);
}

static uint32_t finish(uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= final_factor;
    return (uint32_t)(hash >> 32);
}

static void push(struct features *f, uint64_t hash, size_t start, size_t length,
                 enum feature_kind kind)
{
    uint32_t h = finish(hash);
    uint64_t *word = &f->seen[h >> (32 - FEATURES_SEEN_BITS + 6)];
    uint64_t bit = (uint64_t)1 << (h >> (32 - FEATURES_SEEN_BITS) & 63);
    if ((*word & bit) != 0) {
        return;
    }
    *word |= bit;
    f->items[f->count++] = (struct feature){h, (uint16_t)start, (uint8_t)length, (uint8_t)kind};
}

/* End of the word that starts at i; hashes it on the way. An apostrophe between letters belongs. */
static size_t take_word(const struct features *f, size_t i, uint64_t *ret_hash)
{
    uint64_t hash = word_seed;
    if (class_of(f->points[i]) == CLASS_IDEOGRAPH) {
        *ret_hash = (hash ^ f->points[i]) * word_factor;
        return i + 1;
    }
    for (; i < f->point_count; i++) {
        uint32_t entry = f->points[i];
        enum point_class class = class_of(entry);
        if (class != CLASS_LETTER && class != CLASS_DIGIT) {
            bool joins = (entry & POINT_MASK) == '\'' && i + 1 < f->point_count &&
                         class_of(f->points[i + 1]) == CLASS_LETTER;
            if (!joins) {
                break;
            }
        }
        hash = (hash ^ (entry & POINT_MASK)) * word_factor;
        hash ^= hash >> 29;
    }
    *ret_hash = hash;
    return i;
}

/* Words, and pairs of words with nothing longer than WORD_POINTS_MAX between them. */
static void push_words(struct features *f, size_t from)
{
    uint64_t before = 0;
    size_t before_start = 0;
    for (size_t i = from; i < f->point_count;) {
        enum point_class class = class_of(f->points[i]);
        if (class == CLASS_BLANK || class == CLASS_MARK) {
            i++;
            continue;
        }
        uint64_t hash = 0;
        size_t start = i;
        i = take_word(f, start, &hash);
        if (i - start > WORD_POINTS_MAX) {
            before = 0;
            continue;
        }
        push(f, hash, start, i - start, FEATURE_WORD);
        size_t length = i - before_start;
        if (before != 0 && length <= UINT8_MAX) {
            push(f, before * 3 ^ hash * pair_factor, before_start, length, FEATURE_PAIR);
        }
        before = hash;
        before_start = start;
    }
}

static void push_letters(struct features *f, size_t from)
{
    for (size_t i = from; i + LETTERS_MIN <= f->point_count; i++) {
        uint64_t hash = 0;
        for (size_t n = 0; n < LETTERS_MAX && i + n < f->point_count; n++) {
            uint32_t point = f->points[i + n] & POINT_MASK;
            hash += (uint64_t)(point + 1) * letter_factors[n];
            if (n + 1 >= LETTERS_MIN) {
                push(f, hash, i, n + 1, FEATURE_LETTERS);
            }
            if (n > 0 && point == ' ') {
                break;
            }
        }
    }
}

struct features *features_create(void)
{
    return mem_zalloc(1, sizeof(struct features));
}

void features_destroy(struct features *f)
{
    mem_free(f);
}

void features_reset(struct features *f)
{
    for (size_t i = 0; i < f->count; i++) {
        f->seen[f->items[i].hash >> (32 - FEATURES_SEEN_BITS + 6)] = 0;
    }
    f->count = 0;
    f->point_count = 0;
    f->text_bytes = 0;
    f->text_count = 0;
}

size_t features_add(struct features *f, struct str text)
{
    struct str head;
    struct str tail;
    utf8_window(text, FEATURES_HEAD_BYTES, FEATURES_TAIL_BYTES, &head, &tail);
    size_t bytes = head.len + tail.len;
    if (f->text_count == FEATURES_TEXTS_MAX || f->text_bytes + bytes > FEATURES_BYTES_MAX) {
        return 0;
    }
    f->text_count++;
    f->text_bytes += bytes;
    size_t from = f->point_count;
    size_t before = f->count;
    f->points[f->point_count++] = ' ';
    fold(f, head);
    fold(f, tail);
    push_words(f, from);
    push_letters(f, from);
    return f->count - before;
}

size_t features_name(const struct features *f, const struct feature *feature, char *out,
                     size_t size)
{
    static const struct str prefixes[] = {
        [FEATURE_WORD] = {"word \"", 6},
        [FEATURE_PAIR] = {"words \"", 7},
        [FEATURE_LETTERS] = {"letters \"", 9},
    };
    struct str prefix = prefixes[feature->kind];
    if (size < prefix.len + 1) {
        return 0;
    }
    memcpy(out, prefix.ptr, prefix.len);
    size_t at = prefix.len;
    for (size_t i = 0; i < feature->length; i++) {
        char bytes[4];
        size_t length = utf8_encode(f->points[feature->start + i] & POINT_MASK, bytes);
        if (at + length + 1 > size) {
            break;
        }
        memcpy(out + at, bytes, length);
        at += length;
    }
    out[at++] = '"';
    return at;
}
