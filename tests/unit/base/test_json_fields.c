#include <math.h>
#include <stdint.h>

#include "base/json_fields.h"
#include "base/mem.h"
#include "tests/support/test.h"

static void members_of_every_kind_make_one_object(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 1000);

    struct json_fields f = json_fields_open(&out);
    json_fields_text(&f, STR("text"), STR("a \"b\"\n"));
    json_fields_symbol(&f, STR("symbol"), "plain");
    json_fields_symbol(&f, STR("none"), NULL);
    json_fields_bool(&f, STR("yes"), true);
    json_fields_null(&f, STR("null"));
    json_fields_enter(&f, STR("inner"));
    json_fields_int(&f, STR("n"), 7);
    json_fields_leave(&f);
    json_fields_int(&f, STR("last"), -1);
    assert_int_equal(json_fields_close(&f), ST_OK);

    test_assert_str(
        buf_str(&out),
        STR("{\"text\":\"a \\\"b\\\"\\n\",\"symbol\":\"plain\",\"none\":\"\",\"yes\":true,"
            "\"null\":null,\"inner\":{\"n\":7},\"last\":-1}"));
    buf_fini(&out);
}

static const struct {
    int64_t value;
    struct str written;
} ints[] = {
    {0, STR_INIT("{\"v\":0}")},
    {10, STR_INIT("{\"v\":10}")},
    {-305, STR_INIT("{\"v\":-305}")},
    {INT64_MAX, STR_INIT("{\"v\":9223372036854775807}")},
    {INT64_MIN, STR_INIT("{\"v\":-9223372036854775808}")},
};

static void integers_have_all_their_digits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        struct buf out;
        buf_init(&out, 100);
        struct json_fields f = json_fields_open(&out);
        json_fields_int(&f, STR("v"), ints[i].value);
        assert_int_equal(json_fields_close(&f), ST_OK);
        test_assert_str(buf_str(&out), ints[i].written);
        buf_fini(&out);
    }
}

static const struct {
    double value;
    struct str written;
} shares[] = {
    {0, STR_INIT("{\"v\":0.0000}")},
    {1, STR_INIT("{\"v\":1.0000}")},
    {0.00004, STR_INIT("{\"v\":0.0000}")},
    {0.00006, STR_INIT("{\"v\":0.0001}")},
    {0.99996, STR_INIT("{\"v\":1.0000}")},
    {-0.25, STR_INIT("{\"v\":-0.2500}")},
    {12.03456, STR_INIT("{\"v\":12.0346}")},
    {(double)NAN, STR_INIT("{\"v\":null}")},
    {(double)INFINITY, STR_INIT("{\"v\":null}")},
    {1e12, STR_INIT("{\"v\":null}")},
};

static void shares_have_four_decimals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        struct buf out;
        buf_init(&out, 100);
        struct json_fields f = json_fields_open(&out);
        json_fields_share(&f, STR("v"), shares[i].value);
        assert_int_equal(json_fields_close(&f), ST_OK);
        test_assert_str(buf_str(&out), shares[i].written);
        buf_fini(&out);
    }
}

static void the_first_failure_is_kept(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 12);

    struct json_fields f = json_fields_open(&out);
    json_fields_text(&f, STR("long"), STR("more than there is room for"));
    json_fields_int(&f, STR("v"), 1);

    assert_int_equal(json_fields_close(&f), ST_TOO_BIG);
    buf_fini(&out);
}

static void memory_that_is_short_costs_the_object(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 1000);
    mem_fail_at(1, 1);

    struct json_fields f = json_fields_open(&out);
    json_fields_int(&f, STR("v"), 1);
    enum status st = json_fields_close(&f);

    mem_fail_at(0, 0);
    assert_int_equal(st, ST_NO_MEMORY);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_every_kind_make_one_object),
        cmocka_unit_test(integers_have_all_their_digits),
        cmocka_unit_test(shares_have_four_decimals),
        cmocka_unit_test(the_first_failure_is_kept),
        cmocka_unit_test(memory_that_is_short_costs_the_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
