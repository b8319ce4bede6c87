/* What libyaml says, in our words: what is known is translated, what is not is never lost. */
#include "base/yaml_problem.h"
#include "tests/support/test.h"

static void problems_get_a_sentence_and_a_place(void **state)
{
    static const struct {
        const char *problem;
        const char *words; /* in our sentence */
        enum yaml_problem_place place;
    } cases[] = {
        {"could not find expected ':'", "colon", YAML_PROBLEM_START},
        {"found a tab character that violates indentation", "spaces", YAML_PROBLEM_HERE},
        {"did not find expected key", "indentation", YAML_PROBLEM_BOTH},
        {"found unexpected end of stream", "never closed", YAML_PROBLEM_START},
        {"found undefined tag handle", "tags", YAML_PROBLEM_START},
        {"did not find expected whitespace or line break", "blank", YAML_PROBLEM_HERE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct yaml_problem *row = yaml_problem_find(cases[i].problem);
        struct str sentence = str_from(row->sentence);
        assert_string_equal(row->problem, cases[i].problem);
        assert_true(str_find(sentence, str_from(cases[i].words)) < sentence.len);
        assert_int_equal(row->place, cases[i].place);
    }
}

static void
a_problem_worded_differently_has_no_sentence_and_is_reported_where_it_stands(void **state)
{
    static const char *const problems[] = {"", "did not find expected", "Did not find expected key",
                                           "did not find expected key "};

    (void)state;
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        const struct yaml_problem *row = yaml_problem_find(problems[i]);
        assert_null(row->sentence);
        assert_int_equal(row->place, YAML_PROBLEM_HERE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problems_get_a_sentence_and_a_place),
        cmocka_unit_test(
            a_problem_worded_differently_has_no_sentence_and_is_reported_where_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
