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
    int64_t reasoning_tokens; /* of the completion tokens */
    bool is_reported;         /* prompt or completion tokens stood there; else all are 0 */
    bool lacks_prompt;        /* reported, but not this part of it */
    bool lacks_completion;
    bool is_suspect; /* a figure cannot be: negative, no integer, over 2^53, a part over
                                 the whole */
};

struct json_reader;

enum usage_list {
    USAGE_CHOICES, /* `choices`: objects */
    USAGE_VECTORS, /* `data` of embeddings: each has numbers or base64, and the index of a text of its own */
};

/* Reads a JSON document. ret_usage is filled if it has a usage object; *ret_answers tells how much it
 * answers: the length of its list, 0 if anything in there is no answer. ST_INVALID: no JSON object. */
MUST_CHECK enum status usage_read(struct str document, enum usage_list list,
                                  struct usage *ret_usage, size_t *ret_answers);

/* Reads the value of a `usage` member. Whether it is an object. */
bool usage_read_value(struct json_reader *r, struct usage *usage);

/* Whether figures can be true of a request: none is far over what its bytes and its max_tokens (0: no
 * limit) allow. Generous: images, hidden templates and several choices are no lies. */
bool usage_is_plausible(const struct usage *usage, int64_t prompt_bytes, int64_t max_tokens);

/* About how many tokens the answer in a completion has: a quarter of the bytes of its messages. 0 for
 * what is no completion. */
int64_t usage_answer_tokens(struct str document);
