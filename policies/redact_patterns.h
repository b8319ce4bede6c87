/* An operator's own patterns: PCRE2 with limits. Compiled once, with the configuration; matching is
 * pure. */
#pragma once

#include <stddef.h>

#include "base/str.h"
#include "policies/redact.h"

struct redact_pattern; /* compiled; immutable, any thread */

enum {
    REDACT_WHY_BYTES = 160
};

/* Compiles. ST_INVALID: `why` (REDACT_WHY_BYTES) says what is wrong, patterns that match the empty
 * text among it. ST_NO_MEMORY. */
MUST_CHECK enum status redact_pattern_create(struct str text, char *why,
                                             struct redact_pattern **ret_pattern);
void redact_pattern_destroy(struct redact_pattern *p); /* NULL allowed */

struct redact_matcher; /* memory and limits for matching; one thread */

struct redact_matcher *redact_matcher_create(void);    /* NULL: no memory */
void redact_matcher_destroy(struct redact_matcher *m); /* NULL allowed */

/* The first match in text from `from` on; empty ones are passed over. ST_NOT_FOUND; ST_TOO_BIG: the
 * pattern went over its limits, and nobody knows what there is. */
MUST_CHECK enum status redact_matcher_find(struct redact_matcher *m, const struct redact_pattern *p,
                                           struct str text, size_t from,
                                           struct redact_span *ret_span);
