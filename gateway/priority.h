/* How important a request is: what its tenant has, or less, as x-expertd-priority says. It counts where
 * requests wait for an expert (expert_queue.h) and where the gateway has too much to do (overload.h). */
#pragma once

#include <stdbool.h>

#include "base/status.h"
#include "base/str.h"
#include "gateway/expert_queue.h"

extern const char *const priority_words[]; /* by enum expert_priority, then NULL */

/* What `text` (empty: nothing was asked for) makes of a tenant's priority. ST_INVALID: it is no word of
 * these; ST_CLOSED: it is higher than the tenant's, and it may not raise it. */
MUST_CHECK enum status priority_read(struct str text, enum expert_priority of_tenant,
                                     bool may_raise, enum expert_priority *ret_priority);
