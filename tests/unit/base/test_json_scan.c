#include <string.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "tests/support/json_walk.h"
#include "tests/support/test.h"

static const struct str valid_texts[] = {
    STR_INIT("null"),
    STR_INIT(" true "),
    STR_INIT("\tfalse\r\n"),
    STR_INIT("0"),
    STR_INIT("-0"),
    STR_INIT("-0.0e-0"),
    STR_INIT("10.25E+12"),
    STR_INIT("123456789012345678901234567890"),
    STR_INIT("\"\""),
    STR_INIT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\""),
    STR_INIT("\"\x7f\""),
    STR_INIT("\"gr\xc3\xbc\xc3\x9f \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80\""),
    STR_INIT("\"\\ud800\""),
    STR_INIT("\"a string of more than sixteen bytes, then \\u0000 and \xe2\x82\xac and the end\""),
    STR_INIT("[]"),
    STR_INIT("[ ]"),
    STR_INIT("{}"),
    STR_INIT("{ }"),
    STR_INIT("[1,[2,[3,[]]],{}]"),
    STR_INIT("{\"a\":{\"b\":[{\"c\":null}]},\"a\":1}"),
    STR_INIT(" { \"a\" : [ 1 , 2 ] , \"\" : \"\" } "),
};

struct refusal {
    struct str text;
    size_t offset;
    const char *why;
};

#define A_VALUE           "a value was expected"
#define A_DIGIT           "a digit was expected"
#define AN_END            "the text ends too early"
#define A_COMMA_IN_ARRAY  "a comma or a closing bracket was expected"
#define A_COMMA_IN_OBJECT "a comma or a closing brace was expected"

static const struct refusal refusals[] = {
    {STR_INIT(""), 0, AN_END},
    {STR_INIT("  "), 2, AN_END},
    {STR_INIT("\xef\xbb\xbf{}"), 0, A_VALUE},
    {STR_INIT("nul"), 0, A_VALUE},
    {STR_INIT("nulL"), 0, A_VALUE},
    {STR_INIT("True"), 0, A_VALUE},
    {STR_INIT("NaN"), 0, A_VALUE},
    {STR_INIT("\0"), 0, A_VALUE},
    {STR_INIT("1 2"), 2, "nothing but blanks may follow the value"},
    {STR_INIT("{}x"), 2, "nothing but blanks may follow the value"},
    {STR_INIT("1\0"), 1, "nothing but blanks may follow the value"},
    {STR_INIT("01"), 1, "nothing but blanks may follow the value"},
    {STR_INIT("-"), 1, AN_END},
    {STR_INIT("-a"), 1, A_DIGIT},
    {STR_INIT("+1"), 0, A_VALUE},
    {STR_INIT(".5"), 0, A_VALUE},
    {STR_INIT("1.]"), 2, A_DIGIT},
    {STR_INIT("1.e1"), 2, A_DIGIT},
    {STR_INIT("1e"), 2, AN_END},
    {STR_INIT("[1e+]"), 4, A_DIGIT},
    {STR_INIT("[-]"), 2, A_DIGIT},
    {STR_INIT("\""), 1, AN_END},
    {STR_INIT("\"abc"), 4, AN_END},
    {STR_INIT("\"\\"), 2, AN_END},
    {STR_INIT("\"\\x\""), 2, "an unknown escape"},
    {STR_INIT("\"\\u12"), 5, AN_END},
    {STR_INIT("\"\\u12g4\""), 5, "four hexadecimal digits were expected"},
    {STR_INIT("\"a\nb\""), 2, "a raw control character in a string"},
    {STR_INIT("\"\0\""), 1, "a raw control character in a string"},
    {STR_INIT("\"sixteen bytes are not enough\x1f\""), 29, "a raw control character in a string"},
    {STR_INIT("\"\x80\""), 1, "no valid UTF-8"},
    {STR_INIT("\"ab\xc0\xaf\""), 3, "no valid UTF-8"},
    {STR_INIT("\"\xed\xa0\x80\""), 1, "no valid UTF-8"},
    {STR_INIT("\"\xe2\x82\""), 1, "no valid UTF-8"},
    {STR_INIT("\"\xc3\xa9\xff\""), 3, "no valid UTF-8"},
    {STR_INIT("["), 1, AN_END},
    {STR_INIT("[1"), 2, AN_END},
    {STR_INIT("[1,"), 3, AN_END},
    {STR_INIT("[1,]"), 3, A_VALUE},
    {STR_INIT("[,1]"), 1, A_VALUE},
    {STR_INIT("[1 2]"), 3, A_COMMA_IN_ARRAY},
    {STR_INIT("[1}"), 2, A_COMMA_IN_ARRAY},
    {STR_INIT("]"), 0, A_VALUE},
    {STR_INIT("{"), 1, AN_END},
    {STR_INIT("{1:2}"), 1, "a key in quotes was expected"},
    {STR_INIT("{\"a\"}"), 4, "a colon was expected"},
    {STR_INIT("{\"a\":}"), 5, A_VALUE},
    {STR_INIT("{\"a\":1,}"), 7, "a key in quotes was expected"},
    {STR_INIT("{,}"), 1, "a key in quotes was expected"},
    {STR_INIT("{\"a\":1 \"b\":2}"), 7, A_COMMA_IN_OBJECT},
    {STR_INIT("{\"a\":1]"), 6, A_COMMA_IN_OBJECT},
    {STR_INIT("[/**/1]"), 1, A_VALUE},
};

