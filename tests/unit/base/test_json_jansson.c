/* Our reader against Jansson's on documents made up at random, whole and damaged: the same verdict,
 * and where both accept, the same tree. What Jansson cannot represent is excused by its own error
 * code: numbers out of range and lone surrogates. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* Both headers have an enum with these members: here ours go by other names. */
#define JSON_NULL   OURS_NULL
#define JSON_FALSE  OURS_FALSE
#define JSON_TRUE   OURS_TRUE
#define JSON_STRING OURS_STRING
#define JSON_ARRAY  OURS_ARRAY
#define JSON_OBJECT OURS_OBJECT
#include "base/json_scan.h"
#undef JSON_NULL
#undef JSON_FALSE
#undef JSON_TRUE
#undef JSON_STRING
#undef JSON_ARRAY
#undef JSON_OBJECT
#include "tests/support/test.h"

enum {
    DOCUMENTS = 4000,
    DAMAGES = 20, /* per document */
    DEPTH = 8,
    VALUES_MAX = 60,
    TEXT_MAX = 65536
};

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static const char *pick(const char *const *items, size_t count)
{
    return items[draw((uint32_t)count)];
}

#define PICK(items) pick(items, sizeof(items) / sizeof((items)[0]))

static void append(struct buf *b, const char *text)
{
    assert_int_equal(buf_append(b, str_from(text)), ST_OK);
}

static void append_blanks(struct buf *b)
{
    static const char *const blanks[] = {"", "", "", " ", "\n  ", "\t\r\n"};
    append(b, PICK(blanks));
}

static void append_string(struct buf *b)
{
    static const char *const pieces[] = {
        "a",
        "model",
        "the quick brown fox jumps over the lazy dog",
        "0123456789abcde",
        " ",
        "\xc3\xa9",
        "\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97",
        "\xf0\x9f\x98\x80",
        "\x7f",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b\\f\\r\\t",
        "\\u0041",
        "\\u00e9",
        "\\uFFFF",
        "\\ud83d\\ude00",
        "\\uDBFF\\uDFFF",
    };
    append(b, "\"");
    for (uint32_t n = draw(6); n > 0; n--) {
        append(b, PICK(pieces));
    }
    append(b, "\"");
}

static void append_scalar(struct buf *b)
{
    static const char *const scalars[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "7",
        "-12",
        "9223372036854775807",
        "1.5",
        "-0.0",
        "0.1",
        "1e10",
        "1E-7",
        "3.25e+3",
        "12345.678901234567890123",
        "-9223372036854775808",
        "1e308",
        "5e-324",
        "0.3",
        "1e-400",
        "2.2250738585072011e-308",
    };
    if (draw(3) == 0) {
        append_string(b);
    } else {
        append(b, PICK(scalars));
    }
}

/* A document, without recursion: a stack of what is open; containers close at random, and all of
 * them once there are enough values. */
static void make_document(struct buf *b)
{
    bool is_object[DEPTH];
    int depth = 0;
    int values = 0;
    bool is_first = true;
    buf_reset(b);
    do {
        bool has_room = values++ < VALUES_MAX;
        append_blanks(b);
        if (depth > 0 && (!has_room || draw(5) == 0)) {
            append(b, is_object[--depth] ? "}" : "]");
            is_first = false;
            continue;
        }
        append(b, is_first || depth == 0 ? "" : ",");
        append_blanks(b);
        if (depth > 0 && is_object[depth - 1]) {
            append_string(b);
            append_blanks(b);
            append(b, ":");
            append_blanks(b);
        }
        is_first = has_room && depth < DEPTH && draw(6) < (depth == 0 ? 5 : 2);
        if (is_first) {
            is_object[depth] = draw(2) == 0;
            append(b, is_object[depth++] ? "{" : "[");
        } else {
            append_scalar(b);
        }
    } while (depth > 0);
    append_blanks(b);
}

static json_t *scalar_to_jansson(struct json_value v)
{
    int64_t whole = 0;
    double real = 0;
    if (v.type == JSON_NUMBER && json_to_int(v, &whole) == ST_OK) {
        return json_integer(whole);
    }
    if (v.type == JSON_NUMBER) {
        assert_int_equal(json_to_real(v, &real), ST_OK);
        return json_real(real);
    }
    if (v.type == OURS_STRING) {
        struct buf text;
        buf_init(&text, TEXT_MAX);
        assert_int_equal(json_decode(v, &text), ST_OK);
        json_t *string = json_stringn(text.len > 0 ? buf_str(&text).ptr : "", text.len);
        buf_fini(&text);
        return string;
    }
    return v.type == OURS_TRUE ? json_true() : v.type == OURS_FALSE ? json_false() : json_null();
}

static void add_to(json_t *parent, struct json_value key, json_t *value)
{
    if (json_is_array(parent)) {
        assert_int_equal(json_array_append_new(parent, value), 0);
        return;
    }
    struct buf name;
    buf_init(&name, TEXT_MAX);
    assert_int_equal(json_decode(key, &name), ST_OK);
    assert_int_equal(buf_append_char(&name, '\0'), ST_OK);
    assert_int_equal(json_object_set_new(parent, buf_str(&name).ptr, value), 0);
    buf_fini(&name);
}

