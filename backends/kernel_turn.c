/* See kernel_turn.h. A large one at the head of the queue holds up small ones behind it: else it might wait
 * for ever. */
#include "backends/kernel_turn.h"

#include <pthread.h>
#include <stdint.h>

static struct { /* under the lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t most; /* 0: no limit */
    size_t taken;
    uint64_t next;   /* number of the next who comes */
    uint64_t served; /* number of who is next */
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

void kernel_turn_take(size_t threads)
{
    if (threads == 0) {
        return;
    }
    (void)pthread_mutex_lock(&turns.lock);
    uint64_t number = turns.next++;
    while (number != turns.served || (turns.taken + weigh(threads) > turns.most)) {
        (void)pthread_cond_wait(&turns.changed, &turns.lock);
    }
    turns.served++;
    turns.taken += weigh(threads);
    (void)pthread_cond_broadcast(&turns.changed);
    (void)pthread_mutex_unlock(&turns.lock);
}

void kernel_turn_give(size_t threads)
{
    if (threads == 0) {
        return;
    }
    (void)pthread_mutex_lock(&turns.lock);
    turns.taken -= weigh(threads);
    (void)pthread_cond_broadcast(&turns.changed);
    (void)pthread_mutex_unlock(&turns.lock);
}
