/* Demonstrations: what a file may hold, which are near, and what fits. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "router/demos.h"
#include "tests/support/test.h"

#define DEMO(prompt, answer) "{\"prompt\":\"" prompt "\",\"answer\":\"" answer "\"}\n"
#define FILE_OF_THREE                                                                              \
    DEMO("What dose of amoxicillin for a child with an ear infection?", "Ask a doctor.")           \
    "\n" DEMO("How do I reverse a linked list in C?", "Three pointers.")                           \
        DEMO("Is a verbal contract binding in court?", "Often.")

struct sample {
    struct arena *arena;
    struct diags diags;
    struct classifier *classifier;
    const struct demos *demos;
    enum status st;
};

static void read_bytes(struct sample *s, const char *text)
{
    char path[] = "/tmp/demos-XXXXXX";
    struct str bytes = str_from(text);
    memset(s, 0, sizeof *s);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.ptr, bytes.len), bytes.len);
    assert_int_equal(close(fd), 0);
    s->arena = arena_create(4096, 1 << 24);
    diags_init(&s->diags, s->arena);
    struct key_reader reader = {.arena = s->arena, .diags = &s->diags, .root = STR(".")};
    assert_int_equal(classifier_load("conf/models/domains.edm", &s->diags, &s->classifier), ST_OK);
    s->st = demos_read(&reader, str_from(path), s->classifier, &s->demos);
    assert_int_equal(unlink(path), 0);
}

static void fini(struct sample *s)
{
    classifier_unref(s->classifier);
    arena_destroy(s->arena);
}

static void pick(struct sample *s, const char *prompt, size_t k, int64_t budget_tokens,
                 struct demos_picked *ret)
{
    struct classifier_scratch *scratch = classifier_scratch_create();
    struct classifier_segment segment = {str_from(prompt), 1.0F};
    struct classifier_result result;
    assert_non_null(scratch);
    classifier_score(s->classifier, scratch, &segment, 1, &result);
    demos_pick(s->demos, result.vector, k, budget_tokens, ret);
    classifier_scratch_destroy(scratch);
}

static void the_nearest_stands_last(void **state)
{
    struct sample s;
    struct demos_picked picked;
    (void)state;
    read_bytes(&s, FILE_OF_THREE);
    assert_int_equal(s.st, ST_OK);

    pick(&s, "How many milligrams of penicillin for a toddler with a sore throat?", 2, 1000,
         &picked);
    assert_int_equal(picked.count, 2);
    assert_int_equal(picked.lines[1], 1);
    test_assert_str(
        picked.messages[1],
        STR("{\"role\":\"user\",\"content\":\"What dose of amoxicillin for a child with "
            "an ear infection?\"},{\"role\":\"assistant\",\"content\":\"Ask a "
            "doctor.\"},"));
    pick(&s, "Write a function that sorts an array of pointers", 1, 1000, &picked);
    assert_int_equal(picked.lines[0], 3);
    pick(&s, "Can my landlord sue me for breach of the lease?", 16, 1000, &picked);
    assert_int_equal(picked.count, 3);
    assert_int_equal(picked.lines[2], 4);
    fini(&s);
}

static void what_does_not_fit_is_passed_over(void **state)
{
    struct sample s;
    struct demos_picked picked;
    (void)state;
    read_bytes(&s, FILE_OF_THREE);

    pick(&s, "What dose of amoxicillin for a child?", 3, 14, &picked);

    assert_true(picked.tokens <= 14);
    assert_true(picked.count >= 1);
    for (size_t i = 0; i < picked.count; i++) {
        assert_int_not_equal(picked.lines[i], 1); /* 18 tokens */
    }
    fini(&s);
}

static void mistakes_are_told_with_their_line(void **state)
{
    static const struct {
        const char *text;
        int line;
    } cases[] = {
        {DEMO("a", "b") "{\"prompt\":\"a\"}\n", 2},
        {"\n\n{\"prompt\":\"a\",\"answer\":\"b\",\"x\":1}\n", 3},
        {"{\"prompt\":\"a\",\"answer\":\"\"}\n", 1},
        {"{\"prompt\":\"a\",\"answer\":3}\n", 1},
        {"{\"prompt\":\"a\",\"prompt\":\"a\",\"answer\":\"b\"}\n", 1},
        {DEMO("a", "b") "no json", 2},
        {"{\"prompt\":\"a\",\"answer\":\"b\"} {}\n", 1},
        {"[]\n", 1},
        {"", 0},
    };

    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sample s;
        read_bytes(&s, cases[i].text);
        assert_int_equal(s.st, ST_OK);
        assert_null(s.demos);
        assert_int_equal(s.diags.errors, 1);
        assert_int_equal(s.diags.items[0].pos.line, cases[i].line);
        fini(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_stands_last),
        cmocka_unit_test(what_does_not_fit_is_passed_over),
        cmocka_unit_test(mistakes_are_told_with_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
