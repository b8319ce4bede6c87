/* Prompts of one text, and the estimate of their size. */
#include "router/prompt.h"
#include "tests/support/test.h"

static void a_text_becomes_one_turn(void **state)
{
    struct prompt prompt;
    (void)state;

    prompt_from_text(&prompt, STR("auto"), STR("hello"));

    test_assert_str(prompt.model, STR("auto"));
    assert_int_equal(prompt.talk.count, 1);
    test_assert_str(prompt_last_text(&prompt), STR("hello"));
    assert_int_equal(prompt.needs, 0);
    assert_int_equal(prompt.max_tokens, 0);
    assert_false(prompt.is_stream);
}

static void without_turns_the_last_text_is_empty(void **state)
{
    struct prompt prompt;
    (void)state;
    prompt_from_text(&prompt, STR("auto"), STR("hello"));
    prompt.talk.count = 0;

    test_assert_str(prompt_last_text(&prompt), STR(""));
}

static void tokens_are_a_quarter_of_the_bytes_rounded_up(void **state)
{
    static const int64_t cases[][2] = {{0, 0}, {1, 1}, {4, 1}, {5, 2}, {8, 2}, {4000001, 1000001}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct prompt prompt = {.text_bytes = cases[i][0]};
        assert_int_equal(prompt_tokens_estimate(&prompt), cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_becomes_one_turn),
        cmocka_unit_test(without_turns_the_last_text_is_empty),
        cmocka_unit_test(tokens_are_a_quarter_of_the_bytes_rounded_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
