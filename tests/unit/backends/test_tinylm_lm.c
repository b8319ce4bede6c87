/* The model and its sessions: its author's sample, batches, what is kept between answers, limits, and
 * files that are no models. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/lm_case.h"

enum {
    CONTEXT = 256,
    STORY_TOKENS = 199,
};

struct saying { /* what an answer says, and when it is to end */
    struct buf text;
    size_t asked;
    size_t stop_at; /* goes_on says no at this question; 0: never */
};

static enum status on_text(void *ctx, struct str text)
{
    return buf_append(&((struct saying *)ctx)->text, text);
}

static bool goes_on(void *ctx)
{
    struct saying *s = ctx;
    return ++s->asked != s->stop_at;
}

static struct lm_sink sink_of(struct saying *s)
{
    *s = (struct saying){.asked = 0};
    buf_init(&s->text, 1 << 16);
    return (struct lm_sink){{s, on_text}, goes_on};
}

/* Greedy, from the prompt "<s>" and the text. */
static enum status ask(struct lm_session *session, const struct lm *lm, const char *text,
                       int64_t max_tokens, const struct lm_sink *sink, struct lm_result *result)
{
    struct tokens prompt = {NULL, 0, 0};
    assert_int_equal(tokens_add(&prompt, vocab_bos(lm->vocab)), ST_OK);
    assert_int_equal(vocab_encode(lm->vocab, str_from(text), true, &prompt), ST_OK);
    const struct lm_request request = {
        .prompt = prompt.ids,
        .prompt_count = prompt.count,
        .max_tokens = max_tokens,
        .sampling = {.temperature = 0, .top_p = 1},
    };
    enum status st = lm_answer(session, lm, &request, sink, result);
    tokens_fini(&prompt);
    return st;
}

static void tell_story(const struct lm *lm)
{
    struct saying said;
    struct lm_result result;
    struct lm_sink sink = sink_of(&said);
    struct lm_session *session = lm_session_create(lm, CONTEXT);
    assert_non_null(session);

    assert_int_equal(ask(session, lm, "", STORY_TOKENS, &sink, &result), ST_OK);

    test_assert_str(str_trim(buf_str(&said.text)), STR(LM_CASE_STORY));
    assert_int_equal(result.completion_tokens, STORY_TOKENS);
    assert_true(result.is_cut);
    lm_session_destroy(session);
    buf_fini(&said.text);
}

static void model_tells_the_story_that_its_author_published(void **state)
{
    (void)state;
    struct lm_case c;
    lm_case_open(&c, LM_CASE_MODEL);
    tell_story(c.lm);
    lm_use_plain(c.lm);
    tell_story(c.lm);
    lm_case_close(&c);
}

static void prompt_in_batches_gives_the_logits_of_single_tokens(void **state)
{
    (void)state;
    struct lm_case c;
    struct tokens tokens = {NULL, 0, 0};
    lm_case_open(&c, LM_CASE_MODEL);
    assert_int_equal(
        vocab_encode(c.lm->vocab,
                     STR("Once there was a boy who had a big dog. The dog ran to the park and the "
                         "boy ran with it. They saw a cat, and the cat said: Why do you run?"),
                     true, &tokens),
        ST_OK);
    struct lm_session *one = lm_session_create(c.lm, CONTEXT);
    struct lm_session *many = lm_session_create(c.lm, CONTEXT);
    assert_true(one != NULL && many != NULL && tokens.count > LM_BATCH / 2);
    size_t n = tokens.count < LM_BATCH ? tokens.count : LM_BATCH;

    for (size_t i = 0; i < n; i++) {
        assert_int_equal(lm_session_read(one, tokens.ids + i, 1, i + 1 == n), ST_OK);
    }
    assert_int_equal(lm_session_read(many, tokens.ids, n, true), ST_OK);

    assert_memory_equal(lm_session_logits(one), lm_session_logits(many),
                        c.lm->shape.vocabulary * sizeof(float));
    lm_session_destroy(one);
    lm_session_destroy(many);
    tokens_fini(&tokens);
    lm_case_close(&c);
}

