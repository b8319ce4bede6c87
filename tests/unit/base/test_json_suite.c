/* JSON texts and strings that others collected: JSONTestSuite (Nicolas Seriot) and the Big List of
 * Naughty Strings (Max Woolf). Both are data beside the project; without them the tests skip. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "tests/support/json_walk.h"
#include "tests/support/test.h"

enum {
    PATH_SIZE = 4096,
    TEXT_MAX = 1 << 20
};

/* Skips the running test where there is no shared data. */
static void find_shared(char path[PATH_SIZE], const char *name)
{
    const char *dir = test_shared_dir();
    if (dir == NULL) {
        print_message("no shared data here: set EXPERTD_SHARED to its folder\n");
        skip();
    }
    (void)snprintf(path, PATH_SIZE, "%s/data/suites/%s", dir, name);
}

/* A text of the suite, whole and walked. Names start with what is expected: y_ accept, n_ refuse,
 * i_ either, but the same both ways. Returns the letter. */
static char check_suite_text(const char *name, struct str text)
{
    struct json_reader r;
    const char *why = "accepted";
    enum status whole = json_validate(text, &why, NULL);
    enum status walked = json_walk(text, &r, NULL);

    if (whole != walked) {
        fail_msg("%s: validated %s, walked %s", name, status_text(whole), status_text(walked));
    }
    if ((name[0] == 'y' && whole != ST_OK) || (name[0] == 'n' && whole != ST_INVALID)) {
        fail_msg("%s: %s", name, why);
    }
    return name[0];
}

static void json_test_suite_is_judged_as_it_says(void **state)
{
    (void)state;
    char folder[PATH_SIZE];
    find_shared(folder, "JSONTestSuite/test_parsing");
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    size_t counts[256] = {0};

    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[2 * PATH_SIZE];
        if (!str_ends_with(str_from(entry->d_name), STR(".json"))) {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        struct str text = test_read_file(path);
        counts[(unsigned char)check_suite_text(entry->d_name, text)]++;
        mem_free((void *)(uintptr_t)text.ptr);
    }

    (void)closedir(dir);
    assert_true(counts['y'] > 90 && counts['n'] > 180 && counts['i'] > 30);
}

static struct json_value value_of(struct str text)
{
    struct json_reader r;
    struct json_value v = {0};
    json_reader_init(&r, text);
    assert_true(json_take(&r, &v));
    assert_int_equal(json_close(&r), ST_OK);
    return v;
}

/* Decodes v, writes the text, decodes that: the same text. */
static void assert_survives(struct json_value v)
{
    struct buf text;
    struct buf written;
    struct buf again;
    buf_init(&text, TEXT_MAX);
    buf_init(&written, TEXT_MAX);
    buf_init(&again, TEXT_MAX);

    assert_int_equal(json_decode(v, &text), ST_OK);
    assert_int_equal(json_write_text(&written, buf_str(&text)), ST_OK);
    struct json_value second = value_of(buf_str(&written));
    assert_int_equal(json_decode(second, &again), ST_OK);

    test_assert_str(buf_str(&again), buf_str(&text));
    assert_true(json_text_is(second, buf_str(&text)) && json_text_is(v, buf_str(&text)));
    buf_fini(&text);
    buf_fini(&written);
    buf_fini(&again);
}

static void naughty_strings_survive_reading_and_writing(void **state)
{
    (void)state;
    char path[PATH_SIZE];
    find_shared(path, "blns/blns.json");
    struct str file = test_read_file(path);
    struct json_reader r;
    size_t count = 0;

    json_reader_init(&r, file);
    assert_true(json_open(&r, JSON_ARRAY));
    while (json_next_item(&r)) {
        struct json_value v;
        assert_true(json_take(&r, &v));
        assert_survives(v);
        count++;
    }

    assert_int_equal(json_close(&r), ST_OK);
    assert_true(count > 500);
    mem_free((void *)(uintptr_t)file.ptr);
}

/* The file's lines as they are, control characters and all, are texts too. */
static void naughty_lines_survive_writing_and_reading(void **state)
{
    (void)state;
    char path[PATH_SIZE];
    find_shared(path, "blns/blns.txt");
    struct str file = test_read_file(path);
    struct str rest = file;
    struct str line;
    size_t count = 0;

    while (str_split(rest, '\n', &line, &rest)) {
        struct buf written;
        buf_init(&written, TEXT_MAX);
        assert_int_equal(json_write_text(&written, line), ST_OK);
        assert_true(json_text_is(value_of(buf_str(&written)), line));
        buf_fini(&written);
        count++;
    }

    assert_true(count > 500);
    mem_free((void *)(uintptr_t)file.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_test_suite_is_judged_as_it_says),
        cmocka_unit_test(naughty_strings_survive_reading_and_writing),
        cmocka_unit_test(naughty_lines_survive_writing_and_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
