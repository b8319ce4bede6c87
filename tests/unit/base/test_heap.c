#include "base/heap.h"
#include "tests/support/test.h"

enum {
    NODES = 500
};

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void min_is_always_the_smallest_key(void **state)
{
    (void)state;
    struct heap h;
    struct heap_node nodes[NODES] = {0};
    uint64_t seed = 7;
    heap_init(&h);
    for (int i = 0; i < NODES; i++) {
        assert_int_equal(heap_insert(&h, &nodes[i], (int64_t)(next_random(&seed) % 1000)), ST_OK);
    }
    for (int i = 0; i < NODES; i += 3) {
        heap_move(&h, &nodes[i], (int64_t)(next_random(&seed) % 1000));
    }
    for (int i = 1; i < NODES; i += 5) {
        heap_remove(&h, &nodes[i]);
    }

    int64_t last = -1;
    size_t taken = 0;
    for (struct heap_node *min = heap_min(&h); min != NULL; min = heap_min(&h)) {
        assert_true(min->key >= last);
        last = min->key;
        heap_remove(&h, min);
        taken++;
    }

    assert_int_equal(taken, NODES - 100);
    heap_fini(&h);
}

static void removing_a_node_that_is_in_no_heap_is_harmless(void **state)
{
    (void)state;
    struct heap h;
    struct heap_node node = {0};
    heap_init(&h);

    heap_remove(&h, &node);

    assert_null(heap_min(&h));
    heap_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(min_is_always_the_smallest_key),
        cmocka_unit_test(removing_a_node_that_is_in_no_heap_is_harmless),
    };
    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
