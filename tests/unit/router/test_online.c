/* Learning from feedback: misrouted prompts go right after some corrections, their like too, others
 * stay; what would cost others is refused; a rollback restores every bit. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "router/online.h"
#include "tests/support/test.h"

enum {
    LABELS = 4,
    RESERVOIR = 400,
    COMMON = 20, /* words that every prompt has */
    OWN = 30,    /* words of its kind */
    COUNT = COMMON + OWN + 10,
};

static const struct online_options options = {7, LABELS, 1.0, 30.0, RESERVOIR};

struct prompt { /* a kind of prompt: common words, words of the kind, words of its own */
    uint32_t hashes[COUNT];
    float p[LABELS];
    struct online_example example;
};

static void make(struct prompt *p, uint32_t kind, uint32_t number, size_t route, float confidence)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        p->hashes[i] = i < COMMON         ? i
                       : i < COMMON + OWN ? (kind + 1) * 0x10000U + i
                                          : 0x80000000U + kind * 0x100000U + number * 0x100U + i;
    }
    for (size_t k = 0; k < LABELS; k++) {
        p->p[k] = k == route ? confidence : (1.0F - confidence) / (float)(LABELS - 1);
    }
    p->example = (struct online_example){p->hashes, COUNT, p->p};
}

/* Decisions of the first three kinds, each on its label; and some of kind 3 that also went to 0. */
static struct online *start(size_t of_kind_3)
{
    struct prompt p;
    struct online *o = online_create(&options);
    assert_non_null(o);
    for (uint32_t i = 0; i < RESERVOIR; i++) {
        if (i < of_kind_3) {
            make(&p, 3, i, 0, 0.8F);
        } else {
            make(&p, i % 3, i, i % 3, 0.7F);
        }
        (void)online_observe(o, &p.example);
    }
    return o;
}

static size_t route_of(struct online *o, const struct prompt *p)
{
    struct classifier_result r = {.count = LABELS};
    memcpy(r.p, p->p, sizeof p->p);
    struct online_delta *d = online_delta(o);
    assert_non_null(d);
    (void)online_apply(d, p->hashes, COUNT, &r);
    online_delta_unref(d);
    size_t best = 0;
    float sum = 0.0F;
    for (size_t i = 0; i < LABELS; i++) {
        best = r.p[i] > r.p[best] ? i : best;
        sum += r.p[i];
    }
    assert_true(fabsf(sum - 1.0F) < 1e-5F);
    return best;
}

static void a_misrouted_kind_goes_right_after_a_few_corrections(void **state)
{
    struct prompt p;
    struct online *o = start(10);
    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        make(&p, 3, 1000 + i, 0, 0.8F);
        assert_true(online_learn(o, &p.example, 3) != ONLINE_REFUSED);
    }

    make(&p, 3, 5000, 0, 0.8F); /* never seen */

    assert_int_equal(route_of(o, &p), 3);
    online_destroy(o);
}

static void other_kinds_stay_where_they_were(void **state)
{
    struct prompt p;
    struct online *o = start(10);
    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        make(&p, 3, 1000 + i, 0, 0.8F);
        (void)online_learn(o, &p.example, 3);
    }

    size_t moved = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        make(&p, i % 3, 10000 + i, i % 3, 0.7F);
        moved += route_of(o, &p) != i % 3;
    }
    assert_true(moved <= 5);
    online_destroy(o);
}

static void a_correction_that_would_move_too_much_is_refused(void **state)
{
    struct prompt p;
    struct online *o = start(0);
    (void)state;

    size_t refused = 0;
    for (uint32_t i = 0; i < 20; i++) { /* a third of all prompts is of this kind */
        make(&p, 0, 1000 + i, 0, 0.7F);
        refused += online_learn(o, &p.example, 1) == ONLINE_REFUSED;
    }

    assert_true(refused > 0);
    size_t moved = 0;
    for (uint32_t i = 0; i < 300; i++) {
        make(&p, i % 3, i, i % 3, 0.7F);
        moved += route_of(o, &p) != i % 3;
    }
    assert_true(moved <= 15);
    online_destroy(o);
}

static void what_is_right_already_changes_nothing(void **state)
{
    struct prompt p;
    struct online *o = start(0);
    (void)state;
    make(&p, 1, 1, 1, 0.95F);

    assert_int_equal(online_learn(o, &p.example, 1), ONLINE_KNOWN);

    struct online_delta *d = online_delta(o);
    assert_int_equal(online_delta_rows(d), 0);
    online_delta_unref(d);
    online_destroy(o);
}

static void the_cap_holds(void **state)
{
    struct online_options small = options;
    struct prompt p;
    (void)state;
    small.cap = 0.3;
    struct online *o = online_create(&small);
    assert_non_null(o);
    size_t full = 0;
    for (uint32_t i = 0; i < 50; i++) {
        make(&p, i, i, 0, 0.8F);
        full += online_learn(o, &p.example, 3) == ONLINE_FULL;
    }

    struct online_delta *d = online_delta(o);
    assert_true(full > 0);
    assert_true(online_delta_norm(d) <= 0.3 + 1e-6);
    online_delta_unref(d);
    online_destroy(o);
}

