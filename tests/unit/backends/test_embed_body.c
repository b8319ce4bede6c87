/* Bodies that ask for embeddings: what is read of them, and what is refused. */
#include <stdio.h>
#include <string.h>

#include "backends/embed_body.h"
#include "base/mem.h"
#include "tests/support/arena_case.h"
#include "tests/support/quoted.h"
#include "tests/support/test.h"

struct fixture {
    struct arena *arena;
    struct embed_body body;
    struct embed_fault fault;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    return arena_case_open(&fixture, sizeof fixture, state);
}

static enum status parse(struct fixture *f, const char *body)
{
    return embed_body_read(quoted(f->arena, body), f->arena, &f->body, &f->fault);
}

static void what_is_missing_or_of_the_wrong_type_is_named(void **state)
{
    static const struct {
        const char *body;
        const char *param;
        bool is_json;
        bool is_missing;
    } cases[] = {
        {"", "", true, false},
        {"{", "", true, false},
        {"{'model':'e','input':'a'} x", "", true, false},
        {"{'model':'e','input':['a',}", "", true, false},
        {"{'model':'e','input':[[1,2}", "", true, false},
        {"[]", "", false, false},
        {"'e'", "", false, false},
        {"{}", "model", false, true},
        {"{'input':'a'}", "model", false, true},
        {"{'model':'e'}", "input", false, true},
        {"{'model':7,'input':'a'}", "model", false, false},
        {"{'model':'e','model':'f','input':'a'}", "model", false, false},
        {"{'model':'e','input':null}", "input", false, false},
        {"{'model':'e','input':7}", "input", false, false},
        {"{'model':'e','input':{}}", "input", false, false},
        {"{'model':'e','input':''}", "input", false, false},
        {"{'model':'e','input':[]}", "input", false, false},
        {"{'model':'e','input':['a','']}", "input", false, false},
        {"{'model':'e','input':['a',1]}", "input", false, false},
        {"{'model':'e','input':[1,'a']}", "input", false, false},
        {"{'model':'e','input':[1,[2]]}", "input", false, false},
        {"{'model':'e','input':[[1],2]}", "input", false, false},
        {"{'model':'e','input':[[1],[]]}", "input", false, false},
        {"{'model':'e','input':[['a']]}", "input", false, false},
        {"{'model':'e','input':[1.5]}", "input", false, false},
        {"{'model':'e','input':[-1]}", "input", false, false},
        {"{'model':'e','input':[true]}", "input", false, false},
        {"{'model':'e','input':[null]}", "input", false, false},
        {"{'model':'e','input':'a','input':'b'}", "input", false, false},
        {"{'model':'e','input':'a','encoding_format':'hex'}", "encoding_format", false, false},
        {"{'model':'e','input':'a','encoding_format':7}", "encoding_format", false, false},
        {"{'model':'e','input':'a','dimensions':0}", "dimensions", false, false},
        {"{'model':'e','input':'a','dimensions':-3}", "dimensions", false, false},
        {"{'model':'e','input':'a','dimensions':2.5}", "dimensions", false, false},
        {"{'model':'e','input':'a','dimensions':'8'}", "dimensions", false, false},
        {"{'model':'e','input':'a','dimensions':99999999}", "dimensions", false, false},
        {"{'model':'e','input':'a','dimensions':1,'dimensions':2}", "dimensions", false, false},
        {"{'model':'e','input':'a','user':7}", "user", false, false},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum status st = parse(f, cases[i].body);
        if (st != ST_INVALID || strcmp(f->fault.param, cases[i].param) != 0 ||
            f->fault.is_json != cases[i].is_json || f->fault.is_missing != cases[i].is_missing ||
            f->fault.message.len == 0) {
            fail_msg("%s: %s, param \"%s\"", cases[i].body, status_text(st), f->fault.param);
        }
    }
}

