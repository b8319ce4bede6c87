/* See chat_request.h. One pass over the body with the pull reader; texts of messages are decoded only
 * as far as the classifier and the rules look at them. */
#include "gateway/chat_request.h"

#include <string.h>

#include "base/json_scan.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "policies/policy.h"

enum {
    TEXT_WINDOW_BYTES = 4096, /* of an escaped text, decoded from its head and from its tail */
    KEY_BYTES = 1024,         /* of the head and of the tail of a text that names a session */
    TOKENS_MAX = 100000000,
    ANSWERS_MAX = 65536, /* more are counted as so many */
};

enum role {
    ROLE_OTHER,
    ROLE_USER,
    ROLE_ASSISTANT,
    ROLE_SYSTEM,
    ROLE_TOOL,
};

/* The texts that the router looks at, as in struct conversation. */
struct texts {
    struct json_value user[CONVERSATION_TURNS_MAX];
    struct json_value reply[CONVERSATION_TURNS_MAX];
    size_t count;
    struct json_value system;
};

struct parser {
    struct json_reader reader;
    struct arena *arena;
    struct chat_request *request;
    struct chat_error *error;
    struct texts texts;
    bool has_messages;
    bool has_stream;
    bool failed;
    enum status st;
};

static void fail(struct parser *p, enum problem problem, const char *message, struct str param)
{
    if (!p->failed) {
        p->failed = true;
        *p->error = (struct chat_error){problem, str_from(message), param};
    }
}

static struct chat_range range_of(const struct parser *p, struct json_value v)
{
    return (struct chat_range){(size_t)(v.raw.ptr - p->request->body.ptr), v.raw.len};
}

/* ---------------------------------------------------------------- messages */

static enum role role_of(struct json_value v)
{
    static const struct {
        struct str name;
        enum role role;
    } roles[] = {
        {{"user", 4}, ROLE_USER},     {{"assistant", 9}, ROLE_ASSISTANT},
        {{"system", 6}, ROLE_SYSTEM}, {{"developer", 9}, ROLE_SYSTEM},
        {{"tool", 4}, ROLE_TOOL},     {{"function", 8}, ROLE_TOOL},
    };

    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (json_text_is(v, roles[i].name)) {
            return roles[i].role;
        }
    }
    return ROLE_OTHER;
}

/* One part of a multi-part content: the text, if it is one; what it needs, if it is something else. */
static struct json_value read_part(struct parser *p)
{
    struct json_value key;
    struct json_value text = {0};
    struct json_value type = {0};
    struct json_reader *r = &p->reader;
    if (json_peek(r) != JSON_OBJECT) {
        (void)json_take(r, NULL); /* errors are sticky and seen by json_close */
        return text;
    }
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        if (json_text_is(key, STR("text"))) {
            (void)json_take(r, &text);
        } else if (json_text_is(key, STR("type"))) {
            (void)json_take(r, &type);
        } else {
            (void)json_take(r, NULL);
        }
    }
    if (json_text_is(type, STR("image_url"))) {
        p->request->prompt.needs |= POLICY_VISION;
    } else if (json_text_is(type, STR("input_audio"))) {
        p->request->prompt.needs |= POLICY_AUDIO;
    }
    return text.type == JSON_STRING ? text : (struct json_value){0};
}

/* A content: a string, or parts, of which the longest text speaks for the message. */
static struct json_value read_content(struct parser *p)
{
    struct json_value value = {0};
    struct json_reader *r = &p->reader;
    if (json_peek(r) != JSON_ARRAY) {
        (void)json_take(r, &value);
        p->request->prompt.text_bytes += (int64_t)value.raw.len;
        return value.type == JSON_STRING ? value : (struct json_value){0};
    }
    (void)json_open(r, JSON_ARRAY);
    while (json_next_item(r)) {
        struct json_value text = read_part(p);
        p->request->prompt.text_bytes += (int64_t)text.raw.len;
        if (text.type == JSON_STRING && text.raw.len > value.raw.len) {
            value = text;
        }
    }
    return value;
}

/* A new user turn; when there is no room, the oldest after the opening one goes. */
static void keep_turn(struct texts *t, struct json_value text)
{
    enum {
        MOVED = CONVERSATION_TURNS_MAX - 2
    };

    if (t->count == CONVERSATION_TURNS_MAX) {
        memmove(&t->user[1], &t->user[2], MOVED * sizeof t->user[0]);
        memmove(&t->reply[1], &t->reply[2], MOVED * sizeof t->reply[0]);
        t->count--;
    }
    t->user[t->count] = text;
    t->reply[t->count] = (struct json_value){0};
    t->count++;
}

