/* The refuse kernel. */
#include <string.h>

#include "backends/kernels/kernels.h"
#include "tests/support/kernel_case.h"

static void refuse_says_why(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &refuse_kernel, "message: not here", "");

    kernel_case_ask(&c, "anything");

    test_assert_str(buf_str(&c.text), STR("not here|"));
    assert_int_equal(c.status, EK_OK);
    assert_int_equal(kernel_capabilities(c.kernel) & EK_CAP_REFUSAL, EK_CAP_REFUSAL);
    kernel_case_close(&c);
}

static void refuse_with_a_code_is_an_error(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &refuse_kernel, "{message: not here, code: legal_advice}", "");

    kernel_case_ask(&c, "anything");

    assert_int_equal(c.status, EK_BAD_REQUEST);
    assert_int_equal(c.error.http_status, 0);
    assert_string_equal(c.error.message, "not here");
    assert_string_equal(c.error.code, "legal_advice");
    kernel_case_close(&c);
}

static void refuse_wants_a_message_and_a_plain_code(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "message: \"\"",
        "{message: x, code: \"with blank\"}",
        "{message: x, code: Upper}",
        "{message: x, code: a234567890123456789012345678901234567890123456789012345678901234}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct kernel_case c;
        kernel_case_open(&c, &refuse_kernel, bad[i], "");
        assert_int_equal(c.st, ST_INVALID);
        assert_null(c.kernel);
        kernel_case_close(&c);
    }
}

static void a_long_message_has_no_code(void **state)
{
    (void)state;
    char options[512];
    memset(options, 'x', sizeof options);
    memcpy(options, "{message: ", 10);
    memcpy(options + 300, ", code: c}", 11);
    struct kernel_case c;
    kernel_case_open(&c, &refuse_kernel, options, "");

    assert_int_equal(c.st, ST_INVALID);
    kernel_case_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuse_says_why),
        cmocka_unit_test(refuse_with_a_code_is_an_error),
        cmocka_unit_test(refuse_wants_a_message_and_a_plain_code),
        cmocka_unit_test(a_long_message_has_no_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
