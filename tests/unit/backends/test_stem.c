/* Words of English and their stems. */
#include <string.h>

#include "backends/kernels/stem.h"
#include "base/buf.h"
#include "tests/support/test.h"

static void forms_of_a_word_share_a_stem(void **state)
{
    (void)state;
    static const char *const groups[][5] = {
        {"burn", "burns", "burning", "burned", NULL},
        {"bleed", "bleeds", "bleeding", NULL, NULL},
        {"choke", "chokes", "choking", "choked", NULL},
        {"stop", "stops", "stopping", "stopped", NULL},
        {"fall", "falls", "falling", NULL, NULL},
        {"allergy", "allergies", NULL, NULL, NULL},
        {"apply", "applies", "applied", "applying", NULL},
        {"rash", "rashes", NULL, NULL, NULL},
        {"box", "boxes", NULL, NULL, NULL},
        {"dress", "dresses", "dressing", "dressed", NULL},
        {"injection", "injections", NULL, NULL, NULL},
        {"cookie", "cookies", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        char first[STEM_WORD_MAX];
        size_t first_len = strlen(groups[i][0]);
        memcpy(first, groups[i][0], first_len);
        first_len = stem_word(first, first_len);
        for (size_t k = 1; k < 5 && groups[i][k] != NULL; k++) {
            char form[STEM_WORD_MAX];
            size_t len = strlen(groups[i][k]);
            memcpy(form, groups[i][k], len);
            len = stem_word(form, len);
            if (!str_eq((struct str){form, len}, (struct str){first, first_len})) {
                fail_msg("\"%s\" gave \"%.*s\", \"%s\" gave \"%.*s\"", groups[i][0], (int)first_len,
                         first, groups[i][k], (int)len, form);
            }
        }
    }
}

static void different_words_keep_their_difference(void **state)
{
    (void)state;
    static const char *const words[] = {"sing", "red", "bed", "gas", "bus", "iris", "king", "need"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        char word[STEM_WORD_MAX];
        size_t len = strlen(words[i]);
        memcpy(word, words[i], len);
        len = stem_word(word, len);
        test_assert_str((struct str){word, len}, str_from(words[i]));
    }
}

/* All terms of a text, each followed by a blank. */
static void check_words(const char *text, const char *want)
{
    struct stem_words words;
    struct buf got;
    buf_init(&got, 10000);
    stem_start(&words, str_from(text));
    while (stem_next(&words)) {
        assert_int_equal(buf_append(&got, (struct str){words.word, words.len}), ST_OK);
        assert_int_equal(buf_append_char(&got, ' '), ST_OK);
    }
    test_assert_str(buf_str(&got), str_from(want));
    buf_fini(&got);
}

static void texts_fall_into_terms_without_stop_words(void **state)
{
    (void)state;
    check_words("How do I treat a BURN?", "treat burn ");
    check_words("What's SQL-injection (in PHP 8)?", "sql injection php 8 ");
    check_words("don\xE2\x80\x99t \xE2\x80\x9Cpanic\xE2\x80\x9D", "panic ");
    check_words("na\xC3\xAFve \xE6\x97\xA5\xE6\x9C\xAC", "na\xC3\xAFv \xE6\x97\xA5\xE6\x9C\xAC ");
    check_words("", "");
    check_words(" .,;-- ", "");
    check_words("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_of_a_word_share_a_stem),
        cmocka_unit_test(different_words_keep_their_difference),
        cmocka_unit_test(texts_fall_into_terms_without_stop_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
