/* See problem.h. */
#include "gateway/problem.h"

#include "base/json_write.h"

static const struct {
    int status;
    const char *type;
    const char *code;
    const char *message;
} table[] = {{500, "api_error", "internal_error", ""},

#define PROBLEM_ROW(name, status, type, code, message) {status, type, code, message},
             PROBLEM_TABLE(PROBLEM_ROW)
#undef PROBLEM_ROW
};

int problem_status(enum problem p)
{
    return table[p].status;
}

const char *problem_code(enum problem p)
{
    return table[p].code;
}

const char *problem_message(enum problem p)
{
    return table[p].message;
}

enum status problem_write(struct buf *out, enum problem p, struct str message, struct str param)
{
    enum status st = buf_append(out, STR("{\"error\":{\"message\":"));
    if (st == ST_OK) {
        st = json_write_text(out, message.len > 0 ? message : str_from(table[p].message));
    }
    if (st == ST_OK) {
        st = buf_printf(out, ",\"type\":\"%s\",\"param\":", table[p].type);
    }
    if (st == ST_OK) {
        st = param.len > 0 ? json_write_text(out, param) : buf_append(out, STR("null"));
    }
    if (st == ST_OK) {
        st = buf_printf(out, ",\"code\":\"%s\"}}", table[p].code);
    }
    return st;
}
