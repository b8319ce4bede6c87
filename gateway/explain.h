/* The explanation of a decision as JSON: POST /v1/route and `expertd route --json`. */
#pragma once

#include "base/buf.h"
#include "router/decide.h"

enum {
    EXPLAIN_EVIDENCE = 10
};

/* Appends {"category","confidence","source",...,"conversation":{...},"scores":[...],"evidence":[...],
 * "heads":{...},"heads_evidence":{...},"left":{...},"candidates":[...],
 * "plan":[...]}. The decision must come from the same routes, scratch and prompt. ST_NO_MEMORY,
 * ST_TOO_BIG. */
MUST_CHECK enum status explain_write(struct buf *out, const struct routes *routes,
                                     struct decide_scratch *scratch, const struct prompt *prompt,
                                     const struct decision *decision);

/* Appends what was decided, without what the prompt looked like: {"category","confidence","source",
 * "rule","left":{"category","candidates":[...]},"candidates":[...],"plan":[...]}; "left" only where a
 * guarantee took it from another category. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status explain_write_decision(struct buf *out, const struct decision *d);
