/* See redact_body.h. Texts are collected first: which numbers the vault may give out depends on all of
 * them. */
#include "gateway/redact_body.h"

#include "base/json_scan.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "gateway/redact_json.h"

enum {
    EXPANSION = 20 /* a placeholder may be longer than what it stands for, an escape than a byte */
};

struct piece { /* a string of the body, quotes included */
    struct str raw;
    struct str text; /* decoded */
    bool is_arguments;
    struct piece *next;
};

struct walk {
    struct json_reader reader;
    struct arena *arena;
    const struct privacy_set *set;
    bool is_opaque; /* there is what nobody can read */
    struct piece *first;
    struct piece **last;
    enum status st;
};

static void keep(struct walk *w, struct json_value v, bool is_arguments)
{
    if (v.type != JSON_STRING || w->st != ST_OK) {
        return;
    }
    struct piece *p = arena_alloc(w->arena, sizeof *p);
    if (p == NULL) {
        w->st = ST_NO_MEMORY;
        return;
    }
    p->raw = v.raw;
    p->is_arguments = is_arguments;
    p->next = NULL;
    if (!v.escaped) {
        p->text = json_plain(v);
    } else {
        struct buf text;
        buf_init(&text, v.raw.len);
        w->st = json_decode(v, &text);
        p->text = w->st == ST_OK ? arena_copy(w->arena, buf_str(&text)) : STR("");
        w->st = p->text.ptr == NULL ? ST_NO_MEMORY : w->st;
        buf_fini(&text);
    }
    *w->last = p;
    w->last = &p->next;
}

static void take_text(struct walk *w)
{
    struct json_value v = {0};
    (void)json_take(&w->reader, &v); /* errors are sticky and seen by json_close */
    keep(w, v, false);
}

/* Goes as deep as the members below do, four levels, whatever the document is like. */
static void walk_object(struct walk *w, void (*member)(struct walk *w, struct json_value key));

static void walk_array(struct walk *w, void (*member)(struct walk *w, struct json_value key))
{
    if (json_peek(&w->reader) != JSON_ARRAY) {
        (void)json_take(&w->reader, NULL);
        return;
    }
    (void)json_open(&w->reader, JSON_ARRAY);
    while (json_next_item(&w->reader)) {
        walk_object(w, member);
    }
}

static void walk_object(struct walk *w, void (*member)(struct walk *w, struct json_value key))
{
    struct json_value key;
    if (json_peek(&w->reader) != JSON_OBJECT) {
        (void)json_take(&w->reader, NULL);
        return;
    }
    (void)json_open(&w->reader, JSON_OBJECT);
    while (json_next_member(&w->reader, &key)) {
        member(w, key);
    }
}

static void on_part(struct walk *w, struct json_value key)
{
    if (json_text_is(key, STR("text")) || json_text_is(key, STR("refusal"))) {
        take_text(w);
    } else {
        (void)json_take(&w->reader, NULL);
    }
}

static void on_function(struct walk *w, struct json_value key)
{
    struct json_value v = {0};
    (void)json_take(&w->reader, &v);
    if (json_text_is(key, STR("arguments")) && w->set->tool_arguments) {
        keep(w, v, true);
    }
}

static void on_custom(struct walk *w, struct json_value key)
{
    struct json_value v = {0};
    (void)json_take(&w->reader, &v);
    if (json_text_is(key, STR("input")) && w->set->tool_arguments) {
        keep(w, v, false);
    }
}

static void on_call(struct walk *w, struct json_value key)
{
    if (json_text_is(key, STR("function"))) {
        walk_object(w, on_function);
    } else if (json_text_is(key, STR("custom"))) {
        walk_object(w, on_custom);
    } else {
        (void)json_take(&w->reader, NULL);
    }
}

static void on_message(struct walk *w, struct json_value key)
{
    if (json_text_is(key, STR("content")) && json_peek(&w->reader) == JSON_ARRAY) {
        walk_array(w, on_part);
    } else if (json_text_is(key, STR("content")) || json_text_is(key, STR("refusal"))) {
        take_text(w);
    } else if (json_text_is(key, STR("tool_calls"))) {
        walk_array(w, on_call);
    } else if (json_text_is(key, STR("function_call"))) {
        walk_object(w, on_function);
    } else {
        (void)json_take(&w->reader, NULL);
    }
}

