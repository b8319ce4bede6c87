/* See cache_answer.h. Pieces of a text are joined as they stand between their quotes: what is one string
 * in JSON stays one when it is cut and put together again. */
#include "gateway/cache_answer.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/json_scan.h"

enum {
    HEAD_BYTES = 4096
};

static const struct str text_names[CACHE_ANSWER_TEXTS] = {
    STR_INIT("content"),
    STR_INIT("refusal"),
    STR_INIT("reasoning_content"),
    STR_INIT("reasoning"),
};

static const struct str head_names[] = {
    STR_INIT("id"),
    STR_INIT("created"),
    STR_INIT("model"),
    STR_INIT("system_fingerprint"),
};

/* Index of a key among names; `count`: none of them. */
static size_t index_of(struct json_value key, const struct str *names, size_t count)
{
    size_t i = 0;
    while (i < count && !json_text_is(key, names[i])) {
        i++;
    }
    return i;
}

/* null, [] or {}: says nothing. */
static bool is_nothing(struct json_value v)
{
    struct json_reader r;
    struct json_value key;
    json_reader_init(&r, v.raw);
    return v.type == JSON_NULL ||
           (v.type == JSON_ARRAY && json_open(&r, JSON_ARRAY) && !json_next_item(&r)) ||
           (v.type == JSON_OBJECT && json_open(&r, JSON_OBJECT) && !json_next_member(&r, &key));
}

/* ---------------------------------------------------------------- the key */

struct link { /* parts of fixed size, so that no two chains have the same bytes */
    struct digest before;
    struct digest name;
    struct digest value;
};

static void chain(struct digest *at, struct str name, struct str value)
{
    struct link link = {.before = *at};
    digest_of(name, &link.name);
    digest_of(value, &link.value);
    digest_of((struct str){(const char *)&link, sizeof link}, at);
}

void cache_answer_key(const struct cache_scope *scope, struct str body, struct digest *ret_key,
                      bool *ret_is_sampled)
{
    struct json_reader r;
    struct json_value key;
    struct json_value value = {0};
    double temperature = 1.0;
    memset(ret_key, 0, sizeof *ret_key);
    chain(ret_key, scope->owner, (struct str){(const char *)&scope->expert, sizeof scope->expert});
    json_reader_init(&r, body);
    (void)json_open(&r, JSON_OBJECT);
    while (json_next_member(&r, &key) && json_take(&r, &value)) {
        if (json_text_is(key, STR("stream")) || json_text_is(key, STR("stream_options"))) {
            continue;
        }
        if (json_text_is(key, STR("temperature")) &&
            (value.type != JSON_NUMBER || json_to_real(value, &temperature) != ST_OK)) {
            temperature = 1.0;
        }
        chain(ret_key, key.raw, value.raw);
    }
    *ret_is_sampled = temperature > 0.0;
}

/* ---------------------------------------------------------------- documents */

/* The member `name` of an object; type JSON_NONE: it has none. */
static struct json_value member(struct json_value object, struct str name)
{
    struct json_reader r;
    struct json_value key;
    struct json_value value = {0};
    json_reader_init(&r, object.raw);
    if (object.type != JSON_OBJECT || !json_open(&r, JSON_OBJECT)) {
        return value;
    }
    while (json_next_member(&r, &key)) {
        (void)json_take(&r, json_text_is(key, name) ? &value : NULL);
    }
    return value;
}

static bool is_fit_message(struct json_value message)
{
    struct json_reader r;
    struct json_value key;
    struct json_value value = {0};
    json_reader_init(&r, message.raw);
    if (message.type != JSON_OBJECT || !json_open(&r, JSON_OBJECT)) {
        return false;
    }
    while (json_next_member(&r, &key) && json_take(&r, &value)) {
        bool is_text = index_of(key, text_names, CACHE_ANSWER_TEXTS) < CACHE_ANSWER_TEXTS &&
                       value.type == JSON_STRING;
        if (!is_text && !json_text_is(key, STR("role")) && !is_nothing(value)) {
            return false;
        }
    }
    return true;
}

