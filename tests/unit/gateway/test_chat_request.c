/* Chat requests: what is read of a body, and what is refused. The rewriting has its own file. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "gateway/chat_request.h"
#include "policies/policy.h"
#include "tests/support/arena_case.h"
#include "tests/support/quoted.h"
#include "tests/support/test.h"

#define MESSAGES "'messages':[{'role':'user','content':'hi'}]"

struct fixture {
    struct arena *arena;
    struct chat_request request;
    struct chat_error error;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    return arena_case_open(&fixture, sizeof fixture, state);
}

static enum status parse(struct fixture *f, const char *body)
{
    return chat_request_parse(quoted(f->arena, body), f->arena, &f->request, &f->error);
}

static const struct prompt *parse_ok(struct fixture *f, const char *body)
{
    enum status st = parse(f, body);
    if (st != ST_OK) {
        fail_msg("%s: %s, %.*s", body, status_text(st), STR_ARG(f->error.message));
    }
    return &f->request.prompt;
}

/* ---------------------------------------------------------------- refusals */

struct refusal {
    const char *body;
    enum problem problem;
    const char *param;
};

static void check_refusals(struct fixture *f, const struct refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum status st = parse(f, cases[i].body);
        if (st != ST_INVALID || f->error.problem != cases[i].problem ||
            !str_eq(f->error.param, str_from(cases[i].param)) || f->error.message.len == 0) {
            fail_msg("%s: %s, problem %d, param \"%.*s\"", cases[i].body, status_text(st),
                     (int)f->error.problem, STR_ARG(f->error.param));
        }
    }
}

static void what_is_missing_or_of_the_wrong_type_is_named(void **state)
{
    static const struct refusal cases[] = {
        {"[]", PROBLEM_BAD_PARAM, ""},
        {"'auto'", PROBLEM_BAD_PARAM, ""},
        {"null", PROBLEM_BAD_PARAM, ""},
        {"{}", PROBLEM_MISSING_PARAM, "model"},
        {"{" MESSAGES "}", PROBLEM_MISSING_PARAM, "model"},
        {"{'model':'auto'}", PROBLEM_MISSING_PARAM, "messages"},
        {"{'model':null," MESSAGES "}", PROBLEM_BAD_PARAM, "model"},
        {"{'model':7," MESSAGES "}", PROBLEM_BAD_PARAM, "model"},
        {"{'model':['auto']," MESSAGES "}", PROBLEM_BAD_PARAM, "model"},
        {"{'model':'auto','messages':null}", PROBLEM_BAD_PARAM, "messages"},
        {"{'model':'auto','messages':'hi'}", PROBLEM_BAD_PARAM, "messages"},
        {"{'model':'auto','messages':{}}", PROBLEM_BAD_PARAM, "messages"},
        {"{'model':'auto','messages':[]}", PROBLEM_BAD_PARAM, "messages"},
        {"{'model':'auto','messages':['hi']}", PROBLEM_BAD_PARAM, "messages"},
        {"{'model':'auto'," MESSAGES ",'stream':1}", PROBLEM_BAD_PARAM, "stream"},
        {"{'model':'auto'," MESSAGES ",'stream':'true'}", PROBLEM_BAD_PARAM, "stream"},
        {"{'model':'auto'," MESSAGES ",'stream_options':[]}", PROBLEM_BAD_PARAM, "stream_options"},
        {"{'model':'auto'," MESSAGES ",'stream_options':true}", PROBLEM_BAD_PARAM,
         "stream_options"},
        {"{'model':'auto'," MESSAGES ",'max_tokens':'9'}", PROBLEM_BAD_PARAM, "max_tokens"},
        {"{'model':'auto'," MESSAGES ",'max_tokens':-1}", PROBLEM_BAD_PARAM, "max_tokens"},
        {"{'model':'auto'," MESSAGES ",'max_tokens':1.5}", PROBLEM_BAD_PARAM, "max_tokens"},
        {"{'model':'auto'," MESSAGES ",'max_tokens':1000000000}", PROBLEM_BAD_PARAM, "max_tokens"},
        {"{'model':'auto'," MESSAGES ",'max_completion_tokens':[]}", PROBLEM_BAD_PARAM,
         "max_completion_tokens"},
        {"{'model':'auto'," MESSAGES ",'n':'9'}", PROBLEM_BAD_PARAM, "n"},
        {"{'model':'auto'," MESSAGES ",'n':2.5}", PROBLEM_BAD_PARAM, "n"},
        {"{'model':'auto'," MESSAGES ",'n':-1}", PROBLEM_BAD_PARAM, "n"},
    };
    check_refusals(*state, cases, sizeof cases / sizeof cases[0]);
}

