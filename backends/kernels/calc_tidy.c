/* See calc_tidy.h. Each rule looks at one place of the token list; rules run over the whole list one
 * after another, in the order of the table at the end. */
#include "backends/kernels/calc_tidy.h"

#include <inttypes.h>
#include <string.h>

enum {
    SMALL_DIGITS_MAX = 9, /* numbers that the rules below calculate with */
};

static const struct calc_token nothing = {.kind = CALC_STOP};

static struct calc_token *token_at(struct calc_tokens *t, size_t i)
{
    return &t->items[i];
}

/* The token `ahead` places after i, or a STOP. */
static const struct calc_token *peek(const struct calc_tokens *t, size_t i, size_t ahead)
{
    return i + ahead < t->count ? &t->items[i + ahead] : &nothing;
}

static const struct calc_token *before(const struct calc_tokens *t, size_t i)
{
    return i > 0 ? &t->items[i - 1] : &nothing;
}

static void cut(struct calc_tokens *t, size_t i, size_t n)
{
    memmove(&t->items[i], &t->items[i + n], (t->count - i - n) * sizeof t->items[0]);
    t->count -= n;
}

static bool ends_operand(const struct calc_token *token)
{
    return token->kind == CALC_NUMBER || token->kind == CALC_UNIT || token->kind == CALC_CLOSE ||
           token->kind == CALC_POSTFIX;
}

static bool starts_operand(const struct calc_token *token)
{
    return token->kind == CALC_NUMBER || token->kind == CALC_OPEN || token->kind == CALC_FUNCTION ||
           token->kind == CALC_ARTICLE || token->kind == CALC_UNIT ||
           (token->kind == CALC_OPERATOR && token->op == CALC_OP_SUB);
}

static bool is_operator(const struct calc_token *token, enum calc_op op)
{
    return token->kind == CALC_OPERATOR && token->op == op;
}

/* A whole number of few digits. */
static bool is_small(const struct calc_token *token, int64_t *ret_value)
{
    return token->kind == CALC_NUMBER && token->den.len == 0 && token->num.len > 0 &&
           token->num.len <= SMALL_DIGITS_MAX && str_to_int(token->num, ret_value) == ST_OK;
}

/* 2024-05-01 is a date, 10:30 a time. */
static enum status drop_dates(struct calc_tokens *t, struct arena *arena, size_t i)
{
    (void)arena;
    bool is_time = token_at(t, i)->kind == CALC_NUMBER && str_eq(peek(t, i, 1)->text, STR(":")) &&
                   peek(t, i, 2)->kind == CALC_NUMBER && !peek(t, i, 2)->has_space;
    if (is_time) {
        token_at(t, i)->kind = CALC_WORD;
        cut(t, i + 1, 2);
        return ST_OK;
    }
    bool is_tight = true;
    for (size_t k = 1; k < 5; k++) {
        is_tight = is_tight && !peek(t, i, k)->has_space;
    }
    if (!is_tight || token_at(t, i)->kind != CALC_NUMBER || token_at(t, i)->num.len != 4 ||
        !is_operator(peek(t, i, 1), CALC_OP_SUB) || peek(t, i, 2)->num.len != 2 ||
        !is_operator(peek(t, i, 3), CALC_OP_SUB) || peek(t, i, 4)->num.len != 2) {
        return ST_OK;
    }
    token_at(t, i)->kind = CALC_WORD;
    cut(t, i + 1, 4);
    return ST_OK;
}

/* A unit and its exponent: m^2, ft squared, cm³. */
static enum status join_powers(struct calc_tokens *t, struct arena *arena, size_t i)
{
    (void)arena;
    struct calc_token *unit = token_at(t, i);
    const struct calc_token *next = peek(t, i, 1);
    int64_t power = 0;
    if (unit->kind != CALC_UNIT) {
        return ST_OK;
    }
    if (next->kind == CALC_POSTFIX && next->op == CALC_OP_SQUARED) {
        unit->power = 2;
        cut(t, i + 1, 1);
    } else if (next->kind == CALC_POSTFIX && next->op == CALC_OP_CUBED) {
        unit->power = 3;
        cut(t, i + 1, 1);
    } else if (is_operator(next, CALC_OP_POW) && is_small(peek(t, i, 2), &power) && power >= 1 &&
               power <= 3) {
        unit->power = (int8_t)power;
        cut(t, i + 1, 2);
    }
    return ST_OK;
}

/* "in" is an inch after a bare number, unless a unit or a format follows a result. */
static enum status settle_in(struct calc_tokens *t, struct arena *arena, size_t i)
{
    struct calc_token *token = token_at(t, i);
    const struct calc_token *next = peek(t, i, 1);
    if (token->kind != CALC_IN) {
        return ST_OK;
    }
    bool follows_number = before(t, i)->kind == CALC_NUMBER;
    if (follows_number && next->kind == CALC_UNIT) {
        /* "5 in cm": inches, and "to" in the same word */
        if (t->count < CALC_TOKENS_MAX) {
            memmove(&t->items[i + 1], &t->items[i], (t->count - i) * sizeof t->items[0]);
            t->count++;
            t->items[i + 1].kind = CALC_TO;
        }
        follows_number = true;
    } else if (follows_number && (next->kind == CALC_FORMAT || next->kind == CALC_WORD ||
                                  next->kind == CALC_ARTICLE)) {
        follows_number = false;
    }
    if (follows_number) {
        token->kind = CALC_UNIT;
        token->unit = units_find(STR("inch"));
        token->power = 1;
        return join_powers(t, arena, i);
    }
    token->kind = CALC_TO;
    return ST_OK;
}

