#include "base/json_scan.h"
#include "base/mem.h"
#include "tests/support/test.h"

static struct json_value value_of(struct str text)
{
    struct json_reader r;
    struct json_value v = {0};
    json_reader_init(&r, text);
    assert_true(json_take(&r, &v));
    assert_int_equal(json_close(&r), ST_OK);
    return v;
}

static const struct {
    struct str raw;
    struct str text;
} texts[] = {
    {STR_INIT("\"\""), STR_INIT("")},
    {STR_INIT("\"plain\""), STR_INIT("plain")},
    {STR_INIT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), STR_INIT("\"\\/\b\f\n\r\t")},
    {STR_INIT("\"\\u0041\\u00e9\\u4E2D\""), STR_INIT("A\xc3\xa9\xe4\xb8\xad")},
    {STR_INIT("\"a\\u0000b\""), STR_INIT("a\0b")},
    {STR_INIT("\"\\ud83d\\ude00\""), STR_INIT("\xf0\x9f\x98\x80")},
    {STR_INIT("\"\\uDBFF\\uDFFF\""), STR_INIT("\xf4\x8f\xbf\xbf")},
    /* lone surrogates, high and low, alone, before text, before another escape, in the wrong order */
    {STR_INIT("\"\\ud800\""), STR_INIT("\xef\xbf\xbd")},
    {STR_INIT("\"\\udc00\""), STR_INIT("\xef\xbf\xbd")},
    {STR_INIT("\"\\ud800x\""), STR_INIT("\xef\xbf\xbdx")},
    {STR_INIT("\"\\ud800\\n\""), STR_INIT("\xef\xbf\xbd\n")},
    {STR_INIT("\"\\ud800\\u0041\""), STR_INIT("\xef\xbf\xbd\x41")},
    {STR_INIT("\"\\ud800\\ud83d\\ude00\""), STR_INIT("\xef\xbf\xbd\xf0\x9f\x98\x80")},
    {STR_INIT("\"\\ude00\\ud83d\""), STR_INIT("\xef\xbf\xbd\xef\xbf\xbd")},
    /* escapes before, at and after the 16th byte */
    {STR_INIT("\"0123456789abcd\\nf0123456789abcdef\""),
     STR_INIT("0123456789abcd\nf0123456789abcdef")},
    {STR_INIT("\"0123456789abcde\\nf0123456789abcdef\\n\""),
     STR_INIT("0123456789abcde\nf0123456789abcdef\n")},
    {STR_INIT("\"0123456789abcdef\\nf0123456789abcdef\\\\\""),
     STR_INIT("0123456789abcdef\nf0123456789abcdef\\")},
};

static void strings_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buf out;
        buf_init(&out, 1000);

        assert_int_equal(json_decode(value_of(texts[i].raw), &out), ST_OK);

        test_assert_str(buf_str(&out), texts[i].text);
        buf_fini(&out);
    }
}

/* The ceiling counts decoded bytes: what fits is decoded although its spelling would not fit. */
static void strings_decode_up_to_the_ceiling_of_the_buffer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t need = texts[i].text.len + 1;
        struct buf out;
        buf_init(&out, need);
        assert_int_equal(buf_append_char(&out, '>'), ST_OK);

        assert_int_equal(json_decode(value_of(texts[i].raw), &out), ST_OK);

        test_assert_str(str_slice(buf_str(&out), 1, need), texts[i].text);
        buf_fini(&out);
    }
}

static void string_over_the_ceiling_leaves_the_buffer_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].text.len == 0) {
            continue;
        }
        struct buf out;
        buf_init(&out, texts[i].text.len);
        assert_int_equal(buf_append_char(&out, '>'), ST_OK);

        assert_int_equal(json_decode(value_of(texts[i].raw), &out), ST_TOO_BIG);

        test_assert_str(buf_str(&out), STR(">"));
        buf_fini(&out);
    }
}

static void decoding_without_memory_fails(void **state)
{
    (void)state;
    struct json_value v = value_of(STR("\"\\n\""));
    struct buf out;
    buf_init(&out, 1000);

    mem_fail_at(1, 1);
    enum status st = json_decode(v, &out);
    mem_fail_at(0, 0);

    assert_int_equal(st, ST_NO_MEMORY);
    buf_fini(&out);
}

static void strings_compare_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct json_value v = value_of(texts[i].raw);
        struct str text = texts[i].text;

        assert_true(json_text_is(v, text));
        assert_false(json_text_is(v, STR("something else")));
        assert_false(text.len > 0 && json_text_is(v, str_slice(text, 0, text.len - 1)));
    }
}

static void comparison_does_not_stop_at_a_prefix(void **state)
{
    (void)state;

    assert_false(json_text_is(value_of(STR("\"mod\"")), STR("model")));
    assert_false(json_text_is(value_of(STR("\"m\\u006fd\"")), STR("model")));
    assert_false(json_text_is(value_of(STR("\"m\\u006fdels\"")), STR("model")));
    assert_true(json_text_is(value_of(STR("\"m\\u006fdel\"")), STR("model")));
}

static void only_strings_are_texts(void **state)
{
    (void)state;

    assert_false(json_text_is(value_of(STR("null")), STR("null")));
    assert_false(json_text_is(value_of(STR("12")), STR("12")));
}

static void plain_is_the_inside(void **state)
{
    (void)state;

    test_assert_str(json_plain(value_of(STR("\"abc\""))), STR("abc"));
    assert_int_equal(json_plain(value_of(STR("\"\""))).len, 0);
}

static void integers_are_read_exactly(void **state)
{
    (void)state;

    static const struct {
        struct str raw;
        enum status st;
        int64_t value;
    } cases[] = {
        {STR_INIT("0"), ST_OK, 0},
        {STR_INIT("-0"), ST_OK, 0},
        {STR_INIT("9223372036854775807"), ST_OK, INT64_MAX},
        {STR_INIT("-9223372036854775808"), ST_OK, INT64_MIN},
        {STR_INIT("9223372036854775808"), ST_TOO_BIG, 7},
        {STR_INIT("-9223372036854775809"), ST_TOO_BIG, 7},
        {STR_INIT("1.0"), ST_INVALID, 7},
        {STR_INIT("1e3"), ST_INVALID, 7},
        {STR_INIT("\"1\""), ST_INVALID, 7},
        {STR_INIT("true"), ST_INVALID, 7},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 7;

        assert_int_equal(json_to_int(value_of(cases[i].raw), &value), cases[i].st);

        assert_true(value == (cases[i].st == ST_OK ? cases[i].value : 7));
    }
}

static void reals_are_read_or_refused(void **state)
{
    (void)state;
    double value = 0;

    assert_int_equal(json_to_real(value_of(STR("-2.5e-1")), &value), ST_OK);

    assert_true(value > -0.2500001 && value < -0.2499999);
    assert_int_equal(json_to_real(value_of(STR("1e999")), &value), ST_TOO_BIG);
    assert_int_equal(json_to_real(value_of(STR("\"1\"")), &value), ST_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_decode),
        cmocka_unit_test(strings_decode_up_to_the_ceiling_of_the_buffer),
        cmocka_unit_test(string_over_the_ceiling_leaves_the_buffer_alone),
        cmocka_unit_test(decoding_without_memory_fails),
        cmocka_unit_test(strings_compare_decoded),
        cmocka_unit_test(comparison_does_not_stop_at_a_prefix),
        cmocka_unit_test(only_strings_are_texts),
        cmocka_unit_test(plain_is_the_inside),
        cmocka_unit_test(integers_are_read_exactly),
        cmocka_unit_test(reals_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
