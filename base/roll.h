/* Records that outlive configurations, by name: how an expert is, what a tenant has used. Configurations
 * hold the records of the names that they have. What none holds any more is kept for a while, the last
 * ROLL_SPARE of them, so that a name that comes back finds its record; then it goes.
 *
 * One thread adds, holds and sweeps: that which loads configurations. Any thread lets go, and may look
 * at the records between roll_lock and roll_unlock. A record that is held stays where it is. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ROLL_SPARE = 64
};

struct roll_entry { /* embedded; private but for next */
    struct roll_entry *next;
    atomic_size_t holds; /* the last one that is given back happens before a sweep that drops it */
    uint64_t gone;       /* when a sweep found that none holds it; 0: it did not */
};

struct roll {
    struct roll_entry *first; /* changed under the lock; the latest first */
    pthread_mutex_t lock;
    uint64_t sweeps;
};

typedef void roll_drop_fn(struct roll_entry *e); /* frees a record */

void roll_init(struct roll *r);
void roll_fini(struct roll *r, roll_drop_fn *drop); /* drops all */

void roll_add(struct roll *r, struct roll_entry *e); /* held by nobody */
void roll_hold(struct roll_entry *e);
void roll_release(struct roll_entry *e);
void roll_sweep(struct roll *r, roll_drop_fn *drop);

void roll_lock(struct roll *r);
void roll_unlock(struct roll *r);
