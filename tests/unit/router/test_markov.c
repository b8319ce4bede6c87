/* What follows what, learned turn by turn. */
#include <string.h>

#include "router/markov.h"
#include "tests/support/test.h"

enum {
    LAW = 11,
    MATH = 22,
    CODE = 33,
    ALICE = 5,
    BOB = 6,
};

static struct markov m; /* large */

static int start(void **state)
{
    (void)state;
    memset(&m, 0, sizeof m);
    return 0;
}

static double probability(uint32_t state, uint32_t want)
{
    double p = -1.0;
    assert_int_equal(markov_guess(&m, state, &p), want);
    return p;
}

static void nothing_is_guessed_before_anything_was_seen(void **state)
{
    (void)state;
    assert_true(probability(LAW, 0) <= 0.0);
    (void)markov_see(&m, ALICE, LAW);
    assert_true(probability(LAW, 0) <= 0.0);
}

static void what_followed_most_is_guessed(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        (void)markov_see(&m, ALICE, LAW);
        (void)markov_see(&m, ALICE, i % 4 == 0 ? CODE : MATH);
    }
    assert_true(probability(LAW, MATH) > 0.6);
    assert_true(probability(MATH, LAW) > 0.8);
}

static void one_turn_is_no_certainty(void **state)
{
    (void)state;
    assert_false(markov_see(&m, ALICE, LAW));
    assert_true(markov_see(&m, ALICE, MATH));
    assert_true(probability(LAW, MATH) <= 0.5);
}

static void staying_counts_against_leaving(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        (void)markov_see(&m, ALICE, LAW);
    }
    (void)markov_see(&m, ALICE, MATH);
    assert_true(probability(LAW, MATH) < 0.2);
}

static void talks_do_not_mix(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) { /* law and math take turns, but in each talk nothing changes */
        (void)markov_see(&m, ALICE, LAW);
        (void)markov_see(&m, BOB, MATH);
    }
    double p = 1.0;
    (void)markov_guess(&m, LAW, &p);
    assert_true(p <= 0.0);
}

static void habits_that_end_are_forgotten(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        (void)markov_see(&m, ALICE, LAW);
        (void)markov_see(&m, ALICE, MATH);
    }
    for (int i = 0; i < 60; i++) {
        (void)markov_see(&m, ALICE, LAW);
        (void)markov_see(&m, ALICE, CODE);
    }
    assert_true(probability(LAW, CODE) > 0.6);
}

static void states_beyond_the_table_are_not_learned(void **state)
{
    (void)state;
    for (uint32_t name = 1; name <= MARKOV_STATES + 10; name++) {
        (void)markov_see(&m, ALICE, name);
    }
    assert_int_equal(m.count, MARKOV_STATES);
    assert_true(probability(MARKOV_STATES + 1, 0) <= 0.0);
    assert_true(probability(1, 2) > 0.4);
}

static void a_talk_on_the_same_place_is_another_talk(void **state)
{
    (void)state;
    (void)markov_see(&m, ALICE, LAW);
    assert_false(markov_see(&m, ALICE + MARKOV_TALKS, MATH));
    assert_true(probability(LAW, MATH) <= 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_guessed_before_anything_was_seen, start),
        cmocka_unit_test_setup(what_followed_most_is_guessed, start),
        cmocka_unit_test_setup(one_turn_is_no_certainty, start),
        cmocka_unit_test_setup(staying_counts_against_leaving, start),
        cmocka_unit_test_setup(talks_do_not_mix, start),
        cmocka_unit_test_setup(habits_that_end_are_forgotten, start),
        cmocka_unit_test_setup(states_beyond_the_table_are_not_learned, start),
        cmocka_unit_test_setup(a_talk_on_the_same_place_is_another_talk, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
