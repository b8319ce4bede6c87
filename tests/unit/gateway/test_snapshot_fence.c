/* What a configuration that is only tried may touch: its facts, and files that the one in use allows. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/kernel_pool.h"
#include "base/clock.h"
#include "gateway/snapshot.h"
#include "gateway/snapshot_fence.h"
#include "tests/support/test.h"

enum {
    TEXT_BYTES = 8192,
    PATH_BYTES = 512,
    SETTLE_MS = 10000,
};

struct stage { /* a folder of our own: conf/ with the configuration in use, and other/ */
    char root[64];
    char build[PATH_MAX];
    struct snapshot *running;
    char *messages;
    size_t messages_len;
    FILE *out;
};

static void put(const struct stage *s, const char *name, const char *text)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", s->root, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static bool is_there(const struct stage *s, const char *name)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", s->root, name);
    return access(path, F_OK) == 0;
}

static void make_folder(const struct stage *s, const char *name)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", s->root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* This program is in BUILD/tests/unit. */
static void find_build(char build[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", build, PATH_MAX - 1);
    assert_true(n > 0);
    build[n] = '\0';
    for (int i = 0; i < 3; i++) {
        *strrchr(build, '/') = '\0';
    }
}

static void open_stage(struct stage *s)
{
    char text[TEXT_BYTES];
    *s = (struct stage){.root = "/tmp/expertd-fence-XXXXXX"};
    assert_non_null(mkdtemp(s->root));
    find_build(s->build);
    make_folder(s, "conf");
    make_folder(s, "other");
    make_folder(s, "allowed");
    put(s, "conf/in.txt", "a\n");
    put(s, "other/named.log", "");
    put(s, "other/secret.txt", "sk-secret-of-another\n");
    put(s, "allowed/in.txt", "a\n");
    (void)snprintf(text, sizeof text,
                   "server: {sandbox_read: [%s/allowed], access_log: 'off'}\n"
                   "experts:\n"
                   "  a: {process: {argv: [x, '$${PORT}'], log: %s/other/named.log}}\n",
                   s->root, s->root);
    put(s, "conf/expertd.yaml", text);
    s->out = open_memstream(&s->messages, &s->messages_len);
    assert_non_null(s->out);
    (void)snprintf(text, sizeof text, "%s/conf/expertd.yaml", s->root);
    assert_int_equal(snapshot_load(text, s->out, &s->running), ST_OK);
}

static void close_stage(struct stage *s)
{
    char command[PATH_BYTES];
    static const char *const files[] = {"conf/in.txt",
                                        "conf/expertd.yaml",
                                        "conf/link.txt",
                                        "other/named.log",
                                        "other/secret.txt",
                                        "other/mark",
                                        "other/state.db",
                                        "other/new.log",
                                        "allowed/in.txt",
                                        "conf",
                                        "other",
                                        "allowed"};
    snapshot_unref(s->running);
    (void)fclose(s->out);
    free(s->messages); /* allow free: open_memstream took it from the C library */
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(command, sizeof command, "%s/%s", s->root, files[i]);
        (void)remove(command); /* most tests make a part of them */
    }
    assert_int_equal(rmdir(s->root), 0);
}

static enum status try(struct stage *s, const char *yaml)
{
    struct snapshot *candidate = NULL;
    enum status st = snapshot_try(str_from(yaml), STR("preview"), s->running, s->out, &candidate);
    snapshot_unref(candidate);
    (void)fflush(s->out);
    return st;
}

static void files_of_the_one_in_use_are_admitted_and_no_others(void **state)
{
    static const struct {
        const char *path;
        bool is_admitted;
    } cases[] = {
        {"conf/in.txt", true},
        {"conf/../conf/in.txt", true},
        {"allowed/in.txt", true},
        {"other/named.log", true},
        {"other/secret.txt", false},
        {"conf/../other/secret.txt", false},
        {"conf/link.txt", false},
        {"conf/not-there", false},
        {"conf", false},
    };
    struct stage s;
    char from[PATH_BYTES];
    char to[PATH_BYTES];
    (void)state;
    open_stage(&s);
    (void)snprintf(to, sizeof to, "%s/other/secret.txt", s.root);
    (void)snprintf(from, sizeof from, "%s/conf/link.txt", s.root);
    assert_int_equal(symlink(to, from), 0);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(from, sizeof from, "%s/%s", s.root, cases[i].path);
        if (snapshot_fence_admits(s.running, from) != cases[i].is_admitted) {
            fail_msg("%s", cases[i].path);
        }
    }
    assert_false(snapshot_fence_admits(s.running, "/etc/passwd"));
    close_stage(&s);
}

