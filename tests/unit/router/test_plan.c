/* Plans: which attempt comes next, when, and when to stop. */
#include <string.h>

#include "backends/expert.h"
#include "router/plan.h"
#include "tests/support/test.h"

enum {
    EXPERTS = 3,
    FOREVER_MS = 1000000,
};

struct fixture {
    struct arena *arena;
    struct expert experts[EXPERTS];
    struct plan_settings settings;
    struct plan_facts facts;
    struct plan plan;
};

#define OUTCOME(outcome, status)                                                                   \
    {                                                                                              \
        outcome, status, REPLY_ERROR_OTHER, false, -1                                              \
    }

static const struct plan_outcome down = OUTCOME(CALL_CONNECT_FAILED, 0);
static const struct plan_outcome broken = OUTCOME(CALL_OK, 500);
static const struct plan_outcome late = OUTCOME(CALL_FIRST_TOKEN_TIMEOUT, 0);

static void start(struct fixture *f, size_t count)
{
    *f = (struct fixture){
        .arena = arena_create(1024, 65536),
        .settings = {.attempts = 10,
                     .retry_on =
                         1U << PLAN_CONNECT | 1U << PLAN_SERVER_ERROR | 1U << PLAN_RATE_LIMIT,
                     .backoff_ms = 100,
                     .backoff_max_ms = 1000,
                     .retry_after_max_ms = 60000},
        .facts = {.now_ms = 1000, .deadline_ms = FOREVER_MS, .seed = 7, .may_repeat = true},
    };
    assert_non_null(f->arena);
    assert_int_equal(plan_init(&f->plan, f->arena, count, &f->settings), ST_OK);
    for (size_t i = 0; i < count; i++) {
        f->plan.experts[i] = &f->experts[i];
    }
}

/* "0" for the first expert now, "w1" for the second after a wait, "." for the end. */
static void show(const struct fixture *f, struct plan_step step, char text[4])
{
    size_t at = 0;
    if (step.verb == PLAN_WAIT) {
        text[at++] = 'w';
    }
    text[at++] = step.verb == PLAN_STOP ? '.' : (char)('0' + (step.expert - f->experts));
    text[at] = '\0';
}

/* All the steps after the same outcome, time standing still. */
static void assert_steps(struct fixture *f, const struct plan_outcome *outcome, const char *want)
{
    char got[64] = "";
    char text[4];
    struct plan_step step = plan_first(&f->plan, &f->facts);
    for (size_t i = 0; i < 12; i++) {
        show(f, step, text);
        (void)strncat(got, text, sizeof got - strlen(got) - 1);
        if (step.verb == PLAN_STOP) {
            break;
        }
        step = plan_next(&f->plan, outcome, &f->facts);
    }
    assert_string_equal(got, want);
    arena_destroy(f->arena);
}

