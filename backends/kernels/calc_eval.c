/* See calc_eval.h. A stack machine over the parser's items. Each operation works on the value and on
 * the text that shows it, with as many parentheses as the text needs. */
#include "backends/kernels/calc_eval.h"

#include "base/assert.h"

enum {
    TEXT_MAX_BYTES = 1500, /* a working that is longer is shown as an ellipsis */
    DIMS_MAX = 9,          /* powers of a base quantity */
    ROOT_MAX = 16,
    LOW_SUM = 2, /* precedences of texts, as in calc_parse.c */
    LOW_PRODUCT = 3,
    LOW_SIGN = 4,
    LOW_POWER = 5,
    LOW_UNIT = 4,
    LOW_ATOM = 10,
};

static struct calc_value *top(struct calc_evaluator *ev, size_t below)
{
    ASSERT(ev->count > below);
    return &ev->values[ev->count - 1 - below];
}

static void fail(struct calc_evaluator *ev, enum calc_problem problem)
{
    if (ev->problem == CALC_FINE) {
        ev->problem = problem;
    }
}

static void note(struct calc_evaluator *ev, enum status st, enum calc_problem invalid)
{
    if (st == ST_TOO_BIG) {
        fail(ev, CALC_TOO_BIG);
    } else if (st != ST_OK) {
        fail(ev, invalid);
    }
}

/* ---- texts ---- */

static void set_text(struct calc_evaluator *ev, struct calc_value *v, struct str text,
                     int precedence)
{
    if (text.ptr == NULL) {
        ev->st = ST_NO_MEMORY;
        text = STR("");
    }
    bool is_long = text.len > TEXT_MAX_BYTES;
    v->text = is_long ? STR("\xE2\x80\xA6") : text;
    v->precedence = is_long ? LOW_ATOM : precedence;
}

/* The text of v, in parentheses if it binds weaker than `precedence`. */
static struct str wrapped(struct calc_evaluator *ev, const struct calc_value *v, int precedence)
{
    if (v->precedence >= precedence) {
        return v->text;
    }
    return arena_printf(ev->arena, "(%.*s)", STR_ARG(v->text));
}

/* a SIGN b, where b must bind stronger than the sign does ("8 - (3 - 1)"). */
static void set_infix(struct calc_evaluator *ev, struct calc_value *a, const char *sign,
                      const struct calc_value *b, int precedence)
{
    struct str left = wrapped(ev, a, precedence);
    struct str right = wrapped(ev, b, precedence + 1);
    set_text(ev, a, arena_printf(ev->arena, "%.*s%s%.*s", STR_ARG(left), sign, STR_ARG(right)),
             precedence);
}

static void set_call(struct calc_evaluator *ev, struct calc_value *v, const char *name)
{
    set_text(ev, v, arena_printf(ev->arena, "%s(%.*s)", name, STR_ARG(v->text)), LOW_ATOM);
}

static bool is_plain_number(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if ((c < '0' || c > '9') && c != '.' && c != ',') {
            return false;
        }
    }
    return text.len > 0;
}

/* ---- operands ---- */

static struct calc_value *push(struct calc_evaluator *ev)
{
    ASSERT(ev->count < CALC_TOKENS_MAX);
    struct calc_value *v = &ev->values[ev->count];
    if (ev->count == ev->initialised) {
        rational_init(&v->q);
        ev->initialised++;
    }
    ev->count++;
    v->dims = (struct unit_dims){{0}};
    v->is_percent = false;
    v->is_approximate = false;
    v->is_point = false;
    return v;
}

static void push_number(struct calc_evaluator *ev, const struct calc_token *token)
{
    struct calc_value *v = push(ev);
    note(ev, rational_read(&v->q, token->num), CALC_TOO_BIG);
    if (token->den.len > 0) {
        struct rational den;
        rational_init(&den);
        note(ev, rational_read(&den, token->den), CALC_TOO_BIG);
        if (ev->problem == CALC_FINE) {
            note(ev, rational_div(&v->q, &den), CALC_DIVISION_BY_ZERO);
        }
        rational_fini(&den);
        set_text(ev, v,
                 arena_printf(ev->arena, "%.*s/%.*s", STR_ARG(token->num), STR_ARG(token->den)),
                 LOW_PRODUCT);
        return;
    }
    set_text(ev, v, is_plain_number(token->text) ? token->text : token->num, LOW_ATOM);
}

