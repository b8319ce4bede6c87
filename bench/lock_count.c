/* A library to be preloaded (bench/contention): counts for each place in the code that takes a mutex how
 * often, how often it had to wait, how long it waited and how long it held it. Writes a line for each to
 * $LOCK_COUNT_OUT when the process ends: object, offset, times, waits, ns waited, ns held, most ns held.
 * Twice two looks at the clock make each use some 100 ns longer. */
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SITES = 4096,
    HELD_MAX = 16, /* mutexes that one thread holds at a time and that are timed */
};

struct site {
    _Atomic(void *) caller; /* a place keeps its entry; written once */
    atomic_uint_fast64_t times;
    atomic_uint_fast64_t waits;
    atomic_uint_fast64_t waited_ns;
    atomic_uint_fast64_t held_ns;
    atomic_uint_fast64_t most_ns;
};

struct held {
    pthread_mutex_t *mutex;
    struct site *site;
    int64_t since_ns;
};

typedef int mutex_fn(pthread_mutex_t *m);
typedef int wait_fn(pthread_cond_t *c, pthread_mutex_t *m);
typedef int timed_fn(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until);

static struct site sites[SITES];
static _Thread_local struct held held[HELD_MAX];

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The function that this library stands before, into a pointer to it. */
static void find_next(const char *name, const char *version, void *ret_function)
{
    void *found = dlvsym(RTLD_NEXT, name, version);
    found = found != NULL ? found : dlsym(RTLD_NEXT, name);
    memcpy(ret_function, &found, sizeof found); /* POSIX has it that the bits are the same */
}

static struct site *site_of(void *caller)
{
    size_t at = ((size_t)caller >> 2) % SITES;
    for (size_t i = 0; i < SITES; i++, at = (at + 1) % SITES) {
        void *is = atomic_load(&sites[at].caller);
        if (is == NULL && atomic_compare_exchange_strong(&sites[at].caller, &is, caller)) {
            return &sites[at];
        }
        if (is == caller) {
            return &sites[at];
        }
    }
    return NULL;
}

static void begin_holding(pthread_mutex_t *m, struct site *site)
{
    for (size_t i = 0; site != NULL && i < HELD_MAX; i++) {
        if (held[i].mutex == NULL) {
            held[i] = (struct held){m, site, now_ns()};
            return;
        }
    }
}

static struct site *end_holding(pthread_mutex_t *m)
{
    for (size_t i = 0; i < HELD_MAX; i++) {
        struct held *h = &held[i];
        if (h->mutex == m) {
            uint64_t ns = (uint64_t)(now_ns() - h->since_ns);
            (void)atomic_fetch_add(&h->site->held_ns, ns);
            if (ns > atomic_load(&h->site->most_ns)) { /* of two at once one may be lost */
                atomic_store(&h->site->most_ns, ns);
            }
            h->mutex = NULL;
            return h->site;
        }
    }
    return NULL;
}

int pthread_mutex_lock(pthread_mutex_t *m)
{
    struct site *site = site_of(__builtin_return_address(0));
    int st = pthread_mutex_trylock(m);
    if (st == EBUSY) {
        mutex_fn *lock = NULL;
        int64_t since_ns = now_ns();
        find_next("pthread_mutex_lock", "GLIBC_2.2.5", &lock);
        st = lock(m);
        if (site != NULL) {
            (void)atomic_fetch_add(&site->waits, 1);
            (void)atomic_fetch_add(&site->waited_ns, (uint64_t)(now_ns() - since_ns));
        }
    }
    if (st == 0 && site != NULL) {
        (void)atomic_fetch_add(&site->times, 1);
        begin_holding(m, site);
    }
    return st;
}

int pthread_mutex_unlock(pthread_mutex_t *m)
{
    static _Thread_local mutex_fn *unlock; /* asked for once */
    if (unlock == NULL) {
        find_next("pthread_mutex_unlock", "GLIBC_2.2.5", &unlock);
    }
    (void)end_holding(m);
    return unlock(m);
}

/* While a thread waits for a condition it does not hold the mutex. */
int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    wait_fn *wait = NULL;
    struct site *site = end_holding(m);
    find_next("pthread_cond_wait", "GLIBC_2.3.2", &wait);
    int st = wait(c, m);
    begin_holding(m, site);
    return st;
}

int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
    timed_fn *wait = NULL;
    struct site *site = end_holding(m);
    find_next("pthread_cond_timedwait", "GLIBC_2.3.2", &wait);
    int st = wait(c, m, until);
    begin_holding(m, site);
    return st;
}

__attribute__((destructor)) static void write_all(void)
{
    const char *path = getenv("LOCK_COUNT_OUT");
    FILE *out = path == NULL ? NULL : fopen(path, "w");
    for (size_t i = 0; out != NULL && i < SITES; i++) {
        const struct site *s = &sites[i];
        Dl_info where;
        if (atomic_load(&s->times) > 0 && dladdr(atomic_load(&s->caller), &where) != 0) {
            (void)fprintf(
                out, "%s %#zx %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                where.dli_fname,
                (size_t)((const char *)atomic_load(&s->caller) - (const char *)where.dli_fbase),
                (uint64_t)atomic_load(&s->times), (uint64_t)atomic_load(&s->waits),
                (uint64_t)atomic_load(&s->waited_ns), (uint64_t)atomic_load(&s->held_ns),
                (uint64_t)atomic_load(&s->most_ns));
        }
    }
    if (out != NULL) {
        (void)fclose(out);
    }
}
