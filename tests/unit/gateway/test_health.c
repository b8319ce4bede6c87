/* How experts are: what attempts say of them, places that many threads take, and that waiters get each
 * place exactly once. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "backends/expert.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/mem.h"
#include "gateway/health.h"
#include "tests/support/test.h"

enum {
    S = 1000000, /* a second, in us */
    THREADS = 4,
    TRIES = 2000,
};

static struct expert expert_of(const char *name)
{
    return (struct expert){
        .id.name = str_from(name),
        .url = STR("http://127.0.0.1:1/v1"),
        .limits = {.breaker = {.failures = 2,
                               .open_ms = 1000,
                               .open_max_ms = 60000,
                               .half_open = 1,
                               .cool_down = true}},
    };
}

struct setting {
    struct healths *all;
    struct health *health;
};

static struct setting set_up(const struct expert *e)
{
    struct setting s = {healths_create(), NULL};
    assert_int_equal(healths_join(s.all, e, 1, &s.health), ST_OK);
    healths_use(s.all, e, 1, &s.health);
    return s;
}

static enum health_entry attempt(struct health *h, int64_t now_us, enum call_outcome outcome,
                                 int http_status, int64_t retry_after_s)
{
    const struct health_result result = {outcome, http_status, retry_after_s, 1000, false};
    struct health_pass pass;
    enum health_entry entry = health_enter(h, now_us, NULL, &pass);
    if (entry == HEALTH_IN) {
        health_leave(&pass, now_us, &result);
    }
    return entry;
}

