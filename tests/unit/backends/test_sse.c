/* The event stream parser: the shared suite at every cut, byte ranges, ceilings, real recordings. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "backends/sse.h"
#include "base/json_scan.h"
#include "base/mem.h"
#include "tests/support/test.h"

enum {
    EVENT_MAX = 1 << 20,
    TEXT_MAX = 16 << 20,
};

/* Appends each event as "type\0data\0". */
static void read_events(struct sse_parser *p, struct buf *out)
{
    struct sse_event event;
    enum status st = sse_next(p, &event);
    while (st == ST_OK) {
        assert_int_equal(buf_append(out, event.type), ST_OK);
        assert_int_equal(buf_append_char(out, '\0'), ST_OK);
        assert_int_equal(buf_append(out, event.data), ST_OK);
        assert_int_equal(buf_append_char(out, '\0'), ST_OK);
        st = sse_next(p, &event);
    }
    assert_int_equal(st, ST_NOT_FOUND);
}

/* Parses `stream` in two chunks, or byte by byte where cut is SIZE_MAX. Each chunk is a block of its
 * own that is freed after use, so that a sanitizer sees any look back into it. */
static void parse_cut(struct sse_parser *p, struct str stream, size_t cut, struct buf *out)
{
    sse_reset(p);
    buf_reset(out);
    size_t at = 0;
    while (at < stream.len) {
        size_t n = cut == SIZE_MAX ? 1 : (at < cut ? cut : stream.len) - at;
        char *chunk = mem_alloc(n);
        assert_non_null(chunk);
        memcpy(chunk, stream.ptr + at, n);
        sse_feed(p, (struct str){chunk, n});
        read_events(p, out);
        mem_free(chunk);
        p->chunk.ptr = NULL;
        at += n;
    }
}

static unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void decode_hex(struct str hex, struct buf *out)
{
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        char byte = (char)(hex_digit(hex.ptr[i]) * 16 + hex_digit(hex.ptr[i + 1]));
        assert_int_equal(buf_append_char(out, byte), ST_OK);
    }
}

/* The expected events of a case, in the form of read_events. */
static void read_expected(struct json_reader *r, struct buf *out)
{
    struct json_value value;
    assert_true(json_open(r, JSON_ARRAY));
    while (json_next_item(r)) {
        assert_true(json_open(r, JSON_ARRAY));
        while (json_next_item(r)) {
            assert_true(json_take(r, &value));
            assert_int_equal(json_decode(value, out), ST_OK);
            assert_int_equal(buf_append_char(out, '\0'), ST_OK);
        }
    }
}

struct suite_case {
    struct buf name;
    struct buf stream;
    struct buf expected;
};

static void read_case(struct json_reader *r, struct suite_case *c)
{
    struct json_value key;
    struct json_value value;
    buf_reset(&c->name);
    buf_reset(&c->stream);
    buf_reset(&c->expected);
    assert_true(json_open(r, JSON_OBJECT));
    while (json_next_member(r, &key)) {
        if (json_text_is(key, STR("name"))) {
            assert_true(json_take(r, &value));
            assert_int_equal(json_decode(value, &c->name), ST_OK);
        } else if (json_text_is(key, STR("raw_hex"))) {
            assert_true(json_take(r, &value));
            decode_hex(json_plain(value), &c->stream);
        } else if (json_text_is(key, STR("expected"))) {
            read_expected(r, &c->expected);
        } else {
            assert_true(json_take(r, NULL));
        }
    }
}

static void check_case(struct sse_parser *p, const struct suite_case *c, struct buf *got)
{
    struct str stream = buf_str(&c->stream);
    /* Each offset of short streams; of long ones a prime stride keeps it to about 2,000 cuts. */
    size_t stride = stream.len <= 4500 ? 1 : 37;
    for (size_t cut = 0; cut <= stream.len; cut += stride) {
        parse_cut(p, stream, cut, got);
        if (!str_eq(buf_str(got), buf_str(&c->expected))) {
            fail_msg("case \"%.*s\" cut at %zu", STR_ARG(buf_str(&c->name)), cut);
        }
    }
    parse_cut(p, stream, SIZE_MAX, got);
    if (!str_eq(buf_str(got), buf_str(&c->expected))) {
        fail_msg("case \"%.*s\" byte by byte", STR_ARG(buf_str(&c->name)));
    }
}

