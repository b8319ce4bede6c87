/* The centroid baseline on rows small enough to follow by hand. */
#include "base/mem.h"
#include "router/centroid.h"
#include "tests/support/test.h"

enum {
    BREAD,
    BALL,
    RARE,
    LABELS,
};

/* "the" stands in every row: its idf is log(1) = 0. */
static const struct {
    const char *text;
    size_t label;
} rows[] = {
    {"the bread oven", BREAD}, {"the bread flour", BREAD}, {"the ball kick", BALL},
    {"the ball goal", BALL},   {"the ball oven", BALL},    {"the zebra", RARE},
};

static struct centroid *fitted(void)
{
    struct centroid *c = centroid_create(LABELS);
    assert_non_null(c);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(centroid_add(c, str_from(rows[i].text), rows[i].label), ST_OK);
    }
    assert_int_equal(centroid_fit(c), ST_OK);
    return c;
}

/* idf: oven, bread log 3; ball log 2; flour, kick, goal, zebra log 6. "oven" alone: in one bread
 * row (1.10 / |1.10, 1.10| = .71 of the row) and one ball row (1.10 / |.69, 1.10| = .85); lengths of
 * the sums: bread |1.23, .71, .85| = 1.65, ball |1.25, .85, .93, .93| = 2.00; .43 against .42. */
static void answers_follow_the_cosine(void **state)
{
    static const struct {
        const char *text;
        size_t want;
    } cases[] = {
        {"bread", BREAD}, {"ball", BALL},  {"kick the bread ball", BALL},
        {"zebra", RARE},  {"oven", BREAD},
    };

    (void)state;
    struct centroid *c = fitted();

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t got = centroid_best(c, str_from(cases[i].text));
        if (got != cases[i].want) {
            fail_msg("\"%s\": %zu, want %zu", cases[i].text, got, cases[i].want);
        }
    }

    centroid_destroy(c);
}

static void texts_without_known_words_are_the_most_frequent_label(void **state)
{
    (void)state;
    struct centroid *c = fitted();

    assert_int_equal(centroid_best(c, STR("")), BALL);
    assert_int_equal(centroid_best(c, STR("the")), BALL); /* in every row: says nothing */

    centroid_destroy(c);
}

static void every_failing_allocation_is_clean(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 6; nth++) {
        mem_fail_at(nth, 0);
        struct centroid *c = centroid_create(LABELS);
        enum status st = c != NULL ? centroid_add(c, STR("the bread"), BREAD) : ST_NO_MEMORY;
        if (st == ST_OK) {
            st = centroid_fit(c);
        }
        mem_fail_at(0, 0);
        assert_int_equal(st, nth <= 5 ? ST_NO_MEMORY : ST_OK);
        centroid_destroy(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_follow_the_cosine),
        cmocka_unit_test(texts_without_known_words_are_the_most_frequent_label),
        cmocka_unit_test(every_failing_allocation_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
