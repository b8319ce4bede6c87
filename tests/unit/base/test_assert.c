#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/support/test.h"

/* Breaks an assertion in a child whose stderr is a pipe. Returns the signal that ended it; what it
 * said goes to said. */
static int break_in_child(char *said, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        ASSERT(1 + 1 == 3);
        _exit(0);
    }
    (void)close(ends[1]);
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len < size - 1) {
        got = read(ends[0], said + len, size - 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    said[len] = '\0';
    (void)close(ends[0]);
    int end = 0;
    assert_int_equal(waitpid(child, &end, 0), child);
    return WIFSIGNALED(end) ? WTERMSIG(end) : 0;
}

static void broken_claim_aborts_and_says_what_and_where(void **state)
{
    (void)state;
    char said[1000];

    int ended_by = break_in_child(said, sizeof said);

    assert_int_equal(ended_by, SIGABRT);
    assert_non_null(strstr(said, "1 + 1 == 3"));
    assert_non_null(strstr(said, "test_assert.c:"));
}

static void true_claim_is_evaluated_once(void **state)
{
    (void)state;
    int count = 0;

    ASSERT(++count == 1);

    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_claim_aborts_and_says_what_and_where),
        cmocka_unit_test(true_claim_is_evaluated_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
