/* The fault kernel: its script, what each entry does, and what it says about a wrong one. */
#include "backends/kernels/fault_script.h"
#include "backends/kernels/kernels.h"
#include "tests/support/kernel_case.h"

static void script_is_played_in_turn_and_again(void **state)
{
    (void)state;

    static const struct {
        enum ek_status status;
        int http_status;
        int64_t retry_after_s;
        uint32_t finish;
        const char *text;
        int64_t pause_ms; /* 0: none */
    } turns[] = {
        {EK_FAILED, 429, 2, EK_FINISH_STOP, "", 0},
        {EK_FAILED, 500, -1, EK_FINISH_STOP, "", 0},
        {EK_OK, 0, -1, EK_FINISH_CUT, "1| 2|", 0},
        {EK_OK, 0, -1, EK_FINISH_STOP, "1| 2| 3|", 5000},
        {EK_OK, 0, -1, EK_FINISH_STOP, "1| 2| 3|", 2000},
        {EK_OK, 0, -1, EK_FINISH_CUT, "", 0},
        {EK_OK, 0, -1, KERNEL_FINISH_NO_DONE, "1| 2| 3|", 0},
        {EK_OK, 0, -1, KERNEL_FINISH_MALFORMED, "", 0},
        {EK_OK, 0, -1, KERNEL_FINISH_MALFORMED, "1| 2|", 0},
        {EK_TOO_LONG, 0, -1, EK_FINISH_STOP, "", 0},
        {EK_OK, 0, -1, EK_FINISH_FILTER, "1|", 0},
        {EK_OK, 0, -1, EK_FINISH_STOP, "1| 2| 3|", 0},
    };
    struct kernel_case c;
    kernel_case_open(
        &c, &fault_kernel,
        "{pieces: 3, script: [429@retry=2, 500, cut@2, stall@5s, slow_first@2s, reset, "
        "no_done, malformed, malformed@2, context_length, content_filter, ok]}",
        "");

    for (size_t i = 0; i < 2 * sizeof turns / sizeof turns[0]; i++) {
        size_t k = i % (sizeof turns / sizeof turns[0]);
        kernel_case_ask(&c, "x");
        assert_int_equal(c.status, turns[k].status);
        assert_int_equal(c.error.http_status, turns[k].http_status);
        assert_int_equal(c.error.retry_after_s, turns[k].retry_after_s);
        assert_int_equal(c.result.finish, turns[k].finish);
        test_assert_str(buf_str(&c.text), str_from(turns[k].text));
        assert_int_equal(c.pause_count, turns[k].pause_ms > 0 ? 1 : 0);
        assert_int_equal(c.pause_count > 0 ? c.pauses[0] : 0, turns[k].pause_ms);
    }
    kernel_case_close(&c);
}

static void list_is_short_for_a_script(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &fault_kernel, "[503, ok]", "");

    kernel_case_ask(&c, "x");

    assert_int_equal(c.error.http_status, 503);
    kernel_case_close(&c);
}

static void fault_text_gives_a_fault_or_a_reason(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        enum status st;
        struct fault fault;
    } cases[] = {
        {"ok", ST_OK, {FAULT_NONE, 0, -1, 0, 0}},
        {"429", ST_OK, {FAULT_STATUS, 429, -1, 0, 0}},
        {"503@retry=0", ST_OK, {FAULT_STATUS, 503, 0, 0, 0}},
        {"429@retry=86400", ST_OK, {FAULT_STATUS, 429, 86400, 0, 0}},
        {"cut@0", ST_OK, {FAULT_CUT, 0, -1, 0, 0}},
        {"cut@12", ST_OK, {FAULT_CUT, 0, -1, 12, 0}},
        {"stall@5s", ST_OK, {FAULT_STALL, 0, -1, 0, 5000}},
        {"stall@200ms", ST_OK, {FAULT_STALL, 0, -1, 0, 200}},
        {"stall@3600s", ST_OK, {FAULT_STALL, 0, -1, 0, 3600000}},
        {"slow_first@2s", ST_OK, {FAULT_SLOW_FIRST, 0, -1, 0, 2000}},
        {"reset", ST_OK, {FAULT_RESET, 0, -1, 0, 0}},
        {"no_done", ST_OK, {FAULT_NO_DONE, 0, -1, 0, 0}},
        {"malformed", ST_OK, {FAULT_MALFORMED, 0, -1, 0, 0}},
        {"malformed@2", ST_OK, {FAULT_MALFORMED, 0, -1, 2, 0}},
        {"context_length", ST_OK, {FAULT_CONTEXT_LENGTH, 0, -1, 0, 0}},
        {"content_filter", ST_OK, {FAULT_CONTENT_FILTER, 0, -1, 0, 0}},
        {"", ST_INVALID, {0}},
        {"ok@1", ST_INVALID, {0}},
        {"reset@", ST_INVALID, {0}},
        {"slow_first@2", ST_INVALID, {0}},
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
        struct fault got = {.kind = FAULT_NONE};
        const char *why = NULL;
        enum status st = fault_script_parse(str_from(cases[i].text), &got, &why);
        if (st != cases[i].st) {
            fail_msg("\"%s\" gave status %d", cases[i].text, (int)st);
        }
        assert_int_equal(st == ST_INVALID, why != NULL);
        if (st == ST_OK) {
            assert_int_equal(got.kind, cases[i].fault.kind);
            assert_int_equal(got.http_status, cases[i].fault.http_status);
            assert_int_equal(got.retry_after_s, cases[i].fault.retry_after_s);
            assert_int_equal(got.pieces, cases[i].fault.pieces);
            assert_int_equal(got.pause_ms, cases[i].fault.pause_ms);
        }
    }
}

static void wrong_script_is_reported_where_it_stands(void **state)
{
    (void)state;

    static const struct {
        const char *options;
        const char *diag;
    } cases[] = {
        {"pieces: 3\nscript:\n  - ok\n  - cut@x\n",
         "4:5: fault \"cut@x\" is not known: expected a number of pieces after the @, up to "
         "1000000"},
        {"[ok, stall@3]",
         "1:6: fault \"stall@3\" is not known: expected a time with a unit after the "
         "@, as in 5s or 200ms, at most 1 h"},
        {"script: []", "1:9: the script must not be empty"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kernel_case c;
        kernel_case_open(&c, &fault_kernel, cases[i].options, "");

        assert_int_equal(c.st, ST_INVALID);
        struct str diag = kernel_case_diag(&c);
        if (i < 2) {
            test_assert_str(diag, str_from(cases[i].diag));
        } else {
            assert_true(str_find(diag, STR("must not be empty")) < diag.len);
        }
        kernel_case_close(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(script_is_played_in_turn_and_again),
        cmocka_unit_test(list_is_short_for_a_script),
        cmocka_unit_test(fault_text_gives_a_fault_or_a_reason),
        cmocka_unit_test(wrong_script_is_reported_where_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
