/* The life of one child, on the set's thread. Its end is seen through its pidfd; its output is always
 * read, so that it never blocks, and the last of it is kept. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/expert.h"
#include "backends/managed_private.h"
#include "base/container.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    KNOCK_FIRST_MS = 20,
    KNOCK_MOST_MS = 500,
    KNOCK_TIMEOUT_MS = 2000,
    SUSPICIONS = 2, /* knocks without an answer before it counts as hung */
    PORT_TRIES = 3,
    OUTPUT_BYTES = 8 * 1024, /* read at once: others get their turn in between */
    LOG_MODE = 0640,
    HEALTH_SHOWN_BYTES = 80,
    LINGER_MS = 2000, /* what a child had started, and was killed, has for its end */
};

static void knock(struct managed *m);

bool managed_child_is_running(const struct managed *m)
{
    return m->child.pid != 0;
}

bool managed_child_is_over(const struct managed *m)
{
    return m->child.pid == 0 && !m->lingers;
}

static void set_reason(struct managed *m, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void set_reason(struct managed *m, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    managed_lock(m->set);
    (void)vsnprintf(m->reason, sizeof m->reason, format, args);
    managed_unlock(m->set);
    va_end(args);
}

/* What it should have become has failed: all that wait are told. */
static void fail(struct managed *m)
{
    managed_lock(m->set);
    int64_t now_ms = managed_now_ms(m->set);
    resident_enter(&m->resident, RESIDENCY_FAILED, now_ms);
    m->failures++;
    managed_waste(m);
    /* What a decision wished for is tried again by those who wait; nobody need ask for what is to be there
     * from the start. */
    m->resident.is_wished = m->resident.is_wished && m->spec.preload;
    int64_t pause_ms = m->resident.retry_ms - now_ms;
    managed_tell_all(m, MANAGED_FAILED);
    managed_unlock(m->set);
    log_write(LOG_WARN, "managed", "expert %.*s failed: %s; next try in %d ms at the earliest",
              STR_ARG(m->name), m->reason, (int)pause_ms);
}

/* Under the lock, because pages show the pid; only this thread writes it. */
static void set_child(struct managed *m, struct spawn_child child)
{
    managed_lock(m->set);
    m->child = child;
    managed_unlock(m->set);
}

/* ---------------------------------------------------------------- output */

static void keep_output(struct managed *m, struct str bytes)
{
    managed_lock(m->set);
    for (size_t i = 0; i < bytes.len; i++) {
        m->log[m->log_len++ % MANAGED_LOG_BYTES] = bytes.ptr[i];
    }
    managed_unlock(m->set);
    if (m->log_fd >= 0 && write(m->log_fd, bytes.ptr, bytes.len) < 0 && errno != EAGAIN) {
        char text[64] = "";
        log_write(LOG_WARN, "managed", "expert %.*s: its log \"%s\" cannot be written any more: %s",
                  STR_ARG(m->name), m->spec.log.ptr, strerror_r(errno, text, sizeof text));
        (void)close(m->log_fd);
        m->log_fd = -1;
    }
}

static void close_output(struct managed *m)
{
    if (m->has_output) {
        m->has_output = false;
        loop_remove(m->set->loop, &m->output_io);
        (void)close(m->output_io.fd);
    }
}

static void on_output(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct managed *m = CONTAINER_OF(io, struct managed, output_io);
    char bytes[OUTPUT_BYTES];
    ssize_t n = read(io->fd, bytes, sizeof bytes);
    if (n > 0) {
        keep_output(m, (struct str){bytes, (size_t)n});
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_output(m);
    }
}

/* The last line that says something, for a reason. */
static void last_words(struct managed *m, char *text, size_t size)
{
    struct str line = STR("");
    char copy[MANAGED_LOG_BYTES];
    size_t kept = m->log_len < MANAGED_LOG_BYTES ? m->log_len : MANAGED_LOG_BYTES;
    for (size_t i = 0; i < kept; i++) {
        copy[i] = m->log[(m->log_len - kept + i) % MANAGED_LOG_BYTES];
    }
    struct str rest = {copy, kept};
    struct str one;
    while (str_split(rest, '\n', &one, &rest)) {
        line = str_trim(one).len > 0 ? str_trim(one) : line;
    }
    line = str_slice(line, 0, size - 1);
    memcpy(text, line.len > 0 ? line.ptr : "", line.len);
    text[line.len] = '\0';
}

/* ---------------------------------------------------------------- end */

/* Another program has taken the port between our look and the child's bind. */
static bool has_lost_port(const struct managed *m)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)m->place.port)};
    const int one = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = m->place.port == 0 ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool is_lost = bind(fd, (const struct sockaddr *)&a, sizeof a) != 0 && errno == EADDRINUSE;
    (void)close(fd);
    return is_lost;
}