static void take_input(struct walk *w)
{
    struct json_value v = {0};
    (void)json_take(&w->reader, &v);
    w->is_opaque = w->is_opaque || v.type != JSON_STRING; /* tokens */
    keep(w, v, false);
}

static void on_embedding(struct walk *w, struct json_value key)
{
    if (!json_text_is(key, STR("input"))) {
        (void)json_take(&w->reader, NULL);
    } else if (json_peek(&w->reader) != JSON_ARRAY) {
        take_input(w);
    } else {
        (void)json_open(&w->reader, JSON_ARRAY);
        while (json_next_item(&w->reader)) {
            take_input(w);
        }
    }
}

static void on_root(struct walk *w, struct json_value key)
{
    if (json_text_is(key, STR("messages"))) {
        walk_array(w, on_message);
    } else {
        (void)json_take(&w->reader, NULL);
    }
}

/* Writes the body with its texts redacted. */
static enum status write_body(struct walk *w, struct redact_vault *vault, struct str body,
                              struct redact_matcher *matcher, struct buf *out)
{
    struct redact_set set = {w->set->kinds, w->set->patterns, w->set->pattern_count};
    struct buf text;
    size_t done = 0;
    enum status st = ST_OK;
    buf_init(&text, body.len * EXPANSION + 64);
    for (const struct piece *p = w->first; st == ST_OK && p != NULL; p = p->next) {
        buf_reset(&text);
        st = redact_json_is(p->text, p->is_arguments)
                 ? redact_json(&set, matcher, vault, p->text, p->is_arguments, &text)
                 : redact_text(&set, matcher, vault, p->text, &text);
        if (st != ST_OK || str_eq(buf_str(&text), p->text)) {
            continue;
        }
        size_t start = (size_t)(p->raw.ptr - body.ptr);
        st = buf_append(out, str_slice(body, done, start - done));
        if (st == ST_OK) {
            st = json_write_text(out, buf_str(&text));
        }
        done = start + p->raw.len;
    }
    buf_fini(&text);
    return st != ST_OK || done == 0 ? st : buf_append(out, str_slice(body, done, body.len));
}

static void avoid(const struct walk *w, struct redact_vault *vault, struct str body)
{
    redact_vault_avoid(vault, body);
    for (const struct piece *p = w->first; p != NULL; p = p->next) {
        if (p->text.len + 2 != p->raw.len) { /* it has escapes */
            redact_vault_avoid(vault, p->text);
        }
    }
}

enum status redact_body(const struct privacy_set *set, struct redact_vault *vault, struct str body,
                        struct arena *arena, struct str *ret_body)
{
    struct walk w = {.arena = arena, .set = set, .st = ST_OK};
    w.last = &w.first;
    json_reader_init(&w.reader, body);
    walk_object(&w, set->is_embedding ? on_embedding : on_root);
    if (json_close(&w.reader) != ST_OK || w.is_opaque) {
        return ST_INVALID;
    }
    if (w.st != ST_OK) {
        return w.st;
    }
    struct redact_matcher *matcher = set->pattern_count > 0 ? redact_matcher_create() : NULL;
    if (set->pattern_count > 0 && matcher == NULL) {
        return ST_NO_MEMORY;
    }
    struct buf out;
    buf_init(&out, body.len * EXPANSION + 64);
    avoid(&w, vault, body);
    enum status st = write_body(&w, vault, body, matcher, &out);
    if (st == ST_OK) {
        struct str redacted = out.len > 0 ? arena_copy(arena, buf_str(&out)) : body;
        st = redacted.ptr == NULL ? ST_NO_MEMORY : ST_OK;
        *ret_body = st == ST_OK ? redacted : *ret_body;
    }
    buf_fini(&out);
    redact_matcher_destroy(matcher);
    return st;
}
