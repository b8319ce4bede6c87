/* See rules.h. Owns the YAML block `rules`. Patterns are PCRE2 with limits: an operator's mistake may
 * cost a rule, never a worker. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "router/rules.h"

#include <pcre2.h>
#include <stddef.h>

#include "base/mem.h"

enum {
    MATCH_LIMIT = 100000, /* backtracking steps */
    DEPTH_LIMIT = 1000,
    MATCH_HEAP_KIB = 1024,
    PATTERN_BYTES_MAX = 4096,
    TEXT_BYTES_MAX = 65536, /* a pattern sees at most this much of the message */
};

struct rules_scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
};

/* header: {NAME: VALUE, ...} */
static enum status decode_headers(struct key_reader *reader, const struct yaml_node *node,
                                  void *field)
{
    struct rule_when *when = (struct rule_when *)field; /* headers is the first member */
    if (node->kind != YAML_MAPPING || node->count == 0) {
        diags_add(reader->diags, DIAG_ERROR, node->file, node->pos,
                  "\"header\" must be a mapping of header names to values, as in {x-department: "
                  "radiology}");
        return ST_OK;
    }
    when->headers = arena_alloc(reader->arena, node->count * sizeof(*when->headers));
    if (when->headers == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < node->count; i++) {
        when->headers[i].name = node->keys[i]->text;
        when->headers[i].value = node->items[i]->text;
        if (node->items[i]->kind != YAML_SCALAR) {
            diags_add(reader->diags, DIAG_ERROR, node->file, node->items[i]->pos,
                      "the value of header \"%.*s\" must be a text", STR_ARG(node->keys[i]->text));
        }
    }
    when->header_count = node->count;
    return ST_OK;
}

static const struct key head_rows[] = {
    {.name = "min",
     .type = KEY_REAL,
     .offset = offsetof(struct rule_head, min),
     .min = -1e6,
     .max = 1e6,
     .fallback = "-1000000",
     .sentence = "what the head must say at least",
     .example = "0.7"},
    {.name = "max",
     .type = KEY_REAL,
     .offset = offsetof(struct rule_head, max),
     .min = -1e6,
     .max = 1e6,
     .fallback = "1000000",
     .sentence = "what it may say at most"},
};

static const struct keys head_keys = {"head", sizeof(struct rule_head), head_rows, 2,
                                      "A head of the weights, such as difficulty: where its value "
                                      "must lie."};

static const struct key when_rows[] = {
    {.name = "header",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct rule_when, headers),
     .sentence = "request headers and the exact values that they must have",
     .example = "{x-department: radiology}",
     .decode = decode_headers,
     .custom_type = "object"},
    {.name = "text",
     .type = KEY_TEXT,
     .offset = offsetof(struct rule_when, text),
     .sentence = "regular expression (PCRE2) that must match somewhere in the last user message",
     .example = "'(?i)\\bCVE-\\d{4}-\\d+'"},
    {.name = "model",
     .type = KEY_TEXT,
     .offset = offsetof(struct rule_when, model),
     .sentence = "the model name that the client asked for, exactly",
     .example = "gpt-4o"},
    {.name = "heads",
     .type = KEY_MAP,
     .offset = offsetof(struct rule_when, heads),
     .sentence = "heads of the weights by name, and where their values must lie",
     .block = &head_keys},
};

static const struct keys when_keys = {"when", sizeof(struct rule_when), when_rows, 4,
                                      "What must hold for a rule to fire: all of it."};

static const struct key rows[] = {
    {.name = "name",
     .type = KEY_TEXT,
     .offset = offsetof(struct rule, name),
     .sentence = "name of the rule in headers, logs and explanations"},
    {.name = "when",
     .type = KEY_BLOCK,
     .offset = offsetof(struct rule, when),
     .sentence = "what must hold for it to fire",
     .block = &when_keys},
    {.name = "category",
     .type = KEY_TEXT,
     .offset = offsetof(struct rule, category),
     .sentence = "the category that the prompt then has"},
    {.name = "expert",
     .type = KEY_TEXT,
     .offset = offsetof(struct rule, expert),
     .sentence = "or the expert that then answers"},
};

const struct keys rule_keys = {"rule", sizeof(struct rule), rows, 4,
                               "A decision of the operator's, taken before the classifier."};

struct rules_scratch *rules_scratch_create(void)
{
    struct rules_scratch *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->data = pcre2_match_data_create(1, NULL);
    s->context = pcre2_match_context_create(NULL);
    if (s->data == NULL || s->context == NULL) {
        rules_scratch_destroy(s);
        return NULL;
    }
    (void)pcre2_set_match_limit(s->context, MATCH_LIMIT);
    (void)pcre2_set_depth_limit(s->context, DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(s->context, MATCH_HEAP_KIB);
    return s;
}

void rules_scratch_destroy(struct rules_scratch *s)
{
    if (s == NULL) {
        return;
    }
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->context);
    mem_free(s);
}