static void forget_child(struct managed *m)
{
    struct loop *loop = m->set->loop;
    loop_timer_cancel(loop, &m->deadline);
    loop_timer_cancel(loop, &m->next_knock);
    knock_cancel(&m->knock);
    if (m->place.socket[0] != '\0') {
        (void)unlink(m->place.socket); /* most leave it behind */
    }
}

/* What was written before the end is worth keeping: a reason may be in it. */
static void drain_output(struct managed *m)
{
    for (int i = 0; i < 8 && m->has_output; i++) {
        char bytes[OUTPUT_BYTES];
        ssize_t n = read(m->output_io.fd, bytes, sizeof bytes);
        if (n <= 0) {
            break;
        }
        keep_output(m, (struct str){bytes, (size_t)n});
    }
    close_output(m);
}

static void judge_end(struct managed *m, int status)
{
    char end[SPAWN_WHY_BYTES];
    char words[120];
    bool was_starting = m->resident.state == RESIDENCY_STARTING;
    if (m->is_short) {
        (void)snprintf(end, sizeof end, "killed: memory limit of %" PRId64 " MiB",
                       m->spec.limits.memory_bytes >> 20);
    } else {
        spawn_describe(status, end);
    }
    last_words(m, words, sizeof words);
    if (m->resident.state == RESIDENCY_STOPPING && !m->fails) {
        managed_lock(m->set);
        resident_enter(&m->resident, RESIDENCY_COLD, managed_now_ms(m->set));
        managed_unlock(m->set);
        log_write(LOG_INFO, "managed", "expert %.*s: cold (%s)", STR_ARG(m->name), end);
        return;
    }
    if (was_starting && has_lost_port(m) && ++m->port_tries < PORT_TRIES) {
        log_write(LOG_INFO, "managed", "expert %.*s: port %u was taken, another is tried",
                  STR_ARG(m->name), m->place.port);
        managed_child_start(m);
        return;
    }
    if (!m->fails) {
        set_reason(m, "%s %s%s%s", was_starting ? "ended while it was loading:" : "ended:", end,
                   words[0] == '\0' ? "" : "; its last words: ", words);
    }
    fail(m);
}

/* Nothing of it is left, or what is left cannot die. */
static void conclude(struct managed *m)
{
    if (m->lingers) {
        m->lingers = false;
        loop_remove(m->set->loop, &m->cage_io);
        loop_timer_cancel(m->set->loop, &m->deadline);
    }
    m->is_short = cage_was_short(&m->cage);
    cage_close(&m->cage);
    drain_output(m);
    judge_end(m, m->end_status);
    managed_settle(m->set);
}

static void on_cage(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct managed *m = CONTAINER_OF(io, struct managed, cage_io);
    if (cage_is_empty(&m->cage)) {
        conclude(m);
    }
}

static void on_linger_over(struct loop_timer *timer)
{
    struct managed *m = CONTAINER_OF(timer, struct managed, deadline);
    log_write(LOG_WARN, "managed", "expert %.*s: what it had started was killed and does not end",
              STR_ARG(m->name));
    conclude(m);
}

/* The child has ended: so must all that it had started, wherever that has gone. Its memory is free, and
 * its place may be taken, when that has happened. */
