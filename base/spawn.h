/* Child processes: one call to start a program without a shell, one to signal its group, one to reap
 * it. A child gets a process group of its own, the signal dispositions of a fresh login, no descriptor
 * that was not meant for it, and dies by SIGKILL when the thread that started it ends: start children
 * only from threads that live as long as they may. (The kernel's parent-death signal watches the
 * thread, not the process; a kill of the whole process ends all threads.)
 *
 * Not for short commands whose output is wanted; nothing here waits for a child. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

enum {
    SPAWN_PASSED_FD = 3, /* where pass_fd is in the child */
    SPAWN_WHY_BYTES = 160,
};

struct spawn { /* zero, but for argv: a child that says nothing and hears nothing */
    const char *const
        *argv; /* NULL-terminated; argv[0] with a slash is a path, else sought in PATH */
    const char *const *env; /* NULL-terminated "NAME=value", all of it; NULL: ours */
    const char *cwd;        /* NULL: ours */
    int output_fd;          /* becomes standard output and error; 0: /dev/null */
    int pass_fd;            /* becomes SPAWN_PASSED_FD; 0: none */
    int group_fd;  /* cgroup.procs, open for writing, of a control group that it joins; 0: ours */
    bool has_user; /* uid and gid are set: supplementary groups are dropped too */
    uid_t uid;
    gid_t gid;
    int nice;     /* added to ours */
    size_t cores; /* the first so many of ours; 0: all */
};

struct spawn_child {  /* zero: none */
    pid_t pid;        /* also its process group; ours until spawn_reap says that it is over */
    int pidfd;        /* readable once the child has ended; closed by spawn_reap */
    uint64_t started; /* its start time in clock ticks since boot: with the pid, who it is */
};

/* Starts a program; returns when it is running (execve worked) or cannot. ST_IO: `why` says which step
 * failed, for people. ST_NO_MEMORY. All of `what` may go after the call. */
MUST_CHECK enum status spawn_start(const struct spawn *what, struct spawn_child *ret_child,
                                   char why[SPAWN_WHY_BYTES]);

/* Sends a signal to the child's whole group. The child must not have been reaped. */
void spawn_signal(const struct spawn_child *child, int number);

/* Whether the child has ended; then what is left of its group was killed, the child is reaped and its
 * pidfd closed, *ret_status is as waitpid gives it, and the struct is zero. */
bool spawn_reap(struct spawn_child *child, int *ret_status);

/* "exit status 3", "signal 11 (Segmentation fault)". */
void spawn_describe(int status, char text[SPAWN_WHY_BYTES]);

/* Start time of any process, see spawn_child.started; 0: there is none of this pid, or it is a
 * zombie. */
uint64_t spawn_start_time(pid_t pid);
