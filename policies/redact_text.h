/* Texts with placeholders where private data stood: the detector's spans and those of own patterns,
 * joined where they overlap, put into a vault. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "policies/redact_patterns.h"
#include "policies/redact_vault.h"

struct redact_set { /* what is looked for; borrowed */
    unsigned kinds; /* bits of enum redact_kind */
    const struct redact_pattern *const
        *patterns; /* label REDACT_KINDS + index; NULL: not asked for */
    size_t pattern_count;
};

/* Appends the text, redacted, to `out`. ST_NO_MEMORY; ST_TOO_BIG: a pattern went over its limits or
 * there are too many values: nothing of the text may go out. matcher may be NULL without patterns. */
MUST_CHECK enum status redact_text(const struct redact_set *set, struct redact_matcher *matcher,
                                   struct redact_vault *vault, struct str text, struct buf *out);