static void add_dims(struct calc_evaluator *ev, struct unit_dims *a, const struct unit_dims *b,
                     int times)
{
    for (size_t i = 0; i < UNIT_QUANTITIES; i++) {
        int power = a->powers[i] + times * b->powers[i];
        if (power > DIMS_MAX || power < -DIMS_MAX) {
            fail(ev, CALC_UNITS_POWER);
            return;
        }
        a->powers[i] = (int8_t)power;
    }
}

/* Makes the number v an amount of the unit. */
static void apply_unit(struct calc_evaluator *ev, struct calc_value *v,
                       const struct calc_token *token)
{
    struct rational factor;
    rational_init(&factor);
    rational_set_int(&factor, 1);
    bool is_one = rational_cmp(&v->q, &factor) <= 0;
    units_factor(token->unit, &factor);
    note(ev, rational_pow(&factor, token->power), CALC_UNITS_POWER);
    note(ev, rational_mul(&v->q, &factor), CALC_TOO_BIG);
    if (token->unit->dims.powers[UNIT_TEMPERATURE] != 0) {
        units_offset(token->unit, &factor);
        note(ev, rational_add(&v->q, &factor), CALC_TOO_BIG);
        v->is_point = true;
        if (token->power != 1 || !units_no_dims(&v->dims)) {
            fail(ev, CALC_TEMPERATURES);
        }
    }
    rational_fini(&factor);
    add_dims(ev, &v->dims, &token->unit->dims, token->power);
    v->is_percent = false;
    struct str label = units_label(token->unit, is_one);
    static const char *const powers[] = {"", "", "\xC2\xB2", "\xC2\xB3"};
    set_text(ev, v,
             arena_printf(ev->arena, "%.*s %.*s%s", STR_ARG(wrapped(ev, v, LOW_PRODUCT)),
                          STR_ARG(label), powers[token->power]),
             LOW_UNIT);
}

static void push_one(struct calc_evaluator *ev, const struct calc_token *token)
{
    struct calc_value *v = push(ev);
    rational_set_int(&v->q, 1);
    set_text(ev, v, STR("1"), LOW_ATOM);
    apply_unit(ev, v, token);
    static const char *const powers[] = {"", "", "\xC2\xB2", "\xC2\xB3"};
    set_text(ev, v,
             arena_printf(ev->arena, "%.*s%s", STR_ARG(units_label(token->unit, true)),
                          powers[token->power]),
             LOW_ATOM);
}

/* ---- operators: the result replaces a ---- */

static bool needs_same_units(struct calc_evaluator *ev, const struct calc_value *a,
                             const struct calc_value *b)
{
    if (a->is_point || b->is_point) {
        fail(ev, CALC_TEMPERATURES);
    } else if (!units_same_dims(&a->dims, &b->dims)) {
        fail(ev, CALC_UNITS_DIFFER);
    }
    return ev->problem == CALC_FINE;
}

static bool needs_plain(struct calc_evaluator *ev, const struct calc_value *v)
{
    if (!units_no_dims(&v->dims)) {
        fail(ev, CALC_UNITS_POWER);
    }
    return ev->problem == CALC_FINE;
}

static void multiply(struct calc_evaluator *ev, struct calc_value *a, const struct calc_value *b,
                     bool divides)
{
    if (a->is_point || b->is_point) {
        fail(ev, CALC_TEMPERATURES);
    }
    if (ev->problem == CALC_FINE) {
        note(ev, divides ? rational_div(&a->q, &b->q) : rational_mul(&a->q, &b->q),
             CALC_DIVISION_BY_ZERO);
        add_dims(ev, &a->dims, &b->dims, divides ? -1 : 1);
    }
}