/* Opens the container at the cursor, or takes the scalar. */
static json_t *read_value(struct json_reader *r)
{
    struct json_value v = {0};
    enum json_type type = json_peek(r);
    if (type == OURS_ARRAY || type == OURS_OBJECT) {
        assert_true(json_open(r, type));
        return type == OURS_ARRAY ? json_array() : json_object();
    }
    assert_true(json_take(r, &v));
    return scalar_to_jansson(v);
}

static bool read_next(struct json_reader *r, const json_t *parent, struct json_value *ret_key)
{
    return json_is_object(parent) ? json_next_member(r, ret_key) : json_next_item(r);
}

/* Builds the tree that our reader sees. */
static json_t *read_with_ours(struct str document)
{
    json_t *open[DEPTH + 1];
    struct json_reader r;
    struct json_value key = {0};
    json_reader_init(&r, document);
    json_t *root = read_value(&r);
    int depth = 0;
    open[0] = root;
    while (depth >= 0 && (json_is_array(open[depth]) || json_is_object(open[depth]))) {
        if (!read_next(&r, open[depth], &key)) {
            depth--;
            continue;
        }
        json_t *value = read_value(&r);
        add_to(open[depth], key, value);
        if (json_is_array(value) || json_is_object(value)) {
            open[++depth] = value;
        }
    }
    assert_int_equal(json_close(&r), ST_OK);
    return root;
}

static void made_up_documents_give_the_same_tree(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, TEXT_MAX);
    seed = 11;
    for (int i = 0; i < DOCUMENTS; i++) {
        json_error_t error;
        make_document(&b);

        json_t *theirs = json_loadb(buf_str(&b).ptr, b.len, JSON_DECODE_ANY, &error);
        if (theirs == NULL) {
            fail_msg("jansson refuses %.*s: %s", STR_ARG(buf_str(&b)), error.text);
        }
        json_t *ours = read_with_ours(buf_str(&b));
        if (!json_equal(ours, theirs)) {
            fail_msg("trees differ: %.*s", STR_ARG(buf_str(&b)));
        }
        json_decref(ours);
        json_decref(theirs);
    }
    buf_fini(&b);
}

/* Changes, drops or doubles bytes. No 0x00: Jansson takes it for the end. */
static void damage(struct buf *b)
{
    static const char bytes[] =
        "{}[]:,\"\\/-+.eEu0123456789abdnrtl \n\t\x1f\x7f\x80\xa0\xbf\xc3\xe4\xed\xf4\xff";
    for (uint32_t n = draw(3) + 1; n > 0 && b->len > 1; n--) {
        char *at = b->data + b->head + draw((uint32_t)b->len);
        char *end = b->data + b->head + b->len;
        switch (draw(3)) {
        case 0:
            *at = bytes[draw(sizeof bytes - 1)];
            break;
        case 1:
            memmove(at, at + 1, (size_t)(end - at - 1));
            buf_truncate(b, b->len - 1);
            break;
        default:
            memmove(at + 1, at, (size_t)(end - at - 1));
            break;
        }
    }
}

static bool is_excused(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow || code == json_error_null_character ||
           code == json_error_null_byte_in_key || strstr(error->text, "invalid Unicode") != NULL;
}

static void damaged_documents_get_the_same_verdict(void **state)
{
    (void)state;
    struct buf b;
    struct buf damaged;
    size_t verdicts[2] = {0};
    buf_init(&b, TEXT_MAX);
    buf_init(&damaged, TEXT_MAX);
    seed = 13;
    for (int i = 0; i < DOCUMENTS * DAMAGES; i++) {
        if (i % DAMAGES == 0) {
            make_document(&b);
        }
        buf_reset(&damaged);
        assert_int_equal(buf_append(&damaged, buf_str(&b)), ST_OK);
        damage(&damaged);

        struct str text = buf_str(&damaged);
        json_error_t error;
        json_t *theirs = json_loadb(text.ptr, text.len, JSON_DECODE_ANY, &error);
        const char *why = "accepted";
        enum status st = json_validate(text, &why, NULL);

        if ((st == ST_OK) != (theirs != NULL) && !(st == ST_OK && is_excused(&error))) {
            fail_msg("%.*s\nwe say \"%s\", jansson \"%s\"", STR_ARG(text), why,
                     theirs != NULL ? "accepted" : error.text);
        }
        verdicts[st == ST_OK]++;
        json_decref(theirs);
    }
    assert_true(verdicts[0] > DOCUMENTS && verdicts[1] > DOCUMENTS); /* both are put to the test */
    buf_fini(&b);
    buf_fini(&damaged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_up_documents_give_the_same_tree),
        cmocka_unit_test(damaged_documents_get_the_same_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
