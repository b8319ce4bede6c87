/* See language.h. A text becomes a stream of lower-case letters and single blanks, each with its
 * script; the letters of the main script stay; their runs of 2 to 4, letters beyond ASCII, and words
 * of 3 to 8 are hashed to rows. tools/train/languages.py does exactly the same. */
#include "router/language.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json_scan.h"
#include "base/little.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "router/scripts.h"
#include "router/softmax.h"

enum {
    HEADER_BYTES = 64,
    CHECKED_FROM = 32, /* the checksum covers what follows */
    SECTION_ALIGNMENT = 64,
    SCRIPT_NAME_BYTES = 16,
    CODE_BYTES = 8,
    RUN_MAX = 4,
    POINTS_MAX = LANGUAGE_HEAD_BYTES + LANGUAGE_TAIL_BYTES + 3 + RUN_MAX,
    WORD_MAX = 10, /* with its two blanks */
    FEATURES_PER_POINT = 5,
    ROWS_PER_SUM = 256, /* bytes that a sum of 16 bits can take */
    SCRIPT_SHIFT = 24,
    POINT_MASK = 0xffffff,
};

static const char magic[8] = {'E', 'X', 'P', 'E', 'R', 'T', 'D', 'L'};

struct table {        /* of one script */
    size_t first;     /* index of its first language among the model's codes */
    size_t languages; /* 0: no table */
    size_t width;     /* bytes of a row */
    unsigned shift;   /* a hash >> shift is a row */
    float step;
    float bias[LANGUAGE_WIDTH_MAX];
    const int8_t *rows;
};

struct language_model {
    struct table tables[SCRIPT_COUNT];
    struct str codes[LANGUAGE_CODES_MAX];
    size_t code_count;
    size_t script_codes[SCRIPT_COUNT]; /* index of the language that a script alone gives away */
    size_t english;                    /* index; 0: not in the model */
    const int8_t *pairs;
    struct str map; /* of the file, from language_model_load */
};

/* --------------------------------------------------------------- reading */

struct reading {
    struct str bytes;
    size_t at;
    struct str file;
    struct diags *diags;
};

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

