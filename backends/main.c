/* kernel-host: runs one kernel for a gateway, which starts it. Not for people. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "backends/kernel_host.h"
#include "base/spawn.h"

int main(void)
{
    if (fcntl(SPAWN_PASSED_FD, F_GETFD) < 0) {
        (void)fputs("expertd-kernel-host is started by expertd, which gives it a socket\n", stderr);
        return 2;
    }
    return kernel_host_run(SPAWN_PASSED_FD);
}