static void files_of_others_are_refused_with_a_reason(void **state)
{
    static const char *const blocks[] = {
        "router: {model: %s/other/secret.txt}\ncategories: {general: {experts: [{expert: a}]}}\n",
        "router: {languages: %s/other/secret.txt}\n",
    };
    struct stage s;
    char yaml[TEXT_BYTES];
    char block[PATH_BYTES];
    (void)state;
    open_stage(&s);

    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        const char *at = strstr(blocks[i], "%s");
        (void)snprintf(block, sizeof block, "%.*s%s%s", (int)(at - blocks[i]), blocks[i], s.root,
                       at + 2);
        (void)snprintf(yaml, sizeof yaml, "experts: {a: {url: 'http://127.0.0.1:9/v1'}}\n%s",
                       block);
        size_t said = s.messages_len;
        assert_int_equal(try(&s, yaml), ST_INVALID);
        if (strstr(s.messages + said, "other/secret.txt") == NULL ||
            strstr(s.messages + said, "is not read for a trial") == NULL) {
            fail_msg("%s", s.messages);
        }
    }
    assert_null(strstr(s.messages, "sk-secret"));
    close_stage(&s);
}

/* The same file, loaded to be served, leaves its mark: the trial's silence means something. */
static void a_kernel_that_is_tried_is_not_loaded(void **state)
{
    struct stage s;
    char yaml[TEXT_BYTES];
    char path[PATH_BYTES];
    struct snapshot *served = NULL;
    (void)state;
    open_stage(&s);
    (void)snprintf(path, sizeof path, "%s/other/mark", s.root);
    assert_int_equal(setenv("EXPERTD_TRIAL_MARK", path, 1), 0);
    (void)snprintf(yaml, sizeof yaml,
                   "experts: {a: {kernel: {file: %s/tests/kernels/trial_leaves_a_mark.so, "
                   "isolation: inprocess}}}\n",
                   s.build);
    put(&s, "conf/expertd.yaml", yaml);

    assert_int_equal(try(&s, yaml), ST_OK);
    bool is_marked_by_trial = is_there(&s, "other/mark");
    (void)snprintf(path, sizeof path, "%s/conf/expertd.yaml", s.root);
    assert_int_equal(snapshot_load(path, s.out, &served), ST_OK);

    assert_false(is_marked_by_trial);
    assert_true(is_there(&s, "other/mark"));
    snapshot_unref(served);
    assert_true(kernel_pool_settle(SETTLE_MS));
    assert_int_equal(unsetenv("EXPERTD_TRIAL_MARK"), 0);
    close_stage(&s);
}

static void nothing_that_outlives_a_trial_is_made_or_read(void **state)
{
    struct stage s;
    char yaml[TEXT_BYTES];
    (void)state;
    open_stage(&s);
    (void)snprintf(yaml, sizeof yaml,
                   "server: {access_log: %s/other/new.log, tls: {cert: /nowhere, key: /nowhere}}\n"
                   "state: {path: %s/other/state.db}\n"
                   "experts:\n"
                   "  a: {process: {argv: [/bin/touch, %s/other/mark, '$${PORT}'], log: "
                   "%s/other/new.log}}\n"
                   "  b: {url: 'https://127.0.0.1:9/v1', key_file: %s/other/secret.txt, "
                   "tls: {ca: /nowhere}}\n"
                   "  c: {kernel: {lookup: {folder: /nowhere, title: x}}}\n"
                   "  d: {kernel: {tinylm: {model: /nowhere}}}\n",
                   s.root, s.root, s.root, s.root, s.root);

    enum status st = try(&s, yaml);

    if (st != ST_OK) {
        fail_msg("%s", s.messages);
    }
    assert_false(is_there(&s, "other/mark"));
    assert_false(is_there(&s, "other/new.log"));
    assert_false(is_there(&s, "other/state.db"));
    close_stage(&s);
}

static void mistakes_in_options_of_a_kernel_are_still_told(void **state)
{
    struct stage s;
    (void)state;
    open_stage(&s);

    assert_int_equal(try(&s, "experts: {c: {kernel: {lookup: {titel: x}}}}\n"), ST_INVALID);

    assert_non_null(strstr(s.messages, "unknown key \"titel\""));
    close_stage(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_the_one_in_use_are_admitted_and_no_others),
        cmocka_unit_test(files_of_others_are_refused_with_a_reason),
        cmocka_unit_test(a_kernel_that_is_tried_is_not_loaded),
        cmocka_unit_test(nothing_that_outlives_a_trial_is_made_or_read),
        cmocka_unit_test(mistakes_in_options_of_a_kernel_are_still_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
