/* Plans: which attempt comes next, and when to stop. */
#include "backends/expert.h"
#include "router/plan.h"
#include "tests/support/test.h"

enum {
    EXPERTS = 3
};

struct fixture {
    struct arena *arena;
    struct expert experts[EXPERTS];
    struct plan plan;
};

static void start(struct fixture *f, size_t count, size_t attempts_max)
{
    *f = (struct fixture){.arena = arena_create(1024, 65536)};
    assert_non_null(f->arena);
    assert_int_equal(plan_init(&f->plan, f->arena, count, attempts_max), ST_OK);
    for (size_t i = 0; i < count; i++) {
        f->plan.experts[i] = &f->experts[i];
    }
}

static void failures_that_others_may_not_share_are_retryable(void **state)
{
    static const struct {
        struct plan_outcome outcome;
        bool is_retryable;
    } cases[] = {
        {{CALL_OK, 200, false}, false},
        {{CALL_OK, 301, false}, false},
        {{CALL_OK, 400, false}, false},
        {{CALL_OK, 401, false}, false},
        {{CALL_OK, 403, false}, false},
        {{CALL_OK, 404, false}, false},
        {{CALL_OK, 408, false}, true},
        {{CALL_OK, 422, false}, false},
        {{CALL_OK, 429, false}, true},
        {{CALL_OK, 499, false}, false},
        {{CALL_OK, 500, false}, true},
        {{CALL_OK, 503, false}, true},
        {{CALL_OK, 599, false}, true},
        {{CALL_CONNECT_FAILED, 0, false}, true},
        {{CALL_CONNECT_TIMEOUT, 0, false}, true},
        {{CALL_FIRST_TOKEN_TIMEOUT, 0, false}, true},
        {{CALL_IDLE_TIMEOUT, 200, false}, true},
        {{CALL_CUT, 200, false}, true},
        {{CALL_TOO_BIG, 200, false}, true},
        {{CALL_BAD_REPLY, 0, false}, true},
        {{CALL_TOTAL_TIMEOUT, 0, false}, false},
        {{CALL_NO_MEMORY, 0, false}, false},
        {{CALL_CANCELLED, 0, false}, false},
        {{CALL_CUT, 200, true}, false},
        {{CALL_IDLE_TIMEOUT, 200, true}, false},
        {{CALL_OK, 503, true}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (plan_is_retryable(&cases[i].outcome) != cases[i].is_retryable) {
            fail_msg("%s, status %d, committed %d", call_outcome_text(cases[i].outcome.outcome),
                     cases[i].outcome.http_status, cases[i].outcome.is_committed);
        }
    }
}

static void experts_are_tried_in_order_until_none_is_left(void **state)
{
    static const struct plan_outcome down = {CALL_CONNECT_FAILED, 0, false};
    struct fixture f;
    (void)state;
    start(&f, EXPERTS, 10);

    assert_ptr_equal(plan_first(&f.plan), &f.experts[0]);
    assert_ptr_equal(plan_next(&f.plan, &down), &f.experts[1]);
    assert_ptr_equal(plan_next(&f.plan, &down), &f.experts[2]);
    assert_null(plan_next(&f.plan, &down));
    assert_int_equal(f.plan.attempts, 3);

    arena_destroy(f.arena);
}

static void attempts_end_at_their_ceiling(void **state)
{
    static const struct plan_outcome down = {CALL_OK, 500, false};
    struct fixture f;
    (void)state;
    start(&f, EXPERTS, 2);

    assert_non_null(plan_first(&f.plan));
    assert_non_null(plan_next(&f.plan, &down));
    assert_null(plan_next(&f.plan, &down));

    arena_destroy(f.arena);
}

static void the_clients_mistake_ends_the_plan(void **state)
{
    static const struct plan_outcome wrong = {CALL_OK, 400, false};
    struct fixture f;
    (void)state;
    start(&f, EXPERTS, 10);

    assert_non_null(plan_first(&f.plan));
    assert_null(plan_next(&f.plan, &wrong));

    arena_destroy(f.arena);
}

static void first_begins_anew(void **state)
{
    static const struct plan_outcome down = {CALL_CUT, 200, false};
    struct fixture f;
    (void)state;
    start(&f, 2, 2);
    assert_non_null(plan_first(&f.plan));
    assert_non_null(plan_next(&f.plan, &down));

    assert_ptr_equal(plan_first(&f.plan), &f.experts[0]);
    assert_ptr_equal(plan_next(&f.plan, &down), &f.experts[1]);

    arena_destroy(f.arena);
}

static void an_empty_plan_has_no_first(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 0, 3);

    assert_null(plan_first(&f.plan));

    arena_destroy(f.arena);
}

static void no_memory_is_reported(void **state)
{
    struct plan plan;
    struct arena *arena = arena_create(1024, 1);
    (void)state;

    assert_int_equal(plan_init(&plan, arena, 3, 3), ST_NO_MEMORY);

    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_that_others_may_not_share_are_retryable),
        cmocka_unit_test(experts_are_tried_in_order_until_none_is_left),
        cmocka_unit_test(attempts_end_at_their_ceiling),
        cmocka_unit_test(the_clients_mistake_ends_the_plan),
        cmocka_unit_test(first_begins_anew),
        cmocka_unit_test(an_empty_plan_has_no_first),
        cmocka_unit_test(no_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
