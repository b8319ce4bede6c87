/* The tinylm kernel behind the kernels' interface: options, limits, sampling, stop texts, errors. */
#include <string.h>

#include "backends/kernels/kernels.h"
#include "tests/support/kernel_case.h"
#include "tests/support/lm_case.h"

#define GREEDY "{model: " LM_CASE_MODEL ", temperature: 0, context: 0}"

struct asked { /* what a request says besides its messages; zero: nothing */
    int64_t max_tokens;
    double temperature; /* -1: nothing */
    uint64_t seed;
    bool has_seed;
    const char *stop;
    uint64_t deadline_ns;
    const ek_flag *cancel;
};

static void ask(struct kernel_case *c, const char *text, const struct asked *asked)
{
    const struct ek_message message = {kernel_text(STR("user")), kernel_text(str_from(text))};
    const struct ek_text stop = kernel_text(str_from(asked->stop));
    const struct ek_request request = {
        .size = sizeof request,
        .messages = &message,
        .message_count = 1,
        .max_tokens = asked->max_tokens,
        .temperature = asked->temperature,
        .top_p = -1,
        .seed = asked->seed,
        .has_seed = asked->has_seed ? 1 : 0,
        .stop = &stop,
        .stop_count = asked->stop != NULL ? 1 : 0,
        .deadline_ns = asked->deadline_ns,
        .cancel = asked->cancel,
    };
    const struct ek_sink sink = {.size = sizeof sink,
                                 .ctx = c,
                                 .piece = kernel_case_on_piece,
                                 .pause = kernel_case_on_pause};
    buf_reset(&c->text);
    c->pieces = 0;
    c->status = kernel_generate(c->kernel, &(struct kernel_request){request, 0, -1}, &sink,
                                &c->result, &c->error);
}

/* The answer without the marks between its pieces. */
static struct str said(struct kernel_case *c)
{
    char *text = arena_alloc(c->arena, c->text.len + 1);
    size_t len = 0;
    struct str pieces = buf_str(&c->text);
    for (size_t i = 0; i < pieces.len; i++) {
        text[len] = pieces.ptr[i];
        len += pieces.ptr[i] == '|' ? 0 : 1;
    }
    return (struct str){text, len};
}

static void kernel_goes_on_with_the_published_story(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &tinylm_kernel, GREEDY, "");
    assert_int_equal(c.st, ST_OK);

    ask(&c, "Once upon a time", &(struct asked){.max_tokens = 190, .temperature = -1});

    assert_int_equal(c.status, EK_OK);
    struct str got = said(&c);
    test_assert_str(got, str_slice(STR(LM_CASE_STORY), 16, got.len));
    assert_int_equal(c.result.finish, EK_FINISH_LENGTH);
    assert_int_equal(c.result.prompt_tokens, 5);
    assert_int_equal(c.result.completion_tokens, 190);
    kernel_case_close(&c);
}

static void scalar_is_short_for_the_model(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &tinylm_kernel, LM_CASE_MODEL, "");
    assert_int_equal(c.st, ST_OK);
    kernel_case_ask(&c, "Once");
    assert_int_equal(c.status, EK_OK);
    assert_true(c.result.completion_tokens > 0);
    kernel_case_close(&c);
}

static void limits_of_requests_and_options_are_kept_exactly(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &tinylm_kernel, "{model: " LM_CASE_MODEL ", max_tokens: 7}", "");
    for (int64_t limit = 0; limit < 4; limit++) {
        ask(&c, "Once upon", &(struct asked){.max_tokens = limit, .temperature = 0});
        assert_int_equal(c.result.completion_tokens, limit == 0 ? 7 : limit);
        assert_int_equal(c.result.finish, EK_FINISH_LENGTH);
    }
    kernel_case_close(&c);
}

static void same_seed_gives_the_same_answer(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &tinylm_kernel, "{model: " LM_CASE_MODEL ", temperature: 1}", "");
    struct str texts[4];
    static const uint64_t seeds[] = {1, 2, 1, 0};
    for (size_t i = 0; i < 4; i++) {
        ask(&c, "One day",
            &(struct asked){
                .max_tokens = 30, .temperature = -1, .seed = seeds[i], .has_seed = i < 3});
        texts[i] = said(&c);
    }
    test_assert_str(texts[2], texts[0]);
    assert_false(str_eq(texts[1], texts[0]));
    assert_false(str_eq(texts[3], texts[0]));
    kernel_case_close(&c);
}

static void stop_text_ends_the_answer(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &tinylm_kernel, GREEDY, "");

    ask(&c, "Once upon a time", &(struct asked){.temperature = -1, .stop = "named L"});

    test_assert_str(said(&c), STR(", there was a little girl "));
    assert_int_equal(c.result.finish, EK_FINISH_STOP);
    kernel_case_close(&c);
}

