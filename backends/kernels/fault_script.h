/* The script of the fault kernel, an entry for each request:
 *     ok                  no fault
 *     429   503@retry=2   refuse with this HTTP status (400-599), Retry-After in seconds
 *     context_length      refuse as too long for the context
 *     content_filter      say a piece, then end as held back
 *     slow_first@2s       say nothing for so long, then answer
 *     stall@5s  @200ms    say a piece, then nothing for so long, then the rest
 *     cut@3               break the reply off after 3 pieces
 *     reset               break it off before anything came
 *     no_done             leave the end of the reply away
 *     malformed  @3       say what is no JSON, after 3 pieces of a stream */
#pragma once

#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

enum fault_kind {
    FAULT_NONE,
    FAULT_STATUS,
    FAULT_CONTEXT_LENGTH,
    FAULT_CONTENT_FILTER,
    FAULT_SLOW_FIRST,
    FAULT_STALL,
    FAULT_CUT,
    FAULT_RESET,
    FAULT_NO_DONE,
    FAULT_MALFORMED,
};

struct fault {
    enum fault_kind kind;
    int http_status;       /* FAULT_STATUS */
    int64_t retry_after_s; /* FAULT_STATUS: -1 none */
    int64_t pieces;        /* FAULT_CUT, FAULT_MALFORMED */
    int64_t pause_ms;      /* FAULT_SLOW_FIRST, FAULT_STALL */
};

/* Reads one entry. ST_INVALID, with *ret_why (static text) saying what is expected instead. */
MUST_CHECK enum status fault_script_parse(struct str text, struct fault *ret_fault,
                                          const char **ret_why);