static void keys_that_stand_twice_are_refused(void **state)
{
    static const struct refusal cases[] = {
        {"{'model':'a','model':'b'," MESSAGES "}", PROBLEM_BAD_PARAM, "model"},
        {"{'model':'a','mod\\u0065l':'b'," MESSAGES "}", PROBLEM_BAD_PARAM, "model"},
        {"{'model':'a'," MESSAGES "," MESSAGES "}", PROBLEM_BAD_PARAM, "messages"},
        {"{'model':'a'," MESSAGES ",'stream':true,'stream':false}", PROBLEM_BAD_PARAM, "stream"},
        {"{'model':'a'," MESSAGES ",'stream_options':{},'stream_options':{}}", PROBLEM_BAD_PARAM,
         "stream_options"},
        {"{'model':'a'," MESSAGES ",'stream_options':null,'stream_options':{}}", PROBLEM_BAD_PARAM,
         "stream_options"},
    };
    check_refusals(*state, cases, sizeof cases / sizeof cases[0]);
}

static void broken_json_is_refused_with_the_byte(void **state)
{
    static const struct {
        const char *body;
        const char *at;
    } cases[] = {
        {"", "at byte 0"},
        {"{'model':'auto'", "at byte 15"},
        {"{'model':'auto'," MESSAGES ",}", "at byte 60"},
        {"{'model':'auto'," MESSAGES "} x", "at byte 61"},
        {"{'model':auto}", "at byte 9"},
        {"{'model':'a','messages':[{'role':'user','content':['", "at byte 52"},
        {"{'stream_options':", "at byte 18"},
        {"{'stream_options':{'include_usage':tru", "at byte 35"},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(parse(f, cases[i].body), ST_INVALID);
        assert_int_equal(f->error.problem, PROBLEM_BAD_JSON);
        if (str_find(f->error.message, str_from(cases[i].at)) == f->error.message.len) {
            fail_msg("%s: %.*s", cases[i].body, STR_ARG(f->error.message));
        }
    }
}

static void a_nul_byte_in_the_body_is_broken_json(void **state)
{
    struct fixture *f = *state;
    struct str body = STR("{\"model\":\"a\",\"messages\":[{\"content\":\"x\"}]}\0");

    enum status st = chat_request_parse(body, f->arena, &f->request, &f->error);

    assert_int_equal(st, ST_INVALID);
    assert_int_equal(f->error.problem, PROBLEM_BAD_JSON);
}

static void every_prefix_of_a_body_is_broken_json(void **state)
{
    struct fixture *f = *state;
    struct str body = quoted(f->arena, "{'model':'auto','stream':true,'stream_options':{'a':1},"
                                       "'max_tokens':5,'tools':[{}]," MESSAGES "}");
    for (size_t len = 0; len < body.len; len++) {
        char *copy = mem_alloc(len); /* of its own, so that a sanitizer sees a look beyond */
        memcpy(copy, body.ptr, len);
        struct str cut = {copy, len};
        assert_int_equal(chat_request_parse(cut, f->arena, &f->request, &f->error), ST_INVALID);
        assert_int_equal(f->error.problem, PROBLEM_BAD_JSON);
        mem_free(copy);
    }
    assert_int_equal(chat_request_parse(body, f->arena, &f->request, &f->error), ST_OK);
}

/* ---------------------------------------------------------------- what is read */

static void model_is_read_with_its_range(void **state)
{
    struct fixture *f = *state;

    const struct prompt *prompt = parse_ok(f, " { 'model' : 'category/law' , " MESSAGES "}");

    test_assert_str(prompt->model, STR("category/law"));
    test_assert_str(str_slice(f->request.body, f->request.model.start, f->request.model.len),
                    STR("\"category/law\""));
}

static void escapes_in_keys_and_names_are_decoded(void **state)
{
    struct fixture *f = *state;

    const struct prompt *prompt =
        parse_ok(f, "{'mod\\u0065l':'\\u0061uto','m\\u0065ssages':[{'rol\\u0065':'us\\u0065r',"
                    "'cont\\u0065nt':'hi'}],'str\\u0065am':true}");

    test_assert_str(prompt->model, STR("auto"));
    assert_int_equal(prompt->talk.count, 1);
    assert_true(f->request.is_stream);
}

