/* Control groups, version 2 (docs.kernel.org/admin-guide/cgroup-v2.html): where a process is, which file
 * of a group says what, and what it takes to end one. A group is a folder; all functions do to the
 * folder that they are given and to nothing else. Which folders are ours is for the caller to know.
 *
 * A limit needs its controller in the folder above; ending all of a group needs none. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"
#include "base/str.h"

enum {
    CGROUP_PATH_BYTES = 1024,
    CGROUP_VALUE_BYTES = 48,
    CGROUP_WRITES_MAX = 6,
};

enum { /* bits */
    CGROUP_MEMORY = 1,
    CGROUP_CPU = 2,
    CGROUP_PIDS = 4,
    CGROUP_ALL = 7,
};

struct cgroup_limits { /* 0: none */
    int64_t memory_bytes;
    double cpus; /* processor time: so many cores' */
    int64_t pids;
    int64_t weight; /* for processor time beside other groups: 1 to 10000, others have 100 */
};

struct cgroup_write { /* one file of a group */
    const char *file;
    char value[CGROUP_VALUE_BYTES];
    bool is_optional; /* some kernels have no such file */
};

/* The folder of the process's group, from the texts of /proc/self/mountinfo and /proc/self/cgroup.
 * ST_NOT_FOUND: version 2 is not mounted where it would be seen. ST_TOO_BIG. */
MUST_CHECK enum status cgroup_own_folder(struct str mountinfo, struct str groups,
                                         char ret_folder[CGROUP_PATH_BYTES]);

/* The bits of a list as cgroup.controllers has it: "cpuset cpu memory pids". */
unsigned cgroup_controllers(struct str list);

/* The controllers that these limits take. */
unsigned cgroup_needs(const struct cgroup_limits *limits);

/* "memory, cpu", "nothing"; for people. */
const char *cgroup_words(unsigned controllers);

/* What to write where, with the controllers that there are; how many. */
size_t cgroup_plan(const struct cgroup_limits *limits, unsigned controllers,
                   struct cgroup_write ret_writes[CGROUP_WRITES_MAX]);

/* Carries it out. ST_IO: errno says why; what was planned before it is written. */
MUST_CHECK enum status cgroup_apply(const char *folder, const struct cgroup_write *writes,
                                    size_t count);

/* Reads a file of a group; cut if it is longer. ST_IO. */
MUST_CHECK enum status cgroup_read(const char *folder, const char *file, char *text, size_t size);
MUST_CHECK enum status cgroup_set(const char *folder, const char *file, const char *value);

/* Whether all processes in the group itself are `pid`, or there are none. False where it cannot be read. */
bool cgroup_is_only(const char *folder, pid_t pid);

/* Whether a process is in the group or below. */
bool cgroup_is_populated(const char *folder);

/* Kills all in it and below, at once. They are gone when it is not populated any more. */
void cgroup_kill(const char *folder);

/* How many processes in it were killed because there was no memory left under its limit. */
int64_t cgroup_oom_kills(const char *folder);

/* Kills what is in each group in `folder` whose name starts with `prefix`, but for the one called `but`,
 * waits for their ends at most wait_ms, and removes them. How many there were. */
size_t cgroup_sweep(const char *folder, const char *prefix, const char *but, int64_t wait_ms);
