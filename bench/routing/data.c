/* See data.h. */
#include "bench/routing/data.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json_scan.h"

enum {
    PATH_MAX_BYTES = 4096,
    TEXT_MAX_BYTES = 1 << 20,
};

static size_t lines_of(struct str text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.len; i++) {
        n += text.ptr[i] == '\n';
    }
    return n;
}

static enum status wrong(struct diags *diags, const char *path, int line, const char *why)
{
    diags_add(diags, DIAG_ERROR, str_from(path), (struct pos){line, 1}, "%s", why);
    return ST_INVALID;
}

/* Decoded text of a value in the arena; the empty string for anything else. */
static enum status copy_text(struct json_value value, struct buf *scratch, struct arena *arena,
                             struct str *ret)
{
    buf_reset(scratch);
    enum status st = value.type == JSON_STRING ? json_decode(value, scratch) : ST_OK;
    if (st == ST_OK) {
        *ret = arena_copy(arena, buf_str(scratch));
        st = ret->ptr != NULL ? ST_OK : ST_NO_MEMORY;
    }
    return st;
}

static bool is_one(struct json_value value)
{
    return str_eq(value.raw, STR("1"));
}

static enum status read_pair(struct str line, struct buf *scratch, struct arena *arena,
                             struct data_pair *ret_pair, bool *ret_contaminated)
{
    struct json_reader r;
    struct json_value key;
    struct json_value value;
    enum status st = ST_OK;
    *ret_pair = (struct data_pair){0};
    json_reader_init(&r, line);
    if (json_open(&r, JSON_OBJECT)) {
        while (st == ST_OK && json_next_member(&r, &key) && json_take(&r, &value)) {
            if (json_text_is(key, STR("prompt"))) {
                st = copy_text(value, scratch, arena, &ret_pair->prompt);
            } else if (json_text_is(key, STR("subject"))) {
                st = copy_text(value, scratch, arena, &ret_pair->subject);
            } else if (json_text_is(key, STR("mixtral_8x7b"))) {
                ret_pair->weak = is_one(value);
            } else if (json_text_is(key, STR("gpt4_1106"))) {
                ret_pair->strong = is_one(value);
            } else if (json_text_is(key, STR("contaminated"))) {
                *ret_contaminated = is_one(value);
            }
        }
    }
    return st == ST_OK ? json_close(&r) : st;
}

enum status data_read_pairs(const char *path, struct arena *arena, struct diags *diags,
                            struct data_pairs *ret_pairs)
{
    struct str text;
    enum status st = file_map(path, diags, &text);
    if (st != ST_OK) {
        return st;
    }
    struct buf scratch;
    buf_init(&scratch, TEXT_MAX_BYTES);
    struct data_pairs pairs = {0};
    pairs.items = arena_alloc(arena, lines_of(text) * sizeof *pairs.items);
    st = pairs.items != NULL ? ST_OK : ST_NO_MEMORY;
    struct str rest = text;
    struct str line;
    for (int number = 1; st == ST_OK && str_split(rest, '\n', &line, &rest); number++) {
        bool is_contaminated = false;
        st = read_pair(line, &scratch, arena, &pairs.items[pairs.count], &is_contaminated);
        if (st == ST_INVALID) {
            (void)wrong(diags, path, number, "is no row of a question"); /* it says ST_INVALID */
        }
        pairs.count += !is_contaminated;
        pairs.dropped += is_contaminated;
    }
    buf_fini(&scratch);
    file_unmap(text);
    if (st == ST_OK) {
        *ret_pairs = pairs;
    }
    return st;
}

static enum status map_in(const char *folder, const char *name, char *path, struct diags *diags,
                          struct str *ret_text)
{
    size_t length = strlen(folder);
    size_t more = strlen(name);
    if (length + more + 2 > PATH_MAX_BYTES) {
        return ST_INVALID;
    }
    memcpy(path, folder, length);
    path[length] = '/';
    memcpy(path + length + 1, name, more + 1);
    return file_map(path, diags, ret_text);
}

