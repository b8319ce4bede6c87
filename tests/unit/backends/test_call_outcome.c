/* The words for how calls end. */
#include <string.h>

#include "backends/call_outcome.h"
#include "tests/support/test.h"

static void every_outcome_has_a_word_of_its_own(void **state)
{
    (void)state;
    for (int i = CALL_OK; i <= CALL_CANCELLED; i++) {
        const char *word = call_outcome_text((enum call_outcome)i);
        assert_non_null(word);
        assert_true(strspn(word, "abcdefghijklmnopqrstuvwxyz_") == strlen(word));
        for (int k = CALL_OK; k < i; k++) {
            assert_string_not_equal(word, call_outcome_text((enum call_outcome)k));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_outcome_has_a_word_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
