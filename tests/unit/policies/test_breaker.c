/* Circuit breakers, with a clock of the test's own: what opens them, what closes them, and that an expert
 * that comes and goes costs ever less. */
#include "policies/breaker.h"
#include "tests/support/test.h"

static const struct breaker_rule in_a_row = {
    .failures = 3, .open_ms = 1000, .open_max_ms = 60000, .half_open = 1};

/* One attempt: -1 when it is not let through. */
static int attempt(struct breaker *b, const struct breaker_rule *rule, enum breaker_event event,
                   int64_t now_ms)
{
    uint64_t ticket = 0;
    if (!breaker_try(b, rule, now_ms, &ticket)) {
        return -1;
    }
    breaker_report(b, rule, event, ticket, now_ms);
    return 0;
}

static void break_it(struct breaker *b, const struct breaker_rule *rule, int times, int64_t now_ms)
{
    for (int i = 0; i < times; i++) {
        assert_int_equal(attempt(b, rule, BREAKER_FAILURE, now_ms), 0);
    }
}

static void it_opens_after_so_many_failures_in_a_row(void **state)
{
    struct breaker b = {0};
    (void)state;
    break_it(&b, &in_a_row, 2, 0);
    assert_int_equal(b.state, BREAKER_CLOSED);
    break_it(&b, &in_a_row, 1, 0);
    assert_int_equal(b.state, BREAKER_OPEN);
    assert_int_equal(attempt(&b, &in_a_row, BREAKER_SUCCESS, 999), -1);
    assert_int_equal(breaker_wait_ms(&b, 400), 600);
}

static void a_success_between_starts_the_count_anew(void **state)
{
    struct breaker b = {0};
    (void)state;
    for (int i = 0; i < 100; i++) {
        break_it(&b, &in_a_row, 2, i);
        assert_int_equal(attempt(&b, &in_a_row, BREAKER_SUCCESS, i), 0);
    }
    assert_int_equal(b.state, BREAKER_CLOSED);
}