static void keep_text(struct texts *t, enum role role, struct json_value text)
{
    if (text.type != JSON_STRING) {
        return;
    }
    if (role == ROLE_USER) {
        keep_turn(t, text);
    } else if (role == ROLE_ASSISTANT && t->count > 0) {
        t->reply[t->count - 1] = text;
    } else if (role == ROLE_SYSTEM) {
        t->system = text;
    }
}

/* What the expert reads, and nobody here. */
static struct json_value count_value(struct parser *p)
{
    struct json_value value = {0};
    (void)json_take(&p->reader, &value); /* errors are sticky and seen by json_close */
    p->request->prompt.text_bytes += (int64_t)value.raw.len;
    return value;
}

/* An array that holds something. */
static bool read_calls(struct parser *p)
{
    struct json_reader *r = &p->reader;
    bool has_calls = false;
    if (json_peek(r) != JSON_ARRAY) {
        (void)json_take(r, NULL);
        return false;
    }
    (void)json_open(r, JSON_ARRAY);
    while (json_next_item(r)) {
        (void)count_value(p);
        has_calls = true;
    }
    return has_calls;
}

static void read_message(struct parser *p)
{
    struct json_value key;
    struct json_value content = {0};
    enum role role = ROLE_OTHER;
    bool has_calls = false;
    struct json_reader *r = &p->reader;
    if (json_peek(r) != JSON_OBJECT) {
        (void)json_take(r, NULL);
        fail(p, PROBLEM_BAD_PARAM, "Each message must be an object.", STR("messages"));
        return;
    }
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        struct json_value value;
        if (json_text_is(key, STR("role"))) {
            role = json_take(r, &value) ? role_of(value) : ROLE_OTHER;
        } else if (json_text_is(key, STR("content"))) {
            content = read_content(p);
        } else if (json_text_is(key, STR("tool_calls"))) {
            has_calls = read_calls(p);
        } else if (json_text_is(key, STR("function_call"))) {
            (void)count_value(p);
        } else {
            (void)json_take(r, NULL);
        }
    }
    keep_text(&p->texts, role, content);
    p->request->prompt.session.is_tool_open =
        role == ROLE_TOOL || (role == ROLE_ASSISTANT && has_calls);
}

static void read_messages(struct parser *p)
{
    if (json_peek(&p->reader) != JSON_ARRAY) {
        (void)json_take(&p->reader, NULL);
        fail(p, PROBLEM_BAD_PARAM, "\"messages\" must be an array.", STR("messages"));
        return;
    }
    (void)json_open(&p->reader, JSON_ARRAY);
    size_t count = 0;
    while (json_next_item(&p->reader)) {
        read_message(p);
        count++;
    }
    if (count == 0) {
        fail(p, PROBLEM_BAD_PARAM, "\"messages\" must not be empty.", STR("messages"));
    }
}

/* ---------------------------------------------------------------- members */

static void read_model(struct parser *p)
{
    struct json_value value;
    if (p->request->model.len > 0) {
        fail(p, PROBLEM_BAD_PARAM, "\"model\" stands twice.", STR("model"));
    }
    if (!json_take(&p->reader, &value)) {
        return;
    }
    if (value.type != JSON_STRING) {
        fail(p, PROBLEM_BAD_PARAM, "\"model\" must be a string.", STR("model"));
        return;
    }
    p->request->model = range_of(p, value);
    if (!value.escaped) {
        p->request->prompt.model = json_plain(value);
        return;
    }
    struct buf name;
    buf_init(&name, value.raw.len + 1);
    p->st = json_decode(value, &name);
    if (p->st == ST_OK) {
        p->request->prompt.model = arena_copy(p->arena, buf_str(&name));
        p->st = p->request->prompt.model.ptr == NULL ? ST_NO_MEMORY : ST_OK;
    }
    buf_fini(&name);
}

