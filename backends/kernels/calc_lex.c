/* From prompt to tokens: numbers in all spellings, units, English phrases, mathematical signs. What
 * depends on a token's neighbours is left to calc_tidy.c. One pass, no backtracking over tokens. */
#include <stdio.h>
#include <string.h>

#include "backends/kernels/calc_tidy.h"
#include "backends/kernels/calc_words.h"
#include "base/utf8.h"

enum {
    UNIT_NAME_MAX = 48, /* longer than any name in the table */
};

struct lexer {
    struct str prompt;
    size_t at;
    struct calc_tokens *tokens;
    struct arena *arena;
    bool has_space;
    size_t list_depth; /* open parentheses, from the outermost one of max(…) and the like */
    enum status st;
};

struct sign {
    const char *text;
    enum calc_kind kind;
    enum calc_op op;
    const char *num; /* CALC_NUMBER */
    const char *den;
};

/* Signs, longest first where one starts another. A kind of CALC_STOP with text " " means: a blank. */
static const struct sign signs[] = {
    {"**", CALC_OPERATOR, CALC_OP_POW, NULL, NULL},
    {"->", CALC_TO, CALC_OP_NONE, NULL, NULL},
    {"+", CALC_OPERATOR, CALC_OP_ADD, NULL, NULL},
    {"-", CALC_OPERATOR, CALC_OP_SUB, NULL, NULL},
    {"*", CALC_OPERATOR, CALC_OP_MUL, NULL, NULL},
    {"/", CALC_OPERATOR, CALC_OP_DIV, NULL, NULL},
    {"^", CALC_OPERATOR, CALC_OP_POW, NULL, NULL},
    {"%", CALC_POSTFIX, CALC_OP_PERCENT, NULL, NULL},
    {"!", CALC_POSTFIX, CALC_OP_FACTORIAL, NULL, NULL},
    {"(", CALC_OPEN, CALC_OP_NONE, NULL, NULL},
    {"[", CALC_OPEN, CALC_OP_NONE, NULL, NULL},
    {")", CALC_CLOSE, CALC_OP_NONE, NULL, NULL},
    {"]", CALC_CLOSE, CALC_OP_NONE, NULL, NULL},
    {",", CALC_COMMA, CALC_OP_NONE, NULL, NULL},
    {"=", CALC_IS, CALC_OP_NONE, NULL, NULL},
    {"\xC3\x97", CALC_OPERATOR, CALC_OP_MUL, NULL, NULL},     /* multiplication sign */
    {"\xC2\xB7", CALC_OPERATOR, CALC_OP_MUL, NULL, NULL},     /* middle dot */
    {"\xE2\x8B\x85", CALC_OPERATOR, CALC_OP_MUL, NULL, NULL}, /* dot operator */
    {"\xE2\x88\x97", CALC_OPERATOR, CALC_OP_MUL, NULL, NULL}, /* asterisk operator */
    {"\xE2\x9C\x95", CALC_OPERATOR, CALC_OP_MUL, NULL, NULL}, /* multiplication x */
    {"\xC3\xB7", CALC_OPERATOR, CALC_OP_DIV, NULL, NULL},     /* division sign */
    {"\xE2\x88\x95", CALC_OPERATOR, CALC_OP_DIV, NULL, NULL}, /* division slash */
    {"\xE2\x81\x84", CALC_OPERATOR, CALC_OP_DIV, NULL, NULL}, /* fraction slash */
    {"\xE2\x88\x92", CALC_OPERATOR, CALC_OP_SUB, NULL, NULL}, /* minus sign */
    {"\xE2\x80\x93", CALC_OPERATOR, CALC_OP_SUB, NULL, NULL}, /* en dash */
    {"\xE2\x86\x92", CALC_TO, CALC_OP_NONE, NULL, NULL},      /* arrow */
    {"\xE2\x88\x9A", CALC_FUNCTION, CALC_OP_SQRT, NULL, NULL},
    {"\xE2\x88\x9B", CALC_FUNCTION, CALC_OP_CBRT, NULL, NULL},
    {"\xC2\xB2", CALC_POSTFIX, CALC_OP_SQUARED, NULL, NULL},
    {"\xC2\xB3", CALC_POSTFIX, CALC_OP_CUBED, NULL, NULL},
    {"\xC2\xBD", CALC_NUMBER, CALC_OP_NONE, "1", "2"},
    {"\xC2\xBC", CALC_NUMBER, CALC_OP_NONE, "1", "4"},
    {"\xC2\xBE", CALC_NUMBER, CALC_OP_NONE, "3", "4"},
    {"\xE2\x85\x93", CALC_NUMBER, CALC_OP_NONE, "1", "3"},
    {"\xE2\x85\x94", CALC_NUMBER, CALC_OP_NONE, "2", "3"},
    {"\xE2\x85\x9B", CALC_NUMBER, CALC_OP_NONE, "1", "8"},
    {"\xE2\x85\x9C", CALC_NUMBER, CALC_OP_NONE, "3", "8"},
    {"\xE2\x85\x9D", CALC_NUMBER, CALC_OP_NONE, "5", "8"},
    {"\xE2\x85\x9E", CALC_NUMBER, CALC_OP_NONE, "7", "8"},
};

