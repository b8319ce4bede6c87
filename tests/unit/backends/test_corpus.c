/* Passage files: what is read, and what is said about those that are wrong. */
#include "backends/kernels/corpus.h"
#include "base/mem.h"
#include "tests/support/test.h"

struct fixture {
    struct arena *arena;
    struct diags diags;
    struct corpus corpus;
};

static void open_fixture(struct fixture *f)
{
    *f = (struct fixture){.arena = arena_create(4096, 1 << 20)};
    f->corpus.arena = arena_create(4096, 1 << 20);
    assert_non_null(f->arena);
    assert_non_null(f->corpus.arena);
    diags_init(&f->diags, f->arena);
}

static void close_fixture(struct fixture *f)
{
    corpus_fini(&f->corpus);
    arena_destroy(f->arena);
}

static void passages_are_unwrapped_paragraph_by_paragraph(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);

    enum status st =
        corpus_read(&f.corpus,
                    STR("# Theme\n\nNot read.\nSource: not read either\n\n"
                        "##  First  \n\nOne\ntwo.\r\n\n\nThree.\n\nSource: A book, 2020\n\n"
                        "## Second\nText ### here.\n# and here\nSource:B\n"),
                    STR("a.md"), &f.diags);

    assert_int_equal(st, ST_OK);
    assert_int_equal(f.corpus.count, 2);
    test_assert_str(f.corpus.passages[0].title, STR("First"));
    test_assert_str(f.corpus.passages[0].text, STR("One two.\n\nThree."));
    test_assert_str(f.corpus.passages[0].source, STR("A book, 2020"));
    test_assert_str(f.corpus.passages[1].text, STR("Text ### here. # and here"));
    test_assert_str(f.corpus.passages[1].source, STR("B"));
    close_fixture(&f);
}

static void mistakes_are_reported_with_their_line(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        int line;
        const char *message;
    } cases[] = {
        {"x\n## T\n\ntext\n", 2, "passage \"T\": the last line must be \"Source: …\""},
        {"## T\n\nSource: s\n", 1, "passage \"T\": there is no text"},
        {"## \ntext\nSource: s\n", 1, "passage \"\": the title is empty"},
        {"## T\ntext\nSource:\n", 3, "passage \"T\": the source is empty"},
        {"## T\ntext\nSource: s\nmore\n", 4, "passage \"T\": there is text after its source"},
        {"## T\ntext\nSource: s\n\n\n## U\ntext", 6,
         "passage \"U\": the last line must be \"Source: …\""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        open_fixture(&f);
        assert_int_equal(corpus_read(&f.corpus, str_from(cases[i].text), STR("a.md"), &f.diags),
                         ST_INVALID);
        assert_int_equal(f.diags.errors, 1);
        test_assert_str(f.diags.items[0].message, str_from(cases[i].message));
        assert_int_equal(f.diags.items[0].pos.line, cases[i].line);
        close_fixture(&f);
    }
}

static void folder_is_read_in_the_order_of_its_files(void **state)
{
    (void)state;
    struct fixture f;
    struct corpus corpus;
    struct corpus_where where = {STR("e.yaml"), {7, 3}};
    open_fixture(&f);

    assert_int_equal(
        corpus_load(STR("tests/unit/backends/data/passages"), &f.diags, where, &corpus), ST_OK);

    assert_int_equal(corpus.count, 4);
    test_assert_str(corpus.passages[0].title, STR("Watering tomatoes: how often and how much"));
    test_assert_str(corpus.passages[3].title, STR("Feeding goldfish in winter"));
    corpus_fini(&corpus);
    close_fixture(&f);
}

static void folder_without_passages_is_a_mistake_of_the_configuration(void **state)
{
    (void)state;

    static const struct {
        const char *folder;
        const char *message;
    } cases[] = {
        {"tests/unit/backends/data/empty",
         "the folder \"tests/unit/backends/data/empty\" has no passages"},
        {"tests/no-such-folder", "the folder \"tests/no-such-folder\" cannot be read"},
    };

    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        struct corpus corpus;
        struct corpus_where where = {STR("e.yaml"), {7, 3}};
        open_fixture(&f);
        assert_int_equal(corpus_load(str_from(cases[i].folder), &f.diags, where, &corpus),
                         ST_INVALID);
        test_assert_str(f.diags.items[0].message, str_from(cases[i].message));
        test_assert_str(f.diags.items[0].file, STR("e.yaml"));
        assert_int_equal(f.diags.items[0].pos.line, 7);
        corpus_fini(&corpus);
        close_fixture(&f);
    }
}

static void loading_without_memory_says_so(void **state)
{
    (void)state;
    enum status st = ST_NO_MEMORY;
    for (uint64_t nth = 1; st == ST_NO_MEMORY && nth < 100; nth++) {
        struct fixture f;
        struct corpus corpus;
        struct corpus_where where = {STR("e.yaml"), {7, 3}};
        open_fixture(&f);
        mem_fail_at(nth, 0);
        st = corpus_load(STR("tests/unit/backends/data/passages"), &f.diags, where, &corpus);
        mem_fail_at(0, 0);
        corpus_fini(&corpus);
        close_fixture(&f);
    }
    assert_int_equal(st, ST_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passages_are_unwrapped_paragraph_by_paragraph),
        cmocka_unit_test(mistakes_are_reported_with_their_line),
        cmocka_unit_test(folder_is_read_in_the_order_of_its_files),
        cmocka_unit_test(folder_without_passages_is_a_mistake_of_the_configuration),
        cmocka_unit_test(loading_without_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
