/* Kernels from files, in this process and in children: what is refused and why, what answers, and what
 * a kernel that breaks down costs. The kernels are built from tests/kernels/trial.c. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backends/kernel_child.h"
#include "backends/kernel_open.h"
#include "backends/kernel_pool.h"
#include "base/clock.h"
#include "tests/support/test.h"

enum {
    SETTLE_MS = 60000,
    TRIES = 30000, /* of 2 ms */
};

struct stage {
    struct arena *arena;
    struct diags diags;
    struct kernel *kernel;
    enum status st; /* of kernel_open */
    char build[PATH_MAX];
    struct buf text;
    size_t pieces_max; /* the sink says stop after so many; 0: never */
    size_t pieces;
    int cancel_fd;
    size_t cancel_at; /* cancel_fd is written after so many pieces; 0: never */
    enum ek_status status;
    struct ek_result result;
    struct ek_error error;
};

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

static struct str kernel_path(struct stage *s, const char *name)
{
    return arena_printf(s->arena, "%s/tests/kernels/%s.so", s->build, name);
}

static void init(struct stage *s)
{
    *s = (struct stage){.arena = arena_create(4096, 16 << 20), .cancel_fd = -1};
    assert_non_null(s->arena);
    buf_init(&s->text, 1 << 20);
    diags_init(&s->diags, s->arena);
    find_build(s->build);
}

/* more: further keys of the block, as ", key: value". */
static void open_file(struct stage *s, const char *path, const char *more)
{
    struct key_reader reader = {.arena = s->arena, .diags = &s->diags};
    struct yaml_node *node = NULL;
    struct str yaml = arena_printf(s->arena, "{file: \"%s\"%s}", path, more);
    struct str program = arena_printf(s->arena, "%s/expertd-kernel-host", s->build);
    assert_int_equal(yaml_parse(yaml, STR("k.yaml"), s->arena, &s->diags, &node), ST_OK);
    s->st = kernel_open(&reader, node, program.ptr, &s->kernel);
}

static void open_stage(struct stage *s, const char *name, const char *more)
{
    init(s);
    open_file(s, kernel_path(s, name).ptr, more);
}

static void close_stage(struct stage *s)
{
    kernel_unref(s->kernel);
    assert_true(kernel_pool_settle(SETTLE_MS));
    if (s->cancel_fd >= 0) {
        (void)close(s->cancel_fd);
    }
    buf_fini(&s->text);
    arena_destroy(s->arena);
}

static int on_piece(void *ctx, struct ek_text piece)
{
    struct stage *s = ctx;
    if (s->pieces_max > 0 && s->pieces == s->pieces_max) {
        return 1;
    }
    s->pieces++;
    assert_int_equal(buf_append(&s->text, kernel_str(piece)), ST_OK);
    if (s->pieces == s->cancel_at) {
        assert_int_equal(eventfd_write(s->cancel_fd, 1), 0);
    }
    return 0;
}

static int on_pause(void *ctx, int64_t ms)
{
    (void)ctx;
    (void)ms;
    return 0;
}

static void ask(struct stage *s, const char *question)
{
    const struct ek_message message = {kernel_text(STR("user")), kernel_text(str_from(question))};
    const struct kernel_request request = {
        .ek = {.size = sizeof request.ek, .messages = &message, .message_count = 1},
        .cancel_fd = s->cancel_fd};
    const struct ek_sink sink = {
        .size = sizeof sink, .ctx = s, .piece = on_piece, .pause = on_pause};
    buf_reset(&s->text);
    s->pieces = 0;
    s->status = kernel_generate(s->kernel, &request, &sink, &s->result, &s->error);
}

static void assert_text(struct stage *s, const char *want)
{
    test_assert_str(buf_str(&s->text), str_from(want));
}

static void assert_said(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no \"%s\" in \"%s\"", part, text);
    }
}

static void assert_complaint(struct stage *s, enum diag_severity severity, const char *part)
{
    assert_true(s->diags.count > 0);
    assert_int_equal(s->diags.items[0].severity, severity);
    struct str message = s->diags.items[0].message;
    assert_said(arena_copy_z(s->arena, message), part);
}

/* Asks until the child is back: its wait is random, and at most a quarter of a second. */
static void ask_until_answered(struct stage *s, const char *question)
{
    const struct timespec nap = {.tv_nsec = 2000000};
    for (int i = 0; i < TRIES; i++) {
        ask(s, question);
        if (s->status == EK_OK) {
            return;
        }
        assert_int_equal(s->status, EK_BUSY);
        assert_said(s->error.message, "next start in");
        (void)nanosleep(&nap, NULL);
    }
    fail_msg("it never came back: %s", s->error.message);
}