/* a + b; where b is a percentage and a is none, that part of a: 200 + 10% is 220. */
static void add(struct calc_evaluator *ev, struct calc_value *a, struct calc_value *b,
                bool subtracts)
{
    if (b->is_percent && !a->is_percent) {
        set_infix(ev, b, " of ", a, LOW_PRODUCT);
        multiply(ev, b, a, false);
        b->is_percent = false;
    }
    set_infix(ev, a, subtracts ? " - " : " + ", b, LOW_SUM);
    if (needs_same_units(ev, a, b)) {
        note(ev, subtracts ? rational_sub(&a->q, &b->q) : rational_add(&a->q, &b->q), CALC_TOO_BIG);
    }
}

/* 5 ft 3 in; the second amount goes the way of the first: -5 ft 3 in is less than -5 ft. */
static void join(struct calc_evaluator *ev, struct calc_value *a, struct calc_value *b)
{
    set_text(ev, a, arena_printf(ev->arena, "%.*s %.*s", STR_ARG(a->text), STR_ARG(b->text)),
             LOW_UNIT);
    if (needs_same_units(ev, a, b)) {
        bool is_negative = rational_sign(&a->q) < 0;
        note(ev, is_negative ? rational_sub(&a->q, &b->q) : rational_add(&a->q, &b->q),
             CALC_TOO_BIG);
    }
}

/* a^(p/n): the root first, then the power. */
static void take_root(struct calc_evaluator *ev, struct calc_value *v, unsigned n)
{
    bool is_exact = true;
    if (v->is_point) {
        fail(ev, CALC_TEMPERATURES);
    }
    for (size_t i = 0; i < UNIT_QUANTITIES; i++) {
        if (v->dims.powers[i] % (int)n != 0) {
            fail(ev, CALC_UNITS_POWER);
        }
        v->dims.powers[i] = (int8_t)(v->dims.powers[i] / (int)n);
    }
    if (ev->problem == CALC_FINE) {
        note(ev, rational_root(&v->q, n, &is_exact), CALC_NOT_REAL);
        v->is_approximate = v->is_approximate || !is_exact;
    }
    v->is_percent = false;
}

static void raise_to(struct calc_evaluator *ev, struct calc_value *v, int64_t exponent)
{
    if (v->is_point) {
        fail(ev, CALC_TEMPERATURES);
    }
    if (ev->problem != CALC_FINE) {
        return;
    }
    note(ev, rational_pow(&v->q, exponent), CALC_DIVISION_BY_ZERO);
    v->is_percent = false;
    if (!units_no_dims(&v->dims)) {
        struct unit_dims dims = v->dims;
        v->dims = (struct unit_dims){{0}};
        if (exponent > DIMS_MAX || exponent < -DIMS_MAX) {
            fail(ev, CALC_UNITS_POWER);
        } else {
            add_dims(ev, &v->dims, &dims, (int)exponent);
        }
    }
}

static void power(struct calc_evaluator *ev, struct calc_value *a, const struct calc_value *b)
{
    struct str left = wrapped(ev, a, LOW_ATOM);
    struct str right = wrapped(ev, b, LOW_POWER);
    set_text(ev, a, arena_printf(ev->arena, "%.*s^%.*s", STR_ARG(left), STR_ARG(right)), LOW_POWER);
    if (!needs_plain(ev, b)) {
        return;
    }
    struct rational part;
    int64_t num = 0;
    int64_t den = 0;
    rational_init(&part);
    mpq_set_z(part.q, mpq_numref(b->q.q));
    bool is_small = rational_to_int(&part, INT64_MAX / 2, &num);
    mpq_set_z(part.q, mpq_denref(b->q.q));
    bool is_root = rational_to_int(&part, ROOT_MAX, &den);
    rational_fini(&part);
    if (!is_root) {
        fail(ev, CALC_NOT_RATIONAL);
    } else if (!is_small) {
        fail(ev, CALC_TOO_BIG);
    } else {
        if (den > 1) {
            take_root(ev, a, (unsigned)den);
        }
        raise_to(ev, a, num);
    }
}

static void percent_of(struct calc_evaluator *ev, struct calc_value *a, struct calc_value *b)
{
    set_infix(ev, a, " / ", b, LOW_PRODUCT);
    multiply(ev, a, b, true);
    a->is_percent = true;
}

