/* Residency: single rules in single cases, then what must hold in every case, over random histories. */
#include <string.h>

#include "backends/residency.h"
#include "tests/support/test.h"

#define GIB ((int64_t)1 << 30)

enum {
    EXPERTS_MAX = 8,
};

struct house { /* some experts and a memory */
    struct resident experts[EXPERTS_MAX];
    struct resident *list[EXPERTS_MAX];
    struct residency r;
};

static void build(struct house *h, size_t count, int64_t memory)
{
    memset(h, 0, sizeof *h);
    for (size_t i = 0; i < count; i++) {
        h->experts[i].rule.bytes = GIB;
        h->list[i] = &h->experts[i];
    }
    h->r = (struct residency){h->list, count, memory, 10000, 1.0, RESIDENCY_BY_VALUE};
}

static void make_ready(struct resident *e, int64_t now_ms)
{
    resident_enter(e, RESIDENCY_STARTING, now_ms - 500);
    resident_enter(e, RESIDENCY_READY, now_ms);
}

static void let_wait(struct resident *e, int64_t arrival_ms)
{
    if (e->waiting == 0) {
        e->oldest_ms = arrival_ms;
    }
    resident_wait(e, arrival_ms);
}

static void assert_step(struct residency_step got, enum residency_act act, size_t index,
                        const char *reason)
{
    assert_int_equal(got.act, act);
    if (act != RESIDENCY_NOTHING) {
        assert_int_equal(got.index, index);
        assert_string_equal(got.reason, reason);
    }
}

/* ---------------------------------------------------------------- single rules */

static void nobody_is_loaded_unasked(void **state)
{
    (void)state;
    struct house h;
    build(&h, 2, 0);

    assert_step(residency_next(&h.r, 1000), RESIDENCY_NOTHING, 0, "");
    assert_true(residency_due_ms(&h.r, 1000) == INT64_MAX);
}

static void who_is_waited_for_is_loaded_where_there_is_room(void **state)
{
    (void)state;
    struct house h;
    build(&h, 2, GIB);
    let_wait(&h.experts[1], 1000);

    assert_step(residency_next(&h.r, 1000), RESIDENCY_LOAD, 1, "demand");
}

static void the_longest_wait_is_served_first(void **state)
{
    (void)state;
    struct house h;
    build(&h, 3, GIB);
    let_wait(&h.experts[0], 1002);
    let_wait(&h.experts[2], 1001);

    assert_step(residency_next(&h.r, 1003), RESIDENCY_LOAD, 2, "demand");
}

static void a_wish_is_loaded_only_into_free_memory(void **state)
{
    (void)state;
    struct house h;
    build(&h, 2, GIB);
    h.experts[0].is_wished = true;
    assert_step(residency_next(&h.r, 1000), RESIDENCY_LOAD, 0, "wish");

    make_ready(&h.experts[0], 1000);
    h.experts[1].is_wished = true;

    assert_step(residency_next(&h.r, 999000), RESIDENCY_NOTHING, 0, "");
}

static void an_idle_one_leaves_for_one_that_waits(void **state)
{
    (void)state;
    struct house h;
    build(&h, 2, GIB);
    make_ready(&h.experts[0], 1000);
    let_wait(&h.experts[1], 2000);

    assert_step(residency_next(&h.r, 2000), RESIDENCY_STOP, 0, "memory");

    resident_enter(&h.experts[0], RESIDENCY_STOPPING, 2000);
    assert_step(residency_next(&h.r, 2001), RESIDENCY_NOTHING, 0, "");
    resident_enter(&h.experts[0], RESIDENCY_COLD, 2100);
    assert_step(residency_next(&h.r, 2100), RESIDENCY_LOAD, 1, "demand");
}