static void an_escaped_limit_on_tokens_is_read_like_any_other(void **state)
{
    struct fixture *f = *state;

    const struct prompt *prompt =
        parse_ok(f, "{'model':'auto'," MESSAGES ",'m\\u0061x_tokens':77}");

    assert_int_equal(prompt->max_tokens, 77);
}

static void a_wrong_escaped_limit_names_the_plain_parameter(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "{'model':'auto'," MESSAGES ",'m\\u0061x_tokens':'x'}"), ST_INVALID);

    test_assert_str(f->error.param, STR("max_tokens"));
}

static void needs_follow_from_what_the_request_holds(void **state)
{
    static const struct {
        const char *members;
        unsigned needs;
    } cases[] = {
        {MESSAGES, 0},
        {MESSAGES ",'tools':[]", 0},
        {MESSAGES ",'tools':[ ]", 0},
        {MESSAGES ",'tools':null", 0},
        {MESSAGES ",'tools':[{'type':'function'}]", POLICY_TOOLS},
        {MESSAGES ",'response_format':{'type':'text'}", 0},
        {MESSAGES ",'response_format':null", 0},
        {MESSAGES ",'response_format':{'type':'json_object'}", POLICY_JSON},
        {MESSAGES ",'response_format':{'type':'json_schema','json_schema':{}}", POLICY_JSON},
        {"'messages':[{'content':[{'type':'text','text':'a'}]}]", 0},
        {"'messages':[{'content':[{'type':'image_url','image_url':{'url':'data:'}}]}]",
         POLICY_VISION},
        {"'messages':[{'content':[{'type':'input_audio','input_audio':{}}]}]", POLICY_AUDIO},
        {"'messages':[{'content':[{'type':'input_audio'},{'type':'image_url'}]}],'tools':[1]",
         POLICY_AUDIO | POLICY_VISION | POLICY_TOOLS},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str body = arena_printf(f->arena, "{'model':'auto',%s}", cases[i].members);
        unsigned needs = parse_ok(f, body.ptr)->needs;
        if (needs != cases[i].needs) {
            fail_msg("%s: needs %x, want %x", cases[i].members, needs, cases[i].needs);
        }
    }
}

static void the_larger_limit_on_tokens_counts(void **state)
{
    static const struct {
        const char *members;
        int64_t max_tokens;
    } cases[] = {
        {MESSAGES, 0},
        {MESSAGES ",'max_tokens':null", 0},
        {MESSAGES ",'max_tokens':12", 12},
        {MESSAGES ",'max_completion_tokens':13", 13},
        {MESSAGES ",'max_tokens':12,'max_completion_tokens':13", 13},
        {MESSAGES ",'max_completion_tokens':13,'max_tokens':12", 13},
        {MESSAGES ",'max_tokens':100000000", 100000000},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str body = arena_printf(f->arena, "{'model':'auto',%s}", cases[i].members);
        assert_int_equal(parse_ok(f, body.ptr)->max_tokens, cases[i].max_tokens);
    }
}

static void all_answers_that_are_wanted_count(void **state)
{
    static const struct {
        const char *members;
        int64_t paid_tokens;
    } cases[] = {
        {"'max_tokens':12", 12},
        {"'max_tokens':12,'n':null", 12},
        {"'max_tokens':12,'n':0", 12},
        {"'max_tokens':12,'n':1", 12},
        {"'n':3,'max_tokens':12", 36},
        {"'n':3,'max_tokens':12,'n':2", 36},
        {"'n':2", 1024},
        {"'max_tokens':1,'n':100000000", 65536},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str body =
            arena_printf(f->arena, "{'model':'auto'," MESSAGES ",%s}", cases[i].members);
        assert_int_equal(prompt_paid_answer_tokens(parse_ok(f, body.ptr)), cases[i].paid_tokens);
    }
}

static void tools_calls_and_schemas_are_part_of_the_prompt(void **state)
{
    static const struct {
        const char *members;
        int64_t bytes;
    } cases[] = {
        {"'messages':[{'content':'hi'}]", 4},
        {"'messages':[{'content':'hi','tool_calls':[{'a':1},{}]}]", 4 + 7 + 2},
        {"'messages':[{'content':'hi','function_call':{'a':1}}]", 4 + 7},
        {"'messages':[{'content':'hi'}],'tools':[{'a':1},{}]", 4 + 7 + 2},
        {"'messages':[{'content':'hi'}],'functions':[{'a':1}]", 4 + 9},
        {"'messages':[{'content':'hi'}],'response_format':{'a':1}", 4 + 7},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str body = arena_printf(f->arena, "{'model':'auto',%s}", cases[i].members);
        assert_int_equal(parse_ok(f, body.ptr)->text_bytes, cases[i].bytes);
    }
}

