/* See calc_words.h. Tables of words, and the grammar of numbers in words. */
#include "backends/kernels/calc_words.h"

static const struct calc_phrase phrases[] = {
    {"plus", CALC_OPERATOR, CALC_OP_ADD},
    {"added to", CALC_OPERATOR, CALC_OP_ADD},
    {"minus", CALC_OPERATOR, CALC_OP_SUB},
    {"less", CALC_OPERATOR, CALC_OP_SUB},
    {"times", CALC_OPERATOR, CALC_OP_MUL},
    {"multiplied by", CALC_OPERATOR, CALC_OP_MUL},
    {"divided by", CALC_OPERATOR, CALC_OP_DIV},
    {"over", CALC_OPERATOR, CALC_OP_DIV},
    {"per", CALC_OPERATOR, CALC_OP_DIV},
    {"mod", CALC_OPERATOR, CALC_OP_MOD},
    {"modulo", CALC_OPERATOR, CALC_OP_MOD},
    {"to the power of", CALC_OPERATOR, CALC_OP_POW},
    {"to the power", CALC_OPERATOR, CALC_OP_POW},
    {"raised to the power of", CALC_OPERATOR, CALC_OP_POW},
    {"raised to the power", CALC_OPERATOR, CALC_OP_POW},
    {"raised to", CALC_OPERATOR, CALC_OP_POW},
    {"off", CALC_OPERATOR, CALC_OP_OFF},
    {"off of", CALC_OPERATOR, CALC_OP_OFF},
    {"less than", CALC_OPERATOR, CALC_OP_OFF},
    {"more than", CALC_OPERATOR, CALC_OP_MORE},
    {"is what percent of", CALC_OPERATOR, CALC_OP_PERCENT_OF},
    {"is what percentage of", CALC_OPERATOR, CALC_OP_PERCENT_OF},
    {"is what % of", CALC_OPERATOR, CALC_OP_PERCENT_OF},
    {"as a percentage of", CALC_OPERATOR, CALC_OP_PERCENT_OF},
    {"as a percent of", CALC_OPERATOR, CALC_OP_PERCENT_OF},
    {"as percentage of", CALC_OPERATOR, CALC_OP_PERCENT_OF},
    {"percent", CALC_POSTFIX, CALC_OP_PERCENT},
    {"per cent", CALC_POSTFIX, CALC_OP_PERCENT},
    {"pct", CALC_POSTFIX, CALC_OP_PERCENT},
    {"factorial", CALC_POSTFIX, CALC_OP_FACTORIAL},
    {"squared", CALC_POSTFIX, CALC_OP_SQUARED},
    {"cubed", CALC_POSTFIX, CALC_OP_CUBED},
    {"negative", CALC_FUNCTION, CALC_OP_NEGATE},
    {"sqrt", CALC_FUNCTION, CALC_OP_SQRT},
    {"sqrt of", CALC_FUNCTION, CALC_OP_SQRT},
    {"square root", CALC_FUNCTION, CALC_OP_SQRT},
    {"square root of", CALC_FUNCTION, CALC_OP_SQRT},
    {"cbrt", CALC_FUNCTION, CALC_OP_CBRT},
    {"cube root", CALC_FUNCTION, CALC_OP_CBRT},
    {"cube root of", CALC_FUNCTION, CALC_OP_CBRT},
    {"cubic root of", CALC_FUNCTION, CALC_OP_CBRT},
    {"abs", CALC_FUNCTION, CALC_OP_ABS},
    {"absolute value of", CALC_FUNCTION, CALC_OP_ABS},
    {"factorial of", CALC_FUNCTION, CALC_OP_FACTORIAL_OF},
    {"square of", CALC_FUNCTION, CALC_OP_SQUARE_OF},
    {"cube of", CALC_FUNCTION, CALC_OP_CUBE_OF},
    {"double", CALC_FUNCTION, CALC_OP_DOUBLE},
    {"twice", CALC_FUNCTION, CALC_OP_DOUBLE},
    {"triple", CALC_FUNCTION, CALC_OP_TRIPLE},
    {"sum", CALC_FUNCTION, CALC_OP_SUM},
    {"sum of", CALC_FUNCTION, CALC_OP_SUM},
    {"total of", CALC_FUNCTION, CALC_OP_SUM},
    {"add", CALC_FUNCTION, CALC_OP_SUM},
    {"product", CALC_FUNCTION, CALC_OP_PRODUCT},
    {"product of", CALC_FUNCTION, CALC_OP_PRODUCT},
    {"avg", CALC_FUNCTION, CALC_OP_MEAN},
    {"mean", CALC_FUNCTION, CALC_OP_MEAN},
    {"average", CALC_FUNCTION, CALC_OP_MEAN},
    {"average of", CALC_FUNCTION, CALC_OP_MEAN},
    {"mean of", CALC_FUNCTION, CALC_OP_MEAN},
    {"max", CALC_FUNCTION, CALC_OP_MAX},
    {"maximum of", CALC_FUNCTION, CALC_OP_MAX},
    {"min", CALC_FUNCTION, CALC_OP_MIN},
    {"minimum of", CALC_FUNCTION, CALC_OP_MIN},
    {"gcd", CALC_FUNCTION, CALC_OP_GCD},
    {"gcd of", CALC_FUNCTION, CALC_OP_GCD},
    {"greatest common divisor of", CALC_FUNCTION, CALC_OP_GCD},
    {"greatest common factor of", CALC_FUNCTION, CALC_OP_GCD},
    {"lcm", CALC_FUNCTION, CALC_OP_LCM},
    {"lcm of", CALC_FUNCTION, CALC_OP_LCM},
    {"least common multiple of", CALC_FUNCTION, CALC_OP_LCM},
    {"difference between", CALC_FUNCTION, CALC_OP_DIFFERENCE},
    {"difference of", CALC_FUNCTION, CALC_OP_DIFFERENCE},
    {"quotient of", CALC_FUNCTION, CALC_OP_QUOTIENT},
    {"divide", CALC_FUNCTION, CALC_OP_QUOTIENT},
    {"subtract", CALC_FUNCTION, CALC_OP_SUBTRACT_FROM},
    {"multiply", CALC_FUNCTION, CALC_OP_MULTIPLY_BY},
    {"increase", CALC_FUNCTION, CALC_OP_INCREASE},
    {"decrease", CALC_FUNCTION, CALC_OP_DECREASE},
    {"reduce", CALC_FUNCTION, CALC_OP_DECREASE},
    {"raise", CALC_FUNCTION, CALC_OP_RAISE},
    {"what percent of", CALC_FUNCTION, CALC_OP_WHAT_PERCENT},
    {"what percentage of", CALC_FUNCTION, CALC_OP_WHAT_PERCENT},
    {"what % of", CALC_FUNCTION, CALC_OP_WHAT_PERCENT},
    {"what percent is", CALC_FUNCTION, CALC_OP_PERCENT_IS},
    {"what percentage is", CALC_FUNCTION, CALC_OP_PERCENT_IS},
    {"and", CALC_AND, CALC_OP_NONE},
    {"to", CALC_TO, CALC_OP_NONE},
    {"into", CALC_TO, CALC_OP_NONE},
    {"as", CALC_TO, CALC_OP_NONE},
    {"as a", CALC_TO, CALC_OP_NONE},
    {"in terms of", CALC_TO, CALC_OP_NONE},
    {"rounded to", CALC_TO, CALC_OP_NONE},
    {"in", CALC_IN, CALC_OP_NONE},
    {"by", CALC_BY, CALC_OP_NONE},
    {"from", CALC_FROM, CALC_OP_NONE},
    {"with", CALC_WITH, CALC_OP_NONE},
    {"is", CALC_IS, CALC_OP_NONE},
    {"are", CALC_IS, CALC_OP_NONE},
    {"equals", CALC_IS, CALC_OP_NONE},
    {"of", CALC_OF, CALC_OP_NONE},
    {"a", CALC_ARTICLE, CALC_OP_NONE},
    {"an", CALC_ARTICLE, CALC_OP_NONE},
    {"how many", CALC_HOW_MANY, CALC_OP_NONE},
    {"hex", CALC_FORMAT, CALC_OP_HEX},
    {"hexadecimal", CALC_FORMAT, CALC_OP_HEX},
    {"binary", CALC_FORMAT, CALC_OP_BINARY},
    {"octal", CALC_FORMAT, CALC_OP_OCTAL},
    {"decimal", CALC_FORMAT, CALC_OP_DECIMAL},
    {"fraction", CALC_FORMAT, CALC_OP_FRACTION},
    {"percentage", CALC_FORMAT, CALC_OP_AS_PERCENT},
    {"decimals", CALC_PLACES, CALC_OP_DECIMAL_PLACES},
    {"places", CALC_PLACES, CALC_OP_DECIMAL_PLACES},
    {"decimal place", CALC_PLACES, CALC_OP_DECIMAL_PLACES},
    {"decimal places", CALC_PLACES, CALC_OP_DECIMAL_PLACES},
    {"digits", CALC_PLACES, CALC_OP_DIGITS},
    {"significant digits", CALC_PLACES, CALC_OP_DIGITS},
    {"significant figures", CALC_PLACES, CALC_OP_DIGITS},
    {"sig figs", CALC_PLACES, CALC_OP_DIGITS},
};

