/* Records of names: kept while they are held, and for a while after. */
#include "base/container.h"
#include "base/mem.h"
#include "base/roll.h"
#include "tests/support/test.h"

struct record {
    struct roll_entry entry;
    size_t number;
};

static size_t dropped;
static size_t last_dropped;

static void drop(struct roll_entry *e)
{
    struct record *record = CONTAINER_OF(e, struct record, entry);
    dropped++;
    last_dropped = record->number;
    mem_free(record);
}

static struct record *add(struct roll *r, size_t number)
{
    struct record *record = mem_zalloc(1, sizeof *record);
    assert_non_null(record);
    record->number = number;
    roll_add(r, &record->entry);
    return record;
}

static size_t count(struct roll *r)
{
    size_t n = 0;
    roll_lock(r);
    for (struct roll_entry *e = r->first; e != NULL; e = e->next) {
        n++;
    }
    roll_unlock(r);
    return n;
}

static void any_number_is_kept_while_it_is_held(void **state)
{
    struct roll r;
    (void)state;
    dropped = 0;
    roll_init(&r);
    for (size_t i = 0; i < 1000; i++) {
        roll_hold(&add(&r, i)->entry);
    }
    roll_sweep(&r, drop);
    assert_int_equal(dropped, 0);
    roll_fini(&r, drop);
    assert_int_equal(dropped, 1000);
}

static void some_that_nobody_holds_are_kept(void **state)
{
    struct roll r;
    (void)state;
    dropped = 0;
    roll_init(&r);
    for (size_t i = 0; i < ROLL_SPARE; i++) {
        (void)add(&r, i);
    }
    roll_sweep(&r, drop);
    assert_int_equal(dropped, 0);
    roll_fini(&r, drop);
}

static void who_went_first_is_dropped_first(void **state)
{
    struct roll r;
    struct record *records[ROLL_SPARE + 1];
    (void)state;
    dropped = 0;
    roll_init(&r);
    for (size_t i = 0; i < ROLL_SPARE + 1; i++) {
        records[i] = add(&r, i);
        roll_hold(&records[i]->entry);
    }
    roll_release(&records[7]->entry);
    roll_sweep(&r, drop);
    for (size_t i = 0; i < ROLL_SPARE + 1; i++) {
        if (i != 7) {
            roll_release(&records[i]->entry);
        }
    }
    assert_int_equal(dropped, 0);
    roll_sweep(&r, drop);
    assert_int_equal(dropped, 1);
    assert_int_equal(last_dropped, 7);
    roll_fini(&r, drop);
}

static void who_came_back_counts_anew(void **state)
{
    struct roll r;
    (void)state;
    dropped = 0;
    roll_init(&r);
    struct record *back = add(&r, 0);
    roll_sweep(&r, drop); /* gone */
    roll_hold(&back->entry);
    roll_sweep(&r, drop); /* back */
    roll_release(&back->entry);
    for (size_t i = 1; i < ROLL_SPARE; i++) {
        (void)add(&r, i);
    }
    roll_sweep(&r, drop);
    (void)add(&r, ROLL_SPARE);
    roll_hold(&back->entry);
    roll_sweep(&r, drop);
    assert_int_equal(dropped, 0);
    assert_int_equal(count(&r), ROLL_SPARE + 1);
    roll_fini(&r, drop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_is_kept_while_it_is_held),
        cmocka_unit_test(some_that_nobody_holds_are_kept),
        cmocka_unit_test(who_went_first_is_dropped_first),
        cmocka_unit_test(who_came_back_counts_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
