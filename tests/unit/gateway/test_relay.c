/* The relay: what reaches the client, whole, byte by byte and cut at every offset. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gateway/relay.h"
#include "tests/support/test.h"

#define ROLE "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
#define HI   "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n"
#define STOP "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE                                                                                      \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,"                \
    "\"prompt_tokens_details\":{\"cached_tokens\":2}}}\n\n"
#define DONE   "data: [DONE]\n\n"
#define FILTER "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n"
#define FAILED "data: {\"error\":{\"message\":\"boom\"}}\n\n"

enum {
    TEXT_MAX = 1 << 22
};

struct played {
    struct buf out;
    struct relay relay;
};

static enum status append(void *ctx, struct str bytes)
{
    struct played *p = ctx;
    assert_true(bytes.len > 0);
    return buf_append(&p->out, bytes);
}

/* Runs the relay as the gateway does, the stream arriving in pieces: up to `cut`, then steps of
 * `step` bytes. The window is a copy of its own, so that a sanitizer sees any look beyond it. */
static void play(struct played *p, struct str stream, bool strips, size_t cut, size_t step)
{
    struct buf window;
    buf_init(&window, TEXT_MAX);
    buf_init(&p->out, TEXT_MAX);
    relay_init(&p->relay, strips);
    for (size_t at = 0; at < stream.len;) {
        size_t consumed = 0;
        size_t n = at < cut ? cut - at : step;
        struct str piece = str_slice(stream, at, n);
        at += piece.len;
        assert_int_equal(buf_append(&window, piece), ST_OK);
        assert_int_equal(relay_run(&p->relay, buf_str(&window), append, p, &consumed), ST_OK);
        assert_true(consumed <= window.len);
        buf_consume(&window, consumed);
    }
    relay_end(&p->relay);
    assert_int_equal(relay_release(&p->relay, buf_str(&window), append, p), ST_OK);
    buf_fini(&window);
}

static void stop(struct played *p)
{
    relay_fini(&p->relay);
    buf_fini(&p->out);
}

struct stream_case {
    const char *stream;
    const char *out; /* NULL: the stream itself */
    bool strips;
    bool saw_done;
    bool saw_error;
    int64_t prompt_tokens;
};

static void check_one(const struct stream_case *c, size_t cut, size_t step)
{
    struct played p;
    struct str want = str_from(c->out == NULL ? c->stream : c->out);
    play(&p, str_from(c->stream), c->strips, cut, step);
    if (!str_eq(buf_str(&p.out), want) || p.relay.saw_done != c->saw_done ||
        p.relay.saw_error != c->saw_error || p.relay.usage.prompt_tokens != c->prompt_tokens) {
        fail_msg("cut at %zu, steps of %zu: done %d, error %d, %d tokens, got\n%.*s\nof\n%s", cut,
                 step, p.relay.saw_done, p.relay.saw_error, (int)p.relay.usage.prompt_tokens,
                 STR_ARG(buf_str(&p.out)), c->stream);
    }
    stop(&p);
}

static void check(const struct stream_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(cases[i].stream);
        check_one(&cases[i], 0, 1);
        check_one(&cases[i], 0, 7);
        for (size_t cut = 0; cut <= len; cut++) {
            check_one(&cases[i], cut, len);
        }
    }
}

#define CHECK(cases) check(cases, sizeof(cases) / sizeof(cases)[0])

static void streams_pass_byte_for_byte(void **state)
{
    static const struct stream_case cases[] = {
        {ROLE HI STOP DONE, NULL, true, true, false, 0},
        {ROLE HI STOP DONE, NULL, false, true, false, 0},
        {": hello\n\n" ROLE ": ping\n\n" HI "event: x\nid: 1\n" STOP ": bye\n\n" DONE ": after\n\n",
         NULL, true, true, false, 0},
        {"data:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\ndata:[DONE]\r\n\r\n", NULL,
         true, true, false, 0},
        {"\xef\xbb\xbf" HI DONE, NULL, true, true, false, 0},
        {HI "\n\n\n" DONE "\n\n", NULL, true, true, false, 0},
        {"data: {\"x\":1e5, \"choices\" : [ ] }\n\ndata:\n\n" DONE, NULL, true, true, false, 0},
        {HI "data: [DONE]\n", NULL, true, true, false, 0},
        {HI "data: [DONE]", NULL, true, true, false, 0},
        {HI STOP USAGE DONE, NULL, false, true, false, 7},
    };
    (void)state;
    CHECK(cases);
}

