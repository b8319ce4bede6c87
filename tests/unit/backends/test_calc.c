/* The calculator: prompts and what they are answered with, refusals and hostile input included. */
#include <string.h>

#include "backends/kernels/calc.h"
#include "backends/kernels/units.h"
#include "base/mem.h"
#include "tests/support/test.h"

struct pair {
    const char *prompt;
    const char *answer;
};

static void check(const struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buf got;
        buf_init(&got, 300000);
        assert_int_equal(calc_answer(str_from(pairs[i].prompt), &got), ST_OK);
        if (!str_eq(buf_str(&got), str_from(pairs[i].answer))) {
            fail_msg("\"%s\" gave \"%.*s\", want \"%s\"", pairs[i].prompt, STR_ARG(buf_str(&got)),
                     pairs[i].answer);
        }
        buf_fini(&got);
    }
}

#define CHECK(pairs) check(pairs, sizeof(pairs) / sizeof((pairs)[0]))
#define ABOUT        " \xE2\x89\x88 "
#define TIMES        " \xC3\x97 "
#define SQUARE       "\xC2\xB2"
#define DEGREE       "\xC2\xB0"

static void calc_works_with_signs_in_all_spellings(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"how much is 2^64 - 1", "2^64 - 1 = 18446744073709551615"},
        {"12 \xC3\x97 7 \xC3\xB7 3 \xE2\x88\x92 4", "12" TIMES "7 / 3 - 4 = 24"},
        {"3x4", "3" TIMES "4 = 12"},
        {"3 x 4", "3" TIMES "4 = 12"},
        {"2**10", "2^10 = 1024"},
        {"**3+4**", "3 + 4 = 7"},
        {"`3+4`", "3 + 4 = 7"},
        {"\"3+4\"", "3 + 4 = 7"},
        {"3 + 5 = ?", "3 + 5 = 8"},
        {".5 + .25", ".5 + .25 = 0.75"},
        {"0.1 + 0.2", "0.1 + 0.2 = 0.3"},
        {"1,000,000 * 3", "1,000,000" TIMES "3 = 3000000"},
        {"1 000 000 * 3", "1000000" TIMES "3 = 3000000"},
        {"1\xC2\xA0"
         "000 * 3",
         "1000" TIMES "3 = 3000"},
        {"1_000 * 3", "1000" TIMES "3 = 3000"},
        {"6.02e23 * 2", "6.02e23" TIMES "2 = 1204000000000000000000000"},
        {"15% of $80", "15% of 80 = 12"},
        {"\xE2\x88\x9A"
         "81 + 1",
         "sqrt(81) + 1 = 10"},
        {"3\xC2\xB2 + 1", "3^2 + 1 = 10"},
        {"1\xC2\xBD + \xC2\xBC", "3/2 + 1/4 = 1.75"},
        {"5 + -3", "5 + -3 = 2"},
        {"[1+2]*3", "(1 + 2)" TIMES "3 = 9"},
        {"0xff + 1", "0xff + 1 = 256"},
    };
    CHECK(pairs);
}

static void calc_follows_the_order_of_operations(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"1+2*3", "1 + 2" TIMES "3 = 7"},
        {"(1+2)*3", "(1 + 2)" TIMES "3 = 9"},
        {"10-4-3", "10 - 4 - 3 = 3"},
        {"10-(4-3)", "10 - (4 - 3) = 9"},
        {"100/10/5", "100 / 10 / 5 = 2"},
        {"2^3^2", "2^3^2 = 512"},
        {"(2^3)^2", "(2^3)^2 = 64"},
        {"-2^2", "-2^2 = -4"},
        {"(-2)^2", "(-2)^2 = 4"},
        {"2^-3", "2^(-3) = 0.125"},
        {"2(3+4)", "2" TIMES "(3 + 4) = 14"},
        {"(1+2)(3+4)", "(1 + 2)" TIMES "(3 + 4) = 21"},
        {"17 mod 5", "17 mod 5 = 2"},
        {"-7 mod 3", "-7 mod 3 = 2"},
        {"17 % 5", "17 mod 5 = 2"},
        {"3 + 4!", "3 + 4! = 27"},
        {"0^0", "0^0 = 1"},
    };
    CHECK(pairs);
}

