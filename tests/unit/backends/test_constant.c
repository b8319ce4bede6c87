/* The constant kernel. */
#include "backends/kernels/kernels.h"
#include "tests/support/kernel_case.h"

static void constant_gives_its_text_whatever_is_asked(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &constant_kernel, "text: \"closed until\\nMonday\"", "");

    kernel_case_ask(&c, "anything");
    test_assert_str(buf_str(&c.text), STR("closed until\nMonday|"));
    assert_int_equal(c.status, EK_OK);
    kernel_case_ask_all(&c, NULL, 0);

    test_assert_str(buf_str(&c.text), STR("closed until\nMonday|"));
    kernel_case_close(&c);
}

static void constant_wants_its_text(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &constant_kernel, "{}", "");

    assert_int_equal(c.st, ST_INVALID);
    assert_null(c.kernel);
    kernel_case_close(&c);
}

static void constant_says_cancelled_when_the_sink_is_closed(void **state)
{
    (void)state;
    const struct kernel_request request = {.ek = {.size = sizeof request.ek}, .cancel_fd = -1};
    struct kernel_case c;
    kernel_case_open(&c, &constant_kernel, "text: x", "");
    const struct ek_sink closed = {.size = sizeof closed, .ctx = &c, .piece = kernel_case_on_piece};
    c.pieces_max = 1;
    c.pieces = 1;

    c.status = kernel_generate(c.kernel, &request, &closed, &c.result, &c.error);

    assert_int_equal(c.status, EK_CANCELLED);
    kernel_case_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_gives_its_text_whatever_is_asked),
        cmocka_unit_test(constant_wants_its_text),
        cmocka_unit_test(constant_says_cancelled_when_the_sink_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