static void a_busy_one_stays_until_somebody_starves_and_then_drains(void **state)
{
    (void)state;
    struct house h;
    build(&h, 2, GIB);
    make_ready(&h.experts[0], 1000);
    resident_begin(&h.experts[0]);
    let_wait(&h.experts[1], 2000);

    assert_step(residency_next(&h.r, 11999), RESIDENCY_NOTHING, 0, "");
    assert_step(residency_next(&h.r, 12000), RESIDENCY_DRAIN, 0, "memory");

    resident_enter(&h.experts[0], RESIDENCY_DRAINING, 12000);
    assert_step(residency_next(&h.r, 99000), RESIDENCY_NOTHING, 0, "");
    resident_end(&h.experts[0], 99000);
    assert_step(residency_next(&h.r, 99000), RESIDENCY_STOP, 0, "drained");
}

static void the_loading_the_pinned_and_the_young_stay(void **state)
{
    (void)state;
    struct house h;
    build(&h, 4, 3 * GIB);
    resident_enter(&h.experts[0], RESIDENCY_STARTING, 1000);
    make_ready(&h.experts[1], 1000);
    h.experts[1].rule.is_pinned = true;
    make_ready(&h.experts[2], 1000);
    h.experts[2].rule.min_resident_ms = 30000;
    let_wait(&h.experts[3], 2000);

    assert_step(residency_next(&h.r, 30999), RESIDENCY_NOTHING, 0, "");
    assert_step(residency_next(&h.r, 31000), RESIDENCY_STOP, 2, "memory");
}

static void the_least_useful_per_byte_leaves_and_of_equals_the_older(void **state)
{
    (void)state;

    static const struct {
        int uses[2];
        int64_t load_ms[2];
        int64_t gib[2];
        int64_t used_ms[2];
        enum residency_order order;
        size_t leaves;
    } cases[] = {
        {{9, 1}, {500, 500}, {1, 1}, {1000, 2000}, RESIDENCY_BY_VALUE, 1},
        {{1, 1}, {500, 9000}, {1, 1}, {2000, 1000}, RESIDENCY_BY_VALUE, 0},
        {{1, 1}, {500, 500}, {1, 2}, {1000, 2000}, RESIDENCY_BY_VALUE, 1},
        {{0, 0}, {500, 500}, {1, 1}, {2000, 1000}, RESIDENCY_BY_VALUE, 1},
        {{9, 1}, {500, 500}, {1, 1}, {1000, 2000}, RESIDENCY_BY_AGE, 0},
    };

    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct house h;
        build(&h, 3, 3 * GIB);
        h.r.order = cases[c].order;
        h.r.patience = 0.0;
        for (size_t i = 0; i < 2; i++) {
            h.experts[i].rule.bytes = cases[c].gib[i] * GIB;
            make_ready(&h.experts[i], 900);
            h.experts[i].load_ms = cases[c].load_ms[i];
            h.experts[i].used_ms = cases[c].used_ms[i];
            for (int k = 0; k < cases[c].uses[i]; k++) {
                resident_arrive(&h.experts[i], 900);
            }
        }
        h.experts[2].rule.bytes = 2 * GIB;
        let_wait(&h.experts[2], 3000);

        assert_step(residency_next(&h.r, 3000), RESIDENCY_STOP, cases[c].leaves, "memory");
    }
}

/* Where the victim is in use, requests gather first: together they wait as long as its users would. Of those
 * one comes a second; two come in the two seconds that it is away, and wait for half of that. */
/* As if a request had come every second for hours until 2000. */
static void use_for_long(struct resident *e)
{
    e->use = 60.0;
    e->use_ms = 2000;
    e->first_ms = 1 - 10000000;
}

static void what_is_known_for_a_short_time_counts_by_its_rate(void **state)
{
    (void)state;
    struct house h;
    build(&h, 2, GIB);
    make_ready(&h.experts[0], 1000);
    h.experts[0].load_ms = 1000;
    h.experts[1].load_ms = 1000;
    for (int64_t at_ms = 1000; at_ms < 6000; at_ms += 1000) { /* no more than this */
        resident_arrive(&h.experts[0], at_ms);
    }
    let_wait(&h.experts[1], 6000);
    /* A request a second for five seconds costs, for two seconds away, as one for hours would. */
    assert_step(residency_next(&h.r, 7300), RESIDENCY_NOTHING, 0, "");

    assert_step(residency_next(&h.r, 7800), RESIDENCY_STOP, 0, "memory");
}

