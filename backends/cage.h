/* Cages: a control group (cgroup version 2) of its own for each program that the gateway starts, so that
 * its limits hold for all that it starts in turn, and all of that ends with it: nobody leaves a group by
 * forking or by a session of its own.
 *
 * The groups lie in one folder, which is ours alone:
 *
 *     FOLDER                    where the service manager has started us (delegated), or as configured
 *     FOLDER/expertd-gateway    this process: where groups have limits no process may be in between
 *     FOLDER/expertd-7-coder    a program
 *
 * Where there is no such folder programs run without, and what they asked for does not hold; whoever
 * starts them says so. The folder is one for the process; a cage belongs to whoever opened it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cgroup.h"
#include "base/str.h"

enum {
    CAGE_WHY_BYTES = 320,
};

struct cage_tree {
    char folder[CGROUP_PATH_BYTES]; /* "": there is none */
    unsigned controllers;           /* limits that hold in it: bits of cgroup.h */
    char why[CAGE_WHY_BYTES];       /* none, or not all of it: the reason, for people */
};

/* Makes a folder ours: nobody but `pid` may be in it, and no other gateway below it. Ends what a killed
 * gateway left in it, moves `pid` to its own group, and has limits hold for the others. The result has no
 * folder where that cannot be. */
void cage_tree_open(const char *folder, pid_t pid, struct cage_tree *ret_tree);

/* By a process that serves, before it reads its configuration. In others there are no cages, so that
 * commands that only look at a configuration move nobody. */
void cage_permit(void);

/* Where the tree is: "auto", "off" or a folder. The first call holds, for the life of the process. Any
 * thread. */
void cage_rule(struct str where);

/* The process's tree, made by the first call. Any thread. */
const struct cage_tree *cage_tree(void);

struct cage { /* zero: none */
    char folder[CGROUP_PATH_BYTES];
    int procs;  /* whoever writes "0" into it is caged; for struct spawn */
    int events; /* POLLPRI, once it may have become empty */
};

/* A new cage with the limits that hold here; `name` is for people. Without a tree, or where the system
 * refuses, the cage is none. False: the latter; errno says why. */
bool cage_open(struct str name, const struct cgroup_limits *limits, struct cage *ret_cage);
bool cage_is_open(const struct cage *cage);

void cage_kill(const struct cage *cage);     /* all in it */
bool cage_is_empty(const struct cage *cage); /* also of a cage that is none */

/* Waits for it to be empty. False: it took longer. */
bool cage_await_empty(const struct cage *cage, int64_t ms);

/* Whether something in it was killed because its limit left no memory. */
bool cage_was_short(const struct cage *cage);

/* Kills what is in it, and removes it; it is zero then. One that is not empty is left to the next sweep. */
void cage_close(struct cage *cage);
