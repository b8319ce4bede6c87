/* What an expert reports it used. */
#include "gateway/usage.h"
#include "tests/support/quoted.h"
#include "tests/support/test.h"

struct usage_case {
    const char *document;
    bool is_reported;
    int64_t prompt;
    int64_t cached;
    int64_t completion;
    bool is_usage_only;
};

static void usage_is_read_wherever_it_stands(void **state)
{
    static const struct usage_case cases[] = {
        {"{}", false, 0, 0, 0, false},
        {"{'usage':null,'choices':[]}", false, 0, 0, 0, false},
        {"{'usage':7,'choices':[]}", false, 0, 0, 0, false},
        {"{'usage':{}}", true, 0, 0, 0, false},
        {"{'usage':{},'choices':[]}", true, 0, 0, 0, true},
        {"{'choices':[ ],'usage':{'prompt_tokens':5}}", true, 5, 0, 0, true},
        {"{'choices':[{'index':0}],'usage':{'prompt_tokens':5}}", true, 5, 0, 0, false},
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
        bool is_only = !c->is_usage_only;
        assert_int_equal(usage_read(quoted(arena, c->document), &got, &is_only), ST_OK);
        if (got.is_reported != c->is_reported || got.prompt_tokens != c->prompt ||
            got.cached_tokens != c->cached || got.completion_tokens != c->completion ||
            is_only != c->is_usage_only) {
            fail_msg("%s", c->document);
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
        bool is_only = true;
        assert_int_equal(usage_read(quoted(arena, documents[i]), &got, &is_only), ST_INVALID);
        assert_int_equal(got.prompt_tokens, 77);
        assert_true(is_only);
    }
    arena_destroy(arena);
}

static void a_chunk_without_usage_keeps_what_was_read_before(void **state)
{
    struct usage got = {.prompt_tokens = 77, .is_reported = true};
    bool is_only;
    (void)state;

    assert_int_equal(usage_read(STR("{\"usage\":null}"), &got, &is_only), ST_OK);

    assert_int_equal(got.prompt_tokens, 77);
    assert_true(got.is_reported && !is_only);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_is_read_wherever_it_stands),
        cmocka_unit_test(what_is_no_object_is_refused_and_changes_nothing),
        cmocka_unit_test(a_chunk_without_usage_keeps_what_was_read_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
