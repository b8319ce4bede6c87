/* Real children: what they get, what they do not get, how they end. Waits are polls on descriptors
 * that become readable by themselves. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/spawn.h"
#include "tests/support/test.h"

struct ran {
    char output[4096];
    int status;
};

static void wait_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, -1) < 0) {
    }
}

/* Runs a child to its end and reads what it said. */
static struct ran run(struct spawn *what)
{
    struct ran r = {.status = -1};
    char why[SPAWN_WHY_BYTES] = "";
    int out[2];
    size_t len = 0;
    struct spawn_child child;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    what->output_fd = out[1];
    enum status st = spawn_start(what, &child, why);
    (void)close(out[1]);
    assert_int_equal(st, ST_OK);
    for (ssize_t n = 1; n > 0;) {
        n = read(out[0], r.output + len, sizeof r.output - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    (void)close(out[0]);
    wait_readable(child.pidfd);
    assert_true(spawn_reap(&child, &r.status));
    assert_int_equal(child.pid, 0);
    return r;
}

static struct ran run_shell(const char *script)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    struct spawn what = {.argv = argv};
    return run(&what);
}

static void output_and_error_are_one_stream(void **state)
{
    (void)state;
    struct ran r = run_shell("echo out; echo err >&2");

    assert_string_equal(r.output, "out\nerr\n");
    assert_true(WIFEXITED(r.status) && WEXITSTATUS(r.status) == 0);
}

static void a_child_joins_its_group_before_it_is_the_program(void **state)
{
    (void)state;
    char path[] = "/tmp/expertd-procs-XXXXXX";
    char text[8] = "";
    const char *argv[] = {"true", NULL};
    struct spawn what = {.argv = argv, .group_fd = mkstemp(path)};
    assert_true(what.group_fd > 0);

    assert_int_equal(run(&what).status, 0);

    assert_int_equal(pread(what.group_fd, text, sizeof text - 1, 0), 1);
    assert_string_equal(text, "0"); /* "whoever writes this" */
    assert_int_equal(close(what.group_fd), 0);
    assert_int_equal(unlink(path), 0);
}

static void one_that_cannot_join_its_group_does_not_start(void **state)
{
    (void)state;
    const char *argv[] = {"true", NULL};
    char why[SPAWN_WHY_BYTES] = "";
    struct spawn_child child;
    struct spawn what = {.argv = argv, .group_fd = open("/dev/full", O_WRONLY | O_CLOEXEC)};
    assert_true(what.group_fd > 0);

    assert_int_equal(spawn_start(&what, &child, why), ST_IO);

    assert_non_null(strstr(why, "control group"));
    assert_int_equal(close(what.group_fd), 0);
}

static void arguments_reach_the_program_as_they_are(void **state)
{
    (void)state;
    const char *argv[] = {"printf", "[%s]", "a b", "$HOME; rm *", "", NULL};
    struct spawn what = {.argv = argv};

    assert_string_equal(run(&what).output, "[a b][$HOME; rm *][]");
}

static void the_environment_is_only_what_was_given(void **state)
{
    (void)state;
    const char *argv[] = {"/usr/bin/env", NULL};
    const char *env[] = {"ONE=1", "TWO=2", NULL};
    struct spawn what = {.argv = argv, .env = env};

    assert_string_equal(run(&what).output, "ONE=1\nTWO=2\n");
}

static void a_child_starts_in_the_folder_that_was_given(void **state)
{
    (void)state;
    const char *argv[] = {"pwd", NULL};
    struct spawn what = {.argv = argv, .cwd = "/usr"};

    assert_string_equal(run(&what).output, "/usr\n");
}

static void no_descriptor_leaks_into_a_child(void **state)
{
    (void)state;
    int leak = fcntl(0, F_DUPFD, 50); /* not close-on-exec, on purpose */
    assert_true(leak >= 50);
    char script[64];
    (void)snprintf(script, sizeof script, "test -e /proc/$$/fd/%d && echo leaked; echo done", leak);

    struct ran r = run_shell(script);

    (void)close(leak);
    assert_string_equal(r.output, "done\n");
}

static void one_descriptor_can_be_passed(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "cat <&3", NULL};
    int pair[2];
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    assert_int_equal(write(pair[1], "hello", 5), 5);
    (void)close(pair[1]);
    struct spawn what = {.argv = argv, .pass_fd = pair[0]};

    struct ran r = run(&what);

    (void)close(pair[0]);
    assert_string_equal(r.output, "hello");
}

static void a_child_is_niced_by_the_difference(void **state)
{
    (void)state;
    const char *argv[] = {"nice", NULL};
    struct spawn what = {.argv = argv};
    int64_t before = 0;
    int64_t after = 0;
    struct ran first = run(&what);
    what.nice = 5;
    struct ran second = run(&what);

    assert_int_equal(str_to_int(str_trim(str_from(first.output)), &before), ST_OK);
    assert_int_equal(str_to_int(str_trim(str_from(second.output)), &after), ST_OK);
    assert_int_equal(after, before + 5 > 19 ? 19 : before + 5);
}

static void blocked_and_ignored_signals_are_not_inherited(void **state)
{
    (void)state;
    sigset_t set;
    sigset_t old;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, &old);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    (void)sigaction(SIGPIPE, &ignore, &before);

    struct ran r = run_shell("grep -E '^Sig(Blk|Ign)' /proc/$$/status | tr -d '\\t'");

    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    (void)sigaction(SIGPIPE, &before, NULL);
    assert_string_equal(r.output, "SigBlk:0000000000000000\nSigIgn:0000000000000000\n");
}

