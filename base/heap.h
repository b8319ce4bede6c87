/* A binary min-heap of nodes embedded in the caller's structs, ordered by an int64 key: timers.
 * The heap stores pointers only; nodes must stay where they are while they are in it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct heap_node {
    int64_t key;
    size_t slot; /* index + 1 in the heap, 0 when not in one; owned by the heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t cap;
};

void heap_init(struct heap *h);
void heap_fini(struct heap *h); /* nodes still inside are forgotten, not freed */
MUST_CHECK enum status heap_insert(struct heap *h, struct heap_node *node,
                                   int64_t key);          /* ST_NO_MEMORY */
void heap_remove(struct heap *h, struct heap_node *node); /* no-op when it is in no heap */
void heap_move(struct heap *h, struct heap_node *node, int64_t key); /* node must be inside */
struct heap_node *heap_min(const struct heap *h);                    /* NULL: empty */

static inline bool heap_contains(const struct heap_node *node)
{
    return node->slot != 0;
}
