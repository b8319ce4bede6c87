/* Operator precedence with an explicit stack: no recursion, bounded depth. See calc_parse.h.
 *
 *   expression  operand { operator operand | postfix }
 *   operand     number | number unit | "(" expression ")" | prefix operand | list
 *   list        function "(" expression { "," expression } ")"
 *             | phrase expression { separator expression }        sum of 3 and 4; subtract 3 from 9
 *
 * Lists of the second form end where the expression ends. The expression is read twice: once to find
 * its last token after which it is whole, once up to there to write its items. */
#include "backends/kernels/calc_parse.h"

enum frame_kind {
    FRAME_OPERATOR,
    FRAME_PREFIX,
    FRAME_PAREN,
    FRAME_LIST,
};

struct frame {
    enum frame_kind kind;
    enum calc_op op;
    int precedence;
    bool is_explicit; /* FRAME_LIST: closed by a parenthesis */
    size_t count;     /* FRAME_LIST: operands so far */
};

struct parser {
    const struct calc_tokens *tokens;
    size_t at;
    size_t limit;
    struct calc_expression *expression;
    struct frame frames[CALC_DEPTH_MAX];
    size_t depth;
    bool expects_operand;
    enum status st;
};

struct list_rule {
    enum calc_op op;
    size_t min;
    size_t max;
    unsigned separators; /* bit per calc_kind */
};

#define BIT(kind) (1U << (unsigned)(kind))
#define SERIES    (BIT(CALC_COMMA) | BIT(CALC_AND))

static const struct list_rule list_rules[] = {
    {CALC_OP_SUM, 2, 200, SERIES | BIT(CALC_TO) | BIT(CALC_WITH)},
    {CALC_OP_PRODUCT, 2, 200, SERIES},
    {CALC_OP_MEAN, 2, 200, SERIES},
    {CALC_OP_MAX, 2, 200, SERIES},
    {CALC_OP_MIN, 2, 200, SERIES},
    {CALC_OP_GCD, 2, 200, SERIES},
    {CALC_OP_LCM, 2, 200, SERIES},
    {CALC_OP_DIFFERENCE, 2, 2, SERIES},
    {CALC_OP_QUOTIENT, 2, 2, SERIES | BIT(CALC_BY)},
    {CALC_OP_SUBTRACT_FROM, 2, 2, BIT(CALC_FROM)},
    {CALC_OP_MULTIPLY_BY, 2, 2, BIT(CALC_BY) | BIT(CALC_AND) | BIT(CALC_WITH)},
    {CALC_OP_INCREASE, 2, 2, BIT(CALC_BY)},
    {CALC_OP_DECREASE, 2, 2, BIT(CALC_BY)},
    {CALC_OP_RAISE, 1, 2, BIT(CALC_TO)},
    {CALC_OP_WHAT_PERCENT, 2, 2, BIT(CALC_IS)},
    {CALC_OP_PERCENT_IS, 2, 2, BIT(CALC_OF)},
};

static const struct calc_token nothing = {.kind = CALC_STOP};

static const struct list_rule *rule_of(enum calc_op op)
{
    const struct list_rule *rule = list_rules;
    while (rule->op != op) {
        rule++; /* every list function has a row */
    }
    return rule;
}

static int precedence_of(enum calc_op op)
{
    switch ((int)op) {
    case CALC_OP_PERCENT_OF:
        return 1;
    case CALC_OP_ADD:
    case CALC_OP_SUB:
        return 2;
    case CALC_OP_NEGATE:
        return 4;
    case CALC_OP_POW:
        return 5;
    case CALC_OP_JOIN:
        return 7;
    default: /* times, divided by, remainder, of, off */
        return 3;
    }
}

static const struct calc_token *peek(const struct parser *p, size_t at)
{
    return at < p->limit ? &p->tokens->items[at] : &nothing;
}

static const struct calc_token *previous(const struct parser *p)
{
    return p->at > 0 ? &p->tokens->items[p->at - 1] : &nothing;
}

static void emit(struct parser *p, enum calc_op op, size_t token, size_t count)
{
    if (p->expression->count == CALC_ITEMS_MAX) {
        p->st = ST_TOO_BIG;
        return;
    }
    p->expression->items[p->expression->count++] = (struct calc_item){op, token, count};
}

