/* See kernel_child.h. What the child's end is in kernel_host.c. */
#include "backends/kernel_child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/cage.h"
#include "backends/kernel.h"
#include "backends/kernel_frame.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/spawn.h"

enum {
    READ_BYTES = 16 * 1024,
    LEAVE_MS = 250, /* for a child to end that is no longer needed, before it is killed */
    END_MS = 5000,  /* for a child that was killed, or closed its socket, to be gone */
    LOG_BYTES = 1000,
    TASKS_MAX = 256, /* threads of a child; it may start no processes */
};

/* What the interface calls by its first member comes from kernel_open.c and kernel_call.c alone. */
_Static_assert(offsetof(struct kernel_child_config, ek) == 0, "config is cast to its first member");
_Static_assert(offsetof(struct kernel_request, ek) == 0, "request is cast to its first member");
_Static_assert(offsetof(struct kernel_vectors, ek) == 0, "vectors are cast to their first member");

struct ek_instance {
    const struct kernel_child_config *config; /* outlives the instance */
    struct spawn_child process;               /* pid 0: none */
    struct cage cage;
    int socket;
    int output; /* the child's standard output and error */
    struct buf in;
    struct buf out;
    size_t frame_len; /* of `in`: the frame that was handed out last */
    uint16_t call;
    bool was_ready;
    uint32_t failures; /* in a row */
    int64_t next_start_ms;
    char why[SPAWN_WHY_BYTES]; /* the last failure */
};

static int64_t now_ms(void)
{
    return clock_now_ms(clock_system());
}

int64_t kernel_child_wait_max_ms(uint32_t failures)
{
    uint32_t doublings = failures > 0 ? failures - 1 : 0;
    int64_t ms = doublings < 16 ? (int64_t)KERNEL_CHILD_WAIT_MIN_MS << doublings : INT64_MAX;
    return ms < KERNEL_CHILD_WAIT_MAX_MS ? ms : KERNEL_CHILD_WAIT_MAX_MS;
}

/* ---- the end of a child ---- */

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* Waits for the child's end; what it was goes to *ret_status. False: it still is. */
static bool await_end(struct ek_instance *c, int64_t ms, int *ret_status)
{
    int64_t until = now_ms() + ms;
    struct pollfd fd = {.fd = c->process.pidfd, .events = POLLIN};
    while (!spawn_reap(&c->process, ret_status)) {
        int64_t left = until - now_ms();
        if (left <= 0) {
            return false;
        }
        (void)poll(&fd, 1, (int)left);
    }
    return true;
}

static void describe_end(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        (void)snprintf(text, size, "killed by SIG%s", name == NULL ? "?" : name);
    } else {
        (void)snprintf(text, size, "ended with exit status %d", WEXITSTATUS(status));
    }
}

/* The child is gone; what little may be left of its group goes too. Whether its limit left no memory. */
static bool leave_cage(struct ek_instance *c)
{
    bool was_short = cage_was_short(&c->cage);
    cage_kill(&c->cage);
    (void)cage_await_empty(&c->cage, END_MS); /* else the next start of a gateway finds it */
    cage_close(&c->cage);
    return was_short;
}

/* Ends the child. `why` NULL: it ended by itself, and its status says how. */
static void bury(struct ek_instance *c, const char *why)
{
    int status = 0;
    uint64_t random = 0;
    close_fd(&c->socket);
    if (c->process.pid > 0) {
        bool has_ended = why == NULL && await_end(c, END_MS, &status);
        if (!has_ended) {
            spawn_signal(&c->process, SIGKILL);
            why = why == NULL ? "closed its socket" : why;
            (void)await_end(c, END_MS, &status); /* one that cannot die is left to the system */
            c->process.pid = 0;
        }
    }
    if (leave_cage(c)) {
        why = "killed: memory limit";
    }
    close_fd(&c->output);
    if (why == NULL) {
        describe_end(status, c->why, sizeof c->why);
    } else {
        (void)snprintf(c->why, sizeof c->why, "%s", why);
    }
    c->failures++;
    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK); /* without: at once */
    uint64_t most = (uint64_t)kernel_child_wait_max_ms(c->failures);
    int64_t wait = (int64_t)(random % (most + 1));
    c->next_start_ms = now_ms() + wait;
    /* The one place that knows: a kernel that died belongs to no request. Before it was ever ready
     * whoever made it is told. */
    log_write(c->was_ready ? LOG_WARN : LOG_DEBUG, "kernel_child",
              "kernel-host: %s; file=%s failures=%u next_start_ms=%" PRId64, c->why,
              c->config->file, (unsigned)c->failures, wait);
}

