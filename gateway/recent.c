/* See recent.h. */
#include "gateway/recent.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"

struct shard {
    pthread_mutex_t lock; /* rule 34 is broken here: no wait but for a copy of 3 kB, and only while
                             feedback looks for its request */
    struct recent_decision *items;
    uint64_t *keys; /* hashes of the ids, side by side for the search */
    uint64_t put;   /* ever; the next one goes to put % capacity */
};

struct recent {
    struct shard *shards;
    size_t shard_count;
    size_t capacity; /* of each */
};

struct recent *recent_create(size_t shards, size_t bytes)
{
    struct recent *r = mem_zalloc(1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    r->shards = mem_zalloc(shards, sizeof *r->shards);
    if (r->shards == NULL) {
        mem_free(r);
        return NULL;
    }
    size_t each = bytes / shards / (sizeof(struct recent_decision) + sizeof(uint64_t));
    r->capacity = each < 1 ? 1 : each;
    for (size_t i = 0; i < shards; i++) {
        struct shard *s = &r->shards[i];
        (void)pthread_mutex_init(&s->lock, NULL); /* cannot fail with default attributes */
        r->shard_count++;
        s->items = mem_zalloc(r->capacity, sizeof *s->items);
        s->keys = mem_zalloc(r->capacity, sizeof *s->keys);
        if (s->items == NULL || s->keys == NULL) {
            recent_destroy(r);
            return NULL;
        }
    }
    return r;
}

void recent_destroy(struct recent *r)
{
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < r->shard_count; i++) {
        (void)pthread_mutex_destroy(&r->shards[i].lock);
        mem_free(r->shards[i].items);
        mem_free(r->shards[i].keys);
    }
    mem_free(r->shards);
    mem_free(r);
}

static void copy_text(char *to, size_t size, struct str text)
{
    size_t len = text.len < size ? text.len : size - 1;
    if (len > 0) {
        memcpy(to, text.ptr, len);
    }
    to[len] = '\0';
}

void recent_describe(const struct routes *routes, const struct prompt *prompt,
                     const struct decision *d, struct decide_scratch *scratch,
                     struct recent_decision *ret)
{
    signals_take(routes, prompt, d, &ret->signals);
    copy_text(ret->category, sizeof ret->category, d->category_name);
    copy_text(ret->expert, sizeof ret->expert,
              d->plan.count > 0 ? d->plan.experts[0]->id.name : STR(""));
    ret->confidence = d->confidence;
    ret->weights = ret->signals.weights;
    ret->label_count = 0;
    ret->hash_count = 0;
    if (d->is_classified) {
        ret->label_count = (uint32_t)d->scores.count;
        memcpy(ret->p, d->is_taught ? d->untaught : d->scores.p,
               d->scores.count * sizeof ret->p[0]);
        ret->hash_count =
            (uint32_t)classifier_hashes(scratch->classifier, d->notes.segments,
                                        d->notes.segment_count, ret->hashes, RECENT_HASHES_MAX);
    }
}

void recent_put(struct recent *r, size_t shard, const struct recent_decision *decision)
{
    struct shard *s = &r->shards[shard];
    (void)pthread_mutex_lock(&s->lock); /* cannot fail: not recursive, never torn down while used */
    size_t at = (size_t)(s->put % r->capacity);
    size_t used = offsetof(struct recent_decision, hashes) +
                  decision->hash_count * sizeof decision->hashes[0];
    memcpy(&s->items[at], decision, used);
    s->keys[at] = str_hash(str_from(decision->id));
    s->put++;
    (void)pthread_mutex_unlock(&s->lock);
}

static bool find_in(struct shard *s, size_t capacity, struct str id, struct recent_decision *ret)
{
    uint64_t key = str_hash(id);
    size_t filled = s->put < capacity ? (size_t)s->put : capacity;
    for (size_t i = 0; i < filled; i++) {
        if (s->keys[i] == key && str_eq(str_from(s->items[i].id), id)) {
            *ret = s->items[i];
            return true;
        }
    }
    return false;
}

bool recent_find(struct recent *r, struct str id, struct recent_decision *ret)
{
    bool found = false;
    for (size_t i = 0; !found && i < r->shard_count; i++) {
        struct shard *s = &r->shards[i];
        (void)pthread_mutex_lock(&s->lock);
        found = find_in(s, r->capacity, id, ret);
        (void)pthread_mutex_unlock(&s->lock);
    }
    return found;
}

bool recent_next(struct recent *r, size_t shard, uint64_t *cursor, struct recent_decision *ret)
{
    struct shard *s = &r->shards[shard];
    (void)pthread_mutex_lock(&s->lock);
    uint64_t oldest = s->put > r->capacity ? s->put - r->capacity : 0;
    uint64_t at = *cursor < oldest ? oldest : *cursor;
    bool is_there = at < s->put;
    if (is_there) {
        *ret = s->items[at % r->capacity];
        *cursor = at + 1;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return is_there;
}

size_t recent_shards(const struct recent *r)
{
    return r->shard_count;
}