static void push_frame(struct parser *p, struct frame frame)
{
    if (p->depth == CALC_DEPTH_MAX) {
        p->st = ST_TOO_BIG;
        return;
    }
    p->frames[p->depth++] = frame;
}

static void pop_frame(struct parser *p)
{
    const struct frame *frame = &p->frames[--p->depth];
    if (frame->kind != FRAME_PAREN) {
        emit(p, frame->op, 0, frame->count);
    }
}

/* Emits waiting operators that bind at least as strongly. */
static void pop_operators(struct parser *p, int precedence)
{
    while (p->depth > 0 && p->frames[p->depth - 1].kind <= FRAME_PREFIX &&
           p->frames[p->depth - 1].precedence >= precedence) {
        pop_frame(p);
    }
}

static void push_operator(struct parser *p, enum calc_op op)
{
    int precedence = precedence_of(op);
    pop_operators(p, op == CALC_OP_POW ? precedence + 1 : precedence);
    push_frame(p, (struct frame){FRAME_OPERATOR, op, precedence, false, 2});
    p->expects_operand = true;
}

/* ---- where an operand is expected ---- */

/* "average of (3, 4, 8)": a comma between the parenthesis that opens at `at` and its partner. */
static bool has_comma_inside(const struct parser *p, size_t at)
{
    size_t depth = 0;
    for (; at < p->limit; at++) {
        enum calc_kind kind = peek(p, at)->kind;
        depth += kind == CALC_OPEN ? 1 : 0;
        depth -= kind == CALC_CLOSE ? 1 : 0;
        if (depth == 0 || (depth == 1 && kind == CALC_COMMA)) {
            return depth == 1;
        }
    }
    return false;
}

static bool read_function(struct parser *p, const struct calc_token *token)
{
    if (!token->is_list) {
        push_frame(
            p, (struct frame){FRAME_PREFIX, token->op, precedence_of(CALC_OP_NEGATE), false, 1});
        return true;
    }
    bool is_explicit = peek(p, p->at + 1)->kind == CALC_OPEN &&
                       (token->wants_parens || has_comma_inside(p, p->at + 1));
    push_frame(p, (struct frame){FRAME_LIST, token->op, 0, is_explicit, 1});
    p->at += is_explicit ? 1 : 0;
    return true;
}

/* A sign. Before an amount it belongs to the number: -40 F is no F that is negated. */
static void read_minus(struct parser *p)
{
    if (peek(p, p->at + 1)->kind == CALC_NUMBER && peek(p, p->at + 2)->kind == CALC_UNIT) {
        emit(p, CALC_OP_NONE, p->at + 1, 0);
        emit(p, CALC_OP_NEGATE, 0, 1);
        p->at++;
        p->expects_operand = false;
        return;
    }
    push_frame(
        p, (struct frame){FRAME_PREFIX, CALC_OP_NEGATE, precedence_of(CALC_OP_NEGATE), false, 1});
}

/* Reads the token at the cursor. False: no operand starts here. */
static bool read_operand(struct parser *p)
{
    const struct calc_token *token = peek(p, p->at);
    switch ((int)token->kind) {
    case CALC_NUMBER:
        emit(p, CALC_OP_NONE, p->at, 0);
        p->expects_operand = false;
        return true;
    case CALC_UNIT: /* one of it, in "miles per hour" */
        if (previous(p)->op != CALC_OP_DIV && previous(p)->op != CALC_OP_MUL) {
            return false;
        }
        emit(p, CALC_OP_ONE, p->at, 0);
        p->expects_operand = false;
        return true;
    case CALC_OPEN:
        push_frame(p, (struct frame){.kind = FRAME_PAREN});
        return true;
    case CALC_FUNCTION:
        return read_function(p, token);
    case CALC_OPERATOR:
        if (token->op == CALC_OP_SUB) {
            read_minus(p);
            return true;
        }
        return token->op == CALC_OP_ADD;
    case CALC_AND: /* 3, 4, and 5 */
        return previous(p)->kind == CALC_COMMA;
    default:
        return false;
    }
}

/* ---- after an operand ---- */

/* The open list that takes `kind` as a separator: its depth + 1, or 0. Lists of the open form that
 * have all they need may end before it. */
