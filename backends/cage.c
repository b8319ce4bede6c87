/* See cage.h. */
#include "backends/cage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define PREFIX "expertd-"
#define OWN    "expertd-gateway"

enum {
    FOLDER_MODE = 0755,
    SWEEP_MS = 2000,
    /* Of processor time beside a program's 100: workers answer everybody, a program its own requests. */
    OWN_WEIGHT = 1000,
    NAME_BYTES = 64,
    FILE_BYTES = 64 * 1024, /* of /proc/self/mountinfo */
};

/* ---------------------------------------------------------------- the tree */

static void say(struct cage_tree *t, const char *what, int error)
{
    char text[64] = "";
    (void)snprintf(t->why, sizeof t->why, "%s%s%s", what, error == 0 ? "" : ": ",
                   error == 0 ? "" : strerror_r(error, text, sizeof text));
}

/* One after the other: a kernel without one of them has the others. */
static void enable(struct cage_tree *t)
{
    static const struct {
        unsigned bit;
        const char *word;
    } all[] = {{CGROUP_MEMORY, "+memory"}, {CGROUP_CPU, "+cpu"}, {CGROUP_PIDS, "+pids"}};

    char text[1024];
    if (cgroup_read(t->folder, "cgroup.controllers", text, sizeof text) != ST_OK) {
        say(t, "its controllers cannot be read", errno);
        return;
    }
    unsigned there = cgroup_controllers(str_from(text));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if ((there & all[i].bit) == 0) {
            say(t, "not all controllers are delegated to it", 0);
        } else if (cgroup_set(t->folder, "cgroup.subtree_control", all[i].word) == ST_OK) {
            t->controllers |= all[i].bit;
        } else {
            say(t, "not all controllers can be used", errno);
        }
    }
}

/* Makes our own group and goes there. */
static bool move_in(struct cage_tree *t, pid_t pid)
{
    char own[CGROUP_PATH_BYTES];
    char number[24];
    if ((size_t)snprintf(own, sizeof own, "%s/" OWN, t->folder) >= sizeof own) {
        say(t, "its name is too long", 0);
        return false;
    }
    if (mkdir(own, FOLDER_MODE) != 0 && errno != EEXIST) {
        say(t, "no group can be made in it", errno);
        return false;
    }
    if (!cgroup_is_only(own, pid)) {
        say(t, "another gateway uses it", 0);
        return false;
    }
    (void)snprintf(number, sizeof number, "%d", (int)pid);
    if (cgroup_set(own, "cgroup.procs", number) != ST_OK) {
        say(t, "the gateway cannot move into it", errno);
        (void)rmdir(own); /* somebody may be in it by now */
        return false;
    }
    return true;
}

void cage_tree_open(const char *folder, pid_t pid, struct cage_tree *ret_tree)
{
    *ret_tree = (struct cage_tree){.why = ""};
    struct cage_tree t = {.why = ""};
    size_t len = strlen(folder);
    memcpy(t.folder, folder, len < sizeof t.folder ? len : 0); /* "" is refused below */
    if (!cgroup_is_only(t.folder, pid)) {
        say(ret_tree, "it is no control group of its own: other processes are in it, or it is none",
            0);
        return;
    }
    if (!move_in(&t, pid)) {
        memcpy(ret_tree->why, t.why, sizeof t.why);
        return;
    }
    size_t left = cgroup_sweep(t.folder, PREFIX, OWN, SWEEP_MS);
    if (left > 0) {
        log_write(LOG_WARN, "cage",
                  "%zu groups were left behind by a gateway that was killed: ended", left);
    }
    enable(&t);
    if ((t.controllers & CGROUP_CPU) != 0) {
        struct cgroup_write writes[CGROUP_WRITES_MAX];
        char own[CGROUP_PATH_BYTES + sizeof OWN];
        size_t count =
            cgroup_plan(&(struct cgroup_limits){.weight = OWN_WEIGHT}, t.controllers, writes);
        (void)snprintf(own, sizeof own, "%s/" OWN, t.folder);
        enum status st = cgroup_apply(own, writes, count);
        (void)st; /* then it has as much as the others */
    }
    *ret_tree = t;
}

