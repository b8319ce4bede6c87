/* The key of a request, which answers are kept, and each way out of either way in. */
#include "gateway/cache_answer.h"
#include "tests/support/test.h"

enum {
    OUT_MAX = 1 << 20
};

#define CHUNK(choice)                                                                              \
    "data: {\"id\":\"c\",\"created\":1,\"model\":\"m\",\"choices\":[" choice "]}\n\n"
#define DELTA(text)                                                                                \
    CHUNK("{\"index\":0,\"delta\":{\"content\":\"" text "\"},\"finish_reason\":null}")
#define STOP CHUNK("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}")
#define DONE "data: [DONE]\n\n"
#define MESSAGE(members, reason)                                                                   \
    "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{" members                                \
    "},\"finish_reason\":\"" reason "\"}]}"

static void the_key_is_of_all_but_the_way_of_the_answer(void **state)
{
    static const struct {
        const char *body;
        bool is_same;
    } cases[] = {
        {"{\"model\":\"m\",\"seed\":1}", true},
        {"{ \"model\" : \"m\", \"seed\":1 }", true},
        {"{\"model\":\"m\",\"stream\":true,\"seed\":1,\"stream_options\":{\"a\":1}}", true},
        {"{\"model\":\"m\",\"seed\":1.0}", false},
        {"{\"seed\":1,\"model\":\"m\"}", false},
        {"{\"model\":\"m\"}", false},
        {"{\"model\":\"m\",\"seed\":1,\"x\":null}", false},
    };
    const struct cache_scope scope = {STR("ann"), 7};
    struct digest first;
    struct digest key;
    bool is_sampled = false;
    (void)state;
    cache_answer_key(&scope, str_from(cases[0].body), &first, &is_sampled);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cache_answer_key(&scope, str_from(cases[i].body), &key, &is_sampled);
        assert_int_equal(digest_eq(&first, &key), cases[i].is_same);
    }
}

static void tenants_and_experts_have_keys_of_their_own(void **state)
{
    const struct cache_scope scopes[] = {{STR("ann"), 7}, {STR("bob"), 7}, {STR("ann"), 8}};
    struct digest keys[3];
    bool is_sampled = false;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        cache_answer_key(&scopes[i], STR("{}"), &keys[i], &is_sampled);
    }

    assert_false(digest_eq(&keys[0], &keys[1]));
    assert_false(digest_eq(&keys[0], &keys[2]));
    assert_false(digest_eq(&keys[1], &keys[2]));
}

static void only_temperature_zero_is_not_sampled(void **state)
{
    static const struct {
        const char *body;
        bool want;
    } cases[] = {{"{\"temperature\":0}", false},    {"{\"temperature\":0.0}", false},
                 {"{\"temperature\":0.001}", true}, {"{\"temperature\":null}", true},
                 {"{\"temperature\":\"0\"}", true}, {"{}", true}};
    const struct cache_scope scope = {STR(""), 0};
    struct digest key;
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_sampled = !cases[i].want;
        cache_answer_key(&scope, str_from(cases[i].body), &key, &is_sampled);
        assert_int_equal(is_sampled, cases[i].want);
    }
}

static void only_whole_answers_of_texts_are_fit(void **state)
{
    static const struct {
        const char *document;
        bool want;
    } cases[] = {
        {MESSAGE("\"role\":\"assistant\",\"content\":\"a\",\"refusal\":null", "stop"), true},
        {MESSAGE("\"content\":\"a\",\"reasoning\":\"b\",\"annotations\":[]", "stop"), true},
        {MESSAGE("\"content\":\"a\"", "length"), false},
        {MESSAGE("\"content\":\"a\"", "tool_calls"), false},
        {MESSAGE("\"content\":null,\"tool_calls\":[{}]", "stop"), false},
        {MESSAGE("\"content\":\"a\",\"audio\":{\"id\":1}", "stop"), false},
        {"{\"choices\":[]}", false},
        {"{\"error\":{\"message\":\"no\"}}", false},
        {"{\"choices\":[{\"message\":{},\"finish_reason\":\"stop\",\"logprobs\":{\"a\":1}}]}",
         false},
        {"[]", false},
        {"{", false},
        {"", false},
    };

    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (cache_answer_is_fit(str_from(cases[i].document)) != cases[i].want) {
            fail_msg("case %zu: %s", i, cases[i].document);
        }
    }
}

