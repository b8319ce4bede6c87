/* See kernel_chat.h. */
#include "backends/kernel_chat.h"

#include "backends/kernel.h"
#include "base/json_scan.h"
#include "base/mem.h"

enum {
    MESSAGES_MAX = 10000,
    ARENA_BLOCK_BYTES = 4096,
    TEXT_MAX_BYTES = 32 * 1024 * 1024, /* more than any body that the gateway accepts */
};

struct reading { /* one parse; errors are sticky */
    struct json_reader json;
    struct kernel_chat *chat;
    enum status st;
};

static void refuse(struct reading *r, const char *why)
{
    if (r->st == ST_OK) {
        r->st = ST_INVALID;
        r->chat->why = why;
    }
}

/* Decoded text of a string: borrowed from the body where it has no escapes. */
static struct str text_of(struct reading *r, struct json_value value)
{
    if (!value.escaped) {
        return json_plain(value);
    }
    struct buf decoded;
    struct str text = {NULL, 0};
    buf_init(&decoded, TEXT_MAX_BYTES);
    enum status st = json_decode(value, &decoded);
    if (st == ST_OK) {
        text = arena_copy(r->chat->arena, buf_str(&decoded));
        st = text.ptr == NULL ? ST_NO_MEMORY : ST_OK;
    }
    buf_fini(&decoded);
    if (st != ST_OK) {
        r->st = ST_NO_MEMORY;
        return STR("");
    }
    return text;
}

/* One item of multi-part content: adds the text of a text part to `out`. */
static void read_part(struct reading *r, struct buf *out)
{
    struct json_value key;
    struct json_value text = {.type = JSON_NONE};
    bool is_text = false;
    if (json_peek(&r->json) != JSON_OBJECT) {
        (void)json_take(&r->json, NULL);
        refuse(r, "each part of a message's content must be an object");
        return;
    }
    (void)json_open(&r->json, JSON_OBJECT);
    while (json_next_member(&r->json, &key)) {
        struct json_value value;
        if (!json_take(&r->json, &value)) {
            return;
        }
        if (json_text_is(key, STR("type"))) {
            is_text = json_text_is(value, STR("text"));
        } else if (json_text_is(key, STR("text"))) {
            text = value;
        }
    }
    if (!is_text || text.type != JSON_STRING) {
        return;
    }
    enum status st = out->len > 0 ? buf_append_char(out, '\n') : ST_OK;
    if (st == ST_OK) {
        st = json_decode(text, out);
    }
    if (st != ST_OK) {
        r->st = ST_NO_MEMORY;
    }
}

static struct str read_parts(struct reading *r)
{
    struct buf joined;
    buf_init(&joined, TEXT_MAX_BYTES);
    (void)json_open(&r->json, JSON_ARRAY);
    while (json_next_item(&r->json)) {
        read_part(r, &joined);
    }
    struct str text = STR("");
    if (joined.len > 0 && r->st == ST_OK) {
        text = arena_copy(r->chat->arena, buf_str(&joined));
        if (text.ptr == NULL) {
            r->st = ST_NO_MEMORY;
            text = STR("");
        }
    }
    buf_fini(&joined);
    return text;
}

static struct str read_content(struct reading *r)
{
    struct json_value value;
    enum json_type type = json_peek(&r->json);
    if (type == JSON_ARRAY) {
        return read_parts(r);
    }
    if (!json_take(&r->json, &value)) {
        return STR("");
    }
    if (type == JSON_STRING) {
        return text_of(r, value);
    }
    if (type != JSON_NULL) {
        refuse(r, "a message's content must be a string, an array of parts or null");
    }
    return STR("");
}

