/* Cores: how many the process may use, and threads that keep to the first of them, so that computing
 * leaves the others to those who must answer at once. Linux; machines of up to 1024 cores. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* How many the calling thread may run on; at least 1. */
size_t cores_allowed(void);

/* The calling thread, and what it starts from now on, runs on the first `count` of the cores it may run
 * on, no others. More than there are: all of them. Async-signal-safe. False: the system refuses. */
bool cores_keep_to(size_t count);

/* The calling thread yields to others by so much more (1 to 19); so does what it starts. Async-signal-safe. */
bool cores_yield(int nice);
