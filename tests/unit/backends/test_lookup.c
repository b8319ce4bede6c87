/* The lookup kernel on a small corpus of its own, and on those that come with the project. */
#include <string.h>

#include "backends/kernels/kernels.h"
#include "base/mem.h"
#include "tests/support/kernel_case.h"

#define GARDEN "{folder: tests/unit/backends/data/passages, title: Garden}"

static void lookup_answers_with_the_passage_its_title_and_source(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &lookup_kernel, GARDEN, "");

    kernel_case_ask(&c, "How often should I water my tomatoes?");

    assert_int_equal(c.status, EK_OK);
    test_assert_str(
        buf_str(&c.text),
        STR("Water tomatoes early in the morning, at the root and not over the leaves. Two "
            "litres a plant are enough.\n\nIn a heat wave water them twice.|\n\nFrom \"|"
            "Watering tomatoes: how often and how much|\". Source: |Garden handbook, "
            "chapter 3, 2020|"));
    kernel_case_close(&c);
}

static void lookup_gives_as_many_passages_as_it_is_told(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(
        &c, &lookup_kernel,
        "{folder: tests/unit/backends/data/passages, title: G, passages: 3, min_share: "
        "0.1}",
        "");

    kernel_case_ask(&c, "goldfish in a pond");

    struct str text = buf_str(&c.text);
    size_t goldfish = str_find(text, STR("Pond society, leaflet 7"));
    size_t pond = str_find(text, STR("Pond society, leaflet 2"));
    assert_true(goldfish < text.len && pond < text.len);
    assert_int_equal(str_find(text, STR("Garden handbook")), text.len);
    kernel_case_close(&c);
}

static void lookup_says_that_it_found_nothing(void **state)
{
    (void)state;
    static const char *const questions[] = {
        "What is the capital of France?", "submarine", "", "thanks!", "how are you?",
    };
    struct kernel_case c;
    kernel_case_open(&c, &lookup_kernel, GARDEN, "");
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        kernel_case_ask(&c, questions[i]);
        if (!str_starts_with(buf_str(&c.text), STR("I found nothing on that in \"|Garden|\""))) {
            fail_msg("\"%s\" gave \"%.*s\"", questions[i], STR_ARG(buf_str(&c.text)));
        }
        assert_int_equal(c.status, EK_OK);
    }
    kernel_case_close(&c);
}

static void short_follow_up_leans_on_the_question_before(void **state)
{
    (void)state;
    static const struct ek_message messages[] = {
        {{"user", 4}, {"How do I feed my goldfish?", 26}},
        {{"assistant", 9}, {"...", 3}},
        {{"user", 4}, {"And in winter?", 14}},
    };
    static const struct ek_message thanks[] = {
        {{"user", 4}, {"How do I feed my goldfish?", 26}},
        {{"user", 4}, {"Ok, thanks!", 11}},
    };
    struct kernel_case c;
    kernel_case_open(&c, &lookup_kernel, GARDEN, "");

    kernel_case_ask_all(&c, messages, 3);
    assert_true(str_find(buf_str(&c.text), STR("leaflet 7")) < c.text.len);
    kernel_case_ask_all(&c, thanks, 2);

    assert_true(str_starts_with(buf_str(&c.text), STR("I found nothing")));
    kernel_case_close(&c);
}

static void folder_is_taken_from_the_root(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &lookup_kernel, "{folder: data/passages, title: Garden}",
                     "tests/unit/backends");

    assert_int_equal(c.st, ST_OK);
    kernel_case_close(&c);
}

static void missing_folder_is_reported_where_it_is_named(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &lookup_kernel, "title: x\nfolder: tests/no-such-folder\n", "");

    assert_int_equal(c.st, ST_INVALID);
    test_assert_str(kernel_case_diag(&c),
                    STR("2:9: the folder \"tests/no-such-folder\" cannot be read"));
    kernel_case_close(&c);
}

struct question {
    const char *text;
    const char *title; /* a part of the title of the passage; NULL: nothing is to be found */
};