static const struct {
    const char *text;
    int64_t value;
} small_numbers[] = {
    {"zero", 0},     {"one", 1},      {"two", 2},        {"three", 3},     {"four", 4},
    {"five", 5},     {"six", 6},      {"seven", 7},      {"eight", 8},     {"nine", 9},
    {"ten", 10},     {"eleven", 11},  {"twelve", 12},    {"thirteen", 13}, {"fourteen", 14},
    {"fifteen", 15}, {"sixteen", 16}, {"seventeen", 17}, {"eighteen", 18}, {"nineteen", 19},
    {"twenty", 20},  {"thirty", 30},  {"forty", 40},     {"fifty", 50},    {"sixty", 60},
    {"seventy", 70}, {"eighty", 80},  {"ninety", 90},    {"dozen", 12},
};

static const struct {
    const char *text;
    int power_of_ten;
} scales[] = {
    {"hundred", 2}, {"thousand", 3}, {"million", 6}, {"billion", 9}, {"trillion", 12},
};

static const char *const fillers[] = {
    "what",      "what's",
    "whats",     "how",
    "much",      "the",
    "calculate", "compute",
    "evaluate",  "solve",
    "convert",   "find",
    "give",      "tell",
    "show",      "me",
    "please",    "pls",
    "can",       "could",
    "would",     "you",
    "i",         "need",
    "want",      "know",
    "value",     "result",
    "answer",    "work",
    "out",       "do",
    "does",      "there",
    "make",      "equal",
    "exactly",   "approximately",
    "about",     "for",
    "it",        "hi",
    "hello",     "hey",
    "thanks",    "be",
    "if",        "then",
    "so",        "ok",
    "go",        "many",
    "at",        "my",
    "help",      "or",
    "this",      "that",
    "on",        "s",
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

size_t calc_words_match(struct str text, const char *phrase)
{
    size_t at = 0;
    for (; *phrase != '\0'; phrase++) {
        if (*phrase == ' ') {
            size_t blanks = at;
            while (at < text.len && is_blank(text.ptr[at])) {
                at++;
            }
            if (at == blanks) {
                return 0;
            }
        } else if (at < text.len && lower(text.ptr[at]) == *phrase) {
            at++;
        } else {
            return 0;
        }
    }
    bool ends_inside = at < text.len && is_letter(text.ptr[at]) && is_letter(phrase[-1]);
    return ends_inside ? 0 : at;
}

const struct calc_phrase *calc_words_phrase(struct str text, size_t *ret_len)
{
    const struct calc_phrase *best = NULL;
    size_t best_len = 0;
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++) {
        size_t len = calc_words_match(text, phrases[i].text);
        if (len > best_len) {
            best = &phrases[i];
            best_len = len;
        }
    }
    *ret_len = best_len;
    return best;
}

