/* Reads one chunk of a chat completion stream: the data of an event. Pure; copies nothing. */
#pragma once

#include <stdbool.h>

#include "base/status.h"
#include "base/str.h"
#include "gateway/usage.h"

enum {
    CHUNK_SPANS = 8
};

struct chunk_span { /* a value that may differ from event to event and says nothing about them */
    const char *ptr;
    size_t len;
    bool is_number; /* digits; else the inside of a string without escapes */
};

struct chunk {
    bool is_preamble;   /* its choices say nothing yet: a role, or nothing at all */
    bool is_finished;   /* a choice has a finish_reason */
    bool is_error;      /* it has an `error` that says something */
    bool is_usage_only; /* usage and empty choices: the extra chunk that include_usage asks for */
    bool is_plain;      /* all it says is choices[0].delta.content, a string without escapes */
    /* Of is_plain, else none: that text, the integers beside choices, the strings behind it, in the
     * order of their places, none inside another. */
    struct chunk_span spans[CHUNK_SPANS];
    size_t span_count;
    struct usage usage; /* is_reported: it has one */
};

/* ST_INVALID: the data is no JSON object. */
MUST_CHECK enum status chunk_read(struct str data, struct chunk *ret_chunk);
