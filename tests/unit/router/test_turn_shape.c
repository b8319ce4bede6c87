/* The shape of a turn: words, phrases that announce another topic or go on with this one. */
#include <string.h>

#include "router/turn_shape.h"
#include "tests/support/test.h"

static void words_are_counted_in_all_scripts(void **state)
{
    static const struct {
        const char *text;
        size_t words;
    } cases[] = {
        {"", 0},         {"   \n", 0},         {"?!", 0},
        {"why", 1},      {"x^2 + 4x = -5", 4}, {"¿y el arce?", 3},
        {"مثال آخر", 2}, {"почему так", 2},    {"为什么呢", 2},
        {"なぜ", 1},     {"python 为什么", 3}, {"\xff\xfe a", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct turn_shape shape = turn_shape_of(str_from(cases[i].text));
        if (shape.words != cases[i].words) {
            fail_msg("\"%s\": %zu words", cases[i].text, shape.words);
        }
    }
}

static void phrases_are_found_as_words_where_they_count(void **state)
{
    static const struct {
        const char *text;
        const char *announces;
        const char *continues;
    } cases[] = {
        {"By the way, what is a good film", "by the way", ""},
        {"ok. unrelated: who was Kant", "unrelated", "ok"},
        {"OOC: is scurvy a thing", "ooc", ""},
        {"Boocs", "", ""},
        {"an unrelatedness", "", ""},
        {"and in Python?", "", "and"},
        {"AND?", "", "and"},
        {"android phones", "", ""},
        {"salt and pepper", "", ""},
        {"  what about grapefruit", "", "what about"},
        {"¿y el arce?", "", "¿y"},
        {"und im Winter?", "", "und"},
        {"Hund", "", ""},
        {"ah, übrigens: neuer Job", "übrigens", ""},
        {"merci ! au fait tu connais une recette", "au fait", ""},
        {"кстати, кто такой Кант", "кстати", ""},
        {"顺便问一下天气", "顺便", ""},
        {"那为什么", "", "那"},
        {"我们那里", "", ""},
        {"ところで今何時", "ところで", ""},
        {"", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct turn_shape shape = turn_shape_of(str_from(cases[i].text));
        if (!str_eq(shape.announces, str_from(cases[i].announces)) ||
            !str_eq(shape.continues, str_from(cases[i].continues))) {
            fail_msg("\"%s\": \"%.*s\", \"%.*s\"", cases[i].text, STR_ARG(shape.announces),
                     STR_ARG(shape.continues));
        }
    }
}

static void only_the_start_of_a_long_turn_is_looked_at(void **state)
{
    char text[4 * TURN_SHAPE_BYTES];

    (void)state;
    for (size_t i = 0; i + 1 < sizeof text; i += 2) {
        text[i] = 'x';
        text[i + 1] = ' ';
    }
    memcpy(text + sizeof text - 4, " btw", 4);

    struct turn_shape shape = turn_shape_of((struct str){text, sizeof text});

    assert_int_equal(shape.words, TURN_SHAPE_BYTES / 2);
    assert_int_equal(shape.announces.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_counted_in_all_scripts),
        cmocka_unit_test(phrases_are_found_as_words_where_they_count),
        cmocka_unit_test(only_the_start_of_a_long_turn_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
