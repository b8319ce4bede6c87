/* Decimal digits without printf, held against printf. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/digits.h"
#include "tests/support/test.h"

static const int64_t values[] = {0,   1,    -1,     9,      10,        99,       100,
                                 -99, 1000, 123456, -99999, INT64_MAX, INT64_MIN};

static void whole_numbers_are_as_printf_writes_them(void **state)
{
    char want[64];
    char out[DIGITS_TEXT];
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        (void)snprintf(want, sizeof want, "%" PRId64, values[i]);
        struct str got = digits_write(values[i], 0, out);
        assert_string_equal(got.ptr, want);
        assert_int_equal(got.len, strlen(want));
    }
}

static void a_point_stands_before_the_decimals(void **state)
{
    static const struct {
        int64_t value;
        size_t decimals;
        const char *want;
    } cases[] = {
        {0, 4, "0.0000"},
        {5, 2, "0.05"},
        {12345, 4, "1.2345"},
        {-12345, 4, "-1.2345"},
        {-5, 1, "-0.5"},
        {10000, 4, "1.0000"},
        {16200, 9, "0.000016200"},
        {INT64_MAX, 9, "9223372036.854775807"},
        {INT64_MIN, 9, "-9223372036.854775808"},
    };

    char out[DIGITS_TEXT];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(digits_write(cases[i].value, cases[i].decimals, out).ptr,
                            cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_are_as_printf_writes_them),
        cmocka_unit_test(a_point_stands_before_the_decimals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
