/* Errors of experts: what kind they are, in the words of the servers that send them. */
#include "backends/reply_error.h"
#include "tests/support/test.h"

struct error_case {
    const char *document;
    bool is_error;
    enum reply_error kind;
    int status;
};

static void errors_are_told_by_code_type_and_message(void **state)
{
    static const struct error_case cases[] = {
        {"{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"param\":\"messages\","
         "\"code\":\"context_length_exceeded\"}}",
         true, REPLY_ERROR_CONTEXT, 0},
        {"{\"object\":\"error\",\"message\":\"This model's maximum context length is 4096 tokens. "
         "However, you requested 5000\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}",
         true, REPLY_ERROR_CONTEXT, 400},
        {"{\"error\":{\"code\":400,\"message\":\"the request exceeds the available context size\","
         "\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":9,\"n_ctx\":4}}",
         true, REPLY_ERROR_CONTEXT, 400},
        {"{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is "
         "too long: 210000 tokens > 200000 maximum\"}}",
         true, REPLY_ERROR_CONTEXT, 0},
        {"{\"error\":\"`inputs` tokens + `max_new_tokens` must be <= 4096\"}", true,
         REPLY_ERROR_CONTEXT, 0},
        {"{\"error\":{\"message\":\"The response was filtered\",\"code\":\"content_filter\","
         "\"innererror\":{\"code\":\"ResponsibleAIPolicyViolation\"}}}",
         true, REPLY_ERROR_FILTER, 0},
        {"{\"error\":{\"code\":\"content_policy_violation\",\"message\":\"no\"}}", true,
         REPLY_ERROR_FILTER, 0},
        {"{\"error\":{\"message\":\"You exceeded your current quota\",\"code\":"
         "\"insufficient_quota\"}}",
         true, REPLY_ERROR_QUOTA, 0},
        {"{\"error\":{\"message\":\"slow down\",\"code\":429}}", true, REPLY_ERROR_OTHER, 429},
        {"{\"error\":{\"message\":\"slow down\",\"code\":\"rate_limit_exceeded\"}}", true,
         REPLY_ERROR_OTHER, 0},
        {"{\"error\":{\"code\":7}}", true, REPLY_ERROR_OTHER, 0},
        {"{\"error\":{}}", true, REPLY_ERROR_OTHER, 0},
        {"{\"error\":null,\"choices\":[]}", false, REPLY_ERROR_OTHER, 0},
        {"{\"choices\":[],\"message\":\"context window\",\"code\":500}", false, REPLY_ERROR_OTHER,
         0},
        {"{\"error\":{\"code\":\"context_length_exceeded\"}", false, REPLY_ERROR_OTHER, 0},
        {"[{\"error\":{}}]", false, REPLY_ERROR_OTHER, 0},
        {"<html>context window</html>", false, REPLY_ERROR_OTHER, 0},
        {"", false, REPLY_ERROR_OTHER, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply_error_facts facts = reply_error_read(str_from(cases[i].document));
        if (facts.is_error != cases[i].is_error || facts.kind != cases[i].kind ||
            facts.status != cases[i].status) {
            fail_msg("error %d, kind %d, status %d of %s", facts.is_error, (int)facts.kind,
                     facts.status, cases[i].document);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_told_by_code_type_and_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
