/* See supervisor.h. */
#include "gateway/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum {
    FIRST_HANDED = 3,
    HANDED_MAX = 64,
};

/* The environment is only read, never written, by this program: getenv is safe here. */
static struct str variable(const char *name)
{
    return str_from(getenv(name)); /* NOLINT(concurrency-mt-unsafe) */
}

static int64_t number(const char *name)
{
    int64_t n = 0;
    return str_to_int(variable(name), &n) == ST_OK && n > 0 ? n : 0;
}

/* Variables that are for this process carry its number; for its parent they would not count. */
static bool is_for_us(const char *name)
{
    return number(name) == (int64_t)getpid();
}

/* A path, or a name behind "@". */
static int connect_to(struct str path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (path.len < 2 || path.len >= sizeof a.sun_path ||
        (path.ptr[0] != '/' && path.ptr[0] != '@')) {
        return -1;
    }
    memcpy(a.sun_path, path.ptr, path.len);
    if (a.sun_path[0] == '@') {
        a.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, len) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

void supervisor_init(struct supervisor *s)
{
    bool has_watchdog = variable("WATCHDOG_PID").len == 0 || is_for_us("WATCHDOG_PID");
    *s = (struct supervisor){.socket = connect_to(variable("NOTIFY_SOCKET")), .names = ""};
    s->watchdog_ms = has_watchdog ? number("WATCHDOG_USEC") / 1000 : 0;
    if (is_for_us("LISTEN_PID")) {
        int64_t count = number("LISTEN_FDS");
        s->handed_count = count > HANDED_MAX ? HANDED_MAX : (int)count;
        s->names = variable("LISTEN_FDNAMES").len > 0 ? variable("LISTEN_FDNAMES").ptr : "";
    }
    for (int i = 0; i < s->handed_count; i++) {
        (void)fcntl(FIRST_HANDED + i, F_SETFD, FD_CLOEXEC); /* a bad one shows when it is taken */
    }
}

void supervisor_tell(const struct supervisor *s, const char *lines)
{
    if (s->socket >= 0) {
        ssize_t sent = send(s->socket, lines, strlen(lines), MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)sent; /* a supervisor that does not read is not ours to repair */
    }
}

void supervisor_tell_reloading(const struct supervisor *s)
{
    char lines[96];
    (void)snprintf(lines, sizeof lines, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
                   clock_now_us(clock_system()));
    supervisor_tell(s, lines);
}

/* The name of a descriptor. */
static struct str name_of(const struct supervisor *s, int which)
{
    static const char *const unnamed = "clients:admin";
    struct str rest = str_from(s->names[0] == '\0' ? unnamed : s->names);
    struct str name = STR("");
    for (int i = 0; i <= which; i++) {
        if (!str_split(rest, ':', &name, &rest)) {
            return STR("");
        }
    }
    return name;
}

int supervisor_take(const struct supervisor *s, const char *name, int index)
{
    int found[HANDED_MAX];
    int count = 0;
    for (int i = 0; i < s->handed_count; i++) {
        if (str_eq(name_of(s, i), str_from(name))) {
            found[count++] = FIRST_HANDED + i;
        }
    }
    errno = ENOENT;
    return count == 0 ? -1 : fcntl(found[index % count], F_DUPFD_CLOEXEC, FIRST_HANDED);
}