static void stream_and_usage_wishes_are_read(void **state)
{
    static const struct {
        const char *members;
        bool is_stream;
        bool wants_usage;
    } cases[] = {
        {MESSAGES, false, false},
        {MESSAGES ",'stream':null", false, false},
        {MESSAGES ",'stream':false", false, false},
        {MESSAGES ",'stream':true", true, false},
        {MESSAGES ",'stream':true,'stream_options':null", true, false},
        {MESSAGES ",'stream':true,'stream_options':{}", true, false},
        {MESSAGES ",'stream_options' : {'include_usage':true},'stream':true", true, true},
        {MESSAGES ",'stream':true,'stream_options':{'include_usage':false}", true, false},
        {MESSAGES ",'stream':true,'stream_options':{'x':{'include_usage':true}}", true, false},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str body = arena_printf(f->arena, "{'model':'auto',%s}", cases[i].members);
        const struct prompt *prompt = parse_ok(f, body.ptr);
        if (f->request.is_stream != cases[i].is_stream || prompt->is_stream != cases[i].is_stream ||
            f->request.wants_usage != cases[i].wants_usage) {
            fail_msg("%s", cases[i].members);
        }
    }
}

/* ---------------------------------------------------------------- texts */

static void check_turn(const struct prompt *prompt, size_t i, const char *user, const char *reply)
{
    test_assert_str(prompt->talk.turns[i].user, str_from(user));
    test_assert_str(prompt->talk.turns[i].reply, str_from(reply));
}

static void turns_are_user_texts_with_the_last_reply_to_each(void **state)
{
    struct fixture *f = *state;

    const struct prompt *prompt =
        parse_ok(f, "{'model':'auto','messages':[{'role':'system','content':'s'},"
                    "{'role':'assistant','content':'a0'},"
                    "{'role':'user','content':'u1'},{'role':'assistant','content':'a1'},"
                    "{'role':'user','content':'u2'},{'content':'u3','role':'user'},"
                    "{'role':'assistant','content':'a'},{'role':'assistant','content':'a3'},"
                    "{'role':'tool','content':'t'},{'role':'user','content':'u4'}]}");

    assert_int_equal(prompt->talk.count, 4);
    test_assert_str(prompt->talk.system, STR("s"));
    check_turn(prompt, 0, "u1", "a1");
    check_turn(prompt, 1, "u2", "");
    check_turn(prompt, 2, "u3", "a3");
    check_turn(prompt, 3, "u4", "");
    test_assert_str(prompt_last_text(prompt), STR("u4"));
}

static void long_conversations_keep_their_opening_and_their_last_turns(void **state)
{
    struct fixture *f = *state;

    const struct prompt *prompt = parse_ok(
        f,
        "{'model':'a','messages':[{'role':'user','content':'u1'},"
        "{'role':'assistant','content':'a1'},{'role':'user','content':'u2'},"
        "{'role':'user','content':'u3'},{'role':'user','content':'u4'},"
        "{'role':'user','content':'u5'},"
        "{'role':'user','content':'u6'},{'role':'assistant','content':'a6'},{'role':'user','content':'u7'},"
        "{'role':'user','content':'u8'},{'role':'user','content':'u9'},"
        "{'role':'user','content':'u10'}]}");

    assert_int_equal(prompt->talk.count, CONVERSATION_TURNS_MAX);
    check_turn(prompt, 0, "u1", "a1");
    check_turn(prompt, 1, "u6", "a6");
    check_turn(prompt, CONVERSATION_TURNS_MAX - 1, "u10", "");
}

