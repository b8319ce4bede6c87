/* See chat_edit.h. Two passes over the body: the first sees which parameters are there, the second
 * writes. Messages are looked at only where there are instructions. */
#include "gateway/chat_edit.h"

#include <string.h>

#include "base/assert.h"
#include "base/json_scan.h"
#include "base/json_write.h"

/* Parameters that mean the same under two names. */
enum group {
    GROUP_TEMPERATURE,
    GROUP_TOP_P,
    GROUP_TOKENS,
    GROUP_EFFORT,
};

enum {
    GROUPS = GROUP_EFFORT + 1,
    SOURCES = 2,
    ESCAPE_BYTES = 6,       /* what one byte of a text takes at most */
    EDITS_BYTES_MAX = 4096, /* all that is added but texts */
    GROWTH_MAX = 3,         /* of a member whose value is lowered; it may stand there often */
};

static const enum group groups[EDITS_PARAMS] = {
    [EDITS_TEMPERATURE] = GROUP_TEMPERATURE, [EDITS_TOP_P] = GROUP_TOP_P,
    [EDITS_MAX_TOKENS] = GROUP_TOKENS,       [EDITS_MAX_COMPLETION_TOKENS] = GROUP_TOKENS,
    [EDITS_REASONING_EFFORT] = GROUP_EFFORT,
};

static const struct str JOINT = {"\\n\\n", 4};

struct rule {
    bool has_cap;
    double cap;
    bool has_missing; /* what is written where nothing is given, and under which name */
    double missing;
    enum edits_param name;
    bool is_given;
};

struct texts { /* around the client's own */
    struct str lead[SOURCES];
    size_t lead_count;
    struct str tail[SOURCES];
    size_t tail_count;
    bool replaces;
};

struct editor {
    struct str body;
    size_t done; /* bytes of the body that are copied or left out */
    struct buf out;
    enum status st;
    struct rule rules[GROUPS];
    struct texts texts;
    const struct demos_picked *demos; /* NULL: none */
    struct chat_edit_notes *notes;
};

/* ---------------------------------------------------------------- output; failures are sticky */

static void put(struct editor *e, struct str bytes)
{
    e->st = e->st == ST_OK ? buf_append(&e->out, bytes) : e->st;
}

static void put_escaped(struct editor *e, struct str text)
{
    size_t before = e->out.len;
    e->st = e->st == ST_OK ? json_write_escaped(&e->out, text) : e->st;
    e->notes->text_bytes += (int64_t)(e->out.len - before);
}

/* Copies the body up to here. */
static void keep_until(struct editor *e, size_t at)
{
    ASSERT(at >= e->done);
    put(e, str_slice(e->body, e->done, at - e->done));
    e->done = at;
}

static void skip(struct editor *e, size_t bytes)
{
    e->done += bytes;
}

static size_t offset_of(const struct editor *e, struct str part)
{
    return (size_t)(part.ptr - e->body.ptr);
}

static void put_value(struct editor *e, enum edits_param param, double value)
{
    if (groups[param] == GROUP_TOKENS) {
        e->notes->max_tokens = (int64_t)value;
        e->st = e->st == ST_OK ? buf_printf(&e->out, "%lld", (long long)value) : e->st;
    } else if (groups[param] == GROUP_EFFORT) {
        e->st =
            e->st == ST_OK ? buf_printf(&e->out, "\"%s\"", edits_efforts[(size_t)value]) : e->st;
    } else {
        e->st = e->st == ST_OK ? json_write_real(&e->out, value) : e->st;
    }
}

/* ---------------------------------------------------------------- what is to be done */

static void add_caps(struct rule rules[GROUPS], const struct edits_params *params)
{
    for (size_t p = 0; p < EDITS_PARAMS; p++) {
        const struct edits_value *cap = &params->caps[p];
        struct rule *rule = &rules[groups[p]];
        if (cap->is_set && (!rule->has_cap || cap->value < rule->cap)) {
            rule->cap = cap->value;
            rule->has_cap = true;
            rule->has_missing = true;
            rule->missing = cap->value;
            rule->name = (enum edits_param)p;
        }
    }
}

