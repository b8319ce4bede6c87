/* Where a group is, what is written where, and what files of a group say. Folders here are plain ones
 * that look like groups; real ones are in tests/flow/limits_flow.py. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "tests/support/test.h"

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static void assert_file(const char *folder, const char *name, const char *want)
{
    char text[128];
    assert_int_equal(cgroup_read(folder, name, text, sizeof text), ST_OK);
    assert_string_equal(text, want);
}

static void remove_all(const char *folder)
{
    char command[300];
    (void)snprintf(command, sizeof command, "exec rm -r '%s'", folder);
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

#define UNIFIED "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

static void the_own_folder_is_found(void **state)
{
    (void)state;

    static const struct {
        const char *mounts;
        const char *groups;
        const char *folder; /* NULL: none */
    } cases[] = {
        {UNIFIED, "0::/system.slice/expertd.service\n",
         "/sys/fs/cgroup/system.slice/expertd.service"},
        {UNIFIED, "0::/\n", "/sys/fs/cgroup"},
        {"22 1 0:20 / / rw - ext4 /dev/vda rw\n" UNIFIED, "4:memory:/x\n1:name=systemd:/\n0::/a\n",
         "/sys/fs/cgroup/a"},
        {"42 32 0:39 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "0::/a/b",
         "/sys/fs/cgroup/unified/a/b"},
        /* a part of the tree, as containers see it */
        {"42 32 0:39 /docker/7 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/docker/7\n",
         "/sys/fs/cgroup"},
        {"42 32 0:39 /docker/7 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/docker/7/in\n",
         "/sys/fs/cgroup/in"},
        {"42 32 0:39 /docker/7 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/docker/77\n", NULL},
        {"42 32 0:39 /docker/7 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/other\n", NULL},
        {"42 32 0:39 / /my\\040groups rw - cgroup2 cgroup2 rw\n", "0::/a\n", NULL},
        {"42 32 0:39 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "0::/a\n", NULL},
        {UNIFIED, "4:memory:/x\n", NULL},
        {UNIFIED, "", NULL},
        {"", "0::/a\n", NULL},
        {"42\n- cgroup2\n", "0::/a\n", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char folder[CGROUP_PATH_BYTES] = "";
        enum status st =
            cgroup_own_folder(str_from(cases[i].mounts), str_from(cases[i].groups), folder);
        if (cases[i].folder == NULL) {
            assert_int_equal(st, ST_NOT_FOUND);
        } else {
            assert_int_equal(st, ST_OK);
            assert_string_equal(folder, cases[i].folder);
        }
    }
}

static void a_folder_with_an_endless_name_is_refused(void **state)
{
    (void)state;
    char groups[CGROUP_PATH_BYTES + 16] = "0::/";
    char folder[CGROUP_PATH_BYTES];
    memset(groups + 4, 'a', sizeof groups - 5);

    assert_int_equal(cgroup_own_folder(STR(UNIFIED), str_from(groups), folder), ST_TOO_BIG);
}

static void controllers_are_known_by_name(void **state)
{
    (void)state;
    assert_int_equal(cgroup_controllers(STR("cpuset cpu io memory hugetlb pids rdma misc\n")),
                     CGROUP_ALL);
    assert_int_equal(cgroup_controllers(STR("cpuset memory_recursive pids\n")), CGROUP_PIDS);
    assert_int_equal(cgroup_controllers(STR("\n")), 0);
    assert_string_equal(cgroup_words(CGROUP_MEMORY | CGROUP_PIDS), "memory, pids");
    assert_string_equal(cgroup_words(0), "nothing");
}

static void limits_become_files(void **state)
{
    (void)state;

    static const struct {
        struct cgroup_limits limits;
        unsigned controllers;
        const char *want;
    } cases[] = {
        {{.memory_bytes = 6442450944, .cpus = 2.5, .pids = 64},
         CGROUP_ALL,
         "memory.max=6442450944 memory.oom.group=1? memory.swap.max=0? cpu.max=250000 100000 "
         "pids.max=64 "},
        {{.memory_bytes = 1 << 20, .cpus = 2.5, .pids = 64}, CGROUP_CPU, "cpu.max=250000 100000 "},
        {{.memory_bytes = 1 << 20, .cpus = 0.01, .pids = 64},
         CGROUP_CPU | CGROUP_PIDS,
         "cpu.max=1000 100000 pids.max=64 "},
        {{.weight = 1000}, CGROUP_ALL, "cpu.weight=1000 "},
        {{.weight = 1000, .pids = 3}, CGROUP_MEMORY, ""},
        {{.pids = 0}, CGROUP_ALL, ""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cgroup_write writes[CGROUP_WRITES_MAX];
        char text[512] = "";
        size_t count = cgroup_plan(&cases[i].limits, cases[i].controllers, writes);
        for (size_t k = 0; k < count; k++) {
            size_t len = strlen(text);
            (void)snprintf(text + len, sizeof text - len, "%s=%s%s ", writes[k].file,
                           writes[k].value, writes[k].is_optional ? "?" : "");
        }
        assert_string_equal(text, cases[i].want);
    }
}

static void a_plan_is_written_and_files_that_may_be_missing_are(void **state)
{
    (void)state;
    char folder[] = "/tmp/expertd-cgroup-XXXXXX";
    assert_non_null(mkdtemp(folder));
    const struct cgroup_write writes[] = {
        {"memory.max", "4096", false}, {"memory.swap.max", "0", true}, {"pids.max", "3", false}};
    write_file(folder, "memory.max", "");
    write_file(folder, "pids.max", "");

    assert_int_equal(cgroup_apply(folder, writes, 3), ST_OK);
    assert_file(folder, "memory.max", "4096");
    assert_file(folder, "pids.max", "3");

    const struct cgroup_write missing = {"cpu.max", "1 2", false};
    assert_int_equal(cgroup_apply(folder, &missing, 1), ST_IO);
    assert_int_equal(errno, ENOENT);
    remove_all(folder);
}

static void who_is_in_a_group_is_read(void **state)
{
    (void)state;
    char folder[] = "/tmp/expertd-cgroup-XXXXXX";
    assert_non_null(mkdtemp(folder));

    static const struct {
        const char *procs;
        bool is_only;
    } cases[] = {{"", true}, {"17\n", true}, {"17\n18\n", false}, {"0\n", false}, {"x\n", false}};

    assert_false(cgroup_is_only(folder, 17));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(folder, "cgroup.procs", cases[i].procs);
        assert_int_equal(cgroup_is_only(folder, 17), cases[i].is_only);
    }
    remove_all(folder);
}

static void what_happened_in_a_group_is_read(void **state)
{
    (void)state;
    char folder[] = "/tmp/expertd-cgroup-XXXXXX";
    assert_non_null(mkdtemp(folder));
    assert_false(cgroup_is_populated(folder));
    assert_int_equal(cgroup_oom_kills(folder), 0);

    write_file(folder, "cgroup.events", "populated 1\nfrozen 0\n");
    write_file(folder, "memory.events",
               "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n");

    assert_true(cgroup_is_populated(folder));
    assert_int_equal(cgroup_oom_kills(folder), 2);
    remove_all(folder);
}

static void without_a_kill_file_processes_are_killed_one_by_one(void **state)
{
    (void)state;
    char folder[] = "/tmp/expertd-cgroup-XXXXXX";
    char text[64];
    assert_non_null(mkdtemp(folder));
    pid_t pid = fork();
    if (pid == 0) {
        for (;;) {
            (void)pause();
        }
    }
    /* what must never be meant: everybody, the first process, ourselves */
    (void)snprintf(text, sizeof text, "0\n1\n-1\n%d\n%d\n", (int)getpid(), (int)pid);
    write_file(folder, "cgroup.procs", text);
    int status = 0;

    cgroup_kill(folder);

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    remove_all(folder);
}

static void a_sweep_ends_groups_by_name_and_no_others(void **state)
{
    (void)state;
    char folder[] = "/tmp/expertd-cgroup-XXXXXX";
    static const char *const names[] = {"ours-1", "ours-2", "ours-keep", "theirs"};
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < 4; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        if (i != 1) { /* one is already empty, and goes */
            write_file(path, "cgroup.kill", "");
        }
    }

    assert_int_equal(cgroup_sweep(folder, "ours-", "ours-keep", 0), 2);

    assert_file(folder, "ours-1/cgroup.kill", "1");
    assert_file(folder, "ours-keep/cgroup.kill", "");
    assert_file(folder, "theirs/cgroup.kill", "");
    char text[8];
    assert_int_equal(cgroup_read(folder, "ours-2", text, sizeof text), ST_IO);
    assert_int_equal(cgroup_sweep("/nowhere", "ours-", "ours-keep", 0), 0);
    remove_all(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_own_folder_is_found),
        cmocka_unit_test(a_folder_with_an_endless_name_is_refused),
        cmocka_unit_test(controllers_are_known_by_name),
        cmocka_unit_test(limits_become_files),
        cmocka_unit_test(a_plan_is_written_and_files_that_may_be_missing_are),
        cmocka_unit_test(who_is_in_a_group_is_read),
        cmocka_unit_test(what_happened_in_a_group_is_read),
        cmocka_unit_test(without_a_kill_file_processes_are_killed_one_by_one),
        cmocka_unit_test(a_sweep_ends_groups_by_name_and_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
