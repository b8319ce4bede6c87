/* Scripted faults of the echo kernel:
 *     ok                  no fault
 *     429   503@retry=2   refuse with this HTTP status (400-599), Retry-After in seconds
 *     cut@3               break the reply off after 3 pieces
 *     stall@5s  @200ms    say nothing for this long, then answer */
#pragma once

#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

enum echo_fault_kind {
    ECHO_FAULT_NONE,
    ECHO_FAULT_STATUS,
    ECHO_FAULT_CUT,
    ECHO_FAULT_STALL,
};

struct echo_fault {
    enum echo_fault_kind kind;
    int http_status;       /* ECHO_FAULT_STATUS */
    int64_t retry_after_s; /* ECHO_FAULT_STATUS: -1 none */
    int64_t pieces;        /* ECHO_FAULT_CUT */
    int64_t stall_ms;      /* ECHO_FAULT_STALL */
};

/* Reads one fault. ST_INVALID, with *ret_why (static text) saying what is expected instead. */
MUST_CHECK enum status echo_fault_parse(struct str text, struct echo_fault *ret_fault,
                                        const char **ret_why);
