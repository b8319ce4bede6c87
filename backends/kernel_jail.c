/* See kernel_jail.h. The filter lists what is allowed: a call that is not in the table fails with
 * EPERM, as a call that a program is not allowed to make does everywhere. */
#include "backends/kernel_jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#    define JAIL_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#    define JAIL_ARCH AUDIT_ARCH_AARCH64
#endif

/* Sanitizers map terabytes of address space that they never touch. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define JAIL_NO_MEMORY_LIMIT 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                     \
        __has_feature(memory_sanitizer)
#        define JAIL_NO_MEMORY_LIMIT 1
#    endif
#endif

static const unsigned allowed[] = {
    /* memory */
    SYS_brk,
    SYS_mmap,
    SYS_munmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_madvise,
    SYS_mincore,
    SYS_msync,
    SYS_mlock,
    SYS_munlock,
    SYS_membarrier,
    SYS_get_mempolicy,
    SYS_mbind,
    SYS_set_mempolicy,
    /* threads and time */
    SYS_futex,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_rseq,
    SYS_set_tid_address,
    SYS_gettid,
    SYS_getpid,
    SYS_getppid,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sched_setaffinity,
    SYS_getcpu,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_times,
    SYS_getrusage,
    SYS_sysinfo,
    SYS_uname,
    SYS_getrandom,
    SYS_exit,
    SYS_exit_group,
    SYS_restart_syscall,
    /* signals of its own */
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_sigaltstack,
    /* what is open, and reading files */
    SYS_read,
    SYS_readv,
    SYS_pread64,
    SYS_preadv,
    SYS_write,
    SYS_writev,
    SYS_close,
    SYS_lseek,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_fstatfs,
    SYS_statfs,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_getcwd,
    SYS_dup,
    SYS_dup3,
    SYS_fcntl,
    SYS_fadvise64,
    SYS_readahead,
    SYS_ppoll,
    SYS_pselect6,
    SYS_pipe2,
    SYS_eventfd2,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
#if defined(__x86_64__)
    SYS_poll,
    SYS_select,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_time,
    SYS_dup2,
    SYS_pipe,
    SYS_epoll_wait,
    SYS_arch_prctl,
#endif
};

enum {
    COUNT = sizeof allowed / sizeof allowed[0],
    FILTER_MAX = 2 * COUNT + 80,
    WRITES = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, /* O_TMPFILE wants one of the first two */
};

struct filter { /* a programme of the kernel's packet filter, which looks at struct seccomp_data */
    struct sock_filter code[FILTER_MAX];
    unsigned short len;
};

static void add(struct filter *f, struct sock_filter instruction)
{
    f->code[f->len++] = instruction;
}

static void load(struct filter *f, size_t offset)
{
    add(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* The low half of an argument: both machines are little-endian. */
static void load_argument(struct filter *f, size_t n)
{
    load(f, offsetof(struct seccomp_data, args) + n * sizeof(uint64_t));
}

/* Skips as many instructions unless the loaded number is `value`. */
static void unless(struct filter *f, uint32_t value, unsigned char skip)
{
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip));
}

static void give(struct filter *f, uint32_t verdict)
{
    add(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

static const uint32_t DENY = SECCOMP_RET_ERRNO | EPERM;

/* Opening is allowed without any of the flags that write; `n` is the argument that has them. */
static void rule_open(struct filter *f, unsigned call, size_t n)
{
    unless(f, call, 4);
    load_argument(f, n);
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, WRITES, 0, 1));
    give(f, DENY);
    give(f, SECCOMP_RET_ALLOW);
}

/* Allowed where argument n is `value`. */
static void rule_equal(struct filter *f, unsigned call, size_t n, uint32_t value)
{
    unless(f, call, 4);
    load_argument(f, n);
    unless(f, value, 1);
    give(f, SECCOMP_RET_ALLOW);
    load(f, offsetof(struct seccomp_data, nr)); /* another rule may allow another value */
}

/* Threads, but no processes. clone3 hides its flags in memory: the C library then takes clone. */
static void rule_clone(struct filter *f)
{
    unless(f, SYS_clone, 4);
    load_argument(f, 0);
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1));
    give(f, SECCOMP_RET_ALLOW);
    give(f, DENY);
    unless(f, SYS_clone3, 1);
    give(f, SECCOMP_RET_ERRNO | ENOSYS);
}

/* Reading limits, with no new ones: both halves of the pointer are 0. */
static void rule_limits(struct filter *f)
{
    unless(f, SYS_prlimit64, 6);
    load_argument(f, 2);
    unless(f, 0, 3);
    load(f, offsetof(struct seccomp_data, args) + 2 * sizeof(uint64_t) + sizeof(uint32_t));
    unless(f, 0, 1);
    give(f, SECCOMP_RET_ALLOW);
    give(f, DENY);
}

static void build(struct filter *f)
{
    f->len = 0;
#ifdef JAIL_ARCH
    load(f, offsetof(struct seccomp_data, arch));
    unless(f, JAIL_ARCH, 1);
    add(f, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 1));
    give(f, SECCOMP_RET_KILL_PROCESS);
#endif
    load(f, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < COUNT; i++) {
        unless(f, allowed[i], 1);
        give(f, SECCOMP_RET_ALLOW);
    }
    rule_open(f, SYS_openat, 2);
#if defined(__x86_64__)
    rule_open(f, SYS_open, 1);
#endif
    rule_clone(f);
    rule_limits(f);
    rule_equal(f, SYS_tgkill, 0, (uint32_t)getpid()); /* abort */
    rule_equal(f, SYS_prctl, 0, PR_SET_NAME);
    rule_equal(f, SYS_prctl, 0, PR_GET_NAME);
    give(f, DENY);
}

static int limit(int resource, uint64_t value)
{
    struct rlimit both = {value, value};
    return setrlimit((__rlimit_resource_t)resource, &both);
}

enum status kernel_jail_enter(uint64_t memory_bytes)
{
    struct filter f;
    build(&f);
    struct sock_fprog programme = {f.len, f.code};
    if (limit(RLIMIT_CORE, 0) != 0 || limit(RLIMIT_FSIZE, 0) != 0) {
        return ST_IO;
    }
#ifndef JAIL_NO_MEMORY_LIMIT
    if (memory_bytes > 0 && limit(RLIMIT_AS, memory_bytes) != 0) {
        return ST_IO;
    }
#else
    (void)memory_bytes;
#endif
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &programme) != 0) {
        return ST_IO;
    }
    return ST_OK;
}