static size_t match_small(struct str text, int64_t *ret_value)
{
    for (size_t i = 0; i < sizeof small_numbers / sizeof small_numbers[0]; i++) {
        size_t len = calc_words_match(text, small_numbers[i].text);
        if (len > 0) {
            *ret_value = small_numbers[i].value;
            return len;
        }
    }
    return 0;
}

static size_t match_scale(struct str text, int *ret_power_of_ten)
{
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        size_t len = calc_words_match(text, scales[i].text);
        if (len > 0) {
            *ret_power_of_ten = scales[i].power_of_ten;
            return len;
        }
    }
    return 0;
}

/* Bytes between two words of a number: blanks, a hyphen, and "and" where it is allowed. */
static size_t skip_joint(struct str text, bool allows_and)
{
    size_t at = 0;
    while (at < text.len && (is_blank(text.ptr[at]) || text.ptr[at] == '-')) {
        at++;
    }
    size_t len = allows_and && at > 0 ? calc_words_match(str_slice(text, at, text.len), "and") : 0;
    if (len > 0) {
        at += len;
        while (at < text.len && is_blank(text.ptr[at])) {
            at++;
        }
    }
    return at;
}

static int64_t power_of_ten(int exponent)
{
    int64_t power = 1;
    for (int i = 0; i < exponent; i++) {
        power *= 10;
    }
    return power;
}

/* `last` and `next` are both below a hundred: "twenty" "one", but not "one" "two" or "ten" "one". */
static bool may_follow(int64_t last, int64_t next)
{
    return last >= 20 && last % 10 == 0 && next >= 1 && next <= 9;
}

size_t calc_words_number(struct str text, int64_t *ret_value)
{
    int64_t total = 0; /* closed groups: thousands, millions */
    int64_t group = 0; /* below the next scale */
    int64_t last = 0;
    size_t at = match_small(text, &last);
    size_t end = at;
    group = last;
    bool after_scale = false;
    while (at > 0 && end < text.len) {
        struct str rest = str_slice(text, end, text.len);
        size_t joint = skip_joint(rest, after_scale);
        struct str word = str_slice(rest, joint, rest.len);
        int64_t value = 0;
        int power = 0;
        size_t scale_len = match_scale(word, &power);
        size_t small_len = scale_len == 0 ? match_small(word, &value) : 0;
        if (joint > 0 && scale_len > 0 && group > 0 && group < 1000 && total < power_of_ten(13)) {
            bool is_hundred = power == 2;
            total += is_hundred ? 0 : group * power_of_ten(power);
            group = is_hundred ? group * 100 : 0;
            after_scale = true;
            end += joint + scale_len;
        } else if (joint > 0 && small_len > 0 && (after_scale || may_follow(last, value))) {
            group += value;
            last = value;
            after_scale = false;
            end += joint + small_len;
        } else {
            break;
        }
    }
    *ret_value = total + group;
    return end;
}

size_t calc_words_scale(struct str text, int *ret_power_of_ten)
{
    return match_scale(text, ret_power_of_ten);
}

bool calc_words_is_filler(struct str word)
{
    for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++) {
        if (str_eq_nocase(word, str_from(fillers[i]))) {
            return true;
        }
    }
    return false;
}