static void read_stream(struct parser *p)
{
    struct json_value value = {0};
    if (p->has_stream) {
        fail(p, PROBLEM_BAD_PARAM, "\"stream\" stands twice.", STR("stream"));
    }
    p->has_stream = true;
    (void)json_take(&p->reader, &value);
    if (value.type != JSON_TRUE && value.type != JSON_FALSE && value.type != JSON_NULL) {
        fail(p, PROBLEM_BAD_PARAM, "\"stream\" must be true or false.", STR("stream"));
    }
    p->request->is_stream = value.type == JSON_TRUE;
}

static void read_stream_options(struct parser *p)
{
    struct chat_request *request = p->request;
    struct json_reader *r = &p->reader;
    if (request->usage_options.len > 0) {
        fail(p, PROBLEM_BAD_PARAM, "\"stream_options\" stands twice.", STR("stream_options"));
    }
    struct json_value value = {0};
    enum json_type type = json_peek(r);
    if (type != JSON_OBJECT) {
        (void)json_take(r, &value);
        if (type != JSON_NULL) {
            fail(p, PROBLEM_BAD_PARAM, "\"stream_options\" must be an object.",
                 STR("stream_options"));
        }
        request->usage_options = range_of(p, value);
        return;
    }
    struct json_value key;
    size_t start = json_offset(r);
    (void)json_open(r, JSON_OBJECT);
    request->usage_options_is_object = true;
    request->usage_options_is_empty = true;
    while (json_next_member(r, &key)) {
        request->usage_options_is_empty = false;
        (void)json_take(r, &value);
        if (json_text_is(key, STR("include_usage"))) {
            request->include_usage = range_of(p, value);
            request->wants_usage = value.type == JSON_TRUE;
        }
    }
    while (start < request->body.len && request->body.ptr[start] != '{') {
        start++; /* the reader may stand before blanks */
    }
    request->usage_options = (struct chat_range){start, json_offset(r) - start};
}

/* A whole number that is not negative; 0: it is null, or not there, or was refused. */
static int64_t read_count(struct parser *p, struct str name, const char *message)
{
    struct json_value value = {0};
    int64_t count = 0;
    (void)json_take(&p->reader, &value);
    if (value.type == JSON_NULL || value.type == JSON_NONE) {
        return 0;
    }
    if (value.type != JSON_NUMBER || json_to_int(value, &count) != ST_OK || count < 0 ||
        count > TOKENS_MAX) {
        fail(p, PROBLEM_BAD_PARAM, message, name);
        return 0;
    }
    return count;
}

static void read_max_tokens(struct parser *p, struct str name)
{
    int64_t tokens =
        read_count(p, name, "The limit on tokens must be a whole number, not negative.");
    if (tokens > p->request->prompt.max_tokens) {
        p->request->prompt.max_tokens = tokens;
    }
}

static void read_answers(struct parser *p)
{
    int64_t count = read_count(p, STR("n"), "\"n\" must be a whole number, not negative.");
    count = count < ANSWERS_MAX ? count : ANSWERS_MAX;
    if (count - 1 > p->request->prompt.more_answers) {
        p->request->prompt.more_answers = count - 1;
    }
}

static void read_tools(struct parser *p)
{
    if (read_calls(p)) {
        p->request->prompt.needs |= POLICY_TOOLS;
    }
}

static void read_response_format(struct parser *p)
{
    struct json_value value = count_value(p);
    if (value.type == JSON_OBJECT && str_find(value.raw, STR("json")) < value.raw.len) {
        p->request->prompt.needs |= POLICY_JSON;
    }
}

static void read_member(struct parser *p, struct json_value key)
{
    if (json_text_is(key, STR("model"))) {
        read_model(p);
    } else if (json_text_is(key, STR("messages"))) {
        if (p->has_messages) {
            fail(p, PROBLEM_BAD_PARAM, "\"messages\" stands twice.", STR("messages"));
        }
        p->has_messages = true;
        read_messages(p);
    } else if (json_text_is(key, STR("stream"))) {
        read_stream(p);
    } else if (json_text_is(key, STR("stream_options"))) {
        read_stream_options(p);
    } else if (json_text_is(key, STR("max_tokens"))) {
        read_max_tokens(p, STR("max_tokens"));
    } else if (json_text_is(key, STR("max_completion_tokens"))) {
        read_max_tokens(p, STR("max_completion_tokens"));
    } else if (json_text_is(key, STR("n"))) {
        read_answers(p);
    } else if (json_text_is(key, STR("tools"))) {
        read_tools(p);
    } else if (json_text_is(key, STR("functions"))) {
        (void)count_value(p);
    } else if (json_text_is(key, STR("response_format"))) {
        read_response_format(p);
    } else {
        (void)json_take(&p->reader, NULL);
    }
}

