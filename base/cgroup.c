/* See cgroup.h. The kernel's files are written whole, with one write each, and never made: a name that
 * is not there is a controller that is not. */
#include "base/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    TEXT_BYTES = 4096,
    CPU_PERIOD_US = 100000, /* the kernel's default */
    KILL_ROUNDS = 8,   /* without cgroup.kill: a process may start another while it is looked for */
    LONE_WAIT_MS = 20, /* where an end cannot be waited for by its event */
};

/* ---------------------------------------------------------------- where we are */

/* The next word of a line with one blank between words. */
static struct str word(struct str *rest)
{
    struct str head = STR("");
    struct str tail = STR("");
    (void)str_split(*rest, ' ', &head, &tail); /* false: the line is over, and so is the word */
    *rest = tail;
    return head;
}

/* "ID PARENT DEVICE ROOT MOUNTED_AT OPTIONS [FIELD ...] - TYPE SOURCE OPTIONS", proc(5). */
static bool read_mount(struct str line, struct str *ret_root, struct str *ret_place)
{
    for (int i = 0; i < 3; i++) {
        (void)word(&line);
    }
    *ret_root = word(&line);
    *ret_place = word(&line);
    size_t dash = str_find(line, STR(" - "));
    struct str type = str_slice(line, dash, line.len);
    bool is_plain = str_find_char(*ret_place, '\\') == ret_place->len; /* no blank, no line end */
    return is_plain && str_starts_with(type, STR(" - cgroup2 "));
}

/* The path of "0::PATH", the line of version 2. */
static bool find_path(struct str groups, struct str *ret_path)
{
    struct str line;
    while (str_split(groups, '\n', &line, &groups)) {
        if (str_starts_with(line, STR("0::/"))) {
            *ret_path = str_slice(line, 3, line.len);
            return true;
        }
    }
    return false;
}

enum status cgroup_own_folder(struct str mountinfo, struct str groups,
                              char ret_folder[CGROUP_PATH_BYTES])
{
    struct str path;
    struct str line;
    if (!find_path(groups, &path)) {
        return ST_NOT_FOUND;
    }
    while (str_split(mountinfo, '\n', &line, &mountinfo)) {
        struct str root;
        struct str place;
        if (!read_mount(line, &root, &place)) {
            continue;
        }
        /* What is mounted may be a part of the tree only: what lies above it is not seen. */
        size_t skip = str_eq(root, STR("/")) ? 0 : root.len;
        struct str below = str_slice(path, skip, path.len);
        if (!str_starts_with(path, root) || (below.len > 0 && below.ptr[0] != '/')) {
            continue;
        }
        below = str_eq(below, STR("/")) ? STR("") : below;
        int len =
            snprintf(ret_folder, CGROUP_PATH_BYTES, "%.*s%.*s", STR_ARG(place), STR_ARG(below));
        return len < CGROUP_PATH_BYTES ? ST_OK : ST_TOO_BIG;
    }
    return ST_NOT_FOUND;
}

/* ---------------------------------------------------------------- what to write */

static const char *const names[] = {"memory", "cpu", "pids"}; /* in the order of the bits */

unsigned cgroup_controllers(struct str list)
{
    unsigned bits = 0;
    struct str one;
    list = str_trim(list);
    while (str_split(list, ' ', &one, &list)) {
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            bits |= str_eq(one, str_from(names[i])) ? 1U << i : 0;
        }
    }
    return bits;
}

unsigned cgroup_needs(const struct cgroup_limits *limits)
{
    bool has_cpu = limits->cpus > 0 || limits->weight > 0;
    return (limits->memory_bytes > 0 ? (unsigned)CGROUP_MEMORY : 0) |
           (has_cpu ? (unsigned)CGROUP_CPU : 0) | (limits->pids > 0 ? (unsigned)CGROUP_PIDS : 0);
}

const char *cgroup_words(unsigned controllers)
{
    static const char *const words[] = {
        "nothing", "memory",       "cpus",       "memory, cpus",
        "pids",    "memory, pids", "cpus, pids", "memory, cpus, pids"};
    return words[controllers & CGROUP_ALL];
}

size_t cgroup_plan(const struct cgroup_limits *limits, unsigned controllers,
                   struct cgroup_write ret_writes[CGROUP_WRITES_MAX])
{
    size_t count = 0;
    unsigned does = cgroup_needs(limits) & controllers;
    if ((does & CGROUP_MEMORY) != 0) {
        struct cgroup_write *w = &ret_writes[count++];
        *w = (struct cgroup_write){.file = "memory.max"};
        (void)snprintf(w->value, sizeof w->value, "%" PRId64, limits->memory_bytes);
        /* All of it goes, not some thread pool of it; and it goes, rather than being swapped out. */
        ret_writes[count++] = (struct cgroup_write){"memory.oom.group", "1", true};
        ret_writes[count++] = (struct cgroup_write){"memory.swap.max", "0", true};
    }
    if ((does & CGROUP_CPU) != 0 && limits->cpus > 0) {
        struct cgroup_write *w = &ret_writes[count++];
        *w = (struct cgroup_write){.file = "cpu.max"};
        (void)snprintf(w->value, sizeof w->value, "%.0f %d", limits->cpus * CPU_PERIOD_US,
                       CPU_PERIOD_US);
    }
    if ((does & CGROUP_CPU) != 0 && limits->weight > 0) {
        struct cgroup_write *w = &ret_writes[count++];
        *w = (struct cgroup_write){.file = "cpu.weight"};
        (void)snprintf(w->value, sizeof w->value, "%" PRId64, limits->weight);
    }
    if ((does & CGROUP_PIDS) != 0) {
        struct cgroup_write *w = &ret_writes[count++];
        *w = (struct cgroup_write){.file = "pids.max"};
        (void)snprintf(w->value, sizeof w->value, "%" PRId64, limits->pids);
    }
    return count;
}