static void add_defaults(struct rule rules[GROUPS], const struct edits_params *params)
{
    for (size_t p = 0; p < EDITS_PARAMS; p++) {
        const struct edits_value *value = &params->defaults[p];
        struct rule *rule = &rules[groups[p]];
        if (value->is_set) {
            rule->has_missing = true;
            rule->missing = rule->has_cap && rule->cap < value->value ? rule->cap : value->value;
            rule->name = (enum edits_param)p;
        }
    }
}

static void add_text(struct texts *t, const struct edits_prompt *prompt)
{
    if (prompt->text.len == 0) {
        return;
    }
    t->replaces = t->replaces || prompt->mode == EDITS_REPLACE;
    if (prompt->mode == EDITS_APPEND) {
        t->tail[t->tail_count++] = prompt->text;
    } else {
        t->lead[t->lead_count++] = prompt->text;
    }
}

static bool has_texts(const struct texts *t)
{
    return t->lead_count + t->tail_count > 0;
}

/* ---------------------------------------------------------------- instructions */

struct message {
    bool is_system;
    struct json_value role;
    struct json_value content;
    size_t inside; /* just after its brace */
};

static struct message look(const struct editor *e, struct json_value item)
{
    struct message m = {0};
    struct json_reader r;
    struct json_value key;
    json_reader_init(&r, item.raw);
    if (item.type != JSON_OBJECT || !json_open(&r, JSON_OBJECT)) {
        return m;
    }
    m.inside = offset_of(e, item.raw) + 1;
    while (json_next_member(&r, &key)) {
        struct json_value *into = json_text_is(key, STR("role"))      ? &m.role
                                  : json_text_is(key, STR("content")) ? &m.content
                                                                      : NULL;
        (void)json_take(&r, into); /* the body was read before: it has no errors */
    }
    m.is_system = json_text_is(m.role, STR("system")) || json_text_is(m.role, STR("developer"));
    return m;
}

static void put_joined(struct editor *e, const struct str *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put(e, i == 0 ? STR("") : JOINT);
        put_escaped(e, texts[i]);
    }
}

/* All instructions as one JSON string. */
static void put_all(struct editor *e)
{
    const struct texts *t = &e->texts;
    put(e, STR("\""));
    put_joined(e, t->lead, t->lead_count);
    put(e, t->lead_count > 0 && t->tail_count > 0 ? JOINT : STR(""));
    put_joined(e, t->tail, t->tail_count);
    put(e, STR("\""));
}

static void put_part(struct editor *e, const struct str *texts, size_t count)
{
    put(e, STR("{\"type\":\"text\",\"text\":\""));
    put_joined(e, texts, count);
    put(e, STR("\"}"));
}

static bool is_empty_array(struct json_value v)
{
    struct json_reader r;
    json_reader_init(&r, v.raw);
    return json_open(&r, JSON_ARRAY) && !json_next_item(&r);
}

static void join_parts(struct editor *e, struct json_value content)
{
    const struct texts *t = &e->texts;
    size_t start = offset_of(e, content.raw);
    bool is_empty = is_empty_array(content);
    keep_until(e, start + 1);
    if (t->lead_count > 0) {
        put_part(e, t->lead, t->lead_count);
        put(e, is_empty && t->tail_count == 0 ? STR("") : STR(","));
    }
    keep_until(e, start + content.raw.len - 1);
    if (t->tail_count > 0) {
        put(e, is_empty ? STR("") : STR(","));
        put_part(e, t->tail, t->tail_count);
    }
}

static void join_string(struct editor *e, struct json_value content)
{
    const struct texts *t = &e->texts;
    size_t start = offset_of(e, content.raw);
    keep_until(e, start + 1);
    put_joined(e, t->lead, t->lead_count);
    put(e, t->lead_count > 0 ? JOINT : STR(""));
    keep_until(e, start + content.raw.len - 1);
    put(e, t->tail_count > 0 ? JOINT : STR(""));
    put_joined(e, t->tail, t->tail_count);
}