static void sse_reads_the_shared_suite_at_every_cut(void **state)
{
    (void)state;
    const char *dir = test_shared_dir();
    if (dir == NULL) {
        print_message("SKIPPED: no shared data folder\n");
        skip();
    }
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/data/suites/sse/cases.json", dir);
    struct str text = test_read_file(path);
    struct suite_case c;
    struct buf got;
    struct sse_parser p;
    buf_init(&c.name, TEXT_MAX);
    buf_init(&c.stream, TEXT_MAX);
    buf_init(&c.expected, TEXT_MAX);
    buf_init(&got, TEXT_MAX);
    sse_init(&p, EVENT_MAX);

    size_t cases = 0;
    struct json_reader r;
    json_reader_init(&r, text);
    assert_true(json_open(&r, JSON_ARRAY));
    while (json_next_item(&r)) {
        read_case(&r, &c);
        check_case(&p, &c, &got);
        cases++;
    }

    assert_int_equal(json_close(&r), ST_OK);
    assert_int_equal(cases, 47);
    sse_fini(&p);
    buf_fini(&got);
    buf_fini(&c.expected);
    buf_fini(&c.stream);
    buf_fini(&c.name);
    mem_free((void *)(uintptr_t)text.ptr);
}

/* The ranges of the events of `stream` as "start-end " text, fed in chunks of `step` bytes. */
static void list_ranges(struct str stream, size_t step, struct buf *out)
{
    struct sse_parser p;
    struct sse_event event;
    sse_init(&p, EVENT_MAX);
    buf_reset(out);
    uint64_t settled = 0;
    for (size_t at = 0; at < stream.len; at += step) {
        sse_feed(&p, str_slice(stream, at, step));
        while (sse_next(&p, &event) == ST_OK) {
            assert_true(event.start >= settled);
            assert_int_equal(buf_printf(out, "%d-%d ", (int)event.start, (int)event.end), ST_OK);
        }
        assert_true(sse_settled(&p) >= settled);
        settled = sse_settled(&p);
    }
    sse_fini(&p);
}

static void sse_tells_the_bytes_that_each_event_occupies(void **state)
{
    (void)state;

    static const struct {
        const char *stream;
        const char *ranges;
    } cases[] = {
        {"data: a\n\ndata: b\n\n", "0-9 9-18 "},
        {"\n\n: hi\ndata: a\n\n", "7-16 "},
        {"data: a\n: inside\ndata: b\n\n", "0-26 "},
        {"event: ping\n\ndata: x\n\n", "13-22 "},
        {"\xEF\xBB\xBF"
         "data: a\n\ndata: b\n\n",
         "3-12 12-21 "},
        {"\xEF\xBBx: a\ndata: b\n\n", "0-16 "}, /* no byte order mark after all */
        {"data: a\r\rdata: b\r\r", "0-9 9-18 "},
        {"data: a\n\n: tail\n\ndata: z", "0-9 "},
    };
    struct buf got;
    buf_init(&got, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t step = 1; step < 40; step++) {
            list_ranges(str_from(cases[i].stream), step, &got);
            test_assert_str(buf_str(&got), str_from(cases[i].ranges));
        }
    }
    buf_fini(&got);
}

static void sse_gives_the_lf_of_a_cr_lf_to_the_event_when_it_is_there(void **state)
{
    (void)state;
    struct buf got;
    buf_init(&got, 1000);

    list_ranges(STR("data: a\r\n\r\ndata: b\r\n\r\n"), 100, &got);
    test_assert_str(buf_str(&got), STR("0-11 11-22 "));

    list_ranges(STR("data: a\r\n\r\ndata: b\r\n\r\n"), 10, &got);
    test_assert_str(buf_str(&got), STR("0-10 11-22 "));
    buf_fini(&got);
}

static void sse_settles_comments_at_once_and_fields_only_with_their_event(void **state)
{
    (void)state;
    struct sse_parser p;
    struct sse_event event;
    sse_init(&p, EVENT_MAX);

    sse_feed(&p, STR(": keep"));
    assert_int_equal(sse_next(&p, &event), ST_NOT_FOUND);
    assert_int_equal(sse_settled(&p), 6);
    sse_feed(&p, STR("-alive\ndata: x\n"));
    assert_int_equal(sse_next(&p, &event), ST_NOT_FOUND);
    assert_int_equal(sse_settled(&p), 13);
    assert_true(sse_is_in_event(&p));
    sse_feed(&p, STR("\n"));
    assert_int_equal(sse_next(&p, &event), ST_OK);
    assert_int_equal(sse_next(&p, &event), ST_NOT_FOUND);
    assert_int_equal(sse_settled(&p), 22);
    assert_false(sse_is_in_event(&p));
    sse_fini(&p);
}

