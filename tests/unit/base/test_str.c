#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "tests/support/test.h"

static const struct str nothing = {NULL, 0};

static void equality_is_by_bytes_and_length(void **state)
{
    (void)state;

    assert_true(str_eq(STR("abc"), STR("abc")));
    assert_true(str_eq(nothing, STR("")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_false(str_eq(STR("abc"), STR("abcd")));
    assert_false(str_eq(STR("abc"), STR("aBc")));
    assert_true(str_is_empty(str_from(NULL)));
    assert_true(str_eq(str_from("abc"), STR("abc")));
}

static void equality_without_case_knows_ascii_only(void **state)
{
    (void)state;

    assert_true(str_eq_nocase(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_nocase(STR("content-type"), STR("content-typ")));
    assert_false(str_eq_nocase(STR("@[`{"), STR("`{@[")));
    assert_false(str_eq_nocase(STR("\xc3\x84"), STR("\xc3\xa4")));
}

static void order_is_bytewise(void **state)
{
    (void)state;
    static const struct str ordered[] = {
        STR_INIT(""),    STR_INIT("A"),  STR_INIT("a"),
        STR_INIT("a\0"), STR_INIT("ab"), STR_INIT("\xff"),
    };
    for (size_t i = 0; i < sizeof ordered / sizeof ordered[0]; i++) {
        for (size_t j = 0; j < sizeof ordered / sizeof ordered[0]; j++) {
            int order = str_cmp(ordered[i], ordered[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

static void prefixes_and_suffixes_are_found(void **state)
{
    (void)state;

    assert_true(str_starts_with(STR("abc"), STR("ab")));
    assert_true(str_starts_with(STR("abc"), nothing));
    assert_true(str_starts_with(nothing, nothing));
    assert_false(str_starts_with(STR("abc"), STR("bc")));
    assert_false(str_starts_with(STR("ab"), STR("abc")));
    assert_true(str_starts_with_nocase(STR("Bearer x"), STR("bearer ")));
    assert_false(str_starts_with_nocase(STR("Bear"), STR("bearer ")));
    assert_true(str_ends_with(STR("abc"), STR("bc")));
    assert_true(str_ends_with(STR("abc"), nothing));
    assert_false(str_ends_with(STR("abc"), STR("ab")));
    assert_false(str_ends_with(STR("c"), STR("bc")));
}

static void slices_are_clamped(void **state)
{
    (void)state;

    test_assert_str(str_slice(STR("abcdef"), 2, 3), STR("cde"));
    test_assert_str(str_slice(STR("abcdef"), 4, 3), STR("ef"));
    test_assert_str(str_slice(STR("abcdef"), 4, SIZE_MAX), STR("ef"));
    test_assert_str(str_slice(STR("abcdef"), 6, 1), STR(""));
    test_assert_str(str_slice(STR("abcdef"), SIZE_MAX, SIZE_MAX), STR(""));
    test_assert_str(str_slice(nothing, 1, 1), STR(""));
}

/* Against the plain definition, over texts of few letters, so that near misses abound. */
static void find_agrees_with_looking_at_each_place(void **state)
{
    (void)state;
    uint64_t seed = 11;
    for (int round = 0; round < 20000; round++) {
        char text[80];
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        size_t len = (seed >> 33) % sizeof text;
        for (size_t i = 0; i < len; i++) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            text[i] = (char)('a' + (seed >> 60) % 3);
        }
        size_t needle_len = 1 + (seed >> 40) % 7;
        struct str s = {text, len};
        struct str needle = str_slice(STR("abcabcacbcab"), (seed >> 50) % 5, needle_len);

        size_t want = 0;
        while (want + needle.len <= len && memcmp(text + want, needle.ptr, needle.len) != 0) {
            want++;
        }

        assert_int_equal(str_find(s, needle), want + needle.len <= len ? want : len);
    }
}

static void find_gives_the_first_place_or_the_length(void **state)
{
    (void)state;

    assert_int_equal(str_find(STR("abcabc"), STR("bc")), 1);
    assert_int_equal(str_find(STR("abcabc"), STR("x")), 6);
    assert_int_equal(str_find(STR("abc"), STR("abcd")), 3);
    assert_int_equal(str_find(STR("abc"), nothing), 0);
    assert_int_equal(str_find(nothing, STR("a")), 0);
    assert_int_equal(str_find_char(STR("abcabc"), 'c'), 2);
    assert_int_equal(str_find_char(STR("abc"), 'x'), 3);
    assert_int_equal(str_find_char(nothing, 'x'), 0);
}

static void trim_cuts_blanks_at_both_ends(void **state)
{
    (void)state;

    test_assert_str(str_trim(STR(" \t\r\n a b \n")), STR("a b"));
    test_assert_str(str_trim(STR(" \t ")), STR(""));
    test_assert_str(str_trim(nothing), STR(""));
}

static void split_cuts_at_each_separator(void **state)
{
    (void)state;
    struct str rest = STR("a,,bc,");
    struct str head;

    assert_true(str_split(rest, ',', &head, &rest));
    test_assert_str(head, STR("a"));
    assert_true(str_split(rest, ',', &head, &rest));
    test_assert_str(head, STR(""));
    assert_true(str_split(rest, ',', &head, &rest));
    test_assert_str(head, STR("bc"));
    assert_false(str_split(rest, ',', &head, &rest));
}

static void split_without_separator_gives_all(void **state)
{
    (void)state;
    struct str head;
    struct str rest;

    assert_true(str_split(STR("abc"), ',', &head, &rest));

    test_assert_str(head, STR("abc"));
    test_assert_str(rest, STR(""));
}

static void integers_are_read_to_the_last_one(void **state)
{
    (void)state;

    static const struct {
        struct str text;
        enum status st;
        int64_t value;
    } cases[] = {
        {STR_INIT("0"), ST_OK, 0},
        {STR_INIT("-17"), ST_OK, -17},
        {STR_INIT("9223372036854775807"), ST_OK, INT64_MAX},
        {STR_INIT("-9223372036854775808"), ST_OK, INT64_MIN},
        {STR_INIT("000000000000000000000000007"), ST_OK, 7},
        {STR_INIT("9223372036854775808"), ST_TOO_BIG, -1},
        {STR_INIT("-9223372036854775809"), ST_TOO_BIG, -1},
        {STR_INIT("99999999999999999999999999"), ST_TOO_BIG, -1},
        {STR_INIT("99999999999999999999999999x"), ST_INVALID, -1},
        {STR_INIT(""), ST_INVALID, -1},
        {STR_INIT("-"), ST_INVALID, -1},
        {STR_INIT("+1"), ST_INVALID, -1},
        {STR_INIT(" 1"), ST_INVALID, -1},
        {STR_INIT("1 "), ST_INVALID, -1},
        {STR_INIT("1\0"), ST_INVALID, -1},
        {STR_INIT("0x1"), ST_INVALID, -1},
        {STR_INIT("1.0"), ST_INVALID, -1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = -1;

        assert_int_equal(str_to_int(cases[i].text, &value), cases[i].st);

        assert_true(value == cases[i].value);
    }
}

static void what_is_no_real_is_refused(void **state)
{
    (void)state;

    static const struct {
        struct str text;
        enum status st;
    } cases[] = {
        {STR_INIT("1e308"), ST_OK},
        {STR_INIT("0e999999999999999999999"), ST_OK},
        {STR_INIT("1e-999999999999999999999"), ST_OK},
        {STR_INIT("1e309"), ST_TOO_BIG},
        {STR_INIT("-1e999999999999999999999"), ST_TOO_BIG},
        {STR_INIT(""), ST_INVALID},
        {STR_INIT("-"), ST_INVALID},
        {STR_INIT("."), ST_INVALID},
        {STR_INIT("1."), ST_INVALID},
        {STR_INIT(".1"), ST_INVALID},
        {STR_INIT("1e"), ST_INVALID},
        {STR_INIT("1e+"), ST_INVALID},
        {STR_INIT("1e5x"), ST_INVALID},
        {STR_INIT("+1"), ST_INVALID},
        {STR_INIT("0x10"), ST_INVALID},
        {STR_INIT("1,5"), ST_INVALID},
        {STR_INIT("inf"), ST_INVALID},
        {STR_INIT("nan"), ST_INVALID},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double value = 0;
        assert_int_equal(str_to_real(cases[i].text, &value), cases[i].st);
    }
}

static void assert_same_as_libc(const char *text)
{
    double want = strtod(text, NULL);
    double got = -1;
    enum status st = str_to_real(str_from(text), &got);
    if (st != (isinf(want) ? ST_TOO_BIG : ST_OK) ||
        (st == ST_OK && memcmp(&got, &want, sizeof got) != 0)) {
        fail_msg("%.60s: %.17g, want %.17g", text, got, want);
    }
}

static void reals_round_as_the_c_library_does(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0.0",
        "0.1",
        "123.456e-7",
        "1e22",
        "1e23",
        "999999999999999e22",
        "1000000000000000e22",
        "9007199254740993",
        "9007199254740993.0000000000000000000000000000000000000000000000000001",
        "4.9406564584124654e-324",
        "2.4703282292062328e-324",
        "2.2250738585072011e-308",
        "1.7976931348623158e308",
        "0.000000000000000000000000000000000000000000000000000012345e60",
        "123450000000000000000000000000000000000000000000000000000000e-50",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_same_as_libc(texts[i]);
    }
}

static void random_reals_round_as_the_c_library_does(void **state)
{
    (void)state;
    uint64_t seed = 3;
    for (int i = 0; i < 20000; i++) {
        char text[64];
        uint64_t draws[3];
        for (int j = 0; j < 3; j++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            draws[j] = seed >> 20;
        }
        uint64_t digits = draws[0] >> draws[1] % 44;
        int exponent = (int)(draws[2] % 700) - 370;
        (void)snprintf(text, sizeof text, "%lu.%lue%d", digits, draws[1] >> draws[2] % 44,
                       exponent);
        assert_same_as_libc(text);
    }
}

/* Half-way between two doubles, where the digit that decides comes after 2,000 zeros. */
static void digits_beyond_the_buffer_still_decide(void **state)
{
    (void)state;
    char text[2100];
    int start = snprintf(text, sizeof text, "9007199254740993.");
    memset(text + start, '0', 2000);
    text[start + 2000] = '\0';
    assert_same_as_libc(text);

    text[start + 1999] = '1';
    assert_same_as_libc(text);
}

static void long_integers_keep_their_size(void **state)
{
    (void)state;
    char text[2100];
    memset(text, '7', 2000);
    (void)snprintf(text + 2000, 100, "e-1800");

    assert_same_as_libc(text);
}

static void distance_counts_edits_up_to_the_limit(void **state)
{
    (void)state;

    static const struct {
        struct str a;
        struct str b;
        size_t limit;
        size_t distance;
    } cases[] = {
        {STR_INIT(""), STR_INIT(""), 5, 0},
        {STR_INIT("abc"), STR_INIT("abc"), 5, 0},
        {STR_INIT("abc"), STR_INIT(""), 5, 3},
        {STR_INIT("kitten"), STR_INIT("sitting"), 5, 3},
        {STR_INIT("treshold"), STR_INIT("threshold"), 5, 1},
        {STR_INIT("flaw"), STR_INIT("lawn"), 5, 2},
        {STR_INIT("ab"), STR_INIT("ba"), 5, 2},
        {STR_INIT("abcdef"), STR_INIT("uvwxyz"), 5, 5},
        {STR_INIT("abcdef"), STR_INIT("uvwxyz"), 7, 6},
        {STR_INIT("kitten"), STR_INIT("sitting"), 3, 3},
        {STR_INIT("kitten"), STR_INIT("sitting"), 2, 2},
        {STR_INIT("abc"), STR_INIT("abc"), 0, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(str_distance(cases[i].a, cases[i].b, cases[i].limit), cases[i].distance);
        assert_int_equal(str_distance(cases[i].b, cases[i].a, cases[i].limit), cases[i].distance);
    }
}

static void distance_of_long_texts_is_the_limit(void **state)
{
    (void)state;
    char a[300];
    char b[300];
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);

    assert_int_equal(str_distance((struct str){a, 300}, (struct str){b, 300}, 400), 400);
    b[0] = 'a';
    memset(b + 1, 'a', 255);
    assert_int_equal(str_distance((struct str){a, 300}, (struct str){b, 300}, 400), 44);
}

/* Fixed values: hashes are written to disk and compared between machines. */
static void hash_is_stable(void **state)
{
    (void)state;

    assert_true(str_hash(STR("")) == 0xefd01f60ba992926u);
    assert_true(str_hash(STR("a")) == 0x82a2a958a9bece5bu);
    assert_true(str_hash(STR("expertd")) == 0x16cb212ffc794f3eu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_is_by_bytes_and_length),
        cmocka_unit_test(equality_without_case_knows_ascii_only),
        cmocka_unit_test(order_is_bytewise),
        cmocka_unit_test(prefixes_and_suffixes_are_found),
        cmocka_unit_test(slices_are_clamped),
        cmocka_unit_test(find_agrees_with_looking_at_each_place),
        cmocka_unit_test(find_gives_the_first_place_or_the_length),
        cmocka_unit_test(trim_cuts_blanks_at_both_ends),
        cmocka_unit_test(split_cuts_at_each_separator),
        cmocka_unit_test(split_without_separator_gives_all),
        cmocka_unit_test(integers_are_read_to_the_last_one),
        cmocka_unit_test(what_is_no_real_is_refused),
        cmocka_unit_test(reals_round_as_the_c_library_does),
        cmocka_unit_test(random_reals_round_as_the_c_library_does),
        cmocka_unit_test(digits_beyond_the_buffer_still_decide),
        cmocka_unit_test(long_integers_keep_their_size),
        cmocka_unit_test(distance_counts_edits_up_to_the_limit),
        cmocka_unit_test(distance_of_long_texts_is_the_limit),
        cmocka_unit_test(hash_is_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
