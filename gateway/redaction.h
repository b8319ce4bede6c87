/* What private data means to an exchange: the body for an expert with placeholders, the way back, the
 * counts that may be shown, the log of prompts. Private to the gateway's step files. */
#pragma once

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

struct exchange;

/* Replaces *body where the configuration asks for it, for the expert of this attempt. ST_NO_MEMORY;
 * ST_TOO_BIG, ST_INVALID: it could not be told what is private, and the body must not go out. */
MUST_CHECK enum status redaction_apply(struct exchange *x, struct str *body);

/* "email=2, phone=1" in the arena, or NULL: nothing was replaced. */
const char *redaction_counts(struct exchange *x);

/* Appends ,"redacted":{"email":2} for the first expert of the plan. */
MUST_CHECK enum status redaction_explain(struct exchange *x, struct buf *out);

/* Writes the prompt to the log of prompts, if there is one. */
void redaction_log(struct exchange *x, struct str body);

/* Lets go of what was replaced. */
void redaction_forget(struct exchange *x);
