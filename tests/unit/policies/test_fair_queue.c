/* Fair queues: order inside a flow, turns between flows, weights, and what leaves from the middle;
 * against a plain model where the order is free. */
#include <string.h>

#include "policies/fair_queue.h"
#include "tests/support/test.h"

enum {
    MANY = 100
};

static void push(struct fair_queue *q, struct fair_item *item, uint64_t flow, int64_t weight,
                 int64_t cost)
{
    *item = (struct fair_item){.flow = flow, .weight = weight, .cost = cost};
    fair_queue_push(q, item);
}

static void an_empty_queue_has_nothing(void **state)
{
    struct fair_queue q = {0};
    (void)state;
    assert_null(fair_queue_pop(&q));
    assert_null(fair_queue_least(&q, 100));
}

static void inside_a_flow_first_come_first_served(void **state)
{
    struct fair_queue q = {0};
    struct fair_item items[MANY];
    (void)state;
    for (int i = 0; i < MANY; i++) {
        push(&q, &items[i], 1, 1, 1);
    }
    for (int i = 0; i < MANY; i++) {
        assert_ptr_equal(fair_queue_pop(&q), &items[i]);
    }
    assert_null(fair_queue_pop(&q));
}

static void two_hundred_of_one_delay_five_of_another_by_one_each(void **state)
{
    struct fair_queue q = {0};
    static struct fair_item many[200];
    struct fair_item few[5];
    (void)state;
    for (int i = 0; i < 200; i++) {
        push(&q, &many[i], 1, 1, 1);
    }
    for (int i = 0; i < 5; i++) {
        push(&q, &few[i], 2, 1, 1);
    }
    for (int i = 0; i < 5; i++) {
        assert_ptr_equal(fair_queue_pop(&q), &many[i]);
        assert_ptr_equal(fair_queue_pop(&q), &few[i]);
    }
    assert_int_equal(q.count, 195);
}

static void a_weight_of_four_gets_four_turns(void **state)
{
    struct fair_queue q = {0};
    struct fair_item heavy[MANY];
    struct fair_item light[MANY];
    int served[2] = {0};
    (void)state;
    for (int i = 0; i < MANY; i++) {
        push(&q, &heavy[i], 1, 4, 1);
        push(&q, &light[i], 2, 1, 1);
    }
    for (int i = 0; i < 100; i++) {
        served[fair_queue_pop(&q)->flow == 1]++;
    }
    assert_int_equal(served[0], 20);
    assert_int_equal(served[1], 80);
}

static void who_asks_for_much_gets_as_much_work_not_as_many_turns(void **state)
{
    struct fair_queue q = {0};
    struct fair_item large[MANY];
    struct fair_item small[MANY];
    int64_t work[2] = {0};
    (void)state;
    for (int i = 0; i < MANY; i++) {
        push(&q, &large[i], 1, 1, 10);
        push(&q, &small[i], 2, 1, 1);
    }
    for (int i = 0; i < MANY; i++) {
        const struct fair_item *item = fair_queue_pop(&q);
        work[item->flow == 1] += item->cost;
    }
    assert_true(work[0] - work[1] <= 10 && work[1] - work[0] <= 10);
}

static void the_least_important_one_is_the_last_of_the_lightest(void **state)
{
    struct fair_queue q = {0};
    struct fair_item items[4];
    (void)state;
    push(&q, &items[0], 1, 4, 1);
    push(&q, &items[1], 2, 1, 1);
    push(&q, &items[2], 2, 1, 1);
    push(&q, &items[3], 3, 2, 1);
    assert_ptr_equal(fair_queue_least(&q, 4), &items[2]);
    assert_ptr_equal(fair_queue_least(&q, 2), &items[2]);
    assert_null(fair_queue_least(&q, 1));
    assert_int_equal(q.count, 4);
}

/* Random pushes, pops and removals: nothing is lost, nothing comes twice, flows stay in order. */
static void any_order_of_calls_keeps_what_waits(void **state)
{
    struct fair_queue q = {0};
    struct fair_item items[MANY];
    uint64_t pushed_at[MANY];
    uint64_t seed = 3;
    size_t queued = 0;
    (void)state;
    memset(items, 0, sizeof items);
    for (uint64_t step = 1; step <= 200000; step++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        struct fair_item *item = &items[(seed >> 8) % MANY];
        if (seed % 3 == 0 && !item->is_queued) {
            uint64_t flow = (seed >> 20) % 9;
            push(&q, item, flow, 1 + (int64_t)(flow % 4), 1 + (int64_t)((seed >> 30) % 5));
            pushed_at[item - items] = step;
            queued++;
        } else if (seed % 3 == 1) {
            queued -= item->is_queued;
            fair_queue_remove(&q, item);
            assert_false(item->is_queued);
        } else {
            item = fair_queue_pop(&q);
            assert_int_equal(item == NULL, queued == 0);
            queued -= item != NULL;
            for (int i = 0; item != NULL && i < MANY; i++) {
                assert_false(items[i].is_queued && items[i].flow == item->flow &&
                             pushed_at[i] < pushed_at[item - items]);
            }
        }
        assert_int_equal(q.count, queued);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_queue_has_nothing),
        cmocka_unit_test(inside_a_flow_first_come_first_served),
        cmocka_unit_test(two_hundred_of_one_delay_five_of_another_by_one_each),
        cmocka_unit_test(a_weight_of_four_gets_four_turns),
        cmocka_unit_test(who_asks_for_much_gets_as_much_work_not_as_many_turns),
        cmocka_unit_test(the_least_important_one_is_the_last_of_the_lightest),
        cmocka_unit_test(any_order_of_calls_keeps_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
