/* Ranking of texts. */
#include "backends/kernels/bm25.h"
#include "base/mem.h"
#include "tests/support/test.h"

static struct bm25 *index_of(const char *const texts[][2], size_t count)
{
    struct bm25 *index = bm25_create();
    assert_non_null(index);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(bm25_add(index, str_from(texts[i][0]), str_from(texts[i][1])), ST_OK);
    }
    bm25_build(index);
    return index;
}

static size_t search(const struct bm25 *index, const char *question, struct bm25_hit *hits,
                     size_t max)
{
    struct bm25_query query = {.count = 0};
    size_t count = 0;
    (void)bm25_query_add(&query, str_from(question), 1);
    assert_int_equal(bm25_search(index, &query, hits, max, &count), ST_OK);
    return count;
}

static const char *const pets[][2] = {
    {"Feeding cats", "Cats eat meat twice a day."},
    {"Walking dogs", "Dogs like to run. Cats do not."},
    {"Cleaning tanks", "Fish tanks want clean water every week and a filter that runs day and "
                       "night."},
    {"Grooming horses", "Brush the coat each day, first against and then with the hair."},
};

static void title_weighs_more_than_the_body(void **state)
{
    (void)state;
    struct bm25 *index = index_of(pets, 4);
    struct bm25_hit hits[4];

    assert_int_equal(search(index, "cat", hits, 4), 2);

    assert_int_equal(hits[0].doc, 0);
    assert_int_equal(hits[1].doc, 1);
    assert_true(hits[0].score > hits[1].score);
    bm25_destroy(index);
}

static void rare_terms_weigh_more_than_common_ones(void **state)
{
    (void)state;
    struct bm25 *index = index_of(pets, 4);
    struct bm25_hit hits[4];

    /* "day" is in three bodies, "filter" in one */
    assert_int_equal(search(index, "day filter", hits, 4), 3);

    assert_int_equal(hits[0].doc, 2);
    bm25_destroy(index);
}

static void share_is_what_part_of_the_question_a_text_speaks_about(void **state)
{
    (void)state;
    struct bm25 *index = index_of(pets, 4);
    struct bm25_hit whole[1];
    struct bm25_hit half[1];

    assert_int_equal(search(index, "grooming horses", whole, 1), 1);
    assert_int_equal(search(index, "grooming horses on distant planets", half, 1), 1);

    assert_true(whole[0].share > 0.5 && whole[0].share <= 1);
    assert_true(half[0].share < whole[0].share * 0.6);
    assert_true(half[0].score > whole[0].score - 0.001);
    bm25_destroy(index);
}

static void nothing_in_common_gives_no_hit(void **state)
{
    (void)state;
    struct bm25 *index = index_of(pets, 4);
    struct bm25_hit hits[4];

    assert_int_equal(search(index, "quantum chromodynamics", hits, 4), 0);
    assert_int_equal(search(index, "what is the", hits, 4), 0);
    assert_int_equal(search(index, "", hits, 4), 0);
    bm25_destroy(index);
}

static void hits_are_cut_at_max_best_first(void **state)
{
    (void)state;
    struct bm25 *index = index_of(pets, 4);
    struct bm25_hit all[4];
    struct bm25_hit two[2];

    assert_int_equal(search(index, "day cats", all, 4), 4);
    assert_int_equal(search(index, "day cats", two, 2), 2);

    assert_int_equal(two[0].doc, all[0].doc);
    assert_int_equal(two[1].doc, all[1].doc);
    for (size_t i = 1; i < 4; i++) {
        assert_true(all[i - 1].score >= all[i].score);
    }
    bm25_destroy(index);
}

static void long_questions_keep_their_first_terms(void **state)
{
    (void)state;
    struct bm25_query query = {.count = 0};
    char text[5 * 200];
    for (size_t i = 0; i < 200; i++) {
        text[5 * i] = 'q';
        text[5 * i + 1] = (char)('a' + i % 26);
        text[5 * i + 2] = (char)('a' + i / 26);
        text[5 * i + 3] = 'x';
        text[5 * i + 4] = ' ';
    }

    size_t added = bm25_query_add(&query, (struct str){text, sizeof text}, 1);

    assert_int_equal(added, BM25_TERMS_MAX);
    assert_int_equal(query.count, BM25_TERMS_MAX);
}

static void empty_index_finds_nothing(void **state)
{
    (void)state;
    struct bm25 *index = index_of(NULL, 0);
    struct bm25_hit hits[1];

    assert_int_equal(search(index, "cats", hits, 1), 0);
    bm25_destroy(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(title_weighs_more_than_the_body),
        cmocka_unit_test(rare_terms_weigh_more_than_common_ones),
        cmocka_unit_test(share_is_what_part_of_the_question_a_text_speaks_about),
        cmocka_unit_test(nothing_in_common_gives_no_hit),
        cmocka_unit_test(hits_are_cut_at_max_best_first),
        cmocka_unit_test(long_questions_keep_their_first_terms),
        cmocka_unit_test(empty_index_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
