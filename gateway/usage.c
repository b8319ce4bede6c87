/* See usage.h. */
#include "gateway/usage.h"

#include "base/json_scan.h"

static int64_t read_count(struct json_reader *r)
{
    struct json_value value = {0};
    int64_t n = 0;
    (void)json_take(r, &value);
    return value.type == JSON_NUMBER && json_to_int(value, &n) == ST_OK && n > 0 ? n : 0;
}

static void read_details(struct json_reader *r, struct usage *usage)
{
    struct json_value key;
    if (json_peek(r) != JSON_OBJECT) {
        (void)json_take(r, NULL);
        return;
    }
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        if (json_text_is(key, STR("cached_tokens"))) {
            usage->cached_tokens = read_count(r);
        } else {
            (void)json_take(r, NULL);
        }
    }
}

static void read_usage(struct json_reader *r, struct usage *usage)
{
    struct json_value key;
    if (json_peek(r) != JSON_OBJECT) {
        (void)json_take(r, NULL); /* null in ordinary chunks */
        return;
    }
    usage->is_reported = true;
    (void)json_open(r, JSON_OBJECT);
    while (json_next_member(r, &key)) {
        if (json_text_is(key, STR("prompt_tokens"))) {
            usage->prompt_tokens = read_count(r);
        } else if (json_text_is(key, STR("completion_tokens"))) {
            usage->completion_tokens = read_count(r);
        } else if (json_text_is(key, STR("prompt_tokens_details"))) {
            read_details(r, usage);
        } else {
            (void)json_take(r, NULL);
        }
    }
}

enum status usage_read(struct str document, struct usage *ret_usage, bool *ret_is_usage_only)
{
    struct json_reader r;
    struct json_value key;
    struct usage usage = {0};
    bool has_empty_choices = false;
    json_reader_init(&r, document);
    if (json_peek(&r) != JSON_OBJECT) {
        return ST_INVALID;
    }
    (void)json_open(&r, JSON_OBJECT);
    while (json_next_member(&r, &key)) {
        if (json_text_is(key, STR("usage"))) {
            read_usage(&r, &usage);
        } else if (json_text_is(key, STR("choices")) && json_peek(&r) == JSON_ARRAY) {
            (void)json_open(&r, JSON_ARRAY);
            has_empty_choices = true;
            while (json_next_item(&r)) {
                has_empty_choices = false;
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
    *ret_is_usage_only = has_empty_choices && usage.is_reported;
    return ST_OK;
}
