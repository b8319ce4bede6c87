/* See edits.h. Owns the YAML blocks `params` and `prompt` of experts and categories. */
#include "backends/edits.h"

#include "base/keys_value.h"

const char *const edits_efforts[] = {"none", "minimal", "low", "medium", "high", "xhigh", NULL};
static const char *const modes[] = {"prepend", "append", "replace", NULL};

enum {
    TOKENS_MAX = 100000000,
};

/* What a value may be; offsets are not used. */
static const struct key values[EDITS_PARAMS] = {
    [EDITS_TEMPERATURE] = {.name = "temperature", .type = KEY_REAL, .min = 0, .max = 2},
    [EDITS_TOP_P] = {.name = "top_p", .type = KEY_REAL, .min = 0, .max = 1},
    [EDITS_MAX_TOKENS] = {.name = "max_tokens", .type = KEY_INT, .min = 1, .max = TOKENS_MAX},
    [EDITS_MAX_COMPLETION_TOKENS] = {.name = "max_completion_tokens",
                                     .type = KEY_INT,
                                     .min = 1,
                                     .max = TOKENS_MAX},
    [EDITS_REASONING_EFFORT] = {.name = "reasoning_effort",
                                .type = KEY_CHOICE,
                                .choices = edits_efforts},
};

/* Custom, because "not given" is no number. */
static enum status decode(struct key_reader *reader, const struct yaml_node *node, void *field,
                          enum edits_param param)
{
    const struct key *key = &values[param];
    struct edits_value *ret = field;
    const char *hint = "";

    union {
        double real;
        int64_t whole;
        int choice;
    } raw = {0};
    enum status st = keys_value_decode(key, reader, node, &raw, &hint);
    if (st == ST_INVALID) {
        struct keys_words words;
        keys_value_words(key, &words);
        diags_add(reader->diags, DIAG_ERROR, node->file, node->pos, "\"%s\" must be %.*s%s",
                  key->name, (int)words.len, words.text, hint);
        return ST_OK;
    }
    if (st == ST_OK) {
        ret->is_set = true;
        ret->value = key->type == KEY_REAL  ? raw.real
                     : key->type == KEY_INT ? (double)raw.whole
                                            : (double)raw.choice;
    }
    return st;
}

static enum status decode_temperature(struct key_reader *reader, const struct yaml_node *node,
                                      void *field)
{
    return decode(reader, node, field, EDITS_TEMPERATURE);
}

static enum status decode_top_p(struct key_reader *reader, const struct yaml_node *node,
                                void *field)
{
    return decode(reader, node, field, EDITS_TOP_P);
}

static enum status decode_max_tokens(struct key_reader *reader, const struct yaml_node *node,
                                     void *field)
{
    return decode(reader, node, field, EDITS_MAX_TOKENS);
}

static enum status decode_max_completion_tokens(struct key_reader *reader,
                                                const struct yaml_node *node, void *field)
{
    return decode(reader, node, field, EDITS_MAX_COMPLETION_TOKENS);
}

static enum status decode_effort(struct key_reader *reader, const struct yaml_node *node,
                                 void *field)
{
    return decode(reader, node, field, EDITS_REASONING_EFFORT);
}

static const struct key value_rows[] = {
    {.name = "temperature",
     .type = KEY_CUSTOM,
     .offset = EDITS_TEMPERATURE * sizeof(struct edits_value),
     .sentence = "0 to 2",
     .example = "0.2",
     .decode = decode_temperature,
     .custom_type = "number"},
    {.name = "top_p",
     .type = KEY_CUSTOM,
     .offset = EDITS_TOP_P * sizeof(struct edits_value),
     .sentence = "0 to 1",
     .example = "0.9",
     .decode = decode_top_p,
     .custom_type = "number"},
    {.name = "max_tokens",
     .type = KEY_CUSTOM,
     .offset = EDITS_MAX_TOKENS * sizeof(struct edits_value),
     .sentence = "tokens of an answer; a cap holds for max_completion_tokens as well",
     .example = "1024",
     .decode = decode_max_tokens,
     .custom_type = "integer"},
    {.name = "max_completion_tokens",
     .type = KEY_CUSTOM,
     .offset = EDITS_MAX_COMPLETION_TOKENS * sizeof(struct edits_value),
     .sentence = "the same, for experts that take only this name where neither was given",
     .example = "1024",
     .decode = decode_max_completion_tokens,
     .custom_type = "integer"},
    {.name = "reasoning_effort",
     .type = KEY_CUSTOM,
     .offset = EDITS_REASONING_EFFORT * sizeof(struct edits_value),
     .sentence = "none, minimal, low, medium, high or xhigh",
     .example = "low",
     .decode = decode_effort,
     .custom_type = "string"},
};

