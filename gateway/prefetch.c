/* See prefetch.h. */
#include "gateway/prefetch.h"

#include <pthread.h>

#include "backends/managed.h"
#include "base/mem.h"
#include "gateway/exchange.h"
#include "gateway/sessions.h"
#include "router/markov.h"

struct prefetch {
    pthread_mutex_t lock;
    struct markov markov; /* under the lock */
};

struct prefetch *prefetch_create(void)
{
    struct prefetch *p = mem_zalloc(1, sizeof *p);
    if (p != NULL) {
        (void)pthread_mutex_init(&p->lock, NULL); /* cannot fail without attributes */
    }
    return p;
}

void prefetch_destroy(struct prefetch *p)
{
    if (p != NULL) {
        (void)pthread_mutex_destroy(&p->lock);
        mem_free(p);
    }
}

/* Its best expert; NULL: the category is gone, or it is answered without a process. */
static struct managed *best_of(const struct routes *routes, uint32_t name)
{
    const struct category *categories = routes->categories.items;
    for (size_t i = 0; i < routes->categories.count; i++) {
        const struct category *c = &categories[i];
        if (sessions_name(c->id.name) != name) {
            continue;
        }
        const struct category_expert *members = c->experts.items;
        const struct category_expert *best = NULL;
        for (size_t k = 0; k < c->experts.count; k++) {
            best = best == NULL || members[k].score > best->score ? &members[k] : best;
        }
        return best == NULL ? NULL : best->expert->managed;
    }
    return NULL;
}

void prefetch_turn(struct prefetch *p, const struct exchange *x)
{
    const struct conf *conf = &x->snapshot->conf;
    double least = conf->local.prefetch.min_probability;
    uint64_t tenant = x->tenant != NULL ? str_hash(x->tenant->name) : 0;
    if (least <= 0.0 || (x->session == 0 && tenant == 0) || x->decision.category == NULL) {
        return;
    }
    double probability = 0.0;
    uint32_t now = sessions_name(x->decision.category->id.name);
    (void)pthread_mutex_lock(&p->lock);
    bool is_learned = x->session != 0 && markov_see(&p->markov, x->session, now);
    if (!is_learned && tenant != 0) { /* a conversation begins: what has the tenant begun before? */
        (void)markov_see(&p->markov, tenant, now); /* nothing, maybe */
    }
    uint32_t next = markov_guess(&p->markov, now, &probability);
    (void)pthread_mutex_unlock(&p->lock);
    struct managed *m = next != 0 && probability >= least ? best_of(&conf->routes, next) : NULL;
    if (m != NULL) {
        managed_prefetch(m);
    }
}