static void end_others(struct managed *m)
{
    struct loop *loop = m->set->loop;
    cage_kill(&m->cage);
    m->cage_io = (struct loop_io){m->cage.events, on_cage};
    m->lingers = !cage_is_empty(&m->cage) && loop_add(loop, &m->cage_io, EPOLLPRI) == ST_OK;
    m->deadline.on_due = on_linger_over;
    if (m->lingers && loop_timer_set(loop, &m->deadline, loop_now_ms(loop) + LINGER_MS) != ST_OK) {
        log_write(LOG_ERROR, "managed", "no memory for a timer"); /* it waits for the end, then */
    }
    if (!m->lingers) {
        conclude(m);
    }
}

static void on_end(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct managed *m = CONTAINER_OF(io, struct managed, child_io);
    struct loop_io watched = m->child_io;
    struct spawn_child child = m->child;
    loop_remove(m->set->loop, &m->child_io);
    if (!spawn_reap(&child, &m->end_status)) { /* not yet, after all */
        m->child_io = watched;
        if (loop_add(m->set->loop, &m->child_io, EPOLLIN) != ST_OK) {
            log_write(LOG_ERROR, "managed", "expert %.*s cannot be watched", STR_ARG(m->name));
        }
        return;
    }
    set_child(m, child);
    forget_child(m);
    end_others(m);
}

/* All of it. */
static void kill_child(struct managed *m)
{
    spawn_signal(&m->child, SIGKILL);
    cage_kill(&m->cage);
}

static void on_grace_over(struct loop_timer *timer)
{
    struct managed *m = CONTAINER_OF(timer, struct managed, deadline);
    if (managed_child_is_running(m)) {
        log_write(LOG_WARN, "managed", "expert %.*s does not end: killed", STR_ARG(m->name));
        kill_child(m);
    }
}

void managed_child_stop(struct managed *m)
{
    if (!managed_child_is_running(m)) {
        return;
    }
    struct loop *loop = m->set->loop;
    managed_lock(m->set);
    int64_t grace_ms = m->spec.stop_ms;
    managed_unlock(m->set);
    knock_cancel(&m->knock);
    loop_timer_cancel(loop, &m->next_knock);
    spawn_signal(&m->child, SIGTERM);
    m->deadline.on_due = on_grace_over;
    if (loop_timer_set(loop, &m->deadline, loop_now_ms(loop) + grace_ms) != ST_OK) {
        kill_child(m);
    }
}

/* It must go, and that is a failure. */
static void stop_as_failed(struct managed *m)
{
    managed_lock(m->set);
    resident_enter(&m->resident, RESIDENCY_STOPPING, managed_now_ms(m->set));
    m->fails = true;
    managed_unlock(m->set);
    managed_child_stop(m);
}

/* ---------------------------------------------------------------- health */

static void become_ready(struct managed *m)
{
    managed_lock(m->set);
    resident_enter(&m->resident, RESIDENCY_READY, managed_now_ms(m->set));
    int64_t load_ms = m->resident.load_ms;
    managed_tell_all(m, MANAGED_READY);
    managed_unlock(m->set);
    loop_timer_cancel(m->set->loop, &m->deadline);
    m->port_tries = 0;
    log_write(LOG_INFO, "managed", "expert %.*s: ready, loads take %d ms", STR_ARG(m->name),
              (int)load_ms);
    managed_settle(m->set);
}

static void knock_later(struct managed *m)
{
    struct loop *loop = m->set->loop;
    int64_t due_ms = loop_now_ms(loop) + m->knock_pause_ms;
    m->knock_pause_ms = m->knock_pause_ms * 3 / 2 + 1;
    m->knock_pause_ms = m->knock_pause_ms < KNOCK_MOST_MS ? m->knock_pause_ms : KNOCK_MOST_MS;
    if (loop_timer_set(loop, &m->next_knock, due_ms) != ST_OK) {
        log_write(LOG_ERROR, "managed", "no memory for a timer"); /* the start deadline ends it */
    }
}

/* A suspect that answers at all is well: what a model makes of its load is its own business. */
static void judge_suspect(struct managed *m, int http_status)
{
    if (http_status != 0) {
        m->suspicions = 0;
        return;
    }
    m->suspicions++;
    if (m->suspicions < SUSPICIONS) {
        knock_later(m);
        return;
    }
    set_reason(m, "hung: its health check is not answered");
    stop_as_failed(m);
}