static enum status read_models(const char *folder, struct arena *arena, struct diags *diags,
                               struct data_pool *pool)
{
    char path[PATH_MAX_BYTES];
    struct str text;
    enum status st = map_in(folder, "models.tsv", path, diags, &text);
    if (st != ST_OK) {
        return st;
    }
    struct str rest = text;
    struct str line;
    (void)str_split(rest, '\n', &line, &rest); /* the names of the columns */
    while (st == ST_OK && str_split(rest, '\n', &line, &rest)) {
        struct str name = {NULL, 0};
        struct str billions = {NULL, 0};
        (void)str_split(line, '\t', &name, &line); /* what is missing stays empty */
        if (pool->model_count == DATA_MODELS_MAX) {
            st = wrong(diags, path, 0, "more than 32 models");
            break;
        }
        double *sizes[] = {&pool->active_b[pool->model_count], &pool->total_b[pool->model_count]};
        for (size_t i = 0; i < 2; i++) {
            (void)str_split(line, '\t', &billions, &line);
            if (str_to_real(str_trim(billions), sizes[i]) != ST_OK) {
                *sizes[i] = 0.0; /* NA */
            }
        }
        pool->models[pool->model_count++] = arena_copy(arena, name);
    }
    file_unmap(text);
    return st;
}

static enum status append_option(struct buf *b, size_t number, struct json_value option)
{
    enum status st = buf_printf(b, "\n%c. ", (int)('A' + number % 26));
    return st == ST_OK && option.type == JSON_STRING ? json_decode(option, b) : st;
}

static enum status read_options(struct json_reader *r, struct buf *text)
{
    enum status st = ST_OK;
    if (json_open(r, JSON_ARRAY)) {
        struct json_value item;
        for (size_t n = 0; st == ST_OK && json_next_item(r) && json_take(r, &item); n++) {
            st = append_option(text, n, item);
        }
    }
    return st;
}

static size_t category_index(struct data_pool *pool, struct arena *arena, struct str name)
{
    for (size_t i = 0; i < pool->category_count; i++) {
        if (str_eq(pool->categories[i], name)) {
            return i;
        }
    }
    if (pool->category_count == DATA_CATEGORIES_MAX) {
        return 0; /* MMLU-Pro has 14 */
    }
    pool->categories[pool->category_count] = arena_copy(arena, name);
    return pool->category_count++;
}

static enum status read_question(struct str line, struct buf *text, struct arena *arena,
                                 struct data_pool *pool, struct data_question *ret)
{
    struct json_reader r;
    struct json_value key;
    struct json_value value;
    enum status st = ST_OK;
    *ret = (struct data_question){0};
    buf_reset(text);
    json_reader_init(&r, line);
    if (json_open(&r, JSON_OBJECT)) {
        while (st == ST_OK && json_next_member(&r, &key)) {
            if (json_text_is(key, STR("options")) && json_peek(&r) == JSON_ARRAY) {
                st = read_options(&r, text);
                continue;
            }
            if (!json_take(&r, &value)) {
                break;
            }
            if (json_text_is(key, STR("question_id"))) {
                st = json_to_int(value, &ret->id);
            } else if (json_text_is(key, STR("category")) && value.type == JSON_STRING) {
                ret->category = (uint8_t)category_index(pool, arena, json_plain(value));
            } else if (json_text_is(key, STR("question")) && value.type == JSON_STRING) {
                st = json_decode(value, text);
            }
        }
    }
    st = st == ST_OK ? json_close(&r) : st;
    if (st == ST_OK) {
        ret->text = arena_copy(arena, buf_str(text));
        st = ret->text.ptr != NULL ? ST_OK : ST_NO_MEMORY;
    }
    return st;
}

static enum status read_questions(const char *folder, struct arena *arena, struct diags *diags,
                                  struct data_pool *pool)
{
    char path[PATH_MAX_BYTES];
    struct str text;
    enum status st = map_in(folder, "questions.jsonl", path, diags, &text);
    if (st != ST_OK) {
        return st;
    }
    struct buf scratch;
    buf_init(&scratch, TEXT_MAX_BYTES);
    pool->items = arena_alloc(arena, lines_of(text) * sizeof *pool->items);
    st = pool->items != NULL ? ST_OK : ST_NO_MEMORY;
    struct str rest = text;
    struct str line;
    for (int number = 1; st == ST_OK && str_split(rest, '\n', &line, &rest); number++) {
        st = read_question(line, &scratch, arena, pool, &pool->items[pool->count]);
        if (st == ST_INVALID) {
            (void)wrong(diags, path, number, "is no question"); /* it says ST_INVALID */
        }
        pool->count++;
    }
    buf_fini(&scratch);
    file_unmap(text);
    return st;
}

