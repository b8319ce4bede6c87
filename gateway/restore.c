/* See restore.h. */
#include "gateway/restore.h"

#include <string.h>

#include "base/json_scan.h"
#include "base/json_write.h"
#include "base/mem.h"

enum {
    TEXTS_MAX = 32,             /* of an event */
    DOCUMENT_TEXTS_MAX = 65536, /* of a document */
    OUT_MAX = 64 * 1024 * 1024,
};

struct text { /* a string of an answer */
    struct str raw;
    bool escaped;
    bool is_nested; /* JSON in a string */
    bool is_label;  /* a function's name: never restored, not to be said twice */
    uint64_t key;
    int64_t choice;
};

struct texts {
    struct str data;
    struct text *items;
    size_t count;
    size_t max;
    int64_t finished[TEXTS_MAX]; /* choices with a finish reason */
    size_t finished_count;
    bool is_too_many;
};

struct where { /* in the document */
    int64_t choice;
    int64_t call;
};

/* ---------------------------------------------------------------- reading */

static void add_text(struct texts *t, struct json_value v, struct str member,
                     const struct where *where)
{
    if (v.type != JSON_STRING) {
        return;
    }
    if (t->count == t->max) {
        t->is_too_many = true;
        return;
    }
    struct text *text = &t->items[t->count++];
    *text = (struct text){.raw = v.raw, .escaped = v.escaped, .choice = where->choice};
    text->is_nested = str_eq(member, STR("arguments"));
    text->is_label = where->call >= 0 && !text->is_nested && !str_eq(member, STR("input"));
    text->key = str_hash(member) * 31 + (uint64_t)where->call * 1000003 + (uint64_t)where->choice;
}

static void take_int(struct json_reader *r, int64_t *ret_value)
{
    struct json_value v = {0};
    int64_t value = 0;
    (void)json_take(r, &v); /* errors are sticky and seen by json_close */
    if (v.type == JSON_NUMBER && json_to_int(v, &value) == ST_OK && value >= 0) {
        *ret_value = value;
    }
}

static void read_function(struct json_reader *r, struct texts *t, const struct where *where)
{
    struct json_value key;
    if (json_peek(r) != JSON_OBJECT) {
        (void)json_take(r, NULL);
        return;
    }
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        struct json_value v = {0};
        (void)json_take(r, &v);
        add_text(t, v, str_slice(key.raw, 1, key.raw.len - 2), where);
    }
}

static void read_calls(struct json_reader *r, struct texts *t, struct where where)
{
    struct json_value key;
    (void)json_open(r, JSON_ARRAY);
    for (int64_t i = 0; json_next_item(r); i++) {
        where.call = i;
        if (json_peek(r) != JSON_OBJECT) {
            (void)json_take(r, NULL);
            continue;
        }
        (void)json_open(r, JSON_OBJECT);
        while (json_next_member(r, &key)) {
            if (json_text_is(key, STR("index"))) {
                take_int(r, &where.call);
            } else if (json_text_is(key, STR("function")) || json_text_is(key, STR("custom"))) {
                read_function(r, t, &where);
            } else {
                (void)json_take(r, NULL);
            }
        }
    }
}

/* The message of a document or the delta of an event: every text in it but the role. */
static void read_message(struct json_reader *r, struct texts *t, struct where where)
{
    struct json_value key;
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        struct json_value v = {0};
        if (json_text_is(key, STR("tool_calls")) && json_peek(r) == JSON_ARRAY) {
            read_calls(r, t, where);
        } else if (json_text_is(key, STR("function_call"))) {
            struct where call = {where.choice, 0};
            read_function(r, t, &call);
        } else {
            (void)json_take(r, &v);
        }
        if (!json_text_is(key, STR("role"))) {
            add_text(t, v, str_slice(key.raw, 1, key.raw.len - 2), &where);
        }
    }
}

static void read_choice(struct json_reader *r, struct texts *t, int64_t position)
{
    struct json_value key;
    struct where where = {position, -1};
    size_t first = t->count;
    bool is_finished = false;
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        struct json_value v = {0};
        bool is_message = json_text_is(key, STR("delta")) || json_text_is(key, STR("message"));
        if (is_message && json_peek(r) == JSON_OBJECT) {
            read_message(r, t, where);
        } else if (json_text_is(key, STR("index"))) {
            take_int(r, &where.choice);
        } else if (json_text_is(key, STR("finish_reason"))) {
            (void)json_take(r, &v);
            is_finished = v.type == JSON_STRING && v.raw.len > 2;
        } else {
            (void)json_take(r, &v);
            if (json_text_is(key, STR("text"))) {
                add_text(t, v, STR("text"), &where);
            }
        }
    }
    /* The index may have come after the texts. */
    for (size_t i = first; i < t->count; i++) {
        t->items[i].key += (uint64_t)(where.choice - t->items[i].choice);
        t->items[i].choice = where.choice;
    }
    if (is_finished && t->finished_count < TEXTS_MAX) {
        t->finished[t->finished_count++] = where.choice;
    }
}

