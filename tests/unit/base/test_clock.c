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

static void a_time_from_now_is_neither_early_nor_late(void **state)
{
    static const int64_t cases_ms[] = {0, 1, 999, 1000, 1001, 3600000};
    (void)state;
    for (size_t i = 0; i < sizeof cases_ms / sizeof cases_ms[0]; i++) {
        uint64_t ahead_ns = (uint64_t)cases_ms[i] * 1000000;
        uint64_t before_ns = clock_now_ns();
        struct timespec t = clock_in_ms(cases_ms[i]);
        uint64_t after_ns = clock_now_ns();
        uint64_t is_ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
        assert_in_range(t.tv_nsec, 0, 999999999);
        assert_true(is_ns >= before_ns + ahead_ns && is_ns <= after_ns + ahead_ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_as_rfc_3339),
        cmocka_unit_test(the_wall_clock_is_written_in_this_form),
        cmocka_unit_test(a_time_from_now_is_neither_early_nor_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