static void binary(struct calc_evaluator *ev, enum calc_op op)
{
    struct calc_value *a = top(ev, 1);
    struct calc_value *b = top(ev, 0);
    bool is_percent = a->is_percent && b->is_percent && (op == CALC_OP_ADD || op == CALC_OP_SUB);
    switch ((int)op) {
    case CALC_OP_ADD:
    case CALC_OP_SUB:
        add(ev, a, b, op == CALC_OP_SUB);
        break;
    case CALC_OP_JOIN:
        join(ev, a, b);
        break;
    case CALC_OP_MUL:
        set_infix(ev, a, " \xC3\x97 ", b, LOW_PRODUCT);
        multiply(ev, a, b, false);
        break;
    case CALC_OP_OF:
        set_infix(ev, a, " of ", b, LOW_PRODUCT);
        multiply(ev, a, b, false);
        break;
    case CALC_OP_DIV:
        set_infix(ev, a, " / ", b, LOW_PRODUCT);
        multiply(ev, a, b, true);
        break;
    case CALC_OP_MOD:
        set_infix(ev, a, " mod ", b, LOW_PRODUCT);
        if (needs_same_units(ev, a, b)) {
            note(ev, rational_mod(&a->q, &b->q), CALC_DIVISION_BY_ZERO);
        }
        break;
    case CALC_OP_POW:
        power(ev, a, b);
        break;
    default: /* CALC_OP_PERCENT_OF */
        percent_of(ev, a, b);
        is_percent = true;
        break;
    }
    a->is_approximate = a->is_approximate || b->is_approximate;
    a->is_percent = is_percent;
    ev->count--;
}

static void swap(struct calc_evaluator *ev)
{
    struct calc_value other = *top(ev, 0);
    *top(ev, 0) = *top(ev, 1);
    *top(ev, 1) = other;
}

/* ---- functions ---- */

static void factorial(struct calc_evaluator *ev, struct calc_value *v)
{
    set_text(ev, v, arena_printf(ev->arena, "%.*s!", STR_ARG(wrapped(ev, v, LOW_ATOM))), LOW_ATOM);
    if (needs_plain(ev, v)) {
        note(ev, rational_factorial(&v->q), CALC_NOT_WHOLE);
        v->is_percent = false;
    }
}

static void whole_power(struct calc_evaluator *ev, struct calc_value *v, int exponent)
{
    set_text(ev, v, arena_printf(ev->arena, "%.*s^%d", STR_ARG(wrapped(ev, v, LOW_ATOM)), exponent),
             LOW_POWER);
    raise_to(ev, v, exponent);
}

static void times_small(struct calc_evaluator *ev, int64_t factor)
{
    struct calc_value *a = push(ev);
    rational_set_int(&a->q, factor);
    set_text(ev, a, factor == 2 ? STR("2") : STR("3"), LOW_ATOM);
    swap(ev);
    binary(ev, CALC_OP_MUL);
}

static void percent(struct calc_evaluator *ev, struct calc_value *v)
{
    struct rational hundred;
    set_text(ev, v, arena_printf(ev->arena, "%.*s%%", STR_ARG(wrapped(ev, v, LOW_ATOM))), LOW_ATOM);
    if (!needs_plain(ev, v)) {
        return;
    }
    rational_init(&hundred);
    rational_set_int(&hundred, 100);
    note(ev, rational_div(&v->q, &hundred), CALC_TOO_BIG);
    rational_fini(&hundred);
    v->is_percent = true;
}

static void negate(struct calc_evaluator *ev, struct calc_value *v)
{
    if (v->is_point) {
        fail(ev, CALC_TEMPERATURES);
    }
    rational_negate(&v->q);
    set_text(ev, v, arena_printf(ev->arena, "-%.*s", STR_ARG(wrapped(ev, v, LOW_POWER))), LOW_SIGN);
}

