#include <float.h>
#include <math.h>
#include <string.h>

#include "base/json_write.h"
#include "base/mem.h"
#include "tests/support/test.h"

static const struct {
    struct str text;
    struct str written;
} texts[] = {
    {STR_INIT(""), STR_INIT("\"\"")},
    {STR_INIT("plain"), STR_INIT("\"plain\"")},
    {STR_INIT("\"\\/"), STR_INIT("\"\\\"\\\\/\"")},
    {STR_INIT("\b\f\n\r\t"), STR_INIT("\"\\b\\f\\n\\r\\t\"")},
    {STR_INIT("\0\x01\x1f\x7f"), STR_INIT("\"\\u0000\\u0001\\u001f\x7f\"")},
    {STR_INIT("gr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\x98\x80"),
     STR_INIT("\"gr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\x98\x80\"")},
    {STR_INIT("a\xff\xc3"), STR_INIT("\"a\xef\xbf\xbd\xef\xbf\xbd\"")},
    {STR_INIT("\xc3\xa9\xed\xa0\x80"),
     STR_INIT("\"\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"")},
    {STR_INIT("more than sixteen bytes\nand then more again\n"),
     STR_INIT("\"more than sixteen bytes\\nand then more again\\n\"")},
};

static void texts_are_quoted_and_escaped(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buf out;
        buf_init(&out, 1000);

        assert_int_equal(json_write_text(&out, texts[i].text), ST_OK);

        test_assert_str(buf_str(&out), texts[i].written);
        buf_fini(&out);
    }
}

static void pieces_are_escaped_without_quotes(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);

    assert_int_equal(json_write_escaped(&out, STR("a\"")), ST_OK);
    assert_int_equal(json_write_escaped(&out, STR("\n")), ST_OK);

    test_assert_str(buf_str(&out), STR("a\\\"\\n"));
    buf_fini(&out);
}

static void text_over_the_ceiling_leaves_the_buffer_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buf out;
        buf_init(&out, texts[i].written.len);
        assert_int_equal(buf_append_char(&out, '>'), ST_OK);

        assert_int_equal(json_write_text(&out, texts[i].text), ST_TOO_BIG);

        test_assert_str(buf_str(&out), STR(">"));
        buf_fini(&out);
    }
}

static void writing_without_memory_fails(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);

    mem_fail_at(1, 1);
    enum status st = json_write_escaped(&out, STR("a"));
    mem_fail_at(0, 0);

    assert_int_equal(st, ST_NO_MEMORY);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

static void reals_are_written_short(void **state)
{
    (void)state;

    static const struct {
        double value;
        struct str written;
    } cases[] = {
        {0, STR_INIT("0")},
        {-0.0, STR_INIT("-0")},
        {1, STR_INIT("1")},
        {-2.5, STR_INIT("-2.5")},
        {0.1, STR_INIT("0.1")},
        {0.3, STR_INIT("0.3")},
        {1e22, STR_INIT("1e+22")},
        {1.0 / 3, STR_INIT("0.3333333333333333")},
        {0.1 + 0.2, STR_INIT("0.30000000000000004")},
        {DBL_MAX, STR_INIT("1.7976931348623157e+308")},
        {5e-324, STR_INIT("5e-324")},
        {(double)INFINITY, STR_INIT("null")},
        {-(double)INFINITY, STR_INIT("null")},
        {(double)NAN, STR_INIT("null")},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out;
        buf_init(&out, 1000);

        assert_int_equal(json_write_real(&out, cases[i].value), ST_OK);

        test_assert_str(buf_str(&out), cases[i].written);
        buf_fini(&out);
    }
}

static void reals_read_back_as_the_same_bits(void **state)
{
    (void)state;
    uint64_t bits = 1;
    struct buf out;
    buf_init(&out, 1000);
    for (int i = 0; i < 20000; i++) {
        double value;
        double again = 0;
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) {
            continue;
        }
        buf_reset(&out);

        assert_int_equal(json_write_real(&out, value), ST_OK);

        assert_int_equal(str_to_real(buf_str(&out), &again), ST_OK);
        assert_memory_equal(&again, &value, sizeof value);
    }
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_quoted_and_escaped),
        cmocka_unit_test(pieces_are_escaped_without_quotes),
        cmocka_unit_test(text_over_the_ceiling_leaves_the_buffer_alone),
        cmocka_unit_test(writing_without_memory_fails),
        cmocka_unit_test(reals_are_written_short),
        cmocka_unit_test(reals_read_back_as_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
