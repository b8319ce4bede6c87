#include <string.h>

#include "base/status.h"
#include "tests/support/test.h"

static void each_status_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (int a = ST_OK; a <= ST_TIMEOUT; a++) {
        assert_true(strlen(status_text((enum status)a)) > 0);
        for (int b = ST_OK; b < a; b++) {
            assert_string_not_equal(status_text((enum status)a), status_text((enum status)b));
        }
    }
}

static void number_that_is_no_status_has_a_text(void **state)
{
    (void)state;

    assert_string_equal(status_text((enum status)(ST_TIMEOUT + 1)), "unknown status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_status_has_a_text_of_its_own),
        cmocka_unit_test(number_that_is_no_status_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