static void a_rollback_restores_every_bit(void **state)
{
    struct classifier_result before = {.count = LABELS, .best = 0, .entropy = 0.5F};
    struct prompt p;
    struct online *o = start(10);
    (void)state;
    make(&p, 3, 1000, 0, 0.8F);
    memcpy(before.p, p.p, sizeof p.p);
    before.logit[2] = 0.1F;
    for (int i = 0; i < 5; i++) {
        (void)online_learn(o, &p.example, 3);
    }
    struct classifier_result after = before;
    struct online_delta *d = online_delta(o);
    (void)online_apply(d, p.hashes, COUNT, &after);
    assert_memory_not_equal(&after, &before, sizeof after);
    online_delta_unref(d);

    online_rollback(o);

    after = before;
    d = online_delta(o);
    assert_true(online_apply(d, p.hashes, COUNT, &after) <= 0.0F);
    assert_memory_equal(&after, &before, sizeof after);
    online_delta_unref(d);
    online_destroy(o);
}

static void what_is_written_reads_back_to_the_same_routes(void **state)
{
    struct prompt p;
    struct buf bytes;
    struct buf again;
    struct online *o = start(10);
    (void)state;
    buf_init(&bytes, 1 << 24);
    buf_init(&again, 1 << 24);
    for (uint32_t i = 0; i < 8; i++) {
        make(&p, 3, 1000 + i, 0, 0.8F);
        (void)online_learn(o, &p.example, 3);
    }
    assert_int_equal(online_write(o, &bytes), ST_OK);

    struct online *other = online_create(&options);
    assert_int_equal(online_read(other, buf_str(&bytes)), ST_OK);

    assert_int_equal(online_write(other, &again), ST_OK);
    test_assert_str(buf_str(&again), buf_str(&bytes));
    assert_int_equal(route_of(other, &p), 3);
    online_destroy(other);
    online_destroy(o);
    buf_fini(&bytes);
    buf_fini(&again);
}

static void damaged_bytes_are_refused_and_change_nothing(void **state)
{
    struct prompt p;
    struct buf bytes;
    struct online *o = start(10);
    struct online *other = online_create(&options);
    (void)state;
    buf_init(&bytes, 1 << 24);
    make(&p, 3, 1, 0, 0.8F);
    (void)online_learn(o, &p.example, 3);
    assert_int_equal(online_write(o, &bytes), ST_OK);
    for (size_t len = 0; len < bytes.len; len++) {
        assert_int_equal(online_read(other, str_slice(buf_str(&bytes), 0, len)), ST_INVALID);
    }
    memset(bytes.data + bytes.head + bytes.len - 4, 0xff, 4); /* a NaN */

    assert_int_equal(online_read(other, buf_str(&bytes)), ST_INVALID);

    struct online_delta *d = online_delta(other);
    assert_int_equal(online_delta_rows(d), 0);
    online_delta_unref(d);
    online_destroy(other);
    online_destroy(o);
    buf_fini(&bytes);
}

static void the_reservoir_is_written_slot_by_slot(void **state)
{
    struct buf bytes;
    struct buf again;
    struct online *o = start(10);
    struct online *other = online_create(&options);
    (void)state;
    buf_init(&bytes, 1 << 20);
    buf_init(&again, 1 << 20);
    assert_int_equal(online_write_slot(o, 3, &bytes), ST_OK);

    assert_int_equal(online_read_slot(other, buf_str(&bytes)), ST_OK);

    assert_int_equal(online_observed(other), 1);
    assert_int_equal(online_write_slot(other, 0, &again), ST_OK);
    test_assert_str(buf_str(&again), buf_str(&bytes));
    assert_int_equal(online_read_slot(other, str_slice(buf_str(&bytes), 0, 10)), ST_INVALID);
    online_destroy(other);
    online_destroy(o);
    buf_fini(&bytes);
    buf_fini(&again);
}

static void the_reservoir_keeps_old_and_new(void **state)
{
    struct prompt p;
    struct online *o = online_create(&options);
    size_t late = 0;
    (void)state;
    for (uint32_t i = 0; i < 10 * RESERVOIR; i++) {
        make(&p, 0, i, 0, 0.5F);
        size_t slot = online_observe(o, &p.example);
        late += i >= 5 * RESERVOIR && slot != SIZE_MAX;
    }
    assert_int_equal(online_observed(o), RESERVOIR);
    assert_true(late > RESERVOIR / 2 && late < RESERVOIR); /* ln 2 of the slots, about */
    online_destroy(o);
}

static void memory_runs_out_cleanly(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 3; n++) {
        mem_fail_at(n, 0);
        struct online *o = online_create(&options);
        mem_fail_at(0, 0);
        assert_null(o);
    }
    struct online *o = online_create(&options);
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_at(n, 0);
        struct online_delta *d = online_delta(o);
        mem_fail_at(0, 0);
        assert_null(d);
    }
    online_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_misrouted_kind_goes_right_after_a_few_corrections),
        cmocka_unit_test(other_kinds_stay_where_they_were),
        cmocka_unit_test(a_correction_that_would_move_too_much_is_refused),
        cmocka_unit_test(what_is_right_already_changes_nothing),
        cmocka_unit_test(the_cap_holds),
        cmocka_unit_test(a_rollback_restores_every_bit),
        cmocka_unit_test(what_is_written_reads_back_to_the_same_routes),
        cmocka_unit_test(damaged_bytes_are_refused_and_change_nothing),
        cmocka_unit_test(the_reservoir_is_written_slot_by_slot),
        cmocka_unit_test(the_reservoir_keeps_old_and_new),
        cmocka_unit_test(memory_runs_out_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
