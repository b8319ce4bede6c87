/* Text to hashed features. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "router/features.h"
#include "tests/support/test.h"

static int create(void **state)
{
    *state = features_create();
    return *state == NULL;
}

static int destroy(void **state)
{
    features_destroy(*state);
    return 0;
}

/* A number that changes with any hash and their order. */
static uint64_t digest(struct features *f, struct str text)
{
    uint64_t sum = 0;
    features_reset(f);
    (void)features_add(f, text);
    for (size_t i = 0; i < f->count; i++) {
        sum = (sum ^ f->items[i].hash) * 0x100000001b3U;
    }
    return sum;
}

static void spellings_of_a_text_give_the_same_features(void **state)
{
    static const struct {
        const char *left;
        const char *right;
    } cases[] = {
        {"What IS this", "what is this"},
        {"a  b\tc\n", "a b c"},
        {"1984 and 2001", "0000 and 7777"},
        {"don\xe2\x80\x99t", "don't"},
        {"\xc3\x84RGER", "\xc3\xa4rger"},                             /* AE-umlaut */
        {"\xce\x91\xce\x92\xce\x93", "\xce\xb1\xce\xb2\xce\xb3"},     /* Greek */
        {"\xd0\x9f\xd0\xa0\xd0\x81", "\xd0\xbf\xd1\x80\xd1\x91"},     /* Cyrillic */
        {"\xc5\x81\xc3\xb3\xc5\xba", "\xc5\x82\xc3\xb3\xc5\xba"},     /* Polish */
        {"\xef\xbc\xa1\xef\xbc\xa2\xef\xbc\xa3\xef\xbc\xa4", "abcd"}, /* full width */
        {"\xc2\xa0word\xe3\x80\x80word", "word word"},                /* blanks of other scripts */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t left = digest(*state, str_from(cases[i].left));
        if (left != digest(*state, str_from(cases[i].right))) {
            fail_msg("\"%s\" differs from \"%s\"", cases[i].left, cases[i].right);
        }
    }
}

static void different_texts_give_different_features(void **state)
{
    static const char *const texts[] = {"",     "a",    "ab", "ba", "a b",          "b a",
                                        "abcd", "abce", "1",  "12", "\xe4\xb8\x80", "\xe4\xb8\x81",
                                        "a1b",  "don't"};
    size_t count = sizeof texts / sizeof texts[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            if (digest(*state, str_from(texts[i])) == digest(*state, str_from(texts[j]))) {
                fail_msg("\"%s\" is like \"%s\"", texts[i], texts[j]);
            }
        }
    }
}

static void names(struct features *f, struct str text, char *out, size_t size)
{
    size_t used = 0;
    features_reset(f);
    (void)features_add(f, text);
    for (size_t i = 0; i < f->count; i++) {
        used += features_name(f, &f->items[i], out + used, size - used - 2);
        out[used++] = i + 1 < f->count ? ' ' : '\0';
    }
    out[used] = '\0';
}

static void features_are_words_pairs_and_runs_of_letters(void **state)
{
    char got[512];

    names(*state, STR("Is it 42?"), got, sizeof got);

    assert_string_equal(got, "word \"is\" word \"it\" words \"is it\" word \"00\" "
                             "words \"it 00\" letters \" is \" letters \" it \" "
                             "letters \" 00?\" letters \" 00? \" letters \"00? \"");
}

static void ideographs_are_words_of_one_letter(void **state)
{
    char got[256];

    names(*state, STR("\xe6\xb0\xb4\xe7\x81\xab"), got, sizeof got); /* water, fire */

    assert_string_equal(got, "word \"\xe6\xb0\xb4\" word \"\xe7\x81\xab\" "
                             "words \"\xe6\xb0\xb4\xe7\x81\xab\" "
                             "letters \" \xe6\xb0\xb4\xe7\x81\xab \"");
}

static void a_feature_counts_once(void **state)
{
    struct features *f = *state;
    features_reset(f);

    size_t first = features_add(f, STR("over and over"));
    size_t again = features_add(f, STR("over and over"));

    assert_true(first > 0);
    assert_int_equal(again, 0);
    assert_int_equal(f->count, first);
}

