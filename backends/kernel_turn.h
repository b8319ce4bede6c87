/* Turns: so many threads of language models compute at a time, in the whole process, however many
 * experts, instances and children there are; others wait, first come, first served. Whoever waits for a
 * client meanwhile gives its turn away. Kernels that take no time worth counting take no turns. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Before the first turn. The first call holds, for the life of the process; without one there is no limit. */
void kernel_turn_limit(size_t threads);

/* What may be taken: at least 1; SIZE_MAX without a limit. */
size_t kernel_turn_most(void);

/* Whether answers that so many threads compute, so many at a time, are more than may be. */
bool kernel_turn_exceeds(size_t threads, int64_t answers);

/* Waits until so many threads may compute; more than there may be count as all. 0: at once. Any thread. */
void kernel_turn_take(size_t threads);
void kernel_turn_give(size_t threads); /* the same number */