static bool is_fit_choice(struct json_value choice)
{
    struct json_value logprobs = member(choice, STR("logprobs"));
    return json_text_is(member(choice, STR("finish_reason")), STR("stop")) &&
           is_fit_message(member(choice, STR("message"))) &&
           (logprobs.type == JSON_NONE || is_nothing(logprobs));
}

bool cache_answer_is_fit(struct str document)
{
    struct json_reader r;
    struct json_value item = {0};
    size_t count = 0;
    if (json_validate(document, NULL, NULL) != ST_OK || document.len > CACHE_ANSWER_BYTES) {
        return false;
    }
    json_reader_init(&r, document);
    if (json_peek(&r) != JSON_OBJECT || !json_take(&r, &item)) {
        return false;
    }
    struct json_value choices = member(item, STR("choices"));
    struct json_value error = member(item, STR("error"));
    bool is_fit = choices.type == JSON_ARRAY && (error.type == JSON_NONE || is_nothing(error));
    json_reader_init(&r, choices.raw);
    if (!is_fit || !json_open(&r, JSON_ARRAY)) {
        return false;
    }
    while (json_next_item(&r) && json_take(&r, &item)) {
        is_fit = is_fit && is_fit_choice(item);
        count++;
    }
    return is_fit && count > 0;
}

/* ---------------------------------------------------------------- as a stream */

/* Appends; a failure is kept. */
static void put(struct buf *out, enum status *st, struct str text)
{
    *st = *st == ST_OK ? buf_append(out, text) : *st;
}

/* The members that every event has. */
static void put_head(struct buf *out, enum status *st, struct json_value document)
{
    for (size_t i = 0; i < sizeof head_names / sizeof head_names[0]; i++) {
        struct json_value value = member(document, head_names[i]);
        if (value.type != JSON_NONE) {
            put(out, st, STR("\""));
            put(out, st, head_names[i]);
            put(out, st, STR("\":"));
            put(out, st, value.raw);
            put(out, st, STR(","));
        }
    }
}

static void put_event(struct buf *out, enum status *st, struct json_value document)
{
    put(out, st, STR("data: {"));
    put_head(out, st, document);
    put(out, st, STR("\"object\":\"chat.completion.chunk\",\"choices\":["));
}

static void put_delta(struct buf *out, enum status *st, struct json_value choice)
{
    struct json_value message = member(choice, STR("message"));
    struct json_value role = member(message, STR("role"));
    put(out, st, STR("\"delta\":{\"role\":"));
    put(out, st, role.type == JSON_STRING ? role.raw : STR("\"assistant\""));
    for (size_t i = 0; i < CACHE_ANSWER_TEXTS; i++) {
        struct json_value text = member(message, text_names[i]);
        if (text.type == JSON_STRING) {
            put(out, st, STR(",\""));
            put(out, st, text_names[i]);
            put(out, st, STR("\":"));
            put(out, st, text.raw);
        }
    }
    put(out, st, STR("},\"finish_reason\":null}]}\n\n"));
}

static void put_choice(struct buf *out, enum status *st, struct json_value document,
                       struct json_value choice)
{
    struct json_value index = member(choice, STR("index"));
    for (int is_end = 0; is_end < 2; is_end++) {
        put_event(out, st, document);
        put(out, st, STR("{\"index\":"));
        put(out, st, index.type == JSON_NUMBER ? index.raw : STR("0"));
        put(out, st, STR(","));
        if (is_end == 0) {
            put_delta(out, st, choice);
        } else {
            put(out, st, STR("\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"));
        }
    }
}

/* One line: line ends between the tokens of a document become blanks. */
static enum status append_line(struct buf *out, struct str text)
{
    enum status st = ST_OK;
    while (st == ST_OK && text.len > 0) {
        size_t end = 0;
        while (end < text.len && text.ptr[end] != '\n' && text.ptr[end] != '\r') {
            end++;
        }
        st = buf_append(out, str_slice(text, 0, end));
        if (st == ST_OK && end < text.len) {
            st = buf_append_char(out, ' ');
        }
        text = str_slice(text, end + 1, text.len);
    }
    return st;
}