static size_t find_list(const struct parser *p, enum calc_kind kind)
{
    for (size_t i = p->depth; i > 0; i--) {
        const struct frame *frame = &p->frames[i - 1];
        if (frame->kind == FRAME_PAREN) {
            return 0;
        }
        if (frame->kind == FRAME_LIST) {
            const struct list_rule *rule = rule_of(frame->op);
            bool is_separator =
                frame->is_explicit ? kind == CALC_COMMA : (rule->separators & BIT(kind)) != 0;
            if (is_separator && frame->count < rule->max) {
                return i;
            }
            if (frame->is_explicit || frame->count < rule->min) {
                return 0;
            }
        }
    }
    return 0;
}

static bool is_measure(const struct parser *p, size_t at)
{
    return peek(p, at)->kind == CALC_NUMBER && peek(p, at + 1)->kind == CALC_UNIT;
}

static bool read_separator(struct parser *p, enum calc_kind kind)
{
    size_t list = find_list(p, kind);
    const struct calc_token *next = peek(p, p->at + 1);
    if (kind == CALC_TO && (next->kind != CALC_NUMBER || peek(p, p->at + 2)->kind == CALC_PLACES)) {
        return false; /* "to miles", "to 3 digits" */
    }
    if (list == 0) {
        return false;
    }
    while (p->depth > list) {
        pop_frame(p);
    }
    p->frames[list - 1].count++;
    p->expects_operand = true;
    return true;
}

/* 5 ft 3 in, 2 h and 30 min: the second amount is added before anything else happens. */
static bool read_joined(struct parser *p, size_t at)
{
    const struct calc_token *last = previous(p);
    if (last->kind != CALC_UNIT || !is_measure(p, at) ||
        !units_same_dims(&last->unit->dims, &peek(p, at + 1)->unit->dims)) {
        return false;
    }
    push_operator(p, CALC_OP_JOIN);
    p->at = at - 1; /* the number is read next */
    return true;
}

static bool is_fraction(const struct parser *p)
{
    const struct calc_token *last = previous(p);
    bool is_percent = last->kind == CALC_POSTFIX && last->op == CALC_OP_PERCENT;
    bool is_ratio =
        last->kind == CALC_NUMBER && p->at >= 2 && p->tokens->items[p->at - 2].op == CALC_OP_DIV;
    return is_percent || is_ratio || (last->kind == CALC_NUMBER && last->den.len > 0);
}

static bool read_operator(struct parser *p, enum calc_op op)
{
    bool wants_percent = op == CALC_OP_OFF || op == CALC_OP_MORE;
    if (wants_percent && previous(p)->op != CALC_OP_PERCENT) {
        return false;
    }
    push_operator(p, op);
    return true;
}

static bool read_unit(struct parser *p)
{
    const struct calc_token *last = previous(p);
    if (last->kind != CALC_NUMBER && last->kind != CALC_CLOSE) {
        return false;
    }
    emit(p, CALC_OP_UNIT, p->at, 1);
    return true;
}

/* 2(3 + 4), 3√2 */
static bool read_implicit_product(struct parser *p, const struct calc_token *token)
{
    const struct calc_token *last = previous(p);
    bool is_root = token->op == CALC_OP_SQRT || token->op == CALC_OP_CBRT;
    if ((last->kind != CALC_NUMBER && last->kind != CALC_CLOSE) ||
        (token->kind == CALC_FUNCTION && !is_root)) {
        return false;
    }
    push_operator(p, CALC_OP_MUL);
    p->at--; /* the operand is read next */
    return true;
}

static bool read_close(struct parser *p)
{
    size_t i = p->depth;
    while (i > 0) {
        const struct frame *frame = &p->frames[i - 1];
        bool closes =
            frame->kind == FRAME_PAREN || (frame->kind == FRAME_LIST && frame->is_explicit);
        bool is_short = frame->kind == FRAME_LIST && frame->count < rule_of(frame->op)->min;
        if (is_short) {
            return false;
        }
        if (closes) {
            break;
        }
        i--;
    }
    if (i == 0) {
        return false;
    }
    while (p->depth >= i) {
        pop_frame(p);
    }
    return true;
}