static void a_guess_needs_free_memory_that_nobody_waits_for(void **state)
{
    (void)state;
    struct house h;
    build(&h, 3, 2 * GIB);
    assert_true(residency_is_free_for(&h.r, 0, 1000));

    make_ready(&h.experts[0], 1000);
    assert_false(residency_is_free_for(&h.r, 0, 1000)); /* it is there */
    assert_true(residency_is_free_for(&h.r, 1, 1000));
    let_wait(&h.experts[2], 1000);
    assert_false(residency_is_free_for(&h.r, 1, 1000)); /* somebody waits */
    h.experts[2].waiting = 0;
    make_ready(&h.experts[2], 1000);
    assert_false(residency_is_free_for(&h.r, 1, 1000)); /* it is full, idle or not */
}

static void a_hot_victim_leaves_once_enough_was_waited(void **state)
{
    (void)state;
    struct house h;
    build(&h, 2, GIB);
    make_ready(&h.experts[0], 1000);
    h.experts[0].load_ms = 1000;
    h.experts[1].load_ms = 1000;
    use_for_long(&h.experts[0]); /* 1 request a second */
    let_wait(&h.experts[1], 2000);
    assert_step(residency_next(&h.r, 3900), RESIDENCY_NOTHING, 0, "");

    assert_step(residency_next(&h.r, 4000), RESIDENCY_STOP, 0, "memory");

    let_wait(&h.experts[1], 2000); /* two together: half the time */
    assert_step(residency_next(&h.r, 2900), RESIDENCY_NOTHING, 0, "");
    assert_step(residency_next(&h.r, 3000), RESIDENCY_STOP, 0, "memory");
}

/* It would hold its place for half a minute, were only the last minute counted. */
static void one_that_has_fallen_silent_holds_nobody_up(void **state)
{
    (void)state;
    struct house h;
    build(&h, 2, GIB);
    make_ready(&h.experts[0], 1000);
    h.experts[0].load_ms = 1000;
    h.experts[1].load_ms = 1000;
    h.r.patience = 16.0;
    h.r.starve_ms = 60000;
    use_for_long(&h.experts[0]); /* 1 request a second until 2000 */
    let_wait(&h.experts[1], 2000);

    /* Three requests in the 9.8 s: 0.31 a second, 2 s^2 of absence, 16 times: 9.8 s. */
    assert_step(residency_next(&h.r, 11700), RESIDENCY_NOTHING, 0, "");
    assert_step(residency_next(&h.r, 11800), RESIDENCY_STOP, 0, "memory");
}

static void an_idle_expert_goes_a_ttl_after_its_last_request_ended(void **state)
{
    (void)state;
    struct house h;
    build(&h, 1, 0);
    h.experts[0].rule.ttl_ms = 5000;
    make_ready(&h.experts[0], 1000);
    resident_begin(&h.experts[0]);
    assert_step(residency_next(&h.r, 999000), RESIDENCY_NOTHING, 0, "");

    resident_end(&h.experts[0], 999000);

    assert_int_equal(residency_due_ms(&h.r, 999001), 1004000);
    assert_step(residency_next(&h.r, 1003999), RESIDENCY_NOTHING, 0, "");
    assert_step(residency_next(&h.r, 1004000), RESIDENCY_STOP, 0, "ttl");
    h.experts[0].rule.is_pinned = true;
    assert_step(residency_next(&h.r, 1004000), RESIDENCY_NOTHING, 0, "");
}