static void causes_follow_from_outcomes(void **state)
{
    static const struct {
        struct plan_outcome outcome;
        enum plan_cause cause;
    } cases[] = {
        {OUTCOME(CALL_OK, 200), PLAN_FINAL},
        {OUTCOME(CALL_OK, 301), PLAN_FINAL},
        {OUTCOME(CALL_OK, 400), PLAN_FINAL},
        {OUTCOME(CALL_OK, 401), PLAN_FINAL},
        {OUTCOME(CALL_OK, 403), PLAN_FINAL},
        {OUTCOME(CALL_OK, 404), PLAN_FINAL},
        {OUTCOME(CALL_OK, 405), PLAN_FINAL},
        {OUTCOME(CALL_OK, 408), PLAN_TIMEOUT},
        {OUTCOME(CALL_OK, 413), PLAN_FINAL},
        {OUTCOME(CALL_OK, 422), PLAN_FINAL},
        {OUTCOME(CALL_OK, 429), PLAN_RATE_LIMIT},
        {OUTCOME(CALL_OK, 499), PLAN_FINAL},
        {OUTCOME(CALL_OK, 500), PLAN_SERVER_ERROR},
        {OUTCOME(CALL_OK, 503), PLAN_SERVER_ERROR},
        {OUTCOME(CALL_OK, 599), PLAN_SERVER_ERROR},
        {OUTCOME(CALL_CONNECT_FAILED, 0), PLAN_CONNECT},
        {OUTCOME(CALL_CONNECT_TIMEOUT, 0), PLAN_CONNECT},
        {OUTCOME(CALL_FIRST_TOKEN_TIMEOUT, 0), PLAN_TIMEOUT},
        {OUTCOME(CALL_IDLE_TIMEOUT, 200), PLAN_TIMEOUT},
        {OUTCOME(CALL_TOTAL_TIMEOUT, 200), PLAN_TIMEOUT},
        {OUTCOME(CALL_CUT, 200), PLAN_CUT},
        {OUTCOME(CALL_TOO_BIG, 200), PLAN_BAD_REPLY},
        {OUTCOME(CALL_BAD_REPLY, 0), PLAN_BAD_REPLY},
        {OUTCOME(CALL_NO_MEMORY, 0), PLAN_FINAL},
        {OUTCOME(CALL_CANCELLED, 0), PLAN_FINAL},
        {{CALL_CUT, 200, REPLY_ERROR_OTHER, true, -1}, PLAN_FINAL},
        {{CALL_OK, 503, REPLY_ERROR_OTHER, true, -1}, PLAN_FINAL},
        {{CALL_OK, 400, REPLY_ERROR_CONTEXT, false, -1}, PLAN_CONTEXT},
        {{CALL_OK, 500, REPLY_ERROR_CONTEXT, false, -1}, PLAN_CONTEXT},
        {{CALL_OK, 400, REPLY_ERROR_FILTER, false, -1}, PLAN_FINAL},
        {{CALL_OK, 500, REPLY_ERROR_FILTER, false, -1}, PLAN_FINAL},
        {{CALL_OK, 429, REPLY_ERROR_QUOTA, false, -1}, PLAN_QUOTA},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (plan_cause_of(&cases[i].outcome) != cases[i].cause) {
            fail_msg("case %zu: %s, status %d", i, call_outcome_text(cases[i].outcome.outcome),
                     cases[i].outcome.http_status);
        }
    }
}

static void experts_are_tried_in_order_until_none_is_left(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, EXPERTS);
    assert_steps(&f, &down, "012.");
}

static void other_experts_come_before_the_same_ones_again(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 2);
    f.settings.retries = 1;
    f.settings.backoff_ms = 0;
    assert_steps(&f, &down, "0101.");
}

static void the_same_expert_comes_first_where_that_is_asked_for(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 2);
    f.settings.retries = 1;
    f.settings.retry_first = true;
    f.settings.backoff_ms = 0;
    assert_steps(&f, &down, "0011.");
}

static void attempts_end_at_their_ceiling(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, EXPERTS);
    f.plan.attempts_max = 2;
    assert_steps(&f, &broken, "01.");
}

static void causes_that_are_not_listed_repeat_nothing_but_fall_over(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 2);
    f.settings.retries = 5;
    assert_steps(&f, &late, "01.");
}

static void a_process_without_budget_repeats_nothing_but_falls_over(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 2);
    f.settings.retries = 5;
    f.facts.may_repeat = false;
    assert_steps(&f, &down, "01.");
}

static void used_up_money_is_not_waited_for(void **state)
{
    static const struct plan_outcome poor = {CALL_OK, 429, REPLY_ERROR_QUOTA, false, -1};
    struct fixture f;
    (void)state;
    start(&f, 2);
    f.settings.retries = 5;
    assert_steps(&f, &poor, "01.");
}

static void the_clients_mistake_ends_the_plan(void **state)
{
    static const struct plan_outcome wrong = OUTCOME(CALL_OK, 400);
    struct fixture f;
    (void)state;
    start(&f, EXPERTS);
    assert_steps(&f, &wrong, "0.");
}

