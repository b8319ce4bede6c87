/* The guard over request heads: what libmicrohttpd lets through and another proxy might read
 * differently. */
#include "gateway/http_guard.h"
#include "tests/support/test.h"

enum {
    HEADERS_MAX = 6
};

struct header {
    const char *name;
    const char *value;
};

struct head {
    const char *method;
    const char *version;
    struct header headers[HEADERS_MAX];
};

static enum problem judge(struct http_guard *g, const struct head *head)
{
    http_guard_start(g, str_from(head->method), str_from(head->version));
    for (size_t i = 0; i < HEADERS_MAX && head->headers[i].name != NULL; i++) {
        http_guard_header(g, str_from(head->headers[i].name), str_from(head->headers[i].value));
    }
    return http_guard_finish(g);
}

static void check(const struct head *heads, size_t count, enum problem want)
{
    for (size_t i = 0; i < count; i++) {
        struct http_guard g;
        enum problem got = judge(&g, &heads[i]);
        if (got != want || (http_guard_why(&g)[0] != '\0') != (want == PROBLEM_BAD_HEAD)) {
            fail_msg("case %zu, %s: problem %d, \"%s\"", i, heads[i].method, (int)got,
                     http_guard_why(&g));
        }
    }
}

#define CHECK(heads, want) check(heads, sizeof(heads) / sizeof(heads)[0], want)
#define HOST                                                                                       \
    {                                                                                              \
        "Host", "h"                                                                                \
    }

static void lawful_heads_pass(void **state)
{
    static const struct head heads[] = {
        {"GET", "HTTP/1.1", {HOST}},
        {"GET", "HTTP/1.0", {{NULL, NULL}}},
        {"POST", "HTTP/1.1", {HOST, {"Content-Length", "12"}}},
        {"POST", "HTTP/1.1", {HOST, {"content-length", "0"}}},
        {"POST", "HTTP/1.1", {{"HOST", "h"}, {"Transfer-Encoding", "chunked"}}},
        {"POST", "HTTP/1.1", {HOST, {"TRANSFER-ENCODING", "Chunked"}}},
        {"POST", "HTTP/1.0", {{"Content-Length", "9000000000000000000"}}},
        {"OPTIONS", "HTTP/1.1", {HOST, {"X-Tab", "a\tb"}, {"X-Latin", "\xe9"}, {"X-None", ""}}},
        {"DELETE", "HTTP/1.1", {HOST, {"X!#$%&'*+-.^_`|~9", "v"}}},
    };
    (void)state;
    CHECK(heads, PROBLEM_NONE);
}

