/* What a kernel is told of a chat request. The messages themselves: test_kernel_pool.c. */
#include "backends/kernel.h"
#include "backends/kernel_chat.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wishes_of_the_request_reach_the_kernel),
        cmocka_unit_test(what_is_not_given_is_told_apart_from_zero),
        cmocka_unit_test(wrong_wishes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
