/* Every case of the yaml-test-suite (402, YAML 1.2.2) through yaml_parse: nothing may crash or hang,
 * what the suite calls an error must be refused, and enough of the valid ones must be read. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "tests/support/test.h"

enum {
    CASES_MAX = 512,
    NAME_SIZE = 16,
};

/* Errors by YAML 1.2.2 that libyaml 0.2.5 reads. None of them can be misread by an operator: the
 * value is the one that the text shows. */
static const char *const lenient[] = {
    "SU5Z",     /* a comment right after closing quotes, without a blank */
    "9JBA",     /* the same after the end of a flow list */
    "CVW2",     /* the same after a comma in a flow list */
    "X4QW",     /* the same after the sign of a block scalar */
    "MUS6/00",  /* the same after the %YAML directive */
    "9C9N",     /* items of a flow list less indented than their key */
    "Y79Y/003", /* a tab before an item of a flow list */
    "QB6E",     /* quoted text that goes on less indented than its key */
    "DK95/01",  /* quoted text that goes on after a tab */
    "S98Z",     /* a block scalar whose blank lines are longer than its indentation */
    "G5U8",     /* "-" as an item of a flow list */
    "YJV2",     /* the same, alone */
};

enum {
    /* Valid cases that are read: of 308 the others use tags, anchors, aliases, several documents or
     * keys that are no text, which are refused on purpose, or forms that libyaml does not know. */
    VALID_READ_MIN = 180,
};

struct suite {
    char names[CASES_MAX][NAME_SIZE]; /* "229Q" or "VJP3/00" */
    size_t count;
};

static struct suite suite;

static const char *suite_path(const char *name, const char *file)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/data/suites/yaml-test-suite/%s/%s", test_shared_dir(),
                   name, file);
    return path;
}

static bool exists(const char *name, const char *file)
{
    return access(suite_path(name, file), R_OK) == 0;
}

static void add_case(const char *name)
{
    if (exists(name, "in.yaml")) {
        assert_true(suite.count < CASES_MAX);
        (void)snprintf(suite.names[suite.count], NAME_SIZE, "%s", name);
        suite.count++;
    }
}

static void list_folder(const char *prefix, void (*found)(const char *name))
{
    DIR *dir = opendir(suite_path(prefix, ""));
    if (dir == NULL) {
        return; /* a file */
    }
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char name[NAME_SIZE];
        if (e->d_name[0] != '.' && strlen(e->d_name) <= 4) { /* "229Q", "00" */
            const char *glue = prefix[0] == '\0' ? "" : "/";
            (void)snprintf(name, sizeof name, "%.4s%s%.4s", prefix, glue, e->d_name);
            found(name);
        }
    }
    (void)closedir(dir);
}

static void on_top_folder(const char *name)
{
    add_case(name);
    list_folder(name, add_case);
}

static int find_cases(void **state)
{
    (void)state;
    if (test_shared_dir() != NULL) {
        list_folder("", on_top_folder);
    }
    return 0;
}

static void skip_without_suite(void)
{
    if (suite.count == 0) {
        print_message("SKIPPED: no yaml-test-suite; set EXPERTD_SHARED\n");
        skip();
    }
}

static enum status parse_case(const char *name)
{
    struct str text = test_read_file(suite_path(name, "in.yaml"));
    struct arena *arena = arena_create(4096, 1 << 20);
    assert_non_null(arena);
    struct diags diags;
    diags_init(&diags, arena);
    struct yaml_node *root = NULL;
    enum status st = yaml_parse(text, str_from(name), arena, &diags, &root);
    assert_int_equal(st == ST_OK, root != NULL);
    assert_int_equal(st == ST_INVALID, diags_has_errors(&diags));
    arena_destroy(arena);
    mem_free((void *)(uintptr_t)text.ptr);
    return st;
}

static bool is_lenient(const char *name)
{
    for (size_t i = 0; i < sizeof lenient / sizeof lenient[0]; i++) {
        if (strcmp(lenient[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void every_case_of_the_suite_is_found(void **state)
{
    (void)state;
    skip_without_suite();

    assert_int_equal(suite.count, 402);
}

static void errors_of_the_suite_are_refused_but_for_the_lenient_ones(void **state)
{
    (void)state;
    skip_without_suite();

    for (size_t i = 0; i < suite.count; i++) {
        const char *name = suite.names[i];
        if (!exists(name, "error")) {
            continue;
        }
        enum status st = parse_case(name);
        enum status want = is_lenient(name) ? ST_OK : ST_INVALID;
        if (st != want) {
            fail_msg("%s gives \"%s\"", name, status_text(st));
        }
    }
}

static void enough_valid_cases_of_the_suite_are_read(void **state)
{
    (void)state;
    skip_without_suite();

    size_t read = 0;
    for (size_t i = 0; i < suite.count; i++) {
        if (!exists(suite.names[i], "error")) {
            read += parse_case(suite.names[i]) == ST_OK;
        }
    }
    assert_true(read >= VALID_READ_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_of_the_suite_is_found),
        cmocka_unit_test(errors_of_the_suite_are_refused_but_for_the_lenient_ones),
        cmocka_unit_test(enough_valid_cases_of_the_suite_are_read),
    };
    return cmocka_run_group_tests(tests, find_cases, NULL);
}
