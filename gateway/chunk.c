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

enum status chunk_read(struct str data, struct chunk *ret_chunk)
{
    struct json_reader r;
    struct json_value key;
    struct json_value value = {0};
    struct choices c = {0};
    struct chunk chunk = {.text = {NULL, 0}};
    bool has_choices = false;
    bool has_usage = false;
    json_reader_init(&r, data);
    if (json_peek(&r) != JSON_OBJECT) {
        return ST_INVALID;
    }
    (void)json_open(&r, JSON_OBJECT);
    while (json_next_member(&r, &key)) {
        if (json_text_is(key, STR("choices")) && json_peek(&r) == JSON_ARRAY) {
            has_choices = true;
            (void)json_open(&r, JSON_ARRAY);
            while (json_next_item(&r)) {
                read_choice(&r, &c);
            }
        } else if (json_text_is(key, STR("usage"))) {
            has_usage = usage_read_value(&r, &chunk.usage) || has_usage;
        } else if (json_text_is(key, STR("error"))) {
            (void)json_take(&r, &value);
            chunk.is_error = value.type == JSON_OBJECT || value.type == JSON_STRING;
        } else {
            (void)json_take(&r, NULL);
        }
    }
    if (json_close(&r) != ST_OK) {
        return ST_INVALID;
    }
    chunk.is_finished = c.is_finished;
    chunk.is_preamble = has_choices && c.contents == 0 && !c.is_finished;
    chunk.is_usage_only = has_choices && c.count == 0 && has_usage;
    if (c.count == 1 && c.contents == 1 && c.text.type == JSON_STRING && !c.text.escaped) {
        chunk.text = json_plain(c.text);
    }
    *ret_chunk = chunk;
    return ST_OK;
}