static void prompts_that_begin_alike_are_read_once(void **state)
{
    (void)state;
    struct lm_case c;
    struct saying said[3];
    struct lm_result first;
    struct lm_result second;
    struct lm_result fresh;
    lm_case_open(&c, LM_CASE_MODEL);
    struct lm_sink sinks[3] = {sink_of(&said[0]), sink_of(&said[1]), sink_of(&said[2])};
    struct lm_session *session = lm_session_create(c.lm, CONTEXT);
    struct lm_session *other = lm_session_create(c.lm, CONTEXT);

    assert_int_equal(ask(session, c.lm, "Tom had a red car. He", 20, &sinks[0], &first), ST_OK);
    assert_int_equal(ask(session, c.lm, "Tom had a red car. It", 20, &sinks[1], &second), ST_OK);
    assert_int_equal(ask(other, c.lm, "Tom had a red car. It", 20, &sinks[2], &fresh), ST_OK);

    assert_int_equal(first.reused_tokens, 0);
    assert_true(second.reused_tokens > 5 && second.reused_tokens < second.prompt_tokens);
    assert_int_equal(fresh.reused_tokens, 0);
    test_assert_str(buf_str(&said[1].text), buf_str(&said[2].text));
    for (size_t i = 0; i < 3; i++) {
        buf_fini(&said[i].text);
    }
    lm_session_destroy(session);
    lm_session_destroy(other);
    lm_case_close(&c);
}

static void answers_end_at_the_context(void **state)
{
    (void)state;
    struct lm_case c;
    struct saying said;
    struct lm_result result;
    lm_case_open(&c, LM_CASE_MODEL);
    struct lm_sink sink = sink_of(&said);
    struct lm_session *session = lm_session_create(c.lm, 12);

    assert_int_equal(ask(session, c.lm, "Once upon", 1000, &sink, &result), ST_OK);
    assert_true(result.is_cut);
    assert_int_equal(result.prompt_tokens + result.completion_tokens, 12 + 1);
    enum status st =
        ask(session, c.lm, "Once upon a time there was a big black bear", 1, &sink, &result);

    assert_int_equal(st, ST_TOO_BIG);
    lm_session_destroy(session);
    buf_fini(&said.text);
    lm_case_close(&c);
}

static void answers_stop_when_they_are_told(void **state)
{
    (void)state;
    struct lm_case c;
    lm_case_open(&c, LM_CASE_MODEL);
    for (size_t at = 1; at < 6; at++) {
        struct saying said;
        struct lm_result result;
        struct lm_sink sink = sink_of(&said);
        struct lm_session *session = lm_session_create(c.lm, CONTEXT);
        said.stop_at = at;
        assert_int_equal(ask(session, c.lm, "Once", 100, &sink, &result), ST_CLOSED);
        assert_int_equal(said.asked, at);
        assert_int_equal(result.completion_tokens, at - 1);
        lm_session_destroy(session);
        buf_fini(&said.text);
    }
    lm_case_close(&c);
}

static void stop_texts_end_answers_and_are_not_said(void **state)
{
    (void)state;
    struct lm_case c;
    struct saying said;
    struct lm_result result;
    static const struct str stops[] = {STR_INIT("no such text"), STR_INIT("named Lily. S")};
    lm_case_open(&c, LM_CASE_MODEL);
    struct lm_sink sink = sink_of(&said);
    struct lm_session *session = lm_session_create(c.lm, CONTEXT);
    int32_t bos = vocab_bos(c.lm->vocab);
    const struct lm_request request = {&bos, 1, 100, {0, 1, 0, 0}, stops, 2};

    assert_int_equal(lm_answer(session, c.lm, &request, &sink, &result), ST_OK);

    test_assert_str(buf_str(&said.text), STR(" Once upon a time, there was a little girl "));
    assert_false(result.is_cut);
    lm_session_destroy(session);
    buf_fini(&said.text);
    lm_case_close(&c);
}

