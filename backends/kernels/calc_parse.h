/* Expressions in a list of tokens: where one starts and ends, in reverse Polish notation, and in what
 * unit or form its result is wanted. */
#pragma once

#include "backends/kernels/calc_token.h"

enum {
    CALC_ITEMS_MAX = 2 * CALC_TOKENS_MAX,
    CALC_DEPTH_MAX = 64, /* open parentheses, functions and waiting operators */
    CALC_TARGET_MAX = 4,
};

struct calc_item {
    enum calc_op op; /* CALC_OP_NONE: a number */
    size_t token;    /* CALC_OP_NONE, CALC_OP_UNIT, CALC_OP_ONE */
    size_t count;    /* operands of a function of several */
};

struct calc_target { /* one factor of the unit that the result is wanted in */
    const struct unit *unit;
    int8_t power;
};

struct calc_expression {
    struct calc_item items[CALC_ITEMS_MAX];
    size_t count;
    struct calc_target target[CALC_TARGET_MAX];
    size_t target_count;
    enum calc_op format;    /* CALC_OP_NONE: decimal and fraction as they suit */
    enum calc_op places_op; /* CALC_OP_NONE, CALC_OP_DECIMAL_PLACES, CALC_OP_DIGITS */
    int64_t places;
    size_t end; /* the token after the expression and its target */
};

/* The longest expression that starts at token `start` and asks for something to be worked out: a
 * number alone is none, nor is a piece of something longer that is not understood ("x + 3 * 4").
 * ST_NOT_FOUND: there is none. ST_TOO_BIG: nested too deep. */
MUST_CHECK enum status calc_parse(const struct calc_tokens *tokens, size_t start,
                                  struct calc_expression *ret_expression);
