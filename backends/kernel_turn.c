/* See kernel_turn.h. A large one at the head of the queue holds up small ones behind it: else it might wait
 * for ever. */
#include "backends/kernel_turn.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/assert.h"

struct list {
    struct kernel_turn *first;
    struct kernel_turn *last;
};

static struct { /* under the lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t most; /* 0: no limit */
    size_t taken;
    struct list line; /* WAITING, first come, first served */
    struct list late; /* LATE */
} turns = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

void kernel_turn_limit(size_t threads)
{
    (void)pthread_mutex_lock(&turns.lock); /* fails for a broken mutex only */
    turns.most = turns.most == 0 ? threads : turns.most;
    (void)pthread_mutex_unlock(&turns.lock);
}

size_t kernel_turn_most(void)
{
    (void)pthread_mutex_lock(&turns.lock);
    size_t most = turns.most == 0 ? SIZE_MAX : turns.most;
    (void)pthread_mutex_unlock(&turns.lock);
    return most;
}

bool kernel_turn_exceeds(size_t threads, int64_t answers)
{
    return threads > 0 && (uint64_t)answers > kernel_turn_most() / threads;
}

/* Held. What counts of so many. */
static size_t weigh(size_t threads)
{
    return threads < turns.most ? threads : turns.most;
}

static void append(struct list *list, struct kernel_turn *turn)
{
    turn->next = NULL;
    turn->previous = list->last;
    if (list->last == NULL) {
        list->first = turn;
    } else {
        list->last->next = turn;
    }
    list->last = turn;
}

static void unlink_from(struct list *list, struct kernel_turn *turn)
{
    if (turn->previous == NULL) {
        list->first = turn->next;
    } else {
        turn->previous->next = turn->next;
    }
    if (turn->next == NULL) {
        list->last = turn->previous;
    } else {
        turn->next->previous = turn->previous;
    }
}

static struct list *list_of(enum kernel_turn_state state)
{
    return state == KERNEL_TURN_WAITING ? &turns.line
           : state == KERNEL_TURN_LATE  ? &turns.late
                                        : NULL;
}

enum {
    TO_IDLE = 1U << KERNEL_TURN_IDLE,
    TO_WAITING = 1U << KERNEL_TURN_WAITING,
    TO_HELD = 1U << KERNEL_TURN_HELD,
    TO_LATE = 1U << KERNEL_TURN_LATE,
    TO_STUCK = 1U << KERNEL_TURN_STUCK,
    TO_OVER = 1U << KERNEL_TURN_OVER,
};

/* Held. The only place where a state changes. */
static void change(struct kernel_turn *turn, enum kernel_turn_state next)
{
    static const unsigned allowed[] = {
        [KERNEL_TURN_IDLE] = TO_WAITING | TO_LATE | TO_OVER,
        [KERNEL_TURN_WAITING] = TO_HELD | TO_LATE,
        [KERNEL_TURN_HELD] = TO_IDLE | TO_LATE | TO_OVER,
        [KERNEL_TURN_LATE] = TO_STUCK | TO_OVER,
        [KERNEL_TURN_STUCK] = TO_OVER,
        [KERNEL_TURN_OVER] = 0,
    };

    ASSERT((allowed[turn->state] >> next & 1U) != 0);
    if (list_of(turn->state) != NULL) {
        unlink_from(list_of(turn->state), turn);
    }
    if (next == KERNEL_TURN_HELD) {
        turn->held = weigh(turn->threads);
        turns.taken += turn->held;
    } else if (next != KERNEL_TURN_LATE) {
        turns.taken -= turn->held;
        turn->held = 0;
    }
    if (turn->state == KERNEL_TURN_STUCK) {
        (void)atomic_fetch_sub(turn->stuck, 1);
    } else if (next == KERNEL_TURN_STUCK) {
        (void)atomic_fetch_add(turn->stuck, 1);
    }
    turn->state = next;
    if (list_of(next) != NULL) {
        append(list_of(next), turn);
    }
    (void)pthread_cond_broadcast(&turns.changed);
}

/* Held. */
static bool is_next(const struct kernel_turn *turn)
{
    return turns.line.first == turn && turns.taken + weigh(turn->threads) <= turns.most;
}

bool kernel_turn_take(struct kernel_turn *turn)
{
    if (turn->threads == 0) {
        return true;
    }
    (void)pthread_mutex_lock(&turns.lock);
    if (turn->state == KERNEL_TURN_IDLE) {
        change(turn, KERNEL_TURN_WAITING);
    }
    while (turn->state == KERNEL_TURN_WAITING && !is_next(turn)) {
        (void)pthread_cond_wait(&turns.changed, &turns.lock);
    }
    if (turn->state == KERNEL_TURN_WAITING) {
        change(turn, KERNEL_TURN_HELD);
    }
    bool is_held = turn->state == KERNEL_TURN_HELD;
    (void)pthread_mutex_unlock(&turns.lock);
    return is_held;
}

void kernel_turn_give(struct kernel_turn *turn)
{
    if (turn->threads == 0) {
        return;
    }
    (void)pthread_mutex_lock(&turns.lock);
    if (turn->state == KERNEL_TURN_HELD) {
        change(turn, KERNEL_TURN_IDLE);
    }
    (void)pthread_mutex_unlock(&turns.lock);
}

void kernel_turn_end(struct kernel_turn *turn)
{
    (void)pthread_mutex_lock(&turns.lock);
    change(turn, KERNEL_TURN_OVER);
    (void)pthread_mutex_unlock(&turns.lock);
}

void kernel_turn_call_off(struct kernel_turn *turn, int64_t now_ms)
{
    (void)pthread_mutex_lock(&turns.lock);
    if (turn->state <= KERNEL_TURN_HELD) {
        turn->due_ms = now_ms + turn->grace_ms;
        change(turn, KERNEL_TURN_LATE);
    }
    (void)pthread_mutex_unlock(&turns.lock);
}

void kernel_turn_check(int64_t now_ms)
{
    (void)pthread_mutex_lock(&turns.lock);
    struct kernel_turn *next = NULL;
    for (struct kernel_turn *turn = turns.late.first; turn != NULL; turn = next) {
        next = turn->next;
        if (turn->due_ms <= now_ms) {
            change(turn, KERNEL_TURN_STUCK);
        }
    }
    (void)pthread_mutex_unlock(&turns.lock);
}
