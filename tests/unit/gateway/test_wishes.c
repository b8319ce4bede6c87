/* What requests ask of their routing: obeyed, or refused with the header's name. */
#include "gateway/wishes.h"
#include "tests/support/snapshot_sample.h"
#include "tests/support/test.h"

struct sample {
    struct snapshot_sample file;
    struct arena *arena;
    struct prompt prompt;
    struct chat_error error;
};

static void set_up(struct sample *s)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(
        snapshot_sample_load(&s->file,
                             STR("experts: {small: {url: 'http://127.0.0.1:9/v1'}, large: {url: "
                                 "'http://127.0.0.1:9/v1'}}\n")),
        ST_OK);
    s->arena = arena_create(1024, 1 << 20);
    assert_non_null(s->arena);
    prompt_from_text(&s->prompt, STR("small"), STR("hi"));
}

static void tear_down(struct sample *s)
{
    arena_destroy(s->arena);
    snapshot_sample_fini(&s->file);
}

static enum status apply(struct sample *s, const struct wishes *w, unsigned allowed)
{
    return wishes_apply(w, allowed, &s->file.snapshot->conf.routes, s->arena, &s->prompt,
                        &s->error);
}

static void wishes_reach_the_prompt(void **state)
{
    struct sample s;
    const struct wishes w = {STR(" large "), STR("small, large"), STR("0.002")};
    (void)state;
    set_up(&s);

    assert_int_equal(apply(&s, &w, WISHES_ALL), ST_OK);

    test_assert_str(s.prompt.model, STR("large"));
    assert_int_equal(s.prompt.permit.ban_count, 2);
    test_assert_str(s.prompt.permit.bans[1], STR("large"));
    assert_true(s.prompt.permit.has_max_price);
    assert_int_equal(s.prompt.permit.max_price_nano_usd, 2000000);
    tear_down(&s);
}

static void without_wishes_nothing_changes(void **state)
{
    struct sample s;
    const struct wishes w = {STR(""), STR(""), STR("")};
    (void)state;
    set_up(&s);

    assert_int_equal(apply(&s, &w, 0), ST_OK);

    test_assert_str(s.prompt.model, STR("small"));
    assert_int_equal(s.prompt.permit.ban_count, 0);
    assert_false(s.prompt.permit.has_max_price);
    tear_down(&s);
}

static void what_is_not_allowed_or_makes_no_sense_is_refused(void **state)
{
    static const struct {
        struct wishes wishes;
        unsigned allowed;
        enum problem problem;
        const char *param;
    } cases[] = {
        {{STR_INIT("large"), {0}, {0}}, 0, PROBLEM_HEADER_FORBIDDEN, "x-expertd-expert"},
        {{{0}, STR_INIT("large"), {0}},
         TENANT_EXPERT | TENANT_MAX_PRICE,
         PROBLEM_HEADER_FORBIDDEN,
         "x-expertd-ban"},
        {{{0}, {0}, STR_INIT("1")},
         TENANT_EXPERT | TENANT_BAN,
         PROBLEM_HEADER_FORBIDDEN,
         "x-expertd-max-price"},
        {{STR_INIT("huge"), {0}, {0}}, WISHES_ALL, PROBLEM_MODEL_NOT_FOUND, "x-expertd-expert"},
        {{{0}, STR_INIT("huge"), {0}}, WISHES_ALL, PROBLEM_BAD_PARAM, "x-expertd-ban"},
        {{{0}, STR_INIT("small,,large"), {0}}, WISHES_ALL, PROBLEM_BAD_PARAM, "x-expertd-ban"},
        {{{0}, {0}, STR_INIT("cheap")}, WISHES_ALL, PROBLEM_BAD_PARAM, "x-expertd-max-price"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sample s;
        set_up(&s);
        assert_int_equal(apply(&s, &cases[i].wishes, cases[i].allowed), ST_INVALID);
        assert_int_equal(s.error.problem, cases[i].problem);
        test_assert_str(s.error.param, str_from(cases[i].param));
        tear_down(&s);
    }
}

static void a_pin_is_held_against_the_allow_list(void **state)
{
    static const struct str allow[] = {STR_INIT("small")};

    struct sample s;
    const struct wishes w = {STR("large"), STR(""), STR("")};
    (void)state;
    set_up(&s);
    s.prompt.permit = (struct permit){.allow = allow, .allow_count = 1};

    assert_int_equal(apply(&s, &w, WISHES_ALL), ST_INVALID);

    assert_int_equal(s.error.problem, PROBLEM_MODEL_NOT_FOUND);
    tear_down(&s);
}

static void amounts_are_exact(void **state)
{
    static const struct {
        const char *text;
        int64_t nano; /* -1: refused */
    } cases[] = {
        {"0", 0},
        {"1", 1000000000},
        {"0.002", 2000000},
        {"0.000000001", 1},
        {"12.5", 12500000000},
        {"999999999.999999999", 999999999999999999},
        {"", -1},
        {".", -1},
        {".5", -1},
        {"1.", -1},
        {"-1", -1},
        {"+1", -1},
        {"1e3", -1},
        {"1,5", -1},
        {"0.0000000001", -1},
        {"1000000000", -1},
        {"1.2.3", -1},
        {"nan", -1},
        {" 1", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t nano = -1;
        enum status st = wishes_read_usd(str_from(cases[i].text), &nano);
        if (nano != cases[i].nano || st != (cases[i].nano < 0 ? ST_INVALID : ST_OK)) {
            fail_msg("\"%s\"", cases[i].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wishes_reach_the_prompt),
        cmocka_unit_test(without_wishes_nothing_changes),
        cmocka_unit_test(what_is_not_allowed_or_makes_no_sense_is_refused),
        cmocka_unit_test(a_pin_is_held_against_the_allow_list),
        cmocka_unit_test(amounts_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
