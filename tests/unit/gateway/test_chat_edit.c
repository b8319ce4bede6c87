/* What the configuration changes in a body: parameters and instructions; every other byte stays. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gateway/chat_edit.h"
#include "tests/support/quoted.h"
#include "tests/support/test.h"

#define USER "{'role':'user','content':'hi'}"

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

struct editing {
    const char *before;
    const char *after;
};

static void check(struct arena *arena, const struct chat_edit *edit, const struct editing *cases,
                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct str got;
        struct chat_edit_notes notes;
        struct str body = quoted(arena, cases[i].before);
        assert_int_equal(chat_edit_apply(edit, body, arena, &got, &notes), ST_OK);
        test_assert_str(got, quoted(arena, cases[i].after));
    }
}

static struct edits saying(const char *text, enum edits_mode mode)
{
    return (struct edits){.prompt = {str_from(text), (int)mode}};
}

static void nothing_configured_is_the_same_body(void **state)
{
    struct edits none = {0};
    struct chat_edit edit = {&none, NULL, NULL};
    struct chat_edit_notes notes;
    struct str body = STR("{ }");
    struct str got;

    assert_int_equal(chat_edit_apply(&edit, body, *state, &got, &notes), ST_OK);

    assert_ptr_equal(got.ptr, body.ptr);
}

static void defaults_fill_what_is_missing(void **state)
{
    static const struct editing cases[] = {
        {"{'messages':[]}", "{'messages':[],'temperature':0.2,'max_tokens':64}"},
        {"{ 'b':1e2 , 'a':[ ] }\n", "{ 'b':1e2 , 'a':[ ] ,'temperature':0.2,'max_tokens':64}\n"},
        {"{'temperature':1.90,'max_tokens':9}", "{'temperature':1.90,'max_tokens':9}"},
        {"{'max_completion_tokens':9,'x':1}",
         "{'max_completion_tokens':9,'x':1,'temperature':0.2}"},
        {"{'temperature': null ,'max_tokens':9}", "{'temperature': 0.2 ,'max_tokens':9}"},
        {"{'max_tokens':null,'max_completion_tokens':9}",
         "{'max_tokens':null,'max_completion_tokens':9,'temperature':0.2}"},
        {"{'x':{'temperature':1,'max_tokens':2}}",
         "{'x':{'temperature':1,'max_tokens':2},'temperature':0.2,'max_tokens':64}"},
    };
    struct edits edits = {
        .params.defaults = {[EDITS_TEMPERATURE] = {true, 0.2}, [EDITS_MAX_TOKENS] = {true, 64}}};
    struct chat_edit edit = {&edits, NULL, NULL};
    check(*state, &edit, cases, sizeof cases / sizeof cases[0]);
}

static void caps_lower_what_is_more_and_stand_in_for_nothing(void **state)
{
    static const struct editing cases[] = {
        {"{'max_tokens': 65,'top_p':0.5,'reasoning_effort':'low'}",
         "{'max_tokens': 64,'top_p':0.5,'reasoning_effort':'low'}"},
        {"{'max_tokens':64,'top_p':0.51,'reasoning_effort':'high'}",
         "{'max_tokens':64,'top_p':0.5,'reasoning_effort':'low'}"},
        {"{'max_completion_tokens':100000}",
         "{'max_completion_tokens':64,'top_p':0.5,'reasoning_effort':'low'}"},
        {"{'max_tokens':99,'max_tokens':1,'max_tokens':99,'top_p':'1','reasoning_effort':7}",
         "{'max_tokens':64,'max_tokens':1,'max_tokens':64,'top_p':0.5,'reasoning_effort':'low'}"},
        {"{'a':1}", "{'a':1,'top_p':0.5,'max_tokens':64,'reasoning_effort':'low'}"},
        {"{'top_\\u0070':1,'max_tokens':1,'reasoning_effort':'n\\u006fne'}",
         "{'top_\\u0070':0.5,'max_tokens':1,'reasoning_effort':'n\\u006fne'}"},
    };
    struct edits edits = {.params.caps = {[EDITS_TOP_P] = {true, 0.5},
                                          [EDITS_MAX_TOKENS] = {true, 64},
                                          [EDITS_REASONING_EFFORT] = {true, 2}}};
    struct chat_edit edit = {&edits, NULL, NULL};
    check(*state, &edit, cases, sizeof cases / sizeof cases[0]);
}

static void the_lower_cap_and_the_categorys_default_win(void **state)
{
    static const struct editing cases[] = {
        {"{'max_tokens':500}", "{'max_tokens':50,'temperature':0.7}"},
        {"{'a':1}", "{'a':1,'temperature':0.7,'max_completion_tokens':50}"},
    };
    struct edits expert = {.params = {.defaults = {[EDITS_TEMPERATURE] = {true, 0.1}},
                                      .caps = {[EDITS_MAX_COMPLETION_TOKENS] = {true, 50}}}};
    struct edits category = {.params = {.defaults = {[EDITS_TEMPERATURE] = {true, 0.7}},
                                        .caps = {[EDITS_MAX_TOKENS] = {true, 80}}}};
    struct chat_edit edit = {&expert, &category, NULL};
    check(*state, &edit, cases, sizeof cases / sizeof cases[0]);
}

static void instructions_come_before_the_clients(void **state)
{
    static const struct editing cases[] = {
        {"{'messages':[" USER "],'z':1}",
         "{'messages':[{'role':'system','content':'E\\n\\nC'}," USER "],'z':1}"},
        {"{'messages':[ {'name':'n', 'content' : 'be \\u0041' ,'role':'system'}, " USER "]}",
         "{'messages':[ {'name':'n', 'content' : 'E\\n\\nC\\n\\nbe \\u0041' ,'role':'system'}, " USER
         "]}"},
        {"{'messages':[" USER ",{'role':'developer','content':[ {'type':'text','text':'x'} ]}]}",
         "{'messages':[" USER ",{'role':'developer','content':[{'type':'text','text':'E\\n\\nC'}, "
         "{'type':'text','text':'x'} ]}]}"},
        {"{'messages':[{'role':'system','content':[]}]}",
         "{'messages':[{'role':'system','content':[{'type':'text','text':'E\\n\\nC'}]}]}"},
        {"{'messages':[{'role':'system','content':null}]}",
         "{'messages':[{'role':'system','content':'E\\n\\nC'}]}"},
        {"{'messages':[{'role':'system','content':''}]}",
         "{'messages':[{'role':'system','content':'E\\n\\nC'}]}"},
        {"{'messages':[{'role':'system'}]}",
         "{'messages':[{'content':'E\\n\\nC','role':'system'}]}"},
        {"{'messages':[{'role':'system','content':'a'},{'role':'system','content':'b'}]}",
         "{'messages':[{'role':'system','content':'E\\n\\nC\\n\\na'},{'role':'system','content':'b'}]"
         "}"},
    };
    struct edits expert = saying("E", EDITS_PREPEND);
    struct edits category = saying("C", EDITS_PREPEND);
    struct chat_edit edit = {&expert, &category, NULL};
    check(*state, &edit, cases, sizeof cases / sizeof cases[0]);
}

static void instructions_come_after_the_clients(void **state)
{
    static const struct editing cases[] = {
        {"{'messages':[{'role':'system','content':'x'}," USER "]}",
         "{'messages':[{'role':'system','content':'E\\n\\nx\\n\\nC'}," USER "]}"},
        {"{'messages':[{'role':'system','content':[{'type':'text','text':'x'}]}]}",
         "{'messages':[{'role':'system','content':[{'type':'text','text':'E'},"
         "{'type':'text','text':'x'},{'type':'text','text':'C'}]}]}"},
        {"{'messages':[{'role':'system','content':[ ]}]}",
         "{'messages':[{'role':'system','content':[{'type':'text','text':'E'}, "
         "{'type':'text','text':'C'}]}]}"},
        {"{'messages':[" USER "]}",
         "{'messages':[{'role':'system','content':'E\\n\\nC'}," USER "]}"},
    };
    struct edits expert = saying("E", EDITS_PREPEND);
    struct edits category = saying("C", EDITS_APPEND);
    struct chat_edit edit = {&expert, &category, NULL};
    check(*state, &edit, cases, sizeof cases / sizeof cases[0]);
}

static void replacing_leaves_none_of_the_clients_system_messages(void **state)
{
    static const struct editing cases[] = {
        {"{'messages':[ {'role':'developer','content':'a','name':'n'} , {'role':'system'} ," USER
         ",{'role':'system','content':[]},{'role':'system','content':'b'} ]}",
         "{'messages':[ {'role':'developer','content':'E \\'quoted\\''} ," USER " ]}"},
        {"{'messages':[" USER "]}",
         "{'messages':[{'role':'system','content':'E \\'quoted\\''}," USER "]}"},
    };
    struct edits expert = saying("E \"quoted\"", EDITS_REPLACE);
    struct chat_edit edit = {&expert, NULL, NULL};
    check(*state, &edit, cases, sizeof cases / sizeof cases[0]);
}

static void notes_say_what_was_done(void **state)
{
    struct edits edits = {.prompt = {STR("a\nb"), EDITS_PREPEND},
                          .params = {.defaults = {[EDITS_TEMPERATURE] = {true, 0.0}},
                                     .caps = {[EDITS_MAX_TOKENS] = {true, 64}}}};
    struct chat_edit edit = {&edits, NULL, NULL};
    struct chat_edit_notes notes;
    struct str got;
    struct str body = quoted(*state, "{'messages':[" USER "],'max_tokens':100}");

    assert_int_equal(chat_edit_apply(&edit, body, *state, &got, &notes), ST_OK);

    assert_int_equal(notes.added, 1U << EDITS_TEMPERATURE);
    assert_int_equal(notes.lowered, 1U << EDITS_MAX_TOKENS);
    assert_int_equal(notes.max_tokens, 64);
    assert_int_equal(notes.text_bytes, 4);
}

static void demonstrations_stand_before_the_last_of_the_users(void **state)
{
    static const struct editing cases[] = {
        {"{'messages':[" USER "]}", "{'messages':[D,D," USER "]}"},
        {"{'messages':[ " USER " , {'role':'assistant','content':'a'}, " USER " ]}",
         "{'messages':[ " USER " , {'role':'assistant','content':'a'}, D,D," USER " ]}"},
        {"{'messages':[{'role':'system','content':'s'}," USER ",{'role':'system','content':'t'}]}",
         "{'messages':[{'role':'system','content':'s'},D,D," USER
         ",{'role':'system','content':'t'}]"
         "}"},
        {"{'messages':[{'role':'system','content':'s'}]}",
         "{'messages':[{'role':'system','content':'s'}]}"},
        {"{'messages':[]}", "{'messages':[]}"},
    };
    const struct demos_picked demos = {2, {STR("D,"), STR("D,")}, {7, 9}, 1};
    struct chat_edit edit = {NULL, NULL, &demos};
    check(*state, &edit, cases, sizeof cases / sizeof cases[0]);
}

static void demonstrations_go_with_instructions(void **state)
{
    static const struct editing cases[] = {
        {"{'messages':[" USER "]}", "{'messages':[{'role':'system','content':'E'},D," USER "]}"},
        {"{'messages':[{'role':'system','content':'s'}," USER ",{'role':'system','content':'t'}]}",
         "{'messages':[{'role':'system','content':'E'},D," USER "]}"},
        {"{'messages':[" USER ",{'role':'system','content':'t'}]}",
         "{'messages':[D," USER ",{'role':'system','content':'E'}]}"},
    };
    const struct demos_picked demos = {1, {STR("D,")}, {7}, 1};
    struct edits edits = saying("E", EDITS_REPLACE);
    struct chat_edit edit = {&edits, NULL, &demos};
    struct chat_edit_notes notes;
    struct str got;
    check(*state, &edit, cases, sizeof cases / sizeof cases[0]);

    struct str body = quoted(*state, cases[0].before);
    assert_int_equal(chat_edit_apply(&edit, body, *state, &got, &notes), ST_OK);
    assert_int_equal(notes.demo_count, 1);
    assert_int_equal(notes.demo_lines[0], 7);
    assert_int_equal(notes.text_bytes, 3);
}

static void many_repeated_members_fit(void **state)
{
    enum {
        REPEATS = 20000
    };
    struct edits edits = {.params.caps = {[EDITS_TOP_P] = {true, 0.123456789012345}}};
    struct chat_edit edit = {&edits, NULL, NULL};
    struct chat_edit_notes notes;
    struct buf body;
    struct str got;
    buf_init(&body, 1 << 20);
    assert_int_equal(buf_append_char(&body, '{'), ST_OK);
    for (int i = 0; i < REPEATS; i++) {
        assert_int_equal(buf_printf(&body, "%s\"top_p\":1", i == 0 ? "" : ","), ST_OK);
    }
    assert_int_equal(buf_append_char(&body, '}'), ST_OK);

    assert_int_equal(chat_edit_apply(&edit, buf_str(&body), *state, &got, &notes), ST_OK);

    assert_true(str_find(got, STR("\"top_p\":1}")) == got.len);
    buf_fini(&body);
}

static void running_out_of_memory_is_said(void **state)
{
    struct edits edits = saying("E", EDITS_PREPEND);
    struct chat_edit edit = {&edits, NULL, NULL};
    struct str body = quoted(*state, "{'messages':[" USER "]}");
    enum status st = ST_NO_MEMORY;
    for (size_t n = 1; st != ST_OK; n++) {
        struct chat_edit_notes notes;
        struct str got;
        struct arena *arena = arena_create(64, ARENA_BYTES);
        assert_non_null(arena);
        mem_fail_at(n, 0);
        st = chat_edit_apply(&edit, body, arena, &got, &notes);
        mem_fail_at(0, 0);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
        assert_true(st == ST_OK || n < 10);
        arena_destroy(arena);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(nothing_configured_is_the_same_body),
        CASE(defaults_fill_what_is_missing),
        CASE(caps_lower_what_is_more_and_stand_in_for_nothing),
        CASE(the_lower_cap_and_the_categorys_default_win),
        CASE(instructions_come_before_the_clients),
        CASE(instructions_come_after_the_clients),
        CASE(replacing_leaves_none_of_the_clients_system_messages),
        CASE(notes_say_what_was_done),
        CASE(demonstrations_stand_before_the_last_of_the_users),
        CASE(demonstrations_go_with_instructions),
        CASE(many_repeated_members_fit),
        CASE(running_out_of_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