static void failures_back_off_and_a_success_forgives(void **state)
{
    (void)state;

    static const int64_t waits[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};

    struct resident e = {0};
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        resident_enter(&e, RESIDENCY_STARTING, 0);
        resident_enter(&e, RESIDENCY_FAILED, 0);
        assert_int_equal(e.retry_ms, waits[i]);
    }
    make_ready(&e, 1000);
    resident_enter(&e, RESIDENCY_FAILED, 0);
    assert_int_equal(e.retry_ms, 1000);
}

static void a_failed_expert_is_not_tried_before_its_time(void **state)
{
    (void)state;
    struct house h;
    build(&h, 1, 0);
    resident_enter(&h.experts[0], RESIDENCY_STARTING, 0);
    resident_enter(&h.experts[0], RESIDENCY_FAILED, 5000);
    h.experts[0].is_wished = true;

    assert_step(residency_next(&h.r, 5999), RESIDENCY_NOTHING, 0, "");
    assert_int_equal(residency_due_ms(&h.r, 5000), 6000);
    assert_step(residency_next(&h.r, 6000), RESIDENCY_LOAD, 0, "wish");
}

static void what_was_measured_corrects_what_was_declared(void **state)
{
    (void)state;
    struct house h;
    build(&h, 3, 2 * GIB);
    make_ready(&h.experts[0], 1000);
    make_ready(&h.experts[1], 1001);
    assert_step(residency_next(&h.r, 1001), RESIDENCY_NOTHING, 0, "");

    h.experts[1].measured_bytes = GIB + GIB / 2;

    assert_step(residency_next(&h.r, 1001), RESIDENCY_STOP, 0, "memory");
    h.experts[0].busy = 1;
    h.experts[1].busy = 1;
    assert_step(residency_next(&h.r, 1001), RESIDENCY_NOTHING, 0, "");
}

static void one_that_is_larger_than_all_memory_still_runs_alone(void **state)
{
    (void)state;
    struct house h;
    build(&h, 2, GIB);
    h.experts[1].measured_bytes = 3 * GIB;
    let_wait(&h.experts[1], 1000);
    assert_step(residency_next(&h.r, 1000), RESIDENCY_LOAD, 1, "demand");

    make_ready(&h.experts[0], 1000);
    h.experts[0].busy = 1;

    assert_step(residency_next(&h.r, 1000), RESIDENCY_NOTHING, 0, "");
}

static void an_idle_one_leaves_for_one_that_is_larger_than_all_memory(void **state)
{
    (void)state;
    struct house h;
    build(&h, 2, GIB);
    h.experts[1].measured_bytes = 3 * GIB;
    make_ready(&h.experts[0], 1000);
    let_wait(&h.experts[1], 1000);

    assert_step(residency_next(&h.r, 1000), RESIDENCY_STOP, 0, "memory");
    assert_int_equal(residency_wait_ms(&h.r, 1, 1000), RESIDENCY_LOAD_GUESS_MS);
}

static void groups_decide_who_may_be_together(void **state)
{
    (void)state;

    static const struct residency_group plain = {0};
    static const struct residency_group swap = {.is_swap = true};
    static const struct residency_group exclusive = {.is_exclusive = true};
    static const struct residency_group persistent = {.is_persistent = true};

    static const struct {
        const struct residency_group *resident;
        const struct residency_group *fresh;
        enum residency_act act;
    } cases[] = {
        {NULL, NULL, RESIDENCY_LOAD},         {&plain, &plain, RESIDENCY_LOAD},
        {&swap, &swap, RESIDENCY_STOP},       {&plain, &swap, RESIDENCY_LOAD},
        {&plain, &exclusive, RESIDENCY_STOP}, {NULL, &exclusive, RESIDENCY_STOP},
        {&exclusive, &plain, RESIDENCY_LOAD}, {&persistent, &exclusive, RESIDENCY_LOAD},
    };

    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct house h;
        build(&h, 2, 0);
        h.experts[0].rule.group = cases[c].resident;
        h.experts[1].rule.group = cases[c].fresh;
        make_ready(&h.experts[0], 1000);
        let_wait(&h.experts[1], 2000);

        struct residency_step step = residency_next(&h.r, 2000);

        assert_int_equal(step.act, cases[c].act);
        assert_string_equal(step.reason, step.act == RESIDENCY_STOP ? "group" : "demand");
    }
}

