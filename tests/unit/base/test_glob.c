/* Patterns of names. */
#include "base/glob.h"
#include "tests/support/test.h"

static void stars_stand_for_any_run(void **state)
{
    static const struct {
        const char *pattern;
        const char *text;
        bool fits;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"auto", "auto", true},
        {"auto", "autos", false},
        {"auto", "aut", false},
        {"auto", "Auto", false},
        {"*", "", true},
        {"*", "category/medical", true},
        {"category/*", "category/medical", true},
        {"category/*", "category/", true},
        {"category/*", "category", false},
        {"*-70b", "med-70b", true},
        {"*-70b", "med-70b-70b", true},
        {"*-70b", "med-70b-8b", false},
        {"a*c", "abc", true},
        {"a*c", "ac", true},
        {"a*c", "abcd", false},
        {"a*b*c", "a-b-b-c", true},
        {"a*b*c", "acb", false},
        {"**a**", "bab", true},
        {"*a*b", "aab", true},
        {"?", "a", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (glob_matches(str_from(cases[i].pattern), str_from(cases[i].text)) != cases[i].fits) {
            fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].text);
        }
    }
}

/* An exponential matcher would not come back. */
static void many_stars_take_no_time(void **state)
{
    (void)state;
    assert_false(
        glob_matches(STR("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"),
                     STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stars_stand_for_any_run),
        cmocka_unit_test(many_stars_take_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