/* ---------------------------------------------------------------- texts */

/* Moves a cut in an escaped text forward to where no escape or UTF-8 sequence is torn: to just after a
 * blank or letter that has no backslash within the length of an escape before it. */
static size_t safe_cut(struct str raw, size_t at)
{
    enum {
        ESCAPE_BYTES = 12
    }; /* a surrogate pair */

    for (; at < raw.len; at++) {
        bool is_plain = true;
        for (size_t k = at < ESCAPE_BYTES ? 0 : at - ESCAPE_BYTES; k <= at; k++) {
            unsigned char c = (unsigned char)raw.ptr[k];
            is_plain = is_plain && c != '\\' && c < 0x80;
        }
        if (is_plain) {
            return at;
        }
    }
    return raw.len;
}

/* Decodes one piece of a string's inside. The decoder wants quotes around it. */
static enum status decode_piece(struct buf *out, struct str inside)
{
    struct buf quoted;
    buf_init(&quoted, inside.len + 2);
    enum status st = buf_append_char(&quoted, '"');
    if (st == ST_OK) {
        st = buf_append(&quoted, inside);
    }
    if (st == ST_OK) {
        st = buf_append_char(&quoted, '"');
    }
    if (st == ST_OK) {
        struct json_value value = {JSON_STRING, buf_str(&quoted), true};
        st = json_decode(value, out);
    }
    buf_fini(&quoted);
    return st;
}

/* The text that the router looks at. Long escaped texts: head and tail, with a blank between. */
static enum status read_text(struct parser *p, struct json_value v, struct str *ret_text)
{
    if (!v.escaped) {
        *ret_text = json_plain(v);
        return ST_OK;
    }
    struct buf text;
    buf_init(&text, v.raw.len + 4);
    enum status st;
    struct str inside = str_slice(v.raw, 1, v.raw.len - 2);
    size_t head = inside.len > 3 * (size_t)TEXT_WINDOW_BYTES ? safe_cut(inside, TEXT_WINDOW_BYTES)
                                                             : inside.len;
    size_t tail = safe_cut(inside, inside.len > TEXT_WINDOW_BYTES ? inside.len - TEXT_WINDOW_BYTES
                                                                  : inside.len);
    if (head >= tail) {
        st = json_decode(v, &text);
    } else {
        st = decode_piece(&text, str_slice(inside, 0, head));
        st = st == ST_OK ? buf_append_char(&text, ' ') : st;
        st = st == ST_OK ? decode_piece(&text, str_slice(inside, tail, inside.len)) : st;
    }
    if (st == ST_OK) {
        *ret_text = arena_copy(p->arena, buf_str(&text));
        st = ret_text->ptr == NULL ? ST_NO_MEMORY : ST_OK;
    }
    buf_fini(&text);
    return st;
}

/* Head, tail and length: enough to tell conversations apart, and bounded. */
static uint64_t key_of(struct json_value v)
{
    struct str raw = v.raw;
    uint64_t head = str_hash(str_slice(raw, 0, KEY_BYTES));
    uint64_t tail =
        raw.len <= KEY_BYTES ? head : str_hash(str_slice(raw, raw.len - KEY_BYTES, KEY_BYTES));
    return head * 31 + tail * 7 + raw.len;
}

static enum status read_optional(struct parser *p, struct json_value v, struct str *ret_text)
{
    *ret_text = STR("");
    return v.type == JSON_STRING ? read_text(p, v, ret_text) : ST_OK;
}

static enum status fill_talk(struct parser *p)
{
    const struct texts *t = &p->texts;
    struct prompt *prompt = &p->request->prompt;
    enum status st = read_optional(p, t->system, &prompt->talk.system);
    for (size_t i = 0; st == ST_OK && i < t->count; i++) {
        struct conversation_turn *turn = &prompt->talk.turns[i];
        st = read_optional(p, t->user[i], &turn->user);
        if (st == ST_OK) {
            st = read_optional(p, t->reply[i], &turn->reply);
        }
    }
    prompt->talk.count = t->count;
    prompt->session.key = t->count > 0 ? key_of(t->system) * 1000003 + key_of(t->user[0]) : 0;
    return st;
}

/* ---------------------------------------------------------------- parse */

