/* What tenants use: limits that are exact when many threads take at once, and that give back. */
#include <pthread.h>
#include <string.h>

#include "gateway/quota.h"
#include "tests/support/test.h"

enum {
    THREADS = 8,
    TRIES = 20000,
    NOW_US = 1000000,
};

struct taker {
    struct quota *quota;
    struct quota_rate rate;
    int64_t tokens;
    size_t taken;
    pthread_t thread;
};

static void *take_many(void *arg)
{
    struct taker *t = arg;
    for (int i = 0; i < TRIES; i++) {
        t->taken += quota_admit(t->quota, &t->rate, NOW_US, t->tokens).is_allowed;
    }
    return NULL;
}

/* How many of THREADS * TRIES requests get in at the same instant. */
static size_t storm(const struct quota_rate *rate, int64_t tokens)
{
    struct quotas *qs = quotas_create();
    struct taker takers[THREADS];
    size_t taken = 0;
    for (size_t i = 0; i < THREADS; i++) {
        takers[i] = (struct taker){quotas_get(qs, STR("alice")), *rate, tokens, 0, 0};
        assert_int_equal(pthread_create(&takers[i].thread, NULL, take_many, &takers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(takers[i].thread, NULL), 0);
        taken += takers[i].taken;
    }
    quotas_destroy(qs);
    return taken;
}

static void requests_are_counted_exactly_by_many_threads(void **state)
{
    const struct quota_rate rate = {.requests_per_minute = 777};
    (void)state;
    assert_int_equal(storm(&rate, 1), 777);
}

static void tokens_are_counted_exactly_by_many_threads(void **state)
{
    const struct quota_rate rate = {.tokens_per_minute = 10007};
    (void)state;
    assert_int_equal(storm(&rate, 10), 1000);
}

static void concurrency_is_counted_exactly_by_many_threads(void **state)
{
    const struct quota_rate rate = {.concurrency = 32};
    (void)state;
    assert_int_equal(storm(&rate, 1), 32);
}

static void without_limits_everything_passes(void **state)
{
    const struct quota_rate rate = {0};
    (void)state;
    assert_int_equal(storm(&rate, INT64_MAX), THREADS * TRIES);
}

static void a_refused_request_takes_nothing(void **state)
{
    const struct quota_rate rate = {
        .requests_per_minute = 1, .tokens_per_minute = 100, .concurrency = 2};
    struct quotas *qs = quotas_create();
    struct quota *q = quotas_get(qs, STR("alice"));
    (void)state;

    struct quota_verdict first = quota_admit(q, &rate, NOW_US, 10);
    struct quota_verdict second = quota_admit(q, &rate, NOW_US, 10);
    struct quota_verdict third = quota_admit(q, &rate, NOW_US, 90);

    assert_true(first.is_allowed);
    assert_int_equal(first.tokens.remaining, 90);
    assert_false(second.is_allowed);
    assert_int_equal(second.limit, QUOTA_REQUESTS);
    assert_int_equal(second.retry_ms, 60000);
    assert_false(third.is_allowed);
    assert_int_equal(third.limit, QUOTA_REQUESTS); /* not tokens, not concurrency */
    quotas_destroy(qs);
}

static void unused_tokens_come_back(void **state)
{
    const struct quota_rate rate = {.tokens_per_minute = 100};
    struct quotas *qs = quotas_create();
    struct quota *q = quotas_get(qs, STR("alice"));
    (void)state;
    assert_true(quota_admit(q, &rate, NOW_US, 100).is_allowed);
    assert_false(quota_admit(q, &rate, NOW_US, 1).is_allowed);

    quota_release(q, &rate, NOW_US, 100, 40);

    assert_false(quota_admit(q, &rate, NOW_US, 61).is_allowed);
    assert_true(quota_admit(q, &rate, NOW_US, 60).is_allowed);
    quotas_destroy(qs);
}

static void more_tokens_than_a_minute_has_never_pass(void **state)
{
    const struct quota_rate rate = {.tokens_per_minute = 100};
    struct quotas *qs = quotas_create();
    struct quota *q = quotas_get(qs, STR("alice"));
    (void)state;

    struct quota_verdict v = quota_admit(q, &rate, NOW_US, 101);

    assert_false(v.is_allowed);
    assert_true(v.is_never);
    assert_int_equal(v.retry_ms, 0);
    assert_true(quota_admit(q, &rate, NOW_US, 100).is_allowed);
    quotas_destroy(qs);
}

static void a_name_keeps_what_it_has_used(void **state)
{
    struct quotas *qs = quotas_create();
    (void)state;

    struct quota *alice = quotas_get(qs, STR("alice"));

    assert_ptr_not_equal(quotas_get(qs, STR("bob")), alice);
    assert_ptr_equal(quotas_get(qs, STR("alice")), alice);
    quotas_destroy(qs);
}

static void metrics_name_tenants_and_limits(void **state)
{
    const struct quota_rate rate = {.concurrency = 1};
    struct quotas *qs = quotas_create();
    struct quota *q = quotas_get(qs, STR("alice"));
    struct buf out;
    (void)state;
    buf_init(&out, 65536);
    assert_true(quota_admit(q, &rate, NOW_US, 1).is_allowed);
    assert_false(quota_admit(q, &rate, NOW_US, 1).is_allowed);
    quota_count(q, METRICS_OK, 7, 5);

    assert_int_equal(quotas_write_metrics(qs, &out), ST_OK);
    assert_int_equal(buf_append_char(&out, '\0'), ST_OK);

    static const char *const lines[] = {
        "expertd_tenant_requests_total{tenant=\"alice\",outcome=\"ok\"} 1\n",
        "expertd_tenant_refused_total{tenant=\"alice\",limit=\"concurrency\"} 1\n",
        "expertd_tenant_refused_total{tenant=\"alice\",limit=\"requests_per_minute\"} 0\n",
        "expertd_tenant_tokens_total{tenant=\"alice\",kind=\"prompt\"} 7\n",
        "expertd_tenant_tokens_total{tenant=\"alice\",kind=\"completion\"} 5\n",
        "expertd_tenant_requests_in_flight{tenant=\"alice\"} 1\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (strstr(buf_str(&out).ptr, lines[i]) == NULL) {
            fail_msg("missing: %s in\n%s", lines[i], buf_str(&out).ptr);
        }
    }
    buf_fini(&out);
    quotas_destroy(qs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_counted_exactly_by_many_threads),
        cmocka_unit_test(tokens_are_counted_exactly_by_many_threads),
        cmocka_unit_test(concurrency_is_counted_exactly_by_many_threads),
        cmocka_unit_test(without_limits_everything_passes),
        cmocka_unit_test(a_refused_request_takes_nothing),
        cmocka_unit_test(unused_tokens_come_back),
        cmocka_unit_test(more_tokens_than_a_minute_has_never_pass),
        cmocka_unit_test(a_name_keeps_what_it_has_used),
        cmocka_unit_test(metrics_name_tenants_and_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