/* ---- answering ---- */

static const char *const isolations[] = {", isolation: process", ", isolation: inprocess"};

static void a_child_can_do_what_its_kernel_says(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, "trial", "");

    assert_int_equal(s.st, ST_OK);
    assert_int_equal(kernel_capabilities(s.kernel), EK_CAP_GENERATE | EK_CAP_EMBED | EK_CAP_COUNT);

    close_stage(&s);
}

static void kernel_answers_in_both_isolations(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct stage s;
        open_stage(&s, "trial", isolations[i]);
        assert_int_equal(s.st, ST_OK);

        ask(&s, "speak \xC3\xA9");

        assert_int_equal(s.status, EK_OK);
        assert_text(&s, "as told: speak \xC3\xA9");
        assert_int_equal(s.result.completion_tokens, 2);
        assert_int_equal(s.result.finish, EK_FINISH_STOP);
        close_stage(&s);
    }
}

static void child_counts_the_prompt_with_its_own_tokenizer(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, "trial", "");

    ask(&s, "12345678901");

    assert_int_equal(s.result.prompt_tokens, 11);
    close_stage(&s);
}

static void refusal_comes_with_status_and_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct stage s;
        open_stage(&s, "trial", isolations[i]);

        ask(&s, "too long");

        assert_int_equal(s.status, EK_TOO_LONG);
        assert_string_equal(s.error.message, "longer than 8 tokens");
        close_stage(&s);
    }
}

static void newer_minor_version_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct stage s;
        open_stage(&s, "trial_next_minor", isolations[i]);
        assert_int_equal(s.st, ST_OK);

        ask(&s, "x");

        assert_text(&s, "as told: x");
        close_stage(&s);
    }
}

/* ---- what is not loaded ---- */

static void wrong_kernels_are_refused_with_a_reason(void **state)
{
    (void)state;

    static const struct {
        const char *name;
        const char *why;
    } cases[] = {
        {"trial_next_major", "speaks version 2.1 of the interface, this host 1.1"},
        {"trial_no_entry", "is no kernel: it has no function ek_kernel_entry"},
        {"trial_wants_no_host", "does not work with version 1.1 of the interface"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t k = 0; k < 2; k++) {
            struct stage s;
            open_stage(&s, cases[i].name, isolations[k]);

            assert_int_equal(s.st, ST_INVALID);
            assert_complaint(&s, DIAG_ERROR, cases[i].why);
            close_stage(&s);
        }
    }
}

static void wrong_options_are_shown_where_they_stand(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct stage s;
        char more[100];
        (void)snprintf(more, sizeof more, "%s, options: {say: refuse}", isolations[i]);
        open_stage(&s, "trial", more);

        assert_int_equal(s.st, ST_INVALID);
        assert_complaint(&s, DIAG_ERROR, "it was told to refuse");
        close_stage(&s);
    }
}

static void kernel_that_will_not_fit_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct stage s;
        char more[100];
        (void)snprintf(more, sizeof more, "%s, memory: 256MiB, options: {be: huge}", isolations[i]);
        open_stage(&s, "trial", more);

        assert_int_equal(s.st, ST_INVALID);
        assert_complaint(&s, DIAG_ERROR,
                         "an instance needs 300 MiB, and \"memory\" allows 256 MiB");
        close_stage(&s);
    }
}

