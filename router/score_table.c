/* See score_table.h. Columns and members are one list of names; both forms fill the same row. */
#include "router/score_table.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/json_scan.h"
#include "base/mem.h"
#include "base/table.h"

enum {
    BLOCK_BYTES = 16384,
    NAMES_MAX_BYTES = 1 << 20,
    LINE_MAX_BYTES = 1 << 20,
    COLUMNS_MAX = 16,
};

enum field {
    FIELD_CATEGORY,
    FIELD_EXPERT,
    FIELD_ANSWER, /* the last text */
    FIELD_RIGHT,
    FIELD_COUNT,
    FIELD_TRAIT, /* the first of SCORE_TRAITS, in their order */
    FIELD_CHARS = FIELD_TRAIT + SCORE_TRAITS,
    FIELD_OTHER, /* not ours: skipped */
};

static const struct str field_names[] = {
    [FIELD_CATEGORY] = STR_INIT("category"),
    [FIELD_EXPERT] = STR_INIT("expert"),
    [FIELD_ANSWER] = STR_INIT("answer"),
    [FIELD_RIGHT] = STR_INIT("right"),
    [FIELD_COUNT] = STR_INIT("count"),
    [FIELD_TRAIT + SCORE_PRICE] = STR_INIT("price_usd_per_1k"),
    [FIELD_TRAIT + SCORE_LATENCY] = STR_INIT("latency_ms"),
    [FIELD_TRAIT + SCORE_PARAMS] = STR_INIT("params_b"),
    [FIELD_TRAIT + SCORE_MEMORY] = STR_INIT("memory_gb"),
    [FIELD_CHARS] = STR_INIT("chars"),
};

struct facts { /* of an expert, from its rows */
    double sums[SCORE_TRAITS];
    double counts[SCORE_TRAITS];
    double most[SCORE_TRAITS];
    double chars;
    size_t lengths;
    uint64_t *digests; /* of answers */
    size_t digest_count;
    size_t digest_max;
};

struct names {
    struct str *items;
    size_t count;
    size_t max;
    struct table *index; /* -> &items[i] */
};

struct score_table {
    struct arena *arena;
    struct names categories;
    struct names experts;
    struct score_cell *rows[SCORE_TABLE_CATEGORIES_MAX]; /* SCORE_TABLE_EXPERTS_MAX cells each */
    struct facts facts[SCORE_TABLE_EXPERTS_MAX];
};

struct row { /* of a file */
    struct str texts[FIELD_RIGHT];
    double numbers[FIELD_OTHER];
    bool has[FIELD_OTHER];
};

struct scan {
    struct score_table *table;
    struct str file;
    struct diags *diags;
    struct pos pos;
};

static bool find(const struct names *names, struct str name, size_t *ret_index)
{
    const struct str *item = table_get(names->index, name);
    if (item == NULL) {
        return false;
    }
    *ret_index = (size_t)(item - names->items);
    return true;
}

