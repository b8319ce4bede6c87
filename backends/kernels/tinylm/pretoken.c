/* See pretoken.h. The patterns are those that the models were trained with (GPT-2, Llama 3, Qwen 2,
 * SmolLM), in PCRE2's syntax, with Unicode's letters, numbers and blanks. */
#include "backends/kernels/tinylm/pretoken.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/mem.h"
#include "base/utf8.h"

enum {
    PASSES_MAX = 2
};

#define GPT2_PATTERN                                                                               \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3_PATTERN(digits)                                                                     \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits                     \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct pattern {
    const char *name;
    const char *passes[PASSES_MAX]; /* the second cuts what the first left between its words */
    bool takes_whole_words;
} patterns[] = {
    {"gpt-2", {GPT2_PATTERN, NULL}, false},
    {"smollm", {"\\p{N}", GPT2_PATTERN}, false},
    {"starcoder", {"\\p{N}", GPT2_PATTERN}, false},
    {"llama-bpe", {LLAMA3_PATTERN("{1,3}"), NULL}, true},
    {"qwen2", {LLAMA3_PATTERN(""), NULL}, false},
};

struct pretoken {
    const struct pattern *pattern;
    pcre2_code *codes[PASSES_MAX];
};

struct cutting {
    const struct pretoken *pretoken;
    pcre2_match_data *data;
    pretoken_word_fn on_word;
    void *ctx;
};

enum status pretoken_create(struct str name, struct pretoken **ret_pretoken)
{
    const struct pattern *pattern = NULL;
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        pattern = str_eq(name, str_from(patterns[i].name)) ? &patterns[i] : pattern;
    }
    if (pattern == NULL) {
        return ST_NOT_FOUND;
    }
    struct pretoken *p = mem_zalloc(1, sizeof *p);
    if (p == NULL) {
        return ST_NO_MEMORY;
    }
    p->pattern = pattern;
    for (size_t i = 0; i < PASSES_MAX && pattern->passes[i] != NULL; i++) {
        int error = 0;
        PCRE2_SIZE at = 0;
        p->codes[i] = pcre2_compile((PCRE2_SPTR)pattern->passes[i], PCRE2_ZERO_TERMINATED,
                                    PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
        if (p->codes[i] == NULL) { /* the patterns are ours: only memory can be missing */
            pretoken_destroy(p);
            return ST_NO_MEMORY;
        }
        (void)pcre2_jit_compile(p->codes[i], PCRE2_JIT_COMPLETE); /* without JIT only slower */
    }
    *ret_pretoken = p;
    return ST_OK;
}

void pretoken_destroy(struct pretoken *p)
{
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < PASSES_MAX; i++) {
        pcre2_code_free(p->codes[i]);
    }
    mem_free(p);
}

struct str pretoken_names(void)
{
    return STR("gpt-2, smollm, starcoder, llama-bpe, qwen2");
}

bool pretoken_takes_whole_words(const struct pretoken *p)
{
    return p->pattern->takes_whole_words;
}

static enum status say(const struct cutting *c, struct str text)
{
    return text.len > 0 ? c->on_word(c->ctx, text) : ST_OK;
}

/* The next match of pass `i` at or after `at`; false: none, or PCRE2 gave up, which makes one word
 * of what is left. */
static bool find(const struct cutting *c, size_t i, struct str text, size_t at,
                 struct str *ret_word)
{
    int found = pcre2_match(c->pretoken->codes[i], (PCRE2_SPTR)text.ptr, text.len, at,
                            PCRE2_NOTEMPTY | PCRE2_NO_UTF_CHECK, c->data, NULL);
    if (found <= 0) {
        return false;
    }
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(c->data);
    *ret_word = str_slice(text, ends[0], ends[1] - ends[0]);
    return true;
}

/* Words of the last pass, and what lies between them. */
static enum status cut_last(const struct cutting *c, size_t pass, struct str text)
{
    struct str word = STR("");
    size_t at = 0;
    enum status st = ST_OK;
    while (st == ST_OK && at < text.len && find(c, pass, text, at, &word)) {
        size_t start = (size_t)(word.ptr - text.ptr);
        st = say(c, str_slice(text, at, start - at));
        st = st == ST_OK ? say(c, word) : st;
        at = start + word.len;
    }
    return st == ST_OK ? say(c, str_slice(text, at, text.len)) : st;
}

/* Words of the first of two passes are final; the second cuts what lies between them. */
static enum status cut_twice(const struct cutting *c, struct str text)
{
    struct str word = STR("");
    size_t at = 0;
    enum status st = ST_OK;
    while (st == ST_OK && at < text.len && find(c, 0, text, at, &word)) {
        size_t start = (size_t)(word.ptr - text.ptr);
        st = cut_last(c, 1, str_slice(text, at, start - at));
        st = st == ST_OK ? say(c, word) : st;
        at = start + word.len;
    }
    return st == ST_OK ? cut_last(c, 1, str_slice(text, at, text.len)) : st;
}

enum status pretoken_cut(const struct pretoken *p, struct str text, pretoken_word_fn on_word,
                         void *ctx)
{
    struct cutting c = {p, pcre2_match_data_create(1, NULL), on_word, ctx};
    if (c.data == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = ST_OK;
    while (st == ST_OK && text.len > 0) {
        struct str valid = str_slice(text, 0, utf8_valid_prefix(text));
        st = p->codes[1] != NULL ? cut_twice(&c, valid) : cut_last(&c, 0, valid);
        st = st == ST_OK ? say(&c, str_slice(text, valid.len, 1)) : st; /* a broken byte */
        text = str_slice(text, valid.len + 1, text.len);
    }
    pcre2_match_data_free(c.data);
    return st;
}
