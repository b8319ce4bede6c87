/* See spawn.h. Between fork and execve only async-signal-safe calls are made: other threads of the
 * parent may have held any lock. */
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cores.h"

enum {
    FIRST_FREE_FD = 16, /* copies of descriptors are made from here on, out of the way of 0 to 3 */
    STAT_BYTES = 1024,
    STAT_START_FIELD = 22, /* of /proc/PID/stat, proc(5) */
    CHILD_FAILED = 127,
};

struct failure { /* what the child says when it cannot become the program */
    int error;
    char step[20];
};

/* ---------------------------------------------------------------- in the child */

static _Noreturn void fail(int report_fd, const char *step)
{
    struct failure f = {.error = errno};
    for (size_t i = 0; step[i] != '\0' && i < sizeof f.step - 1; i++) {
        f.step[i] = step[i];
    }
    (void)!write(report_fd, &f, sizeof f); /* the parent then sees an early end instead */
    _exit(CHILD_FAILED);
}

static void reset_signals(void)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int number = 1; number < NSIG; number++) {
        (void)sigaction(number, &plain, NULL); /* fails for those that cannot be changed */
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail with these arguments */
}

static void take_descriptors(const struct spawn *what, int report_fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int output = what->output_fd > 0 ? what->output_fd : null;
    /* Copies first: the originals may have one of the numbers that are about to be replaced. */
    int copy = fcntl(output, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    int passed = what->pass_fd > 0 ? fcntl(what->pass_fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD) : -1;
    if (null < 0 || copy < 0 || (what->pass_fd > 0 && passed < 0) || dup2(null, 0) < 0 ||
        dup2(copy, 1) < 0 || dup2(copy, 2) < 0 ||
        (passed >= 0 && dup2(passed, SPAWN_PASSED_FD) < 0)) {
        fail(report_fd, "descriptors");
    }
    unsigned first = passed >= 0 ? SPAWN_PASSED_FD + 1 : SPAWN_PASSED_FD;
    if (close_range(first, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
        fail(report_fd, "close_range");
    }
}

/* First of all: what it takes from now on is counted there, and the number of the descriptor may be one
 * that is about to be replaced. */
static void join_group(const struct spawn *what, int report_fd)
{
    if (what->group_fd > 0 && write(what->group_fd, "0", 1) != 1) {
        fail(report_fd, "control group");
    }
}

static void take_user(const struct spawn *what, int report_fd)
{
    if (what->has_user &&
        (setgroups(0, NULL) != 0 || setgid(what->gid) != 0 || setuid(what->uid) != 0)) {
        fail(report_fd, "user");
    }
}

/* Set last: a change of user clears it. The parent may have died before. */
static void die_with_parent(pid_t parent, int report_fd)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        fail(report_fd, "parent-death signal");
    }
    if (getppid() != parent) {
        _exit(CHILD_FAILED);
    }
}

static _Noreturn void become(const struct spawn *what, pid_t parent, int report_fd)
{
    /* execve takes pointers to what it does not write. */
    union {
        const char *const *in;
        char *const *out;
    } argv = {.in = what->argv}, env = {.in = what->env};

    (void)setpgid(0, 0); /* the parent does it too: whoever is first */
    reset_signals();
    join_group(what, report_fd);
    take_descriptors(what, report_fd);
    if (what->cwd != NULL && chdir(what->cwd) != 0) {
        fail(report_fd, "cwd");
    }
    if (what->nice != 0) {
        (void)cores_yield(what->nice); /* better late than not at all */
    }
    if (what->cores != 0) {
        (void)cores_keep_to(what->cores); /* as above */
    }
    take_user(what, report_fd);
    die_with_parent(parent, report_fd);
    (void)execvpe(argv.out[0], argv.out, what->env == NULL ? environ : env.out);
    fail(report_fd, "exec");
}

/* ---------------------------------------------------------------- in the parent */