/* 17 % 5 is a remainder; ** that holds nothing together is emphasis. */
static enum status settle_signs(struct calc_tokens *t, struct arena *arena, size_t i)
{
    (void)arena;
    struct calc_token *token = token_at(t, i);
    const struct calc_token *next = peek(t, i, 1);
    if (token->kind == CALC_POSTFIX && str_eq(token->text, STR("%")) &&
        (next->kind == CALC_NUMBER || next->kind == CALC_OPEN)) {
        token->kind = CALC_OPERATOR;
        token->op = CALC_OP_MOD;
    }
    bool is_star = str_eq(token->text, STR("**")) || str_eq(token->text, STR("*"));
    if (is_star && !(ends_operand(before(t, i)) && starts_operand(next))) {
        token->kind = CALC_STOP;
    }
    /* "my question - what is": a dash, as "Compute this - 3 * 4" */
    bool is_dash = is_operator(token, CALC_OP_SUB) && token->text.len <= 3 && next->has_space;
    if (is_dash && before(t, i)->kind == CALC_WORD && before(t, i)->text.len > 2) {
        token->kind = CALC_STOP;
    }
    return ST_OK;
}

static struct str product_plus(struct arena *arena, int64_t whole, int64_t den, int64_t num)
{
    int64_t sum = whole * den + num;
    return arena_printf(arena, "%" PRId64, sum);
}

/* 1 3/4, 1½, and 3/4 before a unit: one number. */
static enum status join_fractions(struct calc_tokens *t, struct arena *arena, size_t i)
{
    int64_t whole = 0;
    int64_t num = 0;
    int64_t den = 0;
    struct calc_token *first = token_at(t, i);
    bool is_mixed = is_small(first, &whole) && is_small(peek(t, i, 1), &num) &&
                    is_operator(peek(t, i, 2), CALC_OP_DIV) && !peek(t, i, 2)->has_space &&
                    is_small(peek(t, i, 3), &den) && !peek(t, i, 3)->has_space && num < den;
    size_t used = 3;
    if (!is_mixed && is_small(first, &whole) && peek(t, i, 1)->kind == CALC_NUMBER &&
        peek(t, i, 1)->den.len == 1 && str_to_int(peek(t, i, 1)->num, &num) == ST_OK &&
        str_to_int(peek(t, i, 1)->den, &den) == ST_OK && num < den) {
        is_mixed = true;
        used = 1;
    }
    if (is_mixed) {
        struct str sum = product_plus(arena, whole, den, num);
        struct str kept = used == 3 ? peek(t, i, 3)->num : peek(t, i, 1)->den;
        if (sum.ptr == NULL) {
            return ST_NO_MEMORY;
        }
        first->num = sum;
        first->den = kept;
        cut(t, i + 1, used);
        return ST_OK;
    }
    if (is_small(first, &num) && is_operator(peek(t, i, 1), CALC_OP_DIV) &&
        !peek(t, i, 1)->has_space && is_small(peek(t, i, 2), &den) && !peek(t, i, 2)->has_space &&
        den > 0 && peek(t, i, 3)->kind == CALC_UNIT) {
        first->den = peek(t, i, 2)->num;
        cut(t, i + 1, 2);
    }
    return ST_OK;
}

/* A mile is 1 mile; half a mile, the sum of a … keep their other words. */
static enum status settle_articles(struct calc_tokens *t, struct arena *arena, size_t i)
{
    (void)arena;
    struct calc_token *token = token_at(t, i);
    if (token->kind != CALC_ARTICLE) {
        return ST_OK;
    }
    const struct calc_token *next = peek(t, i, 1);
    bool is_idle = next->kind == CALC_FUNCTION || next->kind == CALC_NUMBER ||
                   next->kind == CALC_FORMAT ||
                   (next->kind == CALC_UNIT && before(t, i)->kind == CALC_NUMBER);
    if (is_idle) {
        cut(t, i, 1);
    } else if (next->kind == CALC_UNIT) {
        token->kind = CALC_NUMBER;
        token->num = STR("1");
        token->den = STR("");
    } else {
        token->kind = CALC_WORD;
    }
    return ST_OK;
}

/* "What is 3 + 4!" shouts; "5!" and "3 + 4!" alone are factorials. */
static void settle_last_mark(struct calc_tokens *t)
{
    bool has_words = false;
    bool has_operator = false;
    for (size_t i = 0; i < t->count; i++) {
        has_words = has_words || t->items[i].kind == CALC_WORD;
        has_operator = has_operator || t->items[i].kind == CALC_OPERATOR;
    }
    struct calc_token *last = t->count > 0 ? &t->items[t->count - 1] : NULL;
    if (last != NULL && str_eq(last->text, STR("!")) && has_words && has_operator) {
        last->kind = CALC_STOP;
    }
}

enum status calc_tidy(struct calc_tokens *tokens, struct arena *arena)
{
    static enum status (*const rules[])(struct calc_tokens *, struct arena *, size_t) = {
        drop_dates,   join_powers,    settle_in,       join_powers,
        settle_signs, join_fractions, settle_articles,
    };

    for (size_t rule = 0; rule < sizeof rules / sizeof rules[0]; rule++) {
        for (size_t i = 0; i < tokens->count; i++) {
            enum status st = rules[rule](tokens, arena, i);
            if (st != ST_OK) {
                return st;
            }
        }
    }
    settle_last_mark(tokens);
    return ST_OK;
}