static void reset_forgets_everything(void **state)
{
    uint64_t before = digest(*state, STR("the same text twice"));

    (void)digest(*state, STR("another text with the same words in between"));

    assert_true(digest(*state, STR("the same text twice")) == before);
}

static void long_runs_are_no_words(void **state)
{
    char text[64];
    memset(text, 'q', sizeof text);
    struct features *f = *state;
    features_reset(f);

    (void)features_add(f, (struct str){text, sizeof text});

    for (size_t i = 0; i < f->count; i++) {
        assert_int_equal(f->items[i].kind, FEATURE_LETTERS);
    }
}

static void long_texts_show_head_and_tail(void **state)
{
    static char text[5000];
    memset(text, ' ', sizeof text);
    memcpy(text, "head", 4);
    memcpy(text + 2500, "middle", 6);
    memcpy(text + sizeof text - 4, "tail", 4);
    char got[512];

    names(*state, (struct str){text, sizeof text}, got, sizeof got);

    assert_non_null(strstr(got, "word \"head\""));
    assert_non_null(strstr(got, "word \"tail\""));
    assert_null(strstr(got, "middle"));
}

static void any_bytes_stay_within_the_ceilings(void **state)
{
    static char bytes[FEATURES_WINDOW_BYTES];
    uint32_t x = 1;
    struct features *f = *state;
    features_reset(f);
    for (size_t round = 0; round < FEATURES_TEXTS_MAX + 2; round++) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            x = x * 1664525U + 1013904223U;
            bytes[i] = (char)(unsigned char)(x >> 24);
        }
        (void)features_add(f, (struct str){bytes, sizeof bytes});
    }

    assert_int_equal(f->text_bytes, FEATURES_BYTES_MAX);
    assert_true(f->point_count <= FEATURES_POINTS_MAX);
    assert_true(f->count <= FEATURES_MAX);
    for (size_t i = 0; i < f->count; i++) {
        assert_true((size_t)f->items[i].start + f->items[i].length <= f->point_count);
    }
}

static void many_short_texts_end_at_the_ceiling(void **state)
{
    struct features *f = *state;
    features_reset(f);
    char text[16];
    for (int i = 0; i < FEATURES_TEXTS_MAX; i++) {
        (void)snprintf(text, sizeof text, "w%c%c", 'a' + i / 26, 'a' + i % 26);
        assert_true(features_add(f, str_from(text)) > 0);
    }

    assert_int_equal(features_add(f, STR("onemore")), 0);
}

/* Weights name the scheme they were made for: who changes a hash must change FEATURES_SCHEME. */
static void the_hashes_of_this_scheme_never_change(void **state)
{
    uint64_t got = digest(*state, STR("Does 20 mg of \xce\xb2-carotene help? \xe6\xb0\xb4"));

    assert_int_equal(FEATURES_SCHEME, 1);
    assert_true(got == 0xd5e235a2f4d8a705U);
}

static void no_memory_gives_null(void **state)
{
    (void)state;
    mem_fail_at(1, 0);

    struct features *f = features_create();

    mem_fail_at(0, 0);
    assert_null(f);
    features_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings_of_a_text_give_the_same_features),
        cmocka_unit_test(different_texts_give_different_features),
        cmocka_unit_test(features_are_words_pairs_and_runs_of_letters),
        cmocka_unit_test(ideographs_are_words_of_one_letter),
        cmocka_unit_test(a_feature_counts_once),
        cmocka_unit_test(reset_forgets_everything),
        cmocka_unit_test(long_runs_are_no_words),
        cmocka_unit_test(long_texts_show_head_and_tail),
        cmocka_unit_test(any_bytes_stay_within_the_ceilings),
        cmocka_unit_test(many_short_texts_end_at_the_ceiling),
        cmocka_unit_test(the_hashes_of_this_scheme_never_change),
        cmocka_unit_test(no_memory_gives_null),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