static void inputs_are_texts_or_arrays_of_tokens(void **state)
{
    static const struct {
        const char *input;
        size_t count;
        size_t tokens; /* of the last one */
        const char *raw;
    } cases[] = {
        {"'a b'", 1, 0, "'a b'"},
        {"['a']", 1, 0, "'a'"},
        {" [ 'a' , 'b', 'c d' ] ", 3, 0, "'c d'"},
        {"[1,2,3]", 1, 3, "[1,2,3]"},
        {" [ 1 , 2 ] ", 1, 2, "[ 1 , 2 ]"},
        {"[[1]]", 1, 1, "[1]"},
        {"[[1,2], [ 3,4,5 ]]", 2, 3, "[ 3,4,5 ]"},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str body =
            arena_printf(f->arena, "{'x':[{}],'input':%s,'model':'e'}", cases[i].input);
        assert_int_equal(parse(f, body.ptr), ST_OK);
        const struct embed_input *last = &f->body.inputs[f->body.count - 1];
        if (f->body.count != cases[i].count || last->tokens != cases[i].tokens ||
            !str_eq(last->raw, quoted(f->arena, cases[i].raw))) {
            fail_msg("%s: %zu, %zu, %.*s", cases[i].input, f->body.count, last->tokens,
                     STR_ARG(last->raw));
        }
    }
}

static void format_and_dimensions_are_read(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "{'model':'\\u0065m','input':'a','encoding_format':'base64',"
                              "'dimensions':256,'user':'me','more':{'dimensions':3}}"),
                     ST_OK);

    assert_true(str_eq(f->body.model, STR("em")));
    assert_true(str_eq(f->body.raw_model, STR("\"\\u0065m\"")));
    assert_true(f->body.is_base64);
    assert_int_equal(f->body.dimensions, 256);
}

static void nulls_are_as_if_they_were_not_there(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "{'model':'e','input':'a','encoding_format':null,'dimensions':null,"
                              "'user':null}"),
                     ST_OK);

    assert_false(f->body.is_base64);
    assert_int_equal(f->body.dimensions, 0);
}

static void texts_are_decoded(void **state)
{
    struct fixture *f = *state;
    struct str plain;
    struct str escaped;
    assert_int_equal(parse(f, "{'model':'e','input':['a b','x\\ny \\u00e9']}"), ST_OK);

    assert_int_equal(embed_body_text(&f->body.inputs[0], f->arena, &plain), ST_OK);
    assert_int_equal(embed_body_text(&f->body.inputs[1], f->arena, &escaped), ST_OK);

    assert_true(str_eq(plain, STR("a b")));
    assert_true(str_eq(escaped, STR("x\ny \xC3\xA9")));
}

/* A body with so many inputs. */
static struct str many(struct arena *arena, size_t count)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(buf_append(&b, STR("{\"model\":\"e\",\"input\":[")), ST_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(buf_printf(&b, "%s\"%zu\"", i == 0 ? "" : ",", i), ST_OK);
    }
    assert_int_equal(buf_append(&b, STR("]}")), ST_OK);
    struct str body = arena_copy(arena, buf_str(&b));
    buf_fini(&b);
    return body;
}

static void there_are_at_most_2048_inputs(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(embed_body_read(many(f->arena, 2048), f->arena, &f->body, &f->fault), ST_OK);
    assert_int_equal(f->body.count, 2048);
    assert_true(str_eq(f->body.inputs[2047].raw, STR("\"2047\"")));
    assert_int_equal(embed_body_read(many(f->arena, 2049), f->arena, &f->body, &f->fault),
                     ST_INVALID);
    assert_string_equal(f->fault.param, "input");
}

static void running_out_of_memory_anywhere_is_reported(void **state)
{
    struct fixture *f = *state;
    struct str body =
        quoted(f->arena, "{'model':'\\u0065','input':['\\u0061','b','c','d','e','f']}");
    enum status st = ST_NO_MEMORY;
    for (long n = 1; st == ST_NO_MEMORY; n++) {
        struct arena *arena = arena_create(64, SIZE_MAX);
        struct str text;
        assert_non_null(arena);
        mem_fail_at((uint64_t)n, 1);
        st = embed_body_read(body, arena, &f->body, &f->fault);
        st = st == ST_OK ? embed_body_text(&f->body.inputs[0], arena, &text) : st;
        mem_fail_at(0, 0);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
        assert_true(st != ST_OK || n > 3);
        arena_destroy(arena);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, arena_case_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_missing_or_of_the_wrong_type_is_named),
        TEST(inputs_are_texts_or_arrays_of_tokens),
        TEST(format_and_dimensions_are_read),
        TEST(nulls_are_as_if_they_were_not_there),
        TEST(texts_are_decoded),
        TEST(there_are_at_most_2048_inputs),
        TEST(running_out_of_memory_anywhere_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