/* Waits for the end of the report: empty, the program runs. */
static enum status hear(int fd, const struct spawn *what, char why[SPAWN_WHY_BYTES])
{
    struct failure f = {0};
    char text[64] = "";
    ssize_t n = -1;
    do {
        n = read(fd, &f, sizeof f);
    } while (n < 0 && errno == EINTR);
    if (n == 0) {
        return ST_OK;
    }
    f.step[sizeof f.step - 1] = '\0';
    (void)snprintf(why, SPAWN_WHY_BYTES, "cannot start \"%.64s\": %s: %s", what->argv[0],
                   n == (ssize_t)sizeof f ? f.step : "report",
                   strerror_r(f.error, text, sizeof text));
    return ST_IO;
}

static enum status fork_child(const struct spawn *what, int report[2], pid_t *ret_pid,
                              char why[SPAWN_WHY_BYTES])
{
    char text[64] = "";
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        become(what, parent, report[1]);
    }
    (void)close(report[1]);
    if (pid < 0) {
        (void)snprintf(why, SPAWN_WHY_BYTES, "cannot fork: %s",
                       strerror_r(errno, text, sizeof text));
        return ST_IO;
    }
    (void)setpgid(pid, pid); /* EACCES: it has done so itself, and runs */
    *ret_pid = pid;
    return ST_OK;
}

enum status spawn_start(const struct spawn *what, struct spawn_child *ret_child,
                        char why[SPAWN_WHY_BYTES])
{
    int report[2];
    pid_t pid = -1;
    char text[64] = "";
    if (pipe2(report, O_CLOEXEC) != 0) {
        (void)snprintf(why, SPAWN_WHY_BYTES, "cannot make a pipe: %s",
                       strerror_r(errno, text, sizeof text));
        return ST_IO;
    }
    enum status st = fork_child(what, report, &pid, why);
    if (st == ST_OK) {
        st = hear(report[0], what, why);
    }
    (void)close(report[0]);
    if (pid < 0) {
        return st;
    }
    int pidfd = pidfd_open(pid, 0);
    if (st == ST_OK && pidfd < 0) {
        (void)snprintf(why, SPAWN_WHY_BYTES, "cannot watch the child: %s",
                       strerror_r(errno, text, sizeof text));
        (void)kill(-pid, SIGKILL);
        st = ST_IO;
    }
    if (st != ST_OK) {
        (void)waitpid(pid, NULL, 0); /* it has ended, or is being killed */
        if (pidfd >= 0) {
            (void)close(pidfd);
        }
        return st;
    }
    *ret_child = (struct spawn_child){pid, pidfd, spawn_start_time(pid)};
    return ST_OK;
}

void spawn_signal(const struct spawn_child *child, int number)
{
    (void)kill(-child->pid, number); /* ESRCH: nobody is left to hear it */
}

bool spawn_reap(struct spawn_child *child, int *ret_status)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == 0) {
        return false;
    }
    /* While the dead leader is not reaped its number names no other group. */
    spawn_signal(child, SIGKILL);
    if (waitpid(child->pid, ret_status, WNOHANG) != child->pid) {
        return false;
    }
    (void)close(child->pidfd);
    *child = (struct spawn_child){0};
    return true;
}

void spawn_describe(int status, char text[SPAWN_WHY_BYTES])
{
    if (WIFSIGNALED(status)) {
        const char *name = sigdescr_np(WTERMSIG(status));
        (void)snprintf(text, SPAWN_WHY_BYTES, "signal %d (%s)", WTERMSIG(status),
                       name == NULL ? "unknown" : name);
    } else {
        (void)snprintf(text, SPAWN_WHY_BYTES, "exit status %d", WEXITSTATUS(status));
    }
}

uint64_t spawn_start_time(pid_t pid)
{
    char path[64];
    char text[STAT_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    char *at = strrchr(text, ')'); /* the name may hold anything, blanks and brackets too */
    if (at == NULL || at[1] == '\0' || at[2] == 'Z' || at[2] == 'X') {
        return 0;
    }
    at++;
    for (int field = 2; field < STAT_START_FIELD - 1 && at != NULL; field++) {
        at = strchr(at + 1, ' ');
    }
    uint64_t started = 0;
    return at != NULL && sscanf(at, " %" SCNu64, &started) == 1 ? started : 0;
}
