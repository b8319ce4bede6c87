/* A library for LD_PRELOAD that makes calls of the C library fail, to order: one class of calls, from
 * the nth on, so many of them, with an errno. Whoever gives the orders maps the same file, which
 * $FAILING_CONTROL names (tests/torture/failing.py); without it nothing fails. All libraries of the
 * program are meant: libmicrohttpd, libcurl, GnuTLS, SQLite, Jansson and we call through here, glibc's
 * own insides do not. Not for programs under a sanitizer, which has its own malloc. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { /* as in failing.py */
    CLASS_NONE,
    CLASS_MEMORY,
    CLASS_ACCEPT,
    CLASS_RECEIVE,
    CLASS_SEND,
    CLASS_READ,
    CLASS_WRITE,
    CLASS_CONNECT,
    CLASS_SOCKET,
    CLASS_EPOLL_WAIT,
    CLASS_EPOLL_CTL,
    CLASS_OPEN,
    CLASS_SYNC,
    CLASS_PWRITE,
    CLASS_EVENTFD,
    CLASS_TIMERFD,
    CLASS_THREAD,
    CLASS_RESOLVE,
};

struct control { /* written by the test, but for what is counted */
    _Atomic uint32_t class;
    _Atomic int32_t error;  /* errno; of CLASS_RESOLVE an EAI_ */
    _Atomic uint64_t first; /* number of the first call that fails, from 0 */
    _Atomic uint64_t count; /* how many do */
    _Atomic uint64_t calls; /* seen */
    _Atomic uint64_t failed;
    _Atomic int64_t wall_offset_ns; /* added to the wall clock */
    _Atomic int64_t resolver_hangs; /* 1: a name takes for ever before it fails, until this is 0 */
};

static struct control *control;
static bool traces; /* $FAILING_TRACE: shows who was failed */

/* glibc's own names, for what is put in front of them. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

/* Where we are, for addr2line. */
static void show_frames(void)
{
    void *frames[32];
    int count = backtrace(frames, 32);
    backtrace_symbols_fd(frames, count, STDERR_FILENO);
}

/* Dies as it would have. */
static void on_crash(int number)
{
    show_frames();
    (void)raise(number);
}

static void watch_crashes(void)
{
    struct sigaction crash = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    void *frames[1];
    (void)backtrace(frames, 1); /* loads what it needs */
    (void)sigaction(SIGSEGV, &crash, NULL);
    (void)sigaction(SIGABRT, &crash, NULL);
    (void)sigaction(SIGBUS, &crash, NULL);
}

__attribute__((constructor)) static void map_control(void)
{
    watch_crashes();
    traces = getenv("FAILING_TRACE") != NULL;
    const char *path = getenv("FAILING_CONTROL");
    int fd = path == NULL ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        void *page = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        (void)syscall(SYS_close, fd);
        control = page == MAP_FAILED ? NULL : page;
    }
}

static int fails(uint32_t class)
{
    if (control == NULL || atomic_load(&control->class) != class) {
        return 0;
    }
    uint64_t call = atomic_fetch_add(&control->calls, 1);
    uint64_t first = atomic_load(&control->first);
    if (call < first || call - first >= atomic_load(&control->count)) {
        return 0;
    }
    (void)atomic_fetch_add(&control->failed, 1);
    if (traces) {
        show_frames();
    }
    errno = atomic_load(&control->error);
    return 1;
}

/* ---------------------------------------------------------------- memory */

void *malloc(size_t size) /* allow malloc: stands in front of it */
{
    return fails(CLASS_MEMORY) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) /* allow calloc: stands in front of it */
{
    return fails(CLASS_MEMORY) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) /* allow realloc: stands in front of it */
{
    return fails(CLASS_MEMORY) ? NULL : __libc_realloc(block, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    void *block = fails(CLASS_MEMORY) ? NULL : __libc_memalign(alignment, size);
    if (block == NULL) {
        return ENOMEM;
    }
    *ret = block;
    return 0;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails(CLASS_MEMORY) ? NULL : __libc_memalign(alignment, size);
}

/* ---------------------------------------------------------------- sockets */

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict len, int flags)
{
    return fails(CLASS_ACCEPT) ? -1 : (int)syscall(SYS_accept4, fd, address, len, flags);
}

