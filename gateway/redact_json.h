/* Texts that are JSON themselves, as arguments of tool calls and what tools answer: strings in them are
 * looked at as they read, not as they are spelled. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "policies/redact_text.h"

/* Whether the text is an object or an array, and has something that needs to be read as such. */
bool redact_json_is(struct str text, bool is_arguments);

/* Appends the text redacted: strings with escapes each by itself, then the whole, whose names say what
 * numbers are. is_arguments: a number that was replaced becomes a string, so that the text stays JSON.
 * text: redact_json_is. Errors as of redact_text. */
MUST_CHECK enum status redact_json(const struct redact_set *set, struct redact_matcher *matcher,
                                   struct redact_vault *vault, struct str text, bool is_arguments,
                                   struct buf *out);
