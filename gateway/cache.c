/* See cache.h. A part is a table of chains with two kinds of nodes: entries, which are also in a list by
 * last use, and flights, one for each key that somebody is asking an expert for. */
#include "gateway/cache.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"
#include "base/container.h"
#include "base/mem.h"

enum {
    BUCKETS = 2048 /* of a part: 16 KB; at 64 MB of answers of 1 KB a chain has four */
};

struct cache_entry {
    atomic_size_t refs; /* any thread; the last one frees */
    struct digest key;
    struct cache_entry *chain;
    struct cache_entry *newer; /* used after this one */
    struct cache_entry *older;
    int64_t expires_ms;
    size_t len;
    char body[];
};

struct flight {
    struct digest key;
    struct flight *next;
    struct cache_seat *leader;
    struct cache_seat *first; /* of those that wait */
    struct cache_seat **last;
};

struct cache_seat { /* state, next and is_posted: under the part's lock; the rest: its thread's */
    struct loop_task task;
    struct cache_asker asker;
    struct part *part;
    struct flight *flight; /* of CACHE_LEADS and CACHE_WAITS */
    enum cache_found state;
    struct cache_entry *entry; /* of CACHE_TOLD */
    struct cache_seat *next;
    bool is_posted; /* the task is on its way to the loop */
    bool is_left;   /* nobody is to be woken */
};

struct part {
    pthread_mutex_t lock; /* of everything below */
    struct cache_entry *buckets[BUCKETS];
    struct cache_entry *newest;
    struct cache_entry *oldest;
    struct flight *flights; /* few: one for each request that is being asked */
    uint64_t bytes;
    uint64_t max_bytes;
    uint64_t entries;
    uint64_t evicted;
};

struct cache {
    struct part parts[CACHE_PARTS];
};

/* ---------------------------------------------------------------- entries */

static bool is_key(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_BYTES) == 0;
}

static struct cache_entry **bucket_of(struct part *p, const struct digest *key)
{
    return &p->buckets[(key->bytes[1] | (size_t)key->bytes[2] << 8) % BUCKETS];
}

static struct cache_entry *ref(struct cache_entry *e)
{
    (void)atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed); /* as shared_ptr */
    return e;
}

static uint64_t size_of(const struct cache_entry *e)
{
    return sizeof *e + e->len;
}

static void unlink_use(struct part *p, struct cache_entry *e)
{
    *(e->newer == NULL ? &p->newest : &e->newer->older) = e->older;
    *(e->older == NULL ? &p->oldest : &e->older->newer) = e->newer;
}

static void link_newest(struct part *p, struct cache_entry *e)
{
    e->newer = NULL;
    e->older = p->newest;
    *(p->newest == NULL ? &p->oldest : &p->newest->newer) = e;
    p->newest = e;
}

static void drop(struct part *p, struct cache_entry *e)
{
    struct cache_entry **at = bucket_of(p, &e->key);
    while (*at != e) {
        at = &(*at)->chain;
    }
    *at = e->chain;
    unlink_use(p, e);
    p->bytes -= size_of(e);
    p->entries--;
    cache_entry_unref(e);
}

static struct cache_entry *find(struct part *p, const struct digest *key)
{
    struct cache_entry *e = *bucket_of(p, key);
    while (e != NULL && !is_key(&e->key, key)) {
        e = e->chain;
    }
    return e;
}

/* Copies an answer into the part. NULL: no room, no memory. */
static struct cache_entry *keep(struct part *p, const struct digest *key, struct str body,
                                int64_t expires_ms)
{
    bool has_room =
        body.len <= p->max_bytes && sizeof(struct cache_entry) + body.len <= p->max_bytes;
    struct cache_entry *e = has_room ? mem_alloc(sizeof *e + body.len) : NULL;
    struct cache_entry *before = find(p, key);
    if (before != NULL) {
        drop(p, before);
    }
    if (e == NULL) {
        return NULL;
    }
    atomic_init(&e->refs, 1);
    e->key = *key;
    e->expires_ms = expires_ms;
    e->len = body.len;
    memcpy(e->body, body.ptr, body.len);
    while (p->bytes + size_of(e) > p->max_bytes) {
        drop(p, p->oldest);
        p->evicted++;
    }
    e->chain = *bucket_of(p, key);
    *bucket_of(p, key) = e;
    link_newest(p, e);
    p->bytes += size_of(e);
    p->entries++;
    return e;
}

struct str cache_entry_body(const struct cache_entry *entry)
{
    return (struct str){entry->body, entry->len};
}

void cache_entry_unref(struct cache_entry *entry)
{
    if (entry != NULL && atomic_fetch_sub(&entry->refs, 1) == 1) {
        mem_free(entry);
    }
}

/* ---------------------------------------------------------------- seats */