/* A folder of its own with a copy of a kernel: ret_file names it. */
static void copy_kernel(struct stage *s, char folder[PATH_MAX], char ret_file[PATH_MAX])
{
    char command[3 * PATH_MAX];
    (void)snprintf(folder, PATH_MAX, "/tmp/expertd-kernel-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(ret_file, PATH_MAX, "%.4000s/k.so", folder);
    (void)snprintf(command, sizeof command, "cp '%s' '%s'", kernel_path(s, "trial").ptr, ret_file);
    assert_int_equal(system(command), 0); /* allow system: a copy in a test */
    assert_int_equal(chmod(ret_file, 0644), 0);
}

static void remove_copy(const char *folder, const char *file)
{
    (void)unlink(file);
    (void)rmdir(folder);
}

static void files_that_others_may_write_are_refused(void **state)
{
    (void)state;

    static const struct {
        mode_t file;
        mode_t folder;
        const char *why;
    } cases[] = {
        {0644, 0755, NULL},
        {0664, 0755, "can be written by its group or by others (mode 0664)"},
        {0646, 0755, "can be written by its group or by others (mode 0646)"},
        {0644, 0775, "can be written by its group or by others (mode 0775)"},
        {0644, 01777, "can be written by its group or by others (mode 1777)"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage s;
        char folder[PATH_MAX];
        char file[PATH_MAX];
        init(&s);
        copy_kernel(&s, folder, file);
        assert_int_equal(chmod(file, cases[i].file), 0);
        assert_int_equal(chmod(folder, cases[i].folder), 0);

        open_file(&s, file, "");

        remove_copy(folder, file);
        assert_int_equal(s.st, cases[i].why == NULL ? ST_OK : ST_INVALID);
        if (cases[i].why != NULL) {
            assert_complaint(&s, DIAG_ERROR, cases[i].why);
        }
        close_stage(&s);
    }
}

static void files_of_other_users_are_refused(void **state)
{
    (void)state;
    struct stage s;
    char folder[PATH_MAX];
    char file[PATH_MAX];
    if (geteuid() != 0) {
        print_message("only root can give a file away\n");
        skip();
    }
    init(&s);
    copy_kernel(&s, folder, file);
    assert_int_equal(chown(file, 12345, 0), 0);

    open_file(&s, file, "");

    remove_copy(folder, file);
    assert_int_equal(s.st, ST_INVALID);
    assert_complaint(&s, DIAG_ERROR, "belongs to user 12345");
    close_stage(&s);
}

static void what_is_no_file_of_a_kernel_is_refused(void **state)
{
    (void)state;

    static const struct {
        const char *path;
        const char *more;
        const char *why;
    } cases[] = {
        {"build/k.so", "", "must be an absolute path"},
        {"/nowhere/k.so", "", "cannot be read: No such file"},
        {"/usr", "", "is no regular file"},
        {"/etc/passwd", "", "cannot be loaded"},
        {"/etc/passwd", ", isolation: inprocess", "cannot be loaded"},
        {"/etc/passwd", ", isolation: none", "isolation"},
        {"/etc/passwd", ", memory: 1MiB", "memory"},
        {"/etc/passwd", ", instances: 0", "instances"},
        {"/etc/passwd", ", options: 3", "\"options\" must be a mapping"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage s;
        init(&s);

        open_file(&s, cases[i].path, cases[i].more);

        assert_int_equal(s.st, ST_INVALID);
        assert_complaint(&s, DIAG_ERROR, cases[i].why);
        close_stage(&s);
    }
}

/* ---- what breaks down ---- */

static void breakdown_costs_one_call_and_says_why(void **state)
{
    (void)state;

    static const struct {
        const char *order;
        const char *why;
    } cases[] = {
        {"crash", "kernel-host: killed by SIGSEGV"},
        {"first words, then crash", "kernel-host: killed by SIGSEGV"},
        {"exit", "kernel-host: ended with exit status 7"},
        {"garbage", "kernel-host: sent what is no frame"},
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        {"bomb", "kernel-host: killed by SIG"},
#endif
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage s;
        open_stage(&s, "trial", ", memory: 256MiB");
        assert_int_equal(s.st, ST_OK);

        ask(&s, cases[i].order);

        assert_int_equal(s.status, EK_BUSY);
        assert_said(s.error.message, cases[i].why);
        assert_true(s.error.retry_after_s >= 0);
        ask_until_answered(&s, "again");
        assert_text(&s, "as told: again");
        close_stage(&s);
    }
}

static void kernel_that_does_not_stop_is_killed(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, "trial", "");
    s.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s.cancel_at = 1;

    int64_t before = clock_now_ms(clock_system());
    ask(&s, "first words, then hang");

    assert_int_equal(s.status, EK_CANCELLED);
    assert_true(clock_now_ms(clock_system()) - before >= KERNEL_CHILD_GRACE_MS);
    s.cancel_at = 0;
    (void)close(s.cancel_fd);
    s.cancel_fd = -1;
    ask(&s, "now");
    if (s.status != EK_OK) { /* the wait before the next start may be nothing */
        assert_said(s.error.message, "kernel-host: did not stop when told to");
    }
    ask_until_answered(&s, "back");
    close_stage(&s);
}

static void cancel_stops_within_a_piece_and_keeps_the_child(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, "trial", "");
    ask(&s, "pieces");
    struct str text = buf_str(&s.text);
    struct str pid = arena_copy(s.arena, str_slice(text, str_find(text, STR("pid=")), text.len));
    s.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s.cancel_at = 3;

    ask(&s, "endless");

    assert_int_equal(s.status, EK_CANCELLED);
    uint64_t count = 0;
    assert_int_equal(eventfd_read(s.cancel_fd, &count), 0);
    s.cancel_at = 0;
    ask(&s, "pieces");
    test_assert_str(buf_str(&s.text),
                    arena_printf(s.arena, "pieces=many late=0 %.*s", STR_ARG(pid)));
    close_stage(&s);
}

static void sink_that_says_stop_stops_the_child(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, "trial", "");
    s.pieces_max = 2;

    ask(&s, "endless");

    assert_int_equal(s.status, EK_CANCELLED);
    s.pieces_max = 0;
    ask(&s, "next");
    assert_text(&s, "as told: next");
    close_stage(&s);
}

