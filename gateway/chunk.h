/* Reads one chunk of a chat completion stream: the data of an event. Pure; copies nothing. */
#pragma once

#include <stdbool.h>

#include "base/status.h"
#include "base/str.h"
#include "gateway/usage.h"

struct chunk {
    bool is_preamble;   /* its choices say nothing yet: a role, or nothing at all */
    bool is_finished;   /* a choice has a finish_reason */
    bool is_error;      /* it has an `error` that says something */
    bool is_usage_only; /* usage and empty choices: the extra chunk that include_usage asks for */
    struct str text; /* the inside of choices[0].delta.content, if that is all of content it has and
                           holds no escapes; else its ptr is NULL */
    struct usage usage; /* is_reported: it has one */
};

/* ST_INVALID: the data is no JSON object. */
MUST_CHECK enum status chunk_read(struct str data, struct chunk *ret_chunk);