static void the_usage_event_is_withheld_exactly(void **state)
{
    static const struct stream_case cases[] = {
        {ROLE HI STOP USAGE DONE, ROLE HI STOP DONE, true, true, false, 7},
        {HI ": a\n\n" USAGE ": b\n\n" DONE, HI ": a\n\n: b\n\n" DONE, true, true, false, 7},
        {USAGE HI DONE, HI DONE, true, true, false, 7},
        {ROLE USAGE DONE, ROLE DONE, true, true, false, 7},
        {USAGE, "", true, false, false, 7},
        {HI "event: message\nid: 3\n" USAGE DONE, HI DONE, true, true, false, 7},
        {HI "data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":4}}\n\n" DONE, HI DONE,
         true, true, false, 4},
        {HI "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4}}\r\n\r\n" DONE, HI DONE, true,
         true, false, 4},
        {HI "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4}}\r\r" DONE, HI DONE, true, true,
         false, 4},
        {HI "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4}}\r\n\r\n\r\n" DONE,
         HI "\r\n" DONE, true, true, false, 4},
    };
    (void)state;
    CHECK(cases);
}

static void usage_beside_content_is_read_and_passes(void **state)
{
    static const struct stream_case cases[] = {
        {"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":9}}\n\n" DONE,
         NULL, true, true, false, 9},
        {"data: {\"usage\":null,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n" DONE, NULL,
         true, true, false, 0},
        {HI "data: {\"usage\":null,\"choices\":[]}\n\n" DONE, NULL, true, true, false, 0},
        {HI "data: {\"usage\":{\"prompt_tokens\":8}}\n\n" DONE, NULL, true, true, false, 8},
        {"data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\"\"}}]}\n\n" DONE, NULL, true,
         true, false, 0},
    };
    (void)state;
    CHECK(cases);
}

static void nothing_is_written_before_the_first_content(void **state)
{
    static const struct stream_case cases[] = {
        {ROLE, "", true, false, false, 0},
        {": ping\n\n" FILTER ROLE ": ping\n\n", "", true, false, false, 0},
        {"data: {\"choices\":[{\"delta\":{\"content\":null,\"tool_calls\":[]},\"finish_reason\":"
         "null}]}\n\n",
         "", true, false, false, 0},
        {"data: {\"choices\":[{\"delta\":{\"content\":\"cut", "", true, false, false, 0},
        {ROLE "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{}]}}]}\n\n", NULL, true, false,
         false, 0},
        {ROLE "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n", NULL, true,
         false, false, 0},
        {ROLE STOP, NULL, true, false, false, 0},
        {ROLE "data: {\"choices\":[{\"delta\":{}},{\"delta\":{\"content\":\"b\"}}]}\n\n", NULL,
         true, false, false, 0},
        {ROLE DONE, NULL, true, true, false, 0},
    };
    (void)state;
    CHECK(cases);
}

static void an_unfinished_event_never_reaches_the_client(void **state)
{
    static const struct stream_case cases[] = {
        {HI "data: {\"choices\":[{\"delta\":{\"cont", HI, true, false, false, 0},
        {HI "data: [DONE", HI, true, false, false, 0},
        {HI FAILED "data: {\"error\":{}}\n", HI FAILED, true, false, true, 0},
        {HI "data: {\"error\":{}}\n", HI, true, false, false, 0},
        {HI ": a comm", NULL, true, false, false, 0},
        {HI "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5}}\n", HI, true, false, false, 5},
        {HI DONE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5}}\n", HI DONE, true, true,
         false, 5},
    };
    (void)state;
    CHECK(cases);
}

