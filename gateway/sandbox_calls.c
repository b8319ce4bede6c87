/* See sandbox_parts.h. A filter of system calls in classic BPF, as seccomp(2) takes it: one comparison
 * per row, and the kernel remembers which numbers pass, so that those on the list cost next to nothing.
 *
 * What is not on the list answers ENOSYS: libraries then do without. What only an intruder would try
 * ends the process. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gateway/sandbox_parts.h"

#if defined(__x86_64__)
#    define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#    define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef OUR_ARCH

static const int allowed[] = {
    /* memory */
    SYS_brk,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_msync,
    SYS_mincore,
    SYS_mlock,
    SYS_munlock,
    /* descriptors */
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_close,
    SYS_close_range,
    SYS_lseek,
    SYS_fstat,
    SYS_fcntl,
    SYS_ioctl,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_eventfd2,
    SYS_flock,
    SYS_fsync,
    SYS_fdatasync,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_fchmod,
    SYS_fchown,
    SYS_fadvise64,
    /* files, as far as Landlock lets them */
    SYS_openat,
    SYS_newfstatat,
    SYS_statx,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_getcwd,
    SYS_mkdirat,
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_statfs,
    SYS_fstatfs,
    SYS_umask,
    SYS_utimensat,
    /* waiting */
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_ppoll,
    SYS_pselect6,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_restart_syscall,
    /* network */
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_sendto,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_recvmmsg,
    SYS_shutdown,
    SYS_getsockname,
    SYS_getpeername,
    SYS_setsockopt,
    SYS_getsockopt,
    /* threads and time */
    SYS_futex,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_set_tid_address,
    SYS_gettid,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sched_setaffinity,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
    SYS_setpriority,
    SYS_getpriority,
    SYS_membarrier,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_gettimeofday,
    SYS_getcpu,
    SYS_exit,
    SYS_exit_group,
    /* signals */
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigtimedwait,
    SYS_rt_sigsuspend,
    SYS_rt_sigpending,
    SYS_sigaltstack,
    SYS_tgkill,
    /* about oneself */
    SYS_getpid,
    SYS_getppid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getrusage,
    SYS_getrlimit,
    SYS_prlimit64,
    SYS_times,
    SYS_uname,
    SYS_sysinfo,
    SYS_getrandom,
    SYS_prctl,
/* those that have another name by now, or are too new for some headers */
#    ifdef SYS_open
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_mkdir,
    SYS_rmdir,
    SYS_unlink,
    SYS_rename,
    SYS_chmod,
    SYS_utimes,
    SYS_getdents,
#    endif
#    ifdef SYS_epoll_wait
    SYS_epoll_create,
    SYS_epoll_wait,
    SYS_poll,
    SYS_select,
    SYS_pause,
    SYS_time,
    SYS_pipe,
    SYS_dup2,
    SYS_eventfd,
#    endif
#    ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#    endif
#    ifdef SYS_futex_waitv
    SYS_futex_waitv,
#    endif
#    ifdef SYS_rseq
    SYS_rseq,
#    endif
};

/* Nothing here has a use for these, whatever is configured. */
static const int deadly[] = {
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_bpf,
    SYS_kexec_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_setns,
    SYS_unshare,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_userfaultfd,
    SYS_open_by_handle_at,
    SYS_quotactl,
    SYS_perf_event_open,
    SYS_clock_settime,
    SYS_settimeofday,
    SYS_sethostname,
};

/* Of those who start no programs. */
static const int deadly_without_exec[] = {SYS_execve, SYS_execveat};

enum {
    ALLOWED = sizeof allowed / sizeof allowed[0],
    DEADLY = sizeof deadly / sizeof deadly[0],
    DEADLY_WITHOUT_EXEC = sizeof deadly_without_exec / sizeof deadly_without_exec[0],
    INSTRUCTIONS_MAX = 2 * (ALLOWED + DEADLY + DEADLY_WITHOUT_EXEC) + 24,
    X32_BIT = 0x40000000, /* another numbering on the same processor */
};

struct program {
    struct sock_filter code[INSTRUCTIONS_MAX];
    unsigned short count;
};

static void add(struct program *p, struct sock_filter instruction)
{
    p->code[p->count++] = instruction;
}

static void answer(struct program *p, unsigned verdict)
{
    add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

/* The next instruction is for this value alone. */
static void if_equal(struct program *p, unsigned value)
{
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
}

static void load(struct program *p, size_t offset)
{
    add(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

static void add_list(struct program *p, const int *numbers, size_t count, unsigned verdict)
{
    for (size_t i = 0; i < count; i++) {
        if_equal(p, (unsigned)numbers[i]);
        answer(p, verdict);
    }
}

static void add_head(struct program *p)
{
    load(p, offsetof(struct seccomp_data, arch));
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0));
    answer(p, SECCOMP_RET_KILL_PROCESS);
    load(p, offsetof(struct seccomp_data, nr));
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1));
    answer(p, SECCOMP_RET_KILL_PROCESS);
    add_list(p, deadly, DEADLY, SECCOMP_RET_KILL_PROCESS);
}

/* A new thread passes, a new process does not. The arguments of clone3 are out of reach: without it the
 * C library takes clone. */
static void add_clone(struct program *p)
{
    if_equal(p, SYS_clone3);
    answer(p, SECCOMP_RET_ERRNO | ENOSYS);
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4));
    load(p, offsetof(struct seccomp_data, args)); /* the lower half of the flags: little endian */
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1));
    answer(p, SECCOMP_RET_ALLOW);
    answer(p, SECCOMP_RET_ERRNO | EPERM);
}

bool sandbox_calls_filter(bool may_exec)
{
    static struct program p; /* 2.5 kB, and used once */
    p.count = 0;
    add_head(&p);
    if (!may_exec) {
        add_list(&p, deadly_without_exec, DEADLY_WITHOUT_EXEC, SECCOMP_RET_KILL_PROCESS);
        add_list(&p, allowed, ALLOWED, SECCOMP_RET_ALLOW);
        add_clone(&p);
    }
    answer(&p, may_exec ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | ENOSYS);
    struct sock_fprog filter = {.len = p.count, .filter = p.code};
    /* Kernels from files have threads by now: they get it too. */
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0;
}

#else

bool sandbox_calls_filter(bool may_exec)
{
    (void)may_exec;
    return false; /* no list for this processor */
}

#endif