/* ---------------------------------------------------------------- files */

/* -1 with errno where the name is too long, too. */
static int open_file(const char *folder, const char *file, int flags)
{
    char path[CGROUP_PATH_BYTES + 64];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, file) >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, flags | O_CLOEXEC);
}

enum status cgroup_set(const char *folder, const char *file, const char *value)
{
    int fd = open_file(folder, file, O_WRONLY);
    if (fd < 0) {
        return ST_IO;
    }
    ssize_t n = write(fd, value, strlen(value));
    int error = errno;
    (void)close(fd); /* the write has told */
    errno = error;
    return n == (ssize_t)strlen(value) ? ST_OK : ST_IO;
}

enum status cgroup_apply(const char *folder, const struct cgroup_write *writes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (cgroup_set(folder, writes[i].file, writes[i].value) != ST_OK &&
            !(writes[i].is_optional && errno == ENOENT)) {
            return ST_IO;
        }
    }
    return ST_OK;
}

enum status cgroup_read(const char *folder, const char *file, char *text, size_t size)
{
    int fd = open_file(folder, file, O_RDONLY);
    if (fd < 0) {
        return ST_IO;
    }
    size_t len = 0;
    ssize_t n = 1;
    while (n > 0 && len < size - 1) {
        n = read(fd, text + len, size - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    text[len] = '\0';
    (void)close(fd); /* nothing was written */
    return n < 0 ? ST_IO : ST_OK;
}

bool cgroup_is_only(const char *folder, pid_t pid)
{
    char text[TEXT_BYTES];
    if (cgroup_read(folder, "cgroup.procs", text, sizeof text) != ST_OK) {
        return false;
    }
    struct str rest = str_from(text);
    struct str line;
    while (str_split(rest, '\n', &line, &rest)) {
        int64_t number = 0;
        if (str_to_int(line, &number) != ST_OK || number != pid) {
            return false;
        }
    }
    return true;
}

/* The number behind "NAME " in a file of such lines; 0: there is none. */
static int64_t get(const char *folder, const char *file, struct str name)
{
    char text[TEXT_BYTES];
    if (cgroup_read(folder, file, text, sizeof text) != ST_OK) {
        return 0;
    }
    struct str rest = str_from(text);
    struct str line;
    while (str_split(rest, '\n', &line, &rest)) {
        struct str head;
        struct str number;
        int64_t value = 0;
        if (str_split(line, ' ', &head, &number) && str_eq(head, name) &&
            str_to_int(number, &value) == ST_OK) {
            return value;
        }
    }
    return 0;
}

bool cgroup_is_populated(const char *folder)
{
    return get(folder, "cgroup.events", STR("populated")) != 0;
}

int64_t cgroup_oom_kills(const char *folder)
{
    return get(folder, "memory.events", STR("oom_kill"));
}

/* ---------------------------------------------------------------- ends */

/* Before Linux 5.14. Groups below are not looked into: nobody but the kernel's administrators made any. */
static void kill_one_by_one(const char *folder)
{
    for (int round = 0; round < KILL_ROUNDS; round++) {
        char text[TEXT_BYTES];
        struct str line;
        bool has_any = false;
        if (cgroup_read(folder, "cgroup.procs", text, sizeof text) != ST_OK) {
            return;
        }
        struct str rest = str_from(text);
        while (str_split(rest, '\n', &line, &rest)) {
            int64_t pid = 0;
            if (str_to_int(line, &pid) == ST_OK && pid > 1 && pid != getpid()) {
                has_any = kill((pid_t)pid, SIGKILL) == 0 || has_any;
            }
        }
        if (!has_any) {
            return;
        }
    }
}

void cgroup_kill(const char *folder)
{
    if (cgroup_set(folder, "cgroup.kill", "1") != ST_OK && errno == ENOENT) {
        kill_one_by_one(folder);
    }
}

static bool is_named(const struct dirent *e, const char *prefix, const char *but)
{
    return strncmp(e->d_name, prefix, strlen(prefix)) == 0 && strcmp(e->d_name, but) != 0;
}

/* Waits until the group is empty, at most until then. */
static void await_empty(const char *folder, int64_t until_ms)
{
    while (cgroup_is_populated(folder) && clock_now_ms(clock_system()) < until_ms) {
        (void)poll(NULL, 0, LONE_WAIT_MS);
    }
}

size_t cgroup_sweep(const char *folder, const char *prefix, const char *but, int64_t wait_ms)
{
    int64_t until_ms = clock_now_ms(clock_system()) + wait_ms;
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) { /* all are killed before the first is waited for */
        DIR *groups = opendir(folder);
        if (groups == NULL) {
            return 0;
        }
        /* The stream is this call's alone. NOLINTNEXTLINE(concurrency-mt-unsafe) */
        for (struct dirent *e = readdir(groups); e != NULL; e = readdir(groups)) {
            char path[CGROUP_PATH_BYTES];
            if (!is_named(e, prefix, but) ||
                (size_t)snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= sizeof path) {
                continue;
            }
            if (pass == 0) {
                cgroup_kill(path);
                count++;
            } else {
                await_empty(path, until_ms);
                (void)rmdir(path); /* what cannot die stays, and is found by the next sweep */
            }
        }
        (void)closedir(groups);
    }
    return count;
}
