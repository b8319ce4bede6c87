/* The kernel-host program: one kernel in a process of its own, which speaks frames (kernel_frame.h)
 * over one descriptor. The gateway's side is kernel_child.c. */
#pragma once

/* Serves until the other side is gone. Returns the exit status; may also end the process. */
int kernel_host_run(int fd);