static void join_message(struct editor *e, struct json_value item, const struct message *m)
{
    size_t start = offset_of(e, item.raw);
    if (e->texts.replaces) {
        keep_until(e, start);
        put(e, STR("{\"role\":"));
        put(e, m->role.raw);
        put(e, STR(",\"content\":"));
        put_all(e);
        put(e, STR("}"));
        skip(e, item.raw.len);
    } else if (m->content.type == JSON_ARRAY) {
        join_parts(e, m->content);
    } else if (m->content.type == JSON_STRING && m->content.raw.len > 2) {
        join_string(e, m->content);
    } else if (m->content.type != JSON_NONE) { /* null, an empty text, or no text at all */
        keep_until(e, offset_of(e, m->content.raw));
        put_all(e);
        skip(e, m->content.raw.len);
    } else {
        keep_until(e, m->inside);
        put(e, STR("\"content\":"));
        put_all(e);
        put(e, STR(","));
    }
}

static bool has_system(const struct editor *e, struct json_value messages)
{
    struct json_reader r;
    struct json_value item;
    bool has = false;
    json_reader_init(&r, messages.raw);
    (void)json_open(&r, JSON_ARRAY);
    while (!has && json_next_item(&r)) {
        has = json_take(&r, &item) && look(e, item).is_system;
    }
    return has;
}

/* Where the last message of the user's begins; the end of the body: there is none. */
static size_t last_user(const struct editor *e, struct json_value messages)
{
    struct json_reader r;
    struct json_value item;
    size_t at = e->body.len;
    json_reader_init(&r, messages.raw);
    (void)json_open(&r, JSON_ARRAY);
    while (json_next_item(&r) && json_take(&r, &item)) {
        at = json_text_is(look(e, item).role, STR("user")) ? offset_of(e, item.raw) : at;
    }
    return at;
}

static void put_demos(struct editor *e)
{
    for (size_t i = 0; i < e->demos->count; i++) {
        put(e, e->demos->messages[i]);
        e->notes->text_bytes += (int64_t)e->demos->messages[i].len;
        e->notes->demo_lines[e->notes->demo_count++] = e->demos->lines[i];
    }
}

/* A system message, as the texts want it. *is_joined: they stand in one already. */
static void edit_system(struct editor *e, struct json_value item, const struct message *m,
                        size_t previous_end, bool *is_joined)
{
    size_t end = offset_of(e, item.raw) + item.raw.len;
    if (!*is_joined) {
        join_message(e, item, m);
        *is_joined = true;
    } else if (e->texts.replaces) {
        keep_until(e, previous_end);
        skip(e, end - previous_end);
    }
}

static void edit_messages(struct editor *e, struct json_value messages)
{
    struct json_reader r;
    struct json_value item;
    size_t demos_at = e->demos == NULL ? e->body.len : last_user(e, messages);
    bool is_joined = !has_texts(&e->texts) || !has_system(e, messages);
    bool joins = !is_joined;
    if (!joins && has_texts(&e->texts)) {
        keep_until(e, offset_of(e, messages.raw) + 1);
        put(e, STR("{\"role\":\"system\",\"content\":"));
        put_all(e);
        put(e, STR("},"));
    }
    size_t previous_end = 0;
    json_reader_init(&r, messages.raw);
    (void)json_open(&r, JSON_ARRAY);
    while (json_next_item(&r) && json_take(&r, &item)) {
        size_t start = offset_of(e, item.raw);
        struct message m = look(e, item);
        if (joins && m.is_system) {
            edit_system(e, item, &m, previous_end, &is_joined);
        }
        if (start == demos_at) {
            keep_until(e, start);
            put_demos(e);
        }
        previous_end = start + item.raw.len;
    }
}

/* ---------------------------------------------------------------- parameters */

/* EDITS_PARAMS: none of them. */
static size_t param_of(struct json_value key)
{
    size_t p = 0;
    while (p < EDITS_PARAMS &&
           !json_text_is(key, str_from(edits_param_text((enum edits_param)p)))) {
        p++;
    }
    return p;
}

/* What is no proper value counts as more than any cap. */
static bool exceeds(enum group group, struct json_value value, double cap)
{
    double number = 0.0;
    if (group != GROUP_EFFORT) {
        return json_to_real(value, &number) != ST_OK || number > cap;
    }
    for (size_t i = 0; edits_efforts[i] != NULL; i++) {
        if (json_text_is(value, str_from(edits_efforts[i]))) {
            return (double)i > cap;
        }
    }
    return true;
}

