/* Turns: so many threads of language models compute at a time, in the whole process, however many
 * experts, instances and children there are; others wait, first come, first served. Whoever waits for a
 * client meanwhile gives its turn away. Kernels that take no time worth counting take no turns.
 *
 *   IDLE --take--> WAITING --its turn--> HELD --give--> IDLE
 *     |               |                   |
 *     '---------------'---- call_off -----'--> LATE --grace_ms passed--> STUCK
 *                                                |                         |
 *   IDLE, HELD ------------ end -----------------'-------------------------'--> OVER
 *
 * An answer that was called off waits no longer. One that computes all the same keeps its turn for
 * grace_ms; then it is stuck: its turn goes to others, and its kernel gets no calls until it returns. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kernel_turn_state {
    KERNEL_TURN_IDLE,    /* holds nothing: has not begun, or waits for a client */
    KERNEL_TURN_WAITING, /* in line */
    KERNEL_TURN_HELD,    /* computes */
    KERNEL_TURN_LATE,    /* called off, and has not returned */
    KERNEL_TURN_STUCK,   /* has not for long */
    KERNEL_TURN_OVER,
};

struct kernel_turn {  /* of one answer; embedded, and there until it is OVER or never began */
    size_t threads;   /* that compute it; 0: it takes no turns. Set by kernel_set_turn, as: */
    int64_t grace_ms; /* from when it is called off */
    _Atomic uint32_t *stuck; /* counts the answers of its kernel that are; written under the lock */
    /* Private from here on, zero at first, under the lock of all turns. */
    enum kernel_turn_state state;
    size_t held;
    int64_t due_ms;           /* LATE: until then */
    struct kernel_turn *next; /* WAITING: in line; LATE: of those */
    struct kernel_turn *previous;
};

/* Before the first turn. The first call holds, for the life of the process; without one there is no limit. */
void kernel_turn_limit(size_t threads);

/* What may be taken: at least 1; SIZE_MAX without a limit. */
size_t kernel_turn_most(void);

/* Whether answers that so many threads compute, so many at a time, are more than may be. */
bool kernel_turn_exceeds(size_t threads, int64_t answers);

/* Waits until its threads may compute; more than there may be count as all. False: it was called off. On
 * the thread that computes, as give (nothing, where nothing is held) and end, which comes last, once. */
bool kernel_turn_take(struct kernel_turn *turn);
void kernel_turn_give(struct kernel_turn *turn);
void kernel_turn_end(struct kernel_turn *turn);

/* Nobody waits for the answer any more. Only once a thread has it or had it. Any thread, any number of times. */
void kernel_turn_call_off(struct kernel_turn *turn, int64_t now_ms);

/* What has been late for too long is stuck from now on. Any thread, now and then. */
void kernel_turn_check(int64_t now_ms);
