#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/test.h"

static const struct {
    int64_t wall_ms;
    const char *text;
} times[] = {
    {0, "1970-01-01T00:00:00.000Z"},
    {951782399999, "2000-02-28T23:59:59.999Z"},
    {951782400007, "2000-02-29T00:00:00.007Z"},
    {4102444800123, "2100-01-01T00:00:00.123Z"},
    {253402300799999, "9999-12-31T23:59:59.999Z"},
    {253402300800000, ""}, /* five digits of a year have no room in the form */
    {-1, ""},
    {INT64_MAX, ""},
};

static void times_are_written_as_rfc_3339(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char text[CLOCK_TEXT_SIZE];
        memset(text, 'x', sizeof text);
        clock_text(times[i].wall_ms, text);
        assert_string_equal(text, times[i].text);
    }
}

static void the_wall_clock_is_written_in_this_form(void **state)
{
    char text[CLOCK_TEXT_SIZE];
    (void)state;
    clock_wall_text(text);
    assert_int_equal(strlen(text), strlen("1970-01-01T00:00:00.000Z"));
    assert_int_equal(text[10], 'T');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_as_rfc_3339),
        cmocka_unit_test(the_wall_clock_is_written_in_this_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
