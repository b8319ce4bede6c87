/* Example lines: what counts, and every mistake with its line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "router/examples.h"
#include "tests/support/test.h"

#define LINES "one\ntwo\nthree\nfour\nfive\n"
#define MORE  "six\nseven\neight\nnine\nten\neleven\ntwelve\nthirteen\nfourteen\nfifteen\n"

struct sample {
    struct arena *arena;
    struct diags diags;
    struct examples examples;
    enum status st;
    char path[32];
};

static void read_bytes(struct sample *s, struct str bytes)
{
    memset(s, 0, sizeof *s);
    memcpy(s->path, "/tmp/examples-XXXXXX", sizeof "/tmp/examples-XXXXXX");
    int fd = mkstemp(s->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.ptr, bytes.len), bytes.len);
    assert_int_equal(close(fd), 0);
    s->arena = arena_create(4096, 1 << 24);
    diags_init(&s->diags, s->arena);
    struct key_reader reader = {.arena = s->arena, .diags = &s->diags, .root = STR(".")};
    struct str path = str_from(s->path);
    struct key_texts given = {&path, 1};
    s->st = examples_read(&reader, STR("c.yaml"), (struct pos){7, 3}, &given, &s->examples);
    assert_int_equal(unlink(s->path), 0);
}

static void fini(struct sample *s)
{
    arena_destroy(s->arena);
}

static void lines_count_without_comments_and_blanks(void **state)
{
    struct sample s;
    (void)state;

    read_bytes(&s, STR("# title\n\n  one  \r\ntwo\nthree\nfour\nfive\n" MORE));

    assert_int_equal(s.st, ST_OK);
    assert_int_equal(s.examples.count, 15);
    test_assert_str(s.examples.lines[0].text, STR("one"));
    assert_int_equal(s.examples.lines[0].line, 3);
    assert_int_equal(s.diags.count, 0);
    fini(&s);
}

struct mistake {
    struct str bytes;
    const char *message;
    int line;
    enum diag_severity severity;
};

static void mistakes_name_their_line(void **state)
{
    static const struct mistake cases[] = {
        {STR_INIT(""), "needs 5 examples", 0, DIAG_ERROR},
        {STR_INIT("a\nb\nc\nd\n"), "needs 5 examples", 0, DIAG_ERROR},
        {STR_INIT("a\n\377\376\n" LINES), "no text", 2, DIAG_ERROR},
        {STR_INIT("a\nb\0c\n" LINES), "no text", 2, DIAG_ERROR},
        {STR_INIT(LINES MORE "two\n"), "twice", 16, DIAG_WARNING},
        {STR_INIT(LINES), "few examples", 0, DIAG_WARNING},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sample s;
        read_bytes(&s, cases[i].bytes);
        assert_int_equal(s.st, ST_OK);
        assert_int_equal(s.diags.count, 1);
        assert_int_equal(s.diags.items[0].severity, cases[i].severity);
        assert_int_equal(s.diags.items[0].pos.line, cases[i].line);
        assert_int_equal(s.examples.count > 0, cases[i].severity == DIAG_WARNING);
        if (str_find(s.diags.items[0].message, str_from(cases[i].message)) ==
            s.diags.items[0].message.len) {
            fail_msg("want \"%s\", got \"%.*s\"", cases[i].message,
                     STR_ARG(s.diags.items[0].message));
        }
        fini(&s);
    }
}

static void a_line_that_is_too_long_is_refused(void **state)
{
    struct sample s;
    static char bytes[EXAMPLES_LINE_MAX + 20];
    (void)state;
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes, "one\n", 4);

    read_bytes(&s, (struct str){bytes, sizeof bytes});

    assert_int_equal(s.diags.errors, 1);
    assert_int_equal(s.diags.items[0].pos.line, 2);
    fini(&s);
}

static void a_missing_file_is_a_mistake(void **state)
{
    struct sample s = {.arena = arena_create(4096, 1 << 20)};
    struct str path = STR("/nowhere/examples.txt");
    struct key_texts given = {&path, 1};
    (void)state;
    diags_init(&s.diags, s.arena);
    struct key_reader reader = {.arena = s.arena, .diags = &s.diags, .root = STR(".")};

    s.st = examples_read(&reader, STR("c.yaml"), (struct pos){7, 3}, &given, &s.examples);

    assert_int_equal(s.diags.errors, 1);
    assert_int_equal(s.examples.count, 0);
    fini(&s);
}

static void inline_examples_have_the_place_of_their_list(void **state)
{
    struct sample s = {.arena = arena_create(4096, 1 << 20)};
    struct str texts[] = {STR("a"), STR("b"), STR("c")};
    struct key_texts given = {texts, 3};
    (void)state;
    diags_init(&s.diags, s.arena);
    struct key_reader reader = {.arena = s.arena, .diags = &s.diags, .root = STR(".")};

    s.st = examples_read(&reader, STR("c.yaml"), (struct pos){7, 3}, &given, &s.examples);

    assert_int_equal(s.diags.errors, 1);
    assert_int_equal(s.diags.items[0].pos.line, 7);
    test_assert_str(s.diags.items[0].file, STR("c.yaml"));
    fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_count_without_comments_and_blanks),
        cmocka_unit_test(mistakes_name_their_line),
        cmocka_unit_test(a_line_that_is_too_long_is_refused),
        cmocka_unit_test(a_missing_file_is_a_mistake),
        cmocka_unit_test(inline_examples_have_the_place_of_their_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