int accept(int fd, struct sockaddr *restrict address, socklen_t *restrict len)
{
    return accept4(fd, address, len, 0);
}

int socket(int domain, int type, int protocol)
{
    return fails(CLASS_SOCKET) ? -1 : (int)syscall(SYS_socket, domain, type, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    return fails(CLASS_CONNECT) ? -1 : (int)syscall(SYS_connect, fd, address, len);
}

ssize_t recvfrom(int fd, void *restrict bytes, size_t len, int flags,
                 struct sockaddr *restrict address, socklen_t *restrict address_len)
{
    return fails(CLASS_RECEIVE)
               ? -1
               : (ssize_t)syscall(SYS_recvfrom, fd, bytes, len, flags, address, address_len);
}

ssize_t recv(int fd, void *bytes, size_t len, int flags)
{
    return recvfrom(fd, bytes, len, flags, NULL, NULL);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return fails(CLASS_RECEIVE) ? -1 : (ssize_t)syscall(SYS_recvmsg, fd, message, flags);
}

ssize_t sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *address,
               socklen_t address_len)
{
    return fails(CLASS_SEND)
               ? -1
               : (ssize_t)syscall(SYS_sendto, fd, bytes, len, flags, address, address_len);
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    return sendto(fd, bytes, len, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return fails(CLASS_SEND) ? -1 : (ssize_t)syscall(SYS_sendmsg, fd, message, flags);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    return fails(CLASS_SEND) ? -1 : (ssize_t)syscall(SYS_writev, fd, pieces, count);
}

/* ---------------------------------------------------------------- files and descriptors */

ssize_t read(int fd, void *bytes, size_t len)
{
    return fails(CLASS_READ) ? -1 : (ssize_t)syscall(SYS_read, fd, bytes, len);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    /* Eight bytes ring the bell of an eventfd, which takes them always: the kernel may interrupt, no more. */
    bool is_bell = len == sizeof(uint64_t);
    bool may_fail = !is_bell || (control != NULL && atomic_load(&control->error) == EINTR);
    return may_fail && fails(CLASS_WRITE) ? -1 : (ssize_t)syscall(SYS_write, fd, bytes, len);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    return fails(CLASS_PWRITE) ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, bytes, len, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    return pwrite64(fd, bytes, len, at);
}

int fsync(int fd)
{
    return fails(CLASS_SYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return fails(CLASS_SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return fails(CLASS_OPEN) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return fails(CLASS_OPEN) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int eventfd(unsigned int initial, int flags)
{
    return fails(CLASS_EVENTFD) ? -1 : (int)syscall(SYS_eventfd2, initial, flags);
}

int timerfd_create(clockid_t clock, int flags)
{
    return fails(CLASS_TIMERFD) ? -1 : (int)syscall(SYS_timerfd_create, clock, flags);
}

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    /* only ADD asks the kernel for anything */
    bool may_fail = what == EPOLL_CTL_ADD;
    return may_fail && fails(CLASS_EPOLL_CTL) ? -1
                                              : (int)syscall(SYS_epoll_ctl, epoll, what, fd, event);
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    return fails(CLASS_EPOLL_WAIT)
               ? -1
               : (int)syscall(SYS_epoll_pwait, epoll, events, max, timeout_ms, NULL, 8);
}

/* ---------------------------------------------------------------- threads, names, time */

int pthread_create(pthread_t *restrict ret, const pthread_attr_t *restrict attributes,
                   void *(*run)(void *), void *restrict arg)
{
    int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (fails(CLASS_THREAD)) {
        return EAGAIN;
    }
    *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
    return next(ret, attributes, run, arg);
}

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (fails(CLASS_RESOLVE)) {
        const struct timespec ms = {.tv_nsec = 1000000};
        while (atomic_load(&control->resolver_hangs) != 0) {
            (void)nanosleep(&ms, NULL);
        }
        return atomic_load(&control->error);
    }
    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    return next(node, service, hints, ret);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && control != NULL &&
        (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t nano =
            now->tv_sec * 1000000000 + now->tv_nsec + atomic_load(&control->wall_offset_ns);
        now->tv_sec = nano / 1000000000;
        now->tv_nsec = nano % 1000000000;
    }
    return result;
}

time_t time(time_t *ret)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret != NULL) {
        *ret = now.tv_sec;
    }
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}
