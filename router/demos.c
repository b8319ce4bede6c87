/* See demos.h. */
#include "router/demos.h"

#include <string.h>

#include "base/file.h"
#include "base/json_scan.h"
#include "base/json_write.h"
#include "router/prompt.h"

struct demo {
    struct str messages;
    int64_t tokens;
    int line;
    const float *vector;
};

struct demos {
    struct demo *items;
    size_t count;
    size_t dims;
};

struct reading {
    struct key_reader *reader;
    struct str file;
    const struct classifier *classifier;
    struct classifier_scratch *scratch;
    struct demos *demos;
};

/* ---------------------------------------------------------------- reading */

static void complain(const struct reading *r, int line, const char *what)
{
    diags_add(r->reader->diags, DIAG_ERROR, r->file, (struct pos){line, 0}, "%s", what);
}

/* The two texts of a line; false: it has other members, or not these. */
static bool read_texts(struct str line, struct json_value *ret_prompt,
                       struct json_value *ret_answer)
{
    struct json_reader r;
    struct json_value key;
    bool is_fit = true;
    json_reader_init(&r, line);
    if (json_peek(&r) != JSON_OBJECT || !json_open(&r, JSON_OBJECT)) {
        return false;
    }
    while (json_next_member(&r, &key)) {
        struct json_value *into = json_text_is(key, STR("prompt"))   ? ret_prompt
                                  : json_text_is(key, STR("answer")) ? ret_answer
                                                                     : NULL;
        is_fit = is_fit && into != NULL && into->type == JSON_NONE;
        (void)json_take(&r, into);
    }
    return json_close(&r) == ST_OK && is_fit && ret_prompt->type == JSON_STRING &&
           ret_answer->type == JSON_STRING && ret_prompt->raw.len > 2 && ret_answer->raw.len > 2;
}

static enum status write_messages(struct demo *demo, struct json_value prompt,
                                  struct json_value answer, struct arena *arena)
{
    demo->messages = arena_printf(
        arena, "{\"role\":\"user\",\"content\":%.*s},{\"role\":\"assistant\",\"content\":%.*s},",
        STR_ARG(prompt.raw), STR_ARG(answer.raw));
    demo->tokens = (int64_t)(prompt.raw.len + answer.raw.len) / PROMPT_BYTES_PER_TOKEN;
    return demo->messages.ptr == NULL ? ST_NO_MEMORY : ST_OK;
}

static enum status find_vector(struct reading *r, struct demo *demo, struct json_value prompt)
{
    struct classifier_result result;
    struct buf text;
    buf_init(&text, DEMOS_TEXT_MAX);
    enum status st = json_decode(prompt, &text);
    float *vector = arena_alloc(r->reader->arena, VECTORS_DIMS_MAX * sizeof *vector);
    if (st == ST_OK && vector != NULL) {
        struct classifier_segment segment = {buf_str(&text), 1.0F};
        classifier_score(r->classifier, r->scratch, &segment, 1, &result);
        r->demos->dims = result.vector_size;
        memcpy(vector, result.vector, result.vector_size * sizeof *vector);
        demo->vector = vector;
    }
    buf_fini(&text);
    return st == ST_OK && vector != NULL ? ST_OK : ST_NO_MEMORY;
}

static enum status take(struct reading *r, struct str line, int number)
{
    struct json_value prompt = {0};
    struct json_value answer = {0};
    struct demo *demo = &r->demos->items[r->demos->count];
    if (str_trim(line).len == 0) {
        return ST_OK;
    }
    if (r->demos->count == DEMOS_MAX) {
        complain(r, number, "there are more than 2000 demonstrations");
        return ST_INVALID;
    }
    if (line.len > DEMOS_TEXT_MAX) {
        complain(r, number, "this demonstration has more than 64 KiB");
        return ST_OK;
    }
    if (!read_texts(line, &prompt, &answer)) {
        complain(r, number,
                 "a demonstration is {\"prompt\": \"...\", \"answer\": \"...\"}, two texts and "
                 "nothing else");
        return ST_OK;
    }
    demo->line = number;
    enum status st = write_messages(demo, prompt, answer, r->reader->arena);
    if (st == ST_OK) {
        st = find_vector(r, demo, prompt);
    }
    r->demos->count += st == ST_OK;
    return st;
}