/* ---- input and output ---- */

/* What the child prints is for people who debug it; it may hold anything, so only they see it. */
static void read_output(struct ek_instance *c)
{
    char text[LOG_BYTES];
    ssize_t n = read(c->output, text, sizeof text);
    if (n > 0) {
        log_write(LOG_DEBUG, "kernel_child", "%s: %.*s", c->config->file, (int)n, text);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_fd(&c->output);
    }
}

/* ST_OK: something was read. ST_CLOSED: the stream ended. ST_NO_MEMORY. */
static enum status read_socket(struct ek_instance *c)
{
    char *room = buf_reserve(&c->in, READ_BYTES);
    if (room == NULL) {
        return ST_NO_MEMORY;
    }
    ssize_t n = read(c->socket, room, READ_BYTES);
    if (n > 0) {
        buf_commit(&c->in, (size_t)n);
        return ST_OK;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? ST_OK : ST_CLOSED;
}

static enum status write_socket(struct ek_instance *c)
{
    struct str bytes = buf_str(&c->out);
    ssize_t n = send(c->socket, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
        buf_consume(&c->out, (size_t)n);
        return ST_OK;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? ST_OK : ST_CLOSED;
}

/* One wait: for bytes either way, for what the child prints, or for cancel_fd (-1: none). ST_TIMEOUT,
 * ST_NOT_FOUND (cancelled), ST_CLOSED, ST_NO_MEMORY. */
static enum status turn(struct ek_instance *c, int64_t until_ms, int cancel_fd)
{
    struct pollfd fds[] = {
        {.fd = c->socket, .events = (short)(POLLIN | (c->out.len > 0 ? POLLOUT : 0))},
        {.fd = c->output, .events = POLLIN},
        {.fd = cancel_fd, .events = POLLIN},
    };
    int64_t left = until_ms == INT64_MAX ? -1 : until_ms - now_ms();
    if (until_ms != INT64_MAX && left <= 0) {
        return ST_TIMEOUT;
    }
    if (poll(fds, 3, left > INT32_MAX ? -1 : (int)left) < 0) {
        return ST_OK; /* EINTR */
    }
    if ((fds[2].revents & POLLIN) != 0) {
        return ST_NOT_FOUND;
    }
    if (fds[1].revents != 0) {
        read_output(c);
    }
    enum status st = (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 ? read_socket(c) : ST_OK;
    if (st == ST_OK && (fds[0].revents & POLLOUT) != 0) {
        st = write_socket(c);
    }
    return st;
}

/* The next frame; its payload is valid until the next call. Sends what is in `out` meanwhile.
 * ST_INVALID: no frame. Else as turn. */
static enum status next_frame(struct ek_instance *c, int64_t until_ms, int cancel_fd,
                              struct kernel_frame *ret_frame)
{
    buf_consume(&c->in, c->frame_len);
    c->frame_len = 0;
    for (;;) {
        enum status st = kernel_frame_read(buf_str(&c->in), KERNEL_FRAME_TO_GATEWAY_MAX, ret_frame,
                                           &c->frame_len);
        if (st != ST_NOT_FOUND) {
            return st;
        }
        st = turn(c, until_ms, cancel_fd);
        if (st != ST_OK) {
            return st;
        }
    }
}

/* Ends a child that did what it must not; the reason goes to c->why. */
static void give_up(struct ek_instance *c, enum status st, const char *late)
{
    bury(c, st == ST_CLOSED ? NULL
            : st == ST_TIMEOUT
                ? late
                : (st == ST_INVALID ? "sent what is no frame" : "there was no memory for it"));
}

/* ---- the start of a child ---- */

/* The address space is limited by the child itself (kernel_jail.c); the group adds what is not seen
 * there. Without one that alone holds. */
static void open_cage(struct ek_instance *c)
{
    struct str path = str_from(c->config->file);
    struct str name = path;
    for (size_t i = 0; i < path.len; i++) {
        name = path.ptr[i] == '/' ? str_slice(path, i + 1, path.len) : name;
    }
    const struct cgroup_limits limits = {.memory_bytes = (int64_t)c->config->ek.memory_bytes,
                                         .pids = TASKS_MAX};
    if (!cage_open(name, &limits, &c->cage)) {
        log_write(LOG_WARN, "kernel_child", "no control group for %s", c->config->file);
    }
}

static enum status spawn(struct ek_instance *c)
{
    const char *const argv[] = {c->config->program, c->config->file, NULL};
    const char *const env[] = {"OMP_WAIT_POLICY=passive",
                               NULL}; /* spinning threads slow all down */
    int sockets[2];
    int pipes[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        (void)snprintf(c->why, sizeof c->why, "no socket for it");
        return ST_IO;
    }
    /* Neither side ever waits in the pipe: a child that prints much loses lines. */
    if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) != 0) {
        (void)close(sockets[0]);
        (void)close(sockets[1]);
        (void)snprintf(c->why, sizeof c->why, "no pipe for it");
        return ST_IO;
    }
    open_cage(c);
    const struct spawn what = {.argv = argv,
                               .env = env,
                               .cwd = "/",
                               .output_fd = pipes[1],
                               .pass_fd = sockets[1],
                               .group_fd = c->cage.procs,
                               .nice = KERNEL_CHILD_NICE};
    enum status st = spawn_start(&what, &c->process, c->why);
    (void)close(sockets[1]);
    (void)close(pipes[1]);
    c->socket = sockets[0];
    c->output = pipes[0];
    c->frame_len = 0;
    buf_reset(&c->in);
    buf_reset(&c->out);
    return st;
}

static enum status write_hello(struct ek_instance *c)
{
    const struct ek_config *config = &c->config->ek;
    const struct kernel_hello hello = {
        .version = KERNEL_FRAME_VERSION,
        .threads = config->threads,
        .memory_bytes = config->memory_bytes,
        .file = str_from(c->config->file),
        .options = kernel_str(config->options),
        .folder = kernel_str(config->folder),
    };
    return kernel_frame_write_hello(&c->out, &hello);
}

/* Takes what the child says first. EK_OK, EK_BAD_CONFIG with the child's words, EK_FAILED. */
static enum ek_status greet(struct ek_instance *c, struct ek_error *ret_error)
{
    struct kernel_frame frame;
    struct kernel_ready ready;
    enum status st = next_frame(c, now_ms() + c->config->load_ms, -1, &frame);
    if (st == ST_OK && frame.type == KERNEL_FRAME_REFUSED) {
        (void)kernel_fail(ret_error, EK_BAD_CONFIG, "%.*s", STR_ARG(frame.payload));
        bury(c, "refused to start");
        return EK_BAD_CONFIG;
    }
    if (st == ST_OK && (frame.type != KERNEL_FRAME_READY ||
                        kernel_frame_read_ready(frame.payload, &ready) != ST_OK ||
                        ready.version != KERNEL_FRAME_VERSION)) {
        st = ST_INVALID;
    }
    if (st != ST_OK) {
        give_up(c, st, "was not ready in time");
        return EK_FAILED;
    }
    c->was_ready = true;
    *c->config->ret_capabilities = ready.capabilities;
    return EK_OK;
}

static enum ek_status start(struct ek_instance *c, struct ek_error *ret_error)
{
    enum status st = spawn(c);
    if (st == ST_OK) {
        st = write_hello(c);
    }
    if (st != ST_OK) {
        char why[SPAWN_WHY_BYTES];
        (void)snprintf(why, sizeof why, "%s", st == ST_IO ? c->why : "there was no memory for it");
        bury(c, why);
        return EK_FAILED;
    }
    return greet(c, ret_error);
}

/* ---- the kernel interface ---- */

static const struct ek_info *info(void)
{
    static const struct ek_info facts = {
        .size = sizeof facts,
        .capabilities = EK_CAP_GENERATE,
        .name = STR_INIT("kernel-host"),
        .version = STR_INIT("1"),
        .license = STR_INIT("Apache-2.0"),
    };
    return &facts;
}

static void destroy(struct ek_instance *c)
{
    int status = 0;
    close_fd(&c->socket); /* the child ends when it sees that */
    if (c->process.pid > 0 && !await_end(c, LEAVE_MS, &status)) {
        spawn_signal(&c->process, SIGKILL);
        (void)await_end(c, END_MS, &status);
    }
    (void)leave_cage(c);
    close_fd(&c->output);
    buf_fini(&c->in);
    buf_fini(&c->out);
    mem_free(c);
}

static enum ek_status create(const struct ek_config *config, struct ek_instance **ret_instance,
                             struct ek_error *ret_error)
{
    struct ek_instance *c = mem_zalloc(1, sizeof *c);
    if (c == NULL) {
        return kernel_fail(ret_error, EK_NO_MEMORY, "no memory for a kernel");
    }
    c->config = (const struct kernel_child_config *)config; /* asserted above */
    c->socket = -1;
    c->output = -1;
    buf_init(&c->in, KERNEL_FRAME_TO_GATEWAY_MAX + 4UL * READ_BYTES);
    buf_init(&c->out, KERNEL_FRAME_TO_HOST_MAX);
    if (start(c, ret_error) == EK_BAD_CONFIG) {
        destroy(c);
        return EK_BAD_CONFIG;
    }
    *ret_instance = c;
    return EK_OK;
}

static enum ek_status self_test(struct ek_instance *c, struct ek_error *ret_error)
{
    return c->process.pid > 0 ? EK_OK
                              : kernel_fail(ret_error, EK_FAILED, "kernel-host: %s", c->why);
}

/* No answer, because there is no child: the words of kernel_child.h's promise. */
static enum ek_status is_away(const struct ek_instance *c, struct ek_error *ret_error)
{
    int64_t wait = c->next_start_ms - now_ms();
    wait = wait > 0 ? wait : 0;
    ret_error->retry_after_s = (wait + 999) / 1000;
    return kernel_fail(ret_error, EK_BUSY, "kernel-host: %s; next start in %" PRId64 " ms", c->why,
                       wait);
}

/* Makes sure that there is a child. One that died between requests is noticed here. */
static enum ek_status stand_up(struct ek_instance *c, struct ek_error *ret_error)
{
    struct pollfd fd = {.fd = c->socket, .events = POLLIN};
    if (c->process.pid > 0 && poll(&fd, 1, 0) > 0) { /* it has nothing to say now */
        bury(c, (fd.revents & POLLHUP) != 0 ? NULL : "spoke without being asked");
    }
    if (c->process.pid == 0 && now_ms() < c->next_start_ms) {
        return is_away(c, ret_error);
    }
    if (c->process.pid == 0 && start(c, ret_error) != EK_OK) {
        return is_away(c, ret_error);
    }
    return EK_OK;
}

/* Tells the child to stop and waits until it has. */
static void stop_call(struct ek_instance *c)
{
    struct kernel_frame frame = {.type = KERNEL_FRAME_PIECE};
    int64_t until = now_ms() + KERNEL_CHILD_GRACE_MS;
    enum status st = kernel_frame_write(&c->out, KERNEL_FRAME_CANCEL, c->call, STR(""));
    while (st == ST_OK && frame.type != KERNEL_FRAME_DONE) {
        st = next_frame(c, until, -1, &frame);
        bool is_answer = frame.type == KERNEL_FRAME_PIECE || frame.type == KERNEL_FRAME_VECTOR ||
                         frame.type == KERNEL_FRAME_DONE;
        if (st == ST_OK && !is_answer) {
            st = ST_INVALID;
        }
    }
    if (st != ST_OK) {
        give_up(c, st, "did not stop when told to");
    }
}

/* EK_OK: the child has said how it went. */
static enum ek_status end_call(struct ek_instance *c, enum status st, struct ek_error *ret_error)
{
    if (st == ST_NOT_FOUND) {
        stop_call(c);
        return EK_CANCELLED;
    }
    if (st != ST_OK) {
        give_up(c, st, "was too slow");
        return is_away(c, ret_error);
    }
    c->failures = 0;
    return EK_OK;
}

/* Passes pieces on until the call is done. */
static enum status relay(struct ek_instance *c, const struct kernel_request *request,
                         const struct ek_sink *sink, struct kernel_done *ret_done)
{
    for (;;) {
        struct kernel_frame frame;
        enum status st = next_frame(c, INT64_MAX, request->cancel_fd, &frame);
        if (st != ST_OK) {
            return st;
        }
        if (frame.call == c->call && frame.type == KERNEL_FRAME_DONE) {
            return kernel_frame_read_done(frame.payload, ret_done);
        }
        if (frame.call != c->call || frame.type != KERNEL_FRAME_PIECE) {
            return ST_INVALID;
        }
        if (kernel_say(sink, frame.payload) != EK_OK) {
            return ST_NOT_FOUND;
        }
    }
}

static enum ek_status generate(struct ek_instance *c, const struct ek_request *ek,
                               const struct ek_sink *sink, struct ek_result *ret_result,
                               struct ek_error *ret_error)
{
    const struct kernel_request *request = (const struct kernel_request *)ek;
    struct kernel_done done;
    enum ek_status status = stand_up(c, ret_error);
    if (status != EK_OK) {
        return status;
    }
    c->call++;
    if (kernel_frame_write_request(&c->out, c->call, ek) != ST_OK) {
        bury(c, "there was no memory for a request"); /* half a frame may be in `out` */
        return kernel_fail(ret_error, EK_NO_MEMORY, "kernel-host: no memory for the request");
    }
    status = end_call(c, relay(c, request, sink, &done), ret_error);
    if (status != EK_OK) {
        return status;
    }
    *ret_result = done.result;
    *ret_error = done.error;
    return done.status;
}

/* Takes the numbers, if any come, and the end of the call. */
static enum status take_vector(struct ek_instance *c, struct kernel_vectors *vectors,
                               struct kernel_done *ret_done)
{
    struct ek_vectors *v = &vectors->ek;
    for (;;) {
        struct kernel_frame frame;
        enum status st = next_frame(c, INT64_MAX, vectors->cancel_fd, &frame);
        if (st != ST_OK) {
            return st;
        }
        bool is_ours = frame.call == c->call;
        if (is_ours && frame.type == KERNEL_FRAME_DONE) {
            st = kernel_frame_read_done(frame.payload, ret_done);
            bool is_empty = st == ST_OK && ret_done->status == EK_OK && v->width == 0;
            return is_empty ? ST_INVALID : st;
        }
        if (!is_ours || frame.type != KERNEL_FRAME_VECTOR || v->width > 0) {
            return ST_INVALID;
        }
        st = kernel_frame_read_vector(frame.payload, v->values, v->capacity, &v->width);
        if (st != ST_OK) {
            return st;
        }
    }
}

static enum ek_status embed(struct ek_instance *c, const struct ek_text *texts, size_t count,
                            struct ek_vectors *ret_vectors, struct ek_error *ret_error)
{
    struct kernel_vectors *vectors = (struct kernel_vectors *)ret_vectors;
    const struct kernel_asked asked = {kernel_str(texts[0]), ret_vectors->dimensions,
                                       ret_vectors->deadline_ns};
    struct kernel_done done;
    ASSERT(count == 1);
    enum ek_status status = stand_up(c, ret_error);
    if (status != EK_OK) {
        return status;
    }
    c->call++;
    if (kernel_frame_write_asked(&c->out, c->call, &asked) != ST_OK) {
        bury(c, "there was no memory for a text"); /* half a frame may be in `out` */
        return kernel_fail(ret_error, EK_NO_MEMORY, "kernel-host: no memory for the text");
    }
    status = end_call(c, take_vector(c, vectors, &done), ret_error);
    if (status != EK_OK) {
        return status;
    }
    ret_vectors->tokens = done.result.prompt_tokens;
    *ret_error = done.error;
    return done.status;
}

const struct ek_kernel kernel_child_abi = {
    .size = sizeof kernel_child_abi,
    .abi_major = EK_ABI_MAJOR,
    .abi_minor = EK_ABI_MINOR,
    .info = info,
    .create = create,
    .destroy = destroy,
    .generate = generate,
    .embed = embed,
    .self_test = self_test,
};