static void ambiguous_framing_is_refused(void **state)
{
    static const struct head heads[] = {
        {"POST", "HTTP/1.1", {HOST, {"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}}},
        {"POST", "HTTP/1.1", {HOST, {"Content-Length", "5"}, {"content-length", "5"}}},
        {"GET", "HTTP/1.1", {HOST, {"Content-Length", "5"}, {"Content-Length", "6"}}},
        {"POST",
         "HTTP/1.1",
         {HOST, {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}},
        {"POST", "HTTP/1.0", {{"Transfer-Encoding", "chunked"}}},
        {"POST", "HTTP/1.1", {HOST, {"Transfer-Encoding", "gzip, chunked"}}},
        {"POST", "HTTP/1.1", {HOST, {"Transfer-Encoding", "identity"}}},
        {"POST", "HTTP/1.1", {HOST, {"Transfer-Encoding", ""}}},
        {"POST", "HTTP/1.1", {HOST, {"Transfer-Encoding", "chunked "}}},
        {"POST",
         "HTTP/1.1",
         {HOST,
          {"Transfer-Encoding", "\x0b"
                                "chunked"}}},
    };
    (void)state;
    CHECK(heads, PROBLEM_BAD_HEAD);
}

static void lengths_are_digits_only(void **state)
{
    static const char *const lengths[] = {"",
                                          "+5",
                                          "-5",
                                          "5 ",
                                          " 5",
                                          "5,5",
                                          "0x5",
                                          "5.0",
                                          "five",
                                          "1e3",
                                          "5;",
                                          "5\t",
                                          "99999999999999999999"};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        const struct head head = {"POST", "HTTP/1.1", {HOST, {"Content-Length", lengths[i]}}};
        check(&head, 1, PROBLEM_BAD_HEAD);
    }
}

static void host_stands_exactly_once(void **state)
{
    static const struct head heads[] = {
        {"GET", "HTTP/1.1", {{NULL, NULL}}},
        {"GET", "HTTP/1.1", {HOST, HOST}},
        {"GET", "HTTP/1.1", {HOST, {"hOsT", "other"}}},
        {"GET", "HTTP/1.0", {HOST, HOST}},
    };
    (void)state;
    CHECK(heads, PROBLEM_BAD_HEAD);
}

static void a_host_is_a_name_and_a_port(void **state)
{
    static const char *const hosts[] = {"", "x", "a.b:8080", "[::1]:80", "x \t", "a%20b", "_a"};
    static const char *const others[] = {"a b", "a/b", "u@a", "a?b", "a#b", "\xff", "a\tb", "<a>"};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        const struct head head = {"GET", "HTTP/1.1", {{"Host", hosts[i]}}};
        check(&head, 1, PROBLEM_NONE);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const struct head head = {"GET", "HTTP/1.1", {{"Host", others[i]}}};
        check(&head, 1, PROBLEM_BAD_HEAD);
    }
}

static void targets_are_printable_and_have_no_fragment(void **state)
{
    static const char *const targets[] = {"/", "*", "x:443", "http://a/b?c=%00&d",
                                          "/v1/models/a~b"};
    static const char *const others[] = {"",      "/a b",  "/a\tb", "/a\rb", "/\x01",
                                         "/\x7f", "/\x80", "/\xff", "/a#b",  " "};
    (void)state;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        assert_true(http_guard_is_target(str_from(targets[i])));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(http_guard_is_target(str_from(others[i])));
    }
}

static void names_values_methods_and_versions_are_clean(void **state)
{
    static const struct head heads[] = {
        {"GET", "HTTP/1.1", {HOST, {"", "v"}}},
        {"GET", "HTTP/1.1", {HOST, {"Content-Length ", "5"}}},
        {"GET", "HTTP/1.1", {HOST, {" X", "v"}}},
        {"GET", "HTTP/1.1", {HOST, {"X:", "v"}}},
        {"GET", "HTTP/1.1", {HOST, {"X\x80", "v"}}},
        {"GET", "HTTP/1.1", {HOST, {"X", "a\rb"}}},
        {"GET", "HTTP/1.1", {HOST, {"X", "a\nb"}}},
        {"GET", "HTTP/1.1", {HOST, {"X", "a\x7f"}}},
        {"GET", "HTTP/1.1", {HOST, {"X", "\x01"}}},
        {"", "HTTP/1.1", {HOST}},
        {"GE T", "HTTP/1.1", {HOST}},
        {"GET", "HTTP/2.0", {HOST}},
        {"GET", "HTTP/1.2", {HOST}},
        {"GET", "http/1.1", {HOST}},
        {"GET", "", {HOST}},
    };
    (void)state;
    CHECK(heads, PROBLEM_BAD_HEAD);
}

static void a_nul_in_a_name_or_value_is_refused(void **state)
{
    struct http_guard g;
    (void)state;

    http_guard_start(&g, STR("GET"), STR("HTTP/1.1"));
    http_guard_header(&g, STR("Host"), STR("h"));
    http_guard_header(&g, STR("X\0Y"), STR("v"));
    assert_int_equal(http_guard_finish(&g), PROBLEM_BAD_HEAD);

    http_guard_start(&g, STR("GET"), STR("HTTP/1.1"));
    http_guard_header(&g, STR("Host"), STR("h\0"));
    assert_int_equal(http_guard_finish(&g), PROBLEM_BAD_HEAD);
}

static void bodies_need_a_length(void **state)
{
    static const struct head needing[] = {
        {"POST", "HTTP/1.1", {HOST}}, {"PUT", "HTTP/1.1", {HOST}}, {"PATCH", "HTTP/1.0", {HOST}}};
    static const struct head free_of_it[] = {
        {"GET", "HTTP/1.1", {HOST}}, {"DELETE", "HTTP/1.1", {HOST}}, {"post", "HTTP/1.1", {HOST}}};
    (void)state;
    CHECK(needing, PROBLEM_LENGTH_REQUIRED);
    CHECK(free_of_it, PROBLEM_NONE);
}

static void the_content_length_is_handed_on(void **state)
{
    struct http_guard g;
    const struct head sized = {"POST", "HTTP/1.1", {HOST, {"Content-Length", "0042"}}};
    const struct head unsized = {"POST", "HTTP/1.1", {HOST, {"Transfer-Encoding", "chunked"}}};
    (void)state;

    assert_int_equal(judge(&g, &sized), PROBLEM_NONE);
    assert_int_equal(g.content_length, 42);
    assert_int_equal(judge(&g, &unsized), PROBLEM_NONE);
    assert_int_equal(g.content_length, -1);
}

static void too_many_headers_are_refused(void **state)
{
    struct http_guard g;
    (void)state;
    http_guard_start(&g, STR("GET"), STR("HTTP/1.0"));
    for (int i = 0; i < 201; i++) {
        http_guard_header(&g, STR("X"), STR("y"));
    }
    assert_int_equal(http_guard_finish(&g), PROBLEM_BAD_HEAD);
}

static void the_first_reason_stays(void **state)
{
    struct http_guard g;
    (void)state;

    http_guard_start(&g, STR("GET"), STR("HTTP/1.1"));
    http_guard_fail(&g, "first");
    http_guard_fail(&g, "second");

    assert_int_equal(http_guard_finish(&g), PROBLEM_BAD_HEAD);
    assert_string_equal(http_guard_why(&g), "first");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lawful_heads_pass),
        cmocka_unit_test(ambiguous_framing_is_refused),
        cmocka_unit_test(lengths_are_digits_only),
        cmocka_unit_test(host_stands_exactly_once),
        cmocka_unit_test(a_host_is_a_name_and_a_port),
        cmocka_unit_test(targets_are_printable_and_have_no_fragment),
        cmocka_unit_test(names_values_methods_and_versions_are_clean),
        cmocka_unit_test(a_nul_in_a_name_or_value_is_refused),
        cmocka_unit_test(bodies_need_a_length),
        cmocka_unit_test(the_content_length_is_handed_on),
        cmocka_unit_test(too_many_headers_are_refused),
        cmocka_unit_test(the_first_reason_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
