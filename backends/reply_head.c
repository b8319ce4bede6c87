/* See reply_head.h. */
#include "backends/reply_head.h"

#include <string.h>

#include "backends/call_outcome.h"

void reply_head_init(struct reply_head *head)
{
    *head = (struct reply_head){.retry_after_s = -1, .content_length = -1};
}

static void read_length(struct reply_head *head, struct str value)
{
    int64_t length = -1;
    bool is_good = str_to_int(value, &length) == ST_OK && value.ptr[0] != '-';
    if (!is_good || (head->content_length >= 0 && head->content_length != length)) {
        head->lengths++;
    }
    head->content_length = length;
}

static void read_content_type(struct reply_head *head, struct str value)
{
    struct str shown = str_slice(value, 0, sizeof head->content_type - 1);
    for (size_t i = 0; i < shown.len; i++) {
        unsigned char c = (unsigned char)shown.ptr[i];
        head->content_type[i] = c < 0x20 || c >= 0x7f ? ' ' : shown.ptr[i];
    }
    head->content_type[shown.len] = '\0';
}

/* Seconds only: the date form is for people, and no model server sends it. */
static void read_retry_after(struct reply_head *head, struct str value)
{
    int64_t seconds = -1;
    if (str_to_int(value, &seconds) == ST_OK && seconds >= 0 && seconds <= CALL_RETRY_AFTER_MAX_S) {
        head->retry_after_s = seconds;
    }
}

static bool has_close(struct str options)
{
    struct str option;
    while (str_split(options, ',', &option, &options)) {
        if (str_eq_nocase(str_trim(option), STR("close"))) {
            return true;
        }
    }
    return false;
}

/* Blanks in a name hide it from some readers and not from others (RFC 9112 section 5.1). */
static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c >= 0x7f) {
            return false;
        }
    }
    return s.len > 0;
}

bool reply_head_line(struct reply_head *head, struct str line)
{
    size_t colon = str_find_char(line, ':');
    struct str name = str_slice(line, 0, colon);
    if (colon == line.len || !is_name(name)) {
        return false;
    }
    struct str value = str_trim(str_slice(line, colon + 1, line.len));
    if (str_eq_nocase(name, STR("content-length"))) {
        read_length(head, value);
    } else if (str_eq_nocase(name, STR("content-type"))) {
        read_content_type(head, value);
    } else if (str_eq_nocase(name, STR("transfer-encoding"))) {
        head->has_bad_encoding = head->is_chunked || !str_eq_nocase(value, STR("chunked"));
        head->is_chunked = true;
    } else if (str_eq_nocase(name, STR("connection"))) {
        head->closes = head->closes || has_close(value);
    } else if (str_eq_nocase(name, STR("retry-after"))) {
        read_retry_after(head, value);
    } else if (str_eq_nocase(name, STR("content-encoding"))) {
        head->is_encoded = !str_eq_nocase(value, STR("identity"));
    }
    return true;
}

bool reply_head_is_framed(const struct reply_head *head)
{
    return !head->has_bad_encoding && head->lengths == 0 &&
           !(head->is_chunked && head->content_length >= 0);
}

bool reply_head_is_event_stream(const struct reply_head *head)
{
    return str_starts_with_nocase(str_from(head->content_type), STR("text/event-stream"));
}