static void sse_borrows_an_event_that_lies_whole_in_its_chunk(void **state)
{
    (void)state;
    static const char chunk[] = "event: delta\ndata: {\"a\":1}\n\n";
    struct sse_parser p;
    struct sse_event event;
    sse_init(&p, EVENT_MAX);

    sse_feed(&p, STR(": before\n"));
    assert_int_equal(sse_next(&p, &event), ST_NOT_FOUND);
    mem_fail_at(1, 1);
    sse_feed(&p, str_from(chunk));
    enum status st = sse_next(&p, &event);
    mem_fail_at(0, 0);

    assert_int_equal(st, ST_OK);
    assert_ptr_equal(event.data.ptr, chunk + 19);
    assert_ptr_equal(event.type.ptr, chunk + 7);
    sse_fini(&p);
}

static void sse_keeps_the_last_id_and_reports_retry_per_event(void **state)
{
    (void)state;
    struct sse_parser p;
    struct sse_event event;
    sse_init(&p, EVENT_MAX);

    sse_feed(&p, STR("id: 7\nretry: 250\ndata: a\n\nretry: soon\ndata: b\n\nid\ndata: c\n\n"));
    assert_int_equal(sse_next(&p, &event), ST_OK);
    test_assert_str(event.id, STR("7"));
    assert_int_equal(event.retry_ms, 250);
    assert_int_equal(sse_next(&p, &event), ST_OK);
    test_assert_str(event.id, STR("7"));
    assert_int_equal(event.retry_ms, -1);
    assert_int_equal(sse_next(&p, &event), ST_OK);
    test_assert_str(event.id, STR(""));
    sse_fini(&p);
}

static void sse_refuses_an_event_over_its_ceiling_for_good(void **state)
{
    (void)state;
    for (size_t step = 1; step < 60; step++) {
        struct str stream =
            STR("data: 0123456789\n\ndata: 0123456789\ndata: 0123456789abcdefg\n\n");
        struct sse_parser p;
        struct sse_event event;
        size_t events = 0;
        enum status st = ST_NOT_FOUND;
        sse_init(&p, 40);
        for (size_t at = 0; at < stream.len && st == ST_NOT_FOUND; at += step) {
            sse_feed(&p, str_slice(stream, at, step));
            st = sse_next(&p, &event);
            while (st == ST_OK) {
                events++;
                st = sse_next(&p, &event);
            }
        }
        assert_int_equal(st, ST_TOO_BIG);
        assert_int_equal(events, 1);
        sse_feed(&p, STR("data: more\n\n"));
        assert_int_equal(sse_next(&p, &event), ST_TOO_BIG);
        sse_fini(&p);
    }
}

static void sse_lets_a_long_comment_pass_without_holding_it(void **state)
{
    (void)state;
    struct sse_parser p;
    struct sse_event event;
    sse_init(&p, 16);

    sse_feed(&p, STR(":"));
    assert_int_equal(sse_next(&p, &event), ST_NOT_FOUND);
    for (int i = 0; i < 100; i++) {
        sse_feed(&p, STR("keep-alive keep-alive"));
        assert_int_equal(sse_next(&p, &event), ST_NOT_FOUND);
    }
    sse_feed(&p, STR("\ndata: x\n\n"));

    assert_int_equal(sse_next(&p, &event), ST_OK);
    test_assert_str(event.data, STR("x"));
    sse_fini(&p);
}

