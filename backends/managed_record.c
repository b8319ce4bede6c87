/* Children that a killed gateway left behind. Direct children die with it (base/spawn.h); what those had
 * started themselves may live on. All carry the gateway's token in their environment: 128 random bits
 * say whose a process is more surely than a pid and a start time would, of grandchildren too. The record
 * is one line: token, pid and start time of the gateway. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backends/managed_private.h"
#include "base/log.h"

enum {
    RECORD_MODE = 0600,
    ENVIRONMENT_BYTES =
        128 * 1024, /* what is looked at of one; a variable further on is not found */
    PATH_BYTES = 4096,
};

#define VARIABLE "EXPERTD_CHILD="

/* Whether the process has the token in its environment. */
static bool carries(const char *pid, struct str token)
{
    static char text[ENVIRONMENT_BYTES]; /* by the one thread that starts up */
    char path[64];
    char variable[sizeof VARIABLE + MANAGED_TOKEN_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
    (void)snprintf(variable, sizeof variable, VARIABLE "%.*s", STR_ARG(token));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    for (ssize_t n = fd < 0 ? 0 : 1; n > 0 && len < sizeof text;) {
        n = read(fd, text + len, sizeof text - len);
        len += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    struct str rest = {text, len};
    struct str one;
    while (str_split(rest, '\0', &one, &rest)) {
        if (str_eq(one, str_from(variable))) {
            return true;
        }
    }
    return false;
}

static void sweep(struct str token)
{
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return;
    }
    /* The stream is this call's alone. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    for (struct dirent *e = readdir(proc); e != NULL; e = readdir(proc)) {
        int64_t pid = 0;
        if (str_to_int(str_from(e->d_name), &pid) == ST_OK && pid > 1 && pid != getpid() &&
            carries(e->d_name, token)) {
            log_write(LOG_WARN, "managed",
                      "process %s was left behind by a gateway that was killed: "
                      "killed",
                      e->d_name);
            (void)kill((pid_t)pid, SIGKILL); /* it may just have ended */
        }
    }
    (void)closedir(proc);
}

/* False: the gateway of that record lives. */
static bool clear(const char *path)
{
    char text[256];
    char token[MANAGED_TOKEN_BYTES] = "";
    int pid = 0;
    uint64_t started = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return true;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "%32s %d %" SCNu64, token, &pid, &started) != 3 ||
        strlen(token) != MANAGED_TOKEN_BYTES - 1) {
        return true; /* half written: nothing was started after it */
    }
    if (pid != getpid() && started != 0 && spawn_start_time(pid) == started) {
        return false;
    }
    sweep(str_from(token));
    return true;
}

void managed_record_take(struct str path, struct str token)
{
    char name[PATH_BYTES];
    char fresh[PATH_BYTES];
    char line[256];
    if ((size_t)snprintf(name, sizeof name, "%.*s", STR_ARG(path)) >= sizeof name ||
        (size_t)snprintf(fresh, sizeof fresh, "%.*s.new", STR_ARG(path)) >= sizeof fresh) {
        return;
    }
    if (!clear(name)) {
        log_write(LOG_WARN, "managed",
                  "\"%s\" belongs to a gateway that runs: children of this one "
                  "are not swept after a crash",
                  name);
        return;
    }
    int len = snprintf(line, sizeof line, "%.*s %d %" PRIu64 "\n", STR_ARG(token), (int)getpid(),
                       spawn_start_time(getpid()));
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, RECORD_MODE);
    bool is_written = fd >= 0 && write(fd, line, (size_t)len) == len;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (!is_written || rename(fresh, name) != 0) {
        log_write(LOG_WARN, "managed", "cannot write \"%s\": children are not swept after a crash",
                  name);
    }
}
