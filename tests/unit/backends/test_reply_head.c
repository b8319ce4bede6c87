/* What is read of an expert's reply head, line by line. */
#include <string.h>

#include "backends/reply_head.h"
#include "tests/support/test.h"

static struct reply_head read_lines(const char *const *lines)
{
    struct reply_head head;
    reply_head_init(&head);
    for (size_t i = 0; lines[i] != NULL; i++) {
        assert_true(reply_head_line(&head, str_from(lines[i])));
    }
    return head;
}

static void a_fresh_head_says_nothing(void **state)
{
    struct reply_head head;
    (void)state;

    reply_head_init(&head);

    assert_int_equal(head.content_length, -1);
    assert_int_equal(head.retry_after_s, -1);
    assert_false(head.is_chunked || head.is_encoded || head.closes || head.has_bad_encoding);
    assert_false(reply_head_is_event_stream(&head));
}

static void lines_that_are_no_headers_are_refused(void **state)
{
    static const char *const lines[] = {"",         ":",     ": value", "name",        "na me: x",
                                        "name : x", " n: x", "\tn: x",  "n\xc3\xa9: x"};
    struct reply_head head;
    (void)state;
    reply_head_init(&head);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (reply_head_line(&head, str_from(lines[i]))) {
            fail_msg("\"%s\" was taken for a header", lines[i]);
        }
    }
}

static void retry_after_is_seconds_up_to_a_day(void **state)
{
    static const struct {
        const char *line;
        int64_t seconds;
    } cases[] = {
        {"Retry-After: 0", 0},         {"retry-after:7", 7},
        {"Retry-After: 86400", 86400}, {"Retry-After: 86401", -1},
        {"Retry-After: -1", -1},       {"Retry-After: 1.5", -1},
        {"Retry-After: ", -1},         {"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const lines[] = {cases[i].line, NULL};
        assert_int_equal(read_lines(lines).retry_after_s, cases[i].seconds);
    }
}

static void event_streams_are_known_by_their_type(void **state)
{
    static const struct {
        const char *line;
        bool is_stream;
    } cases[] = {
        {"Content-Type: text/event-stream", true},
        {"content-type: TEXT/Event-Stream; charset=utf-8", true},
        {"Content-Type: application/json", false},
        {"Content-Type: ", false},
        {"X-Content-Type: text/event-stream", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const lines[] = {cases[i].line, NULL};
        struct reply_head head = read_lines(lines);
        assert_int_equal(reply_head_is_event_stream(&head), cases[i].is_stream);
    }
}

static void content_types_are_cut_and_cleaned(void **state)
{
    char line[400] = "Content-Type: a\x01\xff/";
    size_t len = strlen(line);
    struct reply_head head;
    (void)state;
    memset(line + len, 'x', sizeof line - len);
    reply_head_init(&head);

    assert_true(reply_head_line(&head, (struct str){line, sizeof line}));

    assert_int_equal(strlen(head.content_type), REPLY_HEAD_CONTENT_TYPE_BYTES - 1);
    assert_true(str_starts_with(str_from(head.content_type), STR("a  /xxx")));
}

static void encodings_that_nobody_asked_for_are_noted(void **state)
{
    static const struct {
        const char *line;
        bool is_encoded;
    } cases[] = {
        {"Content-Encoding: gzip", true},
        {"content-encoding: br", true},
        {"Content-Encoding: identity", false},
        {"Accept-Encoding: gzip", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const lines[] = {cases[i].line, NULL};
        assert_int_equal(read_lines(lines).is_encoded, cases[i].is_encoded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_head_says_nothing),
        cmocka_unit_test(lines_that_are_no_headers_are_refused),
        cmocka_unit_test(retry_after_is_seconds_up_to_a_day),
        cmocka_unit_test(event_streams_are_known_by_their_type),
        cmocka_unit_test(content_types_are_cut_and_cleaned),
        cmocka_unit_test(encodings_that_nobody_asked_for_are_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