/* ---------------------------------------------------------------- the process's */

static struct { /* under the lock until is_made; read-only from then on */
    pthread_mutex_t lock;
    bool is_permitted;
    bool has_rule;
    _Atomic bool is_made;
    char where[CGROUP_PATH_BYTES];
    struct cage_tree tree;
} the = {.lock = PTHREAD_MUTEX_INITIALIZER};

void cage_permit(void)
{
    (void)pthread_mutex_lock(&the.lock); /* fails for a broken mutex only */
    the.is_permitted = true;
    (void)pthread_mutex_unlock(&the.lock);
}

void cage_rule(struct str where)
{
    (void)pthread_mutex_lock(&the.lock); /* as above */
    if (!the.has_rule && where.len < sizeof the.where) {
        the.has_rule = true;
        memcpy(the.where, where.ptr, where.len);
    }
    (void)pthread_mutex_unlock(&the.lock);
}

/* Where we are. If that is our own group already (the service manager may have put us there, or an
 * earlier program in this process), what is above it. */
static bool find_folder(char ret_folder[CGROUP_PATH_BYTES])
{
    static char mounts[FILE_BYTES]; /* under the lock */
    char groups[CGROUP_PATH_BYTES * 4];
    if (cgroup_read("/proc/self", "mountinfo", mounts, sizeof mounts) != ST_OK ||
        cgroup_read("/proc/self", "cgroup", groups, sizeof groups) != ST_OK ||
        cgroup_own_folder(str_from(mounts), str_from(groups), ret_folder) != ST_OK) {
        return false;
    }
    struct str path = str_from(ret_folder);
    if (str_ends_with(path, STR("/" OWN))) {
        ret_folder[path.len - strlen("/" OWN)] = '\0';
    }
    return true;
}

/* Root may write everywhere, which does not make it ours: of systemd's units those are that are marked so
 * (systemd.resource-control(5), "Delegate"). The root of all groups has no type. */
static bool is_delegated(const char *folder)
{
    static const char *const marks[] = {"user.delegate", "trusted.delegate"};
    char path[CGROUP_PATH_BYTES + 32];
    char value[2];
    struct str name = str_from(folder);
    bool is_unit = str_ends_with(name, STR(".service")) || str_ends_with(name, STR(".scope"));
    bool is_marked = geteuid() != 0 || !is_unit;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        is_marked =
            is_marked || (getxattr(folder, marks[i], value, sizeof value) == 1 && value[0] == '1');
    }
    (void)snprintf(path, sizeof path, "%s/cgroup.type", folder);
    return is_marked && access(path, R_OK) == 0 && access(folder, W_OK) == 0;
}

static void make_tree(void)
{
    char folder[CGROUP_PATH_BYTES] = "";
    bool is_auto = strcmp(the.where, "auto") == 0;
    struct cage_tree *t = &the.tree;
    if (strcmp(the.where, "off") == 0) {
        say(t, "server.cgroup is off", 0);
    } else if (is_auto && !find_folder(folder)) {
        say(t, "version 2 is not mounted", 0);
    } else if (is_auto && !is_delegated(folder)) {
        say(t, "none is delegated to the gateway", 0);
    } else {
        const char *place = is_auto ? folder : the.where;
        cage_tree_open(place, getpid(), t);
        memcpy(folder, place, strlen(place) + 1);
    }
    if (t->folder[0] == '\0') {
        log_write(is_auto || folder[0] == '\0' ? LOG_INFO : LOG_WARN, "cage",
                  "programs get no control groups%s%s: %s; what they start may outlive them until "
                  "the next start, their limits do not hold",
                  folder[0] == '\0' ? "" : " in ", folder, t->why);
        return;
    }
    log_write(LOG_INFO, "cage",
              "programs get control groups in %s: they end as a whole; limits that hold: %s%s%s",
              t->folder, cgroup_words(t->controllers), t->why[0] == '\0' ? "" : "; ", t->why);
}

