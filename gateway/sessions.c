/* See sessions.h. An entry is two words, the value and the key xor the value: only a pair that was
 * written by one writer gives the key back. */
#include "gateway/sessions.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "base/mem.h"

enum {
    NEIGHBOURS = 4, /* entries a key may stand in: one cache line */
    VALUE_SHIFT = 32,
};

struct entry { /* written and read by all workers; relaxed: the check makes up for the order */
    _Atomic uint64_t check; /* key ^ value */
    _Atomic uint64_t value; /* expert << 32 | second */
};

struct sessions {
    size_t mask; /* entries - 1 */
    struct entry entries[];
};

struct sessions *sessions_create(size_t entries)
{
    size_t count = NEIGHBOURS;
    while (count < entries) {
        count *= 2;
    }
    struct sessions *s = mem_zalloc(1, sizeof *s + count * sizeof s->entries[0]);
    if (s != NULL) {
        s->mask = count - 1;
    }
    return s;
}

void sessions_destroy(struct sessions *s)
{
    mem_free(s);
}

static size_t first_of(const struct sessions *s, uint64_t key)
{
    uint64_t mixed = key * 0x9e3779b97f4a7c15U;
    return (size_t)(mixed >> VALUE_SHIFT) & s->mask & ~(size_t)(NEIGHBOURS - 1);
}

/* The value, or 0 when the entry is another's, empty or torn. */
static uint64_t value_of(const struct entry *e, uint64_t key)
{
    uint64_t value = atomic_load_explicit(&e->value, memory_order_relaxed);
    uint64_t check = atomic_load_explicit(&e->check, memory_order_relaxed);
    return (check ^ value) == key ? value : 0;
}

uint32_t sessions_get(const struct sessions *s, uint64_t key, int64_t now_s, int64_t ttl_s)
{
    size_t first = first_of(s, key);
    for (size_t i = first; key != 0 && i < first + NEIGHBOURS; i++) {
        uint64_t value = value_of(&s->entries[i], key);
        if (value != 0) {
            int64_t age_s = now_s - (int64_t)(uint32_t)value;
            return age_s <= ttl_s ? (uint32_t)(value >> VALUE_SHIFT) : 0;
        }
    }
    return 0;
}

void sessions_put(struct sessions *s, uint64_t key, uint32_t expert, int64_t now_s)
{
    if (key == 0) {
        return;
    }
    size_t first = first_of(s, key);
    size_t at = first;
    uint32_t oldest = UINT32_MAX;
    for (size_t i = first; i < first + NEIGHBOURS; i++) {
        if (value_of(&s->entries[i], key) != 0) {
            at = i;
            break;
        }
        uint32_t second =
            (uint32_t)atomic_load_explicit(&s->entries[i].value, memory_order_relaxed);
        if (second < oldest) {
            oldest = second;
            at = i;
        }
    }
    uint64_t value = (uint64_t)expert << VALUE_SHIFT | (uint32_t)now_s;
    atomic_store_explicit(&s->entries[at].value, value, memory_order_relaxed);
    atomic_store_explicit(&s->entries[at].check, key ^ value, memory_order_relaxed);
}

uint32_t sessions_name(struct str expert)
{
    uint32_t hash = (uint32_t)(str_hash(expert) >> VALUE_SHIFT);
    return hash == 0 ? 1 : hash;
}