static const char *const blanks[] = {
    " ",
    "\t",
    "\r",
    "$",
    "\"",
    "'",
    "`",
    "\xE2\x82\xAC", /* euro */
    "\xC2\xA3",     /* pound sterling */
    "\xC2\xA0",     /* no-break space */
    "\xE2\x80\xAF", /* narrow no-break space */
    "\xE2\x80\x89", /* thin space */
    "\xE2\x80\x98", /* quotation marks */
    "\xE2\x80\x99",
    "\xE2\x80\x9C",
    "\xE2\x80\x9D",
};

/* Separators of groups of three digits, besides the comma. */
static const char *const group_marks[] = {"_", "'", "\xC2\xA0", "\xE2\x80\xAF", "\xE2\x80\x89"};

static const struct {
    const char *text;
    const char *den;
} fraction_words[] = {
    {"half", "2"},    {"halves", "2"},   {"third", "3"},  {"thirds", "3"},
    {"quarter", "4"}, {"quarters", "4"}, {"fourth", "4"}, {"fourths", "4"},
    {"fifth", "5"},   {"fifths", "5"},   {"sixth", "6"},  {"sixths", "6"},
    {"eighth", "8"},  {"eighths", "8"},  {"tenth", "10"}, {"tenths", "10"},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static struct str rest_of(const struct lexer *lx)
{
    return str_slice(lx->prompt, lx->at, lx->prompt.len);
}

static char char_at(const struct lexer *lx, size_t at)
{
    return at < lx->prompt.len ? lx->prompt.ptr[at] : '\0';
}

static const struct calc_token *last_token(const struct lexer *lx)
{
    return lx->tokens->count > 0 ? &lx->tokens->items[lx->tokens->count - 1] : NULL;
}

static bool follows_operand(const struct lexer *lx)
{
    const struct calc_token *last = last_token(lx);
    return last != NULL && (last->kind == CALC_NUMBER || last->kind == CALC_UNIT ||
                            last->kind == CALC_POSTFIX || last->kind == CALC_CLOSE);
}

static void push(struct lexer *lx, struct calc_token token, size_t len)
{
    if (lx->tokens->count == CALC_TOKENS_MAX) {
        lx->st = ST_TOO_BIG;
        return;
    }
    token.text = str_slice(lx->prompt, lx->at, len);
    token.has_space = lx->has_space;
    lx->tokens->items[lx->tokens->count++] = token;
    lx->has_space = false;
    lx->at += len;
}

static void push_number(struct lexer *lx, struct str num, struct str den, size_t len)
{
    push(lx, (struct calc_token){.kind = CALC_NUMBER, .num = num, .den = den}, len);
}

static struct str copy(struct lexer *lx, struct str text)
{
    struct str kept = arena_copy(lx->arena, text);
    if (kept.ptr == NULL) {
        lx->st = ST_NO_MEMORY;
        return STR("0");
    }
    return kept;
}

/* ---- numbers in digits ---- */

static size_t count_digits(const struct lexer *lx, size_t at)
{
    size_t n = 0;
    while (is_digit(char_at(lx, at + n))) {
        n++;
    }
    return n;
}

/* Bytes of a separator of groups at `at` that three digits and no more follow, else 0. */
static size_t group_mark(const struct lexer *lx, size_t at)
{
    size_t len = 0;
    struct str rest = str_slice(lx->prompt, at, lx->prompt.len);
    if (char_at(lx, at) == ',' && lx->list_depth == 0) {
        len = 1;
    }
    for (size_t i = 0; i < sizeof group_marks / sizeof group_marks[0]; i++) {
        struct str mark = str_from(group_marks[i]);
        len = str_starts_with(rest, mark) ? mark.len : len;
    }
    return len > 0 && count_digits(lx, at + len) == 3 ? len : 0;
}

/* 1 000 000: true when at least two groups follow blanks; one alone may be another number. */
static bool has_blank_groups(const struct lexer *lx, size_t at)
{
    return char_at(lx, at) == ' ' && count_digits(lx, at + 1) == 3 && char_at(lx, at + 4) == ' ' &&
           count_digits(lx, at + 5) == 3;
}

/* Bytes of an exponent ("e23", "E-5") at `at`, or 0. */
static size_t exponent_len(const struct lexer *lx, size_t at)
{
    if (char_at(lx, at) != 'e' && char_at(lx, at) != 'E') {
        return 0;
    }
    size_t sign = char_at(lx, at + 1) == '+' || char_at(lx, at + 1) == '-' ? 1 : 0;
    size_t digits = count_digits(lx, at + 1 + sign);
    if (digits == 0 || is_letter(char_at(lx, at + 1 + sign + digits))) {
        return 0;
    }
    return 1 + sign + digits;
}

static bool is_hex_digit(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static void lex_hex(struct lexer *lx)
{
    size_t len = 2;
    while (is_hex_digit(char_at(lx, lx->at + len))) {
        len++;
    }
    push_number(lx, str_slice(lx->prompt, lx->at, len), STR(""), len);
}

/* "1st", "2nd": an ordinal says nothing here. Returns its bytes, or 0. */
static size_t ordinal_len(const struct lexer *lx, size_t at)
{
    static const char *const suffixes[] = {"st", "nd", "rd", "th"};
    size_t digits = count_digits(lx, at);
    struct str rest = str_slice(lx->prompt, at + digits, lx->prompt.len);
    for (size_t i = 0; digits > 0 && i < 4; i++) {
        if (calc_words_match(rest, suffixes[i]) > 0) {
            return digits + 2;
        }
    }
    return 0;
}

static size_t skip_blanks(const struct lexer *lx, size_t at)
{
    while (char_at(lx, at) == ' ') {
        at++;
    }
    return at;
}

/* "3 million" is written 3e6. Returns the bytes of the scale with the blank before it. */
static size_t lex_scale(const struct lexer *lx, size_t at, int *ret_power)
{
    size_t word = skip_blanks(lx, at);
    size_t len = calc_words_scale(str_slice(lx->prompt, word, lx->prompt.len), ret_power);
    return len > 0 ? word - at + len : 0;
}

static void lex_digits(struct lexer *lx)
{
    char digits[CALC_PROMPT_MAX_BYTES + 8];
    size_t len = 0;
    size_t at = lx->at;
    size_t run = count_digits(lx, at);
    bool may_group = run >= 1 && run <= 3;
    bool may_blank = may_group && has_blank_groups(lx, at + run);
    while (run > 0) {
        memcpy(digits + len, lx->prompt.ptr + at, run);
        len += run;
        at += run;
        size_t mark = may_group ? group_mark(lx, at) : 0;
        if (may_blank && char_at(lx, at) == ' ' && count_digits(lx, at + 1) == 3) {
            mark = 1;
        }
        run = mark > 0 ? 3 : 0;
        at += mark;
    }
    if (char_at(lx, at) == '.' && is_digit(char_at(lx, at + 1))) {
        size_t fraction = count_digits(lx, at + 1) + 1;
        memcpy(digits + len, lx->prompt.ptr + at, fraction);
        len += fraction;
        at += fraction;
    }
    size_t exponent = exponent_len(lx, at);
    int power = 0;
    size_t scale = 0;
    if (exponent > 0) {
        memcpy(digits + len, lx->prompt.ptr + at, exponent);
        len += exponent;
    } else {
        scale = lex_scale(lx, at, &power);
        len += scale > 0 ? (size_t)snprintf(digits + len, 8, "e%d", power) : 0;
    }
    push_number(lx, copy(lx, (struct str){digits, len}), STR(""), at + exponent + scale - lx->at);
}

static void lex_number(struct lexer *lx)
{
    size_t ordinal = ordinal_len(lx, lx->at);
    if (ordinal > 0) {
        push(lx, (struct calc_token){.kind = CALC_WORD}, ordinal);
    } else if (char_at(lx, lx->at) == '0' &&
               (char_at(lx, lx->at + 1) == 'x' || char_at(lx, lx->at + 1) == 'X') &&
               is_hex_digit(char_at(lx, lx->at + 2))) {
        lex_hex(lx);
    } else {
        lex_digits(lx);
    }
}

/* ---- words ---- */

/* Bytes of the word at `at`: letters, digits after the first letter, inner hyphens and apostrophes,
 * and the signs for degree and micro. */
static size_t word_len(const struct lexer *lx, size_t at)
{
    size_t len = 0;
    for (;;) {
        char c = char_at(lx, at + len);
        char next = char_at(lx, at + len + 1);
        char third = char_at(lx, at + len + 2);
        bool is_inner = len > 0 && (c == '-' || c == '\'') && is_letter(next);
        if (is_letter(c) || (len > 0 && is_digit(c)) || is_inner) {
            len++;
        } else if ((c == '\xC2' && (next == '\xB0' || next == '\xB5')) ||
                   (c == '\xCE' && next == '\xBC')) {
            len += 2;
        } else if (c == '\xE2' && next == '\x84' &&
                   (third == '\x83' || third == '\x89')) { /* one sign for degree and letter */
            len += 3;
        } else {
            return len;
        }
    }
}

/* The longest unit name at the cursor. */
static const struct unit *match_unit(const struct lexer *lx, size_t *ret_len)
{
    char name[UNIT_NAME_MAX];
    size_t name_len = 0;
    size_t at = lx->at;
    const struct unit *best = NULL;
    *ret_len = 0;
    for (int words = 0; words < UNIT_WORDS_MAX; words++) {
        size_t len = word_len(lx, at);
        if (len == 0 || name_len + len + 1 > sizeof name) {
            break;
        }
        memcpy(name + name_len, lx->prompt.ptr + at, len);
        name_len += len;
        at += len;
        const struct unit *unit = units_find((struct str){name, name_len});
        if (unit != NULL) {
            best = unit;
            *ret_len = at - lx->at;
        }
        size_t next = skip_blanks(lx, at);
        if (next == at) {
            break;
        }
        at = next;
        name[name_len++] = ' ';
        if (name_len == sizeof name) {
            break;
        }
    }
    return best;
}

/* "x" between two factors. */
static bool is_times(const struct lexer *lx)
{
    char c = char_at(lx, lx->at);
    if ((c != 'x' && c != 'X') || is_letter(char_at(lx, lx->at + 1)) || !follows_operand(lx)) {
        return false;
    }
    char next = char_at(lx, skip_blanks(lx, lx->at + 1));
    return is_digit(next) || next == '(' || next == '.' || next == '-';
}

/* "to the 5th power": an operator and its operand. */
static bool lex_nth_power(struct lexer *lx)
{
    size_t len = calc_words_match(rest_of(lx), "to the");
    size_t at = skip_blanks(lx, lx->at + len);
    size_t ordinal = len > 0 ? ordinal_len(lx, at) : 0;
    size_t power_at = skip_blanks(lx, at + ordinal);
    struct str tail = str_slice(lx->prompt, power_at, lx->prompt.len);
    size_t power = ordinal > 0 ? calc_words_match(tail, "power") : 0;
    if (power == 0) {
        return false;
    }
    struct str digits = str_slice(lx->prompt, at, ordinal - 2);
    push(lx, (struct calc_token){.kind = CALC_OPERATOR, .op = CALC_OP_POW}, at - lx->at);
    push_number(lx, digits, STR(""), power_at + power - lx->at);
    return true;
}

/* "half of", "two thirds of", "half a": a number, or the denominator of the one before. */
static bool lex_fraction_word(struct lexer *lx)
{
    for (size_t i = 0; i < sizeof fraction_words / sizeof fraction_words[0]; i++) {
        size_t len = calc_words_match(rest_of(lx), fraction_words[i].text);
        struct str after = str_slice(lx->prompt, skip_blanks(lx, lx->at + len), lx->prompt.len);
        bool is_used =
            len > 0 && (calc_words_match(after, "of") > 0 || calc_words_match(after, "a") > 0);
        if (!is_used) {
            continue;
        }
        struct calc_token *last =
            lx->tokens->count > 0 ? &lx->tokens->items[lx->tokens->count - 1] : NULL;
        struct str den = str_from(fraction_words[i].den);
        if (last != NULL && last->kind == CALC_NUMBER && last->den.len == 0) {
            last->den = den;
            lx->at += len;
        } else {
            push_number(lx, STR("1"), den, len);
        }
        return true;
    }
    return false;
}

static bool is_list_op(enum calc_op op)
{
    return op >= CALC_OP_SUM && op <= CALC_OP_PERCENT_IS;
}

/* Phrases that are ordinary English unless a parenthesis follows: "sum", "mean", "min". */
static bool wants_parens(struct str text)
{
    static const char *const names[] = {"sum", "product", "mean", "average", "max",
                                        "min", "avg",     "gcd",  "lcm",     "abs"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (str_eq_nocase(text, str_from(names[i]))) {
            return true;
        }
    }
    return false;
}

static void push_phrase(struct lexer *lx, const struct calc_phrase *phrase, size_t len)
{
    struct calc_token token = {.kind = phrase->kind, .op = phrase->op};
    if (phrase->kind == CALC_FUNCTION) {
        token.is_list = is_list_op(phrase->op);
        token.wants_parens = wants_parens(str_slice(lx->prompt, lx->at, len));
        if (token.wants_parens && char_at(lx, skip_blanks(lx, lx->at + len)) != '(') {
            token = (struct calc_token){.kind = CALC_WORD};
        }
    }
    push(lx, token, len);
}

static void lex_unknown(struct lexer *lx)
{
    size_t len = word_len(lx, lx->at);
    len = len == 0 ? 1 : len;
    struct str word = str_slice(lx->prompt, lx->at, len);
    if (str_eq_nocase(word, STR("the"))) {
        lx->at += len;
        lx->has_space = true;
        return;
    }
    lx->tokens->unknown_words += calc_words_is_filler(word) ? 0 : 1;
    push(lx, (struct calc_token){.kind = CALC_WORD}, len);
}

static void lex_word(struct lexer *lx)
{
    int64_t value = 0;
    size_t number_len = calc_words_number(rest_of(lx), &value);
    if (number_len > 0) {
        char digits[24];
        int len = snprintf(digits, sizeof digits, "%lld", (long long)value);
        push_number(lx, copy(lx, (struct str){digits, (size_t)len}), STR(""), number_len);
        return;
    }
    if (is_times(lx)) {
        push(lx, (struct calc_token){.kind = CALC_OPERATOR, .op = CALC_OP_MUL}, 1);
        return;
    }
    if (lex_nth_power(lx) || lex_fraction_word(lx)) {
        return;
    }
    size_t phrase_len = 0;
    size_t unit_len = 0;
    const struct calc_phrase *phrase = calc_words_phrase(rest_of(lx), &phrase_len);
    const struct unit *unit = match_unit(lx, &unit_len);
    /* "min" is a minute, unless it is a function. */
    bool is_call = char_at(lx, lx->at + phrase_len) == '(';
    bool prefers_unit = unit_len > phrase_len || (unit_len == phrase_len && phrase != NULL &&
                                                  phrase->kind == CALC_FUNCTION && !is_call);
    if (phrase != NULL && !(unit != NULL && prefers_unit)) {
        push_phrase(lx, phrase, phrase_len);
    } else if (unit != NULL) {
        push(lx, (struct calc_token){.kind = CALC_UNIT, .unit = unit, .power = 1}, unit_len);
    } else {
        lex_unknown(lx);
    }
}

/* ---- signs ---- */

/* 5'10": feet and inches. */
static bool lex_feet_and_inches(struct lexer *lx)
{
    char c = char_at(lx, lx->at);
    const struct calc_token *last = last_token(lx);
    if (lx->has_space || last == NULL || last->kind != CALC_NUMBER) {
        return false;
    }
    size_t count = lx->tokens->count;
    bool after_feet = count >= 2 && lx->tokens->items[count - 2].kind == CALC_UNIT &&
                      str_eq(lx->tokens->items[count - 2].text, STR("'"));
    if (c == '\'' && is_digit(char_at(lx, lx->at + 1))) {
        const struct unit *feet = units_find(STR("ft"));
        push(lx, (struct calc_token){.kind = CALC_UNIT, .unit = feet, .power = 1}, 1);
        return true;
    }
    if (c == '"' && after_feet) {
        const struct unit *inches = units_find(STR("in"));
        push(lx, (struct calc_token){.kind = CALC_UNIT, .unit = inches, .power = 1}, 1);
        return true;
    }
    return false;
}

static bool lex_blank(struct lexer *lx)
{
    for (size_t i = 0; i < sizeof blanks / sizeof blanks[0]; i++) {
        struct str blank = str_from(blanks[i]);
        if (str_starts_with(rest_of(lx), blank)) {
            lx->at += blank.len;
            lx->has_space = true;
            return true;
        }
    }
    return false;
}

/* Inside max(…) and the like a comma separates, outside it may group digits. */
static void track_lists(struct lexer *lx, enum calc_kind kind)
{
    const struct calc_token *last = last_token(lx);
    bool opens_list = last != NULL && last->kind == CALC_FUNCTION && last->is_list;
    if (kind == CALC_OPEN && (lx->list_depth > 0 || opens_list)) {
        lx->list_depth++;
    } else if (kind == CALC_CLOSE && lx->list_depth > 0) {
        lx->list_depth--;
    }
}

static bool lex_sign(struct lexer *lx)
{
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        const struct sign *sign = &signs[i];
        struct str text = str_from(sign->text);
        if (!str_starts_with(rest_of(lx), text)) {
            continue;
        }
        track_lists(lx, sign->kind);
        push(lx,
             (struct calc_token){.kind = sign->kind,
                                 .op = sign->op,
                                 .num = str_from(sign->num),
                                 .den = str_from(sign->den)},
             text.len);
        return true;
    }
    return false;
}

static void lex_one(struct lexer *lx)
{
    char c = char_at(lx, lx->at);
    if (is_digit(c) || (c == '.' && is_digit(char_at(lx, lx->at + 1)))) {
        lex_number(lx);
    } else if (lex_feet_and_inches(lx) || lex_blank(lx)) {
        return;
    } else if (word_len(lx, lx->at) > 0) {
        lex_word(lx);
    } else if (!lex_sign(lx)) {
        uint32_t code_point;
        size_t len = utf8_decode(rest_of(lx), &code_point);
        bool ends = c == '.' || c == '?' || c == ';' || c == ':' || c == '\n';
        push(lx, (struct calc_token){.kind = ends ? CALC_STOP : CALC_WORD}, len == 0 ? 1 : len);
    }
}

enum status calc_lex(struct str prompt, struct arena *arena, struct calc_tokens *ret_tokens)
{
    struct lexer lx = {.prompt = prompt, .tokens = ret_tokens, .arena = arena, .st = ST_OK};
    ret_tokens->count = 0;
    ret_tokens->unknown_words = 0;
    if (prompt.len > CALC_PROMPT_MAX_BYTES) {
        return ST_TOO_BIG;
    }
    while (lx.at < prompt.len && lx.st == ST_OK) {
        lex_one(&lx);
    }
    return lx.st == ST_OK ? calc_tidy(ret_tokens, arena) : lx.st;
}
