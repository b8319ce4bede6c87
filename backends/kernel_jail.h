/* What a kernel-host gives up before it loads a kernel: privileges to be gained, memory beyond its
 * limit, core dumps, files to write, and all system calls but those that computing needs. No sockets,
 * no programs, no other processes, no file opened for writing; reading files stays. */
#pragma once

#include <stdint.h>

#include "base/status.h"

/* For the whole process, for ever. memory_bytes: ceiling of the address space, 0 none. ST_IO: errno;
 * the process must not go on. */
MUST_CHECK enum status kernel_jail_enter(uint64_t memory_bytes);
