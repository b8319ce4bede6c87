/* What a kernel is told of a chat request. The messages themselves: test_kernel_pool.c. */
#include "backends/kernel.h"
#include "backends/kernel_chat.h"
#include "base/buf.h"
#include "base/mem.h"
#include "tests/support/test.h"

#define WITH(members) "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]," members "}"

static void wishes_of_the_request_reach_the_kernel(void **state)
{
    (void)state;
    struct str body = STR(WITH("\"temperature\":0.5,\"top_p\":0.25,\"seed\":-7,\"max_tokens\":9,"
                               "\"stop\":[\"a\\n\",\"b\"]"));
    struct kernel_chat chat;

    assert_int_equal(kernel_chat_parse(body, &chat), ST_OK);

    const struct ek_request *request = &chat.request;
    assert_true(request->temperature > 0.49 && request->temperature < 0.51);
    assert_true(request->top_p > 0.24 && request->top_p < 0.26);
    assert_int_equal(request->has_seed, 1);
    assert_int_equal((int64_t)request->seed, -7);
    assert_int_equal(request->max_tokens, 9);
    assert_int_equal(request->stop_count, 2);
    test_assert_str(kernel_str(request->stop[0]), STR("a\n"));
    test_assert_str(kernel_str(request->stop[1]), STR("b"));
    test_assert_str(kernel_str(request->body), body);
    kernel_chat_fini(&chat);
}

static void what_is_not_given_is_told_apart_from_zero(void **state)
{
    (void)state;
    struct kernel_chat chat;

    assert_int_equal(kernel_chat_parse(STR(WITH("\"stop\":null,\"seed\":null")), &chat), ST_OK);

    assert_true(chat.request.temperature < 0 && chat.request.top_p < 0);
    assert_int_equal(chat.request.has_seed, 0);
    assert_int_equal(chat.request.stop_count, 0);
    kernel_chat_fini(&chat);
}

static void wrong_wishes_are_refused(void **state)
{
    (void)state;

    static const struct {
        const char *body;
        const char *why;
    } cases[] = {
        {WITH("\"temperature\":\"hot\""), "temperature must be a number from 0 on"},
        {WITH("\"top_p\":-1"), "top_p must be a number from 0 on"},
        {WITH("\"seed\":1.5"), "seed must be an integer"},
        {WITH("\"stop\":[1]"), "stop must be a string or an array of up to four strings"},
        {WITH("\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]"),
         "stop must be a string or an array of up to four strings"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kernel_chat chat;

        assert_int_equal(kernel_chat_parse(str_from(cases[i].body), &chat), ST_INVALID);

        assert_string_equal(chat.why, cases[i].why);
        kernel_chat_fini(&chat);
    }
}

#define HI "{\"type\":\"text\",\"text\":\"hi\"}"

static void what_no_kernel_is_told_is_passed_over(void **state)
{
    static const char *const bodies[] = {
        WITH("\"user\":{\"stream\":7},\"tools\":[[]]"),
        WITH("\"stream_options\":null"),
        WITH("\"stream_options\":[true]"),
        WITH("\"stream_options\":{\"include_obfuscation\":true}"),
        "{\"messages\":[{\"name\":\"x\",\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}," HI "]}]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct kernel_chat chat;

        assert_int_equal(kernel_chat_parse(str_from(bodies[i]), &chat), ST_OK);

        assert_int_equal(chat.request.message_count, 1);
        test_assert_str(kernel_str(chat.request.messages[0].role), STR("user"));
        test_assert_str(kernel_str(chat.request.messages[0].text), STR("hi"));
        assert_false(chat.is_stream || chat.includes_usage);
        kernel_chat_fini(&chat);
    }
}

/* Escapes, parts, stops and more messages than the first table of them holds. */
static const char full[] =
    "{\"messages\":[{\"role\":\"us\\u0065r\",\"content\":\"a\\nb\"},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one\"},"
    "{\"type\":\"text\",\"text\":\"\\ttwo\"}]},"
    "{\"role\":\"a\"},{\"role\":\"a\"},{\"role\":\"a\"},{\"role\":\"a\"},{\"role\":\"a\"},"
    "{\"role\":\"a\"},{\"role\":\"a\"},{\"role\":\"a\"},{\"role\":\"a\"},{\"role\":\"a\"},"
    "{\"role\":\"a\"},{\"role\":\"a\"},{\"role\":\"a\"},{\"role\":\"a\"},{\"role\":\"a\"}],"
    "\"stop\":[\"\\n\"]}";

static void every_prefix_of_a_body_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof full - 1; len++) {
        struct kernel_chat chat;

        assert_int_equal(kernel_chat_parse((struct str){full, len}, &chat), ST_INVALID);

        assert_string_equal(chat.why, "the request body is not a valid JSON object");
        kernel_chat_fini(&chat);
    }
}

/* A single failure may be got over (the decoder tries again in pieces); then nothing is lost. */
static void no_memory_is_told_wherever_it_runs_out(void **state)
{
    enum {
        TRIES = 20,
    };

    size_t told = 0;
    (void)state;
    for (uint64_t i = 0; i < 2 * (uint64_t)TRIES; i++) {
        struct kernel_chat chat;
        mem_fail_at(i / 2 + 1, (int)(i % 2));
        enum status st = kernel_chat_parse(str_from(full), &chat);
        mem_fail_at(0, 0);
        told += st == ST_NO_MEMORY;
        if (st == ST_OK) {
            assert_int_equal(chat.request.message_count, 17);
            test_assert_str(kernel_str(chat.request.messages[0].role), STR("user"));
            test_assert_str(kernel_str(chat.request.messages[0].text), STR("a\nb"));
            test_assert_str(kernel_str(chat.request.messages[1].text), STR("one\n\ttwo"));
            test_assert_str(kernel_str(chat.request.stop[0]), STR("\n"));
        } else {
            assert_int_equal(st, ST_NO_MEMORY);
        }
        kernel_chat_fini(&chat);
    }
    assert_in_range(told, 8, 2 * TRIES - 4); /* the last tries find nothing left to fail */
}

static void there_is_a_ceiling_on_messages(void **state)
{
    static const struct {
        int count;
        const char *why; /* NULL: good */
    } cases[] = {{10000, NULL}, {10001, "too many messages"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kernel_chat chat;
        struct buf body;
        buf_init(&body, 1 << 20);
        assert_int_equal(buf_append(&body, STR("{\"messages\":[{\"role\":\"a\"}")), ST_OK);
        for (int k = 1; k < cases[i].count; k++) {
            assert_int_equal(buf_append(&body, STR(",{\"role\":\"a\"}")), ST_OK);
        }
        assert_int_equal(buf_append(&body, STR("]}")), ST_OK);

        enum status st = kernel_chat_parse(buf_str(&body), &chat);

        assert_int_equal(st, cases[i].why == NULL ? ST_OK : ST_INVALID);
        assert_int_equal(chat.request.message_count, 10000);
        if (cases[i].why != NULL) {
            assert_string_equal(chat.why, cases[i].why);
        }
        kernel_chat_fini(&chat);
        buf_fini(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wishes_of_the_request_reach_the_kernel),
        cmocka_unit_test(what_is_not_given_is_told_apart_from_zero),
        cmocka_unit_test(wrong_wishes_are_refused),
        cmocka_unit_test(what_no_kernel_is_told_is_passed_over),
        cmocka_unit_test(every_prefix_of_a_body_is_refused),
        cmocka_unit_test(no_memory_is_told_wherever_it_runs_out),
        cmocka_unit_test(there_is_a_ceiling_on_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
