/* Texts as vectors of their words: of length 1, near where texts mean the same, refused where nothing is
 * known of them. */
#include <math.h>
#include <string.h>

#include "gateway/words.h"
#include "router/features.h"
#include "tests/support/kernel_case.h"

#define MODEL "conf/models/domains.edm"

enum {
    WIDTH_MAX = 256,
};

struct vector {
    float values[WIDTH_MAX];
    struct kernel_vectors asked;
    struct ek_error error;
    enum ek_status status;
};

static int set_up(void **state)
{
    static struct kernel_case c;
    kernel_case_open(&c, &words_kernel, MODEL, "");
    *state = &c;
    return c.st != ST_OK;
}

static int tear_down(void **state)
{
    kernel_case_close(*state);
    return 0;
}

static void embed(struct kernel_case *c, struct str text, size_t dimensions, struct vector *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->asked.ek = (struct ek_vectors){.size = sizeof ret->asked.ek,
                                        .values = ret->values,
                                        .capacity = WIDTH_MAX,
                                        .dimensions = dimensions};
    ret->status = kernel_embed(c->kernel, &ret->asked, text, &ret->error);
}

static float inner(const struct vector *a, const struct vector *b)
{
    float sum = 0.0F;
    for (size_t i = 0; i < a->asked.ek.width; i++) {
        sum += a->values[i] * b->values[i];
    }
    return sum;
}

static void texts_that_mean_the_same_are_nearer(void **state)
{
    struct vector a;
    struct vector near;
    struct vector far;

    embed(*state, STR("How do I treat a burn on my hand?"), 0, &a);
    embed(*state, STR("first aid for scalded skin"), 0, &near);
    embed(*state, STR("Write a Python function that sorts a list"), 0, &far);

    assert_int_equal(a.status, EK_OK);
    assert_true(fabsf(inner(&a, &a) - 1.0F) < 1e-5F);
    assert_true(inner(&a, &near) > inner(&a, &far) + 0.1F);
}

static void order_and_case_of_words_do_not_count(void **state)
{
    struct vector a;
    struct vector b;

    embed(*state, STR("the dog bites the man"), 0, &a);
    embed(*state, STR("The man bites the DOG"), 0, &b);

    assert_memory_equal(a.values, b.values, sizeof a.values);
}

static void what_it_does_not_know_is_refused(void **state)
{
    static const char *const texts[] = {"", " \n", "?!", "qzxvkq"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct vector v;
        embed(*state, str_from(texts[i]), 0, &v);
        if (v.status != EK_BAD_REQUEST || strcmp(v.error.option, "input") != 0) {
            fail_msg("\"%s\": %d, \"%s\"", texts[i], (int)v.status, v.error.option);
        }
    }
}

static void all_of_a_long_text_counts_until_it_is_too_long(void **state)
{
    char text[FEATURES_BYTES_MAX + 1];
    struct vector start;
    struct vector whole;
    struct vector v;
    memset(text, ' ', sizeof text);
    memcpy(text, "medicine", 8);
    embed(*state, (struct str){text, 8000}, 0, &start);
    memcpy(text + 4000, " football ", 10);

    embed(*state, (struct str){text, 8000}, 0, &whole);
    assert_int_equal(whole.status, EK_OK);
    assert_true(inner(&whole, &start) < 0.95F);
    embed(*state, (struct str){text, sizeof text}, 0, &v);
    assert_int_equal(v.status, EK_TOO_LONG);
    memset(text, 'a', sizeof text); /* without a blank to cut at */
    embed(*state, (struct str){text, sizeof text - 1}, 0, &v);
    assert_int_equal(v.status, EK_BAD_REQUEST);
}

static void it_has_one_width(void **state)
{
    struct vector a;
    struct vector v;
    embed(*state, STR("a ball"), 0, &a);

    embed(*state, STR("a ball"), a.asked.ek.width, &v);
    assert_int_equal(v.status, EK_OK);
    embed(*state, STR("a ball"), a.asked.ek.width - 1, &v);
    assert_int_equal(v.status, EK_UNSUPPORTED);
    assert_string_equal(v.error.option, "dimensions");
}

static void it_does_not_chat(void **state)
{
    struct kernel_case *c = *state;

    kernel_case_ask(c, "hi");

    assert_int_equal(c->status, EK_UNSUPPORTED);
    assert_int_equal(kernel_capabilities(c->kernel) & (EK_CAP_EMBED | EK_CAP_GENERATE),
                     EK_CAP_EMBED);
}

static void files_without_word_vectors_are_refused_where_they_stand(void **state)
{
    static const struct {
        const char *options;
        const char *want;
    } cases[] = {
        {"{model: README.md}", "1:9: \"README.md\": "},
        {"{model: nothing.edm}", "1:9: \"nothing.edm\": "},
        {"{}", "1:1: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kernel_case c;
        kernel_case_open(&c, &words_kernel, cases[i].options, "");
        assert_int_equal(c.st, ST_INVALID);
        struct str got = kernel_case_diag(&c);
        if (!str_starts_with(got, str_from(cases[i].want))) {
            fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(got), cases[i].want);
        }
        kernel_case_close(&c);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts_that_mean_the_same_are_nearer),
        TEST(order_and_case_of_words_do_not_count),
        TEST(what_it_does_not_know_is_refused),
        TEST(all_of_a_long_text_counts_until_it_is_too_long),
        TEST(it_has_one_width),
        TEST(it_does_not_chat),
        cmocka_unit_test(files_without_word_vectors_are_refused_where_they_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
