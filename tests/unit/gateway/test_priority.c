/* Priorities: what a tenant has, and what a request may make of it. */
#include "gateway/priority.h"
#include "tests/support/test.h"

static void requests_may_lower_and_only_some_raise(void **state)
{
    static const struct {
        const char *text;
        enum expert_priority of_tenant;
        bool may_raise;
        enum status st;
        enum expert_priority priority;
    } cases[] = {
        {"", EXPERT_NORMAL, false, ST_OK, EXPERT_NORMAL},
        {"", EXPERT_HIGH, false, ST_OK, EXPERT_HIGH},
        {"low", EXPERT_HIGH, false, ST_OK, EXPERT_LOW},
        {"normal", EXPERT_NORMAL, false, ST_OK, EXPERT_NORMAL},
        {"high", EXPERT_NORMAL, false, ST_CLOSED, EXPERT_LOW},
        {"normal", EXPERT_LOW, false, ST_CLOSED, EXPERT_LOW},
        {"high", EXPERT_LOW, true, ST_OK, EXPERT_HIGH},
        {"High", EXPERT_HIGH, true, ST_INVALID, EXPERT_LOW},
        {"highest", EXPERT_HIGH, true, ST_INVALID, EXPERT_LOW},
        {"0", EXPERT_HIGH, true, ST_INVALID, EXPERT_LOW},
    };

    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum expert_priority priority = EXPERT_LOW;
        enum status st = priority_read(str_from(cases[i].text), cases[i].of_tenant,
                                       cases[i].may_raise, &priority);
        assert_int_equal(st, cases[i].st);
        assert_int_equal(priority, cases[i].priority);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_may_lower_and_only_some_raise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
