/* Kernels in shared objects: which files may be loaded, and whether what is in them speaks our
 * interface. Loads into the process that asks: the gateway itself, or a kernel-host. */
#pragma once

#include "backends/kernel_abi.h"
#include "base/status.h"

enum {
    KERNEL_WHY_BYTES = 320, /* for sentences about what is wrong */
};

/* Whether a file may be loaded: an absolute path, a regular file behind it, both it and its folder
 * owned by root or by the running user and writable by nobody else. ST_INVALID with `why`. */
MUST_CHECK enum status kernel_file_check(const char *path, char why[KERNEL_WHY_BYTES]);

/* Checks, loads (RTLD_NOW | RTLD_LOCAL) and greets. *ret_abi is a copy in which functions that the
 * kernel does not have are NULL. What is loaded stays until the process ends. ST_INVALID with `why`;
 * nothing of the kernel is called then but its entry and info functions. `host` stays. */
MUST_CHECK enum status kernel_file_load(const char *path, const struct ek_host *host,
                                        struct ek_kernel *ret_abi, char why[KERNEL_WHY_BYTES]);

/* Whether an instance will fit in config->memory_bytes, by the kernel's own estimate, where it gives
 * one. ST_INVALID with `why`, also when it says that the options are wrong. */
MUST_CHECK enum status kernel_file_fits(const struct ek_kernel *abi, const struct ek_config *config,
                                        char why[KERNEL_WHY_BYTES]);

/* The second half of loading: what an entry function gave. */
MUST_CHECK enum status kernel_file_accept(const struct ek_kernel *kernel, struct ek_kernel *ret_abi,
                                          char why[KERNEL_WHY_BYTES]);
