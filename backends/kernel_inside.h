/* The inside of struct kernel, for kernel.c and kernel_open.c. */
#pragma once

#include "backends/kernel.h"

struct kernel_crew; /* kernel_open.c: threads of a kernel's own, with an instance each */
struct kernel_pool;

struct kernel {
    const struct ek_kernel *abi;
    struct ek_instance *instance; /* without a crew: one for all threads */
    struct kernel_crew *crew;
    size_t threads;         /* see kernel_threads */
    int64_t grace_ms;       /* see kernel_turn.h */
    _Atomic uint32_t users; /* whoever made it, and each call that runs on the pool */
    _Atomic uint32_t
        stuck; /* calls that do not return; written by kernel_turn.c, read by any thread */
};

struct ek_instance *kernel_crew_instance(const struct kernel_crew *crew, size_t thread);
struct kernel_pool *kernel_crew_pool(const struct kernel_crew *crew);
bool kernel_crew_is_child(const struct kernel_crew *crew);
uint32_t kernel_crew_capabilities(const struct kernel_crew *crew);
void kernel_crew_release(struct kernel_crew *crew); /* takes the kernel's memory along */
