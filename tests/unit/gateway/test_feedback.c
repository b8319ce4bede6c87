/* Feedback: what its body may say, and that its rows come back as they were written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "gateway/feedback.h"
#include "gateway/state.h"
#include "tests/support/test.h"

enum {
    ARENA_BYTES = 65536,
};

static enum status parse(const char *body, struct arena *arena, struct feedback *f,
                         struct chat_error *error)
{
    *error = (struct chat_error){PROBLEM_NONE, STR(""), STR("")};
    return feedback_parse(str_from(body), arena, f, error);
}

static void all_members_are_read(void **state)
{
    struct feedback f;
    struct chat_error error;
    struct arena *arena = arena_create(1024, ARENA_BYTES);
    (void)state;

    assert_int_equal(
        parse("{\"request_id\":\"req_1\",\"category\":\"m\\u0065d\",\"rating\":\"bad\","
              "\"expert\":\"e\",\"scores\":{\"a\":0,\"b\":1}}",
              arena, &f, &error),
        ST_OK);

    test_assert_str(f.request_id, STR("req_1"));
    assert_false(f.has_prompt);
    test_assert_str(f.category, STR("med"));
    test_assert_str(f.rating, STR("bad"));
    test_assert_str(f.expert, STR("e"));
    assert_int_equal(f.score_count, 2);
    test_assert_str(f.scores[1].expert, STR("b"));
    assert_int_equal(f.scores[1].value, 1);
    arena_destroy(arena);
}

static void bodies_that_do_not_fit_are_refused_with_the_member(void **state)
{
    static const struct {
        const char *body;
        enum problem problem;
        const char *param;
    } cases[] = {
        {"", PROBLEM_BAD_JSON, ""},
        {"[]", PROBLEM_BAD_JSON, ""},
        {"{\"request_id\":\"r\",\"rating\":\"good\"", PROBLEM_BAD_JSON, ""},
        {"{\"request_id\":\"r\",\"rating\":\"good\"} {}", PROBLEM_BAD_JSON, ""},
        {"{}", PROBLEM_MISSING_PARAM, "request_id"},
        {"{\"rating\":\"good\"}", PROBLEM_MISSING_PARAM, "request_id"},
        {"{\"request_id\":\"r\"}", PROBLEM_MISSING_PARAM, "category"},
        {"{\"request_id\":\"r\",\"scores\":{}}", PROBLEM_MISSING_PARAM, "category"},
        {"{\"request_id\":\"r\",\"prompt\":\"p\",\"rating\":\"good\"}", PROBLEM_BAD_PARAM,
         "request_id"},
        {"{\"request_id\":7,\"rating\":\"good\"}", PROBLEM_BAD_PARAM, "request_id"},
        {"{\"request_id\":\"\",\"rating\":\"good\"}", PROBLEM_BAD_PARAM, "request_id"},
        {"{\"prompt\":[\"p\"],\"rating\":\"good\"}", PROBLEM_BAD_PARAM, "prompt"},
        {"{\"request_id\":\"r\",\"rating\":\"great\"}", PROBLEM_BAD_PARAM, "rating"},
        {"{\"request_id\":\"r\",\"rating\":\"good\",\"rating\":\"bad\"}", PROBLEM_BAD_PARAM,
         "rating"},
        {"{\"request_id\":\"r\",\"scores\":[1]}", PROBLEM_BAD_PARAM, "scores"},
        {"{\"request_id\":\"r\",\"scores\":{\"a\":2}}", PROBLEM_BAD_PARAM, "scores"},
        {"{\"request_id\":\"r\",\"scores\":{\"a\":1.0}}", PROBLEM_BAD_PARAM, "scores"},
        {"{\"request_id\":\"r\",\"scores\":{\"a\":true}}", PROBLEM_BAD_PARAM, "scores"},
        {"{\"request_id\":\"r\",\"scores\":{\"a\":1,\"a\":0}}", PROBLEM_BAD_PARAM, "scores"},
        {"{\"request_id\":\"r\",\"comment\":\"secret\"}", PROBLEM_BAD_PARAM, "comment"},
        {"{\"request_id\":\"r\",\"text\":\"secret\"}", PROBLEM_BAD_PARAM, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct feedback f;
        struct chat_error error;
        struct arena *arena = arena_create(1024, ARENA_BYTES);
        assert_int_equal(parse(cases[i].body, arena, &f, &error), ST_INVALID);
        assert_int_equal(error.problem, cases[i].problem);
        test_assert_str(error.param, str_from(cases[i].param));
        assert_int_equal(str_find(error.message, STR("secret")), error.message.len);
        arena_destroy(arena);
    }
}

static void memory_runs_out_cleanly(void **state)
{
    struct feedback f;
    struct chat_error error;
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct arena *arena = arena_create(16, ARENA_BYTES);
        mem_fail_at(n, 1);
        enum status st =
            parse("{\"prompt\":\"\\u0041 prompt\",\"rating\":\"goo\\u0064\"}", arena, &f, &error);
        mem_fail_at(0, 0);
        arena_destroy(arena);
        if (st == ST_OK) {
            assert_true(n > 1);
            return;
        }
        assert_int_equal(st, ST_NO_MEMORY);
    }
}

/* ---------------------------------------------------------------- rows */