static void valid_texts_are_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof valid_texts / sizeof valid_texts[0]; i++) {
        struct str text = valid_texts[i];
        const char *why = "";
        struct json_reader r;

        if (json_validate(text, &why, NULL) != ST_OK || json_walk(text, &r, NULL) != ST_OK) {
            fail_msg("refused: %.*s (%s)", STR_ARG(text), why);
        }
    }
}

static void refusals_say_what_is_wrong_and_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *want = &refusals[i];
        const char *why = "accepted";
        size_t offset = 0;

        enum status st = json_validate(want->text, &why, &offset);

        if (st != ST_INVALID || strcmp(why, want->why) != 0 || offset != want->offset) {
            fail_msg("row %zu: \"%s\" at %zu, want \"%s\" at %zu", i, why, offset, want->why,
                     want->offset);
        }
    }
}

static void opening_everything_gives_the_same_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *want = &refusals[i];
        struct json_reader r;

        enum status st = json_walk(want->text, &r, NULL);

        if (st != ST_INVALID || strcmp(r.why, want->why) != 0 || json_offset(&r) != want->offset) {
            fail_msg("row %zu: \"%s\" at %zu, want \"%s\" at %zu", i, r.why, json_offset(&r),
                     want->why, want->offset);
        }
    }
}

/* Every text that is cut short is refused: no prefix of a valid object or array is valid. The copy
 * has exactly the prefix's size, so that AddressSanitizer sees a read beyond it. */
static void every_prefix_is_refused(void **state)
{
    (void)state;
    struct str text =
        STR("{\"model\":\"a\\u00e9\\n\xe4\xb8\xad\",\"n\":[1,-2.5e3,true,null,{}],"
            "\"long\":\"0123456789abcdef0123456789abcdef \xf0\x9f\x98\x80 \\ud83d\"}");
    for (size_t len = 0; len < text.len; len++) {
        char *copy = mem_alloc(len);
        memcpy(copy, text.ptr, len);

        enum status st = json_validate((struct str){copy, len}, NULL, NULL);

        mem_free(copy);
        assert_int_equal(st, ST_INVALID);
    }
}

static void reader_pulls_members_and_items(void **state)
{
    (void)state;
    struct json_reader r;
    struct json_value key;
    struct json_value model = {0};
    struct json_value items[3] = {0};
    size_t count = 0;
    json_reader_init(&r, STR("{\"x\":[[1],{\"model\":0}], \"model\" : \"m\" ,\"list\":[ 1 ,"
                             "{\"a\":[]},\"s\"]}"));

    assert_true(json_open(&r, JSON_OBJECT));
    while (json_next_member(&r, &key)) {
        if (json_text_is(key, STR("model"))) {
            assert_true(json_take(&r, &model));
        } else if (json_text_is(key, STR("list")) && json_open(&r, JSON_ARRAY)) {
            while (json_next_item(&r)) {
                assert_true(json_take(&r, &items[count++]));
            }
        } else {
            assert_true(json_take(&r, NULL));
        }
    }

    assert_int_equal(json_close(&r), ST_OK);
    test_assert_str(model.raw, STR("\"m\""));
    assert_int_equal(count, 3);
    test_assert_str(items[0].raw, STR("1"));
    test_assert_str(items[1].raw, STR("{\"a\":[]}"));
    test_assert_str(items[2].raw, STR("\"s\""));
}