static void judge_knock(struct managed *m, int http_status)
{
    m->health_status = http_status;
    if (m->resident.state == RESIDENCY_READY) {
        judge_suspect(m, http_status);
    } else if (m->resident.state == RESIDENCY_STARTING) {
        if (http_status >= 200 && http_status < 300) {
            become_ready(m);
        } else {
            knock_later(m);
        }
    }
}

static void on_knocked(struct knock *k, int http_status)
{
    judge_knock(CONTAINER_OF(k, struct managed, knock), http_status);
}

static void knock(struct managed *m)
{
    const struct knock_at at = {m->place.port, m->place.socket, m->spec.health, KNOCK_TIMEOUT_MS};
    m->knock.done = on_knocked;
    if (!m->knock.is_out && knock_start(&m->knock, m->set->loop, &at) != ST_OK) {
        judge_knock(m, 0);
    }
}

static void on_knock_due(struct loop_timer *timer)
{
    knock(CONTAINER_OF(timer, struct managed, next_knock));
}

void managed_child_suspect(struct managed *m)
{
    if (m->suspicions == 0 && !m->knock.is_out && managed_child_is_running(m)) {
        m->knock_pause_ms = KNOCK_FIRST_MS;
        knock(m);
    }
}

static void on_start_late(struct loop_timer *timer)
{
    struct managed *m = CONTAINER_OF(timer, struct managed, deadline);
    char said[32] = "no answer in HTTP";
    if (m->health_status != 0) {
        (void)snprintf(said, sizeof said, "status %d", m->health_status);
    }
    set_reason(m, "not healthy in time (start_ms): the last GET %.*s brought %s",
               STR_ARG(str_slice(m->spec.health, 0, HEALTH_SHOWN_BYTES)), said);
    stop_as_failed(m);
}

/* ---------------------------------------------------------------- start */

/* A port that was free a moment ago. 0: none. */
static unsigned free_port(void)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
    } a = {.v4 = {.sin_family = AF_INET}};

    socklen_t len = sizeof a.v4;
    a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_bound = fd >= 0 && bind(fd, &a.any, len) == 0 && getsockname(fd, &a.any, &len) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_bound ? ntohs(a.v4.sin_port) : 0;
}

/* Whether another that is loaded, or loads and does not listen yet, has it: the first to listen would answer
 * for both, knocks too. */
static bool is_promised(const struct managed *m, unsigned port)
{
    bool is_found = false;
    managed_lock(m->set);
    for (const struct managed *other = m->set->list; other != NULL; other = other->next) {
        is_found = is_found || (other != m && other->place.port == port &&
                                resident_is_loaded(&other->resident));
    }
    managed_unlock(m->set);
    return is_found;
}

/* A folder that only we may enter. */
static bool make_folder(struct managed_set *set)
{
    static const char template[] = "/tmp/expertd-XXXXXX";
    if (set->folder[0] == '\0') {
        memcpy(set->folder, template, sizeof template);
        if (mkdtemp(set->folder) == NULL) {
            set->folder[0] = '\0';
        }
    }
    return set->folder[0] != '\0';
}

/* Where it will listen; its url and serial are new, so that no connection to an earlier one is used. */
static bool choose_place(struct managed *m)
{
    struct process_place place = {0, ""};
    bool is_socket = process_spec_uses_socket(&m->spec);
    uint64_t serial = expert_serial();
    if (is_socket && make_folder(m->set)) {
        (void)snprintf(place.socket, sizeof place.socket, "%s/%llu", m->set->folder,
                       (unsigned long long)serial);
    } else if (!is_socket) {
        int tries = 0;
        do {
            place.port = free_port();
        } while (place.port != 0 && is_promised(m, place.port) && ++tries < PORT_TRIES);
    }
    managed_lock(m->set);
    m->place = place;
    m->serial = serial;
    int len = is_socket
                  ? snprintf(m->url, sizeof m->url, "http://localhost%.*s", STR_ARG(m->spec.path))
                  : snprintf(m->url, sizeof m->url, "http://127.0.0.1:%u%.*s", place.port,
                             STR_ARG(m->spec.path));
    managed_unlock(m->set);
    return (place.port != 0 || place.socket[0] != '\0') && (size_t)len < sizeof m->url;
}

