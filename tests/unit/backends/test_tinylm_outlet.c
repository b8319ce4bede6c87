/* From bytes of tokens to text: whole code points, stop texts, nothing lost. */
#include "backends/kernels/tinylm/outlet.h"
#include "base/utf8.h"
#include "tests/support/test.h"

enum {
    STOPS_MAX = 3,
    PIECES_MAX = 5,
};

static enum status on_text(void *ctx, struct str text)
{
    struct buf *said = ctx;
    assert_int_equal(utf8_valid_prefix(text), text.len);
    assert_int_equal(buf_append(said, text), ST_OK);
    return buf_append_char(said, '|');
}

struct outlet_case {
    const char *stops[STOPS_MAX];
    const char *pieces[PIECES_MAX];
    const char *said; /* a | after each text */
    bool is_stopped;
};

static void check(const struct outlet_case *c)
{
    struct buf said;
    struct outlet o;
    struct str stops[STOPS_MAX];
    const struct outlet_sink sink = {&said, on_text};
    size_t stop_count = 0;
    while (stop_count < STOPS_MAX && c->stops[stop_count] != NULL) {
        stops[stop_count] = str_from(c->stops[stop_count]);
        stop_count++;
    }
    buf_init(&said, 4096);
    outlet_init(&o, stops, stop_count, &sink);
    for (size_t i = 0; i < PIECES_MAX && c->pieces[i] != NULL; i++) {
        assert_int_equal(outlet_put(&o, str_from(c->pieces[i])), ST_OK);
    }
    assert_int_equal(outlet_end(&o), ST_OK);
    test_assert_str(buf_str(&said), str_from(c->said));
    assert_int_equal(o.is_stopped, c->is_stopped);
    outlet_fini(&o);
    buf_fini(&said);
}

static void pieces_go_out_whole_and_at_once(void **state)
{
    (void)state;
    static const struct outlet_case cases[] = {
        {{NULL}, {"a", "", "bc"}, "a|bc|", false},
        {{NULL}, {"\xc3", "\xa9"}, "\xc3\xa9|", false},
        {{NULL}, {"x\xf0\x9f", "\x98", "\x80y"}, "x|\xf0\x9f\x98\x80y|", false},
        {{NULL},
         {"a\xff"
          "b"},
         "a\xef\xbf\xbd"
         "b|",
         false},
        {{NULL}, {"\xe6\xbc"}, "\xef\xbf\xbd\xef\xbf\xbd|", false},
        {{NULL}, {"\xe6", "x"}, "\xef\xbf\xbdx|", false},
        {{NULL}, {"\xed\xa0\x80"}, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(&cases[i]);
    }
}

static void stop_texts_end_the_answer_wherever_pieces_are_cut(void **state)
{
    (void)state;
    static const struct outlet_case cases[] = {
        {{"END"}, {"a END b"}, "a |", true},
        {{"END"}, {"a E", "N", "D b"}, "a |", true},
        {{"END"}, {"a E", "N", "d b"}, "a |ENd b|", false},
        {{"END"}, {"a E"}, "a |E|", false},
        {{"END"}, {"EE", "ND"}, "E|", true},
        {{"END"}, {"END"}, "", true},
        {{"aab"}, {"a", "a", "a", "b"}, "a|", true},
        {{"long stop", "st"}, {"a s", "top"}, "a |", true},
        {{"xyz", "y"}, {"ax", "y"}, "a|x|", true},
        {{"\xc3\xa9"}, {"a\xc3", "\xa9z"}, "a|", true},
        {{""}, {"abc"}, "abc|", false},
        {{"END"}, {"END", "more"}, "", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(&cases[i]);
    }
}

static enum status refuse(void *ctx, struct str text)
{
    (void)ctx;
    (void)text;
    return ST_CLOSED;
}

static void closed_sink_is_reported(void **state)
{
    (void)state;
    struct outlet o;
    const struct outlet_sink sink = {NULL, refuse};
    outlet_init(&o, NULL, 0, &sink);

    assert_int_equal(outlet_put(&o, STR("a")), ST_CLOSED);

    outlet_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_go_out_whole_and_at_once),
        cmocka_unit_test(stop_texts_end_the_answer_wherever_pieces_are_cut),
        cmocka_unit_test(closed_sink_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