static void a_tool_call_is_open_until_another_message_follows(void **state)
{
    static const struct {
        const char *last;
        bool is_open;
    } cases[] = {
        {"{'role':'user','content':'u'}", false},
        {"{'role':'assistant','content':'a'}", false},
        {"{'role':'assistant','content':null,'tool_calls':[]}", false},
        {"{'role':'assistant','content':null,'tool_calls':[{'id':'c'}]}", true},
        {"{'tool_calls':[{'id':'c'}],'role':'assistant'}", true},
        {"{'role':'user','content':'u','tool_calls':[{'id':'c'}]}", false},
        {"{'role':'assistant','tool_calls':[{'id':'c'}]},{'role':'tool','content':'42'}", true},
        {"{'role':'function','content':'42'}", true},
        {"{'role':'tool','content':'42'},{'role':'user','content':'and?'}", false},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str body = arena_printf(
            f->arena, "{'model':'a','messages':[{'role':'user','content':'q'},%s]}", cases[i].last);
        if (parse_ok(f, body.ptr)->session.is_tool_open != cases[i].is_open) {
            fail_msg("%s", cases[i].last);
        }
    }
}

static uint64_t key_of(struct fixture *f, const char *messages)
{
    struct str body = arena_printf(f->arena, "{'model':'a','messages':[%s]}", messages);
    return parse_ok(f, body.ptr)->session.key;
}

static void a_session_is_known_by_its_system_prompt_and_first_user_message(void **state)
{
    struct fixture *f = *state;
    uint64_t key = key_of(f, "{'role':'system','content':'s'},{'role':'user','content':'u'}");
    assert_int_not_equal(key, 0);
    assert_int_equal(key, key_of(f, "{'role':'system','content':'s'},{'role':'user','content':'u'},"
                                    "{'role':'assistant','content':'a'},"
                                    "{'role':'user','content':'v'}"));
    assert_int_not_equal(key, key_of(f, "{'role':'user','content':'u'}"));
    assert_int_not_equal(
        key, key_of(f, "{'role':'system','content':'s'},{'role':'user','content':'v'}"));
    assert_int_equal(key_of(f, "{'role':'system','content':'s'}"), 0);
}

static void contents_without_text_make_no_turn(void **state)
{
    static const char *const contents[] = {
        "null", "[]", "[{'type':'image_url'}]", "7", "{}", "[[1]]", "['a']", "[{'text':1}]"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        struct str body = arena_printf(
            f->arena, "{'model':'a','messages':[{'role':'user','content':%s}]}", contents[i]);
        assert_int_equal(parse_ok(f, body.ptr)->talk.count, 0);
    }
}

static void unknown_roles_and_members_are_passed_over(void **state)
{
    static const char *const messages[] = {
        "{'role':'critic','content':'no'},{'role':'user','content':'q'}",
        "{'role':'user','content':'q'},{'role':'','content':'no'}",
        "{'role':'user','content':'q'},{'content':'no'}",
        "{'role':'user','content':'q'},{'role':7,'content':'no'}",
        "{'name':{'role':'system'},'role':'user','refusal':['no'],'content':'q'}",
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        struct str body = arena_printf(f->arena, "{'model':'a','messages':[%s]}", messages[i]);
        const struct prompt *prompt = parse_ok(f, body.ptr);
        assert_int_equal(prompt->talk.count, 1);
        check_turn(prompt, 0, "q", "");
        test_assert_str(prompt->talk.system, STR(""));
        assert_false(prompt->session.is_tool_open);
    }
}

static void the_longest_part_speaks_for_a_message(void **state)
{
    struct fixture *f = *state;

    const struct prompt *prompt = parse_ok(
        f, "{'model':'a','messages':[{'role':'user','content':[{'type':'text','text':'ab'},"
           "{'text':'\\u0061bcdef','type':'text'},{'type':'image_url'},{'text':'x'}]}]}");

    assert_int_equal(prompt->talk.count, 1);
    test_assert_str(prompt->talk.turns[0].user, STR("abcdef"));
    assert_int_equal(prompt->text_bytes, 4 + 13 + 3);
}

static void escaped_texts_are_decoded(void **state)
{
    struct fixture *f = *state;

    const struct prompt *prompt = parse_ok(
        f, "{'model':'a','messages':[{'role':'user','content':'a\\nb\\u00e9\\ud83d\\ude00\\\\'}]}");

    test_assert_str(prompt_last_text(prompt), STR("a\nb\xc3\xa9\xf0\x9f\x98\x80\\"));
}

/* "HEAD filler... TAIL", the filler being `unit` as often as needed. */
static struct str long_text_body(struct arena *arena, const char *unit, size_t bytes)
{
    struct buf body;
    buf_init(&body, bytes + 4096);
    assert_int_equal(buf_append(&body, STR("{\"model\":\"a\",\"messages\":[{\"role\":\"user\","
                                           "\"content\":\"HEAD ")),
                     ST_OK);
    while (body.len < bytes) {
        assert_int_equal(buf_append(&body, str_from(unit)), ST_OK);
    }
    assert_int_equal(buf_append(&body, STR(" TAIL\"}]}")), ST_OK);
    struct str text = arena_copy(arena, buf_str(&body));
    buf_fini(&body);
    return text;
}