static void memory_is_what_was_estimated(void **state)
{
    (void)state;
    struct lm_case c;
    lm_case_open(&c, LM_CASE_MODEL);
    struct lm_cost small = lm_cost(c.lm, 1);
    struct lm_cost large = lm_cost(c.lm, 101);
    /* 2 * layers * kv heads * width of a head * bytes of a half; scores of DOT_MANY queries, and a number */
    size_t kv = 2 * 5 * 4 * 8 * 2;
    size_t more = 128 - 32; /* contexts in whole groups of DOT_POSITIONS */
    assert_int_equal(large.kv_bytes - small.kv_bytes, more * kv);
    assert_int_equal(large.session_bytes - small.session_bytes,
                     more * (kv + sizeof(float[DOT_MANY])) + 100 * sizeof(int32_t));
    assert_int_equal(large.weights_bytes, c.lm->file_bytes);
    lm_case_close(&c);
}

/* A copy of the model in which one text is another of the same length. */
static void check_refused(const char *text, const char *other, const char *why)
{
    struct str file = test_read_file(LM_CASE_MODEL);
    char *bytes = mem_alloc(file.len);
    struct lm *lm = NULL;
    struct diags diags;
    struct arena *arena = arena_create(4096, 1 << 20);
    assert_true(bytes != NULL && arena != NULL);
    diags_init(&diags, arena);
    memcpy(bytes, file.ptr, file.len);
    size_t at = str_find(file, str_from(text));
    assert_true(at < file.len);
    memcpy(bytes + at, other, strlen(other));

    assert_int_equal(lm_read((struct str){bytes, file.len}, STR("m.gguf"), &diags, &lm),
                     ST_INVALID);

    struct str message = diags.items[0].message;
    if (str_find(message, str_from(why)) == message.len) {
        fail_msg("\"%.*s\" does not say \"%s\"", STR_ARG(message), why);
    }
    arena_destroy(arena);
    mem_free(bytes);
    mem_free((void *)(uintptr_t)file.ptr);
}

static void files_that_are_no_such_model_are_refused_by_name(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        const char *other;
        const char *why;
    } cases[] = {
        {"llama\x0c", "mamba", "the architecture \"mamba\" is not computed here"},
        {"llama.block_count", "llama.block_kount", "llama.block_count must be there"},
        {"llama.attention.head_count_kv", "llama.attention.clamp_kqv\0\0\0\0",
         "blk.0.attn_k.weight"},
        {"blk.4.ffn_up", "blk.5.ffn_up", "the tensor \"blk.4.ffn_up.weight\" is missing"},
        {"tokenizer.ggml.model", "tokenizer.ggml.modes", "tokenizer.ggml.model is missing"},
        {"tokenizer.ggml.tokens", "tokenizer.ggml.tokenz", "tokenizer.ggml.tokens must be there"},
        {"tokenizer.ggml.scores", "tokenizer.ggml.scorez", "tokenizer.ggml.scores is missing"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_refused(cases[i].text, cases[i].other, cases[i].why);
    }
}

static void loading_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct str file = test_read_file(LM_CASE_MODEL);
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    diags_init(&diags, arena);
    enum status st = ST_NO_MEMORY;
    for (uint64_t nth = 1; st != ST_OK; nth++) {
        struct lm *lm = NULL;
        struct lm_session *session = NULL;
        mem_fail_at(nth, 0);
        st = lm_read(file, STR("m.gguf"), &diags, &lm);
        if (st == ST_OK) {
            session = lm_session_create(lm, 8);
            st = session == NULL ? ST_NO_MEMORY : ST_OK;
        }
        mem_fail_at(0, 0);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
        lm_session_destroy(session);
        lm_destroy(lm);
    }
    arena_destroy(arena);
    mem_free((void *)(uintptr_t)file.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_tells_the_story_that_its_author_published),
        cmocka_unit_test(prompt_in_batches_gives_the_logits_of_single_tokens),
        cmocka_unit_test(prompts_that_begin_alike_are_read_once),
        cmocka_unit_test(answers_end_at_the_context),
        cmocka_unit_test(answers_stop_when_they_are_told),
        cmocka_unit_test(stop_texts_end_answers_and_are_not_said),
        cmocka_unit_test(memory_is_what_was_estimated),
        cmocka_unit_test(files_that_are_no_such_model_are_refused_by_name),
        cmocka_unit_test(loading_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