static void child_that_breaks_down_at_load_is_a_warning(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, "trial_crashes_at_load", "");

    assert_int_equal(s.st, ST_OK);
    assert_complaint(&s, DIAG_WARNING, "kernel-host: killed by SIGABRT");
    ask(&s, "x");
    assert_int_equal(s.status, EK_BUSY);
    assert_said(s.error.message, "kernel-host: killed by SIGABRT; next start in");
    close_stage(&s);
}

static void child_that_hangs_at_load_is_a_warning(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, "trial", ", load_ms: 200, options: {say: hang}");

    assert_int_equal(s.st, ST_OK);
    assert_complaint(&s, DIAG_WARNING, "kernel-host: was not ready in time");
    close_stage(&s);
}

static void child_that_prints_much_is_not_held_up(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, "trial", "");

    ask(&s, "flood");

    assert_text(&s, "as told: flood");
    close_stage(&s);
}

static void child_is_locked_in(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, "trial", "");

    ask(&s, "break out");

    assert_text(&s, "socket=1 socketpair=1 exec=1 create=1 rdwr=1 fork=1 limit=1 prctl=1 read=1 "
                    "env=0 fd4=0 nice=1");
    close_stage(&s);
}

static void instances_are_as_many_as_asked_for(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, "trial", ", instances: 3");

    assert_int_equal(s.st, ST_OK);
    assert_non_null(kernel_own_pool(s.kernel));
    ask(&s, "x");
    assert_text(&s, "as told: x");
    close_stage(&s);
}

static void wait_doubles_up_to_its_ceiling(void **state)
{
    (void)state;
    assert_int_equal(kernel_child_wait_max_ms(1), 250);
    assert_int_equal(kernel_child_wait_max_ms(2), 500);
    assert_int_equal(kernel_child_wait_max_ms(8), 32000);
    assert_int_equal(kernel_child_wait_max_ms(9), 60000);
    assert_int_equal(kernel_child_wait_max_ms(UINT32_MAX), 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_can_do_what_its_kernel_says),
        cmocka_unit_test(kernel_answers_in_both_isolations),
        cmocka_unit_test(child_counts_the_prompt_with_its_own_tokenizer),
        cmocka_unit_test(refusal_comes_with_status_and_words),
        cmocka_unit_test(newer_minor_version_is_accepted),
        cmocka_unit_test(wrong_kernels_are_refused_with_a_reason),
        cmocka_unit_test(kernel_that_will_not_fit_is_refused),
        cmocka_unit_test(wrong_options_are_shown_where_they_stand),
        cmocka_unit_test(files_that_others_may_write_are_refused),
        cmocka_unit_test(files_of_other_users_are_refused),
        cmocka_unit_test(what_is_no_file_of_a_kernel_is_refused),
        cmocka_unit_test(breakdown_costs_one_call_and_says_why),
        cmocka_unit_test(kernel_that_does_not_stop_is_killed),
        cmocka_unit_test(cancel_stops_within_a_piece_and_keeps_the_child),
        cmocka_unit_test(sink_that_says_stop_stops_the_child),
        cmocka_unit_test(child_that_breaks_down_at_load_is_a_warning),
        cmocka_unit_test(child_that_hangs_at_load_is_a_warning),
        cmocka_unit_test(child_that_prints_much_is_not_held_up),
        cmocka_unit_test(child_is_locked_in),
        cmocka_unit_test(instances_are_as_many_as_asked_for),
        cmocka_unit_test(wait_doubles_up_to_its_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