static void a_content_filter_is_not_routed_around(void **state)
{
    static const struct plan_outcome refused = {CALL_OK, 500, REPLY_ERROR_FILTER, false, -1};
    struct fixture f;
    (void)state;
    start(&f, EXPERTS);
    assert_steps(&f, &refused, "0.");
}

static void long_prompts_go_to_experts_with_more_context_only(void **state)
{
    static const struct plan_outcome too_long = {CALL_OK, 400, REPLY_ERROR_CONTEXT, false, -1};

    static const struct {
        int64_t contexts[EXPERTS];
        const char *steps;
    } cases[] = {
        {{8192, 8192, 32768}, "02."}, {{8192, 32768, 131072}, "012."}, {{8192, 4096, 0}, "0."},
        {{0, 8192, 0}, "01."},        {{8192, 131072, 32768}, "01."},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        start(&f, EXPERTS);
        f.settings.retries = 5;
        for (size_t k = 0; k < EXPERTS; k++) {
            f.experts[k].context_tokens = cases[i].contexts[k];
        }
        assert_steps(&f, &too_long, cases[i].steps);
    }
}

static void after_a_long_prompt_small_experts_stay_out(void **state)
{
    static const struct plan_outcome too_long = {CALL_OK, 400, REPLY_ERROR_CONTEXT, false, -1};
    struct fixture f;
    (void)state;
    start(&f, EXPERTS);
    f.experts[0].context_tokens = 8192;
    f.experts[1].context_tokens = 32768;
    f.experts[2].context_tokens = 4096;
    (void)plan_first(&f.plan, &f.facts);
    assert_ptr_equal(plan_next(&f.plan, &too_long, &f.facts).expert, &f.experts[1]);

    assert_int_equal(plan_next(&f.plan, &down, &f.facts).verb, PLAN_STOP);

    arena_destroy(f.arena);
}

static void waits_are_a_random_part_of_a_doubling_time(void **state)
{
    (void)state;
    int64_t longest[3] = {0, 0, 0};
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct fixture f;
        start(&f, 1);
        f.settings.retries = 3;
        f.settings.backoff_max_ms = 300;
        f.facts.seed = seed;
        (void)plan_first(&f.plan, &f.facts);
        for (size_t i = 0; i < 3; i++) {
            struct plan_step step = plan_next(&f.plan, &down, &f.facts);
            int64_t wait_ms = step.at_ms - f.facts.now_ms;
            assert_true(step.is_repeat && wait_ms >= 0);
            longest[i] = wait_ms > longest[i] ? wait_ms : longest[i];
        }
        arena_destroy(f.arena);
    }
    assert_in_range(longest[0], 90, 100);
    assert_in_range(longest[1], 180, 200);
    assert_in_range(longest[2], 270, 300); /* the ceiling */
}

static void the_same_seed_gives_the_same_waits(void **state)
{
    int64_t at_ms[2];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        start(&f, 1);
        f.settings.retries = 1;
        (void)plan_first(&f.plan, &f.facts);
        at_ms[i] = plan_next(&f.plan, &down, &f.facts).at_ms;
        arena_destroy(f.arena);
    }
    assert_int_equal(at_ms[0], at_ms[1]);
}

static void retry_after_is_waited_for_when_nobody_else_is_left(void **state)
{
    static const struct plan_outcome busy = {CALL_OK, 429, REPLY_ERROR_OTHER, false, 2};
    struct fixture f;
    (void)state;
    start(&f, 2);
    f.settings.retries = 1;
    f.settings.retry_first = true; /* gives way to Retry-After */
    (void)plan_first(&f.plan, &f.facts);

    struct plan_step other = plan_next(&f.plan, &busy, &f.facts);
    struct plan_step again = plan_next(&f.plan, &busy, &f.facts);

    assert_int_equal(other.verb, PLAN_TRY);
    assert_ptr_equal(other.expert, &f.experts[1]);
    assert_int_equal(again.verb, PLAN_WAIT);
    assert_in_range(again.at_ms, 3000, 3100);
    arena_destroy(f.arena);
}

