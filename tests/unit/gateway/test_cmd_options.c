/* Options of commands: which values go where, and what is refused. */
#include <stdio.h>

#include "gateway/cmd_options.h"
#include "tests/support/test.h"

struct place {
    bool is_loud;
    bool wants_help;
    const char *name;
    int64_t number;
    double share;
    size_t calls;
};

static bool take_two(void *place, const char *value)
{
    struct place *p = place;
    return value[0] != '\0' && ++p->calls <= 2;
}

/* Words behind the command's name, in a table that ends with NULL. */
static bool read_words(struct place *p, const char *const *words)
{
    const struct cmd_option options[] = {
        {.name = "loud", .kind = CMD_FLAG, .place = &p->is_loud, .letter = 'l'},
        {.name = "name", .kind = CMD_TEXT, .place = &p->name, .letter = 'n'},
        {.name = "number", .kind = CMD_NUMBER, .place = &p->number, .min = 1, .max = 9},
        {.name = "share", .kind = CMD_REAL, .place = &p->share},
        {.name = "call", .kind = CMD_CALL, .place = p, .take = take_two},
        {.name = "help", .kind = CMD_HELP, .place = &p->wants_help},
    };
    char *argv[16] = {0};
    char text[16][32] = {"try"};
    int argc = 1;
    argv[0] = text[0];
    for (size_t i = 0; words[i] != NULL; i++) {
        (void)snprintf(text[argc], sizeof text[argc], "%s", words[i]);
        argv[argc] = text[argc];
        argc++;
    }
    *p = (struct place){.number = 5};
    bool is_read = cmd_options_read(argc, argv, options, sizeof options / sizeof options[0]);
    if (p->name != NULL) {
        assert_string_equal(p->name, "alice"); /* while its argv is there */
    }
    return is_read;
}

static void values_go_to_their_places(void **state)
{
    static const char *const words[] = {"-l",  "-n",     "alice", "--number=9", "--share",
                                        "0.5", "--call", "x",     "--call=y",   NULL};
    struct place p;
    (void)state;

    assert_true(read_words(&p, words));

    assert_true(p.is_loud);
    assert_non_null(p.name);
    assert_int_equal(p.number, 9);
    assert_true(p.share > 0.49 && p.share < 0.51);
    assert_int_equal(p.calls, 2);
    assert_false(p.wants_help);
}

static void what_is_not_given_stays(void **state)
{
    static const char *const words[] = {NULL};
    struct place p;
    (void)state;

    assert_true(read_words(&p, words));

    assert_int_equal(p.number, 5);
    assert_false(p.is_loud);
    assert_null(p.name);
}

static void what_cannot_be_is_refused(void **state)
{
    static const char *const cases[][4] = {
        {"word"},          {"--loud", "word"},         {"--quiet"},    {"-q"},
        {"--number", "0"}, {"--number", "10"},         {"--number=x"}, {"--number"},
        {"--share", "x"},  {"--call", "a", "--call="}, {"--loud=1"},
    };
    struct place p;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (read_words(&p, cases[i])) {
            fail_msg("case %zu was read", i);
        }
    }
}

static void behind_help_nothing_is_read(void **state)
{
    static const char *const words[] = {"--help", "--quiet", "word", NULL};
    struct place p;
    (void)state;

    assert_true(read_words(&p, words));

    assert_true(p.wants_help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_go_to_their_places),
        cmocka_unit_test(what_is_not_given_stays),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(behind_help_nothing_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