static void memory_never_takes_from_a_persistent_group(void **state)
{
    (void)state;

    static const struct residency_group persistent = {.is_persistent = true};

    struct house h;
    build(&h, 2, GIB);
    h.experts[0].rule.group = &persistent;
    make_ready(&h.experts[0], 1000);
    let_wait(&h.experts[1], 2000);

    assert_step(residency_next(&h.r, 900000), RESIDENCY_NOTHING, 0, "");
}

static void what_is_to_be_unloaded_drains_then_stops(void **state)
{
    (void)state;
    struct house h;
    build(&h, 1, 0);
    make_ready(&h.experts[0], 1000);
    h.experts[0].is_unwished = true;
    h.experts[0].rule.is_pinned = true;
    resident_begin(&h.experts[0]);
    assert_step(residency_next(&h.r, 1000), RESIDENCY_DRAIN, 0, "unload");

    resident_end(&h.experts[0], 1500);

    assert_step(residency_next(&h.r, 1500), RESIDENCY_STOP, 0, "unload");
}

static void waits_are_told_from_what_loads_took(void **state)
{
    (void)state;
    struct house h;
    build(&h, 2, GIB);
    assert_int_equal(residency_wait_ms(&h.r, 0, 1000), RESIDENCY_LOAD_GUESS_MS);
    make_ready(&h.experts[0], 1000);
    assert_int_equal(residency_wait_ms(&h.r, 0, 1000), 0);
    assert_int_equal(residency_wait_ms(&h.r, 1, 1000), RESIDENCY_LOAD_GUESS_MS);

    resident_enter(&h.experts[0], RESIDENCY_STOPPING, 2000);
    assert_int_equal(residency_wait_ms(&h.r, 0, 2000), 500);
    resident_enter(&h.experts[0], RESIDENCY_COLD, 2000);
    resident_enter(&h.experts[0], RESIDENCY_STARTING, 2000);
    assert_int_equal(residency_wait_ms(&h.r, 0, 2200), 300);
    resident_enter(&h.experts[0], RESIDENCY_FAILED, 3000);
    assert_int_equal(residency_wait_ms(&h.r, 0, 3400), 600 + 500);
}

/* ---------------------------------------------------------------- every history */

struct random { /* xorshift64 */
    uint64_t state;
};

static uint64_t draw(struct random *random, uint64_t below)
{
    random->state ^= random->state << 13;
    random->state ^= random->state >> 7;
    random->state ^= random->state << 17;
    return random->state % below;
}

struct history {
    struct house house;
    struct random random;
    int64_t now_ms;
    int64_t queue[EXPERTS_MAX][64]; /* arrivals of those that wait */
    int64_t ends_ms[EXPERTS_MAX];   /* when loading or stopping is over */
    int64_t worst_wait_ms;
};

static const struct residency_group groups[] = {{.is_swap = true}, {.is_persistent = true}};

static void begin_history(struct history *t, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->random.state = seed * 0x9e3779b97f4a7c15U + 1;
    t->now_ms = 1000;
    size_t count = 2 + (size_t)draw(&t->random, EXPERTS_MAX - 1);
    build(&t->house, count, (int64_t)(4 + draw(&t->random, 12)) * GIB);
    for (size_t i = 0; i < count; i++) {
        struct residency_rule *rule = &t->house.experts[i].rule;
        rule->bytes = (int64_t)(1 + draw(&t->random, 4)) * GIB;
        rule->ttl_ms = draw(&t->random, 2) == 0 ? 0 : (int64_t)draw(&t->random, 20000);
        rule->min_resident_ms = (int64_t)draw(&t->random, 3000);
        rule->is_pinned = draw(&t->random, 10) == 0;
        rule->group = draw(&t->random, 4) == 0 ? &groups[draw(&t->random, 2)] : NULL;
    }
}

