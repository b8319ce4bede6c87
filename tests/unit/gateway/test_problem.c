/* Errors that the gateway answers with: each row a lawful, OpenAI-shaped document. */
#include <string.h>

#include "gateway/problem.h"
#include "tests/support/json_doc.h"
#include "tests/support/test.h"

enum {
    TEXT_MAX = 65536
};

#define PROBLEM_LIST(name, status, fault, type, code, message) PROBLEM_##name,

static const enum problem all[] = {PROBLEM_TABLE(PROBLEM_LIST)};

enum {
    ALL_COUNT = sizeof all / sizeof all[0]
};

static const char *text_of(json_t *error, const char *key)
{
    return json_string_value(json_object_get(error, key));
}

/* The member "error" of the written document, which must have nothing else. */
static json_t *write_error(enum problem p, struct str message, struct str param, json_t **ret_doc)
{
    struct buf out;
    buf_init(&out, TEXT_MAX);
    assert_int_equal(problem_write(&out, p, message, param), ST_OK);
    *ret_doc = json_doc_load(buf_str(&out));
    buf_fini(&out);
    assert_int_equal(json_object_size(*ret_doc), 1);
    json_t *error = json_object_get(*ret_doc, "error");
    assert_int_equal(json_object_size(error), 4);
    return error;
}

static void every_row_is_a_lawful_document(void **state)
{
    (void)state;
    for (size_t i = 0; i < ALL_COUNT; i++) {
        json_t *doc;
        json_t *error = write_error(all[i], STR(""), STR(""), &doc);
        bool is_clients = problem_status(all[i]) < 500;
        assert_string_equal(text_of(error, "message"), problem_message(all[i]));
        assert_true(strlen(problem_message(all[i])) > 0);
        assert_string_equal(text_of(error, "code"), problem_code(all[i]));
        if (problem_status(all[i]) == 429) { /* as OpenAI: the type names the limit */
            static const char *const types[] = {"requests", "tokens", "insufficient_quota"};
            bool is_found = false;
            for (size_t k = 0; k < 3; k++) {
                is_found = is_found || strcmp(text_of(error, "type"), types[k]) == 0;
            }
            assert_true(is_found);
        } else {
            assert_string_equal(text_of(error, "type"),
                                is_clients ? "invalid_request_error" : "api_error");
        }
        assert_true(json_is_null(json_object_get(error, "param")));
        assert_true(problem_status(all[i]) >= 400 && problem_status(all[i]) < 600);
        json_decref(doc);
    }
}

/* OpenAI has one code for all that is wrong with a key, and one for all limits. */
static void a_code_belongs_to_one_status(void **state)
{
    (void)state;
    for (size_t i = 0; i < ALL_COUNT; i++) {
        for (size_t k = 0; k < i; k++) {
            int status = problem_status(all[i]);
            if (status != problem_status(all[k]) || (status != 401 && status != 429)) {
                assert_string_not_equal(problem_code(all[i]), problem_code(all[k]));
            }
        }
    }
}

static void messages_and_params_are_escaped(void **state)
{
    json_t *doc;
    (void)state;

    json_t *error = write_error(PROBLEM_BAD_PARAM, STR("a \"b\"\\\n\x01\xff"), STR("x\"y"), &doc);

    assert_string_equal(text_of(error, "message"), "a \"b\"\\\n\x01\xef\xbf\xbd");
    assert_string_equal(text_of(error, "param"), "x\"y");
    json_decref(doc);
}

static void a_full_buffer_is_reported(void **state)
{
    struct buf out;
    (void)state;
    for (size_t max = 1; max < 60; max++) {
        buf_init(&out, max);
        assert_int_equal(problem_write(&out, PROBLEM_NOT_FOUND, STR(""), STR("p")), ST_TOO_BIG);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_a_lawful_document),
        cmocka_unit_test(a_code_belongs_to_one_status),
        cmocka_unit_test(messages_and_params_are_escaped),
        cmocka_unit_test(a_full_buffer_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
