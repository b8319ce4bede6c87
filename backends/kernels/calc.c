/* The calc kernel: exact arithmetic and unit conversion, found in plain English. It does not solve
 * equations or word problems, and says so.
 *
 *   calc_lex, calc_tidy   prompt -> tokens           calc_words, units: what words mean
 *   calc_parse            tokens -> expression       iterative, bounded depth
 *   calc_eval             expression -> value        rational: exact, bounded size
 *   calc_format           value -> text */
#include "backends/kernels/calc.h"

#include "backends/kernels/calc_format.h"
#include "backends/kernels/kernels.h"
#include "base/mem.h"

enum {
    ARENA_BLOCK_BYTES = 8 * 1024,
    ARENA_MAX_BYTES = 4 * 1024 * 1024,
    ANSWER_MAX_BYTES = 256 * 1024,
    EXPRESSIONS_MAX = 8,
    PROSE_WORDS = 12, /* more unknown words than this look like a word problem */
};

struct calculation { /* too big for a stack */
    struct calc_tokens tokens;
    struct calc_expression expression;
    struct calc_evaluator evaluator;
};

/* Words of mathematics that go beyond this kernel: what stands around them must not be answered as if
 * they were not there. */
static const char *const beyond[] = {
    "sin",       "cos",        "tan",         "cot",         "sine",
    "cosine",    "tangent",    "arcsin",      "arccos",      "arctan",
    "log",       "log10",      "log2",        "ln",          "logarithm",
    "exp",       "integral",   "integrate",   "derivative",  "differentiate",
    "limit",     "lim",        "matrix",      "determinant", "equation",
    "equations", "inequality", "probability", "factor",      "factorize",
    "factorise", "pi",         "\xCF\x80",
};

static bool is_beyond(const struct calc_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++) {
        if (tokens->items[i].kind != CALC_WORD) {
            continue;
        }
        for (size_t k = 0; k < sizeof beyond / sizeof beyond[0]; k++) {
            if (str_eq_nocase(tokens->items[i].text, str_from(beyond[k]))) {
                return true;
            }
        }
    }
    return false;
}

/* Answers the expressions one after another; *ret_count says how many there were. */
static enum status answer_all(struct calculation *c, struct buf *out, size_t *ret_count)
{
    enum status st = ST_OK;
    size_t count = 0;
    size_t at = 0;
    while (st == ST_OK && at < c->tokens.count && count < EXPRESSIONS_MAX) {
        enum status found = calc_parse(&c->tokens, at, &c->expression);
        if (found == ST_TOO_BIG) {
            st = buf_append(out, STR("That is nested deeper than I can follow."));
            count++;
            break;
        }
        if (found != ST_OK) {
            at++;
            continue;
        }
        st = count > 0 ? buf_append_char(out, '\n') : ST_OK;
        st = st == ST_OK ? calc_format(&c->evaluator, &c->expression, out) : st;
        at = c->expression.end;
        count++;
    }
    *ret_count = count;
    return st;
}

static enum status answer(struct calculation *c, struct str prompt, struct arena *arena,
                          struct buf *out)
{
    size_t count = 0;
    enum status st = calc_lex(prompt, arena, &c->tokens);
    if (st == ST_TOO_BIG) {
        return buf_append(out,
                          STR("That is longer than the arithmetic I can do: please send only the "
                              "expression, in at most 4,000 characters."));
    }
    if (st != ST_OK) {
        return st;
    }
    if (is_beyond(&c->tokens)) {
        return buf_append(out,
                          STR("That needs more than I can do: I only do exact arithmetic and unit "
                              "conversions, no functions beyond roots, powers and factorials, "
                              "and no equations."));
    }
    calc_eval_init(&c->evaluator, &c->tokens, arena);
    st = answer_all(c, out, &count);
    calc_eval_fini(&c->evaluator);
    if (st != ST_OK) {
        return st;
    }
    if (count == 0) {
        return buf_append(out, STR("I can only do arithmetic and unit conversions, and I found no "
                                   "expression that I understand in your message. Examples: 17% of "
                                   "3,480; 3/4 + 5/6; 12.5 km in miles."));
    }
    if (c->tokens.unknown_words > PROSE_WORDS) {
        return buf_append(out, STR("\nI worked out only the arithmetic that is written in your "
                                   "message; I do not solve word problems."));
    }
    return ST_OK;
}

enum status calc_answer(struct str prompt, struct buf *out)
{
    struct calculation *c = mem_zalloc(1, sizeof *c);
    struct arena *arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    enum status st = ST_NO_MEMORY;
    if (c != NULL && arena != NULL) {
        st = answer(c, prompt, arena, out);
    }
    arena_destroy(arena);
    mem_free(c);
    return st;
}

static const struct keys calc_keys = {
    .name = "calc",
    .size = 1,
    .sentence = "exact arithmetic and unit conversion; it has no options: write calc: {}",
};

static void destroy(struct ek_instance *instance)
{
    (void)instance; /* there is nothing to keep between requests */
}

static enum ek_status create(const struct ek_config *config, struct ek_instance **ret_instance,
                             struct ek_error *ret_error)
{
    (void)config;
    (void)ret_error;
    *ret_instance = NULL;
    return EK_OK;
}

static enum ek_status generate(struct ek_instance *instance, const struct ek_request *request,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    (void)instance;
    (void)ret_result;
    struct buf text;
    buf_init(&text, ANSWER_MAX_BYTES);
    enum status st = calc_answer(kernel_last_question(request), &text);
    enum ek_status status = st == ST_OK
                                ? kernel_say(sink, buf_str(&text))
                                : kernel_fail(ret_error, EK_NO_MEMORY, "no memory to calculate");
    buf_fini(&text);
    return status;
}

static const struct ek_info *info(void)
{
    static const struct ek_info facts =
        KERNEL_FACTS("calc", EK_CAP_GENERATE | EK_CAP_DETERMINISTIC | EK_CAP_PARALLEL);
    return &facts;
}

static const struct ek_kernel abi = {
    .size = sizeof abi,
    .abi_major = EK_ABI_MAJOR,
    .abi_minor = EK_ABI_MINOR,
    .info = info,
    .create = create,
    .destroy = destroy,
    .generate = generate,
};

const struct kernel_builtin calc_kernel = {
    .name = "calc",
    .sentence = "does exact arithmetic and converts units",
    .keys = &calc_keys,
    .abi = &abi,
};