const struct cage_tree *cage_tree(void)
{
    if (!atomic_load(&the.is_made)) {
        (void)pthread_mutex_lock(&the.lock); /* as above */
        if (the.is_permitted && the.has_rule && !atomic_load(&the.is_made)) {
            make_tree();
            atomic_store(&the.is_made, true);
        }
        (void)pthread_mutex_unlock(&the.lock);
    }
    return &the.tree;
}

/* ---------------------------------------------------------------- one cage */

static atomic_uint serial; /* of the last cage */

/* What a person reads in a list of groups; a dot would begin a name of the kernel's. */
static void write_name(struct str name, char ret_name[NAME_BYTES])
{
    int len = snprintf(ret_name, NAME_BYTES, PREFIX "%u-", atomic_fetch_add(&serial, 1) + 1);
    size_t at = (size_t)len;
    for (size_t i = 0; i < name.len && at < NAME_BYTES - 1; i++) {
        char c = name.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        ret_name[at++] = is_plain ? c : '-';
    }
    ret_name[at] = '\0';
}

static int open_in(const char *folder, const char *file, int flags)
{
    char path[CGROUP_PATH_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    return open(path, flags | O_CLOEXEC);
}

static void close_fd(int *fd)
{
    if (*fd > 0) {
        (void)close(*fd);
    }
    *fd = 0;
}

bool cage_open(struct str name, const struct cgroup_limits *limits, struct cage *ret_cage)
{
    const struct cage_tree *t = cage_tree();
    struct cage c = {.procs = 0};
    struct cgroup_write writes[CGROUP_WRITES_MAX];
    char own[NAME_BYTES];
    *ret_cage = c;
    if (t->folder[0] == '\0') {
        return true;
    }
    write_name(name, own);
    if ((size_t)snprintf(c.folder, sizeof c.folder, "%s/%s", t->folder, own) >= sizeof c.folder ||
        mkdir(c.folder, FOLDER_MODE) != 0) {
        return false;
    }
    size_t count = cgroup_plan(limits, t->controllers, writes);
    enum status st = cgroup_apply(c.folder, writes, count);
    int error = errno;
    if (st == ST_OK) {
        c.procs = open_in(c.folder, "cgroup.procs", O_WRONLY);
        c.events = open_in(c.folder, "cgroup.events", O_RDONLY);
        error = errno;
    }
    if (st != ST_OK || c.procs < 0 || c.events < 0) {
        cage_close(&c);
        errno = error;
        return false;
    }
    *ret_cage = c;
    return true;
}

bool cage_is_open(const struct cage *cage)
{
    return cage->folder[0] != '\0';
}

void cage_kill(const struct cage *cage)
{
    if (cage_is_open(cage)) {
        cgroup_kill(cage->folder);
    }
}

/* Reading from the watched descriptor is what makes it wait for the next change. */
bool cage_is_empty(const struct cage *cage)
{
    char text[256] = "";
    if (!cage_is_open(cage)) {
        return true;
    }
    ssize_t n = pread(cage->events, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return strstr(text, "populated 1") == NULL;
}

bool cage_await_empty(const struct cage *cage, int64_t ms)
{
    int64_t until_ms = clock_now_ms(clock_system()) + ms;
    struct pollfd fd = {.fd = cage->events, .events = POLLPRI};
    while (!cage_is_empty(cage)) {
        int64_t left_ms = until_ms - clock_now_ms(clock_system());
        if (left_ms <= 0) {
            return false;
        }
        (void)poll(&fd, 1, (int)left_ms);
    }
    return true;
}

bool cage_was_short(const struct cage *cage)
{
    return cage_is_open(cage) && cgroup_oom_kills(cage->folder) > 0;
}

void cage_close(struct cage *cage)
{
    if (!cage_is_open(cage)) {
        return;
    }
    cage_kill(cage);
    close_fd(&cage->procs);
    close_fd(&cage->events);
    (void)rmdir(cage->folder); /* not empty: see the header */
    *cage = (struct cage){.procs = 0};
}