static void destroy_seat(struct cache_seat *seat)
{
    (*seat->asker.seats)--;
    cache_entry_unref(seat->entry);
    mem_free(seat);
}

static void on_told(struct loop_task *task)
{
    struct cache_seat *seat = CONTAINER_OF(task, struct cache_seat, task);
    (void)pthread_mutex_lock(&seat->part->lock);
    seat->is_posted = false;
    (void)pthread_mutex_unlock(&seat->part->lock);
    if (seat->is_left) {
        destroy_seat(seat);
        return;
    }
    seat->asker.wake(seat->asker.owner);
}

/* Under the lock, so that the seat cannot go before. */
static void tell(struct cache_seat *seat)
{
    if (!seat->is_posted) {
        seat->is_posted = true;
        loop_post(seat->asker.loop, &seat->task);
    }
}

static struct cache_seat *create_seat(struct part *p, const struct cache_asker *asker)
{
    struct cache_seat *seat = mem_zalloc(1, sizeof *seat);
    if (seat != NULL) {
        seat->asker = *asker;
        seat->part = p;
        seat->task.run = on_told;
        (*asker->seats)++;
    }
    return seat;
}

/* ---------------------------------------------------------------- flights */

static struct flight *find_flight(struct part *p, const struct digest *key)
{
    struct flight *f = p->flights;
    while (f != NULL && !is_key(&f->key, key)) {
        f = f->next;
    }
    return f;
}

static bool start_flight(struct part *p, const struct digest *key, struct cache_seat *leader)
{
    struct flight *f = mem_zalloc(1, sizeof *f);
    if (f == NULL) {
        return false;
    }
    f->key = *key;
    f->leader = leader;
    f->last = &f->first;
    f->next = p->flights;
    p->flights = f;
    leader->flight = f;
    leader->state = CACHE_LEADS;
    return true;
}

static void join_flight(struct flight *f, struct cache_seat *seat)
{
    seat->flight = f;
    seat->state = CACHE_WAITS;
    *f->last = seat;
    f->last = &seat->next;
}

static struct cache_seat *take_first(struct flight *f)
{
    struct cache_seat *seat = f->first;
    f->first = seat->next;
    f->last = f->first == NULL ? &f->first : f->last;
    seat->next = NULL;
    return seat;
}

static void end_flight(struct part *p, struct flight *f)
{
    struct flight **at = &p->flights;
    while (*at != f) {
        at = &(*at)->next;
    }
    *at = f->next;
    mem_free(f);
}

/* All that wait get the entry, or ask for themselves without one. */
static void release(struct part *p, struct flight *f, struct cache_entry *e)
{
    while (f->first != NULL) {
        struct cache_seat *seat = take_first(f);
        seat->flight = NULL;
        seat->state = e == NULL ? CACHE_ALONE : CACHE_TOLD;
        seat->entry = e == NULL ? NULL : ref(e);
        tell(seat);
    }
    end_flight(p, f);
}

static void pass_on(struct part *p, struct flight *f)
{
    if (f->first == NULL) {
        end_flight(p, f);
        return;
    }
    f->leader = take_first(f);
    f->leader->state = CACHE_LEADS;
    tell(f->leader);
}

static void withdraw(struct flight *f, const struct cache_seat *seat)
{
    struct cache_seat **at = &f->first;
    while (*at != seat) {
        at = &(*at)->next;
    }
    *at = seat->next;
    f->last = seat->next == NULL ? at : f->last;
    if (f->first == NULL) {
        tell(f->leader); /* it may have nobody left to ask for */
    }
}

/* ---------------------------------------------------------------- all of it */

struct cache *cache_create(void)
{
    struct cache *cache = mem_zalloc(1, sizeof *cache);
    for (size_t i = 0; cache != NULL && i < CACHE_PARTS; i++) {
        (void)pthread_mutex_init(&cache->parts[i].lock, NULL); /* cannot fail without attributes */
    }
    return cache;
}

void cache_destroy(struct cache *cache)
{
    for (size_t i = 0; cache != NULL && i < CACHE_PARTS; i++) {
        struct part *p = &cache->parts[i];
        ASSERT(p->flights == NULL);
        while (p->newest != NULL) {
            drop(p, p->newest);
        }
        (void)pthread_mutex_destroy(&p->lock);
    }
    mem_free(cache);
}

void cache_limit(struct cache *cache, uint64_t max_bytes)
{
    for (size_t i = 0; i < CACHE_PARTS; i++) {
        struct part *p = &cache->parts[i];
        (void)pthread_mutex_lock(&p->lock);
        p->max_bytes = max_bytes / CACHE_PARTS;
        while (p->bytes > p->max_bytes) {
            drop(p, p->oldest);
            p->evicted++;
        }
        (void)pthread_mutex_unlock(&p->lock);
    }
}

