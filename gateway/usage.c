/* See usage.h. */
#include "gateway/usage.h"

#include "base/json_scan.h"

enum {
    BYTES_PER_TOKEN = 4,
    PROMPT_SLACK = 1000000,   /* tokens that images and templates may add */
    COMPLETION_SLACK = 65536, /* reasoning that some experts do not count against the limit */
    COMPLETION_FACTOR = 16,   /* several choices, each with its own limit */
};

static const int64_t COUNT_MAX = (int64_t)1 << 53; /* integers that every JSON reader keeps */

/* A count; null is as if it were not there. */
static bool read_count(struct json_reader *r, struct usage *usage, int64_t *ret_count)
{
    struct json_value value = {0};
    int64_t n = 0;
    if (!json_take(r, &value) || value.type == JSON_NULL) {
        return false;
    }
    if (value.type != JSON_NUMBER || json_to_int(value, &n) != ST_OK || n < 0 || n > COUNT_MAX) {
        usage->is_suspect = true;
        return true;
    }
    *ret_count = n;
    return true;
}

/* The member `name` of an object of details. */
static void read_detail(struct json_reader *r, struct usage *usage, struct str name,
                        int64_t *ret_count)
{
    struct json_value key;
    if (json_peek(r) != JSON_OBJECT) {
        (void)json_take(r, NULL);
        return;
    }
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        if (json_text_is(key, name)) {
            (void)read_count(r, usage, ret_count); /* absent and null are alike */
        } else {
            (void)json_take(r, NULL);
        }
    }
}

bool usage_read_value(struct json_reader *r, struct usage *usage)
{
    struct json_value key;
    bool has_prompt = false;
    bool has_completion = false;
    if (json_peek(r) != JSON_OBJECT) {
        (void)json_take(r, NULL); /* null in ordinary chunks */
        return false;
    }
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        if (json_text_is(key, STR("prompt_tokens"))) {
            has_prompt = read_count(r, usage, &usage->prompt_tokens) || has_prompt;
        } else if (json_text_is(key, STR("completion_tokens"))) {
            has_completion = read_count(r, usage, &usage->completion_tokens) || has_completion;
        } else if (json_text_is(key, STR("prompt_tokens_details"))) {
            read_detail(r, usage, STR("cached_tokens"), &usage->cached_tokens);
        } else if (json_text_is(key, STR("completion_tokens_details"))) {
            read_detail(r, usage, STR("reasoning_tokens"), &usage->reasoning_tokens);
        } else {
            (void)json_take(r, NULL);
        }
    }
    usage->is_reported = usage->is_reported || has_prompt || has_completion;
    usage->lacks_prompt = !has_prompt;
    usage->lacks_completion = !has_completion;
    usage->is_suspect = usage->is_suspect || usage->cached_tokens > usage->prompt_tokens ||
                        usage->reasoning_tokens > usage->completion_tokens;
    return true;
}

enum status usage_read(struct str document, struct str list, struct usage *ret_usage,
                       size_t *ret_answers)
{
    struct json_reader r;
    struct json_value key;
    struct usage usage = {0};
    size_t answers = 0;
    json_reader_init(&r, document);
    if (json_peek(&r) != JSON_OBJECT) {
        return ST_INVALID;
    }
    (void)json_open(&r, JSON_OBJECT);
    while (json_next_member(&r, &key)) {
        if (json_text_is(key, STR("usage"))) {
            (void)usage_read_value(&r, &usage);
        } else if (json_text_is(key, list) && json_peek(&r) == JSON_ARRAY) {
            (void)json_open(&r, JSON_ARRAY);
            while (json_next_item(&r)) {
                answers++;
                (void)json_take(&r, NULL);
            }
        } else {
            (void)json_take(&r, NULL);
        }
    }
    if (json_close(&r) != ST_OK) {
        return ST_INVALID;
    }
    if (usage.is_reported) {
        *ret_usage = usage;
    }
    *ret_answers = answers;
    return ST_OK;
}

bool usage_is_plausible(const struct usage *usage, int64_t prompt_bytes, int64_t max_tokens)
{
    bool is_limited = max_tokens > 0 && max_tokens < COUNT_MAX / COMPLETION_FACTOR;
    int64_t completion_max =
        is_limited ? COMPLETION_FACTOR * max_tokens + COMPLETION_SLACK : COUNT_MAX;
    return !usage->is_suspect && usage->prompt_tokens <= prompt_bytes + PROMPT_SLACK &&
           usage->completion_tokens <= completion_max;
}

/* The bytes of one choice that an expert was paid for: of its message, or its text. */
static int64_t choice_bytes(struct json_reader *r)
{
    struct json_value key;
    struct json_value value = {0};
    int64_t bytes = 0;
    if (json_peek(r) != JSON_OBJECT) {
        (void)json_take(r, NULL);
        return 0;
    }
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        if (json_text_is(key, STR("message")) && json_peek(r) == JSON_OBJECT) {
            (void)json_open(r, JSON_OBJECT);
            while (json_next_member(r, &key)) {
                (void)json_take(r, &value);
                bool is_said =
                    !json_text_is(key, STR("role")) && value.raw.len > 2 && value.type != JSON_NULL;
                bytes += is_said ? (int64_t)value.raw.len - 2 : 0;
            }
            continue;
        }
        (void)json_take(r, &value);
        bytes += json_text_is(key, STR("text")) ? (int64_t)value.raw.len - 2 : 0;
    }
    return bytes;
}

int64_t usage_answer_tokens(struct str document)
{
    struct json_reader r;
    struct json_value key;
    int64_t bytes = 0;
    json_reader_init(&r, document);
    if (json_peek(&r) != JSON_OBJECT) {
        return 0;
    }
    (void)json_open(&r, JSON_OBJECT);
    while (json_next_member(&r, &key)) {
        if (!json_text_is(key, STR("choices")) || json_peek(&r) != JSON_ARRAY) {
            (void)json_take(&r, NULL);
            continue;
        }
        (void)json_open(&r, JSON_ARRAY);
        while (json_next_item(&r)) {
            bytes += choice_bytes(&r);
        }
    }
    return json_close(&r) == ST_OK ? (bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN : 0;
}
