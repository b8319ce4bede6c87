/* Rewriting a chat request: the model and the wish for usage change, every other byte stays. */
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "gateway/chat_request.h"
#include "tests/support/quoted.h"
#include "tests/support/test.h"

#define MESSAGES "'messages':[{'content':'hi','role':'user'}]"

enum {
    BLOCK_BYTES = 16 * 1024,
    ARENA_BYTES = 16 * 1024 * 1024,
};

static int set_up(void **state)
{
    *state = arena_create(BLOCK_BYTES, ARENA_BYTES);
    return *state == NULL;
}

static int tear_down(void **state)
{
    arena_destroy(*state);
    return 0;
}

static struct str rewrite(struct arena *arena, struct str body, const char *model, bool ask_usage)
{
    struct chat_request request;
    struct chat_error error;
    if (chat_request_parse(body, arena, &request, &error) != ST_OK) {
        fail_msg("%.*s: %.*s", STR_ARG(body), STR_ARG(error.message));
    }
    return chat_request_rewrite(&request, str_from(model), ask_usage, arena);
}

struct rewriting {
    const char *before;
    const char *after;
};

static void check(struct arena *arena, const struct rewriting *cases, size_t count, bool ask_usage)
{
    for (size_t i = 0; i < count; i++) {
        struct str got = rewrite(arena, quoted(arena, cases[i].before), "med-70b", ask_usage);
        test_assert_str(got, quoted(arena, cases[i].after));
    }
}

static void only_the_model_changes_where_nothing_is_streamed(void **state)
{
    static const struct rewriting cases[] = {
        {"{'model':'auto'," MESSAGES "}", "{'model':'med-70b'," MESSAGES "}"},
        {"{" MESSAGES ",'model':'auto'}", "{" MESSAGES ",'model':'med-70b'}"},
        {"\n{ 'model' :\t'auto' , " MESSAGES " }\r\n",
         "\n{ 'model' :\t'med-70b' , " MESSAGES " }\r\n"},
        {"{'mod\\u0065l':'\\u0061uto'," MESSAGES "}", "{'mod\\u0065l':'med-70b'," MESSAGES "}"},
        {"{'model':''," MESSAGES "}", "{'model':'med-70b'," MESSAGES "}"},
        {"{'y':1.50e+2,'big':12345678901234567890,'model':'a'," MESSAGES ",'x':{'model':'b'}}",
         "{'y':1.50e+2,'big':12345678901234567890,'model':'med-70b'," MESSAGES
         ",'x':{'model':'b'}}"},
        {"{'model':'a'," MESSAGES ",'stream':false,'stream_options':{'include_usage':false}}",
         "{'model':'med-70b'," MESSAGES
         ",'stream':false,'stream_options':{'include_usage':false}}"},
    };
    check(*state, cases, sizeof cases / sizeof cases[0], true);
}