/* The reading end is watched; the child gets the writing one. -1: none. */
static int open_output(struct managed *m)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK); /* only ours: the child's end blocks as any would */
    m->output_io = (struct loop_io){ends[0], on_output};
    m->has_output = loop_add(m->set->loop, &m->output_io, EPOLLIN) == ST_OK;
    if (!m->has_output) {
        (void)close(ends[0]);
        (void)close(ends[1]);
        return -1;
    }
    if (m->spec.log.len > 0 && m->log_fd < 0) {
        char text[64] = "";
        /* A pipe that nobody reads must hold up neither the open nor a write. */
        m->log_fd =
            open(m->spec.log.ptr, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                 LOG_MODE);
        if (m->log_fd < 0) {
            log_write(LOG_WARN, "managed", "expert %.*s: cannot open its log \"%s\": %s",
                      STR_ARG(m->name), m->spec.log.ptr, strerror_r(errno, text, sizeof text));
        }
    }
    return ends[1];
}

/* One that does without runs on: the limits, if it has any, do not hold. False: it must not. */
static bool open_cage(struct managed *m, char why[SPAWN_WHY_BYTES])
{
    struct cgroup_limits limits = process_spec_limits(&m->spec);
    char text[64] = "";
    if (cage_open(m->name, &limits, &m->cage)) {
        return true;
    }
    const char *error = strerror_r(errno, text, sizeof text);
    if (m->spec.limits.required) {
        (void)snprintf(why, SPAWN_WHY_BYTES, "no control group for it: %s", error);
        return false;
    }
    log_write(LOG_WARN, "managed", "expert %.*s: no control group: %s; its limits do not hold",
              STR_ARG(m->name), error);
    return true;
}

static enum status spawn(struct managed *m, char why[SPAWN_WHY_BYTES])
{
    struct process_command command = {NULL, NULL};
    (void)snprintf(why, SPAWN_WHY_BYTES, "no memory, descriptor or port for it");
    if (!choose_place(m) || !open_cage(m, why)) {
        return ST_IO;
    }
    enum status st = process_spec_command(&m->spec, &m->place, (int64_t)m->set->cores.count,
                                          str_from(m->set->token), &command);
    int output = st == ST_OK ? open_output(m) : -1;
    if (output >= 0) {
        struct spawn what = {
            .argv = command.argv,
            .env = command.env,
            .cwd = m->spec.cwd.len > 0 ? m->spec.cwd.ptr : NULL,
            .output_fd = output,
            .group_fd = m->cage.procs,
            .has_user = m->spec.uid >= 0,
            .uid = (uid_t)m->spec.uid,
            .gid = (gid_t)m->spec.gid,
            .nice = (int)m->spec.nice,
            .cores = m->set->cores.is_kept ? m->set->cores.count : 0,
        };
        struct spawn_child child = {0};
        st = spawn_start(&what, &child, why);
        (void)close(output);
        set_child(m, child);
    }
    mem_free(command.argv);
    if (!managed_child_is_running(m)) {
        cage_close(&m->cage);
    }
    return output < 0 && st == ST_OK ? ST_IO : st;
}

void managed_child_start(struct managed *m)
{
    struct loop *loop = m->set->loop;
    char why[SPAWN_WHY_BYTES];
    managed_lock(m->set);
    int64_t start_ms = m->spec.start_ms;
    m->fails = false;
    managed_unlock(m->set);
    m->suspicions = 0;
    m->health_status = 0;
    m->knock_pause_ms = KNOCK_FIRST_MS;
    if (spawn(m, why) != ST_OK) {
        close_output(m);
        set_reason(m, "%s", why);
        fail(m);
        return;
    }
    m->child_io = (struct loop_io){m->child.pidfd, on_end};
    m->deadline.on_due = on_start_late;
    m->next_knock.on_due = on_knock_due;
    if (loop_add(loop, &m->child_io, EPOLLIN) != ST_OK ||
        loop_timer_set(loop, &m->deadline, loop_now_ms(loop) + start_ms) != ST_OK) {
        kill_child(m); /* its end is seen, or it dies with us */
    }
    knock_later(m);
}