static void calc_understands_english(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"seven plus five", "7 + 5 = 12"},
        {"What is twenty-one times three hundred and five?", "21" TIMES "305 = 6405"},
        {"two thousand three hundred minus one", "2300 - 1 = 2299"},
        {"3 million * 2", "3e6" TIMES "2 = 6000000"},
        {"45 divided by 9", "45 / 9 = 5"},
        {"7 squared", "7^2 = 49"},
        {"2 to the power of 10", "2^10 = 1024"},
        {"2 to the 10th power", "2^10 = 1024"},
        {"raise 2 to 8", "2^8 = 256"},
        {"the sum of 12, 15, and 18", "12 + 15 + 18 = 45"},
        {"the difference between 9 and 4", "9 - 4 = 5"},
        {"product of 6 and 7", "6" TIMES "7 = 42"},
        {"average of 3, 4 and 8", "(3 + 4 + 8) / 3 = 5"},
        {"average of (3, 4, 8)", "(3 + 4 + 8) / 3 = 5"},
        {"max(100,200) + 1", "max(100, 200) + 1 = 201"},
        {"gcd of 12 and 18", "gcd(12, 18) = 6"},
        {"lcm(4, 6)", "lcm(4, 6) = 12"},
        {"subtract 3 from 10", "10 - 3 = 7"},
        {"divide 10 by 4", "10 / 4 = 2.5"},
        {"multiply 12 by 13", "12" TIMES "13 = 156"},
        {"square root of 144", "sqrt(144) = 12"},
        {"cube root of 27", "cbrt(27) = 3"},
        {"double 35", "2" TIMES "35 = 70"},
        {"half of 30", "1/2 of 30 = 15"},
        {"two thirds of 9", "2/3 of 9 = 6"},
        {"5 factorial", "5! = 120"},
        {"What is 3 + 4!", "3 + 4 = 7"},
        {"What is 3+4? And 5*6?", "3 + 4 = 7\n5" TIMES "6 = 30"},
        {"The question - what is 3 * 4", "3" TIMES "4 = 12"},
    };
    CHECK(pairs);
}

static void calc_works_with_percentages(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"What is 17% of 3,480?", "17% of 3,480 = 591.6"},
        {"15 percent of 60", "15% of 60 = 9"},
        {"80% of 80% of 100", "80% of 80% of 100 = 64"},
        {"200 + 10%", "200 + 10% of 200 = 220"},
        {"10 - 20% of 50", "10 - 20% of 50 = 0"},
        {"20% off 50", "50 - 20% of 50 = 40"},
        {"15% more than 200", "200 + 15% of 200 = 230"},
        {"30% less than 90", "90 - 30% of 90 = 63"},
        {"increase 50 by 10%", "50 + 10% of 50 = 55"},
        {"Add 15% to 80", "80 + 15% of 80 = 92"},
        {"what percent of 80 is 20", "20 / 80 = 25%"},
        {"20 is what percent of 80", "20 / 80 = 25%"},
        {"20 as a percentage of 80", "20 / 80 = 25%"},
        {"3/8 as a percent", "3 / 8 = 37.5%"},
    };
    CHECK(pairs);
}

