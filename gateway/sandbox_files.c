/* See sandbox_parts.h. Landlock: docs.kernel.org/userspace-api/landlock.html. Rules stand for folders
 * where a file may be replaced, since they hold for what a name means now, not for the name. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gateway/sandbox_parts.h"

enum {
    VERSION_REFER = 2,
    VERSION_TRUNCATE = 3,
    VERSION_SCOPE = 6,
    LOG_MODE = 0600,
};

/* Newer than the headers of Debian 12. */
static const uint64_t access_truncate = UINT64_C(1) << 14;
static const uint64_t scope_abstract_sockets = UINT64_C(1) << 0;
static const uint64_t scope_signals = UINT64_C(1) << 1;

struct ruleset { /* landlock_ruleset_attr as of version 6 */
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

static const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t of_files =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE;

/* The kernel makes the files; folders are made and removed by us. */
static const uint64_t in_groups = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                                  LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                  LANDLOCK_ACCESS_FS_REMOVE_DIR;

/* What the C library, the TLS libraries and name resolution read. /etc as a whole: its files are
 * replaced, not changed, when names or authorities are; rights keep its secrets. */
static const char *const read_always[] = {
    "/etc",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/zoneinfo",
    "/run/systemd/resolve", /* where /etc/resolv.conf points to */
    "/run/resolvconf",
    "/run/NetworkManager",
    "/sys/devices/system/cpu",
    "/proc/self",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm",
    "/dev/urandom",
};

static const char *const written_by_programs[] = {"/dev", "/tmp", "/var/tmp"};

struct confinement {
    int fd;
    uint64_t handled;
};

static uint64_t all_of_version(int version)
{
    uint64_t all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* the last one of version 1 */
    all |= version >= VERSION_REFER ? LANDLOCK_ACCESS_FS_REFER : 0;
    all |= version >= VERSION_TRUNCATE ? access_truncate : 0;
    return all;
}

/* A path that is not there needs no rule. */
static bool allow(const struct confinement *c, const char *path, uint64_t access)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR;
    }
    struct landlock_path_beneath_attr rule = {.allowed_access = access & c->handled,
                                              .parent_fd = fd};
    long done = syscall(SYS_landlock_add_rule, c->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    if (done != 0 && errno == EINVAL) { /* no folder */
        rule.allowed_access &= of_files | access_truncate;
        done = syscall(SYS_landlock_add_rule, c->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    }
    (void)close(fd); /* nothing was written */
    return done == 0;
}

/* The folder of a file, "." where the path has none. False: it is too long to be one. */
static bool folder_of(struct str path, char ret_folder[PATH_MAX])
{
    size_t len = path.len;
    while (len > 0 && path.ptr[len - 1] != '/') {
        len--;
    }
    if (len >= PATH_MAX) {
        return false;
    }
    memcpy(ret_folder, len == 0 ? "." : path.ptr, len == 0 ? 1 : len);
    ret_folder[len == 0 ? 1 : len] = '\0';
    return true;
}

static bool allow_text(const struct confinement *c, struct str path, uint64_t access)
{
    char text[PATH_MAX];
    if (path.len >= sizeof text) {
        return false;
    }
    memcpy(text, path.ptr, path.len);
    text[path.len] = '\0';
    return allow(c, text, access);
}

static bool allow_folder_of(const struct confinement *c, struct str file, uint64_t access)
{
    char folder[PATH_MAX];
    return folder_of(file, folder) && allow(c, folder, access);
}

/* It is made first: a rule is for what is there. */
static bool allow_log(const struct confinement *c, struct str path)
{
    char text[PATH_MAX];
    if (path.len == 0 || path.len >= sizeof text) {
        return true;
    }
    memcpy(text, path.ptr, path.len);
    text[path.len] = '\0';
    int fd = open(text, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, LOG_MODE);
    if (fd < 0) {
        return true; /* whoever opens it says why */
    }
    (void)close(fd); /* nothing was written */
    return allow(c, text, LANDLOCK_ACCESS_FS_WRITE_FILE);
}

/* The folder the process works in, which relative paths are taken from; not where that is all. */
static bool allow_own_folder(const struct confinement *c)
{
    char folder[PATH_MAX];
    return getcwd(folder, sizeof folder) == NULL || strcmp(folder, "/") == 0 ||
           allow(c, folder, reading);
}

static bool allow_programs(const struct confinement *c, const struct sandbox_needs *needs)
{
    bool ok = allow(c, "/", reading | LANDLOCK_ACCESS_FS_EXECUTE);
    for (size_t i = 0; i < sizeof written_by_programs / sizeof written_by_programs[0]; i++) {
        ok = ok && allow(c, written_by_programs[i], c->handled);
    }
    bool has_groups = needs->groups != NULL && needs->groups[0] != '\0';
    return ok && (!has_groups || allow(c, needs->groups, in_groups));
}

static bool allow_all(const struct confinement *c, const struct sandbox_needs *needs)
{
    bool ok = allow_folder_of(c, str_from(needs->conf_path), reading) && allow_own_folder(c) &&
              allow(c, "/dev/null", reading | LANDLOCK_ACCESS_FS_WRITE_FILE);
    for (size_t i = 0; i < sizeof read_always / sizeof read_always[0]; i++) {
        ok = ok && allow(c, read_always[i], reading);
    }
    for (const struct key_path *file = needs->files; file != NULL; file = file->next) {
        ok = ok && allow_folder_of(c, file->path, reading);
    }
    for (size_t i = 0; i < needs->folders->count; i++) {
        ok = ok && allow_text(c, needs->folders->items[i], reading);
    }
    if (needs->state_file.len > 0) {
        ok = ok && allow_folder_of(c, needs->state_file,
                                   c->handled & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE);
    }
    ok = ok && allow_log(c, needs->logs[0]) && allow_log(c, needs->logs[1]);
    return ok && (!needs->exec || allow_programs(c, needs));
}

int sandbox_files_confine(const struct sandbox_needs *needs)
{
    int version =
        (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) {
        return 0;
    }
    struct confinement c = {.handled = all_of_version(version)};
    struct ruleset attr = {.handled_access_fs = c.handled};
    size_t size = sizeof attr.handled_access_fs; /* all that version 1 knows */
    if (version >= VERSION_SCOPE) {
        attr.scoped = scope_abstract_sockets | scope_signals;
        size = sizeof attr;
    }
    c.fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (c.fd < 0) {
        return 0;
    }
    bool ok = allow_all(&c, needs) && syscall(SYS_landlock_restrict_self, c.fd, 0) == 0;
    (void)close(c.fd); /* nothing was written */
    return ok ? version : 0;
}
