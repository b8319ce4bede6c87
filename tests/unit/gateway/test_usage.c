/* What an expert reports it used. */
#include <stdio.h>

#include "gateway/usage.h"
#include "tests/support/quoted.h"
#include "tests/support/test.h"

struct usage_case {
    const char *document;
    bool is_reported;
    int64_t prompt;
    int64_t cached;
    int64_t completion;
    bool has_choices;
};

static void usage_is_read_wherever_it_stands(void **state)
{
    static const struct usage_case cases[] = {
        {"{}", false, 0, 0, 0, false},
        {"{'usage':null,'choices':[]}", false, 0, 0, 0, false},
        {"{'usage':7,'choices':[]}", false, 0, 0, 0, false},
        {"{'usage':{}}", false, 0, 0, 0, false},
        {"{'usage':{},'choices':[]}", false, 0, 0, 0, false},
        {"{'choices':[ ],'usage':{'prompt_tokens':5}}", true, 5, 0, 0, false},
        {"{'choices':[{'index':0}],'usage':{'prompt_tokens':5}}", true, 5, 0, 0, true},
        {"{'choices':{},'usage':{'prompt_tokens':5}}", true, 5, 0, 0, false},
        {"{'usage':{'total_tokens':9,'completion_tokens':4,'prompt_tokens_details':{'x':[{}],"
         "'cached_tokens':2},'prompt_tokens':5},'id':'a'}",
         true, 5, 2, 4, false},
        {"{'usage':{'prompt_tokens_details':null,'prompt_tokens':5}}", true, 5, 0, 0, false},
        {"{'us\\u0061ge':{'prompt\\u005ftokens':5}}", true, 5, 0, 0, false},
        {"{'x':{'usage':{'prompt_tokens':5}}}", false, 0, 0, 0, false},
        {"{'usage':{'prompt_tokens':-5,'completion_tokens':1.5}}", true, 0, 0, 0, false},
        {"{'usage':{'prompt_tokens':'5','completion_tokens':99999999999999999999}}", true, 0, 0, 0,
         false},
    };
    struct arena *arena = arena_create(4096, 1 << 20);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct usage_case *c = &cases[i];
        struct usage got = {0};
        size_t answers = 77;
        assert_int_equal(usage_read(quoted(arena, c->document), USAGE_CHOICES, &got, &answers),
                         ST_OK);
        if (got.is_reported != c->is_reported || got.prompt_tokens != c->prompt ||
            got.cached_tokens != c->cached || got.completion_tokens != c->completion ||
            answers != (c->has_choices ? 1U : 0U)) {
            fail_msg("%s", c->document);
        }
    }
    arena_destroy(arena);
}

static void the_items_of_the_list_asked_for_are_counted(void **state)
{
    static const char document[] =
        "{'data':[{'embedding':[0.5]},{'embedding':'AAAA'}],'choices':[1],"
        "'usage':{'prompt_tokens':5,'total_tokens':5}}";
    struct arena *arena = arena_create(4096, 1 << 20);
    struct usage got = {0};
    size_t answers = 0;
    (void)state;

    assert_int_equal(usage_read(quoted(arena, document), USAGE_VECTORS, &got, &answers), ST_OK);

    assert_int_equal(answers, 2);
    assert_int_equal(got.prompt_tokens, 5);
    arena_destroy(arena);
}

static void a_list_with_something_in_it_that_is_no_answer_answers_nothing(void **state)
{
    static const struct {
        enum usage_list list;
        const char *items;
        size_t answers;
    } cases[] = {
        {USAGE_CHOICES, "{'message':{'content':'a'}},{'text':'b'}", 2},
        {USAGE_CHOICES, "{'message':{}},null", 0},
        {USAGE_CHOICES, "'a'", 0},
        {USAGE_CHOICES, "{},7", 0},
        {USAGE_CHOICES, "[{}]", 0},
        {USAGE_VECTORS, "{'embedding':[1]},{'embedding':'AACAPw=='}", 2},
        {USAGE_VECTORS, "{'embedding':[1],'index':1},{'index':0,'embedding':[2]}", 2},
        {USAGE_VECTORS, "{'embedding':[1],'index':0},{'index':0,'embedding':[2]}", 0},
        {USAGE_VECTORS, "{'embedding':[1],'index':0},{'index':2,'embedding':[2]}", 0},
        {USAGE_VECTORS, "{'embedding':[1],'index':-1}", 0},
        {USAGE_VECTORS, "{'embedding':[1],'index':2048}", 0},
        {USAGE_VECTORS, "{'embedding':[1],'index':'0'}", 0},
        {USAGE_VECTORS, "{'embedding':[]}", 0},
        {USAGE_VECTORS, "{'embedding':''}", 0},
        {USAGE_VECTORS, "{'embedding':null}", 0},
        {USAGE_VECTORS, "{'embedding':['a']}", 0},
        {USAGE_VECTORS, "{'embedding':[1,null]}", 0},
        {USAGE_VECTORS, "{'index':0}", 0},
        {USAGE_VECTORS, "null,null", 0},
    };

    struct arena *arena = arena_create(4096, 1 << 20);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct usage got = {0};
        size_t answers = 77;
        struct str document =
            arena_printf(arena, "{'%s':[%s]}", cases[i].list == USAGE_CHOICES ? "choices" : "data",
                         cases[i].items);
        assert_int_equal(usage_read(quoted(arena, document.ptr), cases[i].list, &got, &answers),
                         ST_OK);
        if (answers != cases[i].answers) {
            fail_msg("%s: %zu", cases[i].items, answers);
        }
    }
    arena_destroy(arena);
}