static void nothing_is_waited_for_past_the_deadline(void **state)
{
    static const struct plan_outcome busy = {CALL_OK, 429, REPLY_ERROR_OTHER, false, 2};
    struct fixture f;
    (void)state;
    start(&f, 1);
    f.settings.retries = 1;
    f.facts.deadline_ms = 2900;
    (void)plan_first(&f.plan, &f.facts);

    struct plan_step step = plan_next(&f.plan, &busy, &f.facts);

    assert_int_equal(step.verb, PLAN_STOP);
    assert_string_equal(step.why, "deadline");
    arena_destroy(f.arena);
}

static void a_retry_after_that_is_too_long_is_not_waited_for(void **state)
{
    static const struct plan_outcome busy = {CALL_OK, 503, REPLY_ERROR_OTHER, false, 61};
    struct fixture f;
    (void)state;
    start(&f, 1);
    f.settings.retries = 1;
    assert_steps(&f, &busy, "0.");
}

static void whoever_is_ready_first_is_asked_again_first(void **state)
{
    static const struct plan_outcome busy = {CALL_OK, 429, REPLY_ERROR_OTHER, false, 20};
    struct fixture f;
    (void)state;
    start(&f, 2);
    f.settings.retries = 1;
    (void)plan_first(&f.plan, &f.facts);
    (void)plan_next(&f.plan, &busy, &f.facts);

    struct plan_step step = plan_next(&f.plan, &broken, &f.facts);

    assert_ptr_equal(step.expert, &f.experts[1]);
    arena_destroy(f.arena);
}

static void after_the_deadline_nobody_is_asked(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 2);
    f.facts.deadline_ms = f.facts.now_ms;
    assert_steps(&f, &down, "0.");
}

static bool only_the_last(void *ctx, const struct expert *expert, const char **ret_why)
{
    const struct fixture *f = ctx;
    *ret_why = "open";
    return expert == &f->experts[EXPERTS - 1];
}

static void experts_that_may_not_be_tried_are_passed_over(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, EXPERTS);
    f.facts.may_try = only_the_last;
    f.facts.ctx = &f;
    assert_steps(&f, &down, "2.");
}

static void where_nobody_may_be_tried_the_reason_is_told(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 2);
    f.facts.may_try = only_the_last;
    f.facts.ctx = &f;

    struct plan_step step = plan_first(&f.plan, &f.facts);

    assert_int_equal(step.verb, PLAN_STOP);
    assert_string_equal(step.why, "open");
    arena_destroy(f.arena);
}

static void hedges_take_the_next_new_expert(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 2);
    (void)plan_first(&f.plan, &f.facts);

    struct plan_step beside = plan_beside(&f.plan, &f.facts);

    assert_int_equal(beside.verb, PLAN_TRY);
    assert_ptr_equal(beside.expert, &f.experts[1]);
    assert_false(beside.is_repeat);
    arena_destroy(f.arena);
}

static void hedges_of_the_only_expert_go_to_it_again(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 1);
    (void)plan_first(&f.plan, &f.facts);

    struct plan_step beside = plan_beside(&f.plan, &f.facts);

    assert_int_equal(beside.verb, PLAN_TRY);
    assert_ptr_equal(beside.expert, &f.experts[0]);
    assert_true(beside.is_repeat);
    arena_destroy(f.arena);
}

static void hedges_take_no_process_twice(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 1);
    f.experts[0].managed = (struct managed *)&f;
    (void)plan_first(&f.plan, &f.facts);

    assert_int_equal(plan_beside(&f.plan, &f.facts).verb, PLAN_STOP);
    arena_destroy(f.arena);
}

static void hedges_count_as_attempts(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 1);
    (void)plan_first(&f.plan, &f.facts);
    while (plan_beside(&f.plan, &f.facts).verb == PLAN_TRY) {
    }

    assert_int_equal(f.plan.attempts, f.plan.attempts_max);
    arena_destroy(f.arena);
}

