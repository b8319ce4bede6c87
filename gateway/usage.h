/* What an expert reports it used (OpenAI dialect `usage`), read from a completion or a chunk. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct usage {
    int64_t prompt_tokens;
    int64_t cached_tokens; /* of the prompt tokens */
    int64_t completion_tokens;
    bool is_reported; /* else the other members are 0 */
};

/* Reads a JSON document. ret_usage is filled if it has a usage object; *ret_is_usage_only tells that it
 * has an empty `choices` (the extra chunk of a stream). ST_INVALID: no JSON object. */
MUST_CHECK enum status usage_read(struct str document, struct usage *ret_usage,
                                  bool *ret_is_usage_only);
