/* See table.h. Open addressing with linear probing; grows at three quarters; nothing is removed. */
#include "base/table.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

enum {
    CAP_MIN = 16 /* slots; a power of two, as every capacity here */
};

struct slot {
    struct str key; /* ptr NULL: free */
    uint64_t hash;
    void *value;
};

struct table {
    struct slot *slots;
    size_t cap;
    size_t count;
};

/* A key's ptr marks a used slot, so that the empty key needs one as well. */
static const char empty_key[] = "";

/* The slot that holds the key, or the free one where it belongs. There is always a free slot. */
static struct slot *find_slot(const struct table *t, struct str key, uint64_t hash)
{
    size_t mask = t->cap - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct slot *slot = &t->slots[i];
        if (slot->key.ptr == NULL || (slot->hash == hash && str_eq(slot->key, key))) {
            return slot;
        }
    }
}

static enum status grow(struct table *t)
{
    struct table bigger = {.cap = t->cap > 0 ? t->cap * 2 : CAP_MIN, .count = t->count};
    bigger.slots = mem_zalloc(bigger.cap, sizeof *bigger.slots);
    if (bigger.slots == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < t->cap; i++) {
        if (t->slots[i].key.ptr != NULL) {
            *find_slot(&bigger, t->slots[i].key, t->slots[i].hash) = t->slots[i];
        }
    }
    mem_free(t->slots);
    *t = bigger;
    return ST_OK;
}

struct table *table_create(void)
{
    return mem_zalloc(1, sizeof(struct table));
}

void table_destroy(struct table *t)
{
    if (t != NULL) {
        mem_free(t->slots);
        mem_free(t);
    }
}

size_t table_count(const struct table *t)
{
    return t->count;
}

enum status table_put(struct table *t, struct str key, void *value, void **ret_old)
{
    if (t->count + 1 > t->cap / 4 * 3) {
        enum status st = grow(t);
        if (st != ST_OK) {
            return st;
        }
    }
    uint64_t hash = str_hash(key);
    struct slot *slot = find_slot(t, key, hash);
    if (ret_old != NULL) {
        *ret_old = slot->value;
    }
    if (slot->key.ptr == NULL) {
        slot->key = key.len > 0 ? key : (struct str){empty_key, 0};
        slot->hash = hash;
        t->count++;
    }
    slot->value = value;
    return ST_OK;
}

void *table_get(const struct table *t, struct str key)
{
    return t->count > 0 ? find_slot(t, key, str_hash(key))->value : NULL;
}

struct str table_nearest(const struct table *t, struct str wanted)
{
    size_t allowed = wanted.len / 3 < 2 ? 2 : wanted.len / 3;
    struct str nearest = {empty_key, 0};
    size_t best = allowed + 1;
    for (size_t i = 0; i < t->cap; i++) {
        struct str key = t->slots[i].key;
        if (key.ptr == NULL) {
            continue;
        }
        size_t distance = str_distance(key, wanted, allowed + 1);
        /* Of equals the first by name, so that the answer does not hang on the order of slots. */
        bool is_tie = distance == best && best <= allowed && str_cmp(key, nearest) < 0;
        if (distance < best || is_tie) {
            best = distance;
            nearest = key;
        }
    }
    return nearest;
}