static void a_hedge_that_was_not_made_is_as_if_it_was_never_handed_out(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 2);
    (void)plan_first(&f.plan, &f.facts);
    (void)plan_beside(&f.plan, &f.facts);

    plan_take_back(&f.plan);

    assert_int_equal(f.plan.attempts, 1);
    assert_ptr_equal(plan_beside(&f.plan, &f.facts).expert, &f.experts[1]);
    arena_destroy(f.arena);
}

static void who_lost_beside_another_is_not_asked_for_what_it_cannot(void **state)
{
    const struct plan_outcome too_long = {CALL_OK, 400, REPLY_ERROR_CONTEXT, false, -1};
    struct fixture f;
    (void)state;
    start(&f, 2);
    f.experts[0].context_tokens = 4096;
    (void)plan_first(&f.plan, &f.facts);

    plan_lose(&f.plan, &too_long, &f.facts);

    assert_int_equal(f.plan.context_floor, 4096);
    assert_true(f.plan.entries[0].is_out);
    arena_destroy(f.arena);
}

static void first_begins_anew(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 2);
    (void)plan_first(&f.plan, &f.facts);
    (void)plan_next(&f.plan, &down, &f.facts);
    assert_steps(&f, &down, "01.");
}

static void an_empty_plan_has_no_first(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 0);
    assert_steps(&f, &down, ".");
}

static void no_memory_is_reported(void **state)
{
    static const struct plan_settings settings = {.attempts = 3};
    struct plan plan;
    struct arena *arena = arena_create(1024, 1);
    (void)state;

    assert_int_equal(plan_init(&plan, arena, 3, &settings), ST_NO_MEMORY);

    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(causes_follow_from_outcomes),
        cmocka_unit_test(experts_are_tried_in_order_until_none_is_left),
        cmocka_unit_test(other_experts_come_before_the_same_ones_again),
        cmocka_unit_test(the_same_expert_comes_first_where_that_is_asked_for),
        cmocka_unit_test(attempts_end_at_their_ceiling),
        cmocka_unit_test(causes_that_are_not_listed_repeat_nothing_but_fall_over),
        cmocka_unit_test(a_process_without_budget_repeats_nothing_but_falls_over),
        cmocka_unit_test(used_up_money_is_not_waited_for),
        cmocka_unit_test(the_clients_mistake_ends_the_plan),
        cmocka_unit_test(a_content_filter_is_not_routed_around),
        cmocka_unit_test(long_prompts_go_to_experts_with_more_context_only),
        cmocka_unit_test(after_a_long_prompt_small_experts_stay_out),
        cmocka_unit_test(waits_are_a_random_part_of_a_doubling_time),
        cmocka_unit_test(the_same_seed_gives_the_same_waits),
        cmocka_unit_test(retry_after_is_waited_for_when_nobody_else_is_left),
        cmocka_unit_test(nothing_is_waited_for_past_the_deadline),
        cmocka_unit_test(a_retry_after_that_is_too_long_is_not_waited_for),
        cmocka_unit_test(whoever_is_ready_first_is_asked_again_first),
        cmocka_unit_test(after_the_deadline_nobody_is_asked),
        cmocka_unit_test(experts_that_may_not_be_tried_are_passed_over),
        cmocka_unit_test(where_nobody_may_be_tried_the_reason_is_told),
        cmocka_unit_test(hedges_take_the_next_new_expert),
        cmocka_unit_test(hedges_of_the_only_expert_go_to_it_again),
        cmocka_unit_test(hedges_take_no_process_twice),
        cmocka_unit_test(hedges_count_as_attempts),
        cmocka_unit_test(a_hedge_that_was_not_made_is_as_if_it_was_never_handed_out),
        cmocka_unit_test(who_lost_beside_another_is_not_asked_for_what_it_cannot),
        cmocka_unit_test(first_begins_anew),
        cmocka_unit_test(an_empty_plan_has_no_first),
        cmocka_unit_test(no_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