static void what_cannot_be_started_says_why(void **state)
{
    (void)state;
    const char *missing[] = {"/nonexistent/model-server", NULL};
    const char *real[] = {"true", NULL};

    const struct {
        struct spawn what;
        const char *why;
    } cases[] = {
        {{.argv = missing},
         "cannot start \"/nonexistent/model-server\": exec: No such file or directory"},
        {{.argv = real, .cwd = "/nonexistent"},
         "cannot start \"true\": cwd: No such file or directory"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char why[SPAWN_WHY_BYTES] = "";
        struct spawn_child child;
        assert_int_equal(spawn_start(&cases[i].what, &child, why), ST_IO);
        assert_string_equal(why, cases[i].why);
    }
}

static void a_signal_reaches_the_whole_group(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "sleep 1000 & echo up; wait", NULL};
    char why[SPAWN_WHY_BYTES] = "";
    char text[8] = "";
    int out[2];
    int status = 0;
    struct spawn_child child;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    struct spawn what = {.argv = argv, .output_fd = out[1]};
    assert_int_equal(spawn_start(&what, &child, why), ST_OK);
    (void)close(out[1]);
    assert_int_equal(read(out[0], text, sizeof text), 3);
    assert_false(spawn_reap(&child, &status));

    spawn_signal(&child, SIGTERM);

    assert_int_equal(read(out[0], text, sizeof text), 0); /* both have let go of the pipe */
    wait_readable(child.pidfd);
    assert_true(spawn_reap(&child, &status));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    (void)close(out[0]);
}

/* The leader ends by itself and leaves a child behind: the end of the pipe shows that it was killed. */
static void reaping_kills_what_a_leader_left_behind(void **state)
{
    (void)state;
    struct ran r = {.status = -1};
    const char *argv[] = {"sh", "-c", "sleep 1000 & echo up", NULL};
    char why[SPAWN_WHY_BYTES] = "";
    int out[2];
    struct spawn_child child;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    struct spawn what = {.argv = argv, .output_fd = out[1]};
    assert_int_equal(spawn_start(&what, &child, why), ST_OK);
    (void)close(out[1]);
    wait_readable(child.pidfd);

    assert_true(spawn_reap(&child, &r.status));

    assert_int_equal(read(out[0], r.output, sizeof r.output), 3);
    assert_int_equal(read(out[0], r.output, sizeof r.output), 0);
    (void)close(out[0]);
}

/* A starter that is killed by force takes its child along. */
static void a_child_dies_with_its_parent(void **state)
{
    (void)state;
    const char *argv[] = {"sleep", "1000", NULL};
    char text[8];
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t starter = fork();
    if (starter == 0) {
        char why[SPAWN_WHY_BYTES] = "";
        struct spawn_child child;
        struct spawn what = {.argv = argv, .output_fd = out[1]};
        if (spawn_start(&what, &child, why) != ST_OK || write(out[1], "up", 2) != 2) {
            _exit(1);
        }
        (void)pause();
        _exit(1);
    }
    assert_true(starter > 0);
    (void)close(out[1]);
    assert_int_equal(read(out[0], text, sizeof text), 2);

    (void)kill(starter, SIGKILL);

    assert_int_equal(read(out[0], text, sizeof text), 0); /* the grandchild held the other end */
    (void)waitpid(starter, NULL, 0);
    (void)close(out[0]);
}

static void ends_are_described_for_people(void **state)
{
    (void)state;
    char text[SPAWN_WHY_BYTES];
    spawn_describe(run_shell("exit 3").status, text);
    assert_string_equal(text, "exit status 3");
    spawn_describe(run_shell("kill -SEGV $$").status, text);
    assert_string_equal(text, "signal 11 (Segmentation fault)");
}

static void start_times_tell_processes_apart(void **state)
{
    (void)state;
    assert_true(spawn_start_time(getpid()) > 0);
    assert_true(spawn_start_time(getpid()) == spawn_start_time(getpid()));
    assert_true(spawn_start_time(0x7ffffffe) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_error_are_one_stream),
        cmocka_unit_test(a_child_joins_its_group_before_it_is_the_program),
        cmocka_unit_test(one_that_cannot_join_its_group_does_not_start),
        cmocka_unit_test(arguments_reach_the_program_as_they_are),
        cmocka_unit_test(the_environment_is_only_what_was_given),
        cmocka_unit_test(a_child_starts_in_the_folder_that_was_given),
        cmocka_unit_test(no_descriptor_leaks_into_a_child),
        cmocka_unit_test(one_descriptor_can_be_passed),
        cmocka_unit_test(a_child_is_niced_by_the_difference),
        cmocka_unit_test(blocked_and_ignored_signals_are_not_inherited),
        cmocka_unit_test(what_cannot_be_started_says_why),
        cmocka_unit_test(a_signal_reaches_the_whole_group),
        cmocka_unit_test(reaping_kills_what_a_leader_left_behind),
        cmocka_unit_test(a_child_dies_with_its_parent),
        cmocka_unit_test(ends_are_described_for_people),
        cmocka_unit_test(start_times_tell_processes_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