static int by_id(const void *left, const void *right)
{
    const struct data_question *a = left;
    const struct data_question *b = right;
    return (a->id > b->id) - (a->id < b->id);
}

static struct data_question *question_of(struct data_pool *pool, struct str id)
{
    struct data_question key = {0};
    if (str_to_int(str_trim(id), &key.id) != ST_OK) {
        return NULL;
    }
    return bsearch(&key, pool->items, pool->count, sizeof *pool->items, by_id);
}

/* One of the two tables id, ..., a column per model; `skip` columns come after the id. */
static enum status read_columns(const char *folder, const char *name, size_t skip,
                                struct diags *diags, struct data_pool *pool)
{
    char path[PATH_MAX_BYTES];
    struct str text;
    enum status st = map_in(folder, name, path, diags, &text);
    if (st != ST_OK) {
        return st;
    }
    struct str rest = text;
    struct str line;
    struct str value;
    for (int number = 1; st == ST_OK && str_split(rest, '\n', &line, &rest); number++) {
        struct data_question *q = NULL;
        size_t column = 0;
        for (; str_split(line, '\t', &value, &line); column++) {
            int64_t x = 0;
            size_t model = column - skip - 1;
            q = column == 0 && number > 1 ? question_of(pool, value) : q;
            if (column <= skip || column > skip + pool->model_count) {
                continue;
            }
            if (number == 1 && !str_eq(str_trim(value), pool->models[model])) {
                st = wrong(diags, path, number, "columns are not those of models.tsv");
            } else if (q != NULL && (str_to_int(str_trim(value), &x) != ST_OK || x < -1)) {
                st = wrong(diags, path, number, "a value is no whole number");
            } else if (q != NULL && skip > 0) {
                q->right |= (uint32_t)(x == 1) << model;
                pool->missing[model] += x < 0;
            } else if (q != NULL) {
                q->chars[model] = (uint32_t)(x > 0 ? x : 0);
            }
        }
        if (st == ST_OK && column != skip + 1 + pool->model_count) {
            st = wrong(diags, path, number, "has another number of columns than there are models");
        }
    }
    file_unmap(text);
    return st;
}

static enum status read_split(const char *folder, struct diags *diags, struct data_pool *pool)
{
    char path[PATH_MAX_BYTES];
    struct str text;
    enum status st = map_in(folder, "split_test_ids.json", path, diags, &text);
    if (st != ST_OK) {
        return st;
    }
    struct json_reader r;
    struct json_value item;
    json_reader_init(&r, text);
    if (json_open(&r, JSON_ARRAY)) {
        while (json_next_item(&r) && json_take(&r, &item)) {
            struct data_question *q = question_of(pool, item.raw);
            if (q != NULL) {
                q->is_test = true;
            }
        }
    }
    st = json_close(&r);
    file_unmap(text);
    return st == ST_OK ? ST_OK : wrong(diags, path, 0, "is no list of numbers");
}

enum status data_read_pool(const char *folder, struct arena *arena, struct diags *diags,
                           struct data_pool *ret_pool)
{
    struct data_pool *pool = ret_pool;
    *pool = (struct data_pool){0};
    enum status st = read_models(folder, arena, diags, pool);
    if (st == ST_OK) {
        st = read_questions(folder, arena, diags, pool);
    }
    if (st == ST_OK) {
        qsort(pool->items, pool->count, sizeof *pool->items, by_id);
        st = read_columns(folder, "scores.tsv", 1, diags, pool);
    }
    if (st == ST_OK) {
        st = read_columns(folder, "output_chars.tsv", 0, diags, pool);
    }
    return st == ST_OK ? read_split(folder, diags, pool) : st;
}