static const struct keys value_keys = {"parameter values",
                                       EDITS_PARAMS * sizeof(struct edits_value), value_rows,
                                       EDITS_PARAMS, "Values of parameters."};

static const struct key params_rows[] = {
    {.name = "defaults",
     .type = KEY_BLOCK,
     .offset = offsetof(struct edits_params, defaults),
     .sentence = "added where the client gives none; a category's before an expert's",
     .block = &value_keys},
    {.name = "caps",
     .type = KEY_BLOCK,
     .offset = offsetof(struct edits_params, caps),
     .sentence = "the most that reaches the expert: more is lowered, and where nothing is given "
                 "and there is no default it is added; the lower of a category's and an expert's",
     .block = &value_keys},
};

const struct keys edits_params_keys = {"params", sizeof(struct edits_params), params_rows, 2,
                                       "Parameters of requests."};

static const struct key prompt_rows[] = {
    {.name = "text",
     .type = KEY_TEXT,
     .offset = offsetof(struct edits_prompt, text),
     .is_required = true,
     .sentence = "the instructions; an expert's stand before a category's",
     .example = "Answer as a careful physician."},
    {.name = "mode",
     .type = KEY_CHOICE,
     .offset = offsetof(struct edits_prompt, mode),
     .choices = modes,
     .fallback = "prepend",
     .sentence = "before the client's system prompt, after it, or instead of all its system "
                 "messages"},
};

const struct keys edits_prompt_keys = {"prompt", sizeof(struct edits_prompt), prompt_rows, 2,
                                       "Instructions of the operator's."};

static const struct key demos_rows[] = {
    {.name = "file",
     .type = KEY_PATH,
     .offset = offsetof(struct demos_settings, file),
     .is_required = true,
     .sentence = "a line for each: {\"prompt\": \"...\", \"answer\": \"...\"}",
     .example = "demos/medical.jsonl"},
    {.name = "k",
     .type = KEY_INT,
     .offset = offsetof(struct demos_settings, k),
     .min = 1,
     .max = 16,
     .fallback = "3",
     .sentence =
         "how many: those whose prompts mean most nearly the same as the last user message"},
    {.name = "budget_tokens",
     .type = KEY_INT,
     .offset = offsetof(struct demos_settings, budget_tokens),
     .min = 1,
     .max = 1000000,
     .fallback = "1000",
     .sentence =
         "tokens that they may have together, estimated; one that is too long is passed over"},
};

const struct keys edits_demos_keys = {"demos", sizeof(struct demos_settings), demos_rows,
                                      sizeof demos_rows / sizeof demos_rows[0],
                                      "Demonstrations: prompts with good answers."};

const char *edits_param_text(enum edits_param param)
{
    return values[param].name;
}

const char *edits_mode_text(enum edits_mode mode)
{
    return modes[mode];
}

bool edits_any_param(const struct edits *e)
{
    bool any = false;
    for (size_t i = 0; i < EDITS_PARAMS; i++) {
        any = any || e->params.defaults[i].is_set || e->params.caps[i].is_set;
    }
    return any;
}

bool edits_any(const struct edits *e)
{
    return e->prompt.text.len > 0 || e->demos.read != NULL || edits_any_param(e);
}
