/* What a process can and cannot do once it is in its sandbox. Each look is from a child of its own. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/sandbox.h"
#include "tests/support/test.h"

enum {
    FAILED_TO_ENTER = 99,
    NOT_CONFINED = 98,
    ANY = -1,
};

struct scene {
    char folder[32]; /* of the state */
    char state[64];
    char log[64];
    char other[32]; /* nobody named it */
};

static void set_up(struct scene *s)
{
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/expertd-box-XXXXXX");
    (void)snprintf(s->other, sizeof s->other, "/tmp/expertd-out-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    assert_non_null(mkdtemp(s->other));
    (void)snprintf(s->state, sizeof s->state, "%s/state.db", s->folder);
    (void)snprintf(s->log, sizeof s->log, "%s/log", s->other);
}

static void tear_down(const struct scene *s)
{
    (void)unlink(s->state);
    (void)unlink(s->log);
    (void)rmdir(s->folder);
    (void)rmdir(s->other);
}

/* 0, or the errno of the attempt. */
static int try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    (void)close(fd);
    return 0;
}

static int read_own_folder(const struct scene *s)
{
    (void)s;
    return try_open("LICENSE", O_RDONLY);
}

static int read_system(const struct scene *s)
{
    (void)s;
    return try_open("/etc/passwd", O_RDONLY);
}

static int read_elsewhere(const struct scene *s)
{
    return try_open(s->other, O_RDONLY | O_DIRECTORY);
}

static int read_programs(const struct scene *s)
{
    (void)s;
    return try_open("/usr/bin/env", O_RDONLY);
}

static int write_state(const struct scene *s)
{
    return try_open(s->state, O_RDWR | O_CREAT);
}

static int write_log(const struct scene *s)
{
    return try_open(s->log, O_WRONLY | O_APPEND);
}

static int write_own_folder(const struct scene *s)
{
    (void)s;
    return try_open("LICENSE", O_WRONLY);
}

static int write_elsewhere(const struct scene *s)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/new", s->other);
    return try_open(path, O_RDWR | O_CREAT);
}

static int call_unknown(const struct scene *s)
{
    (void)s;
    return syscall(SYS_personality, 0xffffffffUL) < 0 ? errno : 0;
}

static int start_process(const struct scene *s)
{
    (void)s;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    return pid < 0 ? errno : 0;
}

static void *nothing(void *arg)
{
    return arg;
}

static int start_thread(const struct scene *s)
{
    pthread_t thread;
    (void)s;
    int code = pthread_create(&thread, NULL, nothing, NULL);
    return code == 0 ? pthread_join(thread, NULL) : code;
}

static int open_socket(const struct scene *s)
{
    (void)s;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? errno : close(fd);
}

static int look_dumpable(const struct scene *s)
{
    struct rlimit core = {1, 1};
    (void)s;
    return getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0 ||
           prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

static int run_program(const struct scene *s)
{
    (void)s;
    char program[] = "/bin/true";
    char *argv[] = {program, NULL};
    (void)execv(program, argv);
    return errno;
}

static int trace(const struct scene *s)
{
    (void)s;
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0;
}

enum {
    KILLED = 256 /* by SIGSYS */
};

/* Its exit status, or KILLED. */
static int ask_child(const struct scene *s, bool exec, int (*look)(const struct scene *))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct key_texts none = {NULL, 0};
        struct sandbox_needs needs = {.conf_path = "conf/expertd.yaml",
                                      .folders = &none,
                                      .state_file = str_from(s->state),
                                      .logs = {str_from(s->log), STR("")},
                                      .exec = exec};
        log_set_level(LOG_ERROR);
        if (sandbox_enter(SANDBOX_AUTO, &needs) != ST_OK) {
            _exit(FAILED_TO_ENTER);
        }
        _exit(sandbox_confines_files() ? look(s) : NOT_CONFINED);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGSYS);
        return KILLED;
    }
    return WEXITSTATUS(status);
}

static void what_is_not_needed_is_refused(void **state)
{
    static const struct {
        const char *name;
        int (*look)(const struct scene *);
        int want;
        int want_with_exec;
    } cases[] = {
        {"read own folder", read_own_folder, 0, 0},
        {"read system", read_system, 0, 0},
        {"read elsewhere", read_elsewhere, EACCES, 0},
        {"read programs", read_programs, EACCES, 0},
        {"write state", write_state, 0, 0},
        {"write log", write_log, 0, 0},
        {"write own folder", write_own_folder, EACCES, ANY}, /* which may be in /tmp */
        {"write elsewhere", write_elsewhere, EACCES, 0},     /* in /tmp */
        {"call unknown", call_unknown, ENOSYS, 0},
        {"start process", start_process, EPERM, 0},
        {"start thread", start_thread, 0, 0},
        {"open socket", open_socket, 0, 0},
        {"dumps and privileges", look_dumpable, 0, 0},
        {"run program", run_program, KILLED, 0},
        {"trace", trace, KILLED, KILLED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int exec = 0; exec < 2; exec++) {
            struct scene s;
            set_up(&s);
            int got = ask_child(&s, exec == 1, cases[i].look);
            tear_down(&s);
            if (got == NOT_CONFINED) {
                (void)fprintf(stderr, "SKIPPED: no Landlock here, or a sanitizer\n");
                skip();
            }
            int want = exec == 1 ? cases[i].want_with_exec : cases[i].want;
            if (want != ANY && got != want) {
                fail_msg("%s, exec %d: %d instead of %d", cases[i].name, exec, got, want);
            }
        }
    }
}

static void off_is_off(void **state)
{
    const struct key_texts none = {NULL, 0};
    const struct sandbox_needs needs = {.conf_path = "conf/expertd.yaml", .folders = &none};
    (void)state;
    log_set_level(LOG_ERROR);

    assert_int_equal(sandbox_enter(SANDBOX_OFF, &needs), ST_OK);

    assert_false(sandbox_confines_files());
    assert_int_equal(try_open("/usr/bin/env", O_RDONLY), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_needed_is_refused),
        cmocka_unit_test(off_is_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