static void sse_shows_what_the_end_of_the_stream_left_unfinished(void **state)
{
    (void)state;

    static const struct {
        const char *stream;
        const char *data; /* NULL: nothing was unfinished */
    } cases[] = {
        {"data: [DONE]", "[DONE]"},
        {"data: [DONE]\n", "[DONE]"},
        {"data: [DONE]\r", "[DONE]"},
        {"data: 1\n\ndata: a\r\ndata: b", "a\nb"},
        {"data: [DONE]\n: bye", "[DONE]"},
        {"data: [DONE]\n\n", NULL},
        {": bye", NULL},
        {"event: x", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sse_parser p;
        struct sse_event event;
        enum status st = ST_OK;
        sse_init(&p, EVENT_MAX);
        sse_feed(&p, str_from(cases[i].stream));
        while (st == ST_OK) {
            st = sse_next(&p, &event);
        }
        assert_int_equal(sse_finish(&p, &event), cases[i].data != NULL);
        if (cases[i].data != NULL) {
            test_assert_str(event.data, str_from(cases[i].data));
        }
        sse_fini(&p);
    }
}

static void sse_reports_no_memory_where_an_event_is_cut_or_joined(void **state)
{
    (void)state;
    static const char *const streams[] = {"data: cut", "data: a\ndata: b\n\n",
                                          "id: 1\ndata: a\n\n"};
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        struct sse_parser p;
        struct sse_event event;
        sse_init(&p, EVENT_MAX);
        sse_feed(&p, str_from(streams[i]));
        mem_fail_at(1, 0);
        enum status st = sse_next(&p, &event);
        mem_fail_at(0, 0);
        assert_int_equal(st, ST_NO_MEMORY);
        assert_int_equal(sse_next(&p, &event), ST_NO_MEMORY);
        sse_fini(&p);
    }
}

/* A chunk of lone CRs must not be searched for its LF once per line. */
static void sse_reads_a_megabyte_of_short_cr_lines_in_linear_work(void **state)
{
    (void)state;
    size_t len = 4U << 20;
    char *text = mem_alloc(len);
    assert_non_null(text);
    memset(text, '\r', len);
    text[len - 1] = '\n';
    struct sse_parser p;
    struct sse_event event;
    sse_init(&p, EVENT_MAX);

    sse_feed(&p, (struct str){text, len});

    assert_int_equal(sse_next(&p, &event), ST_NOT_FOUND);
    assert_int_equal(sse_settled(&p), len);
    sse_fini(&p);
    mem_free(text);
}

static void check_recording(const char *path)
{
    struct str text = test_read_file(path);
    bool is_stream = str_starts_with(text, STR("data:")) || str_starts_with(text, STR("event:"));
    struct sse_parser p;
    struct sse_event event;
    struct str last = {NULL, 0};
    size_t events = 0;
    uint64_t end = 0;
    sse_init(&p, EVENT_MAX);
    sse_feed(&p, text);
    while (is_stream && sse_next(&p, &event) == ST_OK) {
        assert_int_equal(event.start, end);
        end = event.end;
        last = event.data;
        events++;
        bool is_done = str_eq(event.data, STR("[DONE]"));
        if (!is_done && json_validate(event.data, NULL, NULL) != ST_OK) {
            fail_msg("\"%s\": event %zu is no JSON", path, events);
        }
    }
    if (is_stream) {
        assert_true(events > 2);
        assert_int_equal(end, text.len);
        test_assert_str(last, STR("[DONE]"));
        assert_false(sse_is_in_event(&p));
    }
    sse_fini(&p);
    mem_free((void *)(uintptr_t)text.ptr);
}

static void sse_reads_recorded_streams_to_their_end(void **state)
{
    (void)state;
    const char *shared = test_shared_dir();
    if (shared == NULL) {
        print_message("SKIPPED: no shared data folder\n");
        skip();
    }
    char folder[2048];
    (void)snprintf(folder, sizeof folder, "%s/data/suites/openai-streams/openai-python", shared);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    size_t files = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (str_ends_with(str_from(entry->d_name), STR(".bin"))) {
            char path[4096];
            (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            check_recording(path);
            files++;
        }
    }
    (void)closedir(dir);
    assert_int_equal(files, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sse_reads_the_shared_suite_at_every_cut),
        cmocka_unit_test(sse_tells_the_bytes_that_each_event_occupies),
        cmocka_unit_test(sse_gives_the_lf_of_a_cr_lf_to_the_event_when_it_is_there),
        cmocka_unit_test(sse_settles_comments_at_once_and_fields_only_with_their_event),
        cmocka_unit_test(sse_borrows_an_event_that_lies_whole_in_its_chunk),
        cmocka_unit_test(sse_keeps_the_last_id_and_reports_retry_per_event),
        cmocka_unit_test(sse_refuses_an_event_over_its_ceiling_for_good),
        cmocka_unit_test(sse_lets_a_long_comment_pass_without_holding_it),
        cmocka_unit_test(sse_shows_what_the_end_of_the_stream_left_unfinished),
        cmocka_unit_test(sse_reports_no_memory_where_an_event_is_cut_or_joined),
        cmocka_unit_test(sse_reads_a_megabyte_of_short_cr_lines_in_linear_work),
        cmocka_unit_test(sse_reads_recorded_streams_to_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
