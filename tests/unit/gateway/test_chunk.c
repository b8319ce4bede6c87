/* One chunk of a chat stream: what it says, and what may differ in the next one. */
#include "base/buf.h"
#include "gateway/chunk.h"
#include "tests/support/test.h"

struct chunk_case {
    const char *what;
    const char *data;
    bool is_preamble, is_finished, is_error, is_usage_only, is_plain;
    const char *spans; /* of a plain one: each followed by a bar */
};

static const struct chunk_case CASES[] = {
    {"a role", "{\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}", .is_preamble = true},
    {"empty content", "{\"choices\":[{\"delta\":{\"content\":\"\"}}]}", .is_preamble = true},
    {"text", "{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}", .is_plain = true, .spans = "Hi|"},
    {"text, numbers and names",
     "{\"created\":7,\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],\"id\":\"a\"}",
     .is_plain = true, .spans = "7|Hi|a|"},
    {"an escape", "{\"choices\":[{\"delta\":{\"content\":\"a\\n\"}}]}", .spans = ""},
    {"two choices",
     "{\"choices\":[{\"delta\":{\"content\":\"a\"}},{\"delta\":{\"content\":\"b\"}}]}",
     .spans = ""},
    {"choices twice", "{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"choices\":[]}",
     .spans = ""},
    {"more numbers than there is room for",
     "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,"
     "\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
     .spans = ""},
    {"the end", "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}", .is_finished = true},
    {"an error", "{\"error\":{\"message\":\"no\"}}", .is_error = true},
    {"an error that says nothing", "{\"error\":null}", .spans = ""},
    {"usage alone", "{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}",
     .is_preamble = true, .is_usage_only = true},
};

static void join_spans(const struct chunk *chunk, struct buf *out)
{
    for (size_t i = 0; i < chunk->span_count; i++) {
        assert_int_equal(buf_append(out, (struct str){chunk->spans[i].ptr, chunk->spans[i].len}),
                         ST_OK);
        assert_int_equal(buf_append(out, STR("|")), ST_OK);
    }
}

static void says_what_a_chunk_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const struct chunk_case *c = &CASES[i];
        struct chunk chunk;
        struct buf spans;
        buf_init(&spans, 256);
        assert_int_equal(chunk_read(str_from(c->data), &chunk), ST_OK);
        join_spans(&chunk, &spans);
        struct str expected = str_from(c->spans != NULL ? c->spans : "");
        if (chunk.is_preamble != c->is_preamble || chunk.is_finished != c->is_finished ||
            chunk.is_error != c->is_error || chunk.is_usage_only != c->is_usage_only ||
            chunk.is_plain != c->is_plain || !str_eq(buf_str(&spans), expected)) {
            fail_msg("%s: %d%d%d%d%d, spans '%.*s'", c->what, chunk.is_preamble, chunk.is_finished,
                     chunk.is_error, chunk.is_usage_only, chunk.is_plain, (int)buf_str(&spans).len,
                     buf_str(&spans).ptr);
        }
        buf_fini(&spans);
    }
}

static void refuses_what_is_no_object(void **state)
{
    static const char *const BAD[] = {"", "[]", "1", "{", "{\"a\":}", "{} {}"};
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct chunk chunk;
        assert_int_equal(chunk_read(str_from(BAD[i]), &chunk), ST_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_a_chunk_says),
        cmocka_unit_test(refuses_what_is_no_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
