/* From the client's prompt to the expert and back: bodies with placeholders, documents and streams
 * restored, at every cut of bytes and of the text into events. */
#include <stdio.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "gateway/redact_body.h"
#include "gateway/relay.h"
#include "gateway/restore.h"
#include "tests/support/test.h"

enum {
    TEXT_MAX = 1 << 20
};

struct fixture {
    struct arena *arena;
    struct redact_vault *vault;
    struct str labels[REDACT_KINDS + 1];
};

static void start(struct fixture *f)
{
    f->arena = arena_create(4096, 1 << 24);
    for (size_t i = 0; i < REDACT_KINDS; i++) {
        f->labels[i] = str_from(redact_kind_label((enum redact_kind)i));
    }
    f->labels[REDACT_KINDS] = STR("OWN");
    f->vault = redact_vault_create(f->labels, REDACT_KINDS + 1, f->arena);
}

static void stop(struct fixture *f)
{
    redact_vault_destroy(f->vault);
    arena_destroy(f->arena);
}

static const struct privacy_set everything = {.kinds = REDACT_ALL, .tool_arguments = true};

/* ---------------------------------------------------------------- bodies */

struct redacted {
    const char *body;
    const char *out; /* NULL: the same bytes */
};

static void check_bodies(const struct redacted *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct fixture f;
        struct str out = STR("");
        start(&f);
        assert_int_equal(redact_body(&everything, f.vault, str_from(cases[i].body), f.arena, &out),
                         ST_OK);
        test_assert_str(out, str_from(cases[i].out == NULL ? cases[i].body : cases[i].out));
        stop(&f);
    }
}

static void only_texts_with_something_in_them_change(void **state)
{
    static const struct redacted cases[] = {
        {"{\"x\":\"a@b.example\", \"messages\" : [ {\"content\":\"caf\\u00e9 \\/\"} ]}", NULL},
        {"{\"messages\":[{\"content\":\"mail a@b.example\",\"name\":\"c@d.example\"}],\"n\":1.0}",
         "{\"messages\":[{\"content\":\"mail [EMAIL_1]\",\"name\":\"c@d.example\"}],\"n\":1.0}"},
        {"{\"messages\":[{\"content\":\"a\\u0040b.example \\\"x\\\"\"}, {\"content\":null}]}",
         "{\"messages\":[{\"content\":\"[EMAIL_1] \\\"x\\\"\"}, {\"content\":null}]}"},
        {"{\"messages\":[{\"content\":[{\"type\":\"text\",\"text\":\"+49 30 1234567\"},"
         "{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://10.0.0.1/\"}}]}]}",
         "{\"messages\":[{\"content\":[{\"type\":\"text\",\"text\":\"[PHONE_1]\"},"
         "{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://10.0.0.1/\"}}]}]}"},
        {"{\"messages\":[{\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\","
         "\"arguments\":\"{\\\"to\\\":\\\"a@b.example\\\"}\"}}]}]}",
         "{\"messages\":[{\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\","
         "\"arguments\":\"{\\\"to\\\":\\\"[EMAIL_1]\\\"}\"}}]}]}"},
        {"{\"messages\":[{\"content\":\"\\u005bEMAIL_4] and [EMAIL_2]\"},"
         "{\"content\":\"a@b.example\"}]}",
         "{\"messages\":[{\"content\":\"\\u005bEMAIL_4] and [EMAIL_2]\"},"
         "{\"content\":\"[EMAIL_5]\"}]}"},
    };

    (void)state;
    check_bodies(cases, sizeof cases / sizeof cases[0]);
}

#define ARGUMENTS(text)                                                                            \
    "{\"messages\":[{\"tool_calls\":[{\"function\":{\"arguments\":\"" text "\"}}]}]}"
#define ANSWER(text) "{\"messages\":[{\"role\":\"tool\",\"content\":\"" text "\"}]}"