/* Reads the token at the cursor. False: the expression ends before it. */
static bool read_after_operand(struct parser *p)
{
    const struct calc_token *token = peek(p, p->at);
    switch (token->kind) {
    case CALC_OPERATOR:
        return read_operator(p, token->op);
    case CALC_POSTFIX:
        emit(p, token->op, 0, 1);
        return true;
    case CALC_UNIT:
        return read_unit(p);
    case CALC_NUMBER:
        return read_joined(p, p->at);
    case CALC_OPEN:
    case CALC_FUNCTION:
        return read_implicit_product(p, token);
    case CALC_CLOSE:
        return read_close(p);
    case CALC_OF:
        if (find_list(p, CALC_OF) == 0) {
            return is_fraction(p) && read_operator(p, CALC_OP_OF);
        }
        return read_separator(p, CALC_OF);
    case CALC_AND:
        return read_separator(p, CALC_AND) || read_joined(p, p->at + 1);
    case CALC_BY:
        if (find_list(p, CALC_BY) == 0) {
            return previous(p)->kind == CALC_UNIT && read_operator(p, CALC_OP_MUL);
        }
        return read_separator(p, CALC_BY);
    case CALC_COMMA:
    case CALC_TO:
    case CALC_FROM:
    case CALC_WITH:
    case CALC_IS:
        return read_separator(p, token->kind);
    case CALC_WORD:
    case CALC_STOP:
    case CALC_IN:
    case CALC_ARTICLE:
    case CALC_HOW_MANY:
    case CALC_FORMAT:
    case CALC_PLACES:
        return false;
    }
    return false;
}

/* True when the expression could end here. */
static bool is_whole(const struct parser *p)
{
    if (p->expects_operand) {
        return false;
    }
    for (size_t i = 0; i < p->depth; i++) {
        const struct frame *frame = &p->frames[i];
        if (frame->kind == FRAME_PAREN ||
            (frame->kind == FRAME_LIST &&
             (frame->is_explicit || frame->count < rule_of(frame->op)->min))) {
            return false;
        }
    }
    return true;
}

/* Reads from `start` to `limit` at most. Returns the last place where the expression is whole, or
 * start; with items written up to the place where reading stopped. */
static size_t read_expression(struct parser *p, size_t start, size_t limit)
{
    size_t end = start;
    p->at = start;
    p->limit = limit;
    p->depth = 0;
    p->expects_operand = true;
    p->expression->count = 0;
    while (p->at < limit && p->st == ST_OK) {
        bool goes_on = p->expects_operand ? read_operand(p) : read_after_operand(p);
        if (!goes_on) {
            break;
        }
        p->at++;
        end = is_whole(p) ? p->at : end;
    }
    return end;
}

/* ---- around the expression ---- */

/* A unit after "to" or "how many": km, km/h, miles per hour, kg m^2. */
static size_t read_target(const struct parser *p, size_t at, struct calc_expression *e)
{
    int8_t sign = 1;
    size_t count = 0;
    while (count < CALC_TARGET_MAX && peek(p, at)->kind == CALC_UNIT) {
        const struct calc_token *token = peek(p, at);
        e->target[count].unit = token->unit;
        e->target[count].power = (int8_t)(sign * token->power);
        count++;
        at++;
        const struct calc_token *next = peek(p, at);
        bool joins = next->kind == CALC_OPERATOR && peek(p, at + 1)->kind == CALC_UNIT &&
                     (next->op == CALC_OP_DIV || next->op == CALC_OP_MUL);
        if (!joins) {
            break;
        }
        sign = next->op == CALC_OP_DIV ? -1 : 1;
        at++;
    }
    e->target_count = count;
    return at;
}

/* "in miles", "as a fraction", "to 20 digits", one after another. */
static size_t read_wishes(const struct parser *p, size_t at, struct calc_expression *e)
{
    for (;;) {
        const struct calc_token *what = peek(p, at + 1);
        if (peek(p, at)->kind != CALC_TO) {
            return at;
        }
        if (what->kind == CALC_UNIT) {
            at = read_target(p, at + 1, e);
        } else if (what->kind == CALC_FORMAT) {
            e->format = what->op;
            at += 2;
        } else if (what->kind == CALC_POSTFIX && what->op == CALC_OP_PERCENT) {
            e->format = CALC_OP_AS_PERCENT;
            at += 2;
        } else if (what->kind == CALC_NUMBER && what->den.len == 0 &&
                   peek(p, at + 2)->kind == CALC_PLACES &&
                   str_to_int(what->num, &e->places) == ST_OK) {
            e->places_op = peek(p, at + 2)->op;
            at += 3;
        } else {
            return at;
        }
    }
}