enum status cache_answer_write_stream(struct str document, bool wants_usage, struct buf *out)
{
    enum status st = ST_OK;
    struct json_reader r;
    struct json_value whole = {0};
    struct json_value item = {0};
    json_reader_init(&r, document);
    (void)json_take(&r, &whole); /* it was found fit */
    json_reader_init(&r, member(whole, STR("choices")).raw);
    (void)json_open(&r, JSON_ARRAY);
    while (json_next_item(&r) && json_take(&r, &item)) {
        put_choice(out, &st, whole, item);
    }
    struct json_value usage = member(whole, STR("usage"));
    if (wants_usage && usage.type == JSON_OBJECT) {
        put_event(out, &st, whole);
        put(out, &st, STR("],\"usage\":"));
        st = st == ST_OK ? append_line(out, usage.raw) : st;
        put(out, &st, STR("}\n\n"));
    }
    put(out, &st, STR("data: [DONE]\n\n"));
    return st;
}

/* ---------------------------------------------------------------- from a stream */

void cache_capture_init(struct cache_capture *c)
{
    memset(c, 0, sizeof *c);
    sse_init(&c->sse, CACHE_ANSWER_BYTES);
    buf_init(&c->head, HEAD_BYTES);
    for (size_t i = 0; i < CACHE_ANSWER_CHOICES; i++) {
        for (size_t k = 0; k < CACHE_ANSWER_TEXTS; k++) {
            buf_init(&c->choices[i].texts[k], CACHE_ANSWER_BYTES);
        }
    }
}

void cache_capture_fini(struct cache_capture *c)
{
    sse_fini(&c->sse);
    buf_fini(&c->head);
    for (size_t i = 0; i < CACHE_ANSWER_CHOICES; i++) {
        for (size_t k = 0; k < CACHE_ANSWER_TEXTS; k++) {
            buf_fini(&c->choices[i].texts[k]);
        }
    }
}

static void refuse_unless(struct cache_capture *c, bool is_fit)
{
    c->is_unfit = c->is_unfit || !is_fit;
}

static void take_delta(struct cache_capture *c, struct cache_choice *choice,
                       struct json_value delta)
{
    struct json_reader r;
    struct json_value key;
    struct json_value value = {0};
    json_reader_init(&r, delta.raw);
    if (delta.type != JSON_OBJECT || !json_open(&r, JSON_OBJECT)) {
        refuse_unless(c, delta.type == JSON_NONE || delta.type == JSON_NULL);
        return;
    }
    while (json_next_member(&r, &key) && json_take(&r, &value)) {
        size_t text = index_of(key, text_names, CACHE_ANSWER_TEXTS);
        if (text < CACHE_ANSWER_TEXTS && value.type == JSON_STRING) {
            refuse_unless(c, buf_append(&choice->texts[text],
                                        str_slice(value.raw, 1, value.raw.len - 2)) == ST_OK);
        } else {
            refuse_unless(c, json_text_is(key, STR("role")) || is_nothing(value));
        }
    }
}

static void take_choice(struct cache_capture *c, struct json_value item)
{
    struct json_value at = member(item, STR("index"));
    struct json_value reason = member(item, STR("finish_reason"));
    struct json_value logprobs = member(item, STR("logprobs"));
    int64_t index = 0;
    bool has_index = at.type == JSON_NUMBER && json_to_int(at, &index) == ST_OK;
    bool is_fit = (has_index || at.type == JSON_NONE) && index >= 0 &&
                  index < CACHE_ANSWER_CHOICES &&
                  (logprobs.type == JSON_NONE || is_nothing(logprobs));
    if (!is_fit) {
        c->is_unfit = true;
        return;
    }
    struct cache_choice *choice = &c->choices[index];
    choice->is_used = true;
    take_delta(c, choice, member(item, STR("delta")));
    if (reason.type == JSON_STRING) {
        refuse_unless(c, json_text_is(reason, STR("stop")));
        choice->has_ended = true;
    }
}