static void assert_bound(const struct history *t)
{
    int64_t sum = 0;
    for (size_t i = 0; i < t->house.r.count; i++) {
        const struct resident *e = &t->house.experts[i];
        sum += resident_is_loaded(e) ? resident_bytes(e) : 0;
        for (size_t k = 0; k < i; k++) {
            const struct resident *o = &t->house.experts[k];
            bool is_swap = e->rule.group == &groups[0] && o->rule.group == &groups[0];
            assert_false(is_swap && resident_is_loaded(e) && resident_is_loaded(o));
        }
    }
    assert_true(sum <= t->house.r.memory_bytes);
}

static void carry_out(struct history *t, struct residency_step step)
{
    struct resident *e = &t->house.experts[step.index];
    bool is_own_will = strcmp(step.reason, "ttl") == 0 || strcmp(step.reason, "drained") == 0;
    switch (step.act) {
    case RESIDENCY_NOTHING:
        return;
    case RESIDENCY_LOAD:
        resident_enter(e, RESIDENCY_STARTING, t->now_ms);
        t->ends_ms[step.index] = t->now_ms + 100 + (int64_t)draw(&t->random, 3000);
        break;
    case RESIDENCY_DRAIN:
    case RESIDENCY_STOP:
        assert_true(e->state == RESIDENCY_READY || e->state == RESIDENCY_DRAINING);
        assert_true(step.act == RESIDENCY_DRAIN || e->busy == 0);
        assert_false(e->rule.is_pinned);
        assert_true(is_own_will || t->now_ms - e->since_ms >= e->rule.min_resident_ms);
        if (step.act == RESIDENCY_DRAIN) {
            resident_enter(e, RESIDENCY_DRAINING, t->now_ms);
        } else {
            resident_enter(e, RESIDENCY_STOPPING, t->now_ms);
            t->ends_ms[step.index] = t->now_ms + (int64_t)draw(&t->random, 500);
        }
        break;
    }
    assert_bound(t);
}

static void serve_queue(struct history *t, size_t i)
{
    struct resident *e = &t->house.experts[i];
    while (e->waiting > 0) {
        int64_t arrival = t->queue[i][0];
        int64_t waited = t->now_ms - arrival;
        t->worst_wait_ms = waited > t->worst_wait_ms ? waited : t->worst_wait_ms;
        resident_unwait(e, arrival);
        memmove(t->queue[i], t->queue[i] + 1, sizeof t->queue[i] - sizeof t->queue[i][0]);
        resident_begin(e);
    }
}

static void request(struct history *t, size_t i)
{
    struct resident *e = &t->house.experts[i];
    resident_arrive(e, t->now_ms);
    if (e->state == RESIDENCY_READY) {
        resident_begin(e);
    } else if (e->state != RESIDENCY_FAILED && e->waiting < 64) {
        t->queue[i][e->waiting] = t->now_ms;
        let_wait(e, t->now_ms);
    }
}

/* Some time passes: loads and stops end, requests end, now and then a process crashes. */
static void pass_time(struct history *t, bool may_crash)
{
    t->now_ms += (int64_t)draw(&t->random, 200);
    for (size_t i = 0; i < t->house.r.count; i++) {
        struct resident *e = &t->house.experts[i];
        bool is_over = t->now_ms >= t->ends_ms[i];
        if (e->state == RESIDENCY_STOPPING && is_over) {
            resident_enter(e, RESIDENCY_COLD, t->now_ms);
        } else if (e->state == RESIDENCY_STARTING && is_over) {
            bool crashes = may_crash && draw(&t->random, 10) == 0;
            resident_enter(e, crashes ? RESIDENCY_FAILED : RESIDENCY_READY, t->now_ms);
            if (crashes) {
                while (e->waiting > 0) { /* they are told */
                    resident_unwait(e, t->queue[i][e->waiting - 1]);
                }
            } else {
                serve_queue(t, i);
            }
        }
        for (size_t k = e->busy; k > 0; k--) {
            if (draw(&t->random, 3) == 0) {
                resident_end(e, t->now_ms);
            }
        }
    }
}