static void error_events_are_seen_and_passed(void **state)
{
    static const struct stream_case cases[] = {
        {HI FAILED, NULL, true, false, true, 0},
        {HI FAILED DONE, NULL, true, true, true, 0},
        {HI "event: error\n" FAILED, NULL, true, false, true, 0},
        {HI "data: { \"id\":1, \"error\" : {\"message\":\"boom\"}}\n\n", NULL, true, false, true,
         0},
        {"data: {\"error\":null,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n", NULL, true,
         false, false, 0},
        {"data: {\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\"\"}}]}\n\n", NULL, true, false,
         false, 0},
        {"data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"error\":{}}]}\n\n", NULL, true,
         false, false, 0},
    };
    (void)state;
    CHECK(cases);
}

struct fault_case {
    const char *stream;
    const char *out;
    enum relay_fault fault;
    bool is_whole;
};

static void check_fault(const struct fault_case *c, size_t cut, size_t step)
{
    struct played p;
    play(&p, str_from(c->stream), true, cut, step);
    if (!str_eq(buf_str(&p.out), str_from(c->out)) || p.relay.fault != c->fault ||
        relay_is_whole(&p.relay) != c->is_whole) {
        fail_msg("cut at %zu, steps of %zu: fault %d, whole %d, got\n%.*s\nof\n%s", cut, step,
                 (int)p.relay.fault, relay_is_whole(&p.relay), STR_ARG(buf_str(&p.out)), c->stream);
    }
    stop(&p);
}

static void check_faults(const struct fault_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(cases[i].stream);
        check_fault(&cases[i], 0, 1);
        for (size_t cut = 0; cut <= len; cut++) {
            check_fault(&cases[i], cut, len);
        }
    }
}

#define SAY(text) "data: {\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"

static void events_that_are_no_json_end_the_reading_before_them(void **state)
{
    static const struct fault_case cases[] = {
        {ROLE "data: what?\n\n" HI, "", RELAY_BAD_EVENT, false},
        {HI "data: what?\n\n" STOP DONE, HI, RELAY_BAD_EVENT, false},
        {HI "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]\n\n" STOP DONE, HI,
         RELAY_BAD_EVENT, false},
        {HI "data: 7\n\n" STOP DONE, HI, RELAY_BAD_EVENT, false},
        {HI SAY("a\"b") STOP DONE, HI, RELAY_BAD_EVENT, false},
        {HI SAY("a\\x") STOP DONE, HI, RELAY_BAD_EVENT, false},
        {HI SAY("a\tb") STOP DONE, HI, RELAY_BAD_EVENT, false},
        {HI SAY("\xff") STOP DONE, HI, RELAY_BAD_EVENT, false},
        {HI SAY("\xc3") STOP DONE, HI, RELAY_BAD_EVENT, false},
        {HI STOP DONE "data: what?\n\n", HI STOP DONE "data: what?\n\n", RELAY_FINE, true},
    };
    (void)state;
    check_faults(cases, sizeof cases / sizeof cases[0]);
}

#define MORE(number, text, string)                                                                 \
    "data: {\"created\":" number ",\"choices\":[{\"delta\":{\"content\":\"" text                   \
    "\"}}],\"obfuscation\":\"" string "\"}\n\n"

