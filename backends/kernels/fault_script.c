/* See fault_script.h. Knows nothing of time or of replies. */
#include "backends/kernels/fault_script.h"

/* What an entry has behind its @. */
enum option {
    OPTION_NONE,
    OPTION_PIECES,
    OPTION_MAYBE_PIECES,
    OPTION_TIME,
};

static const struct {
    const char *name;
    enum fault_kind kind;
    enum option option;
} words[] = {
    {"ok", FAULT_NONE, OPTION_NONE},
    {"context_length", FAULT_CONTEXT_LENGTH, OPTION_NONE},
    {"content_filter", FAULT_CONTENT_FILTER, OPTION_NONE},
    {"slow_first", FAULT_SLOW_FIRST, OPTION_TIME},
    {"stall", FAULT_STALL, OPTION_TIME},
    {"cut", FAULT_CUT, OPTION_PIECES},
    {"reset", FAULT_RESET, OPTION_NONE},
    {"no_done", FAULT_NO_DONE, OPTION_NONE},
    {"malformed", FAULT_MALFORMED, OPTION_MAYBE_PIECES},
};

enum {
    PIECES_MAX = 1000000,
    RETRY_MAX_S = 86400,
    STALL_MAX_MS = 3600 * 1000,
};

/* A whole number from 0 to max with nothing around it. */
static bool take_count(struct str text, int64_t max, int64_t *ret_count)
{
    int64_t count = 0;
    if (text.len == 0 || text.ptr[0] < '0' || text.ptr[0] > '9') {
        return false; /* str_to_int would take a sign */
    }
    if (str_to_int(text, &count) != ST_OK || count > max) {
        return false;
    }
    *ret_count = count;
    return true;
}

static bool take_duration(struct str text, int64_t *ret_ms)
{
    int64_t scale = 1000;
    size_t unit = 1;
    if (str_ends_with(text, STR("ms"))) {
        scale = 1;
        unit = 2;
    } else if (!str_ends_with(text, STR("s"))) {
        return false;
    }
    int64_t count = 0;
    if (!take_count(str_slice(text, 0, text.len - unit), STALL_MAX_MS / scale, &count)) {
        return false;
    }
    *ret_ms = count * scale;
    return true;
}

static enum status parse_status(struct str code, struct str option, struct fault *ret_fault,
                                const char **ret_why)
{
    int64_t status = 0;
    struct fault fault = {.kind = FAULT_STATUS, .retry_after_s = -1};
    if (!take_count(code, 599, &status) || status < 400) {
        *ret_why = "expected ok, a status from 400 to 599, context_length, content_filter, "
                   "slow_first@TIME, stall@TIME, cut@PIECES, reset, no_done or malformed";
        return ST_INVALID;
    }
    fault.http_status = (int)status;
    if (option.ptr != NULL) {
        struct str prefix = STR("retry=");
        if (!str_starts_with(option, prefix) ||
            !take_count(str_slice(option, prefix.len, option.len), RETRY_MAX_S,
                        &fault.retry_after_s)) {
            *ret_why = "expected retry=SECONDS after the @, at most 86400";
            return ST_INVALID;
        }
    }
    *ret_fault = fault;
    return ST_OK;
}

static enum status parse_option(enum option wanted, struct str option, struct fault *fault,
                                const char **ret_why)
{
    switch (wanted) {
    case OPTION_NONE:
        *ret_why = "expected nothing after the word";
        return option.ptr == NULL ? ST_OK : ST_INVALID;
    case OPTION_MAYBE_PIECES:
    case OPTION_PIECES:
        *ret_why = "expected a number of pieces after the @, up to 1000000";
        if (wanted == OPTION_MAYBE_PIECES && option.ptr == NULL) {
            return ST_OK;
        }
        return take_count(option, PIECES_MAX, &fault->pieces) ? ST_OK : ST_INVALID;
    case OPTION_TIME:
        *ret_why = "expected a time with a unit after the @, as in 5s or 200ms, at most 1 h";
        return take_duration(option, &fault->pause_ms) ? ST_OK : ST_INVALID;
    }
    return ST_INVALID;
}

enum status fault_script_parse(struct str text, struct fault *ret_fault, const char **ret_why)
{
    size_t at = str_find_char(text, '@');
    struct str name = str_slice(text, 0, at);
    struct str option = {NULL, 0};
    if (at < text.len) {
        option = (struct str){text.ptr + at + 1, text.len - at - 1};
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_eq(name, str_from(words[i].name))) {
            struct fault fault = {.kind = words[i].kind, .retry_after_s = -1};
            const char *why = NULL;
            enum status st = parse_option(words[i].option, option, &fault, &why);
            if (st == ST_OK) {
                *ret_fault = fault;
            } else {
                *ret_why = why;
            }
            return st;
        }
    }
    return parse_status(name, option, ret_fault, ret_why);
}
