/* The echo kernel: pieces, delays, scripted faults, and what it says about a wrong script. */
#include "backends/kernels/echo_fault.h"
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

static void echo_plays_its_faults_in_order_and_keeps_the_last(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &echo_kernel, "faults: [429@retry=2, \"500\", cut@2, stall@5s, ok, cut@0]",
                     "");

    kernel_case_ask(&c, "a b c");
    assert_int_equal(c.status, EK_FAILED);
    assert_int_equal(c.error.http_status, 429);
    assert_int_equal(c.error.retry_after_s, 2);
    kernel_case_ask(&c, "a b c");
    assert_int_equal(c.error.http_status, 500);
    assert_int_equal(c.error.retry_after_s, -1);
    kernel_case_ask(&c, "a b c");
    assert_int_equal(c.result.finish, EK_FINISH_CUT);
    test_assert_str(buf_str(&c.text), STR("a |b |"));
    kernel_case_ask(&c, "a b c");
    assert_int_equal(c.status, EK_OK);
    assert_int_equal(c.pauses[0], 5000);
    kernel_case_ask(&c, "a b c");
    assert_int_equal(c.status, EK_OK);
    assert_int_equal(c.pause_count, 0);
    for (int i = 0; i < 3; i++) {
        kernel_case_ask(&c, "a b c");
        assert_int_equal(c.result.finish, EK_FINISH_CUT);
        assert_int_equal(c.text.len, 0);
    }
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

static void fault_text_gives_a_fault_or_a_reason(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        enum status st;
        struct echo_fault fault;
    } cases[] = {
        {"ok", ST_OK, {ECHO_FAULT_NONE, 0, -1, 0, 0}},
        {"429", ST_OK, {ECHO_FAULT_STATUS, 429, -1, 0, 0}},
        {"503@retry=0", ST_OK, {ECHO_FAULT_STATUS, 503, 0, 0, 0}},
        {"429@retry=86400", ST_OK, {ECHO_FAULT_STATUS, 429, 86400, 0, 0}},
        {"cut@0", ST_OK, {ECHO_FAULT_CUT, 0, -1, 0, 0}},
        {"cut@12", ST_OK, {ECHO_FAULT_CUT, 0, -1, 12, 0}},
        {"stall@5s", ST_OK, {ECHO_FAULT_STALL, 0, -1, 0, 5000}},
        {"stall@200ms", ST_OK, {ECHO_FAULT_STALL, 0, -1, 0, 200}},
        {"stall@3600s", ST_OK, {ECHO_FAULT_STALL, 0, -1, 0, 3600000}},
        {"", ST_INVALID, {0}},
        {"Ok", ST_INVALID, {0}},
        {"399", ST_INVALID, {0}},
        {"600", ST_INVALID, {0}},
        {"-429", ST_INVALID, {0}},
        {"429@", ST_INVALID, {0}},
        {"429@retry", ST_INVALID, {0}},
        {"429@retry=", ST_INVALID, {0}},
        {"429@retry=-1", ST_INVALID, {0}},
        {"429@retry=86401", ST_INVALID, {0}},
        {"cut", ST_INVALID, {0}},
        {"cut@", ST_INVALID, {0}},
        {"cut@+3", ST_INVALID, {0}},
        {"cut@3 ", ST_INVALID, {0}},
        {"cut@1000001", ST_INVALID, {0}},
        {"stall@5", ST_INVALID, {0}},
        {"stall@s", ST_INVALID, {0}},
        {"stall@3601s", ST_INVALID, {0}},
        {"stall@99999999999999999999s", ST_INVALID, {0}},
        {"crash@3", ST_INVALID, {0}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct echo_fault got = {.kind = ECHO_FAULT_NONE};
        const char *why = NULL;
        enum status st = echo_fault_parse(str_from(cases[i].text), &got, &why);
        if (st != cases[i].st) {
            fail_msg("\"%s\" gave status %d", cases[i].text, (int)st);
        }
        assert_int_equal(st == ST_INVALID, why != NULL);
        if (st == ST_OK) {
            assert_int_equal(got.kind, cases[i].fault.kind);
            assert_int_equal(got.http_status, cases[i].fault.http_status);
            assert_int_equal(got.retry_after_s, cases[i].fault.retry_after_s);
            assert_int_equal(got.pieces, cases[i].fault.pieces);
            assert_int_equal(got.stall_ms, cases[i].fault.stall_ms);
        }
    }
}

static void wrong_script_is_reported_where_it_stands(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &echo_kernel, "text: a\nfaults:\n  - ok\n  - cut@x\n", "");

    assert_int_equal(c.st, ST_INVALID);
    test_assert_str(
        kernel_case_diag(&c),
        STR("4:5: fault \"cut@x\" is not known: expected cut@PIECES, a whole number up to "
            "1000000"));
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
        cmocka_unit_test(echo_plays_its_faults_in_order_and_keeps_the_last),
        cmocka_unit_test(echo_stops_when_the_sink_is_closed),
        cmocka_unit_test(fault_text_gives_a_fault_or_a_reason),
        cmocka_unit_test(wrong_script_is_reported_where_it_stands),
        cmocka_unit_test(unknown_option_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