static void events_that_differ_in_their_text_only_are_alike(void **state)
{
    static const struct fault_case cases[] = {
        {HI SAY("there, you") SAY("") SAY("\\\"quoted\\\"") SAY("\xc3\xa9") SAY("}]") HI STOP DONE,
         HI SAY("there, you") SAY("") SAY("\\\"quoted\\\"") SAY("\xc3\xa9") SAY("}]") HI STOP DONE,
         RELAY_FINE, true},
        {HI FAILED, HI FAILED, RELAY_FINE, true},
        {MORE("1", "a", "x") MORE("23", "", "yz") MORE("0", "\xc3\xa9", "") STOP DONE,
         MORE("1", "a", "x") MORE("23", "", "yz") MORE("0", "\xc3\xa9", "") STOP DONE, RELAY_FINE,
         true},
        {MORE("1", "a", "x") MORE("01", "b", "y") STOP DONE, MORE("1", "a", "x"), RELAY_BAD_EVENT,
         false},
        {MORE("1", "a", "x") MORE("", "b", "y") STOP DONE, MORE("1", "a", "x"), RELAY_BAD_EVENT,
         false},
        {MORE("1", "a", "x") MORE("2", "b", "\t") STOP DONE, MORE("1", "a", "x"), RELAY_BAD_EVENT,
         false},
        {HI
         "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n" DONE,
         HI
         "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n" DONE,
         RELAY_FINE, true},
    };
    (void)state;
    check_faults(cases, sizeof cases / sizeof cases[0]);
}

static void an_error_before_the_first_content_ends_the_reading(void **state)
{
    static const struct fault_case cases[] = {
        {FAILED, "", RELAY_ERROR_EVENT, false},
        {ROLE "event: error\n" FAILED DONE, "", RELAY_ERROR_EVENT, false},
    };
    (void)state;
    check_faults(cases, sizeof cases / sizeof cases[0]);
}

static void an_end_without_a_reason_is_no_end(void **state)
{
    static const struct fault_case cases[] = {
        {HI STOP DONE, HI STOP DONE, RELAY_FINE, true},
        {HI STOP, HI STOP, RELAY_FINE, false},
        {HI DONE, HI DONE, RELAY_FINE, false},
        {DONE, DONE, RELAY_FINE, false},
        {ROLE, "", RELAY_FINE, false},
        {"", "", RELAY_FINE, false},
    };
    (void)state;
    check_faults(cases, sizeof cases / sizeof cases[0]);
}

static void the_data_of_an_error_is_read_again(void **state)
{
    static const char stream[] = ROLE FAILED DONE;
    struct relay relay;
    struct buf out;
    size_t consumed = 0;
    (void)state;
    buf_init(&out, 1024);
    relay_init(&relay, true);
    assert_int_equal(relay_run(&relay, str_from(stream), append, NULL, &consumed), ST_OK);

    assert_int_equal(relay_read_fault(&relay, str_from(stream), &out), ST_OK);

    test_assert_str(buf_str(&out), STR("{\"error\":{\"message\":\"boom\"}}"));
    buf_fini(&out);
    relay_fini(&relay);
}

static void events_are_counted_without_usage_and_end(void **state)
{
    struct played p;
    (void)state;

    play(&p, STR(ROLE HI HI STOP USAGE DONE), true, 0, 5);

    assert_int_equal(p.relay.events, 4);
    assert_int_equal(p.relay.usage.completion_tokens, 3);
    assert_int_equal(p.relay.usage.cached_tokens, 2);
    stop(&p);
}

/* An event of `bytes` bytes, then `rest`. */
static struct str big_stream(struct buf *b, size_t bytes, const char *rest)
{
    buf_init(b, TEXT_MAX);
    assert_int_equal(buf_append(b, STR("data: {\"choices\":[{\"delta\":{\"content\":\"")), ST_OK);
    while (b->len < bytes) {
        assert_int_equal(buf_append_char(b, 'x'), ST_OK);
    }
    assert_int_equal(buf_append(b, STR("\"}}]}\n\n")), ST_OK);
    assert_int_equal(buf_append(b, str_from(rest)), ST_OK);
    return buf_str(b);
}

static void check_big(const char *rest, bool saw_done)
{
    static const size_t steps[] = {1000, 4096, 65536, 200000, 1 << 20};
    struct buf b;
    struct str stream = big_stream(&b, 200000, rest);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct played p;
        play(&p, stream, true, 0, steps[i]);
        assert_true(p.relay.is_blind);
        if (!str_eq(buf_str(&p.out), stream) || p.relay.saw_done != saw_done) {
            fail_msg("steps of %zu, \"%s\": %zu of %zu bytes, done %d", steps[i], rest, p.out.len,
                     stream.len, p.relay.saw_done);
        }
        stop(&p);
    }
    buf_fini(&b);
}