static void edit_param(struct editor *e, enum edits_param param, struct json_value value)
{
    struct rule *rule = &e->rules[groups[param]];
    unsigned bit = 1U << param;
    bool is_null = value.type == JSON_NULL;
    if (is_null && !rule->is_given && rule->has_missing) {
        keep_until(e, offset_of(e, value.raw));
        put_value(e, param, rule->missing);
        skip(e, value.raw.len);
        rule->is_given = true;
        e->notes->added |= bit;
    } else if (!is_null && rule->has_cap && exceeds(groups[param], value, rule->cap)) {
        keep_until(e, offset_of(e, value.raw));
        put_value(e, param, rule->cap);
        skip(e, value.raw.len);
        e->notes->lowered |= bit;
    }
}

static void add_missing(struct editor *e)
{
    for (size_t g = 0; g < GROUPS; g++) {
        struct rule *rule = &e->rules[g];
        if (rule->has_missing && !rule->is_given) {
            put(e, STR(",\""));
            put(e, str_from(edits_param_text(rule->name)));
            put(e, STR("\":"));
            put_value(e, rule->name, rule->missing);
            e->notes->added |= 1U << rule->name;
        }
    }
}

/* ---------------------------------------------------------------- all of it */

static void see_params(struct editor *e)
{
    struct json_reader r;
    struct json_value key;
    struct json_value value;
    json_reader_init(&r, e->body);
    (void)json_open(&r, JSON_OBJECT);
    while (json_next_member(&r, &key)) {
        size_t p = param_of(key);
        if (json_take(&r, &value) && p < EDITS_PARAMS && value.type != JSON_NULL) {
            e->rules[groups[p]].is_given = true;
        }
    }
}

static void edit_members(struct editor *e)
{
    struct json_reader r;
    struct json_value key;
    struct json_value value;
    json_reader_init(&r, e->body);
    (void)json_open(&r, JSON_OBJECT);
    while (json_next_member(&r, &key)) {
        size_t p = param_of(key);
        bool is_there = json_take(&r, &value);
        if (is_there && p < EDITS_PARAMS) {
            edit_param(e, (enum edits_param)p, value);
        } else if (is_there && value.type == JSON_ARRAY &&
                   (has_texts(&e->texts) || e->demos != NULL) &&
                   json_text_is(key, STR("messages"))) {
            edit_messages(e, value);
        }
    }
    keep_until(e, json_offset(&r) - 1); /* the closing brace */
    add_missing(e);
    keep_until(e, e->body.len);
}

bool chat_edit_is_empty(const struct chat_edit *edit)
{
    return (edit->demos == NULL || edit->demos->count == 0) &&
           (edit->of_expert == NULL || !edits_any(edit->of_expert)) &&
           (edit->of_category == NULL || !edits_any(edit->of_category));
}

enum status chat_edit_apply(const struct chat_edit *edit, struct str body, struct arena *arena,
                            struct str *ret_body, struct chat_edit_notes *ret_notes)
{
    const struct edits *sources[SOURCES] = {edit->of_expert, edit->of_category};
    struct editor e = {.body = body, .st = ST_OK, .demos = edit->demos, .notes = ret_notes};
    size_t text_bytes = 0;
    memset(ret_notes, 0, sizeof *ret_notes);
    if (chat_edit_is_empty(edit)) {
        *ret_body = body;
        return ST_OK;
    }
    for (size_t i = 0; i < SOURCES; i++) {
        if (sources[i] != NULL) {
            add_caps(e.rules, &sources[i]->params);
            add_text(&e.texts, &sources[i]->prompt);
            text_bytes += sources[i]->prompt.text.len;
        }
    }
    for (size_t i = 0; e.demos != NULL && i < e.demos->count; i++) {
        text_bytes += e.demos->messages[i].len;
    }
    for (size_t i = 0; i < SOURCES; i++) {
        if (sources[i] != NULL) {
            add_defaults(e.rules, &sources[i]->params);
        }
    }
    buf_init(&e.out, GROWTH_MAX * body.len + ESCAPE_BYTES * text_bytes + EDITS_BYTES_MAX);
    see_params(&e);
    edit_members(&e);
    if (e.st == ST_OK) {
        *ret_body = arena_copy(arena, buf_str(&e.out));
        e.st = ret_body->ptr == NULL ? ST_NO_MEMORY : ST_OK;
    }
    buf_fini(&e.out);
    return e.st;
}