static enum status intern(struct score_table *t, struct names *names, struct str name,
                          size_t *ret_index)
{
    if (name.len == 0 || name.len > SCORE_TABLE_NAME_MAX) {
        return ST_INVALID;
    }
    if (find(names, name, ret_index)) {
        return ST_OK;
    }
    if (names->count == names->max) {
        return ST_TOO_BIG;
    }
    struct str *item = &names->items[names->count];
    *item = arena_copy(t->arena, name);
    if (item->ptr == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = table_put(names->index, *item, item, NULL);
    if (st == ST_OK) {
        *ret_index = names->count++;
    }
    return st;
}

static enum status wrong(const struct scan *s, const char *what, struct str value)
{
    struct str shown = str_slice(value, 0, SCORE_TABLE_NAME_MAX);
    if (value.ptr == NULL) {
        diags_add(s->diags, DIAG_ERROR, s->file, s->pos, "%s", what);
    } else {
        diags_add(s->diags, DIAG_ERROR, s->file, s->pos, "%s: \"%.*s\"", what, STR_ARG(shown));
    }
    return ST_INVALID;
}

static const struct str nothing = {NULL, 0};

static enum status note_answer(struct facts *f, struct str answer)
{
    if (f->digest_count == f->digest_max) {
        size_t max = f->digest_max > 0 ? 2 * f->digest_max : 64;
        uint64_t *digests = mem_resize(f->digests, max * sizeof *digests);
        if (digests == NULL) {
            return ST_NO_MEMORY;
        }
        f->digests = digests;
        f->digest_max = max;
    }
    f->digests[f->digest_count++] = str_hash(str_trim(answer));
    return ST_OK;
}

static enum status note_facts(struct facts *f, const struct row *row, double count)
{
    for (size_t i = 0; i < SCORE_TRAITS; i++) {
        double x = row->numbers[FIELD_TRAIT + i];
        if (row->has[FIELD_TRAIT + i]) {
            f->sums[i] += count * x;
            f->counts[i] += count;
            f->most[i] = x > f->most[i] ? x : f->most[i];
        }
    }
    if (row->has[FIELD_CHARS] || row->has[FIELD_ANSWER]) {
        f->chars += row->has[FIELD_CHARS] ? row->numbers[FIELD_CHARS]
                                          : (double)row->texts[FIELD_ANSWER].len;
        f->lengths++;
    }
    return row->has[FIELD_ANSWER] ? note_answer(f, row->texts[FIELD_ANSWER]) : ST_OK;
}

static enum status add_row(const struct scan *s, const struct row *row)
{
    static const char *const missing[] = {
        [FIELD_CATEGORY] = "the row has no \"category\"",
        [FIELD_EXPERT] = "the row has no \"expert\"",
        [FIELD_RIGHT] = "the row has no \"right\"",
    };
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        if (missing[i] != NULL && !row->has[i]) {
            return wrong(s, missing[i], nothing);
        }
    }
    for (size_t i = FIELD_TRAIT; i < FIELD_OTHER; i++) {
        if (row->has[i] && !(row->numbers[i] >= 0.0 && isfinite(row->numbers[i]))) {
            return wrong(s, "must be a number that is not negative", field_names[i]);
        }
    }
    struct score_cell answers = {row->numbers[FIELD_RIGHT],
                                 row->has[FIELD_COUNT] ? row->numbers[FIELD_COUNT] : 1.0};
    struct str expert = row->texts[FIELD_EXPERT];
    enum status st = score_table_add(s->table, row->texts[FIELD_CATEGORY], expert, answers);
    if (st == ST_TOO_BIG) {
        return wrong(s, "too many categories or experts, at the row of", expert);
    }
    if (st == ST_INVALID) {
        return wrong(s, "needs names of 1 to 200 bytes and 0 <= right <= count, count above 0",
                     nothing);
    }
    size_t index = 0;
    bool is_known = st == ST_OK && find(&s->table->experts, expert, &index);
    return is_known ? note_facts(&s->table->facts[index], row, answers.count) : st;
}

static enum field field_of(struct str name)
{
    for (size_t i = 0; i < FIELD_OTHER; i++) {
        if (str_eq(name, field_names[i])) {
            return (enum field)i;
        }
    }
    return FIELD_OTHER;
}

static enum status take_member(const struct scan *s, enum field field, struct json_value value,
                               struct buf *text, struct row *row)
{
    if (row->has[field]) {
        return wrong(s, "stands twice in the row", field_names[field]);
    }
    row->has[field] = true;
    if (field >= FIELD_RIGHT) {
        double *number = &row->numbers[field];
        if (field == FIELD_RIGHT && (value.type == JSON_TRUE || value.type == JSON_FALSE)) {
            *number = value.type == JSON_TRUE ? 1.0 : 0.0;
            return ST_OK;
        }
        if (value.type != JSON_NUMBER || json_to_real(value, number) != ST_OK) {
            return wrong(s, "must be a number", field_names[field]);
        }
        return ST_OK;
    }
    if (value.type != JSON_STRING) {
        return wrong(s, "must be text", field_names[field]);
    }
    size_t from = text->len;
    enum status st = json_decode(value, text);
    row->texts[field] = str_slice(buf_str(text), from, text->len);
    return st;
}