static void texts_that_are_json_are_looked_at_as_they_read(void **state)
{
    static const struct redacted cases[] = {
        {ARGUMENTS("{\\\"e\\\":\\\"a\\\\u0040b.example\\\"}"),
         ARGUMENTS("{\\\"e\\\":\\\"[EMAIL_1]\\\"}")},
        {ARGUMENTS("{\\\"t\\\":\\\"pay:\\\\n4111111111111111\\\\nnow\\\"}"),
         ARGUMENTS("{\\\"t\\\":\\\"pay:\\\\n[CARD_1]\\\\nnow\\\"}")},
        {ARGUMENTS("{\\\"t\\\":\\\"Dear\\\\nMr. Lopez\\\"}"),
         ARGUMENTS("{\\\"t\\\":\\\"Dear\\\\nMr. [NAME_1]\\\"}")},
        {ARGUMENTS("{\\\"c\\\":4111111111111111,\\\"d\\\":[7]}"),
         ARGUMENTS("{\\\"c\\\":\\\"[CARD_1]\\\",\\\"d\\\":[7]}")},
        {ARGUMENTS("{\\\"c\\\":-4111111111111111}"), ARGUMENTS("{\\\"c\\\":\\\"-[CARD_1]\\\"}")},
        {ARGUMENTS("{\\\"c\\\":4111111111111111,"), ARGUMENTS("{\\\"c\\\":[CARD_1],")},
        {ARGUMENTS("{\\\"t\\\":\\\"caf\\\\u00e9 \\\\\\\" [A]\\\", \\\"n\\\": 1.5e3 }"), NULL},
        {ANSWER("[{\\\"t\\\":\\\"Tel.\\\\u00a0+49\\\\u00a030\\\\u00a01234567\\\"}]"),
         ANSWER("[{\\\"t\\\":\\\"Tel.\xc2\xa0[PHONE_1]\\\"}]")},
        {ANSWER("{\\\"c\\\":4111111111111111}"), ANSWER("{\\\"c\\\":[CARD_1]}")},
        {"{\"messages\":[{\"tool_calls\":[{\"custom\":{\"name\":\"f\",\"input\":\"a@b.example\"}}]},"
         "{\"refusal\":\"c@d.example\",\"content\":[{\"refusal\":\"e@f.example\"}]}]}",
         "{\"messages\":[{\"tool_calls\":[{\"custom\":{\"name\":\"f\",\"input\":\"[EMAIL_1]\"}}]},"
         "{\"refusal\":\"[EMAIL_2]\",\"content\":[{\"refusal\":\"[EMAIL_3]\"}]}]}"},
    };

    (void)state;
    check_bodies(cases, sizeof cases / sizeof cases[0]);
}

static void arguments_of_tools_are_left_if_so_configured(void **state)
{
    static const char body[] = "{\"messages\":[{\"tool_calls\":[{\"function\":{\"arguments\":"
                               "\"a@b.example\"}}]}]}";
    struct privacy_set set = {.kinds = REDACT_ALL};
    struct fixture f;
    struct str out = STR("");
    (void)state;
    start(&f);
    assert_int_equal(redact_body(&set, f.vault, str_from(body), f.arena, &out), ST_OK);
    test_assert_str(out, str_from(body));
    stop(&f);
}

static void a_pattern_over_its_limit_keeps_the_body_here(void **state)
{
    char why[REDACT_WHY_BYTES] = "";
    struct redact_pattern *p = NULL;
    struct privacy_set set = {.kinds = 0, .pattern_count = 1};
    struct buf body;
    struct fixture f;
    struct str out = STR("kept");
    (void)state;
    start(&f);
    assert_int_equal(redact_pattern_create(STR("(?:a+)+b\\1?|(a)(?:a|a)*c"), why, &p), ST_OK);
    set.patterns[0] = p;
    buf_init(&body, TEXT_MAX);
    assert_int_equal(buf_append(&body, STR("{\"messages\":[{\"content\":\"")), ST_OK);
    for (int i = 0; i < 2048; i++) {
        assert_int_equal(buf_append_char(&body, 'a'), ST_OK);
    }
    assert_int_equal(buf_append(&body, STR("\"}]}")), ST_OK);
    assert_int_equal(redact_body(&set, f.vault, buf_str(&body), f.arena, &out), ST_TOO_BIG);
    test_assert_str(out, STR("kept"));
    buf_fini(&body);
    redact_pattern_destroy(p);
    stop(&f);
}