static bool is_zero(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* The next section, or NULL: the file ends before it does, or its padding is not zero. */
static const char *take(struct reading *r, size_t size)
{
    size_t padded = (size + SECTION_ALIGNMENT - 1) / SECTION_ALIGNMENT * SECTION_ALIGNMENT;
    const char *section = r->bytes.ptr + r->at;
    if (padded > r->bytes.len - r->at || !is_zero(section + size, padded - size)) {
        return NULL;
    }
    r->at += padded;
    return section;
}

/* A name in a field of its own, NUL-padded; "" when it is not like that. */
static struct str field_text(const char *field, size_t size)
{
    const char *end = memchr(field, 0, size);
    size_t length = end == NULL ? 0 : (size_t)(end - field);
    return is_zero(field + length, size - length) ? (struct str){field, length} : STR("");
}

static size_t index_of(const struct language_model *m, struct str code)
{
    for (size_t i = 0; i < m->code_count; i++) {
        if (str_eq(m->codes[i], code)) {
            return i;
        }
    }
    return 0;
}

static bool is_code(struct str code)
{
    for (size_t i = 0; i < code.len; i++) {
        if (code.ptr[i] < 'a' || code.ptr[i] > 'z') {
            return false;
        }
    }
    return code.len == 2 || code.len == 3;
}

static enum status read_header(struct reading *r, uint32_t *ret_tables, uint32_t *ret_card_bytes)
{
    struct str b = r->bytes;
    if (b.len < HEADER_BYTES || memcmp(b.ptr, magic, sizeof magic) != 0) {
        return refuse(r, "is no file of language tables");
    }
    if (little_u32(b.ptr + 8) != LANGUAGE_VERSION || little_u32(b.ptr + 12) != LANGUAGE_SCHEME) {
        return refuse(r, "language tables of version %u, scheme %u; this program reads %d, %d",
                      little_u32(b.ptr + 8), little_u32(b.ptr + 12), LANGUAGE_VERSION,
                      LANGUAGE_SCHEME);
    }
    if (little_u64(b.ptr + 16) != b.len) {
        return refuse(r, "language tables have %zu bytes, their header says %llu", b.len,
                      (unsigned long long)little_u64(b.ptr + 16));
    }
    if (little_u64(b.ptr + 24) != str_hash(str_slice(b, CHECKED_FROM, b.len))) {
        return refuse(r, "language tables are damaged: their checksum does not match");
    }
    *ret_tables = little_u32(b.ptr + 32);
    *ret_card_bytes = little_u32(b.ptr + 36);
    if (*ret_tables > SCRIPT_COUNT || *ret_card_bytes > LANGUAGE_CARD_MAX ||
        !is_zero(b.ptr + 40, HEADER_BYTES - 40)) {
        return refuse(r, "language tables have a header that makes no sense");
    }
    r->at = HEADER_BYTES;
    return ST_OK;
}

/* A script that several languages share and that has no table yet, or SCRIPT_NONE. */
static enum script find_script(const struct language_model *m, struct str name)
{
    for (size_t i = SCRIPT_NONE + 1; i < SCRIPT_COUNT; i++) {
        if (str_eq(scripts_name((enum script)i), name)) {
            bool is_free = scripts_language((enum script)i).len == 0 && m->tables[i].languages == 0;
            return is_free ? (enum script)i : SCRIPT_NONE;
        }
    }
    return SCRIPT_NONE;
}

static enum status read_codes(struct reading *r, struct language_model *m, const struct table *t)
{
    const char *fields = take(r, t->languages * CODE_BYTES);
    if (fields == NULL || m->code_count + t->languages > LANGUAGE_CODES_MAX) {
        return refuse(r, "language tables have too many languages or end early");
    }
    for (size_t i = 0; i < t->languages; i++) {
        struct str code = field_text(fields + i * CODE_BYTES, CODE_BYTES);
        if (!is_code(code) || index_of(m, code) != 0 || str_eq(code, m->codes[0])) {
            return refuse(r, "language %zu has a code that is none, or that another has",
                          m->code_count);
        }
        m->codes[m->code_count++] = code;
    }
    return ST_OK;
}

static bool is_number(float value)
{
    return isfinite(value) && value > -1000.0F && value < 1000.0F;
}

static enum status read_rows(struct reading *r, struct table *t, size_t rows)
{
    const char *bias = take(r, t->languages * sizeof(float));
    const char *bytes = bias == NULL ? NULL : take(r, rows * t->width);
    if (bytes == NULL) {
        return refuse(r, "language tables end early");
    }
    for (size_t i = 0; i < t->languages; i++) {
        t->bias[i] = little_f32(bias + 4 * i);
        if (!is_number(t->bias[i])) {
            return refuse(r, "a bias of the language tables is no number");
        }
    }
    for (size_t i = 0; i < rows; i++) {
        if (!is_zero(bytes + i * t->width + t->languages, t->width - t->languages)) {
            return refuse(r, "row %zu of a language table has weights of no language", i);
        }
    }
    t->rows = (const int8_t *)bytes;
    return ST_OK;
}

static enum status read_table(struct reading *r, struct language_model *m)
{
    const char *head = take(r, SCRIPT_NAME_BYTES + 16);
    if (head == NULL) {
        return refuse(r, "language tables end early");
    }
    enum script script = find_script(m, field_text(head, SCRIPT_NAME_BYTES));
    if (script == SCRIPT_NONE) {
        return refuse(r,
                      "a language table is for no script that needs one, or for the second time");
    }
    struct table *t = &m->tables[script];
    uint32_t languages = little_u32(head + SCRIPT_NAME_BYTES);
    uint32_t rows = little_u32(head + SCRIPT_NAME_BYTES + 8);
    if (languages < 2 || languages > LANGUAGE_WIDTH_MAX || rows < 2 || rows > LANGUAGE_ROWS_MAX ||
        (rows & (rows - 1)) != 0 ||
        little_u32(head + SCRIPT_NAME_BYTES + 4) != (languages + 7) / 8 * 8) {
        return refuse(r, "the language table for %.*s has sizes that make no sense",
                      STR_ARG(scripts_name(script)));
    }
    t->step = little_f32(head + SCRIPT_NAME_BYTES + 12);
    if (!is_number(t->step) || t->step <= 0.0F) {
        return refuse(r, "the language table for %.*s has no step", STR_ARG(scripts_name(script)));
    }
    t->first = m->code_count;
    t->languages = languages;
    t->width = (languages + 7) / 8 * 8;
    t->shift = 32;
    for (uint32_t n = rows; n > 1; n /= 2) {
        t->shift--;
    }
    enum status st = read_codes(r, m, t);
    return st == ST_OK ? read_rows(r, t, rows) : st;
}

static enum status read_model(struct reading *r, struct language_model *m)
{
    uint32_t tables = 0;
    uint32_t card_bytes = 0;
    enum status st = read_header(r, &tables, &card_bytes);
    m->codes[m->code_count++] = STR("und");
    for (size_t i = 0; i < SCRIPT_COUNT; i++) {
        struct str code = scripts_language((enum script)i);
        if (code.len > 0) {
            m->script_codes[i] = m->code_count;
            m->codes[m->code_count++] = code;
        }
    }
    for (uint32_t i = 0; st == ST_OK && i < tables; i++) {
        st = read_table(r, m);
    }
    if (st != ST_OK) {
        return st;
    }
    m->english = index_of(m, STR("en"));
    m->pairs = (const int8_t *)take(r, LANGUAGE_PAIR_LETTERS * LANGUAGE_PAIR_LETTERS);
    const char *card = m->pairs == NULL ? NULL : take(r, card_bytes);
    if (card == NULL || r->at != r->bytes.len) {
        return refuse(r, "language tables end early or late");
    }
    struct str json = {card, card_bytes};
    return json_validate(json, NULL, NULL) == ST_OK
               ? ST_OK
               : refuse(r, "the card of the language tables is no JSON");
}

enum status language_model_read(struct str bytes, struct str file, struct diags *diags,
                                struct language_model **ret_model)
{
    struct reading r = {bytes, 0, file, diags};
    struct language_model *m = mem_zalloc(1, sizeof *m);
    if (m == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = read_model(&r, m);
    if (st != ST_OK) {
        language_model_destroy(m);
        return st;
    }
    *ret_model = m;
    return ST_OK;
}

enum status language_model_load(const char *path, struct diags *diags,
                                struct language_model **ret_model)
{
    struct str bytes = {NULL, 0};
    enum status st = file_map(path, diags, &bytes);
    if (st != ST_OK) {
        return st;
    }
    st = language_model_read(bytes, str_from(path), diags, ret_model);
    if (st != ST_OK) {
        file_unmap(bytes);
        return st;
    }
    (*ret_model)->map = bytes;
    return ST_OK;
}

void language_model_destroy(struct language_model *m)
{
    if (m != NULL) {
        file_unmap(m->map);
        mem_free(m);
    }
}

size_t language_count(const struct language_model *m)
{
    return m->code_count;
}

struct str language_code(const struct language_model *m, size_t index)
{
    return m->codes[index];
}

const int8_t *language_pairs(const struct language_model *m)
{
    return m->pairs;
}

/* ------------------------------------------------------------- detection */

struct stream {
    uint32_t points[POINTS_MAX]; /* lower case, script in the top byte; ' ' separates */
    size_t count;
    size_t letters[SCRIPT_COUNT];
};

static uint32_t lower(uint32_t point)
{
    if (point < 0x80) {
        return point >= 'A' && point <= 'Z' ? point + 32 : point;
    }
    if (point < 0x180) {
        if (point >= 0xc0 && point <= 0xde) {
            return point + 32;
        }
        if (point == 0x130) { /* the Turkish capital i */
            return 'i';
        }
        if ((point >= 0x100 && point <= 0x137) || (point >= 0x14a && point <= 0x177)) {
            return point | 1;
        }
        return point >= 0x139 && point <= 0x148 ? point + (point & 1) : point;
    }
    if (point >= 0x410 && point <= 0x42f) {
        return point + 32;
    }
    if (point >= 0x400 && point <= 0x40f) {
        return point + 80;
    }
    return point >= 0x1e00 && point <= 0x1eff ? point | 1 : point;
}

static void push_blank(struct stream *s)
{
    if (s->points[s->count - 1] != ' ') {
        s->points[s->count++] = ' ';
    }
}

static void push_text(struct stream *s, struct str text)
{
    for (size_t i = 0; i < text.len;) {
        uint32_t point = (unsigned char)text.ptr[i];
        size_t length = 1;
        enum script script = SCRIPT_NONE;
        if (point < 0x80) {
            bool is_letter = (point | 32) >= 'a' && (point | 32) <= 'z';
            script = is_letter ? SCRIPT_LATIN : SCRIPT_NONE;
        } else {
            length = utf8_decode((struct str){text.ptr + i, text.len - i}, &point);
            script = length == 0 ? SCRIPT_NONE : scripts_of(point);
            length = length == 0 ? 1 : length;
        }
        i += length;
        if (script == SCRIPT_NONE) {
            push_blank(s);
            continue;
        }
        s->points[s->count++] = lower(point) | (uint32_t)script << SCRIPT_SHIFT;
        s->letters[script]++;
    }
    push_blank(s);
}

/* The head and the tail of a long text, cut between code points. */
static void fill(struct stream *s, struct str text)
{
    s->points[0] = ' ';
    s->count = 1;
    memset(s->letters, 0, sizeof s->letters);
    struct str head;
    struct str tail;
    utf8_window(text, LANGUAGE_HEAD_BYTES, LANGUAGE_TAIL_BYTES, &head, &tail);
    push_text(s, head);
    push_text(s, tail);
}

/* Letters of other scripts become blanks; the script is taken out of the points. */
static void keep_script(struct stream *s, enum script script)
{
    size_t count = 0;
    uint32_t before = 0;
    for (size_t i = 0; i < s->count; i++) {
        bool is_kept = s->points[i] >> SCRIPT_SHIFT == (uint32_t)script;
        uint32_t point = is_kept ? s->points[i] & POINT_MASK : ' ';
        s->points[count] = point;
        count += point != ' ' || before != ' ';
        before = point;
    }
    s->count = count;
    for (size_t i = 0; i < RUN_MAX; i++) {
        s->points[count + i] = ' ';
    }
}

static uint32_t finish(uint32_t hash)
{
    hash ^= hash >> 15;
    hash *= 0x85ebca6bU;
    return hash ^ hash >> 13;
}

static const uint32_t run_factor = 0x9e3779b1U;

/* Hashes of letters beyond ASCII, and of runs of 2 to 4 with no blank inside. Every hash is written,
 * those that count are kept: there are no branches to mispredict. The points go on for RUN_MAX after
 * the last. Returns how many. */
static size_t hash_runs(const struct stream *s, uint32_t *ret)
{
    size_t n = 0;
    for (size_t i = 0; i + 1 < s->count; i++) {
        const uint32_t *p = s->points + i;
        uint32_t hash = p[0] * run_factor;
        ret[n] = finish(hash);
        n += p[0] >= 0x80;
        hash = (hash ^ p[1]) * run_factor;
        ret[n++] = finish(hash);
        hash = (hash ^ p[2]) * run_factor;
        ret[n] = finish(hash);
        size_t goes_on = p[1] != ' ';
        n += goes_on;
        hash = (hash ^ p[3]) * run_factor;
        ret[n] = finish(hash);
        n += goes_on & (p[2] != ' ');
    }
    return n;
}

/* Hashes of words with their blanks, where runs do not cover them whole. */
static size_t hash_words(const struct stream *s, uint32_t *ret)
{
    size_t n = 0;
    size_t start = 0;
    uint32_t hash = ' ' * run_factor;
    for (size_t i = 1; i < s->count; i++) {
        hash = (hash ^ s->points[i]) * run_factor;
        if (s->points[i] == ' ') {
            size_t length = i + 1 - start;
            ret[n] = finish(hash);
            n += length > RUN_MAX && length <= WORD_MAX;
            start = i;
            hash = ' ' * run_factor;
        }
    }
    return n;
}

/* Sixteen languages at a time, so that their sums stay in two registers: a row is read as eight pairs
 * of bytes. A type of its own for the compiler, which makes vectors of it on every machine. */
typedef uint16_t pairs8 __attribute__((vector_size(16)));

enum {
    LANES = 16,
    FIRST_IS_LOW = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
    BYTE_BIAS = 128, /* signed to unsigned bytes, whose sums cannot borrow from each other */
};

/* `rows`: offsets of rows. Reads up to 8 bytes beyond a row; a section follows the last. */
static void add_rows(const struct table *t, const uint32_t *rows, size_t count, int32_t *sums)
{
    for (size_t k = 0; k < t->languages; k += LANES) {
        for (size_t from = 0; from < count; from += ROWS_PER_SUM) {
            size_t to = count - from > ROWS_PER_SUM ? from + ROWS_PER_SUM : count;
            pairs8 low = {0};
            pairs8 high = {0};
            for (size_t i = from; i < to; i++) {
                pairs8 row;
                memcpy(&row, t->rows + rows[i] + k, sizeof row);
                row ^= (uint16_t)(BYTE_BIAS << 8 | BYTE_BIAS);
                low += row & (uint16_t)0xff;
                high += row >> 8;
            }
            int32_t bias = BYTE_BIAS * (int32_t)(to - from);
            for (size_t j = 0; j < LANES / 2; j++) {
                sums[k + 2 * j] += (FIRST_IS_LOW ? low[j] : high[j]) - bias;
                sums[k + 2 * j + 1] += (FIRST_IS_LOW ? high[j] : low[j]) - bias;
            }
        }
    }
}

/* logits become probabilities; what is e^-9 of the best counts as none. Returns the best. */
static size_t share_out(float *logits, size_t count)
{
    static const float negligible = -9.0F;

    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    float top = logits[best];
    float total = 0.0F;
    for (size_t i = 0; i < count; i++) {
        float below = logits[i] - top;
        logits[i] = below < negligible ? 0.0F : (float)softmax_exp((double)below);
        total += logits[i];
    }
    for (size_t i = 0; i < count; i++) {
        logits[i] /= total;
    }
    return best;
}

/* Probabilities of the languages that share the script. Returns the most probable. */
static size_t weigh(const struct table *t, const struct stream *s, float *ret_p)
{
    uint32_t hashes[POINTS_MAX * FEATURES_PER_POINT];
    size_t count = hash_runs(s, hashes);
    count += hash_words(s, hashes + count);
    for (size_t i = 0; i < count; i++) {
        hashes[i] = (hashes[i] >> t->shift) * (uint32_t)t->width;
    }
    int32_t sums[LANGUAGE_WIDTH_MAX] = {0};
    add_rows(t, hashes, count, sums);
    float scale = count == 0 ? 0.0F : t->step / sqrtf((float)count);
    for (size_t k = 0; k < t->languages; k++) {
        ret_p[k] = t->bias[k] + scale * (float)sums[k];
    }
    return share_out(ret_p, t->languages);
}

/* Where a character is a syllable or a word it counts double. Japanese is kanji with kana between:
 * an eighth is enough. */
static enum script main_script(const struct stream *s, float *ret_share)
{
    size_t weights[SCRIPT_COUNT];
    size_t total = 0;
    memcpy(weights, s->letters, sizeof weights);
    weights[SCRIPT_HAN] *= 2;
    weights[SCRIPT_KANA] *= 2;
    weights[SCRIPT_HANGUL] *= 2;
    size_t japanese = weights[SCRIPT_HAN] + weights[SCRIPT_KANA];
    if (weights[SCRIPT_KANA] * 8 >= japanese) {
        weights[SCRIPT_KANA] = japanese;
        weights[SCRIPT_HAN] = 0;
    }
    size_t best = SCRIPT_NONE;
    for (size_t i = 0; i < SCRIPT_COUNT; i++) {
        total += weights[i];
        best = weights[i] > weights[best] ? i : best;
    }
    *ret_share = total == 0 ? 0.0F : (float)weights[best] / (float)total;
    return (enum script)best;
}

void language_detect(const struct language_model *m, struct str text,
                     struct language_guess *ret_guess)
{
    struct stream s;
    float share = 0.0F;
    fill(&s, text);
    enum script script = main_script(&s, &share);
    const struct table *t = &m->tables[script];
    *ret_guess = (struct language_guess){m->codes[0], 0, 0.0F, 0.0F};
    if (t->languages == 0) {
        /* One letter says half of it, ten nearly all. */
        float letters = (float)s.letters[script];
        ret_guess->index = m->script_codes[script];
        ret_guess->confidence = script == SCRIPT_NONE ? 0.0F : share * letters / (letters + 1.0F);
    } else {
        float p[LANGUAGE_WIDTH_MAX];
        keep_script(&s, script);
        size_t best = weigh(t, &s, p);
        ret_guess->index = t->first + best;
        ret_guess->confidence = share * p[best];
        if (m->english >= t->first && m->english < t->first + t->languages) {
            ret_guess->english = share * p[m->english - t->first];
        }
    }
    ret_guess->code = m->codes[ret_guess->index];
}