static void usage_is_asked_for_on_streams(void **state)
{
    static const struct rewriting cases[] = {
        /* no stream_options */
        {"{'model':'a','stream':true," MESSAGES "}",
         "{'model':'med-70b','stream':true," MESSAGES ",'stream_options':{'include_usage':true}}"},
        {"{'stream':true," MESSAGES ", 'model':'a' } ",
         "{'stream':true," MESSAGES
         ", 'model':'med-70b' ,'stream_options':{'include_usage':true}} "},
        /* null */
        {"{'model':'a','stream':true,'stream_options': null ," MESSAGES "}",
         "{'model':'med-70b','stream':true,'stream_options': {'include_usage':true} ," MESSAGES
         "}"},
        {"{'stream_options':null,'model':'a','stream':true," MESSAGES "}",
         "{'stream_options':{'include_usage':true},'model':'med-70b','stream':true," MESSAGES "}"},
        /* empty */
        {"{'model':'a','stream':true,'stream_options':{ }," MESSAGES "}",
         "{'model':'med-70b','stream':true,'stream_options':{'include_usage':true }," MESSAGES "}"},
        {"{'stream_options': \n{},'stream':true," MESSAGES ",'model':'a'}",
         "{'stream_options': \n{'include_usage':true},'stream':true," MESSAGES
         ",'model':'med-70b'}"},
        /* other options */
        {"{'model':'a','stream':true,'stream_options':{'x':{}}," MESSAGES "}",
         "{'model':'med-70b','stream':true,'stream_options':{'include_usage':true,'x':{}}," MESSAGES
         "}"},
        /* said no, or nonsense */
        {"{'model':'a','stream':true,'stream_options':{'include_usage' : false,'x':1}," MESSAGES
         "}",
         "{'model':'med-70b','stream':true,'stream_options':{'include_usage' : true,'x':1}," MESSAGES
         "}"},
        {"{'stream_options':{'x':1,'include_usage':null},'stream':true,'model':'a'," MESSAGES "}",
         "{'stream_options':{'x':1,'include_usage':true},'stream':true,'model':'med-70b'," MESSAGES
         "}"},
        /* said yes */
        {"{'model':'a','stream':true,'stream_options':{'include_usage':true}," MESSAGES "}",
         "{'model':'med-70b','stream':true,'stream_options':{'include_usage':true}," MESSAGES "}"},
    };
    check(*state, cases, sizeof cases / sizeof cases[0], true);
}

static void usage_is_not_asked_for_unless_the_caller_says_so(void **state)
{
    static const struct rewriting cases[] = {
        {"{'model':'a','stream':true," MESSAGES "}",
         "{'model':'med-70b','stream':true," MESSAGES "}"},
        {"{'model':'a','stream':true,'stream_options':{}," MESSAGES "}",
         "{'model':'med-70b','stream':true,'stream_options':{}," MESSAGES "}"},
    };
    check(*state, cases, sizeof cases / sizeof cases[0], false);
}

static void the_model_is_escaped_for_json(void **state)
{
    struct str body = quoted(*state, "{'model':'a'," MESSAGES "}");

    struct str got = rewrite(*state, body, "a\"b\\c\n\x01\xff", false);

    assert_true(str_starts_with(got, STR("{\"model\":\"a\\\"b\\\\c\\n\\u0001\xef\xbf\xbd\",")));
}

/* What the splices put in is taken out again: what is left must be the body, byte by byte. */
static void everything_but_the_splices_is_identical(void **state)
{
    static const char inserted[] = ",\"stream_options\":{\"include_usage\":true}";
    struct str body = quoted(*state, "{ 'stream' : true ,\t'temperature':0.10, 'model':'XYZ',"
                                     "'seed':9007199254740993,'s':'\\u00e9\\/'," MESSAGES " }\n");

    struct str got = rewrite(*state, body, "XYZ", true);

    size_t at = str_find(got, str_from(inserted));
    assert_true(at < got.len);
    struct str head = str_slice(got, 0, at);
    struct str tail = str_slice(got, at + sizeof inserted - 1, got.len);
    test_assert_str(head, str_slice(body, 0, head.len));
    test_assert_str(tail, str_slice(body, head.len, body.len));
}

static void running_out_of_memory_gives_no_text(void **state)
{
    struct chat_request request;
    struct chat_error error;
    struct str body = quoted(*state, "{'model':'a','stream':true," MESSAGES "}");
    assert_int_equal(chat_request_parse(body, *state, &request, &error), ST_OK);
    struct str got = {NULL, 0};
    for (uint64_t n = 1; got.ptr == NULL; n++) {
        struct arena *arena = arena_create(64, ARENA_BYTES);
        assert_true(n < 20);
        mem_fail_at(n, 1);
        got = chat_request_rewrite(&request, STR("m"), true, arena);
        mem_fail_at(0, 0);
        assert_true(got.ptr == NULL || n > 2);
        arena_destroy(arena);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_the_model_changes_where_nothing_is_streamed),
        TEST(usage_is_asked_for_on_streams),
        TEST(usage_is_not_asked_for_unless_the_caller_says_so),
        TEST(the_model_is_escaped_for_json),
        TEST(everything_but_the_splices_is_identical),
        TEST(running_out_of_memory_gives_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
