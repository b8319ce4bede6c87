/* Exact numbers and their ceiling. */
#include "backends/kernels/rational.h"
#include "tests/support/test.h"

static struct rational a;
static struct rational b;

static int set_up(void **state)
{
    (void)state;
    rational_init(&a);
    rational_init(&b);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rational_fini(&a);
    rational_fini(&b);
    return 0;
}

static void read_both(const char *left, const char *right)
{
    assert_int_equal(rational_read(&a, str_from(left)), ST_OK);
    assert_int_equal(rational_read(&b, str_from(right)), ST_OK);
}

static void assert_a(const char *fraction)
{
    struct buf got;
    buf_init(&got, 100000);
    assert_int_equal(rational_write_fraction(&a, 10, &got), ST_OK);
    test_assert_str(buf_str(&got), str_from(fraction));
    buf_fini(&got);
}

static void read_takes_decimals_exponents_and_hexadecimal(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        enum status st;
        const char *fraction;
    } cases[] = {
        {"0", ST_OK, "0"},
        {"007", ST_OK, "7"},
        {"3.25", ST_OK, "13/4"},
        {".5", ST_OK, "1/2"},
        {"5.", ST_OK, "5"},
        {"1.5e3", ST_OK, "1500"},
        {"15E-1", ST_OK, "3/2"},
        {"1e+2", ST_OK, "100"},
        {"0xfF", ST_OK, "255"},
        {"", ST_INVALID, NULL},
        {".", ST_INVALID, NULL},
        {"1.2.3", ST_INVALID, NULL},
        {"1e", ST_INVALID, NULL},
        {"-1", ST_INVALID, NULL},
        {"0x", ST_INVALID, NULL},
        {"0xg", ST_INVALID, NULL},
        {"1e4901", ST_TOO_BIG, NULL},
        {"1e99999999999999999999", ST_TOO_BIG, NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum status st = rational_read(&a, str_from(cases[i].text));
        if (st != cases[i].st) {
            fail_msg("\"%s\" gave status %d", cases[i].text, (int)st);
        }
        if (st == ST_OK) {
            assert_a(cases[i].fraction);
        }
    }
}

static void arithmetic_is_exact(void **state)
{
    (void)state;
    read_both("0.1", "0.2");
    assert_int_equal(rational_add(&a, &b), ST_OK);
    assert_a("3/10");
    assert_int_equal(rational_div(&a, &b), ST_OK);
    assert_a("3/2");
    assert_int_equal(rational_pow(&a, -3), ST_OK);
    assert_a("8/27");
    read_both("7.5", "2");
    assert_int_equal(rational_mod(&a, &b), ST_OK);
    assert_a("3/2");
    rational_negate(&a);
    assert_int_equal(rational_mod(&a, &b), ST_OK);
    assert_a("1/2");
}

static void operations_without_result_say_so(void **state)
{
    (void)state;
    bool is_exact;
    read_both("1", "0");
    assert_int_equal(rational_div(&a, &b), ST_INVALID);
    assert_int_equal(rational_mod(&a, &b), ST_INVALID);
    assert_int_equal(rational_pow(&b, -1), ST_INVALID);
    rational_negate(&a);
    assert_int_equal(rational_root(&a, 2, &is_exact), ST_INVALID);
    assert_int_equal(rational_factorial(&a), ST_INVALID);
    read_both("0.5", "1");
    assert_int_equal(rational_gcd(&a, &b), ST_INVALID);
}

static void nothing_grows_beyond_the_ceiling(void **state)
{
    (void)state;
    read_both("1e4000", "1e4000");
    assert_int_equal(rational_mul(&a, &b), ST_TOO_BIG);
    assert_int_equal(rational_add(&a, &b), ST_TOO_BIG);
    assert_int_equal(rational_pow(&a, 2), ST_TOO_BIG);
    assert_int_equal(rational_pow(&a, INT64_MIN), ST_TOO_BIG);
    read_both("2", "2");
    assert_int_equal(rational_pow(&a, INT64_MAX), ST_TOO_BIG);
    read_both("2001", "1");
    assert_int_equal(rational_factorial(&a), ST_TOO_BIG);
    rational_negate(&b);
    assert_int_equal(rational_pow(&b, INT64_MAX), ST_OK);
    assert_int_equal(rational_sign(&b), -1);
}

static void roots_are_exact_where_they_can_be(void **state)
{
    (void)state;
    bool is_exact = false;
    struct buf got;
    buf_init(&got, 1000);

    read_both("0.25", "2");
    assert_int_equal(rational_root(&a, 2, &is_exact), ST_OK);
    assert_true(is_exact);
    assert_a("1/2");
    assert_int_equal(rational_root(&b, 2, &is_exact), ST_OK);
    assert_false(is_exact);
    assert_int_equal(rational_write_decimal(&b, 40, &got), ST_OK);

    test_assert_str(buf_str(&got), STR("1.4142135623730950488016887242096980785697"));
    buf_fini(&got);
}

static void decimals_are_rounded_half_away_from_zero(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        int64_t places;
        const char *decimal; /* of the number, and after a minus of its negative */
    } cases[] = {
        {"0.125", 2, "0.13"}, {"0.5", 0, "1"},         {"0.4", 0, "0"},       {"2", 3, "2.000"},
        {"0.05", 3, "0.050"}, {"999.99", 1, "1000.0"}, {"12.34", 2, "12.34"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf got;
        buf_init(&got, 1000);
        read_both(cases[i].text, "0");
        assert_int_equal(rational_write_decimal(&a, cases[i].places, &got), ST_OK);
        test_assert_str(buf_str(&got), str_from(cases[i].decimal));
        rational_negate(&a);
        buf_reset(&got);
        assert_int_equal(rational_write_decimal(&a, cases[i].places, &got), ST_OK);
        bool is_zero = str_eq(str_from(cases[i].decimal), STR("0"));
        assert_int_equal(buf_str(&got).ptr[0] == '-', !is_zero);
        buf_fini(&got);
    }
}

static void magnitude_and_places_describe_a_number(void **state)
{
    (void)state;

    static const struct {
        const char *num;
        const char *den;
        int64_t magnitude;
        int64_t places;
    } cases[] = {
        {"1", "1", 0, 0},
        {"9", "1", 0, 0},
        {"10", "1", 1, 0},
        {"999", "1", 2, 0},
        {"1", "10", -1, 1},
        {"1", "3", -1, -1},
        {"99", "1000", -2, 3},
        {"1", "8", -1, 3},
        {"0", "1", 0, 0},
        {"1e4000", "1", 4000, 0},
        {"1", "1e4000", -4000, 4000},
        {"1", "1024", -4, 10},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_both(cases[i].num, cases[i].den);
        assert_int_equal(rational_div(&a, &b), ST_OK);
        assert_int_equal(rational_magnitude(&a), cases[i].magnitude);
        assert_int_equal(rational_places(&a), cases[i].places);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(read_takes_decimals_exponents_and_hexadecimal),
        TEST(arithmetic_is_exact),
        TEST(operations_without_result_say_so),
        TEST(nothing_grows_beyond_the_ceiling),
        TEST(roots_are_exact_where_they_can_be),
        TEST(decimals_are_rounded_half_away_from_zero),
        TEST(magnitude_and_places_describe_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