static void unary(struct calc_evaluator *ev, enum calc_op op)
{
    struct calc_value *v = top(ev, 0);
    switch ((int)op) {
    case CALC_OP_NEGATE:
        negate(ev, v);
        break;
    case CALC_OP_PERCENT:
        percent(ev, v);
        break;
    case CALC_OP_FACTORIAL:
    case CALC_OP_FACTORIAL_OF:
        factorial(ev, v);
        break;
    case CALC_OP_SQUARED:
    case CALC_OP_SQUARE_OF:
        whole_power(ev, v, 2);
        break;
    case CALC_OP_CUBED:
    case CALC_OP_CUBE_OF:
        whole_power(ev, v, 3);
        break;
    case CALC_OP_SQRT:
        set_call(ev, v, "sqrt");
        take_root(ev, v, 2);
        break;
    case CALC_OP_CBRT:
        set_call(ev, v, "cbrt");
        take_root(ev, v, 3);
        break;
    case CALC_OP_ABS:
        set_call(ev, v, "abs");
        rational_abs(&v->q);
        break;
    default: /* CALC_OP_DOUBLE, CALC_OP_TRIPLE */
        times_small(ev, op == CALC_OP_DOUBLE ? 2 : 3);
        break;
    }
}

/* Folds the `count` values on top of the stack with one operator, from the left. */
static void fold(struct calc_evaluator *ev, enum calc_op op, size_t count)
{
    struct calc_value *first = top(ev, count - 1);
    for (size_t i = 1; i < count && ev->problem == CALC_FINE; i++) {
        struct calc_value *b = first + i;
        if (op == CALC_OP_SUM) {
            set_infix(ev, first, " + ", b, LOW_SUM);
            if (needs_same_units(ev, first, b)) {
                note(ev, rational_add(&first->q, &b->q), CALC_TOO_BIG);
            }
        } else {
            set_infix(ev, first, " \xC3\x97 ", b, LOW_PRODUCT);
            multiply(ev, first, b, false);
        }
        first->is_approximate = first->is_approximate || b->is_approximate;
    }
    first->is_percent = false;
    ev->count -= count - 1;
}

static void mean(struct calc_evaluator *ev, size_t count)
{
    fold(ev, CALC_OP_SUM, count);
    struct calc_value *v = push(ev);
    rational_set_int(&v->q, (int64_t)count);
    set_text(ev, v, arena_printf(ev->arena, "%zu", count), LOW_ATOM);
    binary(ev, CALC_OP_DIV);
}

static void choose(struct calc_evaluator *ev, const struct calc_value *b, enum calc_op op,
                   struct calc_value *a)
{
    if (op == CALC_OP_GCD || op == CALC_OP_LCM) {
        if (needs_plain(ev, a) && needs_plain(ev, b)) {
            note(ev, op == CALC_OP_GCD ? rational_gcd(&a->q, &b->q) : rational_lcm(&a->q, &b->q),
                 CALC_NOT_WHOLE);
        }
        return;
    }
    if (needs_same_units(ev, a, b)) {
        int order = rational_cmp(&b->q, &a->q);
        if (op == CALC_OP_MAX ? order > 0 : order < 0) {
            rational_set(&a->q, &b->q);
        }
    }
}

/* max, min, gcd, lcm */
static void pick(struct calc_evaluator *ev, enum calc_op op, const char *name, size_t count)
{
    struct calc_value *first = top(ev, count - 1);
    struct str list = first->text;
    for (size_t i = 1; i < count && ev->problem == CALC_FINE; i++) {
        const struct calc_value *b = first + i;
        choose(ev, b, op, first);
        list = arena_printf(ev->arena, "%.*s, %.*s", STR_ARG(list), STR_ARG(b->text));
        first->is_approximate = first->is_approximate || b->is_approximate;
    }
    first->is_percent = false;
    ev->count -= count - 1;
    set_text(ev, first, list, LOW_ATOM);
    set_call(ev, first, name);
}

