/* What becomes ours and what does not, on a plain folder that looks like a control group; real ones are
 * in tests/flow/limits_flow.py. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/cage.h"
#include "tests/support/test.h"

enum {
    PID = 4711
};

struct folder {
    char path[64];
};

static void put(const struct folder *f, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", f->path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static const char *const files[] = {
    "expertd-gateway/cgroup.procs", "expertd-gateway/cpu.weight", "cgroup.procs",
    "cgroup.controllers",           "cgroup.subtree_control",     "expertd-gateway"};

/* A group with our process in it, and one for it, as the kernel would make it. */
static struct folder make(const char *controllers)
{
    struct folder f = {"/tmp/expertd-cage-XXXXXX"};
    char path[128];
    assert_non_null(mkdtemp(f.path));
    (void)snprintf(path, sizeof path, "%s/expertd-gateway", f.path);
    assert_int_equal(mkdir(path, 0700), 0);
    put(&f, "cgroup.procs", "4711\n");
    put(&f, "cgroup.controllers", controllers);
    put(&f, "cgroup.subtree_control", "");
    put(&f, "expertd-gateway/cgroup.procs", "");
    put(&f, "expertd-gateway/cpu.weight", "");
    return f;
}

static void destroy(const struct folder *f)
{
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", f->path, files[i]);
        (void)remove(path); /* some tests have removed one */
    }
    assert_int_equal(rmdir(f->path), 0);
}

static void assert_text(const struct folder *f, const char *name, const char *want)
{
    char text[64];
    assert_int_equal(cgroup_read(f->path, name, text, sizeof text), ST_OK);
    assert_string_equal(text, want);
}

static void a_group_of_our_own_gives_all_its_controllers(void **state)
{
    (void)state;
    struct cage_tree t;
    struct folder f = make("cpuset cpu memory pids\n");

    cage_tree_open(f.path, PID, &t);

    assert_string_equal(t.folder, f.path);
    assert_int_equal(t.controllers, CGROUP_ALL);
    assert_string_equal(t.why, "");
    assert_text(&f, "expertd-gateway/cgroup.procs", "4711");
    assert_text(&f, "expertd-gateway/cpu.weight", "1000");
    destroy(&f);
}

static void a_group_with_fewer_controllers_says_so_and_serves(void **state)
{
    (void)state;
    struct cage_tree t;
    struct folder f = make("memory\n");

    cage_tree_open(f.path, PID, &t);

    assert_string_equal(t.folder, f.path);
    assert_int_equal(t.controllers, CGROUP_MEMORY);
    assert_string_equal(t.why, "not all controllers are delegated to it");
    assert_text(&f, "cgroup.subtree_control", "+memory");
    assert_text(&f, "expertd-gateway/cpu.weight", "");
    destroy(&f);
}

static void a_group_of_others_is_left_alone(void **state)
{
    (void)state;
    struct cage_tree t;
    struct folder f = make("memory\n");
    put(&f, "cgroup.procs", "17\n4711\n");

    cage_tree_open(f.path, PID, &t);

    assert_string_equal(t.folder, "");
    assert_non_null(strstr(t.why, "other processes are in it"));
    assert_text(&f, "expertd-gateway/cgroup.procs", "");
    assert_text(&f, "cgroup.subtree_control", "");
    destroy(&f);
}

static void the_group_of_another_gateway_is_left_alone(void **state)
{
    (void)state;
    struct cage_tree t;
    struct folder f = make("memory\n");
    put(&f, "cgroup.procs", "");
    put(&f, "expertd-gateway/cgroup.procs", "17\n");

    cage_tree_open(f.path, PID, &t);

    assert_string_equal(t.folder, "");
    assert_string_equal(t.why, "another gateway uses it");
    assert_text(&f, "expertd-gateway/cgroup.procs", "17\n");
    assert_text(&f, "cgroup.subtree_control", "");
    destroy(&f);
}

static void a_folder_that_is_no_group_is_refused(void **state)
{
    (void)state;
    struct cage_tree t;
    static const char *const folders[] = {"/tmp", "/nowhere", ""};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        cage_tree_open(folders[i], PID, &t);
        assert_string_equal(t.folder, "");
        assert_true(t.why[0] != '\0');
    }
}

/* This process does not serve, so it has no tree, whatever the rule says. */
static void who_may_not_gets_no_cage_and_no_error(void **state)
{
    (void)state;
    struct cage c;
    const struct cgroup_limits limits = {.pids = 3};
    cage_rule(STR("auto"));

    assert_true(cage_open(STR("expert"), &limits, &c));

    assert_string_equal(cage_tree()->folder, "");
    assert_false(cage_is_open(&c));
    assert_int_equal(c.procs, 0);
    assert_true(cage_is_empty(&c));
    assert_true(cage_await_empty(&c, 0));
    assert_false(cage_was_short(&c));
    cage_kill(&c);
    cage_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_of_our_own_gives_all_its_controllers),
        cmocka_unit_test(a_group_with_fewer_controllers_says_so_and_serves),
        cmocka_unit_test(a_group_of_others_is_left_alone),
        cmocka_unit_test(the_group_of_another_gateway_is_left_alone),
        cmocka_unit_test(a_folder_that_is_no_group_is_refused),
        cmocka_unit_test(who_may_not_gets_no_cage_and_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
