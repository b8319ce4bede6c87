/* The echo kernel: pieces, delays, and when it stops. */
#include "backends/kernels/kernels.h"
#include "tests/support/kernel_case.h"

static void echo_gives_the_last_user_message_back_word_by_word(void **state)
{
    (void)state;
    static const struct ek_message messages[] = {
        {{"user", 4}, {"first", 5}},
        {{"user", 4}, {" one two  three", 15}},
        {{"assistant", 9}, {"no", 2}},
    };
    struct kernel_case c;
    kernel_case_open(&c, &echo_kernel, "{}", "");

    kernel_case_ask_all(&c, messages, 3);

    test_assert_str(buf_str(&c.text), STR(" one |two  |three|"));
    assert_int_equal(c.status, EK_OK);
    assert_int_equal(c.pause_count, 0);
    kernel_case_close(&c);
}

static void echo_gives_a_fixed_text_in_pieces_with_delays(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &echo_kernel,
                     "{text: a b c d e, pieces: 2, delay_ms: 70, token_delay_ms: 5}", "");

    kernel_case_ask(&c, "x");

    test_assert_str(buf_str(&c.text), STR("a b |c d |e|"));
    assert_int_equal(c.pause_count, 3);
    assert_int_equal(c.pauses[0], 70);
    assert_int_equal(c.pauses[1], 5);
    assert_int_equal(c.pauses[2], 5);
    kernel_case_close(&c);
}

static void echo_stops_when_the_sink_is_closed(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &echo_kernel, "{}", "");
    c.pieces_max = 2;

    kernel_case_ask(&c, "a b c d");

    assert_int_equal(c.status, EK_CANCELLED);
    test_assert_str(buf_str(&c.text), STR("a |b |"));
    kernel_case_close(&c);
}

static void unknown_option_is_reported(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &echo_kernel, "piece: 3", "");

    assert_int_equal(c.st, ST_INVALID);
    assert_true(c.diags.errors > 0);
    kernel_case_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_gives_the_last_user_message_back_word_by_word),
        cmocka_unit_test(echo_gives_a_fixed_text_in_pieces_with_delays),
        cmocka_unit_test(echo_stops_when_the_sink_is_closed),
        cmocka_unit_test(unknown_option_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
