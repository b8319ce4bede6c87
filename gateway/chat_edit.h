/* Carries out what the configuration changes in a chat request (backends/edits.h): parameters are added
 * or lowered, the operator's instructions join the client's system prompt, demonstrations stand before
 * the last message of the user's. By splicing: every byte that
 * no edit is about stays as it is. Pure. */
#pragma once

#include <stdint.h>

#include "backends/edits.h"
#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "router/demos.h"

struct chat_edit { /* what is to be done; NULL: nothing is configured there */
    const struct edits *of_expert;
    const struct edits *of_category;
    const struct demos_picked *demos;
};

struct chat_edit_notes { /* what was done */
    unsigned added;      /* bits: 1 << enum edits_param */
    unsigned lowered;    /* in the same way */
    int64_t max_tokens;  /* the limit that was written; 0: none was */
    size_t demo_count;   /* turns that were put before the last message of the user's, */
    int demo_lines[DEMOS_PICKED_MAX]; /* and where they stand in their file */
    int64_t text_bytes;               /* of instructions and demonstrations, as sent */
};

bool chat_edit_is_empty(const struct chat_edit *edit);

/* Edits a body that chat_request_parse takes. The result is in the arena, or is the body itself where
 * there is nothing to do. ST_NO_MEMORY; ST_TOO_BIG: over the arena's ceiling. */
MUST_CHECK enum status chat_edit_apply(const struct chat_edit *edit, struct str body,
                                       struct arena *arena, struct str *ret_body,
                                       struct chat_edit_notes *ret_notes);
