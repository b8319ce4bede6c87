/* See footprint.h. */
#include "backends/footprint.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

enum {
    TEXT_BYTES = 4096,
};

/* A small file of /proc, terminated; empty where it cannot be read. */
static void read_text(const char *pid, const char *name, char text[TEXT_BYTES])
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%.20s/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, TEXT_BYTES - 1);
    if (fd >= 0) {
        (void)close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
}

/* "PID (NAME) STATE PPID PGRP ...": the name may hold anything. */
static pid_t group_of(const char *pid)
{
    char text[TEXT_BYTES];
    int group = 0;
    read_text(pid, "stat", text);
    const char *end = strrchr(text, ')');
    return end != NULL && sscanf(end, ") %*c %*d %d", &group) == 1 ? (pid_t)group : 0;
}

static int64_t size_of(const char *pid)
{
    static const char *const sources[][2] = {{"smaps_rollup", "\nPss:"}, {"status", "\nVmRSS:"}};

    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        char text[TEXT_BYTES];
        int64_t kilobytes = 0;
        read_text(pid, sources[i][0], text);
        const char *line = strstr(text, sources[i][1]);
        if (line != NULL && sscanf(line + strlen(sources[i][1]), " %" SCNd64, &kilobytes) == 1) {
            return kilobytes * 1024;
        }
    }
    return 0;
}

int64_t footprint_bytes(pid_t group)
{
    int64_t sum = 0;
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return 0;
    }
    /* The stream is this call's alone. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    for (struct dirent *e = readdir(proc); e != NULL; e = readdir(proc)) {
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && group_of(e->d_name) == group) {
            sum += size_of(e->d_name);
        }
    }
    (void)closedir(proc);
    return sum;
}
