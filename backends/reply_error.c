/* See reply_error.h.
 *
 * {"error": {"message", "type", "code"}}      OpenAI, Azure, llama-server, Anthropic ("type": "error")
 * {"error": "text"}                           Ollama, TGI
 * {"object": "error", "message", "type", "code"}    vLLM, older ones */
#include "backends/reply_error.h"

#include "base/json_scan.h"

enum {
    TEXT_MAX = 4096, /* of a message that is looked at */
};

/* Codes and types are compared whole, messages are searched; both without case. */
static const struct {
    enum reply_error kind;
    bool is_code;
    struct str text;
} table[] = {
    {REPLY_ERROR_CONTEXT, true, STR_INIT("context_length_exceeded")},
    {REPLY_ERROR_CONTEXT, true, STR_INIT("exceed_context_size_error")},
    {REPLY_ERROR_CONTEXT, true, STR_INIT("string_above_max_length")},
    {REPLY_ERROR_FILTER, true, STR_INIT("content_filter")},
    {REPLY_ERROR_FILTER, true, STR_INIT("content_policy_violation")},
    {REPLY_ERROR_FILTER, true, STR_INIT("moderation_blocked")},
    {REPLY_ERROR_QUOTA, true, STR_INIT("insufficient_quota")},
    {REPLY_ERROR_QUOTA, true, STR_INIT("billing_hard_limit_reached")},
    {REPLY_ERROR_QUOTA, true, STR_INIT("quota_exceeded")},
    {REPLY_ERROR_CONTEXT, false, STR_INIT("maximum context length")},
    {REPLY_ERROR_CONTEXT, false, STR_INIT("context window")},
    {REPLY_ERROR_CONTEXT, false, STR_INIT("context size")},
    {REPLY_ERROR_CONTEXT, false, STR_INIT("context length")},
    {REPLY_ERROR_CONTEXT, false, STR_INIT("prompt is too long")},
    {REPLY_ERROR_CONTEXT, false, STR_INIT("input is too long")},
    {REPLY_ERROR_CONTEXT, false, STR_INIT("exceeds the maximum number of tokens")},
    {REPLY_ERROR_CONTEXT, false, STR_INIT("`inputs` tokens + `max_new_tokens`")},
};

static bool contains(struct str text, struct str word)
{
    text = str_slice(text, 0, TEXT_MAX);
    for (size_t at = 0; at + word.len <= text.len; at++) {
        if (str_eq_nocase(str_slice(text, at, word.len), word)) {
            return true;
        }
    }
    return false;
}

static void judge(struct reply_error_facts *facts, struct json_value value, bool is_code)
{
    int64_t status = 0;
    if (is_code && value.type == JSON_NUMBER && json_to_int(value, &status) == ST_OK &&
        status >= 400 && status < 600) {
        facts->status = (int)status;
    }
    if (value.type != JSON_STRING || facts->kind != REPLY_ERROR_OTHER) {
        return;
    }
    struct str text = str_slice(value.raw, 1, value.raw.len - 2);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].is_code == is_code &&
            (is_code ? str_eq_nocase(text, table[i].text) : contains(text, table[i].text))) {
            facts->kind = table[i].kind;
            return;
        }
    }
}

/* The members of the object that was opened. */
static void read_members(struct json_reader *r, struct reply_error_facts *facts)
{
    struct json_value key;
    struct json_value value = {0};
    while (json_next_member(r, &key)) {
        (void)json_take(r, &value);
        if (json_text_is(key, STR("code")) || json_text_is(key, STR("type"))) {
            judge(facts, value, true);
        } else if (json_text_is(key, STR("message"))) {
            judge(facts, value, false);
        }
    }
}

struct reply_error_facts reply_error_read(struct str document)
{
    struct reply_error_facts facts = {false, REPLY_ERROR_OTHER, 0};
    struct reply_error_facts outside = facts; /* what stands beside `error` */
    struct json_reader r;
    struct json_value key;
    struct json_value value = {0};
    json_reader_init(&r, document);
    if (json_peek(&r) != JSON_OBJECT) {
        return facts;
    }
    (void)json_open(&r, JSON_OBJECT);
    while (json_next_member(&r, &key)) {
        bool is_error = json_text_is(key, STR("error"));
        if (is_error && json_peek(&r) == JSON_OBJECT) {
            facts.is_error = true;
            (void)json_open(&r, JSON_OBJECT);
            read_members(&r, &facts);
            continue;
        }
        (void)json_take(&r, &value);
        if (is_error && value.type == JSON_STRING) {
            facts.is_error = true;
            judge(&facts, value, false);
        } else if (json_text_is(key, STR("object")) && json_text_is(value, STR("error"))) {
            outside.is_error = true;
        } else if (json_text_is(key, STR("code")) || json_text_is(key, STR("type"))) {
            judge(&outside, value, true);
        } else if (json_text_is(key, STR("message"))) {
            judge(&outside, value, false);
        }
    }
    if (json_close(&r) != ST_OK) {
        return (struct reply_error_facts){false, REPLY_ERROR_OTHER, 0};
    }
    return facts.is_error || !outside.is_error ? facts : outside;
}