static void add_message(struct reading *r, struct ek_message message)
{
    struct kernel_chat *chat = r->chat;
    if (chat->request.message_count == MESSAGES_MAX) {
        refuse(r, "too many messages");
        return;
    }
    if (chat->request.message_count == chat->message_cap) {
        size_t cap = chat->message_cap == 0 ? 16 : chat->message_cap * 2;
        struct ek_message *grown = mem_resize(chat->messages, cap * sizeof *grown);
        if (grown == NULL) {
            r->st = ST_NO_MEMORY;
            return;
        }
        chat->messages = grown;
        chat->message_cap = cap;
    }
    chat->messages[chat->request.message_count] = message;
    chat->request.messages = chat->messages;
    chat->request.message_count++;
}

static void read_message(struct reading *r)
{
    struct json_value key;
    struct ek_message message = {{NULL, 0}, {NULL, 0}};
    if (json_peek(&r->json) != JSON_OBJECT) {
        (void)json_take(&r->json, NULL);
        refuse(r, "each message must be an object");
        return;
    }
    (void)json_open(&r->json, JSON_OBJECT);
    while (json_next_member(&r->json, &key)) {
        struct json_value value;
        if (json_text_is(key, STR("content"))) {
            message.text = kernel_text(read_content(r));
        } else if (json_text_is(key, STR("role")) && json_peek(&r->json) == JSON_STRING) {
            if (json_take(&r->json, &value)) {
                message.role = kernel_text(text_of(r, value));
            }
        } else {
            (void)json_take(&r->json, NULL);
        }
    }
    if (message.role.len == 0) {
        refuse(r, "each message must have a role");
    }
    add_message(r, message);
}

static void read_messages(struct reading *r)
{
    if (json_peek(&r->json) != JSON_ARRAY) {
        (void)json_take(&r->json, NULL);
        refuse(r, "messages must be an array");
        return;
    }
    (void)json_open(&r->json, JSON_ARRAY);
    r->chat->request.message_count = 0; /* of two such members the last one counts, as everywhere */
    while (json_next_item(&r->json) && r->st == ST_OK) {
        read_message(r);
    }
}

static bool read_bool(struct reading *r, const char *why)
{
    struct json_value value = {.type = JSON_NONE};
    (void)json_take(&r->json, &value);
    if (value.type != JSON_TRUE && value.type != JSON_FALSE && value.type != JSON_NULL) {
        refuse(r, why);
    }
    return value.type == JSON_TRUE;
}

static void read_max_tokens(struct reading *r)
{
    struct json_value value = {.type = JSON_NONE};
    int64_t count = 0;
    (void)json_take(&r->json, &value);
    if (value.type == JSON_NULL) {
        return;
    }
    if (value.type != JSON_NUMBER || json_to_int(value, &count) != ST_OK || count < 1) {
        refuse(r, "max_tokens must be a positive integer");
        return;
    }
    if (r->chat->request.max_tokens == 0 || count < r->chat->request.max_tokens) {
        r->chat->request.max_tokens = count;
    }
}

/* A number from 0 on; null counts as none. */
static void read_real(struct reading *r, double *ret_value, const char *why)
{
    struct json_value value = {.type = JSON_NONE};
    double number = 0;
    (void)json_take(&r->json, &value);
    if (value.type == JSON_NULL) {
        return;
    }
    if (value.type != JSON_NUMBER || json_to_real(value, &number) != ST_OK || number < 0) {
        refuse(r, why);
        return;
    }
    *ret_value = number;
}

static void read_seed(struct reading *r)
{
    struct json_value value = {.type = JSON_NONE};
    int64_t seed = 0;
    (void)json_take(&r->json, &value);
    if (value.type == JSON_NULL) {
        return;
    }
    if (value.type != JSON_NUMBER || json_to_int(value, &seed) != ST_OK) {
        refuse(r, "seed must be an integer");
        return;
    }
    r->chat->request.seed = (uint64_t)seed;
    r->chat->request.has_seed = 1;
}

static void add_stop(struct reading *r)
{
    struct kernel_chat *chat = r->chat;
    struct json_value value = {.type = JSON_NONE};
    (void)json_take(&r->json, &value);
    if (value.type == JSON_NULL) {
        return;
    }
    if (value.type != JSON_STRING || chat->request.stop_count == KERNEL_CHAT_STOPS) {
        refuse(r, "stop must be a string or an array of up to four strings");
        return;
    }
    struct str text = text_of(r, value);
    if (text.len > 0) {
        chat->stops[chat->request.stop_count++] = kernel_text(text);
        chat->request.stop = chat->stops;
    }
}