static void events_that_are_too_large_pass_unread_and_the_end_is_seen(void **state)
{
    (void)state;
    check_big(HI DONE, true);
    check_big("data:[DONE]\r\n\r\n", true);
    check_big("data: [DONE]", true);
    check_big(HI, false);
    check_big("", false);
    check_big("data: [DON", false);
}

static void an_end_inside_a_text_is_no_end_for_a_blind_relay(void **state)
{
    (void)state;
    check_big("data: {\"content\":\"data: [DONE]\"}\n\n", false);
    check_big("data: {\"content\":\"data: [DONE]", false);
    check_big(": data: [DONE]\n\n", false);
}

static void large_events_below_the_ceiling_are_read(void **state)
{
    struct buf b;
    struct played p;
    struct str stream = big_stream(&b, 120000, USAGE DONE);
    (void)state;

    play(&p, stream, true, 0, 4096);

    assert_false(p.relay.is_blind);
    assert_int_equal(p.out.len, stream.len - strlen(USAGE));
    stop(&p);
    buf_fini(&b);
}

static void a_long_preamble_goes_out_at_last(void **state)
{
    struct buf b;
    struct played p;
    (void)state;
    buf_init(&b, TEXT_MAX);
    while (b.len < RELAY_HELD_BYTES + 100) {
        assert_int_equal(buf_append(&b, STR(": still thinking\n\n")), ST_OK);
    }

    play(&p, buf_str(&b), true, 0, 999);

    assert_true(p.relay.is_committed);
    test_assert_str(buf_str(&p.out), buf_str(&b));
    stop(&p);
    buf_fini(&b);
}

static enum status refuse(void *ctx, struct str bytes)
{
    (void)ctx;
    (void)bytes;
    return ST_CLOSED;
}

static void what_the_writer_says_comes_back(void **state)
{
    static const char *const streams[] = {HI, HI USAGE, HI DONE};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct relay relay;
        size_t consumed = 0;
        relay_init(&relay, true);
        enum status st = relay_run(&relay, str_from(streams[i]), refuse, NULL, &consumed);
        assert_int_equal(st, ST_CLOSED);
        relay_fini(&relay);
    }
}

static void running_out_of_memory_is_reported(void **state)
{
    struct played p = {0};
    size_t consumed = 0;
    (void)state;
    buf_init(&p.out, TEXT_MAX);
    relay_init(&p.relay, true);
    mem_fail_at(1, 1);
    enum status st = relay_run(&p.relay, STR("data: {\"cho"), append, &p, &consumed);
    mem_fail_at(0, 0);
    assert_int_equal(st, ST_NO_MEMORY);
    stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_pass_byte_for_byte),
        cmocka_unit_test(the_usage_event_is_withheld_exactly),
        cmocka_unit_test(usage_beside_content_is_read_and_passes),
        cmocka_unit_test(nothing_is_written_before_the_first_content),
        cmocka_unit_test(an_unfinished_event_never_reaches_the_client),
        cmocka_unit_test(error_events_are_seen_and_passed),
        cmocka_unit_test(events_that_are_no_json_end_the_reading_before_them),
        cmocka_unit_test(events_that_differ_in_their_text_only_are_alike),
        cmocka_unit_test(an_error_before_the_first_content_ends_the_reading),
        cmocka_unit_test(an_end_without_a_reason_is_no_end),
        cmocka_unit_test(the_data_of_an_error_is_read_again),
        cmocka_unit_test(events_are_counted_without_usage_and_end),
        cmocka_unit_test(events_that_are_too_large_pass_unread_and_the_end_is_seen),
        cmocka_unit_test(an_end_inside_a_text_is_no_end_for_a_blind_relay),
        cmocka_unit_test(large_events_below_the_ceiling_are_read),
        cmocka_unit_test(a_long_preamble_goes_out_at_last),
        cmocka_unit_test(what_the_writer_says_comes_back),
        cmocka_unit_test(running_out_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
