/* Tokens of the calculator: what the lexer makes of a prompt and the parser reads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/kernels/units.h"
#include "base/arena.h"
#include "base/str.h"

enum calc_kind {
    CALC_WORD,     /* nothing that arithmetic knows: ends an expression */
    CALC_STOP,     /* end of a sentence */
    CALC_NUMBER,   /* num, den */
    CALC_UNIT,     /* unit, power */
    CALC_OPERATOR, /* op */
    CALC_POSTFIX,  /* op: percent, factorial, squared, cubed */
    CALC_FUNCTION, /* op: takes one operand or, `is_list`, several */
    CALC_OPEN,     /* ( */
    CALC_CLOSE,    /* ) */
    CALC_COMMA,
    CALC_AND,
    CALC_TO, /* to, into, as, -> */
    CALC_IN, /* to, or inch; the lexer's last pass decides */
    CALC_BY,
    CALC_FROM,
    CALC_WITH,
    CALC_IS, /* is, equals, = */
    CALC_OF,
    CALC_ARTICLE, /* a, an: one, before a unit */
    CALC_HOW_MANY,
    CALC_FORMAT, /* op: how the result is to be written */
    CALC_PLACES, /* op: the word after "to 3 …" */
};

enum calc_op {
    CALC_OP_NONE,
    /* operators */
    CALC_OP_ADD,
    CALC_OP_SUB,
    CALC_OP_MUL,
    CALC_OP_DIV,
    CALC_OP_MOD,
    CALC_OP_POW,
    CALC_OP_OF,         /* times, after a percentage or a fraction */
    CALC_OP_JOIN,       /* 5 ft 3 in */
    CALC_OP_OFF,        /* 20% off 50 */
    CALC_OP_MORE,       /* 20% more than 50 */
    CALC_OP_PERCENT_OF, /* 20 is what percent of 80 */
    CALC_OP_NEGATE,
    /* postfix */
    CALC_OP_PERCENT,
    CALC_OP_FACTORIAL,
    CALC_OP_SQUARED,
    CALC_OP_CUBED,
    CALC_OP_UNIT, /* number and unit */
    CALC_OP_ONE,  /* a unit alone: one of it */
    /* functions of one operand */
    CALC_OP_SQRT,
    CALC_OP_CBRT,
    CALC_OP_ABS,
    CALC_OP_FACTORIAL_OF,
    CALC_OP_SQUARE_OF,
    CALC_OP_CUBE_OF,
    CALC_OP_DOUBLE,
    CALC_OP_TRIPLE,
    /* functions of several */
    CALC_OP_SUM,
    CALC_OP_PRODUCT,
    CALC_OP_MEAN,
    CALC_OP_MAX,
    CALC_OP_MIN,
    CALC_OP_GCD,
    CALC_OP_LCM,
    CALC_OP_DIFFERENCE,
    CALC_OP_QUOTIENT,
    CALC_OP_SUBTRACT_FROM, /* b - a */
    CALC_OP_MULTIPLY_BY,
    CALC_OP_INCREASE,
    CALC_OP_DECREASE,
    CALC_OP_RAISE,
    CALC_OP_WHAT_PERCENT, /* of a is b */
    CALC_OP_PERCENT_IS,   /* a of b */
    /* formats and places */
    CALC_OP_HEX,
    CALC_OP_BINARY,
    CALC_OP_OCTAL,
    CALC_OP_DECIMAL,
    CALC_OP_FRACTION,
    CALC_OP_AS_PERCENT,
    CALC_OP_DECIMAL_PLACES,
    CALC_OP_DIGITS,
};

struct calc_token {
    enum calc_kind kind;
    enum calc_op op;
    struct str text; /* as it stands in the prompt */
    struct str num;  /* CALC_NUMBER: readable by rational_read */
    struct str den;  /* CALC_NUMBER: the same, empty for 1 */
    const struct unit *unit;
    int8_t power;      /* CALC_UNIT: 1 unless an exponent follows */
    bool has_space;    /* blanks before it */
    bool is_list;      /* CALC_FUNCTION */
    bool wants_parens; /* CALC_FUNCTION: only with ( */
};

enum {
    CALC_TOKENS_MAX = 300,
    CALC_PROMPT_MAX_BYTES = 4000, /* more than any expression that a person writes */
};

struct calc_tokens {
    struct calc_token items[CALC_TOKENS_MAX];
    size_t count;
    size_t unknown_words; /* prose that had no meaning here */
};

/* Splits a prompt into tokens. Texts borrow from the prompt and from the arena. ST_TOO_BIG: too many
 * tokens or bytes. ST_NO_MEMORY. */
MUST_CHECK enum status calc_lex(struct str prompt, struct arena *arena,
                                struct calc_tokens *ret_tokens);