/* Under the lock. */
static enum status ask(struct part *p, const struct digest *key, const struct cache_asker *asker,
                       struct cache_reply *ret)
{
    struct cache_entry *e = find(p, key);
    if (e != NULL && e->expires_ms <= asker->now_ms) {
        drop(p, e);
        e = NULL;
    }
    if (e != NULL && !asker->is_fresh_wanted) {
        unlink_use(p, e);
        link_newest(p, e);
        *ret = (struct cache_reply){CACHE_HIT, ref(e), NULL};
        return ST_OK;
    }
    struct cache_seat *seat = create_seat(p, asker);
    struct flight *f = find_flight(p, key);
    if (seat == NULL) {
        return ST_NO_MEMORY;
    }
    if (f != NULL) {
        join_flight(f, seat);
    } else if (!start_flight(p, key, seat)) {
        destroy_seat(seat);
        return ST_NO_MEMORY;
    }
    *ret = (struct cache_reply){seat->state, NULL, seat};
    return ST_OK;
}

enum status cache_ask(struct cache *cache, const struct digest *key,
                      const struct cache_asker *asker, struct cache_reply *ret_reply)
{
    struct part *p = &cache->parts[key->bytes[0] % CACHE_PARTS];
    (void)pthread_mutex_lock(&p->lock);
    enum status st = ask(p, key, asker, ret_reply);
    (void)pthread_mutex_unlock(&p->lock);
    return st;
}

enum cache_found cache_seat_state(const struct cache_seat *seat)
{
    (void)pthread_mutex_lock(&seat->part->lock);
    enum cache_found state = seat->state;
    (void)pthread_mutex_unlock(&seat->part->lock);
    return state;
}

const struct cache_entry *cache_seat_entry(const struct cache_seat *seat)
{
    return seat->entry;
}

bool cache_has_followers(const struct cache_seat *seat)
{
    (void)pthread_mutex_lock(&seat->part->lock);
    bool has = seat->state == CACHE_LEADS && seat->flight->first != NULL;
    (void)pthread_mutex_unlock(&seat->part->lock);
    return has;
}

/* Under the lock. */
static void end(struct cache_seat *seat, enum cache_end how, struct str body, int64_t expires_ms)
{
    struct flight *f = seat->flight;
    struct part *p = seat->part;
    ASSERT(seat->state == CACHE_LEADS);
    seat->state = CACHE_ALONE;
    seat->flight = NULL;
    if (how == CACHE_FAILED) {
        pass_on(p, f);
        return;
    }
    release(p, f, how == CACHE_KEPT ? keep(p, &f->key, body, expires_ms) : NULL);
}

void cache_end(struct cache_seat *seat, enum cache_end how, struct str body, int64_t expires_ms)
{
    (void)pthread_mutex_lock(&seat->part->lock);
    end(seat, how, body, expires_ms);
    (void)pthread_mutex_unlock(&seat->part->lock);
}

void cache_leave(struct cache_seat *seat)
{
    if (seat == NULL) {
        return;
    }
    pthread_mutex_t *lock = &seat->part->lock;
    (void)pthread_mutex_lock(lock);
    if (seat->state == CACHE_LEADS) {
        end(seat, CACHE_FAILED, STR(""), 0);
    } else if (seat->state == CACHE_WAITS) {
        withdraw(seat->flight, seat);
        seat->state = CACHE_ALONE;
    }
    bool is_posted = seat->is_posted;
    (void)pthread_mutex_unlock(lock);
    seat->is_left = true;
    if (!is_posted) { /* else its task frees it, on this thread */
        destroy_seat(seat);
    }
}

void cache_read(struct cache *cache, struct cache_figures *ret_figures)
{
    struct cache_figures sum = {0};
    for (size_t i = 0; i < CACHE_PARTS; i++) {
        struct part *p = &cache->parts[i];
        (void)pthread_mutex_lock(&p->lock);
        sum.bytes += p->bytes;
        sum.entries += p->entries;
        sum.evicted += p->evicted;
        (void)pthread_mutex_unlock(&p->lock);
    }
    *ret_figures = sum;
}

enum status cache_write_metrics(struct cache *cache, struct buf *out)
{
    struct cache_figures now;
    cache_read(cache, &now);
    return buf_printf(out,
                      "# HELP expertd_cache_bytes Memory of kept answers.\n"
                      "# TYPE expertd_cache_bytes gauge\n"
                      "expertd_cache_bytes %" PRIu64 "\n"
                      "# HELP expertd_cache_entries Answers that are kept.\n"
                      "# TYPE expertd_cache_entries gauge\n"
                      "expertd_cache_entries %" PRIu64 "\n"
                      "# HELP expertd_cache_evicted_total Answers that left for want of room.\n"
                      "# TYPE expertd_cache_evicted_total counter\n"
                      "expertd_cache_evicted_total %" PRIu64 "\n",
                      now.bytes, now.entries, now.evicted);
}
