/* Requests for embeddings as the steps see them: what they take, and which texts can be looked at. */

#include "base/mem.h"
#include "gateway/embed_request.h"
#include "policies/policy.h"
#include "tests/support/arena_case.h"
#include "tests/support/quoted.h"
#include "tests/support/test.h"

struct fixture {
    struct arena *arena;
    struct chat_request request;
    struct chat_error error;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    return arena_case_open(&fixture, sizeof fixture, state);
}

static enum status parse(struct fixture *f, const char *body)
{
    return embed_request_parse(quoted(f->arena, body), f->arena, &f->request, &f->error);
}

static void texts_are_prompts_and_count_by_their_bytes(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "{'model':'e','input':['\\u0061bc','a longer one']}"), ST_OK);

    const struct prompt *p = &f->request.prompt;
    assert_true(prompt_is_embedding(p));
    assert_int_equal(f->request.inputs, 2);
    assert_int_equal(p->inputs.count, 2);
    assert_false(p->inputs.is_opaque);
    assert_true(str_eq(p->inputs.texts[0], STR("abc")));
    assert_int_equal(p->text_bytes, 10 + 14); /* as sent, quotes included */
    assert_int_equal(p->inputs.longest_bytes, 14);
    assert_int_equal(prompt_tokens_estimate(p), 6);
    assert_int_equal(prompt_context_estimate(p), 4);
    assert_int_equal(prompt_answer_tokens(p), 0);
}

static void tokens_are_counted_and_cannot_be_looked_at(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "{'model':'e','input':[[1,2,3],[4]]}"), ST_OK);

    const struct prompt *p = &f->request.prompt;
    assert_int_equal(f->request.inputs, 2);
    assert_int_equal(p->inputs.count, 0);
    assert_true(p->inputs.is_opaque);
    assert_int_equal(prompt_tokens_estimate(p), 4);
    assert_int_equal(prompt_context_estimate(p), 3);
}

static void of_many_texts_some_are_looked_at(void **state)
{
    struct fixture *f = *state;
    struct str texts = STR("'a'");
    for (size_t i = 0; i < PROMPT_INPUTS_MAX; i++) {
        texts = arena_printf(f->arena, "%.*s,'b'", STR_ARG(texts));
    }
    struct str body = arena_printf(f->arena, "{'model':'e','input':[%.*s]}", STR_ARG(texts));

    assert_int_equal(parse(f, body.ptr), ST_OK);

    assert_int_equal(f->request.inputs, PROMPT_INPUTS_MAX + 1);
    assert_int_equal(f->request.prompt.inputs.count, PROMPT_INPUTS_MAX);
    assert_true(f->request.prompt.inputs.is_opaque);
}

static void only_the_model_is_rewritten(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, "{'x':1 ,'model' : 'e','input':'a'}"), ST_OK);

    struct str body = chat_request_rewrite(&f->request, STR("e-7"), false, f->arena);

    assert_true(str_eq(body, quoted(f->arena, "{'x':1 ,'model' : 'e-7','input':'a'}")));
}

static void faults_become_problems(void **state)
{
    static const struct {
        const char *body;
        enum problem problem;
        const char *param;
    } cases[] = {
        {"{", PROBLEM_BAD_JSON, ""},
        {"{'input':'a'}", PROBLEM_MISSING_PARAM, "model"},
        {"{'model':'e','input':7}", PROBLEM_BAD_PARAM, "input"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(parse(f, cases[i].body), ST_INVALID);
        assert_int_equal(f->error.problem, cases[i].problem);
        assert_true(str_eq(f->error.param, str_from(cases[i].param)));
        assert_true(f->error.message.len > 0);
    }
}

static void each_allocation_may_fail(void **state)
{
    struct fixture *f = *state;
    const struct str body = quoted(f->arena, "{'model':'e','input':['\\u0061 text','\\u0062']}");
    enum status st = ST_NO_MEMORY;
    uint64_t n = 0;
    while (st == ST_NO_MEMORY) {
        struct arena *arena = arena_create(16, SIZE_MAX); /* a block for each piece */
        assert_non_null(arena);
        mem_fail_at(++n, 1);
        st = embed_request_parse(body, arena, &f->request, &f->error);
        mem_fail_at(0, 0);
        arena_destroy(arena);
    }
    assert_int_equal(st, ST_OK);
    assert_true(n > 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, arena_case_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts_are_prompts_and_count_by_their_bytes),
        TEST(tokens_are_counted_and_cannot_be_looked_at),
        TEST(of_many_texts_some_are_looked_at),
        TEST(only_the_model_is_rewritten),
        TEST(faults_become_problems),
        TEST(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
