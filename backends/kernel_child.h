/* A kernel in a child process: the gateway's side of kernel-host, as a kernel of its own behind
 * kernel_abi.h. Each instance starts, watches and restarts one child; all its functions are called on
 * one thread, which the child outlives by nothing. A crash, a hang or nonsense costs the call that is
 * under way and a wait (full jitter, doubling up to a ceiling) before the next start. */
#pragma once

#include <stdint.h>

#include "backends/kernel_abi.h"

enum {
    KERNEL_CHILD_GRACE_MS = 5000,     /* for a kernel to heed a cancel, before it is killed */
    KERNEL_CHILD_WAIT_MIN_MS = 250,   /* ceiling of the wait after the first failure */
    KERNEL_CHILD_WAIT_MAX_MS = 60000, /* and after many */
    KERNEL_CHILD_NICE = 5,
};

struct kernel_child_config { /* what create is given: `ek` by its address */
    struct ek_config ek;
    const char *program;                /* kernel-host */
    const char *file;                   /* the kernel */
    int64_t load_ms;                    /* for load, create and self-test */
    _Atomic uint32_t *ret_capabilities; /* what the kernel in the child can, once it has said so */
};

/* create: EK_BAD_CONFIG when the child says what is wrong; a child that breaks down instead is an
 * instance that will be started again, and self_test says so. generate wants a struct kernel_request. */
extern const struct ek_kernel kernel_child_abi;

/* The longest wait after so many failures in a row; the wait itself is a random part of it. */
int64_t kernel_child_wait_max_ms(uint32_t failures);
