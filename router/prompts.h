/* Labelled prompts from a JSONL file: one object a line,
 *     {"text": ..., "label": ...?, "source": ...?, "lang": ...?, "accept": [...]?, "ood": 1?,
 *      "value": NUMBER?, "copy_of": ...?}
 * for training and evaluation. Other members are skipped. Strict JSON; a line without text is an
 * error. Does not know which labels exist. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"

enum {
    PROMPTS_ACCEPT_MAX = 16,
    PROMPTS_LINE_MAX = 16 * 1024 * 1024,
};

struct prompts_row {
    struct str text;
    struct str label;   /* empty: none */
    struct str source;  /* where the row comes from; empty: not said */
    struct str lang;    /* empty: not said */
    struct str copy_of; /* the text that this one is a changed copy of; empty: none */
    struct str accept[PROMPTS_ACCEPT_MAX]; /* other acceptable labels; more are ignored */
    size_t accept_count;
    bool has_value;
    double value; /* what a head should say (heads.h) */
    bool is_ood;  /* belongs to no label: only its uncertainty is looked at */
};

/* The text, or the one that it is a copy of: copies must not part from it when sources are left out. */
struct str prompts_original(const struct prompts_row *prompt);

/* Where the row comes from without what its source says behind ':', '@' or '#'. Empty: not said. */
struct str prompts_family(struct str source);

/* The prompt is borrowed until the function returns. Anything but ST_OK ends the reading. */
typedef enum status (*prompts_fn)(void *ctx, const struct prompts_row *prompt);

/* Calls on_prompt for each line that is not empty. ST_IO and ST_INVALID with a diagnostic,
 * ST_NO_MEMORY, or what on_prompt returned. */
MUST_CHECK enum status prompts_read(const char *path, struct diags *diags, prompts_fn on_prompt,
                                    void *ctx);

/* The same over text in memory; `file` is for the messages. */
MUST_CHECK enum status prompts_scan(struct str text, struct str file, struct diags *diags,
                                    prompts_fn on_prompt, void *ctx);