static void calc_shows_fractions_and_rounds_in_the_open(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"3/4 + 5/6", "3 / 4 + 5 / 6 = 19/12" ABOUT "1.58333333333"},
        {"1/3", "1 / 3 = 1/3" ABOUT "0.333333333333"},
        {"2 1/2 + 3/4", "5/2 + 3 / 4 = 3.25"},
        {"10 / 4 as a fraction", "10 / 4 = 5/2"},
        {"sqrt(2) to 20 digits", "sqrt(2)" ABOUT "1.4142135623730950488"},
        {"sqrt(16)", "sqrt(16) = 4"},
        {"sqrt(2)*sqrt(2)", "sqrt(2)" TIMES "sqrt(2)" ABOUT "2.00000000000"},
        {"2^0.5", "2^0.5" ABOUT "1.41421356237"},
        {"8^(1/3)", "8^(1 / 3) = 2"},
        {"(-8)^(1/3)", "(-8)^(1 / 3) = -2"},
        {"3.14159 to 2 decimal places", "3.14159" ABOUT "3.14"},
        {"1/8 to 2 decimal places", "1 / 8" ABOUT "0.13"},
        {"-1/8 to 2 decimal places", "-1 / 8" ABOUT "-0.13"},
        {"10^100 / 3", "10^100 / 3" ABOUT "3.33333333333e99"},
        {"2/3*1e-50", "2 / 3" TIMES "1e-50" ABOUT "6.66666666667e-51"},
        {"510^1000 + 1/3", "510^1000 + 1 / 3" ABOUT "3.71685909928e2707"},
        {"1e-60 * 1", "1e-60" TIMES "1 = 1e-60"},
        {"255 in hex", "255 = 0xff"},
        {"0xff in binary", "0xff = 0b11111111"},
        {"1/2 in hex", "1 / 2 = 0.5 (only whole numbers can be written in another base)"},
    };
    CHECK(pairs);
}

static void calc_converts_units(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"12.5 km in miles", "12.5 km" ABOUT "7.76713990297 mi"},
        {"convert 98.6 F to C", "98.6 " DEGREE "F = 37 " DEGREE "C"},
        {"-40 F to C", "-40 " DEGREE "F = -40 " DEGREE "C"},
        {"350\xC2\xB0"
         "F in celsius",
         "350 " DEGREE "F" ABOUT "176.666666667 " DEGREE "C"},
        {"0 K in C", "0 K = -273.15 " DEGREE "C"},
        {"5 ft 3 in to cm", "5 ft 3 in = 160.02 cm"},
        {"5'10\" in cm", "5 ft 10 in = 177.8 cm"},
        {"12 in in cm", "12 in = 30.48 cm"},
        {"5 in^2 in cm^2", "5 in" SQUARE " = 32.258 cm" SQUARE},
        {"1 acre in m^2", "1 acre = 4046.8564224 m" SQUARE},
        {"2 hours and 30 minutes in minutes", "2 h 30 min = 150 min"},
        {"6 lb 4 oz in kg", "6 lb 4 oz = 2.8349523125 kg"},
        {"1 3/4 cups in ml", "7/4 US cups = 414.029413875 mL"},
        {"half a mile in feet", "1/2 mi = 2640 ft"},
        {"how many feet in a mile?", "1 mi = 5280 ft"},
        {"how many seconds are there in 3 days", "3 days = 259200 s"},
        {"60 miles per hour in km/h", "60 mph = 96.56064 km/h"},
        {"100 km / 2 h", "100 km / 2 h = 50 km/h"},
        {"10 ft by 12 ft", "10 ft" TIMES "12 ft = 120 ft" SQUARE},
        {"sqrt(9 m^2)", "sqrt(9 m" SQUARE ") = 3 m"},
        {"50 kg + 10%", "50 kg + 10% of 50 kg = 55 kg"},
        {"8 GB in MB", "8 GB = 8000 MB"},
        {"1 GiB in bytes", "1 GiB = 1073741824 bytes"},
        {"10 MB/s in Mbps", "10 MB / s = 80 Mbit/s"},
        {"1 kWh in J", "1 kWh = 3600000 J"},
        {"1 atm in psi", "1 atm" ABOUT "14.6959487755 psi"},
        {"2 cups in fluid ounces", "2 US cups = 16 US fl oz"},
        {"1 mile in feet and 2 miles in km", "1 mi = 5280 ft\n2 mi = 3.218688 km"},
    };
    CHECK(pairs);
}

