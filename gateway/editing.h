/* What the configuration changes in the body of a request for an expert: which demonstrations are near,
 * then all edits (chat_edit.h). Pure but for the scratch. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "gateway/chat_edit.h"
#include "router/decide.h"

struct editing { /* of which request; lent for the calls */
    const struct classifier *classifier;
    struct classifier_scratch *scratch;
    const struct prompt *prompt;
    const struct decision *decision;
    struct arena *arena;
};

/* Edits a body for an expert. ST_NO_MEMORY, for what is over a ceiling too. */
MUST_CHECK enum status editing_apply(const struct editing *of, const struct expert *e,
                                     struct str *body, struct chat_edit_notes *ret_notes);

/* The lines of the demonstrations that were put in, "12, 7", in the arena; NULL: none were. */
const char *editing_demos(const struct chat_edit_notes *notes, struct arena *arena);

/* Appends "edits":[...]: what would be changed in a body for each expert of the plan, without texts. */
MUST_CHECK enum status editing_explain(const struct editing *of, struct str body, struct buf *out);