struct file {
    char folder[64];
    char path[128];
    struct db *db;
};

static int set_up(void **state)
{
    char why[DB_WHY_BYTES];
    struct file *f = mem_zalloc(1, sizeof *f);
    assert_non_null(f);
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/expertd-feedback-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/a.db", f->folder);
    assert_int_equal(state_open_file(f->path, DB_WRITE, &f->db, why), ST_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct file *f = *state;
    db_close(f->db);
    (void)unlink(f->path);
    (void)rmdir(f->folder);
    mem_free(f);
    return 0;
}

struct seen {
    size_t count;
    struct feedback_row last; /* its numbers; texts are gone */
    char rating[8];
    uint32_t hashes[4];
};

static enum status see(void *ctx, const struct feedback_row *row)
{
    struct seen *seen = ctx;
    seen->count++;
    seen->last = *row;
    (void)snprintf(seen->rating, sizeof seen->rating, "%.*s", STR_ARG(row->rating));
    for (size_t i = 0; i < row->hash_count && i < 4; i++) {
        seen->hashes[i] = row->hashes[i];
    }
    return ST_OK;
}

static void a_row_comes_back_as_it_was_written(void **state)
{
    static const uint32_t hashes[] = {0, 1, 0x80000000U, UINT32_MAX};

    struct file *f = *state;
    struct seen seen = {0};
    struct feedback_row row = {.request_id = STR("req_1"),
                               .created_s = 1234567890123,
                               .rating = STR("bad"),
                               .confidence = 0.25,
                               .hashes = hashes,
                               .hash_count = 4};

    assert_int_equal(feedback_write(f->db, &row), ST_OK);
    assert_int_equal(feedback_each(f->db, see, &seen), ST_OK);

    assert_int_equal(seen.count, 1);
    assert_true(seen.last.created_s == 1234567890123);
    assert_int_equal(seen.last.category.len, 0);
    assert_string_equal(seen.rating, "bad");
    assert_true(seen.last.confidence >= 0.25 && seen.last.confidence <= 0.25);
    assert_int_equal(seen.last.hash_count, 4);
    assert_memory_equal(seen.hashes, hashes, sizeof hashes);
}

static void the_last_word_about_a_request_counts(void **state)
{
    struct file *f = *state;
    struct seen seen = {0};
    struct feedback_row row = {.request_id = STR("req_1"), .rating = STR("good")};
    assert_int_equal(feedback_write(f->db, &row), ST_OK);
    row.rating = STR("bad");

    assert_int_equal(feedback_write(f->db, &row), ST_OK);

    assert_int_equal(feedback_each(f->db, see, &seen), ST_OK);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.rating, "bad");
}

static void features_of_another_scheme_are_left_out(void **state)
{
    static const uint32_t hashes[] = {7};

    struct file *f = *state;
    struct seen seen = {0};
    struct feedback_row row = {.request_id = STR("r"), .hashes = hashes, .hash_count = 1};
    assert_int_equal(feedback_write(f->db, &row), ST_OK);
    assert_int_equal(db_exec(f->db, "UPDATE feedback SET scheme = 99"), ST_OK);

    assert_int_equal(feedback_each(f->db, see, &seen), ST_OK);

    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.hash_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_members_are_read),
        cmocka_unit_test(bodies_that_do_not_fit_are_refused_with_the_member),
        cmocka_unit_test(memory_runs_out_cleanly),
        cmocka_unit_test_setup_teardown(a_row_comes_back_as_it_was_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_word_about_a_request_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(features_of_another_scheme_are_left_out, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
