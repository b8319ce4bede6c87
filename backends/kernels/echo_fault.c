/* See echo_fault.h. Knows nothing of time or of replies. */
#include "backends/kernels/echo_fault.h"

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

static enum status parse_status(struct str code, struct str option, struct echo_fault *ret_fault,
                                const char **ret_why)
{
    int64_t status = 0;
    struct echo_fault fault = {.kind = ECHO_FAULT_STATUS, .retry_after_s = -1};
    if (!take_count(code, 599, &status) || status < 400) {
        *ret_why = "expected ok, a status from 400 to 599, cut@PIECES or stall@TIME";
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

enum status echo_fault_parse(struct str text, struct echo_fault *ret_fault, const char **ret_why)
{
    size_t at = str_find_char(text, '@');
    struct str name = str_slice(text, 0, at);
    struct str option = {NULL, 0};
    if (at < text.len) {
        option = (struct str){text.ptr + at + 1, text.len - at - 1};
    }
    if (str_eq(text, STR("ok"))) {
        *ret_fault = (struct echo_fault){.kind = ECHO_FAULT_NONE, .retry_after_s = -1};
        return ST_OK;
    }
    if (str_eq(name, STR("cut"))) {
        struct echo_fault fault = {.kind = ECHO_FAULT_CUT, .retry_after_s = -1};
        if (!take_count(option, PIECES_MAX, &fault.pieces)) {
            *ret_why = "expected cut@PIECES, a whole number up to 1000000";
            return ST_INVALID;
        }
        *ret_fault = fault;
        return ST_OK;
    }
    if (str_eq(name, STR("stall"))) {
        struct echo_fault fault = {.kind = ECHO_FAULT_STALL, .retry_after_s = -1};
        if (!take_duration(option, &fault.stall_ms)) {
            *ret_why =
                "expected stall@TIME with a unit, as in stall@5s or stall@200ms, at most 1 h";
            return ST_INVALID;
        }
        *ret_fault = fault;
        return ST_OK;
    }
    return parse_status(name, option, ret_fault, ret_why);
}