static void prompts_beyond_the_context_are_refused_never_cut(void **state)
{
    (void)state;
    struct kernel_case c;
    kernel_case_open(&c, &tinylm_kernel, "{model: " LM_CASE_MODEL ", context: 8}", "");

    ask(&c, "Once upon a time there was a little girl", &(struct asked){.temperature = 0});

    assert_int_equal(c.status, EK_TOO_LONG);
    assert_string_equal(c.error.code, "context_length_exceeded");
    test_assert_str(str_from(c.error.message),
                    STR("This model's maximum context length is 8 tokens. However, your messages "
                        "resulted in 12 tokens. Please reduce the length of the messages."));
    assert_int_equal(c.text.len, 0);
    char *text = arena_alloc(c.arena, 100001);
    memset(text, 'a', 100000);
    ask(&c, text, &(struct asked){.temperature = 0});
    assert_int_equal(c.status, EK_TOO_LONG);
    assert_non_null(strstr(c.error.message, "resulted in at least "));
    kernel_case_close(&c);
}

static void cancelled_and_late_answers_end(void **state)
{
    (void)state;
    struct kernel_case c;
    ek_flag cancel = 1;
    kernel_case_open(&c, &tinylm_kernel, GREEDY, "");

    ask(&c, "Once", &(struct asked){.temperature = 0, .cancel = &cancel});
    assert_int_equal(c.status, EK_CANCELLED);
    ask(&c, "Once", &(struct asked){.temperature = 0, .deadline_ns = 1});
    assert_int_equal(c.status, EK_LATE);
    c.pieces_max = 3;
    ask(&c, "Once", &(struct asked){.temperature = 0});

    assert_int_equal(c.status, EK_CANCELLED);
    assert_int_equal(c.pieces, 3);
    kernel_case_close(&c);
}

static void mistakes_are_shown_where_they_stand(void **state)
{
    (void)state;

    static const struct {
        const char *options;
        const char *want;
    } cases[] = {
        {"{context: 5}", "1:1: tinylm lacks the required key \"model\""},
        {"model: no/such/file.gguf\n", "1:8: \"no/such/file.gguf\": cannot be read"},
        {"seed: 1\nmodel: README.md\n", "2:8: \"README.md\": at byte 0: this is no GGUF file"},
        {"model: " LM_CASE_MODEL "\ntemplate: chatmal\n",
         "2:11: `template` must be auto or one of"},
        {"model: " LM_CASE_MODEL "\ntop_p: 1.5\n", "2:8: "},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kernel_case c;
        kernel_case_open(&c, &tinylm_kernel, cases[i].options, "");
        assert_int_equal(c.st, ST_INVALID);
        struct str got = kernel_case_diag(&c);
        if (!str_starts_with(got, str_from(cases[i].want))) {
            fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(got), cases[i].want);
        }
        kernel_case_close(&c);
    }
}

static void estimate_says_what_create_then_takes(void **state)
{
    (void)state;
    static const char options[] =
        "{\"model\": \"" LM_CASE_MODEL "\", \"context\": 96, \"parallel\": 3}";
    struct ek_config config = {.size = sizeof config, .options = {options, sizeof options - 1}};
    struct ek_cost estimated = {.size = sizeof estimated};
    struct ek_cost taken = {.size = sizeof taken};
    struct ek_error error = {.size = sizeof error};
    struct ek_instance *instance = NULL;
    const struct ek_kernel *abi = tinylm_kernel.abi;

    assert_int_equal(abi->estimate(&config, &estimated, &error), EK_OK);
    assert_int_equal(abi->create(&config, &instance, &error), EK_OK);
    assert_int_equal(abi->cost(instance, &taken), EK_OK);

    assert_memory_equal(&estimated, &taken, sizeof taken);
    assert_int_equal(taken.bytes_per_token, 640);
    assert_true(taken.resident_bytes > 3 * 96 * 640);
    abi->destroy(instance);
    config.memory_bytes = taken.resident_bytes + taken.shared_bytes - 1;
    assert_int_equal(abi->create(&config, &instance, &error), EK_BAD_CONFIG);
    config.memory_bytes++;
    assert_int_equal(abi->create(&config, &instance, &error), EK_OK);
    abi->destroy(instance);
}

/* ---- embeddings ---- */

enum {
    WIDTH = 64, /* of the model */
};

struct vector {
    float values[WIDTH];
    struct kernel_vectors asked;
    struct ek_error error;
    enum ek_status status;
};

static void embed(struct kernel_case *c, const char *text, const struct ek_vectors *more,
                  struct vector *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->asked.ek = *more;
    ret->asked.ek.size = sizeof ret->asked.ek;
    ret->asked.ek.values = ret->values;
    ret->asked.ek.capacity = WIDTH;
    ret->asked.cancel_fd = -1;
    ret->status = kernel_embed(c->kernel, &ret->asked, str_from(text), &ret->error);
}