static void calc_says_why_there_is_no_result(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"1/0", "1 / 0: division by zero has no result."},
        {"0^-1", "0^(-1): division by zero has no result."},
        {"17 mod 0", "17 mod 0: division by zero has no result."},
        {"9^9^9", "9^9^9: the result has more than 4,900 digits, which is where I stop."},
        {"2^1000000", "2^1000000: the result has more than 4,900 digits, which is where I stop."},
        {"99999!", "99999!: the result has more than 4,900 digits, which is where I stop."},
        {"(-4)^0.5", "(-4)^0.5: an even root of a negative number is not a real number."},
        {"2^(1/97)", "2^(1 / 97): I can only raise to whole numbers and simple fractions."},
        {"2.5!", "2.5!: this is only defined for whole numbers that are not negative."},
        {"3 km + 4 kg", "3 km + 4 kg: these units measure different things."},
        {"3 km in kg", "3 km: these units measure different things."},
        {"2^(3 m)", "2^(3 m): this operation makes no sense with these units."},
        {"20 C + 30 C", "20 \xC2\xB0"
                        "C + 30 \xC2\xB0"
                        "C: I can convert temperatures, but not "
                        "calculate with them."},
    };
    CHECK(pairs);
}

static void calc_refuses_what_it_does_not_understand(void **state)
{
    (void)state;
    static const char *const prompts[] = {
        "",
        "Hello, how are you?",
        "Write a poem about the number 7",
        "solve 2x + 3 = 7",
        "x + 3*4",
        "3*4 + y",
        "x - 3 * 4",
        "f(3*4)",
        "3 +",
        "()",
        "+",
        "%",
        "5 km",
        "17%",
        "2024-05-01",
        "meet me at 10:30 on 2024-05-01",
        "I have 3 apples and buy 4 more",
        "version 1.2.3",
        "1e5000",
        "\xFF\xFE\x80",
        "\xE2\x88",
        "average of 3",
    };
    for (size_t i = 0; i < sizeof prompts / sizeof prompts[0]; i++) {
        struct buf got;
        buf_init(&got, 10000);
        assert_int_equal(calc_answer(str_from(prompts[i]), &got), ST_OK);
        if (!str_starts_with(buf_str(&got), STR("I can only do arithmetic"))) {
            fail_msg("\"%s\" gave \"%.*s\"", prompts[i], STR_ARG(buf_str(&got)));
        }
        buf_fini(&got);
    }
}

static void calc_refuses_mathematics_beyond_it(void **state)
{
    (void)state;
    static const char *const prompts[] = {
        "sin(30) + 2", "what is ln 5 * 2", "the derivative of 3 * 4", "2 * pi", "2\xCF\x80 + 1",
    };
    for (size_t i = 0; i < sizeof prompts / sizeof prompts[0]; i++) {
        struct buf got;
        buf_init(&got, 10000);
        assert_int_equal(calc_answer(str_from(prompts[i]), &got), ST_OK);
        if (!str_starts_with(buf_str(&got), STR("That needs more than I can do"))) {
            fail_msg("\"%s\" gave \"%.*s\"", prompts[i], STR_ARG(buf_str(&got)));
        }
        buf_fini(&got);
    }
}

static void calc_says_that_it_does_not_solve_word_problems(void **state)
{
    (void)state;
    struct buf got;
    buf_init(&got, 10000);

    assert_int_equal(
        calc_answer(STR("A farmer keeps brown hens beside an old barn; every morning his "
                        "daughter collects eggs, sells 12 * 4 on market street, and "
                        "brings money home."),
                    &got),
        ST_OK);

    assert_true(str_starts_with(buf_str(&got), STR("12" TIMES "4 = 48\n")));
    assert_true(str_ends_with(buf_str(&got), STR("I do not solve word problems.")));
    buf_fini(&got);
}