static enum status take_all(struct reading *r, struct str bytes)
{
    struct str line;
    int number = 1;
    enum status st = ST_OK;
    if (bytes.len > DEMOS_BYTES_MAX) {
        complain(r, 0, "this file of demonstrations has more than 4 MiB");
        return ST_OK;
    }
    while (st == ST_OK && str_split(bytes, '\n', &line, &bytes)) {
        st = take(r, line, number++);
    }
    return st == ST_INVALID ? ST_OK : st;
}

enum status demos_read(struct key_reader *reader, struct str path,
                       const struct classifier *classifier, const struct demos **ret_demos)
{
    struct reading r = {.reader = reader, .classifier = classifier};
    size_t errors = reader->diags->errors;
    char *name = arena_copy_z(reader->arena, path);
    struct str bytes;
    r.demos = arena_alloc(reader->arena, sizeof *r.demos);
    if (name == NULL || r.demos == NULL) {
        return ST_NO_MEMORY;
    }
    *r.demos = (struct demos){0};
    r.demos->items = arena_alloc(reader->arena, (DEMOS_MAX + 1) * sizeof *r.demos->items);
    r.scratch = classifier_scratch_create();
    r.file = str_from(name);
    enum status st = r.demos->items == NULL || r.scratch == NULL ? ST_NO_MEMORY : ST_OK;
    if (st == ST_OK && keys_may_read(reader, name) &&
        file_map(name, reader->diags, &bytes) == ST_OK) { /* else it is said */
        st = take_all(&r, bytes);
        file_unmap(bytes);
        if (st == ST_OK && r.demos->count == 0 && reader->diags->errors == errors) {
            complain(&r, 0, "this file has no demonstrations");
        }
    }
    if (st == ST_OK && r.demos->count > 0 && r.demos->dims == 0) {
        complain(&r, 0, "the weights under \"router\" have no vectors, by which these are found");
    }
    classifier_scratch_destroy(r.scratch);
    *ret_demos = st == ST_OK && reader->diags->errors == errors ? r.demos : NULL;
    return st;
}

/* ---------------------------------------------------------------- picking */

static float nearness(const struct demos *demos, size_t i, const float *vector)
{
    float sum = 0.0F;
    for (size_t d = 0; d < demos->dims; d++) {
        sum += demos->items[i].vector[d] * vector[d];
    }
    return sum;
}

void demos_pick(const struct demos *demos, const float *vector, size_t k, int64_t budget_tokens,
                struct demos_picked *ret_picked)
{
    size_t best[DEMOS_PICKED_MAX]; /* nearest first */
    float near[DEMOS_PICKED_MAX];
    size_t count = 0;
    size_t want = k < DEMOS_PICKED_MAX ? k : DEMOS_PICKED_MAX;
    for (size_t i = 0; i < demos->count; i++) {
        float n = nearness(demos, i, vector);
        size_t at = count < want ? count++ : want;
        for (; at > 0 && n > near[at - 1]; at--) {
            if (at < want) {
                near[at] = near[at - 1];
                best[at] = best[at - 1];
            }
        }
        if (at < want) {
            near[at] = n;
            best[at] = i;
        }
    }
    struct demos_picked picked = {0};
    for (size_t i = 0; i < count; i++) {
        const struct demo *demo = &demos->items[best[i]];
        if (picked.tokens + demo->tokens <= budget_tokens) {
            picked.tokens += demo->tokens;
            picked.lines[picked.count] = demo->line;
            picked.messages[picked.count++] = demo->messages;
        }
    }
    *ret_picked = picked;
    for (size_t i = 0; i < picked.count; i++) {
        ret_picked->messages[i] = picked.messages[picked.count - 1 - i];
        ret_picked->lines[i] = picked.lines[picked.count - 1 - i];
    }
}