static double inner(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static void texts_become_vectors_of_length_one(void **state)
{
    struct kernel_case c;
    struct vector a;
    struct vector b;
    struct vector again;
    (void)state;
    kernel_case_open(&c, &tinylm_kernel, GREEDY, "");

    embed(&c, "Once upon a time there was a little girl", &(struct ek_vectors){0}, &a);
    embed(&c, "The big dog ran to the park and played", &(struct ek_vectors){0}, &b);
    embed(&c, "Once upon a time there was a little girl", &(struct ek_vectors){0}, &again);

    assert_int_equal(a.status, EK_OK);
    assert_int_equal(a.asked.ek.width, WIDTH);
    assert_in_range(a.asked.ek.tokens, 10, 20);
    assert_float_equal((float)inner(a.values, a.values, WIDTH), 1, 1e-5F);
    assert_memory_equal(a.values, again.values, sizeof a.values);
    assert_true(inner(a.values, b.values, WIDTH) < 0.99);
    kernel_case_close(&c);
}

static void embedding_leaves_answers_as_they_were(void **state)
{
    struct kernel_case c;
    struct vector a;
    (void)state;
    kernel_case_open(&c, &tinylm_kernel, GREEDY, "");
    ask(&c, "Once upon a time", &(struct asked){.max_tokens = 30, .temperature = -1});
    struct str before = said(&c);

    embed(&c, "Once upon a time there was a little girl", &(struct ek_vectors){0}, &a);
    ask(&c, "Once upon a time", &(struct asked){.max_tokens = 30, .temperature = -1});

    test_assert_str(said(&c), before);
    kernel_case_close(&c);
}

static void other_widths_need_a_model_that_is_said_to_have_them(void **state)
{
    struct kernel_case c;
    struct vector whole;
    struct vector part;
    (void)state;
    kernel_case_open(&c, &tinylm_kernel, GREEDY, "");
    embed(&c, "a ball", &(struct ek_vectors){.dimensions = WIDTH}, &whole);
    assert_int_equal(whole.status, EK_OK);
    embed(&c, "a ball", &(struct ek_vectors){.dimensions = 16}, &part);
    assert_int_equal(part.status, EK_UNSUPPORTED);
    assert_string_equal(part.error.option, "dimensions");
    kernel_case_close(&c);

    kernel_case_open(&c, &tinylm_kernel, "{model: " LM_CASE_MODEL ", shortens: true}", "");
    embed(&c, "a ball", &(struct ek_vectors){.dimensions = 16}, &part);
    assert_int_equal(part.status, EK_OK);
    assert_int_equal(part.asked.ek.width, 16);
    assert_float_equal((float)inner(part.values, part.values, 16), 1, 1e-5F);
    float scale = part.values[0] / whole.values[0];
    for (size_t i = 0; i < 16; i++) {
        assert_float_equal(part.values[i], whole.values[i] * scale, 1e-5F);
    }
    embed(&c, "a ball", &(struct ek_vectors){.dimensions = WIDTH + 1}, &part);
    assert_int_equal(part.status, EK_UNSUPPORTED);
    kernel_case_close(&c);
}

static void texts_beyond_the_context_are_refused_by_their_tokens(void **state)
{
    struct kernel_case c;
    struct vector v;
    (void)state;
    kernel_case_open(&c, &tinylm_kernel, "{model: " LM_CASE_MODEL ", context: 8}", "");

    embed(&c, "Once upon a time there was a little girl", &(struct ek_vectors){0}, &v);
    assert_int_equal(v.status, EK_TOO_LONG);
    assert_string_equal(v.error.code, "context_length_exceeded");
    assert_string_equal(v.error.option, "input");
    embed(&c, "Once upon a time", &(struct ek_vectors){0}, &v);
    assert_int_equal(v.status, EK_OK);
    kernel_case_close(&c);
}

static void cancelled_and_late_embeddings_end(void **state)
{
    struct kernel_case c;
    struct vector v;
    ek_flag cancel = 1;
    (void)state;
    kernel_case_open(&c, &tinylm_kernel, GREEDY, "");

    embed(&c, "a ball", &(struct ek_vectors){.cancel = &cancel}, &v);
    assert_int_equal(v.status, EK_CANCELLED);
    embed(&c, "a ball", &(struct ek_vectors){.deadline_ns = 1}, &v);
    assert_int_equal(v.status, EK_LATE);
    kernel_case_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernel_goes_on_with_the_published_story),
        cmocka_unit_test(scalar_is_short_for_the_model),
        cmocka_unit_test(limits_of_requests_and_options_are_kept_exactly),
        cmocka_unit_test(same_seed_gives_the_same_answer),
        cmocka_unit_test(stop_text_ends_the_answer),
        cmocka_unit_test(prompts_beyond_the_context_are_refused_never_cut),
        cmocka_unit_test(cancelled_and_late_answers_end),
        cmocka_unit_test(mistakes_are_shown_where_they_stand),
        cmocka_unit_test(estimate_says_what_create_then_takes),
        cmocka_unit_test(texts_become_vectors_of_length_one),
        cmocka_unit_test(embedding_leaves_answers_as_they_were),
        cmocka_unit_test(other_widths_need_a_model_that_is_said_to_have_them),
        cmocka_unit_test(texts_beyond_the_context_are_refused_by_their_tokens),
        cmocka_unit_test(cancelled_and_late_embeddings_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