/* Into so many items. False: it is no chat completion. */
static bool read_texts(struct str data, struct text *items, size_t max, struct texts *t)
{
    struct json_reader r;
    struct json_value key;
    *t = (struct texts){.data = data, .items = items, .max = max};
    json_reader_init(&r, data);
    if (json_peek(&r) != JSON_OBJECT) {
        return false;
    }
    (void)json_open(&r, JSON_OBJECT);
    while (json_next_member(&r, &key)) {
        if (!json_text_is(key, STR("choices")) || json_peek(&r) != JSON_ARRAY) {
            (void)json_take(&r, NULL);
            continue;
        }
        (void)json_open(&r, JSON_ARRAY);
        for (int64_t i = 0; json_next_item(&r); i++) {
            if (json_peek(&r) == JSON_OBJECT) {
                read_choice(&r, t, i);
            } else {
                (void)json_take(&r, NULL);
            }
        }
    }
    return json_close(&r) == ST_OK;
}

static bool is_finished(const struct texts *t, int64_t choice)
{
    for (size_t i = 0; i < t->finished_count; i++) {
        if (t->finished[i] == choice) {
            return true;
        }
    }
    return false;
}

/* ---------------------------------------------------------------- restoring */

struct edit {           /* one text on its way */
    struct buf decoded; /* what was held, then the text */
    struct buf restored;
};

static void edit_init(struct edit *e, size_t len)
{
    buf_init(&e->decoded, len + REDACT_PLACEHOLDER_MAX);
    buf_init(&e->restored, OUT_MAX);
}

static void edit_fini(struct edit *e)
{
    buf_fini(&e->decoded);
    buf_fini(&e->restored);
}

static enum status decode(const struct text *text, struct buf *out)
{
    struct json_value v = {JSON_STRING, text->raw, text->escaped};
    return json_decode(v, out);
}

/* Copies the data up to the text and puts the other string there. */
static enum status splice(const struct texts *t, const struct text *text, struct str with,
                          size_t *done, struct buf *out)
{
    size_t start = (size_t)(text->raw.ptr - t->data.ptr);
    enum status st = buf_append(out, str_slice(t->data, *done, start - *done));
    if (st == ST_OK) {
        st = json_write_text(out, with);
    }
    *done = start + text->raw.len;
    return st;
}

static bool may_hold(const struct text *text)
{
    return text->escaped || str_find_char(text->raw, '[') < text->raw.len;
}

static enum status restore_texts(const struct redact_vault *vault, const struct texts *t,
                                 struct buf *out, bool *ret_is_changed)
{
    struct edit e;
    size_t done = 0;
    size_t left = 0;
    enum status st = ST_OK;
    edit_init(&e, t->data.len);
    for (size_t i = 0; st == ST_OK && i < t->count; i++) {
        const struct text *text = &t->items[i];
        if (text->is_label || !may_hold(text)) {
            continue;
        }
        buf_reset(&e.decoded);
        buf_reset(&e.restored);
        st = decode(text, &e.decoded);
        if (st == ST_OK) {
            st = redact_vault_restore(vault, buf_str(&e.decoded), REDACT_WHOLE, text->is_nested,
                                      &e.restored, &left);
        }
        if (st == ST_OK && !str_eq(buf_str(&e.decoded), buf_str(&e.restored))) {
            st = splice(t, text, buf_str(&e.restored), &done, out);
        }
    }
    edit_fini(&e);
    *ret_is_changed = done > 0;
    return st == ST_OK && done > 0 ? buf_append(out, str_slice(t->data, done, t->data.len)) : st;
}

enum status restore_document(const struct redact_vault *vault, struct str body, struct buf *out,
                             bool *ret_is_changed)
{
    struct text few[TEXTS_MAX];
    struct text *many = NULL;
    struct texts t;
    *ret_is_changed = false;
    if (!read_texts(body, few, TEXTS_MAX, &t)) {
        return ST_OK;
    }
    if (t.is_too_many) {
        many = mem_alloc(DOCUMENT_TEXTS_MAX * sizeof *many);
        if (many == NULL) {
            return ST_NO_MEMORY;
        }
        (void)read_texts(body, many, DOCUMENT_TEXTS_MAX, &t);
    }
    enum status st = restore_texts(vault, &t, out, ret_is_changed);
    mem_free(many);
    return st;
}

/* ---------------------------------------------------------------- streams */

void restore_init(struct restore *r, const struct redact_vault *vault)
{
    memset(r, 0, sizeof *r);
    r->vault = vault;
}

void restore_fini(struct restore *r)
{
    for (size_t i = 0; i < RESTORE_CHANNELS_MAX; i++) {
        struct restore_channel *c = &r->channels[i];
        if (c->is_used) {
            buf_fini(&c->held);
            buf_fini(&c->before);
            buf_fini(&c->after);
        }
    }
    memset(r, 0, sizeof *r);
}