/* Fed in pieces of `step` bytes. */
static enum status assemble(const char *stream, size_t step, const struct usage *usage,
                            struct buf *out)
{
    struct cache_capture c;
    struct str rest = str_from(stream);
    cache_capture_init(&c);
    for (; rest.len > 0; rest = str_slice(rest, step, rest.len)) {
        cache_capture_feed(&c, str_slice(rest, 0, step));
    }
    enum status st = cache_capture_write(&c, usage, out);
    cache_capture_fini(&c);
    return st;
}

static void a_stream_becomes_a_document_and_a_stream_again(void **state)
{
    static const char stream[] = DELTA("h\\u00e9") DELTA("\\ud83d") DELTA("\\ude00") STOP DONE;
    static const char want[] =
        "{\"id\":\"c\",\"created\":1,\"model\":\"m\",\"object\":\"chat.completion\",\"choices\":["
        "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"h\\u00e9\\ud83d\\ude00\","
        "\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
        "\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5,\"prompt_tokens_details\":"
        "{\"cached_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}}}";
    static const char again[] =
        "data: {\"id\":\"c\",\"created\":1,\"model\":\"m\",\"object\":\"chat.completion.chunk\","
        "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
        "\"content\":\"h\\u00e9\\ud83d\\ude00\"},\"finish_reason\":null}]}\n\n"
        "data: {\"id\":\"c\",\"created\":1,\"model\":\"m\",\"object\":\"chat.completion.chunk\","
        "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n" DONE;
    const struct usage usage = {.prompt_tokens = 3, .completion_tokens = 2, .is_reported = true};
    struct buf document;
    struct buf out;
    (void)state;
    for (size_t step = 1; step < sizeof stream; step += 7) {
        buf_init(&document, OUT_MAX);
        buf_init(&out, OUT_MAX);

        assert_int_equal(assemble(stream, step, &usage, &document), ST_OK);
        assert_true(str_eq(buf_str(&document), str_from(want)));
        assert_true(cache_answer_is_fit(buf_str(&document)));
        assert_int_equal(cache_answer_write_stream(buf_str(&document), false, &out), ST_OK);
        assert_true(str_eq(buf_str(&out), str_from(again)));

        buf_fini(&document);
        buf_fini(&out);
    }
}

static void the_usage_event_comes_where_it_is_wanted(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, OUT_MAX);

    assert_int_equal(cache_answer_write_stream(
                         STR("{\"choices\":[],\"usage\":{\"prompt_tokens\":\n1}}"), true, &out),
                     ST_OK);

    assert_true(str_eq(buf_str(&out),
                       STR("data: {\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":"
                           "{\"prompt_tokens\": 1}}\n\n" DONE)));
    buf_fini(&out);
}

static void streams_that_are_not_whole_texts_are_not_fit(void **state)
{
    static const char *const streams[] = {
        "",
        DONE,
        DELTA("a") STOP,
        DELTA("a") DONE,
        CHUNK("{\"index\":0,\"delta\":{\"tool_calls\":[{}]},\"finish_reason\":null}") STOP DONE,
        DELTA("a") CHUNK("{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}") DONE,
        "data: {\"error\":{\"message\":\"no\"}}\n\n" DONE,
        CHUNK("{\"index\":9,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}") DONE,
        CHUNK("{\"index\":1,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}") DONE,
        CHUNK("{\"index\":0,\"delta\":{},\"logprobs\":{\"a\":1},\"finish_reason\":null}") STOP DONE,
        "data: no json\n\n" STOP DONE,
    };
    const struct usage usage = {0};
    struct buf out;
    (void)state;
    buf_init(&out, OUT_MAX);

    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        if (assemble(streams[i], 16, &usage, &out) != ST_INVALID) {
            fail_msg("stream %zu is taken", i);
        }
    }

    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_is_of_all_but_the_way_of_the_answer),
        cmocka_unit_test(tenants_and_experts_have_keys_of_their_own),
        cmocka_unit_test(only_temperature_zero_is_not_sampled),
        cmocka_unit_test(only_whole_answers_of_texts_are_fit),
        cmocka_unit_test(a_stream_becomes_a_document_and_a_stream_again),
        cmocka_unit_test(the_usage_event_comes_where_it_is_wanted),
        cmocka_unit_test(streams_that_are_not_whole_texts_are_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
