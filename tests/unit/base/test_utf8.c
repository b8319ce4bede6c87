#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "tests/support/test.h"

/* The definition, from the code point's side: RFC 3629, section 3. */
static size_t encode_by_definition(uint32_t c, unsigned char out[4])
{
    if (c < 0x80) {
        out[0] = (unsigned char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (unsigned char)(0xc0 + c / 64);
        out[1] = (unsigned char)(0x80 + c % 64);
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (unsigned char)(0xe0 + c / 4096);
        out[1] = (unsigned char)(0x80 + c / 64 % 64);
        out[2] = (unsigned char)(0x80 + c % 64);
        return 3;
    }
    out[0] = (unsigned char)(0xf0 + c / 262144);
    out[1] = (unsigned char)(0x80 + c / 4096 % 64);
    out[2] = (unsigned char)(0x80 + c / 64 % 64);
    out[3] = (unsigned char)(0x80 + c % 64);
    return 4;
}

static void all_code_points_survive_coding(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        if (c >= 0xd800 && c <= 0xdfff) {
            continue;
        }
        unsigned char want[4];
        char got[4];
        uint32_t again = 0xffffffff;
        size_t len = encode_by_definition(c, want);

        size_t got_len = utf8_encode(c, got);

        if (got_len != len || memcmp(got, want, len) != 0 ||
            utf8_decode((struct str){got, len}, &again) != len || again != c ||
            utf8_valid_prefix((struct str){got, len}) != len) {
            fail_msg("U+%04X", (unsigned)c);
        }
    }
}

/* Counts what decodes among all sequences of one to three bytes: exactly the code points that have
 * such a length, so nothing overlong and no surrogate passes. */
static void nothing_else_decodes(void **state)
{
    (void)state;
    size_t counts[5] = {0};
    uint32_t code_point;
    for (uint32_t bytes = 0; bytes < 0x1000000; bytes++) {
        char text[3] = {(char)(bytes >> 16), (char)(bytes >> 8 & 0xff), (char)(bytes & 0xff)};
        counts[utf8_decode((struct str){text, 3}, &code_point)]++;
    }

    assert_int_equal(counts[1], 0x80 * 0x10000);
    assert_int_equal(counts[2], (0x800 - 0x80) * 0x100);
    assert_int_equal(counts[3], 0x10000 - 0x800 - 0x800);
    assert_int_equal(counts[4], 0);
}

static void four_byte_sequences_stay_in_range(void **state)
{
    (void)state;
    size_t count = 0;
    uint32_t code_point;
    for (uint32_t lead = 0xf0; lead <= 0xff; lead++) {
        for (uint32_t rest = 0; rest < 0x10000; rest++) {
            char text[4] = {(char)lead, (char)(rest >> 8), (char)(rest & 0xff), (char)0xbf};
            count += utf8_decode((struct str){text, 4}, &code_point) == 4;
        }
    }

    assert_int_equal(count, 0x100000 / 64);
}