static enum status report_bad_json(struct parser *p)
{
    const char *why = p->reader.why == NULL ? "it ends too early" : p->reader.why;
    p->error->problem = PROBLEM_BAD_JSON;
    p->error->param = STR("");
    p->error->message = arena_printf(p->arena, "The body is not valid JSON: %s, at byte %zu.", why,
                                     json_offset(&p->reader));
    return p->error->message.ptr == NULL ? ST_NO_MEMORY : ST_INVALID;
}

enum status chat_request_parse(struct str body, struct arena *arena,
                               struct chat_request *ret_request, struct chat_error *ret_error)
{
    struct parser p = {.arena = arena, .request = ret_request, .error = ret_error, .st = ST_OK};
    memset(ret_request, 0, sizeof *ret_request);
    ret_request->body = body;
    json_reader_init(&p.reader, body);
    if (json_peek(&p.reader) == JSON_OBJECT) {
        struct json_value key;
        (void)json_open(&p.reader, JSON_OBJECT);
        while (json_next_member(&p.reader, &key)) {
            read_member(&p, key);
        }
        ret_request->last_brace = json_offset(&p.reader) - 1;
    } else {
        (void)json_take(&p.reader, NULL);
        fail(&p, PROBLEM_BAD_PARAM, "The body must be a JSON object.", STR(""));
    }
    if (json_close(&p.reader) != ST_OK) {
        return report_bad_json(&p);
    }
    if (ret_request->model.len == 0) {
        fail(&p, PROBLEM_MISSING_PARAM,
             "You must provide a \"model\": auto, category/NAME, an alias "
             "or an expert.",
             STR("model"));
    }
    if (!p.has_messages) {
        fail(&p, PROBLEM_MISSING_PARAM, "You must provide \"messages\".", STR("messages"));
    }
    if (p.failed) {
        return ST_INVALID;
    }
    ret_request->prompt.is_stream = ret_request->is_stream;
    return p.st == ST_OK ? fill_talk(&p) : p.st;
}

/* ---------------------------------------------------------------- rewrite */

struct splice {
    struct chat_range where;
    struct str text;
};

static struct splice usage_splice(const struct chat_request *request)
{
    if (request->usage_options.len == 0) {
        return (struct splice){{request->last_brace, 0},
                               STR(",\"stream_options\":{\"include_usage\":true}")};
    }
    if (!request->usage_options_is_object) {
        return (struct splice){request->usage_options, STR("{\"include_usage\":true}")};
    }
    if (request->include_usage.len > 0) {
        return (struct splice){request->include_usage, STR("true")};
    }
    struct str text = request->usage_options_is_empty ? STR("\"include_usage\":true")
                                                      : STR("\"include_usage\":true,");
    return (struct splice){{request->usage_options.start + 1, 0}, text};
}

struct str chat_request_rewrite(const struct chat_request *request, struct str model,
                                bool ask_usage, struct arena *arena)
{
    struct str none = {NULL, 0};
    struct buf name;
    buf_init(&name, model.len * 6 + 2);
    if (json_write_text(&name, model) != ST_OK) {
        buf_fini(&name);
        return none;
    }
    struct splice splices[2] = {{request->model, buf_str(&name)}, {{0, 0}, STR("")}};
    size_t count = 1;
    if (ask_usage && request->is_stream && !request->wants_usage) {
        splices[count++] = usage_splice(request);
        if (splices[1].where.start < splices[0].where.start) {
            struct splice first = splices[1];
            splices[1] = splices[0];
            splices[0] = first;
        }
    }
    size_t len = request->body.len;
    for (size_t i = 0; i < count; i++) {
        len += splices[i].text.len - splices[i].where.len;
    }
    char *out = arena_alloc(arena, len + 1);
    if (out == NULL) {
        buf_fini(&name);
        return none;
    }
    size_t from = 0;
    size_t to = 0;
    for (size_t i = 0; i < count; i++) {
        size_t keep = splices[i].where.start - from;
        memcpy(out + to, request->body.ptr + from, keep);
        memcpy(out + to + keep, splices[i].text.ptr, splices[i].text.len);
        to += keep + splices[i].text.len;
        from = splices[i].where.start + splices[i].where.len;
    }
    memcpy(out + to, request->body.ptr + from, request->body.len - from);
    buf_fini(&name);
    return (struct str){out, len};
}