/* The channel of a text, or NULL: there are too many. */
static struct restore_channel *channel_of(struct restore *r, const struct text *text)
{
    for (size_t i = 0; i < RESTORE_CHANNELS_MAX; i++) {
        struct restore_channel *c = &r->channels[i];
        if (c->is_used && c->key == text->key) {
            return c;
        }
        if (!c->is_used) {
            *c =
                (struct restore_channel){.key = text->key, .choice = text->choice, .is_used = true};
            buf_init(&c->held, REDACT_PLACEHOLDER_MAX);
            buf_init(&c->before, OUT_MAX);
            buf_init(&c->after, OUT_MAX);
            return c;
        }
    }
    return NULL;
}

/* Keeps the event around a text, all others in it made empty, for what is held back of the text. */
static enum status keep_frame(struct restore_channel *c, const struct texts *t, size_t index)
{
    size_t done = 0;
    struct buf *out = &c->before;
    enum status st = ST_OK;
    buf_reset(&c->before);
    buf_reset(&c->after);
    for (size_t i = 0; st == ST_OK && i < t->count; i++) {
        if (i != index) {
            st = splice(t, &t->items[i], STR(""), &done, out);
            continue;
        }
        size_t start = (size_t)(t->items[i].raw.ptr - t->data.ptr);
        st = buf_append(out, str_slice(t->data, done, start - done));
        done = start + t->items[i].raw.len;
        out = &c->after;
    }
    return st == ST_OK ? buf_append(out, str_slice(t->data, done, t->data.len)) : st;
}

/* An event with what a channel holds back. */
static enum status flush_channel(struct restore_channel *c, struct buf *before)
{
    if (!c->is_used || c->held.len == 0) {
        return ST_OK;
    }
    enum status st = buf_append(before, STR("data: "));
    if (st == ST_OK) {
        st = buf_append(before, buf_str(&c->before));
    }
    if (st == ST_OK) {
        st = json_write_text(before, buf_str(&c->held));
    }
    if (st == ST_OK) {
        st = buf_append(before, buf_str(&c->after));
    }
    buf_reset(&c->held);
    return st == ST_OK ? buf_append(before, STR("\n\n")) : st;
}

enum status restore_flush(struct restore *r, struct buf *before)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < RESTORE_CHANNELS_MAX; i++) {
        st = flush_channel(&r->channels[i], before);
    }
    return st;
}

/* Whether the event itself goes on with what the channel holds. */
static bool has_text(const struct texts *t, uint64_t key)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->items[i].key == key) {
            return true;
        }
    }
    return false;
}

/* One text of an event. */
static enum status restore_text(struct restore *r, const struct texts *t, size_t index,
                                struct edit *e, size_t *done, struct buf *out)
{
    const struct text *text = &t->items[index];
    struct restore_channel *c = channel_of(r, text);
    bool holds = c != NULL && c->held.len > 0;
    size_t left = 0;
    if (text->is_label || (!holds && !may_hold(text))) {
        return ST_OK;
    }
    bool is_last = c == NULL || is_finished(t, text->choice);
    buf_reset(&e->decoded);
    buf_reset(&e->restored);
    enum status st = holds ? buf_append(&e->decoded, buf_str(&c->held)) : ST_OK;
    if (st == ST_OK) {
        st = decode(text, &e->decoded);
    }
    if (st == ST_OK) {
        st = redact_vault_restore(r->vault, buf_str(&e->decoded),
                                  is_last ? REDACT_WHOLE : REDACT_GOES_ON, text->is_nested,
                                  &e->restored, &left);
    }
    if (st == ST_OK && (holds || !str_eq(buf_str(&e->decoded), buf_str(&e->restored)))) {
        st = splice(t, text, buf_str(&e->restored), done, out);
    }
    if (st == ST_OK && c != NULL) {
        buf_reset(&c->held);
    }
    if (st == ST_OK && left > 0) {
        struct str all = buf_str(&e->decoded);
        st = buf_append(&c->held, str_slice(all, all.len - left, left));
        st = st == ST_OK ? keep_frame(c, t, index) : st;
    }
    return st;
}

enum status restore_event(struct restore *r, struct str data, struct buf *before, struct buf *out,
                          bool *ret_is_changed)
{
    struct text items[TEXTS_MAX];
    struct texts t;
    struct edit e;
    size_t done = 0;
    *ret_is_changed = false;
    if (!read_texts(data, items, TEXTS_MAX, &t) || t.is_too_many) {
        bool is_end = t.is_too_many || str_eq(data, STR("[DONE]"));
        return is_end ? restore_flush(r, before) : ST_OK;
    }
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < RESTORE_CHANNELS_MAX; i++) {
        struct restore_channel *c = &r->channels[i];
        if (c->is_used && is_finished(&t, c->choice) && !has_text(&t, c->key)) {
            st = flush_channel(c, before);
        }
    }
    edit_init(&e, data.len);
    for (size_t i = 0; st == ST_OK && i < t.count; i++) {
        st = restore_text(r, &t, i, &e, &done, out);
    }
    edit_fini(&e);
    *ret_is_changed = done > 0;
    return st == ST_OK && done > 0 ? buf_append(out, str_slice(data, done, data.len)) : st;
}
