/* Working an expression out: its exact value with its unit, and how it reads. */
#pragma once

#include "backends/kernels/calc_parse.h"

enum calc_problem { /* why there is no result */
    CALC_FINE,
    CALC_DIVISION_BY_ZERO,
    CALC_TOO_BIG,
    CALC_NOT_REAL,     /* even root of a negative number */
    CALC_NOT_RATIONAL, /* power with an exponent that has no small denominator */
    CALC_NOT_WHOLE,    /* factorial, gcd of something else than whole numbers */
    CALC_UNITS_DIFFER, /* adding or converting what cannot be compared */
    CALC_UNITS_POWER,  /* roots and powers that leave no unit, units as exponents */
    CALC_TEMPERATURES, /* arithmetic with points on a temperature scale */
};

struct calc_value {
    struct rational q; /* in base units */
    struct unit_dims dims;
    bool is_percent;     /* written as a percentage */
    bool is_approximate; /* an irrational root was cut */
    bool is_point;       /* on a scale with an offset */
    struct str text;     /* how it was made, for the working */
    int precedence;      /* of text */
};

struct calc_evaluator {
    const struct calc_tokens *tokens;
    struct arena *arena; /* for texts */
    struct calc_value values[CALC_TOKENS_MAX];
    size_t initialised; /* values that own a number */
    size_t count;       /* values on the stack */
    enum calc_problem problem;
    enum status st;
};

void calc_eval_init(struct calc_evaluator *ev, const struct calc_tokens *tokens,
                    struct arena *arena);
void calc_eval_fini(struct calc_evaluator *ev);

/* Works out the expression; the value is borrowed until the next call. It is never NULL with ST_OK,
 * but only its text counts when ev->problem is set. ST_NO_MEMORY. */
MUST_CHECK enum status calc_eval(struct calc_evaluator *ev,
                                 const struct calc_expression *expression,
                                 struct calc_value **ret_value);

/* What to tell the user about a problem: a sentence. */
const char *calc_eval_problem_text(enum calc_problem problem);