/* `count` times `piece`, between head and tail. */
static void check_repeated(const char *head, const char *piece, size_t count, const char *tail)
{
    struct buf prompt;
    struct buf got;
    buf_init(&prompt, 10 << 20);
    buf_init(&got, 300000);
    assert_int_equal(buf_append(&prompt, str_from(head)), ST_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(buf_append(&prompt, str_from(piece)), ST_OK);
    }
    assert_int_equal(buf_append(&prompt, str_from(tail)), ST_OK);

    assert_int_equal(calc_answer(buf_str(&prompt), &got), ST_OK);

    assert_true(got.len > 0);
    buf_fini(&got);
    buf_fini(&prompt);
}

static void calc_survives_hostile_prompts(void **state)
{
    (void)state;
    check_repeated("", "(", 250, "1");
    check_repeated("", "(", 3000000, "");
    check_repeated("", "-", 280, "5 + 1");
    check_repeated("1", "+1", 140, "");
    check_repeated("1", "+1", 100000, "");
    check_repeated("200", " + 10%", 90, "");
    check_repeated("9", "!", 200, "");
    check_repeated("9", "^9", 100, "");
    check_repeated("", "9", 3900, " * 2");
    check_repeated("2^9999", " * 2^9999", 60, "");
    check_repeated("", "sqrt ", 100, "2");
    check_repeated("sum of ", "the sum of 3 and ", 60, "4");
    check_repeated("", "1 km ", 200, "in m");
    check_repeated("", "half of ", 200, "7");
    check_repeated("", "3/7*", 150, "1");
    check_repeated("2^16000 in ", "binary ", 8, "");
    check_repeated("", "10^4000 + 1. ", 20, "");
}

static void calc_without_memory_says_so(void **state)
{
    (void)state;
    enum status st = ST_NO_MEMORY;
    for (uint64_t nth = 1; st == ST_NO_MEMORY && nth < 100; nth++) {
        struct buf got;
        buf_init(&got, 10000);
        mem_fail_at(nth, 0);
        st = calc_answer(STR("5 ft 3 in to cm, and 3/4 + 5/6"), &got);
        mem_fail_at(0, 0);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
        buf_fini(&got);
    }
    assert_int_equal(st, ST_OK);
}

static void units_have_exact_factors_and_names_of_their_own(void **state)
{
    (void)state;
    size_t count = 0;
    const struct unit *units = units_all(&count);
    for (size_t i = 0; i < count; i++) {
        struct rational factor;
        rational_init(&factor);
        units_factor(&units[i], &factor);
        assert_int_equal(rational_sign(&factor), 1);
        rational_fini(&factor);
        struct str rest = str_from(units[i].symbols);
        struct str name;
        while (str_split(rest, '|', &name, &rest)) {
            assert_ptr_equal(units_find(name), &units[i]);
        }
        rest = str_from(units[i].words);
        while (str_split(rest, '|', &name, &rest)) {
            assert_ptr_equal(units_find(name), &units[i]);
        }
    }
    assert_null(units_find(STR("parsnip")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calc_works_with_signs_in_all_spellings),
        cmocka_unit_test(calc_follows_the_order_of_operations),
        cmocka_unit_test(calc_understands_english),
        cmocka_unit_test(calc_works_with_percentages),
        cmocka_unit_test(calc_shows_fractions_and_rounds_in_the_open),
        cmocka_unit_test(calc_converts_units),
        cmocka_unit_test(calc_says_why_there_is_no_result),
        cmocka_unit_test(calc_refuses_what_it_does_not_understand),
        cmocka_unit_test(calc_refuses_mathematics_beyond_it),
        cmocka_unit_test(calc_says_that_it_does_not_solve_word_problems),
        cmocka_unit_test(calc_survives_hostile_prompts),
        cmocka_unit_test(calc_without_memory_says_so),
        cmocka_unit_test(units_have_exact_factors_and_names_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