static void list(struct calc_evaluator *ev, enum calc_op op, size_t count)
{
    switch ((int)op) {
    case CALC_OP_SUM:
        if (count == 2) { /* "add 15% to 80" is 92 */
            if (top(ev, 1)->is_percent) {
                swap(ev);
            }
            binary(ev, CALC_OP_ADD);
        } else {
            fold(ev, op, count);
        }
        break;
    case CALC_OP_PRODUCT:
    case CALC_OP_MULTIPLY_BY:
        fold(ev, CALC_OP_PRODUCT, count);
        break;
    case CALC_OP_MEAN:
        mean(ev, count);
        break;
    case CALC_OP_MAX:
        pick(ev, op, "max", count);
        break;
    case CALC_OP_MIN:
        pick(ev, op, "min", count);
        break;
    case CALC_OP_GCD:
        pick(ev, op, "gcd", count);
        break;
    case CALC_OP_LCM:
        pick(ev, op, "lcm", count);
        break;
    case CALC_OP_QUOTIENT:
        binary(ev, CALC_OP_DIV);
        break;
    case CALC_OP_SUBTRACT_FROM:
        swap(ev);
        binary(ev, CALC_OP_SUB);
        break;
    case CALC_OP_INCREASE:
        binary(ev, CALC_OP_ADD);
        break;
    case CALC_OP_RAISE:
        if (count == 2) {
            binary(ev, CALC_OP_POW);
        }
        break;
    case CALC_OP_WHAT_PERCENT: /* of a is b */
        swap(ev);
        binary(ev, CALC_OP_PERCENT_OF);
        break;
    case CALC_OP_PERCENT_IS:
        binary(ev, CALC_OP_PERCENT_OF);
        break;
    default: /* CALC_OP_DIFFERENCE, CALC_OP_DECREASE */
        binary(ev, CALC_OP_SUB);
        break;
    }
}

static void run_item(struct calc_evaluator *ev, const struct calc_item *item)
{
    const struct calc_token *token = &ev->tokens->items[item->token];
    if (item->op == CALC_OP_NONE) {
        push_number(ev, token);
    } else if (item->op == CALC_OP_ONE) {
        push_one(ev, token);
    } else if (item->op == CALC_OP_UNIT) {
        apply_unit(ev, top(ev, 0), token);
    } else if (item->op == CALC_OP_OFF || item->op == CALC_OP_MORE) {
        swap(ev); /* 20% off 50 is 50 - 20% */
        binary(ev, item->op == CALC_OP_OFF ? CALC_OP_SUB : CALC_OP_ADD);
    } else if (item->op <= CALC_OP_PERCENT_OF) {
        binary(ev, item->op);
    } else if (item->op < CALC_OP_SUM) {
        unary(ev, item->op);
    } else {
        list(ev, item->op, item->count);
    }
}

void calc_eval_init(struct calc_evaluator *ev, const struct calc_tokens *tokens,
                    struct arena *arena)
{
    ev->tokens = tokens;
    ev->arena = arena;
    ev->initialised = 0;
    ev->count = 0;
}

void calc_eval_fini(struct calc_evaluator *ev)
{
    for (size_t i = 0; i < ev->initialised; i++) {
        rational_fini(&ev->values[i].q);
    }
}

enum status calc_eval(struct calc_evaluator *ev, const struct calc_expression *expression,
                      struct calc_value **ret_value)
{
    ev->count = 0;
    ev->problem = CALC_FINE;
    ev->st = ST_OK;
    for (size_t i = 0; i < expression->count && ev->st == ST_OK; i++) {
        run_item(ev, &expression->items[i]);
        if (ev->problem != CALC_FINE) {
            /* the value is lost; the text so far shows where */
            break;
        }
    }
    if (ev->st == ST_OK) {
        ASSERT(ev->count > 0);
        *ret_value = top(ev, 0);
    }
    return ev->st;
}

const char *calc_eval_problem_text(enum calc_problem problem)
{
    static const char *const texts[] = {
        [CALC_FINE] = "",
        [CALC_DIVISION_BY_ZERO] = "division by zero has no result",
        [CALC_TOO_BIG] = "the result has more than 4,900 digits, which is where I stop",
        [CALC_NOT_REAL] = "an even root of a negative number is not a real number",
        [CALC_NOT_RATIONAL] = "I can only raise to whole numbers and simple fractions",
        [CALC_NOT_WHOLE] = "this is only defined for whole numbers that are not negative",
        [CALC_UNITS_DIFFER] = "these units measure different things",
        [CALC_UNITS_POWER] = "this operation makes no sense with these units",
        [CALC_TEMPERATURES] = "I can convert temperatures, but not calculate with them",
    };
    return texts[problem];
}
