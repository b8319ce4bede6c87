/* See cores.h. */
#include "base/cores.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>

size_t cores_allowed(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : (size_t)count;
}

bool cores_keep_to(size_t count)
{
    cpu_set_t set;
    cpu_set_t kept;
    CPU_ZERO(&set);
    CPU_ZERO(&kept);
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        return false;
    }
    for (size_t i = 0; i < CPU_SETSIZE && count > 0; i++) {
        if (CPU_ISSET(i, &set)) {
            CPU_SET(i, &kept);
            count--;
        }
    }
    return sched_setaffinity(0, sizeof kept, &kept) == 0;
}

bool cores_yield(int nice)
{
    errno = 0; /* -1 is a priority too */
    int now = getpriority(PRIO_PROCESS, 0);
    return errno == 0 && setpriority(PRIO_PROCESS, 0, now + nice) == 0; /* 0: this thread */
}
