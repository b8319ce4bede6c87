/* See usage.h. */
#include "gateway/usage.h"

#include "backends/embed_body.h"
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

struct answers { /* in the list */
    size_t count;
    size_t most; /* the highest index */
    bool are_broken;
    uint64_t seen[EMBED_INPUTS_MAX / 64]; /* a bit for each index */
};

/* Whether the array or string at the cursor holds something. */
static bool read_embedding(struct json_reader *r)
{
    struct json_value value = {0};
    if (json_peek(r) != JSON_ARRAY) {
        return json_take(r, &value) && value.type == JSON_STRING && value.raw.len > 2;
    }
    bool are_numbers = true;
    size_t count = 0;
    (void)json_open(r, JSON_ARRAY);
    while (json_next_item(r)) {
        are_numbers = json_peek(r) == JSON_NUMBER && are_numbers;
        (void)json_take(r, NULL);
        count++;
    }
    return are_numbers && count > 0;
}

/* Without an index it is that of its place. */
static void read_vector(struct json_reader *r, struct answers *a)
{
    struct json_value key;
    struct json_value value = {0};
    int64_t index = (int64_t)a->count;
    bool is_answer = false;
    bool has_index = true;
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        if (json_text_is(key, STR("embedding"))) {
            is_answer = read_embedding(r);
            continue;
        }
        (void)json_take(r, &value);
        if (json_text_is(key, STR("index"))) {
            has_index = value.type == JSON_NUMBER && json_to_int(value, &index) == ST_OK;
        }
    }
    if (!is_answer || !has_index || index < 0 || index >= EMBED_INPUTS_MAX) {
        a->are_broken = true;
        return;
    }
    uint64_t bit = UINT64_C(1) << (index % 64);
    a->are_broken = a->are_broken || (a->seen[index / 64] & bit) != 0;
    a->seen[index / 64] |= bit;
    a->most = (size_t)index > a->most ? (size_t)index : a->most;
}

static void read_answers(struct json_reader *r, enum usage_list list, struct answers *a)
{
    (void)json_open(r, JSON_ARRAY);
    while (json_next_item(r)) {
        bool is_object = json_peek(r) == JSON_OBJECT;
        a->are_broken = a->are_broken || !is_object;
        if (is_object && list == USAGE_VECTORS) {
            read_vector(r, a);
        } else {
            (void)json_take(r, NULL); /* what a choice holds is between expert and client */
        }
        a->count++;
    }
}

enum status usage_read(struct str document, enum usage_list list, struct usage *ret_usage,
                       size_t *ret_answers)
{
    static const struct str names[] = {
        [USAGE_CHOICES] = STR_INIT("choices"), [USAGE_VECTORS] = STR_INIT("data")};
    struct json_reader r;
    struct json_value key;
    struct usage usage = {0};
    struct answers answers = {0};
    json_reader_init(&r, document);
    if (json_peek(&r) != JSON_OBJECT) {
        return ST_INVALID;
    }
    (void)json_open(&r, JSON_OBJECT);
    while (json_next_member(&r, &key)) {
        if (json_text_is(key, STR("usage"))) {
            (void)usage_read_value(&r, &usage);
        } else if (json_text_is(key, names[list]) && json_peek(&r) == JSON_ARRAY) {
            read_answers(&r, list, &answers);
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
    bool is_whole = !answers.are_broken && answers.most < (answers.count > 0 ? answers.count : 1);
    *ret_answers = is_whole ? answers.count : 0;
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