static void what_says_nothing_counts_for_nothing(void **state)
{
    struct breaker b = {0};
    (void)state;
    break_it(&b, &in_a_row, 2, 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(attempt(&b, &in_a_row, BREAKER_NOTHING, i), 0);
    }
    assert_int_equal(b.state, BREAKER_CLOSED);
    break_it(&b, &in_a_row, 1, 100);
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void in_a_window_successes_do_not_help_but_time_does(void **state)
{
    const struct breaker_rule rule = {
        .failures = 3, .window_ms = 100, .open_ms = 1000, .open_max_ms = 60000, .half_open = 1};
    struct breaker b = {0};
    (void)state;
    for (int64_t now = 0; now < 60000; now += 51) { /* never three in 100 ms */
        break_it(&b, &rule, 1, now);
        assert_int_equal(attempt(&b, &rule, BREAKER_SUCCESS, now), 0);
    }
    assert_int_equal(b.state, BREAKER_CLOSED);
    break_it(&b, &rule, 1, 70000);
    assert_int_equal(attempt(&b, &rule, BREAKER_SUCCESS, 70010), 0);
    break_it(&b, &rule, 2, 70100);
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void so_many_probes_pass_and_close_it(void **state)
{
    const struct breaker_rule rule = {
        .failures = 1, .open_ms = 1000, .open_max_ms = 60000, .half_open = 2};
    struct breaker b = {0};
    uint64_t tickets[2] = {0};
    uint64_t ticket = 0;
    (void)state;
    break_it(&b, &rule, 1, 0);
    assert_true(breaker_try(&b, &rule, 1000, &tickets[0]));
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
    assert_true(breaker_try(&b, &rule, 1000, &tickets[1]));
    assert_false(breaker_try(&b, &rule, 1000, &ticket));
    breaker_report(&b, &rule, BREAKER_SUCCESS, tickets[0], 1001);
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
    assert_false(breaker_try(&b, &rule, 1001, &ticket));
    breaker_report(&b, &rule, BREAKER_SUCCESS, tickets[1], 1002);
    assert_int_equal(b.state, BREAKER_CLOSED);
}

static void a_probe_that_says_nothing_makes_room_for_another(void **state)
{
    struct breaker b = {0};
    (void)state;
    break_it(&b, &in_a_row, 3, 0);
    assert_int_equal(attempt(&b, &in_a_row, BREAKER_NOTHING, 1000), 0);
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
    assert_int_equal(attempt(&b, &in_a_row, BREAKER_SUCCESS, 1000), 0);
    assert_int_equal(b.state, BREAKER_CLOSED);
}

static void a_failed_probe_opens_it_for_twice_as_long_up_to_a_ceiling(void **state)
{
    struct breaker b = {0};
    int64_t now = 0;
    (void)state;
    break_it(&b, &in_a_row, 3, now);
    for (int64_t span = 1000; now < 600000; span = span * 2 < 60000 ? span * 2 : 60000) {
        assert_int_equal(breaker_wait_ms(&b, now), span);
        now += span;
        break_it(&b, &in_a_row, 1, now);
    }
}

static void it_forgets_when_it_was_closed_as_long_as_open(void **state)
{
    struct breaker b = {0};
    (void)state;
    break_it(&b, &in_a_row, 3, 0);
    break_it(&b, &in_a_row, 1, 1000); /* the probe: now 2 s */
    assert_int_equal(attempt(&b, &in_a_row, BREAKER_SUCCESS, 3000), 0);
    break_it(&b, &in_a_row, 3, 4999); /* too early: 4 s */
    assert_int_equal(breaker_wait_ms(&b, 4999), 4000);
    assert_int_equal(attempt(&b, &in_a_row, BREAKER_SUCCESS, 8999), 0);
    break_it(&b, &in_a_row, 3, 12999);
    assert_int_equal(breaker_wait_ms(&b, 12999), 1000);
}

static void late_reports_of_an_earlier_time_change_nothing(void **state)
{
    struct breaker b = {0};
    uint64_t early[2] = {0};
    (void)state;
    assert_true(breaker_try(&b, &in_a_row, 0, &early[0]));
    assert_true(breaker_try(&b, &in_a_row, 0, &early[1]));
    break_it(&b, &in_a_row, 3, 0);
    breaker_report(&b, &in_a_row, BREAKER_SUCCESS, early[0], 500);
    assert_int_equal(b.state, BREAKER_OPEN);
    assert_int_equal(attempt(&b, &in_a_row, BREAKER_NOTHING, 1000), 0);
    breaker_report(&b, &in_a_row, BREAKER_FAILURE, early[1], 1000);
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
}

static void a_cool_down_lasts_until_it_is_over_and_no_longer(void **state)
{
    struct breaker b = {0};
    uint64_t ticket = 0;
    (void)state;
    assert_true(breaker_try(&b, &in_a_row, 0, &ticket));
    breaker_cool(&b, &in_a_row, ticket, 2000, 0);
    assert_int_equal(attempt(&b, &in_a_row, BREAKER_SUCCESS, 1999), -1);
    assert_int_equal(attempt(&b, &in_a_row, BREAKER_FAILURE, 2000), 0);
    assert_int_equal(b.state, BREAKER_CLOSED); /* one failure is not three */
    assert_true(breaker_try(&b, &in_a_row, 2000, &ticket));
    breaker_cool(&b, &in_a_row, ticket, 86400000, 2000);
    assert_int_equal(breaker_wait_ms(&b, 2000), in_a_row.open_max_ms);
}

static void a_cool_down_does_not_shorten_an_opening(void **state)
{
    struct breaker b = {0};
    uint64_t ticket = 0;
    (void)state;
    assert_true(breaker_try(&b, &in_a_row, 0, &ticket));
    break_it(&b, &in_a_row, 3, 0);
    breaker_cool(&b, &in_a_row, ticket, 10, 0);
    assert_int_equal(breaker_wait_ms(&b, 0), 1000);
}

static void without_a_limit_it_never_opens(void **state)
{
    const struct breaker_rule rule = {.open_ms = 1, .open_max_ms = 1, .half_open = 1};
    struct breaker b = {0};
    (void)state;
    break_it(&b, &rule, 1000, 0);
    assert_int_equal(b.state, BREAKER_CLOSED);
}

/* Sixty seconds of an expert that is down but for a good answer whenever it is probed, asked a thousand
 * times a second. */
static void flapping_lets_few_failures_through(void **state)
{
    struct breaker b = {0};
    int failures = 0;
    (void)state;
    for (int64_t now = 0; now < 60000; now++) {
        uint64_t ticket = 0;
        if (breaker_try(&b, &in_a_row, now, &ticket)) {
            bool is_good = b.state == BREAKER_HALF_OPEN;
            failures += !is_good;
            breaker_report(&b, &in_a_row, is_good ? BREAKER_SUCCESS : BREAKER_FAILURE, ticket, now);
        }
    }
    assert_int_equal(failures, 6 * 3); /* open for 1, 2, 4, 8, 16, 32 s */
}

/* Whatever happens in whatever order: never more probes out than allowed, nothing let through while it
 * is open, and what is open opens. */
static void any_order_of_events_keeps_its_promises(void **state)
{
    enum {
        OUT = 8
    };
    const struct breaker_rule rule = {
        .failures = 2, .window_ms = 50, .open_ms = 20, .open_max_ms = 200, .half_open = 3};
    struct breaker b = {0};
    uint64_t tickets[OUT] = {0};
    size_t out = 0;
    uint64_t seed = 99;
    int64_t now = 0;
    (void)state;
    for (int i = 0; i < 200000; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        now += (int64_t)(seed % 7);
        int64_t wait_ms = breaker_wait_ms(&b, now);
        bool allows = breaker_allows(&b, &rule, now);
        assert_true(wait_ms <= rule.open_max_ms);
        assert_true(wait_ms == 0 || !allows);
        assert_true(b.probes >= 0 && b.probes + b.passed <= rule.half_open);
        if (seed % 2 == 0 && out < OUT) {
            bool is_in = breaker_try(&b, &rule, now, &tickets[out]);
            assert_true(is_in == allows);
            out += is_in;
        } else if (out > 0) {
            size_t which = (seed >> 20) % out;
            uint64_t event = (seed >> 30) % 4;
            if (event == 3) {
                breaker_cool(&b, &rule, tickets[which], (int64_t)(seed >> 40) % 300, now);
            } else {
                breaker_report(&b, &rule, (enum breaker_event)event, tickets[which], now);
            }
            tickets[which] = tickets[--out];
        }
    }
    while (out > 0) {
        breaker_report(&b, &rule, BREAKER_NOTHING, tickets[--out], now);
    }
    assert_true(breaker_allows(&b, &rule, now + rule.open_max_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_after_so_many_failures_in_a_row),
        cmocka_unit_test(a_success_between_starts_the_count_anew),
        cmocka_unit_test(what_says_nothing_counts_for_nothing),
        cmocka_unit_test(in_a_window_successes_do_not_help_but_time_does),
        cmocka_unit_test(so_many_probes_pass_and_close_it),
        cmocka_unit_test(a_probe_that_says_nothing_makes_room_for_another),
        cmocka_unit_test(a_failed_probe_opens_it_for_twice_as_long_up_to_a_ceiling),
        cmocka_unit_test(it_forgets_when_it_was_closed_as_long_as_open),
        cmocka_unit_test(late_reports_of_an_earlier_time_change_nothing),
        cmocka_unit_test(a_cool_down_lasts_until_it_is_over_and_no_longer),
        cmocka_unit_test(a_cool_down_does_not_shorten_an_opening),
        cmocka_unit_test(without_a_limit_it_never_opens),
        cmocka_unit_test(flapping_lets_few_failures_through),
        cmocka_unit_test(any_order_of_events_keeps_its_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
