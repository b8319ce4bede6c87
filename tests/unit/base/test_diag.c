#include <stdio.h>

#include "base/diag.h"
#include "base/mem.h"
#include "tests/support/test.h"

/* An arena that lives for one test. */
static int set_up(void **state)
{
    *state = arena_create(4096, SIZE_MAX);
    return *state == NULL;
}

static int tear_down(void **state)
{
    mem_fail_at(0, 0);
    arena_destroy(*state);
    return 0;
}

enum {
    TEXT_SIZE = 4096
};

static struct str print(const struct diags *d, char text[TEXT_SIZE])
{
    FILE *out = fmemopen(text, TEXT_SIZE, "w");
    assert_non_null(out);
    diags_print(d, out);
    long len = ftell(out);
    (void)fclose(out);
    return (struct str){text, (size_t)len};
}

static void diagnostics_print_as_file_line_column(void **state)
{
    struct diags d;
    diags_init(&d, *state);

    diags_add(&d, DIAG_ERROR, STR("a.yaml"), (struct pos){3, 14}, "unknown key \"%s\"", "x");
    diags_add(&d, DIAG_WARNING, STR("a.yaml"), (struct pos){5, 1}, "key \"y\" does nothing");
    diags_add(&d, DIAG_ERROR, STR("a.yaml"), (struct pos){0, 0}, "file is empty");
    diags_add(&d, DIAG_ERROR, STR(""), (struct pos){0, 0}, "no file at all");

    char text[TEXT_SIZE];
    test_assert_str(print(&d, text), STR("a.yaml:3:14: unknown key \"x\"\n"
                                         "a.yaml:5:1: warning: key \"y\" does nothing\n"
                                         "a.yaml: file is empty\n"
                                         "no file at all\n"));
}

static void hidden_values_are_shown_as_their_names(void **state)
{
    struct diags d;
    diags_init(&d, *state);
    assert_int_equal(diags_hide(&d, STR("KEY"), STR("sk-0123456789")), ST_OK);
    assert_int_equal(diags_hide(&d, STR("LONGER"), STR("sk-0123456789-and-more")), ST_OK);
    assert_int_equal(diags_hide(&d, STR("PORT"), STR("8080")), ST_OK);

    diags_add(&d, DIAG_ERROR, STR(""), (struct pos){0, 0}, "no \"%s\" at %s", "sk-0123456789",
              "8080");
    diags_add(&d, DIAG_ERROR, STR(""), (struct pos){0, 0}, "a%sb", "sk-0123456789-and-more");
    diags_add(&d, DIAG_ERROR, STR(""), (struct pos){0, 0}, "cut: %s", "sk-0123456789-an...");
    diags_add(&d, DIAG_ERROR, STR(""), (struct pos){0, 0}, "other: %s", "sk-01234, sk-0...");

    char text[TEXT_SIZE];
    test_assert_str(print(&d, text), STR("no \"${KEY}\" at 8080\n"
                                         "a${LONGER}b\n"
                                         "cut: ${LONGER}...\n"
                                         "other: sk-01234, sk-0...\n"));
}

static void a_message_that_cannot_be_hidden_is_not_shown(void **state)
{
    struct diags d;
    diags_init(&d, *state);
    assert_int_equal(diags_hide(&d, STR("KEY"), STR("sk-0123456789")), ST_OK);
    mem_fail_at(1, 1);
    diags_add(&d, DIAG_ERROR, STR(""), (struct pos){0, 0}, "no \"%s\"", "sk-0123456789");
    mem_fail_at(0, 0);

    assert_int_equal(d.errors, 1);
    test_assert_str(d.items[0].message, STR("no memory for this message"));
}

static void warnings_are_no_errors(void **state)
{
    struct diags d;
    diags_init(&d, *state);

    diags_add(&d, DIAG_WARNING, STR("f"), (struct pos){1, 1}, "w");
    assert_false(diags_has_errors(&d));
    diags_add(&d, DIAG_ERROR, STR("f"), (struct pos){1, 1}, "e");

    assert_true(diags_has_errors(&d));
}

static void errors_beyond_the_ceiling_are_counted(void **state)
{
    struct diags d;
    diags_init(&d, *state);
    for (int i = 0; i < DIAG_MAX; i++) {
        diags_add(&d, DIAG_WARNING, STR("f"), (struct pos){1, 1}, "w");
    }

    diags_add(&d, DIAG_ERROR, STR("f"), (struct pos){1, 1}, "e");

    assert_int_equal(d.count, DIAG_MAX);
    assert_int_equal(d.errors, 1);
    assert_true(diags_has_errors(&d));
}

static void hidden_errors_are_mentioned(void **state)
{
    struct diags d;
    char text[TEXT_SIZE];
    diags_init(&d, *state);
    for (int i = 0; i < DIAG_MAX + 2; i++) {
        diags_add(&d, DIAG_ERROR, STR("f"), (struct pos){1, 1}, "e");
    }

    assert_true(str_ends_with(print(&d, text), STR("\n2 more errors are not shown\n")));
}

static void diagnostic_without_memory_still_counts(void **state)
{
    struct diags d;
    diags_init(&d, *state);

    mem_fail_at(1, 1);
    diags_add(&d, DIAG_ERROR, STR("f"), (struct pos){1, 2}, "%05000d", 1);
    mem_fail_at(0, 0);

    assert_true(diags_has_errors(&d));
    char text[TEXT_SIZE];
    test_assert_str(print(&d, text), STR("f:1:2: no memory for this message\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(diagnostics_print_as_file_line_column, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hidden_values_are_shown_as_their_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_that_cannot_be_hidden_is_not_shown, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(warnings_are_no_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_beyond_the_ceiling_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hidden_errors_are_mentioned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(diagnostic_without_memory_still_counts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