static enum status compile(struct rule *rule, struct key_reader *reader, struct str file)
{
    int error = 0;
    PCRE2_SIZE at = 0;
    struct str text = rule->when.text;
    if (text.len > PATTERN_BYTES_MAX) {
        diags_add(reader->diags, DIAG_ERROR, file, rule->id.pos,
                  "the pattern of this rule is longer than %d bytes", PATTERN_BYTES_MAX);
        return ST_INVALID;
    }
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text.ptr, text.len,
                                     PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C,
                                     &error, &at, NULL);
    if (code == NULL) {
        PCRE2_UCHAR why[128] = "";
        (void)pcre2_get_error_message(error, why, sizeof why);
        diags_add(reader->diags, DIAG_ERROR, file, rule->id.pos,
                  "the pattern of this rule does not compile, at character %zu: %s", at + 1,
                  (const char *)why);
        return ST_INVALID;
    }
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without JIT it is only slower */
    rule->when.pattern = code;
    return ST_OK;
}

static uint64_t mix(uint64_t hash, struct str text)
{
    return (hash ^ str_hash(text)) * 0x9e3779b97f4a7c15U + text.len;
}

static uint64_t mark_of(const struct rule_when *when)
{
    const struct rule_head *heads = when->heads.items;
    uint64_t hash = mix(mix(1, when->model), when->text);
    for (size_t i = 0; i < when->header_count; i++) {
        hash = mix(mix(hash, when->headers[i].name), when->headers[i].value);
    }
    for (size_t i = 0; i < when->heads.count; i++) {
        const double within[] = {heads[i].min, heads[i].max};
        hash = mix(mix(hash, heads[i].id.name), (struct str){(const char *)within, sizeof within});
    }
    return (uint32_t)hash == 0 ? 1 : hash; /* signals keep half of it, too */
}

enum status rule_build(struct rule *rule, struct key_reader *reader, struct str file)
{
    struct rule_when *when = &rule->when;
    if (when->header_count == 0 && when->text.len == 0 && when->model.len == 0 &&
        when->heads.count == 0) {
        diags_add(reader->diags, DIAG_ERROR, file, rule->id.pos,
                  "this rule has nothing under \"when\" and would always fire");
        return ST_INVALID;
    }
    if ((rule->category.len > 0) == (rule->expert.len > 0)) {
        diags_add(reader->diags, DIAG_ERROR, file, rule->id.pos,
                  "a rule needs either a category or an expert");
        return ST_INVALID;
    }
    rule->mark = mark_of(when);
    return when->text.len > 0 ? compile(rule, reader, file) : ST_OK;
}

void rule_fini(struct rule *rule)
{
    pcre2_code_free(rule->when.pattern);
    rule->when.pattern = NULL;
}

static bool matches_text(const struct rule *rule, struct rules_scratch *s, struct str text)
{
    text = str_slice(text, 0, TEXT_BYTES_MAX);
    int found =
        pcre2_match(rule->when.pattern, (PCRE2_SPTR)text.ptr, text.len, 0, 0, s->data, s->context);
    return found >= 0;
}

bool rule_reads(const struct rule *rule)
{
    return rule->when.header_count > 0 || rule->when.text.len > 0;
}

bool rule_is_for(const struct rule *rule, struct str model)
{
    return str_eq(model, rule->when.model.len > 0 ? rule->when.model : STR("auto"));
}

bool rule_matches(const struct rule *rule, struct rules_scratch *s, const struct rule_facts *facts)
{
    const struct rule_when *when = &rule->when;
    if (!rule_is_for(rule, facts->prompt->model)) {
        return false;
    }
    for (size_t i = 0; i < when->header_count; i++) {
        if (facts->header == NULL ||
            !str_eq(facts->header(facts->ctx, when->headers[i].name), when->headers[i].value)) {
            return false;
        }
    }
    return when->pattern == NULL || matches_text(rule, s, prompt_last_text(facts->prompt));
}

bool rule_heads_hold(const struct rule *rule, const float *values)
{
    const struct rule_head *heads = rule->when.heads.items;
    for (size_t i = 0; i < rule->when.heads.count; i++) {
        if (values == NULL || (double)values[heads[i].index] < heads[i].min ||
            (double)values[heads[i].index] > heads[i].max) {
            return false;
        }
    }
    return true;
}