static void take_choices(struct cache_capture *c, struct json_value choices)
{
    struct json_reader r;
    struct json_value item = {0};
    json_reader_init(&r, choices.raw);
    if (choices.type != JSON_ARRAY || !json_open(&r, JSON_ARRAY)) {
        c->is_unfit = true;
        return;
    }
    while (json_next_item(&r) && json_take(&r, &item)) {
        take_choice(c, item);
    }
}

static void take_event(struct cache_capture *c, struct str data)
{
    struct json_reader r;
    struct json_value event = {0};
    enum status st = ST_OK;
    if (str_eq(data, STR("[DONE]"))) {
        c->saw_done = true;
        return;
    }
    json_reader_init(&r, data);
    (void)json_take(&r, &event);
    if (json_close(&r) != ST_OK || event.type != JSON_OBJECT ||
        member(event, STR("error")).type > JSON_NULL) {
        c->is_unfit = true;
        return;
    }
    if (!c->has_head) {
        put_head(&c->head, &st, event);
        c->has_head = true;
        refuse_unless(c, st == ST_OK);
    }
    take_choices(c, member(event, STR("choices")));
}

void cache_capture_feed(struct cache_capture *c, struct str bytes)
{
    struct sse_event event;
    if (c->is_unfit) {
        return;
    }
    sse_feed(&c->sse, bytes);
    enum status st = sse_next(&c->sse, &event);
    for (; st == ST_OK; st = sse_next(&c->sse, &event)) {
        take_event(c, event.data);
    }
    refuse_unless(c, st == ST_NOT_FOUND);
}

static void write_choice(const struct cache_choice *choice, size_t index, struct buf *out,
                         enum status *st)
{
    *st = *st == ST_OK ? buf_printf(out, "%s{\"index\":%zu,\"message\":{\"role\":\"assistant\"",
                                    index == 0 ? "" : ",", index)
                       : *st;
    for (size_t i = 0; i < CACHE_ANSWER_TEXTS; i++) {
        struct str text = buf_str(&choice->texts[i]);
        bool is_content = i == 0;
        bool is_required = i < 2; /* content and refusal stand in every message */
        if (text.len == 0 && !is_required) {
            continue;
        }
        put(out, st, STR(",\""));
        put(out, st, text_names[i]);
        put(out, st, text.len > 0 || is_content ? STR("\":\"") : STR("\":null"));
        put(out, st, text);
        put(out, st, text.len > 0 || is_content ? STR("\"") : STR(""));
    }
    put(out, st, STR("},\"logprobs\":null,\"finish_reason\":\"stop\"}"));
}

static enum status write_usage(const struct usage *u, struct buf *out)
{
    return buf_printf(
        out,
        ",\"usage\":{\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64
        ",\"total_tokens\":%" PRId64 ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRId64
        "},\"completion_tokens_details\":{\"reasoning_tokens\":%" PRId64 "}}",
        u->prompt_tokens, u->completion_tokens, u->prompt_tokens + u->completion_tokens,
        u->cached_tokens, u->reasoning_tokens);
}

enum status cache_capture_write(struct cache_capture *c, const struct usage *usage, struct buf *out)
{
    struct sse_event event;
    enum status st = ST_OK;
    if (sse_finish(&c->sse, &event)) {
        take_event(c, event.data);
    }
    refuse_unless(c, c->saw_done && c->choices[0].is_used);
    for (size_t i = 0; i < CACHE_ANSWER_CHOICES; i++) {
        refuse_unless(c, c->choices[i].is_used == c->choices[i].has_ended);
        refuse_unless(c, i == 0 || !c->choices[i].is_used || c->choices[i - 1].is_used);
    }
    if (c->is_unfit) {
        return ST_INVALID;
    }
    put(out, &st, STR("{"));
    put(out, &st, buf_str(&c->head));
    put(out, &st, STR("\"object\":\"chat.completion\",\"choices\":["));
    for (size_t i = 0; i < CACHE_ANSWER_CHOICES && c->choices[i].is_used; i++) {
        write_choice(&c->choices[i], i, out, &st);
    }
    put(out, &st, STR("]"));
    if (st == ST_OK && usage->is_reported) {
        st = write_usage(usage, out);
    }
    put(out, &st, STR("}"));
    return st;
}
