/* See roll.h. */
#include "base/roll.h"

void roll_init(struct roll *r)
{
    r->first = NULL;
    r->sweeps = 0;
    (void)pthread_mutex_init(&r->lock, NULL); /* cannot fail with default attributes */
}

void roll_fini(struct roll *r, roll_drop_fn *drop)
{
    while (r->first != NULL) {
        struct roll_entry *e = r->first;
        r->first = e->next;
        drop(e);
    }
    (void)pthread_mutex_destroy(&r->lock);
}

void roll_lock(struct roll *r)
{
    (void)pthread_mutex_lock(&r->lock);
}

void roll_unlock(struct roll *r)
{
    (void)pthread_mutex_unlock(&r->lock);
}

void roll_add(struct roll *r, struct roll_entry *e)
{
    atomic_init(&e->holds, 0);
    e->gone = 0;
    roll_lock(r);
    e->next = r->first;
    r->first = e;
    roll_unlock(r);
}

void roll_hold(struct roll_entry *e)
{
    (void)atomic_fetch_add(&e->holds, 1);
}

void roll_release(struct roll_entry *e)
{
    (void)atomic_fetch_sub(&e->holds, 1);
}

/* How many nobody holds; the link to the one of them that has been so for longest. */
static size_t count_spare(struct roll *r, struct roll_entry ***ret_oldest)
{
    size_t spare = 0;
    for (struct roll_entry **link = &r->first; *link != NULL; link = &(*link)->next) {
        struct roll_entry *e = *link;
        if (atomic_load(&e->holds) > 0) {
            e->gone = 0;
            continue;
        }
        e->gone = e->gone == 0 ? r->sweeps : e->gone;
        if (spare == 0 ||
            e->gone <= (**ret_oldest)->gone) { /* of equals the first that was added */
            *ret_oldest = link;
        }
        spare++;
    }
    return spare;
}

void roll_sweep(struct roll *r, roll_drop_fn *drop)
{
    struct roll_entry **oldest = NULL;
    r->sweeps++;
    while (count_spare(r, &oldest) > ROLL_SPARE) {
        struct roll_entry *e = *oldest;
        roll_lock(r);
        *oldest = e->next;
        roll_unlock(r);
        drop(e);
    }
}
