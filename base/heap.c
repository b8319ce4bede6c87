/* See heap.h. A binary heap in an array; slots are kept 1-based in the nodes. */
#include "base/heap.h"

#include "base/assert.h"
#include "base/mem.h"

static void place(struct heap *h, size_t i, struct heap_node *node)
{
    h->nodes[i] = node;
    node->slot = i + 1;
}

static void sift_up(struct heap *h, size_t i)
{
    struct heap_node *node = h->nodes[i];
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (h->nodes[parent]->key <= node->key) {
            break;
        }
        place(h, i, h->nodes[parent]);
        i = parent;
    }
    place(h, i, node);
}

static void sift_down(struct heap *h, size_t i)
{
    struct heap_node *node = h->nodes[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->count) {
            break;
        }
        if (child + 1 < h->count && h->nodes[child + 1]->key < h->nodes[child]->key) {
            child++;
        }
        if (node->key <= h->nodes[child]->key) {
            break;
        }
        place(h, i, h->nodes[child]);
        i = child;
    }
    place(h, i, node);
}

void heap_init(struct heap *h)
{
    *h = (struct heap){NULL, 0, 0};
}

void heap_fini(struct heap *h)
{
    for (size_t i = 0; i < h->count; i++) {
        h->nodes[i]->slot = 0;
    }
    mem_free(h->nodes);
    heap_init(h);
}

enum status heap_insert(struct heap *h, struct heap_node *node, int64_t key)
{
    ASSERT(node->slot == 0);
    if (h->count == h->cap) {
        size_t cap = h->cap == 0 ? 64 : h->cap * 2;
        struct heap_node **nodes = mem_resize(h->nodes, cap * sizeof(struct heap_node *));
        if (nodes == NULL) {
            return ST_NO_MEMORY;
        }
        h->nodes = nodes;
        h->cap = cap;
    }
    node->key = key;
    place(h, h->count, node);
    h->count++;
    sift_up(h, h->count - 1);
    return ST_OK;
}

void heap_move(struct heap *h, struct heap_node *node, int64_t key)
{
    ASSERT(node->slot > 0 && node->slot <= h->count);
    int64_t old = node->key;
    node->key = key;
    if (key < old) {
        sift_up(h, node->slot - 1);
    } else {
        sift_down(h, node->slot - 1);
    }
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    if (node->slot == 0) {
        return;
    }
    size_t i = node->slot - 1;
    ASSERT(i < h->count && h->nodes[i] == node);
    node->slot = 0;
    h->count--;
    if (i == h->count) {
        return;
    }
    struct heap_node *last = h->nodes[h->count];
    place(h, i, last);
    sift_up(h, i);
    sift_down(h, last->slot - 1);
}

struct heap_node *heap_min(const struct heap *h)
{
    return h->count == 0 ? NULL : h->nodes[0];
}