static void settle(struct history *t)
{
    for (int i = 0; i < 1000; i++) {
        for (size_t k = 0; k < t->house.r.count; k++) {
            t->house.experts[k].oldest_ms = t->queue[k][0];
        }
        struct residency_step step = residency_next(&t->house.r, t->now_ms);
        if (step.act == RESIDENCY_NOTHING) {
            return;
        }
        carry_out(t, step);
    }
    fail_msg("residency_next does not come to rest");
}

static void no_history_breaks_a_promise(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct history t;
        begin_history(&t, seed);
        for (int i = 0; i < 400; i++) {
            if (draw(&t.random, 2) == 0) {
                request(&t, (size_t)draw(&t.random, t.house.r.count));
            }
            settle(&t);
            pass_time(&t, true);
        }
    }
}

/* Memory for one at a time of three, all asked for without a pause: each gets its turn. The bound: its
 * own patience, the youth of who is there, two runs of requests, and the others' turns before it. */
static void nobody_starves(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct history t;
        begin_history(&t, seed);
        build(&t.house, 3, GIB);
        t.house.r.starve_ms = 3000;
        for (size_t i = 0; i < 3; i++) {
            t.house.experts[i].rule.min_resident_ms = 1000;
        }
        for (int i = 0; i < 2000; i++) {
            request(&t, 0);
            if (draw(&t.random, 4) == 0) {
                request(&t, 1 + (size_t)draw(&t.random, 2));
            }
            settle(&t);
            pass_time(&t, false);
        }
        assert_true(t.worst_wait_ms > 3000);
        assert_true(t.worst_wait_ms <= 2 * (3000 + 1000 + 3100 + 500 + 2000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_loaded_unasked),
        cmocka_unit_test(who_is_waited_for_is_loaded_where_there_is_room),
        cmocka_unit_test(the_longest_wait_is_served_first),
        cmocka_unit_test(a_wish_is_loaded_only_into_free_memory),
        cmocka_unit_test(an_idle_one_leaves_for_one_that_waits),
        cmocka_unit_test(a_busy_one_stays_until_somebody_starves_and_then_drains),
        cmocka_unit_test(the_loading_the_pinned_and_the_young_stay),
        cmocka_unit_test(the_least_useful_per_byte_leaves_and_of_equals_the_older),
        cmocka_unit_test(what_is_known_for_a_short_time_counts_by_its_rate),
        cmocka_unit_test(a_guess_needs_free_memory_that_nobody_waits_for),
        cmocka_unit_test(a_hot_victim_leaves_once_enough_was_waited),
        cmocka_unit_test(one_that_has_fallen_silent_holds_nobody_up),
        cmocka_unit_test(an_idle_expert_goes_a_ttl_after_its_last_request_ended),
        cmocka_unit_test(failures_back_off_and_a_success_forgives),
        cmocka_unit_test(a_failed_expert_is_not_tried_before_its_time),
        cmocka_unit_test(what_was_measured_corrects_what_was_declared),
        cmocka_unit_test(one_that_is_larger_than_all_memory_still_runs_alone),
        cmocka_unit_test(an_idle_one_leaves_for_one_that_is_larger_than_all_memory),
        cmocka_unit_test(groups_decide_who_may_be_together),
        cmocka_unit_test(memory_never_takes_from_a_persistent_group),
        cmocka_unit_test(what_is_to_be_unloaded_drains_then_stops),
        cmocka_unit_test(waits_are_told_from_what_loads_took),
        cmocka_unit_test(no_history_breaks_a_promise),
        cmocka_unit_test(nobody_starves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