/* `text` has room for the whole line, so that decoded names never move. */
static enum status add_json(const struct scan *s, struct str line, struct buf *text)
{
    struct json_reader r;
    struct row row = {0};
    buf_reset(text);
    if (buf_reserve(text, line.len) == NULL) {
        return ST_NO_MEMORY;
    }
    json_reader_init(&r, line);
    if (json_open(&r, JSON_OBJECT)) {
        struct json_value key;
        while (json_next_member(&r, &key)) {
            enum field field = FIELD_OTHER;
            for (size_t i = 0; i < FIELD_OTHER; i++) {
                field = json_text_is(key, field_names[i]) ? (enum field)i : field;
            }
            struct json_value value;
            if (!json_take(&r, &value)) {
                break;
            }
            enum status st =
                field != FIELD_OTHER ? take_member(s, field, value, text, &row) : ST_OK;
            if (st != ST_OK) {
                return st;
            }
        }
    }
    if (json_close(&r) != ST_OK) {
        return wrong(s, r.why, nothing);
    }
    return add_row(s, &row);
}

static enum status take_columns(const struct scan *s, struct str line, enum field *columns,
                                size_t *ret_count)
{
    bool has[FIELD_OTHER + 1] = {false};
    size_t n = 0;
    struct str name;
    while (str_split(line, '\t', &name, &line)) {
        if (n == COLUMNS_MAX) {
            return wrong(s, "more than 16 columns", nothing);
        }
        columns[n] = field_of(str_trim(name));
        if (columns[n] != FIELD_OTHER && has[columns[n]]) {
            return wrong(s, "two columns have the name", name);
        }
        has[columns[n++]] = true;
    }
    if (!has[FIELD_CATEGORY] || !has[FIELD_EXPERT] || !has[FIELD_RIGHT]) {
        return wrong(s, "the first line must name the columns category, expert, right", nothing);
    }
    *ret_count = n;
    return ST_OK;
}

static enum status add_columns(const struct scan *s, struct str line, const enum field *columns,
                               size_t count)
{
    struct row row = {0};
    struct str value;
    size_t n = 0;
    bool ends_empty = str_ends_with(line, STR("\t")); /* str_split sees nothing behind it */
    for (; str_split(line, '\t', &value, &line); n++) {
        enum field field = n < count ? columns[n] : FIELD_OTHER;
        if (field == FIELD_OTHER) {
            continue;
        }
        struct str trimmed = str_trim(value);
        bool is_needed = field < FIELD_TRAIT && field != FIELD_ANSWER;
        row.has[field] = is_needed || trimmed.len > 0;
        if (field < FIELD_RIGHT) {
            row.texts[field] = trimmed;
        } else if (row.has[field] && str_to_real(trimmed, &row.numbers[field]) != ST_OK) {
            return wrong(s, "is no number", value);
        }
    }
    if (n + (ends_empty ? 1 : 0) != count) {
        return wrong(s, "has another number of columns than the first line", nothing);
    }
    return add_row(s, &row);
}