/* True when there is something to work out. */
static bool is_worth_it(const struct calc_expression *e)
{
    if (e->target_count > 0 || e->format != CALC_OP_NONE || e->places_op != CALC_OP_NONE) {
        return true;
    }
    for (size_t i = 0; i < e->count; i++) {
        enum calc_op op = e->items[i].op;
        bool is_plain = op == CALC_OP_NONE || op == CALC_OP_NEGATE || op == CALC_OP_PERCENT ||
                        op == CALC_OP_UNIT || op == CALC_OP_ONE || op == CALC_OP_JOIN;
        if (!is_plain) {
            return true;
        }
    }
    return false;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_sign(const struct calc_token *token)
{
    return token->kind == CALC_OPERATOR && !is_letter(token->text.ptr[0]);
}

/* True for a part of something longer: "x + 3 * 4", "f(3 * 4)". */
static bool is_torn(const struct parser *p, size_t start, size_t end)
{
    const struct calc_token *first = peek(p, start);
    const struct calc_token *before = start > 0 ? peek(p, start - 1) : &nothing;
    const struct calc_token *before2 = start > 1 ? peek(p, start - 2) : &nothing;
    bool is_call = first->kind == CALC_OPEN && !first->has_space && before->kind == CALC_WORD;
    bool is_argument =
        before->kind == CALC_OPEN && !before->has_space && before2->kind == CALC_WORD;
    /* "x - 3 * 4" is a difference; "Compute -3 * 4" is not. */
    bool is_variable = is_sign(first) && before->kind == CALC_WORD && before->text.len == 1;
    bool is_sequence = before->kind == CALC_NUMBER || peek(p, end)->kind == CALC_NUMBER;
    bool is_coefficient = peek(p, end)->kind == CALC_WORD && !peek(p, end)->has_space &&
                          is_letter(peek(p, end)->text.ptr[0]);
    return is_sign(before) || is_sign(peek(p, end)) || is_call || is_argument || is_variable ||
           is_sequence || is_coefficient;
}

static enum status parse_at(struct parser *p, size_t start, struct calc_expression *e)
{
    size_t end = read_expression(p, start, p->tokens->count);
    if (p->st != ST_OK || end == start) {
        return p->st != ST_OK ? p->st : ST_NOT_FOUND;
    }
    (void)read_expression(p, start, end);
    while (p->depth > 0) {
        pop_frame(p);
    }
    p->limit = p->tokens->count;
    if (is_torn(p, start, end)) {
        return ST_NOT_FOUND;
    }
    e->end = read_wishes(p, end, e);
    return p->st;
}

enum status calc_parse(const struct calc_tokens *tokens, size_t start,
                       struct calc_expression *ret_expression)
{
    struct parser p = {.tokens = tokens, .expression = ret_expression, .limit = tokens->count};
    struct calc_expression *e = ret_expression;
    e->target_count = 0;
    e->format = CALC_OP_NONE;
    e->places_op = CALC_OP_NONE;
    if (tokens->items[start].kind != CALC_HOW_MANY) {
        enum status st = parse_at(&p, start, e);
        return st == ST_OK && !is_worth_it(e) ? ST_NOT_FOUND : st;
    }
    /* how many UNIT [are there] in AMOUNT */
    size_t at = read_target(&p, start + 1, e);
    size_t target_count = e->target_count;
    for (size_t i = at; target_count > 0 && i < tokens->count && i < at + 6; i++) {
        enum calc_kind kind = tokens->items[i].kind;
        if (kind == CALC_STOP) {
            break;
        }
        if (parse_at(&p, i, e) == ST_OK) {
            return ST_OK;
        }
        p.limit = tokens->count;
    }
    return p.st == ST_OK ? ST_NOT_FOUND : p.st;
}
