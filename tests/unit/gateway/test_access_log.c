/* The access log: whole lines in order, nothing lost on close, workers never wait. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "gateway/access_log.h"
#include "tests/support/test.h"

enum {
    LINES_MAX = 32 * 1024 * 1024,
};

struct fixture {
    char path[64];
    struct access_log *log;
    struct buf lines;
};

static void start(struct fixture *f)
{
    (void)snprintf(f->path, sizeof f->path, "/tmp/expertd-log-XXXXXX");
    int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    (void)close(fd);
    buf_init(&f->lines, LINES_MAX);
    assert_int_equal(access_log_open(str_from(f->path), 0640, &f->log), ST_OK);
}

static void post(struct fixture *f, const char *text)
{
    assert_int_equal(buf_append(&f->lines, str_from(text)), ST_OK);
    access_log_post(f->log, &f->lines);
    assert_int_equal(f->lines.len, 0);
}

/* Closes the log and gives back what is in the file. */
static struct str stop(struct fixture *f)
{
    access_log_close(f->log);
    buf_fini(&f->lines);
    struct str text = test_read_file(f->path);
    (void)unlink(f->path);
    return text;
}

static void free_text(struct str text)
{
    union {
        const char *in;
        void *out;
    } block = {.in = text.ptr}; /* test_read_file's block */

    mem_free(block.out);
}

static void lines_are_written_in_order_before_close_returns(void **state)
{
    struct fixture f;
    struct buf want;
    char line[64];
    (void)state;
    buf_init(&want, LINES_MAX);
    start(&f);

    for (int i = 0; i < 2000; i++) {
        (void)snprintf(line, sizeof line, "{\"n\":%d}\n{\"n\":\"%d again\"}\n", i, i);
        assert_int_equal(buf_append(&want, str_from(line)), ST_OK);
        post(&f, line);
    }

    assert_int_equal(access_log_dropped(f.log), 0);
    struct str got = stop(&f);
    test_assert_str(got, buf_str(&want));
    free_text(got);
    buf_fini(&want);
}

static void a_file_that_exists_is_appended_to(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    post(&f, "first\n");
    access_log_close(f.log);

    assert_int_equal(access_log_open(str_from(f.path), 0640, &f.log), ST_OK);
    post(&f, "second\n");

    struct str got = stop(&f);
    test_assert_str(got, STR("first\nsecond\n"));
    free_text(got);
}

static void nothing_to_say_is_nothing_written(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);

    post(&f, "");

    struct str got = stop(&f);
    test_assert_str(got, STR(""));
    free_text(got);
}

static void off_takes_lines_and_forgets_them(void **state)
{
    struct access_log *log;
    struct buf lines;
    (void)state;
    buf_init(&lines, LINES_MAX);
    assert_int_equal(access_log_open(STR("off"), 0640, &log), ST_OK);
    assert_int_equal(buf_append(&lines, STR("x\n")), ST_OK);

    access_log_post(log, &lines);

    assert_int_equal(lines.len, 0);
    assert_int_equal(access_log_dropped(log), 0);
    access_log_close(log);
    buf_fini(&lines);
}

static void batches_over_the_ceiling_are_dropped_and_counted(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    char *big = mem_zalloc(1, 17 * 1024 * 1024);
    memset(big, 'x', 17 * 1024 * 1024 - 1);

    post(&f, big);
    post(&f, "after\n");

    assert_int_equal(access_log_dropped(f.log), 1);
    struct str got = stop(&f);
    test_assert_str(got, STR("after\n"));
    free_text(got);
    mem_free(big);
}

static void short_of_memory_a_batch_is_dropped_and_counted(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    assert_int_equal(buf_append(&f.lines, STR("lost\n")), ST_OK);

    mem_fail_at(1, 1);
    access_log_post(f.log, &f.lines);
    mem_fail_at(0, 0);

    assert_int_equal(f.lines.len, 0);
    assert_int_equal(access_log_dropped(f.log), 1);
    free_text(stop(&f));
}

static void a_path_that_cannot_be_opened_is_an_error(void **state)
{
    struct access_log *log = NULL;
    (void)state;
    assert_int_equal(access_log_open(STR("/nonexistent/access.log"), 0640, &log), ST_IO);
    assert_int_equal(access_log_open(STR(""), 0640, &log), ST_IO);
    assert_null(log);
    access_log_close(NULL);
}

static void opening_without_memory_leaves_nothing_behind(void **state)
{
    struct access_log *log = NULL;
    char path[64] = "/tmp/expertd-log-XXXXXX";
    (void)state;
    int fd = mkstemp(path);
    int next = dup(fd);
    (void)close(next);
    for (uint64_t n = 1; n <= 3; n++) {
        mem_fail_at(n, 1);
        enum status st = access_log_open(str_from(path), 0640, &log);
        mem_fail_at(0, 0);
        assert_int_equal(st, ST_NO_MEMORY);
    }

    int after = dup(fd);

    assert_int_equal(after, next); /* no descriptor was left open */
    (void)close(after);
    (void)close(fd);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_written_in_order_before_close_returns),
        cmocka_unit_test(a_file_that_exists_is_appended_to),
        cmocka_unit_test(nothing_to_say_is_nothing_written),
        cmocka_unit_test(off_takes_lines_and_forgets_them),
        cmocka_unit_test(batches_over_the_ceiling_are_dropped_and_counted),
        cmocka_unit_test(short_of_memory_a_batch_is_dropped_and_counted),
        cmocka_unit_test(a_path_that_cannot_be_opened_is_an_error),
        cmocka_unit_test(opening_without_memory_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