static void what_counts_against_an_expert(void **state)
{
    static const struct {
        enum call_outcome outcome;
        int http_status;
        bool counts;
    } rows[] = {
        {CALL_CONNECT_FAILED, 0, true},
        {CALL_CONNECT_TIMEOUT, 0, true},
        {CALL_FIRST_TOKEN_TIMEOUT, 0, true},
        {CALL_IDLE_TIMEOUT, 200, true},
        {CALL_TOTAL_TIMEOUT, 200, true},
        {CALL_CUT, 200, true},
        {CALL_BAD_REPLY, 0, true},
        {CALL_OK, 500, true},
        {CALL_OK, 503, true},
        {CALL_OK, 200, false},
        {CALL_OK, 400, false},
        {CALL_OK, 401, false},
        {CALL_OK, 422, false},
        {CALL_OK, 429, false},
        {CALL_TOO_BIG, 200, false},
        {CALL_NO_MEMORY, 0, false},
        {CALL_CANCELLED, 0, false},
        {CALL_CANCELLED, 200, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct expert e = expert_of("main");
        struct setting s = set_up(&e);
        for (int k = 0; k < 2; k++) {
            (void)attempt(s.health, S, rows[i].outcome, rows[i].http_status, -1);
        }
        if (health_is_plain(s.health) == rows[i].counts) {
            fail_msg("row %zu", i);
        }
        healths_destroy(s.all);
    }
}

static void retry_after_shuts_it_for_so_long(void **state)
{
    struct expert e = expert_of("main");
    struct setting s = set_up(&e);
    struct policy_health facts = {0};
    (void)state;
    assert_int_equal(attempt(s.health, S, CALL_OK, 429, 3), HEALTH_IN);
    assert_int_equal(attempt(s.health, 3 * S, CALL_OK, 200, -1), HEALTH_SHUT);
    health_look(s.health, 3 * S, &facts);
    assert_string_equal(facts.why, "it asked for time");
    assert_int_equal(facts.opens_ms, 1000);
    assert_int_equal(health_retry_s(s.health, 3 * S), 1);
    assert_int_equal(attempt(s.health, 4 * S, CALL_OK, 200, -1), HEALTH_IN);
    assert_true(health_is_plain(s.health));
    healths_destroy(s.all);
}

static void a_reload_forgives_nothing(void **state)
{
    struct expert e[] = {expert_of("main"), expert_of("other")};
    struct setting s = set_up(&e[0]);
    struct health *after[2] = {NULL, NULL};
    (void)state;
    (void)attempt(s.health, S, CALL_CUT, 200, -1);
    (void)attempt(s.health, S, CALL_CUT, 200, -1);
    assert_int_equal(healths_join(s.all, e, 2, after), ST_OK);
    healths_use(s.all, e, 2, after);
    assert_ptr_equal(after[0], s.health);
    assert_int_equal(attempt(after[0], S, CALL_OK, 200, -1), HEALTH_SHUT);
    assert_int_equal(attempt(after[1], S, CALL_OK, 200, -1), HEALTH_IN);
    e[0].url = STR("http://127.0.0.1:2/v1"); /* another one of that name */
    assert_int_equal(healths_join(s.all, e, 2, after), ST_OK);
    assert_ptr_not_equal(after[0], s.health);
    healths_destroy(s.all);
}

/* A reload that fails has joined, and is not used. */
static void who_only_joins_changes_nothing(void **state)
{
    struct expert e = expert_of("main");
    struct expert easy = expert_of("main");
    struct setting s = set_up(&e);
    struct health *after = NULL;
    (void)state;
    easy.limits.breaker.failures = 100;
    assert_int_equal(healths_join(s.all, &easy, 1, &after), ST_OK);
    healths_leave(&after, 1);
    (void)attempt(s.health, S, CALL_CUT, 200, -1);
    (void)attempt(s.health, S, CALL_CUT, 200, -1);
    assert_int_equal(attempt(s.health, S, CALL_OK, 200, -1), HEALTH_SHUT);
    healths_destroy(s.all);
}

static void who_is_gone_for_long_is_forgotten(void **state)
{
    struct expert e = expert_of("main");
    struct setting s = set_up(&e);
    struct health *h = NULL;
    char name[32];
    (void)state;
    (void)attempt(s.health, S, CALL_CUT, 200, -1);
    (void)attempt(s.health, S, CALL_CUT, 200, -1);
    healths_leave(&s.health, 1);
    for (int i = 0; i < 100; i++) {
        struct expert other = expert_of("x");
        (void)snprintf(name, sizeof name, "other%d", i);
        other.id.name = str_from(name);
        assert_int_equal(healths_join(s.all, &other, 1, &h), ST_OK);
        healths_leave(&h, 1);
        healths_sweep(s.all);
    }
    assert_int_equal(healths_join(s.all, &e, 1, &h), ST_OK);
    healths_use(s.all, &e, 1, &h);
    assert_int_equal(attempt(h, S, CALL_OK, 200, -1), HEALTH_IN);
    healths_destroy(s.all);
}

static void probes_shut_it_and_bring_it_back(void **state)
{
    struct expert e = expert_of("main");
    (void)state;
    e.limits.probe = (struct limits_probe){.path = STR("/health"), .unhealthy = 3, .healthy = 2};
    struct setting s = set_up(&e);
    (void)health_probed(s.health, 0, false);
    (void)health_probed(s.health, 0, false);
    (void)health_probed(s.health, 0, true);
    (void)health_probed(s.health, 0, false);
    (void)health_probed(s.health, 0, false);
    assert_int_equal(attempt(s.health, S, CALL_OK, 200, -1), HEALTH_IN);
    (void)health_probed(s.health, 0, false);
    assert_int_equal(attempt(s.health, S, CALL_OK, 200, -1), HEALTH_SHUT);
    (void)health_probed(s.health, 0, true);
    assert_int_equal(attempt(s.health, S, CALL_OK, 200, -1), HEALTH_SHUT);
    (void)health_probed(s.health, 0, true);
    assert_int_equal(attempt(s.health, S, CALL_OK, 200, -1), HEALTH_IN);
    healths_destroy(s.all);
}

static void a_probe_closes_the_breaker_in_the_place_of_a_request(void **state)
{
    struct expert e = expert_of("main");
    (void)state;
    e.limits.probe = (struct limits_probe){.path = STR("/health"), .unhealthy = 9, .healthy = 1};
    e.limits.breaker.open_ms = 1000;
    struct setting s = set_up(&e);
    for (int i = 0; i < e.limits.breaker.failures; i++) {
        assert_int_equal(attempt(s.health, S, CALL_OK, 500, -1), HEALTH_IN);
    }
    (void)health_probed(s.health, S + 1, true); /* too early */
    assert_int_equal(attempt(s.health, 5 * S, CALL_OK, 200, -1), HEALTH_SHUT);
    (void)health_probed(s.health, 5 * S, false);
    (void)health_probed(s.health, 5 * S + 1, true);
    assert_int_equal(attempt(s.health, 5 * S + 2, CALL_OK, 200, -1), HEALTH_SHUT);

    (void)health_probed(s.health, 20 * S, true);

    assert_int_equal(attempt(s.health, 20 * S, CALL_OK, 200, -1), HEALTH_IN);
    healths_destroy(s.all);
}

static void who_was_outrun_counts_as_slow_and_not_as_broken(void **state)
{
    const struct health_result outrun = {CALL_CANCELLED, 0, -1, 900000, true};
    struct expert e = expert_of("main");
    (void)state;
    struct setting s = set_up(&e);
    for (int i = 0; i < 18; i++) {
        assert_int_equal(attempt(s.health, S, CALL_OK, 200, -1), HEALTH_IN);
    }
    assert_in_range(health_p95_us(s.health), 1000, 1200);
    for (int i = 0; i < 18; i++) {
        struct health_pass pass;
        assert_int_equal(health_enter(s.health, S, NULL, &pass), HEALTH_IN);
        health_leave(&pass, S, &outrun);
    }

    assert_true(health_p95_us(s.health) >= 900000);
    assert_true(health_is_plain(s.health));
    healths_destroy(s.all);
}

static void p95_is_not_told_of_a_few_answers(void **state)
{
    struct expert e = expert_of("main");
    (void)state;
    struct setting s = set_up(&e);
    for (int i = 0; i < 15; i++) {
        assert_int_equal(attempt(s.health, S, CALL_OK, 200, -1), HEALTH_IN);
    }

    assert_int_equal(health_p95_us(s.health), 0);
    healths_destroy(s.all);
}

/* ---------------------------------------------------------------- waiting */

struct guest {
    struct health_waiter waiter;
    int told;
};

static void on_done(struct health_waiter *w)
{
    CONTAINER_OF(w, struct guest, waiter)->told++;
}

static struct guest guest_of(struct loop *loop, uint64_t flow, int64_t weight)
{
    return (struct guest){.waiter = {.item = {.flow = flow, .weight = weight, .cost = 1},
                                     .loop = loop,
                                     .done = on_done}};
}

static void the_queue_is_bounded_and_the_least_important_give_way(void **state)
{
    struct loop *loop = loop_create(clock_system());
    struct expert e = expert_of("main");
    (void)state;
    e.limits.concurrency.max = 1;
    e.limits.queue = 2;
    struct setting s = set_up(&e);
    struct guest guests[4] = {guest_of(loop, 1, 1), guest_of(loop, 1, 1), guest_of(loop, 1, 1),
                              guest_of(loop, 2, 4)};
    struct health_pass pass;
    assert_int_equal(health_enter(s.health, S, NULL, &pass), HEALTH_IN);
    assert_int_equal(health_enter(s.health, S, &guests[0].waiter, &pass), HEALTH_QUEUED);
    assert_int_equal(health_enter(s.health, S, &guests[1].waiter, &pass), HEALTH_QUEUED);
    assert_int_equal(health_enter(s.health, S, &guests[2].waiter, &pass), HEALTH_FULL);
    assert_int_equal(health_enter(s.health, S, &guests[3].waiter, &pass), HEALTH_QUEUED);
    (void)loop_turn(loop, 0);
    assert_int_equal(guests[1].told, 1);
    assert_int_equal(guests[1].waiter.verdict, HEALTH_FULL);
    assert_true(health_cancel(s.health, &guests[0].waiter));
    assert_true(health_cancel(s.health, &guests[3].waiter));
    assert_false(health_cancel(s.health, &guests[1].waiter));
    healths_destroy(s.all);
    loop_destroy(loop);
}

static void a_breaker_that_opens_sends_the_queue_away(void **state)
{
    struct loop *loop = loop_create(clock_system());
    struct expert e = expert_of("main");
    const struct health_result cut = {CALL_CUT, 200, -1, 0, false};
    (void)state;
    e.limits.concurrency.max = 1;
    e.limits.queue = 2;
    e.limits.breaker.failures = 1;
    struct setting s = set_up(&e);
    struct guest guests[2] = {guest_of(loop, 1, 1), guest_of(loop, 2, 1)};
    struct health_pass pass;
    assert_int_equal(health_enter(s.health, S, NULL, &pass), HEALTH_IN);
    assert_int_equal(health_enter(s.health, S, &guests[0].waiter, &pass), HEALTH_QUEUED);
    assert_int_equal(health_enter(s.health, S, &guests[1].waiter, &pass), HEALTH_QUEUED);
    health_leave(&pass, S, &cut);
    (void)loop_turn(loop, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(guests[i].told, 1);
        assert_int_equal(guests[i].waiter.verdict, HEALTH_SHUT);
    }
    healths_destroy(s.all);
    loop_destroy(loop);
}

/* Threads with a loop each, as workers: every place is held by one at a time, whoever waits is told
 * once, and at the end nobody holds any. */
struct visitor {
    struct health *health;
    struct loop *loop;
    atomic_int *inside;
    atomic_int *most;
    uint64_t seed;
    pthread_t thread;
};

static void enter_room(const struct visitor *v)
{
    int now = atomic_fetch_add(v->inside, 1) + 1;
    int most = atomic_load(v->most);
    while (now > most && !atomic_compare_exchange_weak(v->most, &most, now)) {
    }
}

static void *visit(void *arg)
{
    struct visitor *v = arg;
    const struct health_result fine = {CALL_OK, 200, -1, 1000, false};
    for (int i = 0; i < TRIES; i++) {
        struct guest guest = guest_of(v->loop, v->seed % 3, 1);
        struct health_pass pass;
        v->seed = v->seed * 6364136223846793005U + 1;
        enum health_entry entry = health_enter(v->health, S, &guest.waiter, &pass);
        bool leaves = entry == HEALTH_QUEUED && (v->seed >> 40) % 3 == 0 &&
                      health_cancel(v->health, &guest.waiter);
        while (entry == HEALTH_QUEUED && !leaves && guest.told == 0) {
            (void)loop_turn(v->loop, -1);
        }
        pass = entry == HEALTH_IN ? pass : guest.waiter.pass;
        if (entry != HEALTH_FULL && !leaves) {
            enter_room(v);
            (void)atomic_fetch_sub(v->inside, 1);
            health_leave(&pass, S, &fine);
        }
    }
    return NULL;
}

static void many_threads_share_the_places(void **state)
{
    struct expert e = expert_of("main");
    struct visitor visitors[THREADS];
    atomic_int inside = 0;
    atomic_int most = 0;
    (void)state;
    e.limits.concurrency.max = 2;
    e.limits.queue = 100;
    struct setting s = set_up(&e);
    for (size_t i = 0; i < THREADS; i++) {
        visitors[i] =
            (struct visitor){s.health, loop_create(clock_system()), &inside, &most, i + 1, 0};
        assert_int_equal(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(visitors[i].thread, NULL), 0);
        loop_destroy(visitors[i].loop);
    }
    assert_true(atomic_load(&most) <= 2);
    struct buf page;
    buf_init(&page, 65536);
    assert_int_equal(healths_write_json(s.all, S, &page), ST_OK);
    assert_int_equal(buf_append_char(&page, '\0'), ST_OK);
    assert_non_null(strstr(page.data, "\"in_flight\":0,\"limit\":2,\"queued\":0"));
    buf_fini(&page);
    healths_destroy(s.all);
}

static void a_kernel_that_is_stuck_is_shut_until_it_is_not(void **state)
{
    struct expert e = expert_of("main");
    struct setting s = set_up(&e);
    struct policy_health facts = {0};
    struct health_pass pass;
    struct buf page;
    (void)state;
    buf_init(&page, 100000);

    assert_true(health_note_stuck(s.health, S, true));
    assert_false(health_note_stuck(s.health, S, true)); /* no news */
    assert_false(health_is_plain(s.health));
    assert_int_equal(health_enter(s.health, S, NULL, &pass), HEALTH_SHUT);
    health_look(s.health, S, &facts);
    assert_string_equal(facts.why, "a call to it does not return");
    assert_int_equal(facts.opens_ms, -1);
    assert_int_equal(healths_write_json(s.all, S, &page), ST_OK);
    assert_int_equal(healths_write_metrics(s.all, S, &page), ST_OK);
    assert_int_equal(buf_append_char(&page, '\0'), ST_OK);
    assert_non_null(strstr(page.data, "\"stuck\":true,"));
    assert_non_null(strstr(page.data, "\nexpertd_expert_stuck{expert=\"main\"} 1\n"));

    assert_true(health_note_stuck(s.health, 2 * S, false));
    assert_true(health_is_plain(s.health));
    assert_int_equal(attempt(s.health, 2 * S, CALL_OK, 200, -1), HEALTH_IN);
    buf_fini(&page);
    healths_destroy(s.all);
}

static void short_of_memory_it_says_so(void **state)
{
    struct expert e = expert_of("main");
    struct health *h = NULL;
    (void)state;
    mem_fail_at(1, 0);
    assert_null(healths_create());
    struct healths *all = healths_create();
    mem_fail_at(1, 0);
    assert_int_equal(healths_join(all, &e, 1, &h), ST_NO_MEMORY);
    mem_fail_at(0, 0);
    healths_destroy(all);
    healths_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_counts_against_an_expert),
        cmocka_unit_test(retry_after_shuts_it_for_so_long),
        cmocka_unit_test(a_reload_forgives_nothing),
        cmocka_unit_test(who_only_joins_changes_nothing),
        cmocka_unit_test(who_is_gone_for_long_is_forgotten),
        cmocka_unit_test(probes_shut_it_and_bring_it_back),
        cmocka_unit_test(a_probe_closes_the_breaker_in_the_place_of_a_request),
        cmocka_unit_test(who_was_outrun_counts_as_slow_and_not_as_broken),
        cmocka_unit_test(p95_is_not_told_of_a_few_answers),
        cmocka_unit_test(the_queue_is_bounded_and_the_least_important_give_way),
        cmocka_unit_test(a_breaker_that_opens_sends_the_queue_away),
        cmocka_unit_test(many_threads_share_the_places),
        cmocka_unit_test(a_kernel_that_is_stuck_is_shut_until_it_is_not),
        cmocka_unit_test(short_of_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
