/* See redact_json.h. The text is known to be JSON, so a string ends at the first quote that is not
 * escaped; nothing here needs to know how deep it stands. */
#include "gateway/redact_json.h"

#include "base/json_scan.h"
#include "base/json_write.h"
#include "policies/redact_char.h"

enum {
    EXPANSION = 20 /* as in redact_body.c */
};

bool redact_json_is(struct str text, bool is_arguments)
{
    struct json_reader r;
    size_t at = 0;
    while (at < text.len && str_find_char(STR(" \t\r\n"), text.ptr[at]) < 4) {
        at++;
    }
    char first = redact_char_at(text, at);
    bool needs_it = is_arguments || str_find_char(text, '\\') < text.len;
    if (!needs_it || (first != '{' && first != '[')) {
        return false;
    }
    json_reader_init(&r, text);
    (void)json_take(&r, NULL);
    return json_close(&r) == ST_OK;
}

/* Where the string that begins at `at` ends, behind its quote. */
static size_t string_end(struct str text, size_t at)
{
    for (at++; at < text.len && text.ptr[at] != '"'; at++) {
        at += text.ptr[at] == '\\';
    }
    return at < text.len ? at + 1 : text.len;
}

struct work {
    const struct redact_set *set;
    struct redact_matcher *matcher;
    struct redact_vault *vault;
    struct buf plain;
    struct buf redacted;
};

/* A string, quotes included. */
static enum status redact_string(struct work *w, struct str raw, struct buf *out)
{
    if (str_find_char(raw, '\\') == raw.len) {
        return buf_append(out, raw);
    }
    buf_reset(&w->plain);
    buf_reset(&w->redacted);
    enum status st = json_decode((struct json_value){JSON_STRING, raw, true}, &w->plain);
    if (st == ST_OK) {
        st = redact_text(w->set, w->matcher, w->vault, buf_str(&w->plain), &w->redacted);
    }
    if (st != ST_OK) {
        return st;
    }
    bool is_same = str_eq(buf_str(&w->plain), buf_str(&w->redacted));
    return is_same ? buf_append(out, raw) : json_write_text(out, buf_str(&w->redacted));
}

static enum status redact_strings(struct work *w, struct str text, struct buf *out)
{
    enum status st = ST_OK;
    for (size_t at = 0; st == ST_OK && at < text.len;) {
        size_t quote = at + str_find_char(str_slice(text, at, text.len), '"');
        st = buf_append(out, str_slice(text, at, quote - at));
        at = quote < text.len ? string_end(text, quote) : text.len;
        st = st == ST_OK ? redact_string(w, str_slice(text, quote, at - quote), out) : st;
    }
    return st;
}

/* Length of a placeholder that stands at `at`, outside of strings; 0: none does. */
static size_t placeholder_at(struct str text, size_t at)
{
    if (redact_char_at(text, at) != '[' || !redact_char_is_upper(redact_char_at(text, at + 1))) {
        return 0;
    }
    struct str near = str_slice(text, at, REDACT_PLACEHOLDER_MAX);
    size_t close = str_find_char(near, ']');
    return close < near.len ? close + 1 : 0;
}

/* What goes on from `at` as a number, or as one of which parts were replaced. */
static size_t number_end(struct str text, size_t at, bool *ret_is_replaced)
{
    *ret_is_replaced = false;
    for (;;) {
        size_t len = placeholder_at(text, at);
        *ret_is_replaced = *ret_is_replaced || len > 0;
        char c = redact_char_at(text, at);
        bool is_part = redact_char_is_alnum(c) || c == '-' || c == '+' || c == '.';
        if (len == 0 && !is_part) {
            return at;
        }
        at += len > 0 ? len : 1;
    }
}

/* Quotes around placeholders that stand where numbers stood. */
static enum status quote_numbers(struct str text, struct buf *out)
{
    enum status st = ST_OK;
    for (size_t at = 0; st == ST_OK && at < text.len;) {
        bool is_replaced = false;
        size_t end =
            text.ptr[at] == '"' ? string_end(text, at) : number_end(text, at, &is_replaced);
        end = end > at ? end : at + 1;
        st = is_replaced ? json_write_text(out, str_slice(text, at, end - at))
                         : buf_append(out, str_slice(text, at, end - at));
        at = end;
    }
    return st;
}

enum status redact_json(const struct redact_set *set, struct redact_matcher *matcher,
                        struct redact_vault *vault, struct str text, bool is_arguments,
                        struct buf *out)
{
    struct work w = {.set = set, .matcher = matcher, .vault = vault};
    struct buf strings;
    struct buf all;
    size_t most = text.len * EXPANSION + 64;
    buf_init(&w.plain, most);
    buf_init(&w.redacted, most);
    buf_init(&strings, most);
    buf_init(&all, most);
    enum status st = redact_strings(&w, text, &strings);
    if (st == ST_OK) {
        st = redact_text(set, matcher, vault, buf_str(&strings), &all);
    }
    if (st == ST_OK) {
        st = is_arguments ? quote_numbers(buf_str(&all), out) : buf_append(out, buf_str(&all));
    }
    buf_fini(&w.plain);
    buf_fini(&w.redacted);
    buf_fini(&strings);
    buf_fini(&all);
    return st;
}