static void take_reports_type_and_escapes(void **state)
{
    (void)state;

    static const struct {
        struct str text;
        enum json_type type;
        bool escaped;
    } cases[] = {
        {STR_INIT("null"), JSON_NULL, false},       {STR_INIT("false"), JSON_FALSE, false},
        {STR_INIT("true"), JSON_TRUE, false},       {STR_INIT("-1"), JSON_NUMBER, false},
        {STR_INIT("\"a\""), JSON_STRING, false},    {STR_INIT("\"\\n\""), JSON_STRING, true},
        {STR_INIT("[\"\\n\"]"), JSON_ARRAY, false}, {STR_INIT("{\"\\n\":1}"), JSON_OBJECT, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_reader r;
        struct json_value v;
        json_reader_init(&r, cases[i].text);

        assert_int_equal(json_peek(&r), cases[i].type);
        assert_true(json_take(&r, &v));

        assert_int_equal(v.type, cases[i].type);
        assert_int_equal(v.escaped, cases[i].escaped);
        test_assert_str(v.raw, cases[i].text);
    }
}

static void peek_sees_nothing_after_the_value(void **state)
{
    (void)state;
    struct json_reader r;
    json_reader_init(&r, STR("1"));

    assert_true(json_take(&r, NULL));

    assert_int_equal(json_peek(&r), JSON_NONE);
    assert_int_equal(json_close(&r), ST_OK);
}

static void opening_the_wrong_type_is_an_error(void **state)
{
    (void)state;

    static const struct {
        struct str text;
        enum json_type type;
        const char *why;
    } cases[] = {
        {STR_INIT("[]"), JSON_OBJECT, "an object was expected"},
        {STR_INIT("{}"), JSON_ARRAY, "an array was expected"},
        {STR_INIT("1"), JSON_ARRAY, "an array was expected"},
        {STR_INIT("?"), JSON_ARRAY, A_VALUE},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_reader r;
        json_reader_init(&r, cases[i].text);

        assert_false(json_open(&r, cases[i].type));

        assert_string_equal(r.why, cases[i].why);
    }
}

static void errors_are_sticky(void **state)
{
    (void)state;
    struct json_reader r;
    struct json_value v;
    json_reader_init(&r, STR("[1,!,3]"));

    assert_true(json_open(&r, JSON_ARRAY));
    assert_true(json_next_item(&r) && json_take(&r, &v));
    assert_true(json_next_item(&r));
    assert_false(json_take(&r, &v));

    assert_int_equal(json_peek(&r), JSON_NONE);
    assert_false(json_take(&r, &v));
    assert_false(json_open(&r, JSON_ARRAY));
    assert_false(json_next_item(&r));
    assert_false(json_next_member(&r, &v));
    assert_int_equal(json_close(&r), ST_INVALID);
    assert_int_equal(json_offset(&r), 3);
}

static void closing_early_is_refused(void **state)
{
    (void)state;
    struct json_reader r;
    json_reader_init(&r, STR("[1]"));

    assert_true(json_open(&r, JSON_ARRAY));

    assert_int_equal(json_close(&r), ST_INVALID);
    assert_string_equal(r.why, "the text was not read to its end");
}

/* depth brackets, then as many closing ones. */
static struct str nested(char *place, size_t depth)
{
    memset(place, '[', depth);
    memset(place + depth, ']', depth);
    return (struct str){place, 2 * depth};
}

static void nesting_has_a_ceiling(void **state)
{
    (void)state;
    char place[2 * (JSON_DEPTH_MAX + 1)];
    const char *why = NULL;
    struct json_reader r;

    struct str deepest = nested(place, JSON_DEPTH_MAX);
    assert_int_equal(json_validate(deepest, NULL, NULL), ST_OK);
    assert_int_equal(json_walk(deepest, &r, NULL), ST_OK);

    struct str deeper = nested(place, JSON_DEPTH_MAX + 1);
    assert_int_equal(json_validate(deeper, &why, NULL), ST_INVALID);
    assert_string_equal(why, "nested too deeply");
    assert_int_equal(json_walk(deeper, &r, NULL), ST_INVALID);
    assert_string_equal(r.why, "nested too deeply");
}

static void hundred_thousand_brackets_are_refused(void **state)
{
    (void)state;

    enum {
        DEPTH = 100000
    };

    char *place = mem_alloc(2 * DEPTH);
    struct str text = nested(place, DEPTH);
    struct json_reader r;

    assert_int_equal(json_validate(text, NULL, NULL), ST_INVALID);
    assert_int_equal(json_walk(text, &r, NULL), ST_INVALID);

    assert_int_equal(json_offset(&r), JSON_DEPTH_MAX);
    mem_free(place);
}

/* Objects and arrays in turns: the type of each level is remembered across all 512. */
static void closing_brackets_must_match_at_every_depth(void **state)
{
    (void)state;
    char place[8 * JSON_DEPTH_MAX];
    size_t len = 0;
    for (int i = 0; i < JSON_DEPTH_MAX; i++) {
        const char *open = i % 3 == 0 ? "{\"\":" : "[";
        memcpy(place + len, open, strlen(open));
        len += strlen(open);
    }
    place[len++] = '1';
    size_t middle = len;
    for (int i = JSON_DEPTH_MAX - 1; i >= 0; i--) {
        place[len++] = i % 3 == 0 ? '}' : ']';
    }
    struct str text = {place, len};
    assert_int_equal(json_validate(text, NULL, NULL), ST_OK);

    for (size_t i = middle; i < len; i++) {
        char was = place[i];
        place[i] = was == '}' ? ']' : '}';
        assert_int_equal(json_validate(text, NULL, NULL), ST_INVALID);
        place[i] = was;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_texts_are_accepted),
        cmocka_unit_test(refusals_say_what_is_wrong_and_where),
        cmocka_unit_test(opening_everything_gives_the_same_refusals),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(reader_pulls_members_and_items),
        cmocka_unit_test(take_reports_type_and_escapes),
        cmocka_unit_test(peek_sees_nothing_after_the_value),
        cmocka_unit_test(opening_the_wrong_type_is_an_error),
        cmocka_unit_test(errors_are_sticky),
        cmocka_unit_test(closing_early_is_refused),
        cmocka_unit_test(nesting_has_a_ceiling),
        cmocka_unit_test(hundred_thousand_brackets_are_refused),
        cmocka_unit_test(closing_brackets_must_match_at_every_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