static void what_is_no_object_is_refused_and_changes_nothing(void **state)
{
    static const char *const documents[] = {"",
                                            "[]",
                                            "null",
                                            "[DONE]",
                                            "{'usage':{'prompt_tokens':1}",
                                            "{'usage':{'prompt_tokens':1}} x",
                                            "{'usage':{'prompt_tokens':01}}",
                                            "{'choices':[}"};
    struct arena *arena = arena_create(4096, 1 << 20);
    (void)state;
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        struct usage got = {.prompt_tokens = 77};
        size_t answers = 78;
        assert_int_equal(usage_read(quoted(arena, documents[i]), USAGE_CHOICES, &got, &answers),
                         ST_INVALID);
        assert_int_equal(got.prompt_tokens, 77);
        assert_int_equal(answers, 78);
    }
    arena_destroy(arena);
}

static void a_chunk_without_usage_keeps_what_was_read_before(void **state)
{
    struct usage got = {.prompt_tokens = 77, .is_reported = true};
    size_t answers;
    (void)state;

    assert_int_equal(usage_read(STR("{\"usage\":null}"), USAGE_CHOICES, &got, &answers), ST_OK);

    assert_int_equal(got.prompt_tokens, 77);
    assert_true(got.is_reported && answers == 0);
}

static void figures_that_cannot_be_are_suspect(void **state)
{
    static const struct {
        const char *usage;
        bool is_suspect;
    } cases[] = {
        {"{'prompt_tokens':5,'completion_tokens':0}", false},
        {"{'prompt_tokens':0,'completion_tokens':0}", false},
        {"{'prompt_tokens':null}", false},
        {"{'prompt_tokens':-5}", true},
        {"{'completion_tokens':1.5}", true},
        {"{'completion_tokens':'7'}", true},
        {"{'completion_tokens':9007199254740992}", false},
        {"{'completion_tokens':9007199254740993}", true},
        {"{'completion_tokens':99999999999999999999}", true},
        {"{'prompt_tokens':5,'prompt_tokens_details':{'cached_tokens':5}}", false},
        {"{'prompt_tokens':5,'prompt_tokens_details':{'cached_tokens':6}}", true},
        {"{'completion_tokens':5,'completion_tokens_details':{'reasoning_tokens':5}}", false},
        {"{'completion_tokens_details':{'reasoning_tokens':6},'completion_tokens':5}", true},
    };

    (void)state;
    struct arena *arena = arena_create(1024, 65536);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct usage got = {0};
        size_t answers = 0;
        char document[256];
        (void)snprintf(document, sizeof document, "{'usage':%s}", cases[i].usage);
        assert_int_equal(usage_read(quoted(arena, document), USAGE_CHOICES, &got, &answers), ST_OK);
        if (got.is_suspect != cases[i].is_suspect) {
            fail_msg("%s: %d", cases[i].usage, got.is_suspect);
        }
    }
    arena_destroy(arena);
}

static void figures_far_over_what_was_asked_are_not_plausible(void **state)
{
    static const struct {
        int64_t prompt;
        int64_t completion;
        int64_t bytes;
        int64_t max_tokens;
        bool is_plausible;
    } cases[] = {
        {10, 10, 40, 100, true},
        {0, 0, 40, 100, true},
        {1000040, 10, 40, 100, true},
        {1000041, 10, 40, 100, false},
        {10, 16 * 100 + 65536, 40, 100, true},
        {10, 16 * 100 + 65537, 40, 100, false},
        {10, 5000000, 40, 0, true},
        {10, (int64_t)1 << 53, 40, INT64_MAX, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct usage usage = {.prompt_tokens = cases[i].prompt,
                              .completion_tokens = cases[i].completion,
                              .is_reported = true};
        if (usage_is_plausible(&usage, cases[i].bytes, cases[i].max_tokens) !=
            cases[i].is_plausible) {
            fail_msg("case %zu", i);
        }
    }
}

static void an_answer_counts_by_the_bytes_of_its_messages(void **state)
{
    static const struct {
        const char *document;
        int64_t tokens;
    } cases[] = {
        {"{'choices':[{'index':0,'message':{'role':'assistant','content':'12345678'}}]}", 2},
        {"{'choices':[{'message':{'content':'123456789'}}]}", 3},
        {"{'choices':[{'message':{'content':'1234'}},{'message':{'content':'1234'}}]}", 2},
        {"{'choices':[{'text':'12345678'}]}", 2},
        {"{'choices':[{'message':{'content':null,'tool_calls':[]}}]}", 0},
        {"{'choices':[]}", 0},
        {"{'choices':7}", 0},
        {"{'choices':[{'message':{'content':'12345678'}}]", 0}, /* no JSON */
        {"[]", 0},
    };

    (void)state;
    struct arena *arena = arena_create(1024, 65536);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t got = usage_answer_tokens(quoted(arena, cases[i].document));
        if (got != cases[i].tokens) {
            fail_msg("%s: %lld", cases[i].document, (long long)got);
        }
    }
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_is_read_wherever_it_stands),
        cmocka_unit_test(the_items_of_the_list_asked_for_are_counted),
        cmocka_unit_test(a_list_with_something_in_it_that_is_no_answer_answers_nothing),
        cmocka_unit_test(what_is_no_object_is_refused_and_changes_nothing),
        cmocka_unit_test(a_chunk_without_usage_keeps_what_was_read_before),
        cmocka_unit_test(figures_that_cannot_be_are_suspect),
        cmocka_unit_test(figures_far_over_what_was_asked_are_not_plausible),
        cmocka_unit_test(an_answer_counts_by_the_bytes_of_its_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