/* Counts the questions that are answered as wanted. */
static size_t count_right(const char *options, const struct question *questions, size_t count)
{
    struct kernel_case c;
    size_t right = 0;
    kernel_case_open(&c, &lookup_kernel, options, "");
    assert_int_equal(c.st, ST_OK);
    for (size_t i = 0; i < count; i++) {
        kernel_case_ask(&c, questions[i].text);
        struct str text = buf_str(&c.text);
        struct str want = questions[i].title == NULL ? STR("I found nothing on that")
                                                     : str_from(questions[i].title);
        bool is_right = str_find(text, want) < text.len;
        right += is_right ? 1 : 0;
        if (!is_right) {
            print_message("\"%s\" gave \"%.*s\"\n", questions[i].text, STR_ARG(text));
        }
    }
    kernel_case_close(&c);
    return right;
}

static void first_aid_corpus_answers_everyday_questions(void **state)
{
    (void)state;
    static const struct question questions[] = {
        {"how do i use an epipen", "EpiPen"},
        {"wasp sting on my arm, what should I do?", "Bee or wasp"},
        {"there's a tick on my leg how do I get it out", "tick"},
        {"a snake bit my friend while hiking", "Snake bite"},
        {"think I broke my wrist", "wrist"},
        {"I twisted my ankle and it's swollen", "ankle"},
        {"How do I stop a nosebleed?", "nosebleed"},
        {"should I go to the hospital with this burn?", "need hospital"},
        {"acid on skin", "Chemical burn"},
        {"my fingers are frozen and white", "Frostbite"},
        {"baby has a fever of 39 degrees", "Fever"},
        {"my tooth got knocked out playing football", "Tooth knocked"},
        {"how deep should chest compressions be?", "CPR on an adult"},
        {"our baby is choking", "Choking baby"},
        {"my daughter swallowed a battery", "battery"},
        {"carbon monoxide alarm is beeping", "Carbon monoxide"},
        {"What is the capital of France?", NULL},
        {"Write a poem about autumn leaves", NULL},
        {"write a python function to sort a list", NULL},
        {"how to prevent sql injection in PHP", NULL},
        {"what is a content security policy", NULL},
        {"Hello, how are you?", NULL},
    };
    size_t count = sizeof questions / sizeof questions[0];

    size_t right =
        count_right("{folder: conf/corpora/first-aid, title: First aid}", questions, count);

    assert_int_equal(right, count);
}

static void web_security_corpus_answers_everyday_questions(void **state)
{
    (void)state;
    static const struct question questions[] = {
        {"Is bcrypt still ok?", "hash and store"},
        {"what are passkeys", "Passkeys"},
        {"which cookie attributes should I set", "Cookie flags"},
        {"how to validate a JWT", "JWT"},
        {"explain oauth with pkce", "OAuth"},
        {"what is a content security policy", "Content Security"},
        {"prevent csrf", "CSRF"},
        {"someone embeds my site in an iframe", "Clickjacking"},
        {"how to prevent sql injection in PHP", "prevent and stop SQL"},
        {"is mongodb vulnerable to injection?", "NoSQL"},
        {"how to protect file uploads", "file upload"},
        {"what is ssrf", "SSRF"},
        {"we got hacked, what do we do first?", "hacked"},
        {"I accidentally committed an api key to github", "leaked an API key"},
        {"my fingers are frozen and white", NULL},
        {"recommend a good science fiction novel", NULL},
        {"How do I bake sourdough bread?", NULL},
        {"Who was Napoleon Bonaparte?", NULL},
        {"acid on skin", NULL},
    };
    size_t count = sizeof questions / sizeof questions[0];

    size_t right =
        count_right("{folder: conf/corpora/web-security, title: Web security}", questions, count);

    assert_int_equal(right, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookup_answers_with_the_passage_its_title_and_source),
        cmocka_unit_test(lookup_gives_as_many_passages_as_it_is_told),
        cmocka_unit_test(lookup_says_that_it_found_nothing),
        cmocka_unit_test(short_follow_up_leans_on_the_question_before),
        cmocka_unit_test(folder_is_taken_from_the_root),
        cmocka_unit_test(missing_folder_is_reported_where_it_is_named),
        cmocka_unit_test(first_aid_corpus_answers_everyday_questions),
        cmocka_unit_test(web_security_corpus_answers_everyday_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
