/* What the kernel says about another process: CPU time to the nanosecond, and memory. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* CPU time of all its threads that live now, ns (/proc/PID/task/TID/schedstat). 0: no such process,
 * or a kernel without schedstat. */
uint64_t procstat_cpu_ns(pid_t pid);

/* Resident memory in kB (VmRSS). 0: no such process. */
uint64_t procstat_rss_kb(pid_t pid);
