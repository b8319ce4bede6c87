/* Active health checks: asks each remote expert that has `health.path` whether it is well, again and again,
 * looks whether a kernel is stuck (kernel_turn.h), and tells its struct health. Part of the first worker, on its loop and through its transport: the other
 * workers see the result in what they share. Lives with one snapshot at a time, and is started anew
 * with each; what a probe said before stays with the expert. */
#pragma once

#include "base/loop.h"
#include "base/status.h"
#include "gateway/snapshot.h"

struct probes;
struct transport;

/* Starts probing at once. Takes a reference to the snapshot. *ret_probes is NULL where nobody is to be
 * probed. ST_NO_MEMORY. */
MUST_CHECK enum status probes_start(struct loop *loop, struct transport *transport,
                                    struct snapshot *snapshot, struct probes **ret_probes);

/* Ends what is under way; says nothing of those. NULL allowed. */
void probes_stop(struct probes *ps);
