/* What the configuration changes in the body of a request before it reaches an expert: parameters that
 * are added or held down, and instructions that join the client's system prompt. The same keys stand
 * under an expert and under a category; gateway/chat_edit.h carries them out. Immutable; texts live in
 * the arena of the configuration. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/keys.h"
#include "base/str.h"

enum edits_param {
    EDITS_TEMPERATURE,
    EDITS_TOP_P,
    EDITS_MAX_TOKENS,
    EDITS_MAX_COMPLETION_TOKENS,
    EDITS_REASONING_EFFORT, /* its value is an index into edits_efforts */
};

enum {
    EDITS_PARAMS = EDITS_REASONING_EFFORT + 1
};

struct edits_value {
    bool is_set;
    double value;
};

struct edits_params {
    struct edits_value defaults[EDITS_PARAMS];
    struct edits_value caps[EDITS_PARAMS];
};

enum edits_mode {
    EDITS_PREPEND,
    EDITS_APPEND,
    EDITS_REPLACE,
};

struct edits_prompt {
    struct str text; /* "": none */
    int mode;        /* enum edits_mode */
};

struct demos; /* router/demos.h */

struct demos_settings {
    struct str file; /* "": none */
    int64_t k;
    int64_t budget_tokens;
    const struct demos *read; /* set by routes_build; NULL: none */
};

struct edits {
    struct edits_params params;
    struct edits_prompt prompt;
    struct demos_settings demos;
};

extern const struct keys edits_params_keys;
extern const struct keys edits_prompt_keys;
extern const struct keys edits_demos_keys;

/* The rows of a block whose struct has a member `edits`. */
#define EDITS_ROWS(owner)                                                                          \
    {.name = "params",                                                                             \
     .type = KEY_BLOCK,                                                                            \
     .offset = offsetof(owner, edits) + offsetof(struct edits, params),                            \
     .sentence = "parameters of requests that are added or held down",                             \
     .block = &edits_params_keys},                                                                 \
        {.name = "demos",                                                                          \
         .type = KEY_BLOCK,                                                                        \
         .offset = offsetof(owner, edits) + offsetof(struct edits, demos),                         \
         .sentence = "demonstrations that are put before the prompt; a category's instead of an "  \
                     "expert's",                                                                   \
         .block = &edits_demos_keys},                                                              \
    {                                                                                              \
        .name = "prompt", .type = KEY_BLOCK,                                                       \
        .offset = offsetof(owner, edits) + offsetof(struct edits, prompt),                         \
        .sentence = "instructions that join the client's system prompt",                           \
        .block = &edits_prompt_keys                                                                \
    }

/* "none", "minimal", "low", ...: least first, NULL-terminated. */
extern const char *const edits_efforts[];

const char *edits_param_text(enum edits_param param); /* as in a body: "max_tokens" */
const char *edits_mode_text(enum edits_mode mode);

/* Whether a parameter is configured. */
bool edits_any_param(const struct edits *e);

/* Whether anything is configured. */
bool edits_any(const struct edits *e);