static void long_escaped_texts_give_head_and_tail(void **state)
{
    struct fixture *f = *state;
    struct str body = long_text_body(f->arena, "many words in a row, twenty or so\\n", 200000);

    assert_int_equal(chat_request_parse(body, f->arena, &f->request, &f->error), ST_OK);

    struct str text = prompt_last_text(&f->request.prompt);
    assert_true(str_starts_with(text, STR("HEAD many words")));
    assert_true(str_ends_with(text, STR("twenty or so\n TAIL")));
    assert_true(text.len > 7500 && text.len < 8300);
}

static void long_texts_of_escapes_are_never_torn(void **state)
{
    static const char *const units[] = {"\\u4e2d", "\\ud83d\\ude00",
                                        "\\\\",    "\\\"",
                                        "a\\\\",   "\\ud83d\\ude00 twelve plain bytes and more "};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        for (size_t bytes = 20000; bytes < 20020; bytes++) {
            struct str body = long_text_body(f->arena, units[i], bytes);
            assert_int_equal(chat_request_parse(body, f->arena, &f->request, &f->error), ST_OK);
            struct str text = prompt_last_text(&f->request.prompt);
            assert_true(str_starts_with(text, STR("HEAD ")) && str_ends_with(text, STR(" TAIL")));
            assert_int_equal(str_find(text, STR("\xef\xbf\xbd")), text.len); /* no half pair */
            assert_int_equal(str_find(text, STR("u4e2d")), text.len);
        }
    }
}

static void long_plain_texts_are_borrowed_whole(void **state)
{
    struct fixture *f = *state;
    struct str body = long_text_body(f->arena, "\xe4\xb8\xad", 100000);

    assert_int_equal(chat_request_parse(body, f->arena, &f->request, &f->error), ST_OK);

    struct str text = prompt_last_text(&f->request.prompt);
    assert_true(text.ptr > body.ptr && text.ptr + text.len < body.ptr + body.len);
}

/* ---------------------------------------------------------------- memory */

static void running_out_of_memory_anywhere_is_reported(void **state)
{
    struct fixture *f = *state;
    struct str body =
        quoted(f->arena, "{'model':'\\u0061uto','messages':[{'role':'user','content':'a\\nb'},"
                         "{'role':'system','content':'\\tx'}]}");
    enum status st = ST_NO_MEMORY;
    for (uint64_t n = 1; st != ST_OK; n++) {
        struct arena *arena = arena_create(64, SIZE_MAX);
        assert_true(n < 100);
        mem_fail_at(n, 1);
        st = chat_request_parse(body, arena, &f->request, &f->error);
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
        TEST(keys_that_stand_twice_are_refused),
        TEST(broken_json_is_refused_with_the_byte),
        TEST(a_nul_byte_in_the_body_is_broken_json),
        TEST(every_prefix_of_a_body_is_broken_json),
        TEST(model_is_read_with_its_range),
        TEST(escapes_in_keys_and_names_are_decoded),
        TEST(an_escaped_limit_on_tokens_is_read_like_any_other),
        TEST(a_wrong_escaped_limit_names_the_plain_parameter),
        TEST(needs_follow_from_what_the_request_holds),
        TEST(the_larger_limit_on_tokens_counts),
        TEST(all_answers_that_are_wanted_count),
        TEST(tools_calls_and_schemas_are_part_of_the_prompt),
        TEST(stream_and_usage_wishes_are_read),
        TEST(turns_are_user_texts_with_the_last_reply_to_each),
        TEST(long_conversations_keep_their_opening_and_their_last_turns),
        TEST(a_tool_call_is_open_until_another_message_follows),
        TEST(a_session_is_known_by_its_system_prompt_and_first_user_message),
        TEST(contents_without_text_make_no_turn),
        TEST(unknown_roles_and_members_are_passed_over),
        TEST(the_longest_part_speaks_for_a_message),
        TEST(escaped_texts_are_decoded),
        TEST(long_escaped_texts_give_head_and_tail),
        TEST(long_texts_of_escapes_are_never_torn),
        TEST(long_plain_texts_are_borrowed_whole),
        TEST(running_out_of_memory_anywhere_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