static void read_stop(struct reading *r)
{
    r->chat->request.stop_count = 0;
    if (json_peek(&r->json) != JSON_ARRAY) {
        add_stop(r);
        return;
    }
    (void)json_open(&r->json, JSON_ARRAY);
    while (r->st == ST_OK && json_next_item(&r->json)) {
        add_stop(r);
    }
}

static void read_stream_options(struct reading *r)
{
    struct json_value key;
    if (json_peek(&r->json) != JSON_OBJECT) {
        (void)json_take(&r->json, NULL);
        return;
    }
    (void)json_open(&r->json, JSON_OBJECT);
    while (json_next_member(&r->json, &key)) {
        if (json_text_is(key, STR("include_usage"))) {
            r->chat->includes_usage = read_bool(r, "include_usage must be true or false");
        } else {
            (void)json_take(&r->json, NULL);
        }
    }
}

static void read_choices(struct reading *r)
{
    struct json_value value = {.type = JSON_NONE};
    int64_t count = 1;
    (void)json_take(&r->json, &value);
    if (value.type != JSON_NULL && (json_to_int(value, &count) != ST_OK || count != 1)) {
        refuse(r, "this expert gives one choice: n must be 1");
    }
}

static void read_request(struct reading *r)
{
    struct ek_request *request = &r->chat->request;
    struct json_value key;
    if (!json_open(&r->json, JSON_OBJECT)) {
        return;
    }
    while (r->st == ST_OK && json_next_member(&r->json, &key)) {
        if (json_text_is(key, STR("messages"))) {
            read_messages(r);
        } else if (json_text_is(key, STR("stream"))) {
            r->chat->is_stream = read_bool(r, "stream must be true or false");
        } else if (json_text_is(key, STR("stream_options"))) {
            read_stream_options(r);
        } else if (json_text_is(key, STR("max_tokens")) ||
                   json_text_is(key, STR("max_completion_tokens"))) {
            read_max_tokens(r);
        } else if (json_text_is(key, STR("n"))) {
            read_choices(r);
        } else if (json_text_is(key, STR("temperature"))) {
            read_real(r, &request->temperature, "temperature must be a number from 0 on");
        } else if (json_text_is(key, STR("top_p"))) {
            read_real(r, &request->top_p, "top_p must be a number from 0 on");
        } else if (json_text_is(key, STR("seed"))) {
            read_seed(r);
        } else if (json_text_is(key, STR("stop"))) {
            read_stop(r);
        } else {
            (void)json_take(&r->json, NULL);
        }
    }
}

enum status kernel_chat_parse(struct str body, struct kernel_chat *ret_chat)
{
    *ret_chat = (struct kernel_chat){.request = {.size = sizeof ret_chat->request,
                                                 .temperature = -1,
                                                 .top_p = -1,
                                                 .body = kernel_text(body)}};
    struct reading r = {.chat = ret_chat, .st = ST_OK};
    ret_chat->arena = arena_create(ARENA_BLOCK_BYTES, TEXT_MAX_BYTES * 2UL);
    if (ret_chat->arena == NULL) {
        return ST_NO_MEMORY;
    }
    json_reader_init(&r.json, body);
    read_request(&r);
    if (r.st != ST_NO_MEMORY &&
        (r.json.why != NULL || (r.st == ST_OK && json_close(&r.json) != ST_OK))) {
        r.st = ST_INVALID;
        ret_chat->why = "the request body is not a valid JSON object";
    }
    if (r.st == ST_OK && ret_chat->request.message_count == 0) {
        refuse(&r, "messages must be a non-empty array");
    }
    return r.st;
}

void kernel_chat_fini(struct kernel_chat *chat)
{
    arena_destroy(chat->arena);
    mem_free(chat->messages);
}