struct score_table *score_table_create(void)
{
    struct score_table *t = mem_zalloc(1, sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    t->arena = arena_create(BLOCK_BYTES, NAMES_MAX_BYTES);
    struct names *both[] = {&t->categories, &t->experts};
    static const size_t max[] = {SCORE_TABLE_CATEGORIES_MAX, SCORE_TABLE_EXPERTS_MAX};
    bool is_whole = t->arena != NULL;
    for (size_t i = 0; i < 2; i++) {
        both[i]->max = max[i];
        both[i]->items = mem_zalloc(max[i], sizeof *both[i]->items);
        both[i]->index = table_create();
        is_whole = is_whole && both[i]->items != NULL && both[i]->index != NULL;
    }
    if (!is_whole) {
        score_table_destroy(t);
        return NULL;
    }
    return t;
}

void score_table_destroy(struct score_table *t)
{
    if (t == NULL) {
        return;
    }
    struct names *both[] = {&t->categories, &t->experts};
    for (size_t i = 0; i < 2; i++) {
        table_destroy(both[i]->index);
        mem_free(both[i]->items);
    }
    for (size_t i = 0; i < SCORE_TABLE_CATEGORIES_MAX; i++) {
        mem_free(t->rows[i]);
    }
    for (size_t i = 0; i < SCORE_TABLE_EXPERTS_MAX; i++) {
        mem_free(t->facts[i].digests);
    }
    arena_destroy(t->arena);
    mem_free(t);
}

enum status score_table_add(struct score_table *t, struct str category, struct str expert,
                            struct score_cell answers)
{
    bool is_sound = answers.count > 0.0 && isfinite(answers.count) && answers.right >= 0.0 &&
                    answers.right <= answers.count;
    size_t c = 0;
    size_t e = 0;
    enum status st = is_sound ? intern(t, &t->categories, category, &c) : ST_INVALID;
    if (st == ST_OK) {
        st = intern(t, &t->experts, expert, &e);
    }
    if (st != ST_OK) {
        return st;
    }
    if (t->rows[c] == NULL) {
        t->rows[c] = mem_zalloc(SCORE_TABLE_EXPERTS_MAX, sizeof *t->rows[c]);
    }
    if (t->rows[c] == NULL) {
        return ST_NO_MEMORY;
    }
    t->rows[c][e].right += answers.right;
    t->rows[c][e].count += answers.count;
    return ST_OK;
}

enum status score_table_scan(struct score_table *t, struct str text, struct str file,
                             struct diags *diags)
{
    struct scan s = {t, file, diags, {1, 1}};
    enum field columns[COLUMNS_MAX];
    size_t column_count = 0;
    struct buf decoded;
    buf_init(&decoded, LINE_MAX_BYTES);
    struct str rest = text;
    struct str line;
    enum status st = ST_OK;
    bool is_first = true;
    bool is_json = false;
    for (; st == ST_OK && str_split(rest, '\n', &line, &rest); s.pos.line++) {
        struct str trimmed = str_trim(line);
        if (trimmed.len == 0) {
            continue;
        }
        if (line.len > LINE_MAX_BYTES) {
            st = wrong(&s, "the line is too long", nothing);
        } else if (is_first && trimmed.ptr[0] != '{') {
            st = take_columns(&s, trimmed, columns, &column_count);
        } else if (is_first || is_json) {
            is_json = true;
            st = add_json(&s, trimmed, &decoded);
        } else {
            st = add_columns(&s, line, columns, column_count);
        }
        is_first = false;
    }
    buf_fini(&decoded);
    return st;
}

enum status score_table_read(struct score_table *t, const char *path, struct diags *diags)
{
    struct str text;
    enum status st = file_map(path, diags, &text);
    if (st != ST_OK) {
        return st;
    }
    st = score_table_scan(t, text, str_from(path), diags);
    file_unmap(text);
    return st;
}

size_t score_table_categories(const struct score_table *t)
{
    return t->categories.count;
}

size_t score_table_experts(const struct score_table *t)
{
    return t->experts.count;
}

struct str score_table_category(const struct score_table *t, size_t index)
{
    return t->categories.items[index];
}

struct str score_table_expert(const struct score_table *t, size_t index)
{
    return t->experts.items[index];
}

struct score_cell score_table_cell(const struct score_table *t, size_t category, size_t expert)
{
    return t->rows[category] != NULL ? t->rows[category][expert] : (struct score_cell){0.0, 0.0};
}

void score_table_cells(const struct score_table *t, struct score_cell *ret_cells)
{
    for (size_t c = 0; c < t->categories.count; c++) {
        for (size_t e = 0; e < t->experts.count; e++) {
            ret_cells[c * t->experts.count + e] = score_table_cell(t, c, e);
        }
    }
}

double score_table_trait(const struct score_table *t, size_t expert, enum score_trait trait)
{
    const struct facts *f = &t->facts[expert];
    if (!(f->counts[trait] > 0.0)) {
        return (double)NAN;
    }
    return trait >= SCORE_PARAMS ? f->most[trait] : f->sums[trait] / f->counts[trait];
}

static int compare_digests(const void *a, const void *b)
{
    uint64_t x;
    uint64_t y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

struct score_answers score_table_answers(const struct score_table *t, size_t expert)
{
    const struct facts *f = &t->facts[expert];
    struct score_answers ret = {.texts = f->digest_count, .lengths = f->lengths};
    ret.chars = f->lengths > 0 ? f->chars / (double)f->lengths : 0.0;
    if (f->digest_count > 0) {
        qsort(f->digests, f->digest_count, sizeof *f->digests, compare_digests);
    }
    for (size_t i = 0, run = 0; i < f->digest_count; i++) {
        run = i > 0 && f->digests[i] == f->digests[i - 1] ? run + 1 : 1;
        ret.same = run > ret.same ? run : ret.same;
    }
    return ret;
}