/* ---------------------------------------------------------------- documents */

/* A vault with [EMAIL_1] = a"b@c.example (nobody's, but it must be escaped) and [NAME_1] = Zoë. */
static void fill(struct fixture *f)
{
    struct str placeholder;
    start(f);
    assert_int_equal(redact_vault_put(f->vault, REDACT_EMAIL, STR("a\"b@c.example"), &placeholder),
                     ST_OK);
    assert_int_equal(redact_vault_put(f->vault, REDACT_NAME, STR("Zo\xc3\xab"), &placeholder),
                     ST_OK);
}

static void documents_are_restored(void **state)
{
    static const struct {
        const char *body;
        const char *out; /* NULL: unchanged */
    } cases[] = {
        {"{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hi "
         "[NAME_1], \\u005bEMAIL_1]\"},\"finish_reason\":\"stop\"}],\"x\":\"[NAME_1]\"}",
         "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hi "
         "Zo\xc3\xab, a\\\"b@c.example\"},\"finish_reason\":\"stop\"}],\"x\":\"[NAME_1]\"}"},
        {"{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"function\":{"
         "\"name\":\"f\",\"arguments\":\"{\\\"to\\\":\\\"[EMAIL_1]\\\"}\"}}]}}]}",
         "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"function\":{"
         "\"name\":\"f\",\"arguments\":\"{\\\"to\\\":\\\"a\\\\\\\"b@c.example\\\"}\"}}]}}]}"},
        {"{\"choices\":[{\"message\":{\"tool_calls\":[{\"custom\":{\"name\":\"[NAME_1]\","
         "\"input\":\"[NAME_1]\"}}]}}]}",
         "{\"choices\":[{\"message\":{\"tool_calls\":[{\"custom\":{\"name\":\"[NAME_1]\","
         "\"input\":\"Zo\xc3\xab\"}}]}}]}"},
        {"{\"choices\":[{\"message\":{\"content\":\"[NAME_2] [caf\\u00e9]\"}}]}", NULL},
        {"{\"error\":{\"message\":\"[NAME_1]\"}}", NULL},
        {"no json [NAME_1]", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        struct buf out;
        bool is_changed = false;
        fill(&f);
        buf_init(&out, TEXT_MAX);
        assert_int_equal(restore_document(f.vault, str_from(cases[i].body), &out, &is_changed),
                         ST_OK);
        assert_int_equal(is_changed, cases[i].out != NULL);
        test_assert_str(buf_str(&out), str_from(cases[i].out == NULL ? "" : cases[i].out));
        buf_fini(&out);
        stop(&f);
    }
}

/* ---------------------------------------------------------------- streams */

static enum status append(void *ctx, struct str bytes)
{
    assert_true(bytes.len > 0);
    return buf_append(ctx, bytes);
}

/* Runs a stream through the relay in two pieces and steps of `step`. */
static void relay_all(const struct fixture *f, struct str stream, size_t cut, size_t step,
                      struct buf *out)
{
    struct restore restore;
    struct relay relay;
    struct buf window;
    buf_init(&window, TEXT_MAX);
    restore_init(&restore, f->vault);
    relay_init(&relay, false);
    relay_restore(&relay, &restore);
    for (size_t at = 0; at < stream.len;) {
        size_t consumed = 0;
        struct str piece = str_slice(stream, at, at < cut ? cut - at : step);
        at += piece.len;
        assert_int_equal(buf_append(&window, piece), ST_OK);
        assert_int_equal(relay_run(&relay, buf_str(&window), append, out, &consumed), ST_OK);
        buf_consume(&window, consumed);
    }
    relay_end(&relay);
    assert_int_equal(relay_release(&relay, buf_str(&window), append, out), ST_OK);
    relay_fini(&relay);
    restore_fini(&restore);
    buf_fini(&window);
}

/* What a client makes of a stream: the contents of choice 0, one after the other. */
static void read_contents(struct str stream, struct buf *ret)
{
    struct str line;
    while (str_split(stream, '\n', &line, &stream)) {
        size_t at = str_find(line, STR("\"content\":"));
        if (at == line.len) {
            continue;
        }
        struct json_reader r;
        struct json_value v = {0};
        struct json_value key;
        struct str object = str_slice(line, at - 1, line.len);
        json_reader_init(&r, object);
        (void)json_open(&r, JSON_OBJECT);
        assert_true(json_next_member(&r, &key));
        assert_true(json_take(&r, &v));
        assert_int_equal(json_decode(v, ret), ST_OK);
    }
}

static void add_event(struct buf *stream, struct str content)
{
    assert_int_equal(
        buf_append(stream, STR("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":")), ST_OK);
    assert_int_equal(json_write_text(stream, content), ST_OK);
    assert_int_equal(buf_append(stream, STR("}}]}\n\n")), ST_OK);
}

static const char said[] = "[[NAME_1]] and [EMAIL_1][NAME_1], [NAME_12] [NAM [EMAIL_";
static const char meant[] = "[Zo\xc3\xab] and a\"b@c.exampleZo\xc3\xab, [NAME_12] [NAM [EMAIL_";

static void check_stream(const struct fixture *f, struct str stream, size_t cut, size_t step)
{
    struct buf out;
    struct buf text;
    buf_init(&out, TEXT_MAX);
    buf_init(&text, TEXT_MAX);
    relay_all(f, stream, cut, step, &out);
    read_contents(buf_str(&out), &text);
    test_assert_str(buf_str(&text), str_from(meant));
    assert_true(str_ends_with(buf_str(&out), STR("data: [DONE]\n\n")));
    buf_fini(&text);
    buf_fini(&out);
}

static void any_number_of_choices_is_restored(void **state)
{
    enum {
        CHOICES = 100
    };

    struct fixture f;
    struct buf body;
    struct buf out;
    bool is_changed = false;
    size_t found = 0;
    (void)state;
    fill(&f);
    buf_init(&body, TEXT_MAX);
    buf_init(&out, TEXT_MAX);
    assert_int_equal(buf_append(&body, STR("{\"choices\":[")), ST_OK);
    for (int i = 0; i < CHOICES; i++) {
        assert_int_equal(buf_printf(&body,
                                    "%s{\"index\":%d,\"message\":{\"content\":\"[NAME_1]\"}}",
                                    i == 0 ? "" : ",", i),
                         ST_OK);
    }
    assert_int_equal(buf_append(&body, STR("]}")), ST_OK);

    assert_int_equal(restore_document(f.vault, buf_str(&body), &out, &is_changed), ST_OK);

    assert_true(is_changed);
    for (struct str rest = buf_str(&out); str_find(rest, STR("Zo\xc3\xab")) < rest.len; found++) {
        rest = str_slice(rest, str_find(rest, STR("Zo\xc3\xab")) + 1, rest.len);
    }
    assert_int_equal(found, CHOICES);
    buf_fini(&body);
    buf_fini(&out);
    stop(&f);
}

static void streams_are_restored_however_their_text_is_cut(void **state)
{
    static const char stop_event[] =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    struct fixture f;
    (void)state;
    fill(&f);
    for (size_t first = 0; first < sizeof said; first++) {
        for (size_t step = 1; step < 12; step += 2) {
            struct buf stream;
            buf_init(&stream, TEXT_MAX);
            add_event(&stream, str_slice(str_from(said), 0, first));
            for (size_t at = first; at < sizeof said - 1; at += step) {
                add_event(&stream, str_slice(str_from(said), at, step));
            }
            if (first % 2 == 0) {
                assert_int_equal(buf_append(&stream, str_from(stop_event)), ST_OK);
            }
            assert_int_equal(buf_append(&stream, STR("data: [DONE]\n\n")), ST_OK);
            check_stream(&f, buf_str(&stream), 0, first + 1);
            buf_fini(&stream);
        }
    }
    stop(&f);
}

static void streams_are_restored_at_every_cut_of_their_bytes(void **state)
{
    struct fixture f;
    struct buf stream;
    (void)state;
    fill(&f);
    buf_init(&stream, TEXT_MAX);
    for (size_t at = 0; at < sizeof said - 1; at += 5) {
        add_event(&stream, str_slice(str_from(said), at, 5));
    }
    assert_int_equal(buf_append(&stream, STR("data: [DONE]\n\n")), ST_OK);
    for (size_t cut = 1; cut < stream.len; cut++) {
        check_stream(&f, buf_str(&stream), cut, stream.len);
    }
    check_stream(&f, buf_str(&stream), 0, 1);
    buf_fini(&stream);
    stop(&f);
}

static void whole_streams_look_like(void **state)
{
    static const struct {
        const char *stream;
        const char *out; /* NULL: the same bytes */
    } cases[] = {
        {": hi\n\nid: 1\ndata: {\"choices\":[{\"delta\":{\"content\":\"x [y] \\u00e9\"}}]}\r\n\r\n"
         "data: [DONE]\n\n",
         NULL},
        {"id: 1\ndata: {\"choices\":[{\"delta\":{\"content\":\"[NAME_1]\"}}], \"n\":1.0}\r\n\r\n: c\n\n"
         "data: [DONE]\n\n",
         "id: 1\ndata: {\"choices\":[{\"delta\":{\"content\":\"Zo\xc3\xab\"}}], \"n\":1.0}\r\n\r\n: c\n\n"
         "data: [DONE]\n\n"},
        {"data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"[NAME_1]\"}}]}\n\ndata: [DONE]\n\n",
         "data: {\"choices\":[{\"delta\":{\"content\":\"Zo\xc3\xab\"}}]}\n\ndata: [DONE]\n\n"},
        {"data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"a [NA\"}},{\"index\":0,\"delta\":{\"content\":\"b "
         "[NA\"}}]}\n\n"
         "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ME_1]\"}},{\"index\":1,\"delta\":{\"content\":"
         "\"x\"}}]}\n\ndata: [DONE]\n\n",
         NULL},
        {"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"[NAME_1]\","
         "\"arguments\":\"{\\\"a\\\":\\\"[EMA\"}}]}}]}\n\n"
         "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":"
         "\"IL_1]\\\"}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n",
         "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"[NAME_1]\","
         "\"arguments\":\"{\\\"a\\\":\\\"\"}}]}}]}\n\n"
         "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":"
         "\"a\\\\\\\"b@c.example\\\"}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n"},
        {"data: {\"choices\":[{\"delta\":{\"content\":\"a [NA\"}}]}\n\ndata: [DONE]\n\n",
         "data: {\"choices\":[{\"delta\":{\"content\":\"a \"}}]}\n\n"
         "data: {\"choices\":[{\"delta\":{\"content\":\"[NA\"}}]}\n\ndata: [DONE]\n\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        struct buf out;
        struct str stream = str_from(cases[i].stream);
        fill(&f);
        for (size_t cut = 1; cut < stream.len; cut++) {
            buf_init(&out, TEXT_MAX);
            relay_all(&f, stream, cut, stream.len, &out);
            if (i != 3) {
                test_assert_str(buf_str(&out),
                                cases[i].out == NULL ? stream : str_from(cases[i].out));
            } else { /* two choices at once: each on its own */
                assert_true(str_find(buf_str(&out), STR("\"b \"")) < out.len);
                assert_true(str_find(buf_str(&out), STR("\"Zo\xc3\xab\"")) < out.len);
                assert_true(str_find(buf_str(&out), STR("\"[NAx\"")) < out.len);
            }
            buf_fini(&out);
        }
        stop(&f);
    }
}

static void what_is_held_is_no_longer_than_a_placeholder(void **state)
{
    struct fixture f;
    struct restore restore;
    struct buf before;
    struct buf out;
    bool is_changed = false;
    (void)state;
    fill(&f);
    restore_init(&restore, f.vault);
    buf_init(&before, TEXT_MAX);
    buf_init(&out, TEXT_MAX);
    assert_int_equal(
        restore_event(&restore,
                      STR("{\"choices\":[{\"delta\":{\"content\":\"[EMAIL_11111111111111111111111"
                          "11111111111111111111111111111111111111\"}}]}"),
                      &before, &out, &is_changed),
        ST_OK);
    assert_false(is_changed);
    assert_int_equal(before.len, 0);
    buf_fini(&out);
    buf_fini(&before);
    restore_fini(&restore);
    stop(&f);
}

static void memory_may_end_anywhere(void **state)
{
    static const char stream[] =
        "data: {\"choices\":[{\"delta\":{\"content\":\"[NAME_1] [NA\"}}]}\n\ndata: [DONE]\n\n";
    struct fixture f;
    (void)state;
    fill(&f);
    for (uint64_t n = 1;; n++) {
        struct restore restore;
        struct relay relay;
        struct buf out;
        size_t consumed = 0;
        restore_init(&restore, f.vault);
        relay_init(&relay, false);
        relay_restore(&relay, &restore);
        buf_init(&out, TEXT_MAX);
        mem_fail_at(n, 0);
        enum status st = relay_run(&relay, str_from(stream), append, &out, &consumed);
        mem_fail_at(0, 0);
        relay_fini(&relay);
        restore_fini(&restore);
        buf_fini(&out);
        if (st == ST_OK) {
            assert_true(n > 4);
            break;
        }
        assert_int_equal(st, ST_NO_MEMORY);
    }
    stop(&f);
}

static void memory_may_end_in_a_request(void **state)
{
    static const char body[] =
        ARGUMENTS("{\\\"e\\\":\\\"a\\\\u0040b.example\\\",\\\"c\\\":4111111111111111}");
    static const char want[] =
        ARGUMENTS("{\\\"e\\\":\\\"[EMAIL_1]\\\",\\\"c\\\":\\\"[CARD_1]\\\"}");
    size_t failures = 0;
    (void)state;
    for (uint64_t n = 1; n < 40; n++) { /* an allocation that is given up may have been a wish */
        struct fixture f;
        struct str out = STR("");
        start(&f);
        mem_fail_at(n, 0);
        enum status st = redact_body(&everything, f.vault, str_from(body), f.arena, &out);
        mem_fail_at(0, 0);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
        test_assert_str(out, st == ST_OK ? str_from(want) : STR(""));
        failures += st != ST_OK;
        stop(&f);
    }
    assert_true(failures > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_texts_with_something_in_them_change),
        cmocka_unit_test(texts_that_are_json_are_looked_at_as_they_read),
        cmocka_unit_test(arguments_of_tools_are_left_if_so_configured),
        cmocka_unit_test(a_pattern_over_its_limit_keeps_the_body_here),
        cmocka_unit_test(documents_are_restored),
        cmocka_unit_test(any_number_of_choices_is_restored),
        cmocka_unit_test(streams_are_restored_however_their_text_is_cut),
        cmocka_unit_test(streams_are_restored_at_every_cut_of_their_bytes),
        cmocka_unit_test(whole_streams_look_like),
        cmocka_unit_test(what_is_held_is_no_longer_than_a_placeholder),
        cmocka_unit_test(memory_may_end_anywhere),
        cmocka_unit_test(memory_may_end_in_a_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
