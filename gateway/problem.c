/* See problem.h. */
#include "gateway/problem.h"

#include "base/json_write.h"

static const struct {
    int status;
    enum problem_fault fault;
    const char *type;
    const char *code;
    const char *message;
} table[] = {{500, PROBLEM_FAULT_NONE, "api_error", "internal_error", ""},

#define PROBLEM_ROW(name, status, fault, type, code, message)                                      \
    {status, PROBLEM_FAULT_##fault, type, code, message},
             PROBLEM_TABLE(PROBLEM_ROW)
#undef PROBLEM_ROW
};

int problem_status(enum problem p)
{
    return table[p].status;
}

const char *problem_type(enum problem p)
{
    return table[p].type;
}

const char *problem_code(enum problem p)
{
    return table[p].code;
}

enum problem_fault problem_fault(enum problem p)
{
    return table[p].fault;
}

const char *problem_fault_text(enum problem_fault fault)
{
    static const char *const texts[] = {
        [PROBLEM_FAULT_NONE] = "",
        [PROBLEM_FAULT_CLIENT] = "client",
        [PROBLEM_FAULT_GATEWAY] = "gateway",
        [PROBLEM_FAULT_EXPERT] = "expert",
        [PROBLEM_FAULT_OPERATOR] = "operator",
    };
    return texts[fault];
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