static void valid_prefix_stops_at_the_first_bad_byte(void **state)
{
    (void)state;

    static const struct {
        struct str text;
        size_t valid;
    } cases[] = {
        {STR_INIT(""), 0},
        {STR_INIT("ascii"), 5},
        {STR_INIT("ascii\x80"), 5},
        {STR_INIT("0123456789abcdef\xff"), 16},
        {STR_INIT("0123456789abcde\xc3\xa9 0123456789abcdef"), 34},
        {STR_INIT("\xc3"), 0},
        {STR_INIT("\xe4\xb8\xad\xe4\xb8"), 3},
        {STR_INIT("\xf0\x9f\x98\x80\xf0\x9f\x98"), 4},
        {STR_INIT("a\0b\xc0\x80"), 3},
        {STR_INIT("\xf4\x90\x80\x80"), 0},
        {STR_INIT("\xf5\x80\x80\x80"), 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(utf8_valid_prefix(cases[i].text), cases[i].valid);
    }
}

static size_t valid_prefix_by_definition(struct str s)
{
    size_t at = 0;
    uint32_t code_point;
    size_t n = 1;
    while (at < s.len && n > 0) {
        n = utf8_decode(str_slice(s, at, s.len), &code_point);
        at += n;
    }
    return at;
}

/* All sequences of three bytes that do not start in ASCII, before and after a valid one: the fast
 * path looks at two at once. */
static void fast_path_agrees_with_decoding_one_by_one(void **state)
{
    (void)state;
    for (uint32_t bytes = 0x800000; bytes < 0x1000000; bytes++) {
        char a = (char)(bytes >> 16);
        char b = (char)(bytes >> 8 & 0xff);
        char c = (char)(bytes & 0xff);
        char first[] = {a, b, c, '\xe4', '\xb8', '\xad', '\xc3', '\xa9', 'x'};
        char second[] = {'\xe4', '\xb8', '\xad', a, b, c, '\xc3', '\xa9', 'x'};
        struct str texts[] = {{first, sizeof first}, {second, sizeof second}};
        for (size_t i = 0; i < 2; i++) {
            if (utf8_valid_prefix(texts[i]) != valid_prefix_by_definition(texts[i])) {
                fail_msg("%06x in place %zu", (unsigned)bytes, i);
            }
        }
    }
}

/* In a block of exactly its size, at each length: AddressSanitizer sees a read beyond it. */
static void validation_reads_nothing_beyond_the_text(void **state)
{
    (void)state;
    struct str text = STR("0123456789abcdef0123456789abcd\xe4\xb8\xad\xf0\x9f\x98\x80");
    for (size_t len = 1; len < text.len; len++) {
        char *copy = mem_alloc(len);
        memcpy(copy, text.ptr, len);

        size_t valid = utf8_valid_prefix((struct str){copy, len});

        mem_free(copy);
        assert_int_equal(valid, len <= 30 ? len : len < 33 ? 30 : 33);
    }
}

static void multibyte_run_stops_at_ascii(void **state)
{
    (void)state;

    assert_int_equal(utf8_multibyte_run(STR("\xc3\xa9\xe4\xb8\xad x")), 5);
    assert_int_equal(utf8_multibyte_run(STR("x\xc3\xa9")), 0);
    assert_int_equal(utf8_multibyte_run(STR("\xc3\xa9\xff")), 2);
    assert_int_equal(utf8_multibyte_run((struct str){NULL, 0}), 0);
}

static void truncation_keeps_code_points_whole(void **state)
{
    (void)state;

    static const struct {
        struct str text;
        size_t max;
        size_t len;
    } cases[] = {
        {STR_INIT("abc"), 5, 3},
        {STR_INIT("abc"), 3, 3},
        {STR_INIT("abc"), 2, 2},
        {STR_INIT("abc"), 0, 0},
        {STR_INIT("a\xc3\xa9"), 2, 1},
        {STR_INIT("a\xc3\xa9"), 3, 3},
        {STR_INIT("\xf0\x9f\x98\x80"), 3, 0},
        {STR_INIT("\xf0\x9f\x98\x80z"), 4, 4},
        {STR_INIT("\x80\x80\x80\x80\x80\x80"), 5, 5},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(utf8_truncate(cases[i].text, cases[i].max).len, cases[i].len);
    }
}

static void a_window_shows_both_ends_and_cuts_no_code_point(void **state)
{
    static const struct {
        struct str text;
        size_t head;
        size_t tail;
        struct str want_head;
        struct str want_tail;
    } cases[] = {
        {STR_INIT(""), 2, 2, STR_INIT(""), STR_INIT("")},
        {STR_INIT("abcd"), 2, 2, STR_INIT("abcd"), STR_INIT("")},
        {STR_INIT("abcde"), 2, 2, STR_INIT("ab"), STR_INIT("de")},
        {STR_INIT("abcde"), 0, 1, STR_INIT(""), STR_INIT("e")},
        {STR_INIT("abcde"), 1, 0, STR_INIT("a"), STR_INIT("")},
        {STR_INIT("a\xc3\xa9z\xc3\xa9z"), 2, 2, STR_INIT("a"), STR_INIT("z")},
        {STR_INIT("abcd\xf0\x9f\x98\x80z"), 1, 4, STR_INIT("a"), STR_INIT("z")},
        {STR_INIT("abcd\xf0\x9f\x98\x80"), 1, 3, STR_INIT("a"), STR_INIT("")},
        {STR_INIT("abcd\xf0\x9f\x98\x80"), 1, 4, STR_INIT("a"), STR_INIT("\xf0\x9f\x98\x80")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str head;
        struct str tail;
        utf8_window(cases[i].text, cases[i].head, cases[i].tail, &head, &tail);
        test_assert_str(head, cases[i].want_head);
        test_assert_str(tail, cases[i].want_tail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_code_points_survive_coding),
        cmocka_unit_test(nothing_else_decodes),
        cmocka_unit_test(four_byte_sequences_stay_in_range),
        cmocka_unit_test(valid_prefix_stops_at_the_first_bad_byte),
        cmocka_unit_test(fast_path_agrees_with_decoding_one_by_one),
        cmocka_unit_test(validation_reads_nothing_beyond_the_text),
        cmocka_unit_test(multibyte_run_stops_at_ascii),
        cmocka_unit_test(truncation_keeps_code_points_whole),
        cmocka_unit_test(a_window_shows_both_ends_and_cuts_no_code_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
