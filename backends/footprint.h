/* What a child takes in memory. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Proportional set size of all processes of a group, in bytes, from /proc: shared pages are divided
 * among those that share them. 0: there are none, or nothing may be read. Takes a walk over /proc: never
 * on a request's way. */
int64_t footprint_bytes(pid_t group);
