/* See chunk.h. */
#include "gateway/chunk.h"

#include "base/json_scan.h"

/* A value that carries nothing: null, "", [] or {}. */
static bool is_empty(struct json_value v)
{
    return v.type == JSON_NULL || v.raw.len == 2;
}

struct choices {
    size_t count;
    size_t contents; /* members that say something */
    struct json_value text;
    bool is_finished;
};

static void read_delta(struct json_reader *r, struct choices *c)
{
    struct json_value key;
    struct json_value value = {0};
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        bool is_role = json_text_is(key, STR("role"));
        (void)json_take(r, &value);
        if (is_role || is_empty(value)) {
            continue;
        }
        c->contents++;
        if (json_text_is(key, STR("content"))) {
            c->text = value;
        }
    }
}

/* A choice whose delta says nothing but the role, and that is not finished, has no content. */
static void read_choice(struct json_reader *r, struct choices *c)
{
    struct json_value key;
    struct json_value value = {0};
    c->count++;
    if (json_peek(r) != JSON_OBJECT) {
        c->contents++;
        (void)json_take(r, NULL);
        return;
    }
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        if (json_text_is(key, STR("delta")) && json_peek(r) == JSON_OBJECT) {
            read_delta(r, c);
        } else if (json_text_is(key, STR("finish_reason"))) {
            (void)json_take(r, &value);
            c->is_finished = c->is_finished || !is_empty(value);
        } else {
            (void)json_take(r, NULL);
        }
    }
}

/* More of them than there is room for: the chunk is not plain. */
static void add_span(struct chunk *chunk, struct json_value v)
{
    bool is_string = v.type == JSON_STRING;
    struct str text = is_string ? json_plain(v) : v.raw;
    for (size_t i = 0; i < text.len && !is_string; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return; /* not just digits: it is to stay the same */
        }
    }
    if (chunk->span_count < CHUNK_SPANS) {
        chunk->spans[chunk->span_count] = (struct chunk_span){text.ptr, text.len, !is_string};
    }
    chunk->span_count++;
}

enum status chunk_read(struct str data, struct chunk *ret_chunk)
{
    struct json_reader r;
    struct json_value key;
    struct json_value value = {0};
    struct choices c = {0};
    struct chunk chunk = {0};
    size_t choices = 0; /* members of that name */
    bool has_usage = false;
    json_reader_init(&r, data);
    if (json_peek(&r) != JSON_OBJECT) {
        return ST_INVALID;
    }
    (void)json_open(&r, JSON_OBJECT);
    while (json_next_member(&r, &key)) {
        if (json_text_is(key, STR("choices")) && json_peek(&r) == JSON_ARRAY) {
            choices++;
            (void)json_open(&r, JSON_ARRAY);
            while (json_next_item(&r)) {
                read_choice(&r, &c);
            }
            if (c.text.type == JSON_STRING && !c.text.escaped) {
                add_span(&chunk, c.text);
            }
        } else if (json_text_is(key, STR("usage"))) {
            has_usage = usage_read_value(&r, &chunk.usage) || has_usage;
        } else if (json_text_is(key, STR("error"))) {
            (void)json_take(&r, &value);
            chunk.is_error = value.type == JSON_OBJECT || value.type == JSON_STRING;
        } else if (json_take(&r, &value) &&
                   (value.type == JSON_NUMBER ||
                    (value.type == JSON_STRING && !value.escaped && c.count > 0))) {
            add_span(&chunk, value);
        }
    }
    if (json_close(&r) != ST_OK) {
        return ST_INVALID;
    }
    chunk.is_finished = c.is_finished;
    chunk.is_preamble = choices > 0 && c.contents == 0 && !c.is_finished;
    chunk.is_usage_only = choices > 0 && c.count == 0 && has_usage;
    chunk.is_plain = choices == 1 && c.count == 1 && c.contents == 1 &&
                     c.text.type == JSON_STRING && !c.text.escaped && !c.is_finished &&
                     !chunk.is_error && !has_usage && chunk.span_count <= CHUNK_SPANS;
    chunk.span_count = chunk.is_plain ? chunk.span_count : 0;
    *ret_chunk = chunk;
    return ST_OK;
}
